//! Searches everything that a run has written for secrets.

use sandbox::{CB_API_ID, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, Service};

use super::{RunOutput, TestEnv};

/// Returns the encodings in which a secret could still be read: unchanged, percent-encoded for a
/// URL, for a form, and for a form with `+`, in JSON, and three in base64.
pub fn encodings(secret: &str) -> Vec<String> {
    let percent = |is_unreserved: fn(u8) -> bool| -> String {
        let byte = |byte: u8| {
            if is_unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        secret.bytes().map(byte).collect()
    };
    let json = serde_json::to_string(secret).unwrap();
    let mut encodings = vec![
        secret.to_owned(),
        percent(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
        percent(|byte| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte)),
        percent(|byte| byte.is_ascii_alphanumeric() || b"-._* ".contains(&byte)).replace(' ', "+"),
        json.trim_matches('"').to_owned(),
    ];
    // A text within longer base64 has three forms, depending on its offset.
    encodings.extend((0..3).map(|shift| base64_within(secret, shift)));
    encodings
}

/// Returns the base64 digits of a text that follows `shift` unknown bytes, without the digits that
/// depend on its neighbors.
pub fn base64_within(text: &str, shift: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = [vec![0; shift], text.as_bytes().to_vec()].concat();
    let bits = bytes.len() * 8;
    let digit = |at: usize| {
        (0..6).fold(0, |digit, bit| {
            let position = at * 6 + bit;
            digit << 1 | usize::from(bytes[position / 8] >> (7 - position % 8) & 1)
        })
    };
    let first = (shift * 8).div_ceil(6);
    (first..bits / 6).map(|at| char::from(DIGITS[digit(at)])).collect()
}

/// Returns every access token that the sandbox received.
fn access_tokens(env: &TestEnv) -> Vec<String> {
    let requests = env.sandbox.requests_to(Service::FalconAlerts);
    let tokens = requests
        .iter()
        .filter_map(|request| request.header("authorization")?.strip_prefix("Bearer "));
    tokens.map(str::to_owned).collect()
}

/// Asserts that the output and the files of a run contain no secret, nor any of `more`.
#[track_caller]
pub fn assert_no_secrets(env: &TestEnv, output: &RunOutput, more: &[&str]) {
    let tokens = access_tokens(env);
    let secrets = [RF_TOKEN, CLIENT_ID, CLIENT_SECRET, CB_SECRET, CB_API_ID].into_iter();
    let secrets = secrets.chain(more.iter().copied()).chain(tokens.iter().map(String::as_str));
    let mut written = vec![
        ("stdout".to_owned(), output.stdout.clone()),
        ("stderr".to_owned(), output.stderr.clone()),
    ];
    // Every file in the folder: the log, and the ledger with its journal and lock.
    for entry in std::fs::read_dir(env.folder()).unwrap() {
        let path = entry.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        written.push((path.display().to_string(), String::from_utf8_lossy(&content).into_owned()));
    }
    for encoded in secrets.flat_map(encodings) {
        for (name, content) in &written {
            assert!(!content.contains(&encoded), "{encoded:?} in {name}: {content}");
        }
    }
}
