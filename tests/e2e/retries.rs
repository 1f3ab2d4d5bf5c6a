//! The network's faults: what is tried again, how long is waited, and when a run gives up.
//!
//! Waits take a thousandth here (see `Stage::command`); none of these tests measures one. That the wait a
//! service asks for is the one that is waited stands in the log.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use sandbox::{Fault, Service, World};

use crate::support::alerts::{carbonblack, falcon, sha256};
use crate::support::{Ran, Stage};

const SERVICES: [(Service, &str); 4] = [
    (Service::FalconToken, "crowdstrike --json"),
    (Service::FalconAlerts, "crowdstrike --json"),
    (Service::CarbonBlack, "carbonblack --json"),
    (Service::RecordedFuture, "crowdstrike --json"),
];

fn stage() -> Stage {
    let falcon = falcon("f1", "hash_sha256", &sha256(1));
    let carbonblack = carbonblack("c1", &sha256(1));
    Stage::new(World::default().falcon_alerts(&[falcon]).carbon_black_alerts(&[carbonblack]))
}

fn header(code: u16, name: &str, value: &str) -> Fault {
    Fault::Status { code, headers: vec![(name.into(), value.into())], body: String::new() }
}

/// What may pass, each in the forms it comes in.
fn passing() -> Vec<Fault> {
    let statuses = [429, 500, 502, 503, 504].map(|code| Fault::status(code, "<html>no</html>"));
    let broken = [
        Fault::ResetBefore,
        Fault::HangThenClose(Duration::from_millis(20)),
        Fault::Truncate,
        Fault::Garbage,
        Fault::Empty200,
        Fault::status(200, "[]"),
        Fault::status(200, "null"),
    ];
    statuses.into_iter().chain(broken).collect()
}

#[test]
fn four_failures_of_any_passing_kind_are_outlasted() {
    for (service, arguments) in SERVICES {
        // Four at a time: one more and the run would give up.
        for faults in passing().chunks(4) {
            let stage = stage();
            stage.sandbox.script(service, faults.to_vec());
            let ran = stage.run(arguments).ended(0);
            assert_eq!(ran.adds_up().count("processed"), 1, "{service:?} {faults:?}");
            let asked = stage.sandbox.requests_to(service).len();
            assert_eq!(asked, faults.len() + 1, "{service:?} {faults:?}");
        }
    }
}

#[test]
fn the_fifth_failure_ends_the_run_as_temporary_and_keeps_everything() {
    for (service, arguments) in SERVICES {
        let stage = stage();
        for fault in [
            Fault::status(503, ""),
            Fault::ResetBefore,
            Fault::Garbage,
            Fault::Empty200,
            Fault::status(429, ""),
        ] {
            let before = stage.sandbox.requests_to(service).len();
            stage.sandbox.always(service, Some(fault.clone()));
            let now = format!("2026-11-22T00:{:02}:00Z", 15 + before);
            let ran = stage.run_at(&now, arguments).ended(5);
            let asked = stage.sandbox.requests_to(service).len() - before;
            assert_eq!(asked, 5, "{service:?} {fault:?}");
            assert_eq!(ran.json()["error"]["kind"], "temporary");
            let waiting = u64::from(service == Service::RecordedFuture);
            assert_eq!(ran.adds_up().count("waiting"), waiting, "{fault:?}");
            assert_eq!(stage.stored_values(), Vec::<String>::new());
        }
        stage.sandbox.always(service, None);
        stage.run_at("2026-11-22T00:59:00Z", arguments).ended(0);
        assert_eq!(stage.stored_values(), [sha256(1)], "{service:?}");
    }
}

#[test]
fn refused_connections_are_tried_five_times() {
    let stage = stage();
    stage.sandbox.pause_listening();
    let ran = stage.run("crowdstrike --json").ended(5);
    ran.adds_up();
    assert!(stage.log().contains("attempt=4 max_attempts=5"), "{}", stage.log());
    stage.sandbox.resume_listening();
    stage.run_at("2026-11-22T00:20:00Z", "crowdstrike").ended(0);
    assert_eq!(stage.stored_values(), [sha256(1)]);
}

#[test]
fn the_wait_that_is_asked_for_is_waited() {
    // 2026-11-22T00:15:00Z, the staged time, is 1795306500.
    for (service, arguments) in SERVICES {
        for (fault, least, most) in [
            (Fault::retry_after(429, "240"), 240.0, 240.0),
            (Fault::retry_after(503, "300"), 300.0, 300.0),
            (Fault::retry_after(429, "Sun, 22 Nov 2026 00:19:00 GMT"), 200.0, 240.0),
            (header(429, "X-RateLimit-RetryAfter", "1795306740"), 200.0, 240.0),
        ] {
            let stage = stage();
            stage.sandbox.script(service, vec![fault.clone()]);
            stage.run(arguments).ended(0);
            let log = stage.log();
            let waited = log.split("attempt=1 max_attempts=5 retry_in_ms=").nth(1);
            let waited = waited.and_then(|rest| rest.split_whitespace().next());
            let waited: f64 = waited.unwrap_or_else(|| panic!("{log}")).parse().unwrap();
            let waited = waited / 1000.0;
            assert!((least..=most).contains(&waited), "{service:?} {fault:?}: {waited}");
        }
    }
}

#[test]
fn a_wait_beyond_five_minutes_ends_the_run_and_names_host_and_wait() {
    for (service, arguments) in SERVICES {
        for fault in [
            Fault::retry_after(429, "301"),
            Fault::retry_after(503, "Sun, 22 Nov 2026 00:25:00 GMT"),
            header(429, "X-RateLimit-RetryAfter", "1795307100"),
        ] {
            let stage = stage();
            stage.sandbox.always(service, Some(fault.clone()));
            let ran = stage.run(arguments).ended(5);
            assert_eq!(stage.sandbox.requests_to(service).len(), 1, "{fault:?}");
            let error = ran.adds_up().json()["error"].to_string();
            assert!(error.contains("127.0.0.1 requested a "), "{error}");
            let waits = [" 301 s", " 599 s", " 600 s", " 598 s", " 597 s"];
            assert!(waits.iter().any(|wait| error.contains(wait)), "{error}");
            stage.sandbox.always(service, None);
            stage.run_at("2026-11-22T00:40:00Z", arguments).ended(0);
            assert_eq!(stage.stored_values(), [sha256(1)]);
        }
    }
}

#[test]
fn what_is_not_to_be_tried_again_is_asked_once() {
    for (service, arguments, code, exit) in [
        (Service::FalconToken, "crowdstrike", 403, 4),
        (Service::FalconToken, "crowdstrike", 400, 4),
        (Service::FalconAlerts, "crowdstrike", 403, 4),
        (Service::FalconAlerts, "crowdstrike", 400, 1),
        (Service::FalconAlerts, "crowdstrike", 404, 2),
        (Service::FalconAlerts, "crowdstrike", 302, 2),
        (Service::CarbonBlack, "carbonblack", 401, 4),
        (Service::CarbonBlack, "carbonblack", 403, 4),
        (Service::CarbonBlack, "carbonblack", 404, 2),
        (Service::RecordedFuture, "carbonblack", 401, 4),
        (Service::RecordedFuture, "carbonblack", 403, 4),
        (Service::RecordedFuture, "carbonblack", 404, 2),
        (Service::RecordedFuture, "carbonblack", 501, 5),
    ] {
        let stage = stage();
        stage.sandbox.always(service, Some(Fault::status(code, "")));
        stage.run(arguments).ended(exit);
        let asked = stage.sandbox.requests_to(service).len();
        assert_eq!(asked, 1, "{service:?} {code}");
    }
}

#[test]
fn one_401_leads_to_one_new_sign_in_and_one_repeat() {
    let stage = stage();
    stage.sandbox.script(Service::FalconAlerts, vec![Fault::ExpireTokens]);
    stage.run("crowdstrike").ended(0);
    assert_eq!(stage.sandbox.requests_to(Service::FalconToken).len(), 2);
    assert_eq!(stage.sandbox.requests_to(Service::FalconAlerts).len(), 2);
    assert_eq!(stage.stored_values(), [sha256(1)]);
}

#[test]
fn a_second_401_ends_the_run() {
    let stage = stage();
    stage.sandbox.always(Service::FalconAlerts, Some(Fault::ExpireTokens));
    let ran = stage.run("crowdstrike --json").ended(4);
    ran.adds_up();
    assert_eq!(stage.sandbox.requests_to(Service::FalconToken).len(), 2);
    assert_eq!(stage.sandbox.requests_to(Service::FalconAlerts).len(), 2);
}

#[test]
fn a_token_is_renewed_before_it_ends() {
    let idle: Vec<_> = (0..1100)
        .map(|number| falcon(&format!("f{number:04}"), "hash_sha256", &sha256(number)))
        .collect();
    // Short of two minutes, half of a token's time is used: two of these four seconds.
    let world = World::default().falcon_alerts(&idle);
    let stage = Stage::new(world.with(|world| world.falcon.token_lifetime = 4));
    let slow = Fault::SlowBody(Duration::from_millis(2100));
    stage.sandbox.script(Service::FalconAlerts, vec![slow]);
    stage.run("crowdstrike").ended(0);
    assert_eq!(stage.sandbox.requests_to(Service::FalconToken).len(), 2);
    let pages = stage.sandbox.requests_to(Service::FalconAlerts);
    assert!(pages.iter().all(|page| page.status == Some(200)), "no 401 led to it");
    assert_eq!(stage.stored_values().len(), 1100);
}

#[test]
fn the_deadline_bounds_the_waits_too() {
    let stage = stage();
    stage.sandbox.always(Service::RecordedFuture, Some(Fault::retry_after(429, "240")));
    // Real waits: four minutes do not fit into the one that the run has.
    let ran = Ran::of(
        stage
            .command("crowdstrike --json --deadline 1")
            .env("COLLECTIVE_INSIGHTS_TEST_WAIT_DIVISOR", "1"),
    );
    let ran = ran.ended(5);
    assert_eq!(ran.adds_up().count("waiting"), 1);
    assert!(ran.json()["error"].to_string().contains("--deadline"));
    assert_eq!(stage.sandbox.requests_to(Service::RecordedFuture).len(), 1);
}

#[test]
fn a_page_that_contradicts_itself_is_not_taken_for_an_empty_one() {
    let falcon = r#"{"meta":{"pagination":{"total":3,"limit":1000}},"errors":[],"resources":[]}"#;
    let carbonblack = r#"{"results":[],"num_found":3,"num_available":3}"#;
    for (service, arguments, page) in [
        (Service::FalconAlerts, "crowdstrike --json", falcon),
        (Service::CarbonBlack, "carbonblack --json", carbonblack),
    ] {
        let stage = stage();
        stage.sandbox.always(service, Some(Fault::status(200, page)));
        stage.run(arguments).ended(5);
        stage.sandbox.always(service, None);
        // Three nights later only the checkpoint can know what is missing.
        stage.run_at("2026-11-25T00:15:00Z", arguments).ended(0);
        assert_eq!(stage.stored_values(), [sha256(1)], "{service:?}");
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_final() {
    let stage = stage();
    let (certificate, key) = (stage.path("made.pem"), stage.path("made.key"));
    let made = Command::new("openssl")
        .args(
            "req -x509 -nodes -days 2 -subj /CN=made -newkey ec -pkeyopt ec_paramgen_curve:P-256"
                .split(' '),
        )
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        eprintln!("skipped: no openssl program to make a certificate with");
        return;
    }
    let mut server = Command::new("openssl")
        .args("s_server -accept 127.0.0.1:0 -www".split(' '))
        .arg("-cert")
        .arg(&certificate)
        .arg("-key")
        .arg(&key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let address = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned));
    let address = address.expect("openssl says where it listens");
    let ran = Ran::of(
        stage.command("crowdstrike --json").env("RF_API_URL", format!("https://{address}")),
    );
    server.kill().unwrap();
    server.wait().unwrap();
    let ran = ran.ended(2);
    assert_eq!(ran.adds_up().count("waiting"), 1);
    assert!(ran.json()["error"].to_string().contains("certificate"), "{ran:?}");
    assert!(!stage.log().contains("retrying"), "{}", stage.log());
}
