//! Tests of retries: which errors are retried, how long the waits are, and when a run gives up.
//!
//! Waits are divided by 1000 here (see `TestEnv::command`), so no test measures one: the log has
//! the wait that was requested.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sandbox::time::http_date;
use sandbox::{Fault, Service, World};

use crate::support::alerts::{carbonblack, falcon, sha256};
use crate::support::{NOW, RunOutput, TestEnv};

/// Each service but the search, with the arguments of a run that sends requests to it.
const SERVICES: [(Service, &str); 4] = [
    (Service::FalconToken, "crowdstrike --json"),
    (Service::FalconAlerts, "crowdstrike --json"),
    (Service::CarbonBlack, "carbonblack --json"),
    (Service::RecordedFuture, "crowdstrike --json"),
];

fn test_env() -> TestEnv {
    let falcon = falcon("f1", "hash_sha256", &sha256(1));
    let carbonblack = carbonblack("c1", &sha256(1));
    let world = World::default().falcon_alerts(&[falcon]).carbon_black_alerts(&[carbonblack]);
    TestEnv::new(world)
}

/// Returns the time at which the runs start.
fn now() -> DateTime<Utc> {
    NOW.parse().unwrap()
}

/// Returns the Unix time of this many seconds after the runs start.
fn unix_time(seconds_later: i64) -> String {
    (now().timestamp() + seconds_later).to_string()
}

/// Returns the waits in the log, in seconds.
fn waits(env: &TestEnv) -> Vec<f64> {
    let log = env.log();
    let waits = log.split("retry_in_ms=").skip(1);
    let millis = waits.map(|rest| rest.split_whitespace().next().unwrap().parse::<f64>().unwrap());
    millis.map(|millis| millis / 1000.0).collect()
}

fn header(code: u16, name: &str, value: &str) -> Fault {
    Fault::Status { code, headers: vec![(name.into(), value.into())], body: String::new() }
}

/// Returns faults after which a request is retried.
fn temporary_faults() -> Vec<Fault> {
    let statuses = [408, 425, 429, 500, 502, 503, 504, 520, 527, 529, 530];
    let statuses = statuses.map(|code| Fault::status(code, "<html>no</html>"));
    let other_faults = [
        Fault::Reset,
        Fault::HangThenReset(Duration::from_millis(20)),
        Fault::Truncate,
        Fault::Html,
        Fault::Empty200,
        Fault::status(200, "[]"),
        Fault::status(200, "null"),
    ];
    statuses.into_iter().chain(other_faults).collect()
}

#[test]
fn a_run_survives_four_temporary_faults() {
    for (service, arguments) in SERVICES {
        // With a fifth fault the run would give up.
        for faults in temporary_faults().chunks(4) {
            let env = test_env();
            env.sandbox.queue_faults(service, faults.to_vec());
            let output = env.run(arguments).assert_code(0);
            assert_eq!(
                output.assert_counts_add_up().count("processed"),
                1,
                "{service:?} {faults:?}"
            );
            assert_eq!(env.request_count(service), faults.len() + 1, "{service:?} {faults:?}");
        }
    }
}

#[test]
fn the_fifth_temporary_fault_ends_the_run_and_nothing_is_lost() {
    for (service, arguments) in SERVICES {
        let env = test_env();
        for fault in [
            Fault::status(503, ""),
            Fault::Reset,
            Fault::Html,
            Fault::Empty200,
            Fault::status(429, ""),
        ] {
            let before = env.request_count(service);
            env.sandbox.always(service, Some(fault.clone()));
            let now = format!("2026-11-22T00:{:02}:00Z", 15 + before);
            let output = env.run_at(&now, arguments).assert_code(5);
            let requests = env.request_count(service) - before;
            assert_eq!(requests, 5, "{service:?} {fault:?}");
            assert_eq!(output.json()["error"]["kind"], "temporary");
            let waiting = u64::from(service == Service::RecordedFuture);
            assert_eq!(output.assert_counts_add_up().count("waiting"), waiting, "{fault:?}");
            assert_eq!(env.stored_values(), Vec::<String>::new());
        }
        env.sandbox.always(service, None);
        env.run_at("2026-11-22T00:59:00Z", arguments).assert_code(0);
        assert_eq!(env.stored_values(), [sha256(1)], "{service:?}");
    }
}

#[test]
fn a_refused_connection_is_tried_five_times() {
    let env = test_env();
    env.sandbox.pause_listening();
    let output = env.run("crowdstrike --json").assert_code(5);
    output.assert_counts_add_up();
    assert!(env.log().contains("attempt=4 max_attempts=5"), "{}", env.log());
    env.sandbox.resume_listening();
    env.run_at("2026-11-22T00:20:00Z", "crowdstrike").assert_code(0);
    assert_eq!(env.stored_values(), [sha256(1)]);
}

#[test]
fn a_run_waits_as_long_as_the_service_requests() {
    for (service, arguments) in SERVICES {
        for (fault, wait) in [
            (Fault::retry_after(429, "240"), 240.0),
            (Fault::retry_after(503, "300"), 300.0),
            (Fault::retry_after(429, "Sun, 22 Nov 2026 00:19:00 GMT"), 240.0),
            (header(429, "X-RateLimit-RetryAfter", &unix_time(240)), 240.0),
        ] {
            let env = test_env();
            env.sandbox.queue_faults(service, vec![fault.clone()]);
            env.run(arguments).assert_code(0);
            assert_eq!(waits(&env), [wait], "{service:?} {fault:?}");
        }
    }
}

#[test]
fn a_requested_wait_of_zero_or_in_the_past_is_at_least_the_backoff() {
    for (service, arguments) in SERVICES {
        for fault in [
            Fault::retry_after(429, "0"),
            Fault::retry_after(503, "Sun, 22 Nov 2026 00:10:00 GMT"),
            header(429, "X-RateLimit-RetryAfter", &unix_time(0)),
        ] {
            let env = test_env();
            env.sandbox.queue_faults(service, vec![fault.clone(); 4]);
            env.run(arguments).assert_code(0);
            let waits = waits(&env);
            let backoff = waits.len() == 4 && waits.iter().all(|wait| *wait >= 1.0);
            assert!(backoff, "{service:?} {fault:?}: {waits:?}");
        }
    }
}

#[test]
fn a_wrong_local_clock_does_not_change_a_requested_wait() {
    for (service, arguments) in SERVICES {
        for minutes in [-10, 10] {
            let service_time = now() + TimeDelta::minutes(minutes);
            let until = service_time + TimeDelta::minutes(1);
            let date = Fault::retry_after(503, http_date(until));
            let epoch = header(429, "X-RateLimit-RetryAfter", &until.timestamp().to_string());
            for fault in [date, epoch] {
                let env = test_env();
                env.sandbox.change(|world| world.date = Some(service_time));
                env.sandbox.queue_faults(service, vec![fault.clone()]);
                env.run(arguments).assert_code(0);
                assert_eq!(waits(&env), [60.0], "{service:?} {minutes} {fault:?}");
            }
        }
    }
}

#[test]
fn a_requested_wait_of_more_than_five_minutes_ends_the_run() {
    for (service, arguments) in SERVICES {
        for fault in [
            Fault::retry_after(429, "301"),
            Fault::retry_after(503, "Sun, 22 Nov 2026 00:25:00 GMT"),
            header(429, "X-RateLimit-RetryAfter", &unix_time(600)),
        ] {
            let env = test_env();
            env.sandbox.always(service, Some(fault.clone()));
            let output = env.run(arguments).assert_code(5);
            assert_eq!(env.request_count(service), 1, "{fault:?}");
            let error = output.assert_counts_add_up().json()["error"].to_string();
            assert!(error.contains("127.0.0.1 requested a "), "{error}");
            assert!(error.contains(" 301 s") || error.contains(" 600 s"), "{error}");
            env.sandbox.always(service, None);
            env.run_at("2026-11-22T00:40:00Z", arguments).assert_code(0);
            assert_eq!(env.stored_values(), [sha256(1)]);
        }
    }
}

#[test]
fn other_statuses_are_not_retried() {
    for (service, arguments, status, exit_code) in [
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
        let env = test_env();
        env.sandbox.always(service, Some(Fault::status(status, "")));
        env.run(arguments).assert_code(exit_code);
        assert_eq!(env.request_count(service), 1, "{service:?} {status}");
    }
}

#[test]
fn after_a_401_the_run_signs_in_again_and_retries_once() {
    let env = test_env();
    env.sandbox.queue_faults(Service::FalconAlerts, vec![Fault::ExpireAccessTokens]);
    env.run("crowdstrike").assert_code(0);
    assert_eq!(env.request_count(Service::FalconToken), 2);
    assert_eq!(env.request_count(Service::FalconAlerts), 2);
    assert_eq!(env.stored_values(), [sha256(1)]);
}

#[test]
fn a_second_401_ends_the_run() {
    let env = test_env();
    env.sandbox.always(Service::FalconAlerts, Some(Fault::ExpireAccessTokens));
    let output = env.run("crowdstrike --json").assert_code(4);
    output.assert_counts_add_up();
    assert_eq!(env.request_count(Service::FalconToken), 2);
    assert_eq!(env.request_count(Service::FalconAlerts), 2);
}

#[test]
fn an_access_token_is_renewed_before_it_expires() {
    let alerts: Vec<_> = (0..1100)
        .map(|number| falcon(&format!("f{number:04}"), "hash_sha256", &sha256(number)))
        .collect();
    // A token that lives less than two minutes is used for half of its lifetime, here 2 s.
    let world = World::default().falcon_alerts(&alerts);
    let env = TestEnv::new(world.with(|world| world.falcon.token_lifetime = 4));
    let slow = Fault::SlowBody(Duration::from_millis(2100));
    env.sandbox.queue_faults(Service::FalconAlerts, vec![slow]);
    env.run("crowdstrike").assert_code(0);
    assert_eq!(env.request_count(Service::FalconToken), 2);
    let pages = env.sandbox.requests_to(Service::FalconAlerts);
    assert!(
        pages.iter().all(|page| page.status == Some(200)),
        "the renewal was not caused by a 401"
    );
    assert_eq!(env.stored_values().len(), 1100);
}

#[test]
fn the_deadline_also_limits_waits() {
    let env = test_env();
    env.sandbox.always(Service::RecordedFuture, Some(Fault::retry_after(429, "240")));
    // Waits are not shortened here: four minutes are longer than the deadline of one minute.
    let output = RunOutput::capture(
        env.command("crowdstrike --json --deadline 1")
            .env("COLLECTIVE_INSIGHTS_TEST_WAIT_DIVISOR", "1"),
    );
    let output = output.assert_code(5);
    assert_eq!(output.assert_counts_add_up().count("waiting"), 1);
    let error = &output.json()["error"];
    let message = error["message"].as_str().unwrap();
    let expected =
        "Recorded Future: 127.0.0.1 cannot be tried again before the run's deadline (429";
    assert!(message.starts_with(expected), "{error}");
    assert!(error.to_string().contains("--deadline"));
    assert_eq!(env.request_count(Service::RecordedFuture), 1);
}

#[test]
fn an_empty_page_with_a_total_above_zero_is_an_error() {
    let falcon = r#"{"meta":{"pagination":{"total":3,"limit":1000}},"errors":[],"resources":[]}"#;
    let carbonblack = r#"{"results":[],"num_found":3,"num_available":3}"#;
    for (service, arguments, page) in [
        (Service::FalconAlerts, "crowdstrike --json", falcon),
        (Service::CarbonBlack, "carbonblack --json", carbonblack),
    ] {
        let env = test_env();
        env.sandbox.always(service, Some(Fault::status(200, page)));
        env.run(arguments).assert_code(5);
        env.sandbox.always(service, None);
        // Three days later, the run reads the missing alerts because they are after the checkpoint.
        env.run_at("2026-11-25T00:15:00Z", arguments).assert_code(0);
        assert_eq!(env.stored_values(), [sha256(1)], "{service:?}");
    }
}

#[test]
fn an_untrusted_certificate_is_not_retried() {
    let env = test_env();
    let (certificate, key) = (env.path("test.pem"), env.path("test.key"));
    let generated = Command::new("openssl")
        .args(
            "req -x509 -nodes -days 2 -subj /CN=test -newkey ec -pkeyopt ec_paramgen_curve:P-256"
                .split(' '),
        )
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output();
    if !generated.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: openssl is not installed");
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
    let address = address.expect("openssl prints its address");
    let output = RunOutput::capture(
        env.command("crowdstrike --json").env("RF_API_URL", format!("https://{address}")),
    );
    server.kill().unwrap();
    server.wait().unwrap();
    let output = output.assert_code(2);
    assert_eq!(output.assert_counts_add_up().count("waiting"), 1);
    assert!(output.json()["error"].to_string().contains("certificate"), "{output:?}");
    assert!(!env.log().contains("retrying"), "{}", env.log());
}
