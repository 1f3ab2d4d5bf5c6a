//! When it fails: the exit code, and the words that a user needs to go on. CrowdStrike's own refusals
//! are in `crowdstrike_errors`.

use sandbox::{Fault, Service, World};

use crate::support::Stage;
use crate::support::failures::{answered, fails, told, world};
use crate::support::vendor::Vendor;

#[test]
fn recorded_futures_key_lacks_the_permission() {
    let change = |world: &mut World| world.recorded_future.accounts[0].collective_insights = false;
    for vendor in ["crowdstrike", "carbonblack"] {
        let words = [
            "403",
            "lacks the Collective Insights permission",
            "trace sandbox-",
            "account manager",
        ];
        let stage = fails(vendor, change, 4, &words);
        assert_eq!(stage.asked(Service::RecordedFuture), 1, "it is not tried again");
    }
}

#[test]
fn recorded_futures_key_is_wrong() {
    let change = |world: &mut World| world.recorded_future.accounts[0].token = "another".into();
    let words = ["401", "not valid", "--rf-api-key (RF_API_KEY)", "trace sandbox-"];
    let stage = fails("crowdstrike", change, 4, &words);
    assert_eq!(stage.asked(Service::RecordedFuture), 1);
}

#[test]
fn carbon_blacks_key_lacks_the_permission() {
    let change = |world: &mut World| world.carbon_black.accounts[0].alerts_read = false;
    fails("carbonblack", change, 4, &["403", "org.alerts READ", "Search", "Access Levels"]);
}

#[test]
fn carbon_blacks_id_and_secret_are_wrong_or_swapped() {
    let change = |world: &mut World| {
        let account = &mut world.carbon_black.accounts[0];
        std::mem::swap(&mut account.api_id, &mut account.secret);
    };
    let words = ["401", "swapped", "--secret (CB_SECRET", "--api-id (CB_API_ID", "API Access"];
    let stage = fails("carbonblack", change, 4, &words);
    assert_eq!(stage.asked(Service::CarbonBlack), 1);
}

#[test]
fn carbon_blacks_organization_key_is_wrong() {
    let change = |world: &mut World| world.carbon_black.accounts[0].org_key = "OTHER123".into();
    fails(
        "carbonblack",
        change,
        2,
        &["404", "--org-id (CB_ORG_ID)", "org key", "EDR (on-premises)", "not supported"],
    );
}

#[test]
fn an_on_premises_server_is_told_apart() {
    let words = ["EDR (on-premises)", "--hostname"];
    answered(
        "carbonblack",
        Service::CarbonBlack,
        Fault::status(404, "<html>no such page</html>"),
        2,
        &words,
    );
}

#[test]
fn redirects_of_the_others_are_not_followed() {
    let moved = || Fault::Status {
        code: 302,
        headers: vec![("Location".into(), "/oauth2/token".into())],
        body: String::new(),
    };
    let stage = answered(
        "carbonblack",
        Service::CarbonBlack,
        moved(),
        2,
        &["302", "--hostname (CB_HOSTNAME)"],
    );
    assert_eq!(stage.sandbox.requests().len(), 1);
    let stage = answered(
        "carbonblack",
        Service::RecordedFuture,
        moved(),
        2,
        &["302", "--rf-api-url (RF_API_URL)"],
    );
    assert_eq!(stage.asked(Service::FalconToken), 0);
}

#[test]
fn no_network() {
    for vendor in Vendor::BOTH {
        let stage = Stage::new(world());
        stage.sandbox.pause_listening();
        let words =
            ["could not connect to 127.0.0.1", "host name", "DNS", "firewall", "HTTPS_PROXY"];
        told(stage, vendor.command(), 5, &words);
    }
}

#[test]
fn what_needs_only_time_is_said_to_be_safe_to_run_again() {
    for (service, vendor) in [
        (Service::FalconToken, "crowdstrike"),
        (Service::FalconAlerts, "crowdstrike"),
        (Service::CarbonBlack, "carbonblack"),
        (Service::RecordedFuture, "carbonblack"),
    ] {
        for code in [429, 500, 502, 503, 504] {
            let fault = Fault::status(code, r#"{"message": "come back"}"#);
            answered(vendor, service, fault, 5, &[&code.to_string(), "come back", "un again"]);
        }
        for fault in [Fault::ResetBefore, Fault::Garbage, Fault::Empty200] {
            answered(vendor, service, fault, 5, &["un again"]);
        }
    }
}

#[test]
fn an_unforeseen_status_is_unexpected() {
    for (service, vendor) in [
        (Service::FalconToken, "crowdstrike"),
        (Service::FalconAlerts, "crowdstrike"),
        (Service::CarbonBlack, "carbonblack"),
        (Service::RecordedFuture, "crowdstrike"),
    ] {
        let fault = Fault::status(418, r#"{"message": "short and stout"}"#);
        let stage = answered(vendor, service, fault, 1, &["418", "short and stout", "--debug"]);
        assert_eq!(stage.asked(service), 1, "it is not tried again");
    }
}

#[test]
fn a_services_own_words_are_quoted_in_short() {
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
        let stage = Stage::new(world());
        stage.sandbox.always(service, Some(fault.clone()));
        let ran = stage.run(vendor).ended(4);
        assert!(ran.stderr.len() < 2000, "{}", ran.stderr.len());
        assert!(stage.log().len() < 5000, "{}", stage.log().len());
    }
}
