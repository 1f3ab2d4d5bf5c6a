//! When CrowdStrike refuses: the exit code, and the words that a user needs to go on.

use sandbox::{Fault, Service, World};

use crate::support::failures::{answered, fails, world};
use crate::support::{Ran, Stage};

#[test]
fn the_falcon_clients_id_or_secret_is_wrong() {
    let change = |world: &mut World| world.falcon.accounts[0].client_secret = "another".into();
    let words = [
        "Client authentication failed",
        "--client-id (CS_CLIENT_ID)",
        "--client-secret (CS_CLIENT_SECRET)",
        "--cloud",
        "API clients and keys",
        "(trace ",
    ];
    let stage = fails("crowdstrike", change, 4, &words);
    assert_eq!(stage.asked(Service::FalconToken), 1, "a wrong secret is not tried again");
    assert_eq!(stage.asked(Service::FalconAlerts), 0);
}

#[test]
fn the_falcon_client_lacks_the_scope() {
    let change = |world: &mut World| world.falcon.accounts[0].alerts_read = false;
    fails(
        "crowdstrike",
        change,
        4,
        &["access denied, authorization failed", "Alerts: READ", "API clients and keys", "(trace "],
    );
}

#[test]
fn the_address_is_not_on_falcons_allow_list() {
    let change = |world: &mut World| world.falcon.accounts[0].address_allowed = false;
    fails(
        "crowdstrike",
        change,
        4,
        &["access denied, authorization failed", "allow-list", "(trace "],
    );
}

#[test]
fn a_government_account_on_a_commercial_cloud() {
    let body =
        r#"{"errors": [{"code": 400, "message": "invalid cid"}], "meta": {"trace_id": "tr4ce"}}"#;
    let words = ["invalid cid", "(trace tr4ce)", "--cloud us-gov-1", "--cloud us-gov-2"];
    answered("crowdstrike", Service::FalconToken, Fault::status(400, body), 4, &words);
}

#[test]
fn a_sign_in_that_gives_no_token_is_an_error() {
    for body in [
        r#"{"token_type": "bearer"}"#,
        r#"{"access_token": ""}"#,
        r#"{"access_token": null}"#,
        "",
        "<html>",
    ] {
        let words = ["CrowdStrike", "malformed response"];
        let stage =
            answered("crowdstrike", Service::FalconToken, Fault::status(201, body), 5, &words);
        assert_eq!(stage.asked(Service::FalconAlerts), 0, "{body}");
    }
}

#[test]
fn a_given_base_url_is_never_left_and_the_right_cloud_is_named() {
    let elsewhere = |location: &str| {
        let location = location.to_owned();
        move |world: &mut World| world.falcon.redirect = Some(location)
    };
    for (location, words) in [
        ("https://api.us-2.crowdstrike.com/oauth2/token", "--cloud us-2"),
        ("https://api.eu-1.crowdstrike.com/oauth2/token", "--cloud eu-1"),
        ("https://api.crowdstrike.com.example.com/oauth2/token", "--cloud or --base-url"),
        ("http://api.us-2.crowdstrike.com/oauth2/token", "--cloud or --base-url"),
        ("/oauth2/elsewhere", "--cloud or --base-url"),
    ] {
        let stage = Stage::new(world().with(elsewhere(location)));
        // Whatever would be asked elsewhere would pass by the sandbox.
        let mut command = stage.command("crowdstrike");
        command.env("HTTPS_PROXY", stage.sandbox.url());
        let ran = Ran::of(&mut command).ended(2);
        ran.says(&["308", words, "redirects are not followed"]);
        let paths: Vec<String> =
            stage.sandbox.requests().into_iter().map(|asked| asked.path).collect();
        assert_eq!(paths, ["/oauth2/token"], "{location}");
    }
}

#[test]
fn the_wrong_region_in_the_header_does_not_move_a_given_base_url() {
    let stage = Stage::new(world().with(|world| world.falcon.region = "us-2".into()));
    stage.run("crowdstrike").ended(0);
    assert_eq!(stage.items().len(), 1);
}

#[test]
fn a_token_that_is_refused_twice_is_not_tried_a_third_time() {
    let words = ["invalid bearer token", "also after a new sign-in", "API clients and keys"];
    let stage = answered("crowdstrike", Service::FalconAlerts, Fault::ExpireTokens, 4, &words);
    assert_eq!(stage.asked(Service::FalconAlerts), 2);
    assert_eq!(stage.asked(Service::FalconToken), 2);
}

#[test]
fn no_alerts_api_at_this_address() {
    let page = "<html>Not Found</html>";
    let words = ["404", "--base-url (CS_BASE_URL)"];
    answered("crowdstrike", Service::FalconAlerts, Fault::status(404, page), 2, &words);
}
