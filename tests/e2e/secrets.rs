//! Tests that secrets are in no output, at any log level, in any error and in any encoding.

use sandbox::{CB_API_ID, CB_SECRET, CLIENT_ID, CLIENT_SECRET, Fault, RF_TOKEN, Service};
use serde_json::json;

use crate::support::alerts::{falcon, with};
use crate::support::failures::one_alert_per_vendor;
use crate::support::secret_scan::{assert_no_secrets, base64_within, encodings};
use crate::support::vendor::Vendor;
use crate::support::{RunOutput, TestEnv};

const LEVELS: [&str; 5] = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];

/// A secret with all the characters that encodings change.
const SPECIAL_SECRET: &str = "c4n@ry+s3cr3t/with\"all\\of it=%&?#";

/// Returns response bodies that repeat the secrets of the request, as some services and proxies do.
fn bodies_that_repeat(secrets: &[&str]) -> Vec<String> {
    let all = format!("X-Auth-Token: {} {}", secrets.join("/"), secrets.join(" "));
    vec![
        json!({"message": all, "trace_id": all}).to_string(),
        json!({"errors": [{"code": 403, "message": all}], "meta": {"trace_id": all}}).to_string(),
        format!("<html>{all}</html>"),
        format!("client_secret={}", secrets.join("&client_id=")),
    ]
}

#[test]
fn no_mode_shows_secrets_at_any_log_level() {
    for vendor in Vendor::ALL.map(Vendor::command) {
        for level in LEVELS {
            for mode in ["", "--json", "--debug", "--dry-run", "--dry-run --json", "-q"] {
                let env = TestEnv::new(one_alert_per_vendor());
                let output = env.run(&format!("{vendor} -l {level} {mode}")).assert_code(0);
                assert_no_secrets(&env, &output, &[]);
            }
        }
    }
}

#[test]
fn check_shows_no_secrets_in_any_mode() {
    for vendor in Vendor::ALL.map(Vendor::command) {
        for mode in ["", "--json", "--offline", "--show-config", "--show-config --json"] {
            let env = TestEnv::new(one_alert_per_vendor());
            let output = env.run(&format!("check {mode} {vendor}"));
            assert!(output.stdout.len() > 100, "{}{}", output.stdout, output.stderr);
            assert_no_secrets(&env, &output, &[]);
        }
    }
}

#[test]
fn the_secrets_of_a_request_that_a_service_repeats_are_not_shown() {
    let falcon_secrets = [CLIENT_ID, CLIENT_SECRET];
    let carbon_black_secrets = [CB_SECRET, CB_API_ID];
    for (service, vendor, secrets) in [
        (Service::FalconToken, "crowdstrike", &falcon_secrets[..]),
        (Service::FalconAlerts, "crowdstrike", &falcon_secrets),
        (Service::CarbonBlack, "carbonblack", &carbon_black_secrets),
        (Service::RecordedFuture, "carbonblack", &[RF_TOKEN]),
    ] {
        for body in bodies_that_repeat(secrets) {
            for code in [200, 308, 403, 422, 500] {
                let env = TestEnv::new(one_alert_per_vendor());
                let headers = vec![
                    ("X-Cs-Traceid".into(), secrets[0].into()),
                    ("Location".into(), format!("https://{}.example.com/", secrets[0])),
                ];
                let fault = Fault::Status { code, headers, body: body.clone() };
                env.sandbox.always(service, Some(fault));
                let output = env.run(&format!("{vendor} --debug --json"));
                assert_no_secrets(&env, &output, &[]);
            }
        }
    }
}

#[test]
fn an_access_token_that_a_service_repeats_is_masked() {
    const TOKEN: &str = "4cc3ss+t0ken/th4t=is~made";
    let env = TestEnv::new(one_alert_per_vendor());
    let sign_in =
        Fault::status(201, json!({"access_token": TOKEN, "expires_in": 1799}).to_string());
    env.sandbox.always(Service::FalconToken, Some(sign_in));
    for code in [200, 400, 401, 403, 503] {
        let body = json!({"errors": [{"code": code, "message": format!("Bearer {TOKEN} is bad")}]});
        env.sandbox.always(Service::FalconAlerts, Some(Fault::status(code, body.to_string())));
        let output = env.run("crowdstrike --debug --json");
        assert_ne!(output.code, 0);
        assert!(output.stderr.contains("Bearer [secret] is bad"), "{}", output.stderr);
        assert_no_secrets(&env, &output, &[TOKEN]);
    }
}

#[test]
fn a_secret_is_masked_in_every_encoding() {
    let encoded = encodings(SPECIAL_SECRET);
    for body in [
        json!({"message": format!("wrong: {SPECIAL_SECRET}")}).to_string(),
        format!("wrong: {SPECIAL_SECRET}"),
        format!("client_secret={}", encoded[1]),
        format!("client_secret={}", encoded[2]),
        format!("client_secret={}", encoded[3]),
        format!("not JSON: {}", encoded[4]),
    ] {
        let env = TestEnv::new(one_alert_per_vendor());
        env.sandbox.always(Service::FalconToken, Some(Fault::status(403, body)));
        for mode in ["--debug", "--json"] {
            let mut command = env.command(&format!("crowdstrike {mode}"));
            let output =
                RunOutput::capture(command.env("CS_CLIENT_SECRET", SPECIAL_SECRET)).assert_code(4);
            output.assert_stderr(&["[secret]"]);
            assert_no_secrets(&env, &output, &[SPECIAL_SECRET]);
        }
    }
}

#[test]
fn a_secret_in_a_detection_is_not_shown() {
    // The endpoint agent can detect the command line of this program.
    let alert = falcon("id", "domain", "a.example.com");
    let alert = with(
        alert,
        "description",
        json!(format!("collective-insights -k {RF_TOKEN} -ccs {CLIENT_SECRET}")),
    );
    let env = TestEnv::falcon(&[alert]);
    for mode in ["--dry-run", "--dry-run --json", "--debug --no-ledger"] {
        let output = env.run(&format!("crowdstrike {mode}")).assert_code(0);
        for secret in [RF_TOKEN, CLIENT_SECRET] {
            assert!(!output.stdout.contains(secret) && !output.stderr.contains(secret), "{mode}");
            assert!(!env.log().contains(secret), "{mode}");
        }
    }
}

#[test]
fn the_message_of_a_rejection_is_stored_without_the_secret_that_it_repeats() {
    let env = TestEnv::new(one_alert_per_vendor());
    let body = json!({"message": format!("bad request, X-RFToken: {RF_TOKEN}")});
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(422, body.to_string())));
    let output = env.run("carbonblack").assert_code(3);
    assert_no_secrets(&env, &output, &[]);
    let list = env.run("outbox list --quarantined").assert_code(0);
    assert!(list.stdout.contains("X-RFToken: [secret]"));
}

#[test]
fn truncated_messages_show_no_part_of_a_secret() {
    // Messages are truncated after 300 characters and trace ids after 100, here within the secret.
    // After that, the part of the secret would not be recognized any more.
    let parts = [&RF_TOKEN[..24], &RF_TOKEN[..16], &RF_TOKEN[..8]];
    for length in [276, 284, 292] {
        let (message, trace) = ("w".repeat(length), "t".repeat(length - 200));
        let message = format!("{message}{RF_TOKEN}");
        let body = json!({"message": message, "trace_id": format!("{trace}{RF_TOKEN}")});
        for code in [403, 422] {
            let env = TestEnv::new(one_alert_per_vendor());
            let fault = Fault::status(code, body.to_string());
            env.sandbox.always(Service::RecordedFuture, Some(fault));
            let output = env.run("carbonblack --json -l DEBUG");
            assert_no_secrets(&env, &output, &parts);
        }
    }
}

#[test]
fn a_password_in_a_base_url_is_not_shown() {
    let env = TestEnv::new(one_alert_per_vendor());
    for (source, variable) in [("crowdstrike", "RF_API_URL"), ("carbonblack", "CB_HOSTNAME")] {
        for password in ["pw", "a-longer-passw0rd", "with@and:and/"] {
            for mode in ["", "--show-config", "--show-config --json"] {
                let mut command = env.command(&format!("check {source} --offline {mode}"));
                let url = format!("https://somebody:{password}@service.example.com");
                let output = RunOutput::capture(command.env(variable, url));
                let shown = format!("somebody:{password}");
                assert!(!output.stdout.contains(&shown), "{mode}: {}", output.stdout);
                assert!(!output.stderr.contains(&shown), "{mode}: {}", output.stderr);
            }
        }
    }
}

#[test]
fn wrong_secrets_and_invalid_arguments_are_not_shown() {
    let env = TestEnv::new(one_alert_per_vendor());
    let wrong = "wr0ngs3cr3tt0k3n";
    for arguments in [
        vec!["crowdstrike", "-k", wrong],
        vec!["crowdstrike", "-k", "ends\nin a line break"],
        vec!["crowdstrike", "-ccs", wrong],
        vec!["crowdstrike", "-ccid", wrong],
        vec!["carbonblack", "-cs", wrong],
        vec!["carbonblack", "-cid", wrong],
        vec!["carbonblack", "-cs", "ends\nin a line break"],
        vec!["crowdstrike", "-ccs", wrong, "--exclusion-file", "missing"],
        vec!["crowdstrike", "-ccs", wrong, "--base-url", "http://example.com"],
    ] {
        let output =
            RunOutput::capture(env.command("").args(&arguments).args(["--debug", "--json"]));
        assert_ne!(output.code, 0, "{arguments:?}");
        assert_no_secrets(&env, &output, &[wrong, "ends\nin a line break"]);
    }
}

#[test]
fn secrets_as_arguments_cause_one_warning() {
    let warnings_in = |log: &str| {
        log.lines()
            .filter(|line| line.contains("WARNING") && line.contains("command line"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let env = TestEnv::new(one_alert_per_vendor());
    for (arguments, flags) in [
        (vec!["crowdstrike", "-k", RF_TOKEN], vec!["--rf-api-key"]),
        (
            vec!["crowdstrike", "-ccs", CLIENT_SECRET, "-k", RF_TOKEN],
            vec!["--client-secret", "--rf-api-key"],
        ),
        (vec!["carbonblack", "--secret", CB_SECRET], vec!["--secret"]),
    ] {
        let before = warnings_in(&env.log()).len();
        let output = RunOutput::capture(env.command("").args(&arguments)).assert_code(0);
        let log = env.log();
        let warnings = warnings_in(&log).split_off(before);
        assert_eq!(warnings.len(), 1, "{log}");
        for flag in flags {
            assert!(warnings[0].contains(flag), "{warnings:?}");
        }
        assert_eq!(output.stderr, "");
        assert_no_secrets(&env, &output, &[]);
    }
    let env = TestEnv::new(one_alert_per_vendor());
    env.run("crowdstrike").assert_code(0);
    assert_eq!(warnings_in(&env.log()), [""; 0], "variables cause no warning");
}

#[test]
fn a_key_of_an_unusual_format_is_used_with_a_warning_that_does_not_show_it() {
    let key = "An-0dd-Key-Of-Another-Form";
    let env = TestEnv::new(
        one_alert_per_vendor().with(|world| world.recorded_future.accounts[0].token = key.into()),
    );
    let output =
        RunOutput::capture(env.command("crowdstrike").env("RF_API_KEY", key)).assert_code(0);
    assert!(env.log().contains("does not have the usual form"));
    assert_no_secrets(&env, &output, &[key]);
}

#[test]
fn the_secret_scan_finds_secrets() {
    // All tests above rely on it.
    assert_eq!(base64_within("secret", 0), "c2VjcmV0");
    assert_eq!(base64_within("secret", 1), "NlY3Jld");
    assert_eq!(base64_within("secret", 2), "zZWNyZX");
    assert_eq!(encodings("a b/c")[1], "a%20b%2Fc");
    assert_eq!(encodings("a b/c")[3], "a+b%2Fc");
    let env = TestEnv::new(one_alert_per_vendor());
    env.write("leak.txt", format!("x{}", encodings(RF_TOKEN)[5]));
    let output = env.run("crowdstrike").assert_code(0);
    let scan = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        assert_no_secrets(&env, &output, &[]);
    }));
    assert!(scan.is_err(), "the secret in leak.txt is found");
}

#[test]
fn an_internal_error_whose_message_contains_all_secrets_shows_none() {
    // The panic message at a crash point contains the whole environment.
    for crash_point in [1, 4, 7] {
        let env = TestEnv::new(one_alert_per_vendor());
        let mut command = env.command("crowdstrike --debug");
        // The run does not know the secrets of the other source.
        for variable in ["CB_SECRET", "CB_API_ID"] {
            command.env_remove(variable);
        }
        command.env("COLLECTIVE_INSIGHTS_TEST_PANIC_AT", crash_point.to_string());
        let output = RunOutput::capture(&mut command).assert_code(1);
        assert!(output.stderr.contains("internal error"), "{}", output.stderr);
        assert!(output.stderr.contains("CS_CLIENT_SECRET"), "{}", output.stderr);
        assert!(env.log().contains("CS_CLIENT_SECRET"), "{}", env.log());
        assert_no_secrets(&env, &output, &[]);
        env.run("crowdstrike").assert_code(0);
    }
}

#[test]
fn a_log_on_stderr_shows_no_secrets() {
    for vendor in Vendor::ALL.map(Vendor::command) {
        for level in LEVELS {
            for format in ["text", "json"] {
                let env = TestEnv::new(one_alert_per_vendor());
                let arguments = format!("--log-file - -l {level} --log-format {format}");
                let output = env.run(&format!("{vendor} {arguments}")).assert_code(0);
                assert_no_secrets(&env, &output, &[]);
            }
        }
    }
}

#[test]
fn the_maintenance_commands_show_no_secrets() {
    let env = TestEnv::new(one_alert_per_vendor());
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    env.run("crowdstrike").assert_code(5);
    for command in [
        "status", "status --json", "history", "history --json", "outbox list",
        "outbox list --json", "outbox export", "outbox retry", "generate cron", "generate systemd",
        "generate kubernetes", "generate exclusions", "outbox drop --yes",
        "checkpoint reset --yes",
    ] {
        let output = env.run(command).assert_code(0);
        assert!(!output.stdout.is_empty(), "{command}");
        assert_no_secrets(&env, &output, &[]);
    }
}
