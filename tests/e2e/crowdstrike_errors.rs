//! Errors from CrowdStrike: the exit code, and the help for the user.

use sandbox::{Fault, Service, World};

use crate::support::failures::{assert_fails_in, assert_fails_on, one_alert_per_vendor};
use crate::support::{RunOutput, TestEnv};

#[test]
fn a_wrong_client_id_or_secret() {
    let change = |world: &mut World| world.falcon.accounts[0].client_secret = "another".into();
    let texts = [
        "Client authentication failed",
        "--client-id (CS_CLIENT_ID)",
        "--client-secret (CS_CLIENT_SECRET)",
        "--cloud",
        "API clients and keys",
        "(trace ",
    ];
    let env = assert_fails_in("crowdstrike", change, 4, &texts);
    assert_eq!(env.request_count(Service::FalconToken), 1, "a wrong secret is not retried");
    assert_eq!(env.request_count(Service::FalconAlerts), 0);
}

#[test]
fn a_client_without_the_scope() {
    let change = |world: &mut World| world.falcon.accounts[0].alerts_read = false;
    assert_fails_in(
        "crowdstrike",
        change,
        4,
        &["access denied, authorization failed", "Alerts: READ", "API clients and keys", "(trace "],
    );
}

#[test]
fn an_ip_address_that_is_not_on_the_allow_list() {
    let change = |world: &mut World| world.falcon.accounts[0].address_allowed = false;
    assert_fails_in(
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
    let texts = ["invalid cid", "(trace tr4ce)", "--cloud us-gov-1", "--cloud us-gov-2"];
    assert_fails_on("crowdstrike", Service::FalconToken, Fault::status(400, body), 4, &texts);
}

#[test]
fn a_sign_in_response_without_a_token() {
    for body in [
        r#"{"token_type": "bearer"}"#,
        r#"{"access_token": ""}"#,
        r#"{"access_token": null}"#,
        "",
        "<html>",
    ] {
        let texts = ["CrowdStrike", "malformed response"];
        let env = assert_fails_on(
            "crowdstrike",
            Service::FalconToken,
            Fault::status(201, body),
            5,
            &texts,
        );
        assert_eq!(env.request_count(Service::FalconAlerts), 0, "{body}");
    }
}

#[test]
fn a_configured_base_url_is_never_switched_and_the_right_cloud_is_named() {
    let redirect_to = |location: &str| {
        let location = location.to_owned();
        move |world: &mut World| world.falcon.redirect = Some(location)
    };
    for (location, text) in [
        ("https://api.us-2.crowdstrike.com/oauth2/token", "--cloud us-2"),
        ("https://api.eu-1.crowdstrike.com/oauth2/token", "--cloud eu-1"),
        ("https://api.crowdstrike.com.example.com/oauth2/token", "--cloud or --base-url"),
        ("http://api.us-2.crowdstrike.com/oauth2/token", "--cloud or --base-url"),
        ("/oauth2/elsewhere", "--cloud or --base-url"),
    ] {
        let env = TestEnv::new(one_alert_per_vendor().with(redirect_to(location)));
        // Requests to other hosts would go through the sandbox as the proxy.
        let mut command = env.command("crowdstrike");
        command.env("HTTPS_PROXY", env.sandbox.url());
        let output = RunOutput::capture(&mut command).assert_code(2);
        output.assert_stderr(&["308", text, "redirects are not followed"]);
        let paths: Vec<String> =
            env.sandbox.requests().into_iter().map(|request| request.path).collect();
        assert_eq!(paths, ["/oauth2/token"], "{location}");
    }
}

#[test]
fn another_region_in_the_header_does_not_switch_a_configured_base_url() {
    let env =
        TestEnv::new(one_alert_per_vendor().with(|world| world.falcon.region = "us-2".into()));
    env.run("crowdstrike").assert_code(0);
    assert_eq!(env.items().len(), 1);
}

#[test]
fn a_token_that_is_rejected_twice_is_not_used_a_third_time() {
    let texts = ["invalid bearer token", "also after a new sign-in", "API clients and keys"];
    let env =
        assert_fails_on("crowdstrike", Service::FalconAlerts, Fault::ExpireAccessTokens, 4, &texts);
    assert_eq!(env.request_count(Service::FalconAlerts), 2);
    assert_eq!(env.request_count(Service::FalconToken), 2);
}

#[test]
fn a_base_url_without_the_alerts_api() {
    let page = "<html>Not Found</html>";
    let texts = ["404", "--base-url (CS_BASE_URL)"];
    assert_fails_on("crowdstrike", Service::FalconAlerts, Fault::status(404, page), 2, &texts);
}
