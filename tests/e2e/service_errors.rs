//! Tests of the errors of the services: the exit code, and the help for the user. The tests of
//! errors that only CrowdStrike has are in `crowdstrike_errors`.

use std::io::Write as _;
use std::net::TcpListener;

use sandbox::{Fault, Service, World};

use crate::support::failures::{
    assert_fails, assert_fails_in, assert_fails_on, one_alert_per_vendor,
};
use crate::support::vendor::Vendor;
use crate::support::{RunOutput, TestEnv};

#[test]
fn a_recorded_future_key_without_the_permission_is_an_error() {
    let change = |world: &mut World| world.recorded_future.accounts[0].collective_insights = false;
    for vendor in Vendor::ALL.map(Vendor::command) {
        let texts = [
            "403",
            "lacks the Collective Insights permission",
            "trace sandbox-",
            "account manager",
        ];
        let env = assert_fails_in(vendor, change, 4, &texts);
        assert_eq!(env.request_count(Service::RecordedFuture), 1, "it is not retried");
    }
}

#[test]
fn a_wrong_recorded_future_key_is_an_error() {
    let change = |world: &mut World| world.recorded_future.accounts[0].token = "another".into();
    let texts = ["401", "not valid", "--rf-api-key (RF_API_KEY)", "trace sandbox-"];
    let env = assert_fails_in("crowdstrike", change, 4, &texts);
    assert_eq!(env.request_count(Service::RecordedFuture), 1);
}

#[test]
fn a_carbon_black_key_without_the_permission_is_an_error() {
    let change = |world: &mut World| world.carbon_black.accounts[0].alerts_read = false;
    assert_fails_in(
        "carbonblack",
        change,
        4,
        &["403", "org.alerts READ", "Search", "Access Levels"],
    );
}

#[test]
fn a_carbon_black_key_that_this_address_may_not_use_is_an_error() {
    let env = TestEnv::carbonblack(&[]);
    let body = r#"{"error_code":"FORBIDDEN","message":"Source IP 192.0.2.1 is not authorized"}"#;
    env.sandbox.always(Service::CarbonBlack, Some(Fault::status(403, body)));
    let output = env.run("carbonblack").assert_code(4);
    output.assert_stderr(&["is not on the allow-list", "Settings > API Access"]);
}

#[test]
fn a_wrong_or_swapped_carbon_black_id_and_secret_are_an_error() {
    let change = |world: &mut World| {
        let account = &mut world.carbon_black.accounts[0];
        std::mem::swap(&mut account.api_id, &mut account.secret);
    };
    let texts = ["401", "swapped", "--secret (CB_SECRET", "--api-id (CB_API_ID", "API Access"];
    let env = assert_fails_in("carbonblack", change, 4, &texts);
    assert_eq!(env.request_count(Service::CarbonBlack), 1);
}

#[test]
fn a_wrong_carbon_black_organization_key_is_an_error() {
    let change = |world: &mut World| world.carbon_black.accounts[0].org_key = "OTHER123".into();
    assert_fails_in(
        "carbonblack",
        change,
        2,
        &["404", "--org-id (CB_ORG_ID)", "org key", "EDR (on-premises)", "not supported"],
    );
}

#[test]
fn a_version_of_the_carbon_black_api_that_was_switched_off_is_an_error() {
    for (status, first) in [
        (410, "help: Update this program"),
        // The same status as for a wrong organization key, which is more likely.
        (404, "help: Check --org-id (CB_ORG_ID)"),
    ] {
        let change = |world: &mut World| world.carbon_black.switched_off = Some(status);
        let texts = [
            &status.to_string(),
            first,
            "pdate this program",
            "was switched off",
            "--hostname (CB_HOSTNAME)",
        ];
        let env = assert_fails_in("carbonblack", change, 2, &texts);
        assert_eq!(env.request_count(Service::CarbonBlack), 1, "it is not retried");
    }
}

#[test]
fn an_on_premises_server_is_not_supported() {
    let texts = ["EDR (on-premises)", "--hostname"];
    assert_fails_on(
        "carbonblack",
        Service::CarbonBlack,
        Fault::status(404, "<html>no such page</html>"),
        2,
        &texts,
    );
}

#[test]
fn redirects_are_not_followed() {
    let redirect = || Fault::Status {
        code: 302,
        headers: vec![("Location".into(), "/oauth2/token".into())],
        body: String::new(),
    };
    let env = assert_fails_on(
        "carbonblack",
        Service::CarbonBlack,
        redirect(),
        2,
        &["302", "--hostname (CB_HOSTNAME)"],
    );
    assert_eq!(env.sandbox.requests().len(), 1);
    let env = assert_fails_on(
        "carbonblack",
        Service::RecordedFuture,
        redirect(),
        2,
        &["302", "--rf-api-url (RF_API_URL)"],
    );
    assert_eq!(env.request_count(Service::FalconToken), 0);
}

#[test]
fn an_unreachable_service_is_a_temporary_error() {
    for vendor in Vendor::ALL {
        let env = TestEnv::new(one_alert_per_vendor());
        env.sandbox.pause_listening();
        let texts = ["cannot connect to 127.0.0.1", "host name", "DNS", "firewall", "HTTPS_PROXY"];
        assert_fails(env, vendor.command(), 5, &texts);
    }
}

#[test]
fn a_failed_connection_is_one_plain_sentence_and_its_causes_are_in_the_log() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let no_tls = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        while let Ok((mut connection, _)) = listener.accept() {
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    for (url, sentence) in [
        (
            no_tls.as_str(),
            "cannot connect to 127.0.0.1: the server does not speak TLS on this port",
        ),
        ("https://127.0.0.1:9", "cannot connect to 127.0.0.1: the connection was refused"),
        ("https://no-such-host.invalid", "cannot resolve the host name no-such-host.invalid"),
    ] {
        let env = TestEnv::new(one_alert_per_vendor());
        let mut command = env.command("crowdstrike -l debug");
        let output = RunOutput::capture(command.env("CS_BASE_URL", url)).assert_code(5);
        let lines: Vec<&str> = output.stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("error: ") && lines[0].ends_with(sentence), "{lines:?}");
        assert!(lines[1].starts_with("  help: "), "{lines:?}");
        assert!(env.log().contains(" caused by depth=1 "), "{}", env.log());
        let mut check = env.command("check crowdstrike");
        let output = RunOutput::capture(check.env("CS_BASE_URL", url)).assert_code(5);
        assert!(output.stdout.contains(&format!(": {sentence}\n      help: ")), "{output:?}");
        assert_eq!(output.stderr, "");
    }
}

#[test]
fn a_temporary_error_says_that_it_is_safe_to_run_again() {
    for (service, vendor) in [
        (Service::FalconToken, "crowdstrike"),
        (Service::FalconAlerts, "crowdstrike"),
        (Service::CarbonBlack, "carbonblack"),
        (Service::RecordedFuture, "carbonblack"),
    ] {
        for code in [408, 425, 429, 500, 502, 503, 504, 522] {
            let fault = Fault::status(code, r#"{"message": "come back"}"#);
            assert_fails_on(
                vendor,
                service,
                fault,
                5,
                &[&code.to_string(), "come back", "un again"],
            );
        }
        for fault in [Fault::Reset, Fault::Html, Fault::Empty200] {
            assert_fails_on(vendor, service, fault, 5, &["un again"]);
        }
    }
}

#[test]
fn an_unknown_status_is_an_unexpected_error() {
    for (service, vendor) in [
        (Service::FalconToken, "crowdstrike"),
        (Service::FalconAlerts, "crowdstrike"),
        (Service::CarbonBlack, "carbonblack"),
        (Service::RecordedFuture, "crowdstrike"),
    ] {
        let fault = Fault::status(418, r#"{"message": "short and stout"}"#);
        let env =
            assert_fails_on(vendor, service, fault, 1, &["418", "short and stout", "--debug"]);
        assert_eq!(env.request_count(service), 1, "it is not retried");
    }
}

#[test]
fn long_messages_of_a_service_are_shortened() {
    let fault = Fault::status(
        403,
        format!(
            r#"{{"message": "{}", "trace_id": "{}"}}"#,
            "long ".repeat(100_000),
            "t".repeat(100_000)
        ),
    );
    for (service, vendor) in [
        (Service::FalconAlerts, "crowdstrike"),
        (Service::CarbonBlack, "carbonblack"),
        (Service::RecordedFuture, "crowdstrike"),
    ] {
        let env = TestEnv::new(one_alert_per_vendor());
        env.sandbox.always(service, Some(fault.clone()));
        let output = env.run(vendor).assert_code(4);
        assert!(output.stderr.len() < 2000, "{}", output.stderr.len());
        assert!(env.log().len() < 5000, "{}", env.log().len());
    }
}
