//! The search for secrets in all that a run has written.

use sandbox::{CB_API_ID, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, Service};

use super::{Ran, Stage};

/// The spellings by which a secret would still be one.
pub fn spellings(secret: &str) -> Vec<String> {
    let percent = |kept: fn(u8) -> bool| -> String {
        let byte = |byte: u8| {
            if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        secret.bytes().map(byte).collect()
    };
    let json = serde_json::to_string(secret).unwrap();
    let mut spellings = vec![
        secret.to_owned(),
        percent(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
        percent(|byte| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte)),
        percent(|byte| byte.is_ascii_alphanumeric() || b"-._* ".contains(&byte)).replace(' ', "+"),
        json.trim_matches('"').to_owned(),
    ];
    // In base64 a text has three forms, by where it begins in its surroundings.
    spellings.extend((0..3).map(|shift| base64_within(secret, shift)));
    spellings
}

/// The base64 digits that a text determines when that many bytes stand before it.
pub fn base64_within(text: &str, shift: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = [vec![0; shift], text.as_bytes().to_vec()].concat();
    let bits = bytes.len() * 8;
    let digit = |at: usize| {
        (0..6).fold(0, |digit, bit| {
            let place = at * 6 + bit;
            digit << 1 | usize::from(bytes[place / 8] >> (7 - place % 8) & 1)
        })
    };
    let first = (shift * 8).div_ceil(6);
    (first..bits / 6).map(|at| char::from(DIGITS[digit(at)])).collect()
}

/// Each access token that the sandbox was called with.
fn access_tokens(stage: &Stage) -> Vec<String> {
    let asked = stage.sandbox.requests_to(Service::FalconAlerts);
    let tokens =
        asked.iter().filter_map(|asked| asked.header("authorization")?.strip_prefix("Bearer "));
    tokens.map(str::to_owned).collect()
}

/// Searches all that a run has written for all that is secret.
#[track_caller]
pub fn nothing_shows(stage: &Stage, ran: &Ran, more: &[&str]) {
    let tokens = access_tokens(stage);
    let secrets = [RF_TOKEN, CLIENT_ID, CLIENT_SECRET, CB_SECRET, CB_API_ID].into_iter();
    let secrets = secrets.chain(more.iter().copied()).chain(tokens.iter().map(String::as_str));
    let mut outputs =
        vec![("stdout".to_owned(), ran.stdout.clone()), ("stderr".to_owned(), ran.stderr.clone())];
    // Every file in the folder: the log, and the ledger with all that belongs to it.
    for entry in std::fs::read_dir(stage.folder()).unwrap() {
        let path = entry.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        outputs.push((path.display().to_string(), String::from_utf8_lossy(&content).into_owned()));
    }
    for spelling in secrets.flat_map(spellings) {
        for (name, output) in &outputs {
            assert!(!output.contains(&spelling), "{spelling:?} in {name}: {output}");
        }
    }
}
