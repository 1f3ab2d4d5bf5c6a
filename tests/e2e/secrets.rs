//! Secrets: in no output at any level, whatever happens, in any spelling.

use sandbox::{CB_API_ID, CB_SECRET, CLIENT_ID, CLIENT_SECRET, Fault, RF_TOKEN, Service};
use serde_json::json;

use crate::support::alerts::{falcon, with};
use crate::support::failures::world;
use crate::support::secret_scan::{base64_within, nothing_shows, spellings};
use crate::support::{Ran, Stage};

const LEVELS: [&str; 5] = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];

/// A secret with all that an encoding would change; the sandbox knows it as Falcon's.
const AWKWARD: &str = "c4n@ry+s3cr3t/with\"all\\of it=%&?#";

/// Answers that quote what they were asked with, as careless services and proxies do.
fn echoes(secrets: &[&str]) -> Vec<String> {
    let all = format!("X-Auth-Token: {} {}", secrets.join("/"), secrets.join(" "));
    vec![
        json!({"message": all, "trace_id": all}).to_string(),
        json!({"errors": [{"code": 403, "message": all}], "meta": {"trace_id": all}}).to_string(),
        format!("<html>{all}</html>"),
        format!("client_secret={}", secrets.join("&client_id=")),
    ]
}

#[test]
fn every_mode_at_every_level() {
    for vendor in ["crowdstrike", "carbonblack"] {
        for level in LEVELS {
            for mode in ["", "--json", "--debug", "--dry-run", "--dry-run --json", "-q"] {
                let stage = Stage::new(world());
                let ran = stage.run(&format!("{vendor} -l {level} {mode}")).ended(0);
                nothing_shows(&stage, &ran, &[]);
            }
        }
    }
}

#[test]
fn a_check_of_everything() {
    for vendor in ["crowdstrike", "carbonblack"] {
        for mode in ["", "--json", "--offline", "--show-config", "--show-config --json"] {
            let stage = Stage::new(world());
            let ran = stage.run(&format!("check {mode} {vendor}"));
            assert!(ran.stdout.len() > 100, "{}{}", ran.stdout, ran.stderr);
            nothing_shows(&stage, &ran, &[]);
        }
    }
}

#[test]
fn services_that_repeat_what_they_were_asked_with() {
    let falcons = [CLIENT_ID, CLIENT_SECRET];
    let carbon_blacks = [CB_SECRET, CB_API_ID];
    for (service, vendor, known) in [
        (Service::FalconToken, "crowdstrike", &falcons[..]),
        (Service::FalconAlerts, "crowdstrike", &falcons),
        (Service::CarbonBlack, "carbonblack", &carbon_blacks),
        (Service::RecordedFuture, "carbonblack", &[RF_TOKEN]),
    ] {
        for body in echoes(known) {
            for code in [200, 308, 403, 422, 500] {
                let stage = Stage::new(world());
                let headers = vec![
                    ("X-Cs-Traceid".into(), known[0].into()),
                    ("Location".into(), format!("https://{}.example.com/", known[0])),
                ];
                let fault = Fault::Status { code, headers, body: body.clone() };
                stage.sandbox.always(service, Some(fault));
                let ran = stage.run(&format!("{vendor} --debug --json"));
                nothing_shows(&stage, &ran, &[]);
            }
        }
    }
}

#[test]
fn the_access_token_when_a_service_repeats_it() {
    const TOKEN: &str = "4cc3ss+t0ken/th4t=is~made";
    let stage = Stage::new(world());
    let sign_in =
        Fault::status(201, json!({"access_token": TOKEN, "expires_in": 1799}).to_string());
    stage.sandbox.always(Service::FalconToken, Some(sign_in));
    for code in [200, 400, 401, 403, 503] {
        let body = json!({"errors": [{"code": code, "message": format!("Bearer {TOKEN} is bad")}]});
        stage.sandbox.always(Service::FalconAlerts, Some(Fault::status(code, body.to_string())));
        let ran = stage.run("crowdstrike --debug --json");
        assert_ne!(ran.code, 0);
        assert!(ran.stderr.contains("Bearer [secret] is bad"), "{}", ran.stderr);
        nothing_shows(&stage, &ran, &[TOKEN]);
    }
}

#[test]
fn awkward_secrets_in_every_spelling() {
    let spelled = spellings(AWKWARD);
    for body in [
        json!({"message": format!("wrong: {AWKWARD}")}).to_string(),
        format!("wrong: {AWKWARD}"),
        format!("client_secret={}", spelled[1]),
        format!("client_secret={}", spelled[2]),
        format!("client_secret={}", spelled[3]),
        format!("not JSON: {}", spelled[4]),
    ] {
        let stage = Stage::new(world());
        stage.sandbox.always(Service::FalconToken, Some(Fault::status(403, body)));
        for mode in ["--debug", "--json"] {
            let mut command = stage.command(&format!("crowdstrike {mode}"));
            let ran = Ran::of(command.env("CS_CLIENT_SECRET", AWKWARD)).ended(4);
            ran.says(&["[secret]"]);
            nothing_shows(&stage, &ran, &[AWKWARD]);
        }
    }
}

#[test]
fn a_secret_in_a_detection_is_not_shown() {
    // The endpoint's own agent may well detect the command line of this very tool.
    let alert = falcon("id", "domain", "a.example.com");
    let alert = with(
        alert,
        "description",
        json!(format!("collective-insights -k {RF_TOKEN} -ccs {CLIENT_SECRET}")),
    );
    let stage = Stage::falcon(&[alert]);
    for mode in ["--dry-run", "--dry-run --json", "--debug --no-ledger"] {
        let ran = stage.run(&format!("crowdstrike {mode}")).ended(0);
        for secret in [RF_TOKEN, CLIENT_SECRET] {
            assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{mode}");
            assert!(!stage.log().contains(secret), "{mode}");
        }
    }
}

#[test]
fn words_of_a_refusal_are_kept_without_the_secret_they_repeat() {
    let stage = Stage::new(world());
    let body = json!({"message": format!("bad request, X-RFToken: {RF_TOKEN}")});
    stage.sandbox.always(Service::RecordedFuture, Some(Fault::status(422, body.to_string())));
    let ran = stage.run("carbonblack").ended(3);
    nothing_shows(&stage, &ran, &[]);
    let list = stage.run("outbox list --quarantined").ended(0);
    assert!(list.stdout.contains("X-RFToken: [secret]"));
}

#[test]
fn words_that_are_cut_show_no_part_of_a_secret() {
    // Long words and long trace ids are cut: a part of a secret is recognised by nobody any more.
    let parts = [&RF_TOKEN[..24], &RF_TOKEN[..16], &RF_TOKEN[..8]];
    for length in [276, 284, 292] {
        let (words, trace) = ("w".repeat(length), "t".repeat(length - 200));
        let words = format!("{words}{RF_TOKEN}");
        let body = json!({"message": words, "trace_id": format!("{trace}{RF_TOKEN}")});
        for code in [403, 422] {
            let stage = Stage::new(world());
            let fault = Fault::status(code, body.to_string());
            stage.sandbox.always(Service::RecordedFuture, Some(fault));
            let ran = stage.run("carbonblack --json -l DEBUG");
            nothing_shows(&stage, &ran, &parts);
        }
    }
}

#[test]
fn a_password_in_an_address_is_not_shown() {
    let stage = Stage::new(world());
    for (source, variable) in [("crowdstrike", "RF_API_URL"), ("carbonblack", "CB_HOSTNAME")] {
        for password in ["pw", "a-longer-passw0rd", "with@and:and/"] {
            for mode in ["", "--show-config", "--show-config --json"] {
                let mut command = stage.command(&format!("check {source} --offline {mode}"));
                let address = format!("https://somebody:{password}@service.example.com");
                let ran = Ran::of(command.env(variable, address));
                let shown = format!("somebody:{password}");
                assert!(!ran.stdout.contains(&shown), "{mode}: {}", ran.stdout);
                assert!(!ran.stderr.contains(&shown), "{mode}: {}", ran.stderr);
            }
        }
    }
}

#[test]
fn wrong_secrets_and_wrong_arguments() {
    let stage = Stage::new(world());
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
        let ran = Ran::of(stage.command("").args(&arguments).args(["--debug", "--json"]));
        assert_ne!(ran.code, 0, "{arguments:?}");
        nothing_shows(&stage, &ran, &[wrong, "ends\nin a line break"]);
    }
}

#[test]
fn a_secret_as_an_argument_is_one_warning() {
    let warned = |log: &str| {
        log.lines()
            .filter(|line| line.contains("WARNING") && line.contains("command line"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let stage = Stage::new(world());
    for (arguments, flags) in [
        (vec!["crowdstrike", "-k", RF_TOKEN], vec!["--rf-api-key"]),
        (
            vec!["crowdstrike", "-ccs", CLIENT_SECRET, "-k", RF_TOKEN],
            vec!["--client-secret", "--rf-api-key"],
        ),
        (vec!["carbonblack", "--secret", CB_SECRET], vec!["--secret"]),
    ] {
        let before = warned(&stage.log()).len();
        let ran = Ran::of(stage.command("").args(&arguments)).ended(0);
        let log = stage.log();
        let warnings = warned(&log).split_off(before);
        assert_eq!(warnings.len(), 1, "{log}");
        for flag in flags {
            assert!(warnings[0].contains(flag), "{warnings:?}");
        }
        assert_eq!(ran.stderr, "");
        nothing_shows(&stage, &ran, &[]);
    }
    let stage = Stage::new(world());
    stage.run("crowdstrike").ended(0);
    assert_eq!(warned(&stage.log()), [""; 0], "environment variables do not warn");
}

#[test]
fn a_key_of_another_form_is_tried_with_a_warning_that_does_not_show_it() {
    let odd = "An-0dd-Key-Of-Another-Form";
    let stage =
        Stage::new(world().with(|world| world.recorded_future.accounts[0].token = odd.into()));
    let ran = Ran::of(stage.command("crowdstrike").env("RF_API_KEY", odd)).ended(0);
    assert!(stage.log().contains("does not have the usual form"));
    nothing_shows(&stage, &ran, &[odd]);
}

#[test]
fn the_spellings_are_right() {
    // What the searches above stand on.
    assert_eq!(base64_within("secret", 0), "c2VjcmV0");
    assert_eq!(base64_within("secret", 1), "NlY3Jld");
    assert_eq!(base64_within("secret", 2), "zZWNyZX");
    assert_eq!(spellings("a b/c")[1], "a%20b%2Fc");
    assert_eq!(spellings("a b/c")[3], "a+b%2Fc");
    let stage = Stage::new(world());
    stage.write("leak.txt", format!("x{}", spellings(RF_TOKEN)[5]));
    let ran = stage.run("crowdstrike").ended(0);
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        nothing_shows(&stage, &ran, &[]);
    }));
    assert!(found.is_err(), "a planted secret is found");
}

#[test]
fn a_fault_of_the_programs_own_whose_words_hold_everything() {
    for step in [1, 4, 7] {
        let stage = Stage::new(world());
        let mut command = stage.command("crowdstrike --debug");
        // Those of the other source are none of this run's, and it does not know them.
        for unknown in ["CB_SECRET", "CB_API_ID"] {
            command.env_remove(unknown);
        }
        command.env("COLLECTIVE_INSIGHTS_TEST_PANIC_AT", step.to_string());
        let ran = Ran::of(&mut command).ended(1);
        assert!(ran.stderr.contains("internal error"), "{}", ran.stderr);
        assert!(ran.stderr.contains("CS_CLIENT_SECRET"), "{}", ran.stderr);
        assert!(stage.log().contains("CS_CLIENT_SECRET"), "{}", stage.log());
        nothing_shows(&stage, &ran, &[]);
        stage.run("crowdstrike").ended(0);
    }
}

#[test]
fn the_commands_that_look_and_tend() {
    let stage = Stage::new(world());
    stage.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    stage.run("crowdstrike").ended(5);
    for command in [
        "status",
        "status --json",
        "history",
        "history --json",
        "outbox list",
        "outbox list --json",
        "outbox export",
        "outbox retry",
        "generate cron",
        "generate systemd",
        "generate exclusions",
        "outbox drop --yes",
    ] {
        let ran = stage.run(command).ended(0);
        assert!(!ran.stdout.is_empty(), "{command}");
        nothing_shows(&stage, &ran, &[]);
    }
}
