//! Tests the discovery of the cloud of a CrowdStrike account, with the real host names: the secret
//! is sent to CrowdStrike's hosts only.

use sandbox::{CLIENT_SECRET, Fault, Service, World};

use crate::support::RunOutput;
use crate::support::failures::one_alert_per_vendor;
use crate::support::https_env::{HttpsEnv, host_and_path};

// The hosts of some clouds, and that of Recorded Future.
const US_1: &str = "api.crowdstrike.com";
const US_2: &str = "api.us-2.crowdstrike.com";
const EU_1: &str = "api.eu-1.crowdstrike.com";
const RECORDED_FUTURE: &str = "api.recordedfuture.com";

// The paths of the requests.
const SIGN_IN: &str = "/oauth2/token";
const ALERTS: &str = "/alerts/combined/alerts/v1";
const SUBMIT: &str = "/collective-insights/detections";

/// Returns a response to a sign-in that redirects to another cloud.
fn redirect(location: &str) -> Fault {
    Fault::Status {
        code: 308,
        headers: vec![("Location".into(), location.into())],
        body: String::new(),
    }
}

/// Returns the URL of the sign-in at a host.
fn sign_in_url(cloud: &str) -> String {
    format!("https://{cloud}{SIGN_IN}")
}

/// Asserts the requests in order (consecutive equal ones count once), and that no other host was
/// connected to.
#[track_caller]
fn assert_requests(https: &HttpsEnv, expected: &[String]) {
    let mut requests = https.requested();
    requests.dedup();
    assert_eq!(requests, expected);
    let mut hosts: Vec<String> =
        expected.iter().map(|url| format!("{}:443", url.split('/').next().unwrap())).collect();
    hosts.sort();
    hosts.dedup();
    assert_eq!(https.connected_hosts(), hosts);
}

/// Returns the hosts that received the secret, in order.
fn hosts_with_secret(https: &HttpsEnv) -> Vec<String> {
    let requests = https.env.sandbox.requests();
    let with_secret = requests.iter().filter(|request| {
        let head = format!("{:?} {}", request.headers, request.path);
        let body = String::from_utf8_lossy(&request.body);
        body.contains(CLIENT_SECRET) || head.contains(CLIENT_SECRET)
    });
    let host = |request| host_and_path(request).split('/').next().unwrap().to_owned();
    with_secret.map(host).collect()
}

#[test]
fn an_account_in_us_1_is_read_there() {
    let https = HttpsEnv::new(one_alert_per_vendor());
    https.run("crowdstrike").assert_code(0);
    assert_eq!(https.env.items().len(), 1);
    assert_requests(
        &https,
        &[
            format!("{US_1}{SIGN_IN}"),
            format!("{US_1}{ALERTS}"),
            format!("{RECORDED_FUTURE}{SUBMIT}"),
        ],
    );
    assert_eq!(hosts_with_secret(&https), [US_1]);
}

#[test]
fn a_redirect_308_is_followed_once_for_all_requests() {
    // The region in the second sign-in's response does not switch the cloud again.
    for region in ["us-2", "us-1", "eu-1"] {
        let https =
            HttpsEnv::new(one_alert_per_vendor().with(|world| world.falcon.region = region.into()));
        let sandbox = &https.env.sandbox;
        sandbox.queue_faults(Service::FalconToken, vec![redirect(&sign_in_url(US_2))]);
        https.run("crowdstrike").assert_code(0);
        assert_eq!(https.env.items().len(), 1);
        assert_requests(
            &https,
            &[
                format!("{US_1}{SIGN_IN}"),
                format!("{US_2}{SIGN_IN}"),
                format!("{US_2}{ALERTS}"),
                format!("{RECORDED_FUTURE}{SUBMIT}"),
            ],
        );
        assert_eq!(hosts_with_secret(&https), [US_1, US_2]);
        assert!(https.env.log().contains("cloud=us-2"));
    }
}

#[test]
fn a_new_sign_in_goes_to_the_discovered_cloud() {
    let https = HttpsEnv::new(one_alert_per_vendor());
    let sandbox = &https.env.sandbox;
    sandbox.queue_faults(Service::FalconToken, vec![redirect(&sign_in_url(US_2))]);
    sandbox.queue_faults(Service::FalconAlerts, vec![Fault::ExpireAccessTokens]);
    https.run("crowdstrike").assert_code(0);
    assert_eq!(https.env.items().len(), 1);
    assert_eq!(hosts_with_secret(&https), [US_1, US_2, US_2]);
}

#[test]
fn the_region_in_a_sign_in_response_switches_the_cloud() {
    for (region, host) in [("us-2", US_2), ("EU-1", EU_1)] {
        let https =
            HttpsEnv::new(one_alert_per_vendor().with(|world| world.falcon.region = region.into()));
        https.run("crowdstrike").assert_code(0);
        assert_eq!(https.env.items().len(), 1);
        assert_requests(
            &https,
            &[
                format!("{US_1}{SIGN_IN}"),
                format!("{host}{ALERTS}"),
                format!("{RECORDED_FUTURE}{SUBMIT}"),
            ],
        );
        assert_eq!(hosts_with_secret(&https), [US_1]);
    }
}

#[test]
fn the_secret_is_not_sent_to_other_hosts() {
    for location in [
        "https://evil.example/oauth2/token",
        "https://api.us-2.crowdstrike.com.evil.example/oauth2/token",
        "https://api.us-2.crowdstrike.com:8443/oauth2/token",
        "https://x:y@api.us-2.crowdstrike.com/oauth2/token",
        "http://api.us-2.crowdstrike.com/oauth2/token",
        "//evil.example/oauth2/token",
        "https://EVIL.example/https://api.us-2.crowdstrike.com/oauth2/token",
    ] {
        let https = HttpsEnv::new(one_alert_per_vendor());
        let sandbox = &https.env.sandbox;
        sandbox.always(Service::FalconToken, Some(redirect(location)));
        let output = https.run("crowdstrike").assert_code(2);
        output.assert_stderr(&["308", "redirects are not followed"]);
        assert_requests(&https, &[format!("{US_1}{SIGN_IN}")]);
        assert_eq!(hosts_with_secret(&https), [US_1], "{location}");
    }
}

#[test]
fn a_second_redirect_308_is_not_followed() {
    for second in [US_1, US_2, EU_1] {
        let https = HttpsEnv::new(one_alert_per_vendor());
        let sandbox = &https.env.sandbox;
        sandbox.queue_faults(Service::FalconToken, vec![redirect(&sign_in_url(US_2))]);
        sandbox.always(Service::FalconToken, Some(redirect(&sign_in_url(second))));
        let output = https.run("crowdstrike").assert_code(2);
        output.assert_stderr(&["308", "redirects are not followed"]);
        assert_requests(&https, &[format!("{US_1}{SIGN_IN}"), format!("{US_2}{SIGN_IN}")]);
        assert_eq!(hosts_with_secret(&https), [US_1, US_2], "{second}");
    }
}

#[test]
fn government_clouds_are_never_discovered() {
    for (region, host) in [
        ("us-gov-1", "api.laggar.gcw.crowdstrike.com"),
        ("us-gov-2", "api.us-gov-2.crowdstrike.mil"),
    ] {
        let https = HttpsEnv::new(one_alert_per_vendor());
        let sandbox = &https.env.sandbox;
        sandbox.always(Service::FalconToken, Some(redirect(&sign_in_url(host))));
        let output = https.run("crowdstrike").assert_code(2);
        output.assert_stderr(&["308", &format!("--cloud {region}")]);
        assert_requests(&https, &[format!("{US_1}{SIGN_IN}")]);

        let https =
            HttpsEnv::new(one_alert_per_vendor().with(|world| world.falcon.region = region.into()));
        https.run("crowdstrike").assert_code(0);
        assert_eq!(
            https.connected_hosts(),
            ["api.crowdstrike.com:443", "api.recordedfuture.com:443"]
        );
    }
}

#[test]
fn a_configured_cloud_is_never_switched() {
    let cases: [(&str, Option<&str>, &str); 4] = [
        ("--cloud eu-1", None, EU_1),
        ("--cloud us-1", None, US_1),
        ("--cloud us-gov-1", None, "api.laggar.gcw.crowdstrike.com"),
        ("", Some("eu-1"), EU_1),
    ];
    for (option, variable, host) in cases {
        let run = |world: World, fault: Option<Fault>| {
            let https = HttpsEnv::new(world);
            https.env.sandbox.always(Service::FalconToken, fault);
            let mut command = https.command(&format!("crowdstrike --ca-cert ca.pem {option}"));
            command.envs(variable.map(|cloud| ("FALCON_CLOUD", cloud)));
            let output = RunOutput::capture(&mut command);
            (https, output)
        };
        let (https, output) = run(one_alert_per_vendor(), Some(redirect(&sign_in_url(US_2))));
        output.assert_code(2).assert_stderr(&["308", "--cloud us-2"]);
        assert_requests(&https, &[format!("{host}{SIGN_IN}")]);

        let other_region = one_alert_per_vendor().with(|world| world.falcon.region = "us-2".into());
        let (https, output) = run(other_region, None);
        output.assert_code(0);
        assert_requests(
            &https,
            &[
                format!("{host}{SIGN_IN}"),
                format!("{host}{ALERTS}"),
                format!("{RECORDED_FUTURE}{SUBMIT}"),
            ],
        );
    }
}
