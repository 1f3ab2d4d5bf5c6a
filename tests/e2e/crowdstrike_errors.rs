//! Tests errors from CrowdStrike: the exit code, and the help for the user.

use sandbox::{Fault, Service, World};
use serde_json::json;

use crate::support::failures::{assert_fails_in, assert_fails_on, one_alert_per_vendor};
use crate::support::{RunOutput, TestEnv};

/// Returns the body of an error response of CrowdStrike.
fn error_body(code: u16, message: &str) -> String {
    json!({"errors": [{"code": code, "message": message}], "meta": {"trace_id": "tr4ce"}})
        .to_string()
}

#[test]
fn a_wrong_client_id() {
    // CrowdStrike has been seen to respond 500 as well as 400.
    for as_500 in [false, true] {
        let change = |world: &mut World| {
            world.falcon.accounts[0].client_id = "another".into();
            world.falcon.unknown_client_as_500 = as_500;
        };
        let texts = [
            if as_500 { "500" } else { "400" },
            "Failed to generate access token for clientID=[secret]",
            "help: --client-id (CS_CLIENT_ID)",
            "API clients and keys",
            "--cloud us-gov-1",
            "--cloud us-gov-2",
            "--member-cid",
            "(trace ",
        ];
        let env = assert_fails_in("crowdstrike", change, 4, &texts);
        assert_eq!(env.request_count(Service::FalconToken), 1, "the sign-in is not retried");
    }
}

#[test]
fn the_code_in_the_body_of_a_rejected_sign_in_precedes_a_status_of_5xx() {
    for (code, cause) in [
        (400, "this cloud does not know the client id"),
        (401, "the client id or the client secret is wrong"),
        (403, "the client id or the client secret is wrong"),
    ] {
        for status in [500, 501, 503, 530] {
            let headers = vec![("Retry-After".into(), "7".into())];
            let body = error_body(code, "Failed to issue access token - Not Authorized");
            let fault = Fault::Status { code: status, headers, body };
            let texts = [&status.to_string(), "Failed to issue access token", cause];
            let env = assert_fails_on("crowdstrike", Service::FalconToken, fault, 4, &texts);
            assert_eq!(env.request_count(Service::FalconToken), 1, "{status} {code}");
        }
    }
}

#[test]
fn other_codes_in_the_body_of_a_sign_in_response_do_not_prevent_a_retry() {
    for body in [
        error_body(500, "authorization failed"),
        error_body(503, "Failed to generate access token"),
        error_body(404, "not found"),
        error_body(429, "too many"),
        r#"{"errors": [{"code": null}]}"#.into(),
        r#"{"errors": [{"code": -400}, {"code": 403}]}"#.into(),
        r#"{"errors": {"code": 403}}"#.into(),
        r#"{"code": 403, "errors": []}"#.into(),
        "403".into(),
        "<html>403</html>".into(),
        String::new(),
    ] {
        let env = TestEnv::new(one_alert_per_vendor());
        let fault = Fault::status(500, body.clone());
        env.sandbox.queue_faults(Service::FalconToken, vec![fault; 2]);
        env.run("crowdstrike").assert_code(0);
        assert_eq!(env.request_count(Service::FalconToken), 3, "{body}");
    }
}

#[test]
fn a_wrong_client_secret() {
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
fn a_client_without_the_scope_for_alerts() {
    let change = |world: &mut World| world.falcon.accounts[0].alerts_read = false;
    assert_fails_in(
        "crowdstrike",
        change,
        4,
        &["access denied, authorization failed", "Alerts: READ", "API clients and keys", "(trace "],
    );
}

#[test]
fn an_allow_list_error_in_another_wording() {
    for message in ["IP not allowed", "Your address is not on the allowlist"] {
        let body = error_body(403, message);
        for service in [Service::FalconToken, Service::FalconAlerts] {
            for status in [403, 500] {
                // The code in the body precedes the status 500 for sign-ins only.
                if (service, status) == (Service::FalconAlerts, 500) {
                    continue;
                }
                let fault = Fault::status(status, body.clone());
                let texts = [message, "is not on the allow-list", "public IP address"];
                assert_fails_on("crowdstrike", service, fault, 4, &texts);
            }
        }
    }
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
    let body = error_body(400, "invalid cid");
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
        // HTTPS requests to other hosts would go through the sandbox as the proxy.
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
