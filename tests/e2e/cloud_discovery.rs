//! Finding Falcon's cloud, at the real addresses: the secret goes to no host that is not CrowdStrike's.

use sandbox::{CLIENT_SECRET, Fault, Service, World};

use crate::support::Ran;
use crate::support::failures::world;
use crate::support::https_env::{Internet, place};

const US_1: &str = "api.crowdstrike.com";
const US_2: &str = "api.us-2.crowdstrike.com";
const EU_1: &str = "api.eu-1.crowdstrike.com";
const RECEIVER: &str = "api.recordedfuture.com";
const SIGN_IN: &str = "/oauth2/token";
const ALERTS: &str = "/alerts/combined/alerts/v1";
const SUBMIT: &str = "/collective-insights/detections";

fn elsewhere(location: &str) -> Fault {
    Fault::Status {
        code: 308,
        headers: vec![("Location".into(), location.into())],
        body: String::new(),
    }
}

fn at(cloud: &str) -> String {
    format!("https://{cloud}{SIGN_IN}")
}

/// Checks that what was asked is this, in this order, the same thing in a row counted once.
#[track_caller]
fn asked(internet: &Internet, wanted: &[String]) {
    let mut asked = internet.asked();
    asked.dedup();
    assert_eq!(asked, wanted);
    // And that nobody even tried to go anywhere else.
    let mut hosts: Vec<String> =
        wanted.iter().map(|place| format!("{}:443", place.split('/').next().unwrap())).collect();
    hosts.sort();
    hosts.dedup();
    assert_eq!(internet.hosts(), hosts);
}

/// The hosts that got the secret, in order.
fn told(internet: &Internet) -> Vec<String> {
    let requests = internet.stage.sandbox.requests();
    let with_secret = requests.iter().filter(|asked| {
        let head = format!("{:?} {}", asked.headers, asked.path);
        String::from_utf8_lossy(&asked.body).contains(CLIENT_SECRET) || head.contains(CLIENT_SECRET)
    });
    with_secret.map(|asked| place(asked).split('/').next().unwrap().to_owned()).collect()
}

#[test]
fn an_account_in_the_first_cloud_stays_there() {
    let internet = Internet::new(world());
    internet.run("crowdstrike").ended(0);
    assert_eq!(internet.stage.items().len(), 1);
    asked(
        &internet,
        &[format!("{US_1}{SIGN_IN}"), format!("{US_1}{ALERTS}"), format!("{RECEIVER}{SUBMIT}")],
    );
    assert_eq!(told(&internet), [US_1]);
}

#[test]
fn a_308_is_followed_once_and_all_else_is_asked_there() {
    // Whatever the second sign-in's answer says of the region, there is no second move.
    for region in ["us-2", "us-1", "eu-1"] {
        let internet = Internet::new(world().with(|world| world.falcon.region = region.into()));
        let sandbox = &internet.stage.sandbox;
        sandbox.script(Service::FalconToken, vec![elsewhere(&at(US_2))]);
        internet.run("crowdstrike").ended(0);
        assert_eq!(internet.stage.items().len(), 1);
        asked(
            &internet,
            &[
                format!("{US_1}{SIGN_IN}"),
                format!("{US_2}{SIGN_IN}"),
                format!("{US_2}{ALERTS}"),
                format!("{RECEIVER}{SUBMIT}"),
            ],
        );
        assert_eq!(told(&internet), [US_1, US_2]);
        assert!(internet.stage.log().contains("cloud us-2"));
    }
}

#[test]
fn a_new_sign_in_goes_to_the_cloud_that_was_found() {
    let internet = Internet::new(world());
    let sandbox = &internet.stage.sandbox;
    sandbox.script(Service::FalconToken, vec![elsewhere(&at(US_2))]);
    sandbox.script(Service::FalconAlerts, vec![Fault::ExpireTokens]);
    internet.run("crowdstrike").ended(0);
    assert_eq!(internet.stage.items().len(), 1);
    assert_eq!(told(&internet), [US_1, US_2, US_2]);
}

#[test]
fn the_region_in_a_sign_ins_answer_moves_the_next_calls() {
    for (region, host) in [("us-2", US_2), ("EU-1", EU_1)] {
        let internet = Internet::new(world().with(|world| world.falcon.region = region.into()));
        internet.run("crowdstrike").ended(0);
        assert_eq!(internet.stage.items().len(), 1);
        asked(
            &internet,
            &[format!("{US_1}{SIGN_IN}"), format!("{host}{ALERTS}"), format!("{RECEIVER}{SUBMIT}")],
        );
        assert_eq!(told(&internet), [US_1]);
    }
}

#[test]
fn no_secret_goes_to_a_foreign_host() {
    for location in [
        "https://evil.example/oauth2/token",
        "https://api.us-2.crowdstrike.com.evil.example/oauth2/token",
        "https://api.us-2.crowdstrike.com:8443/oauth2/token",
        "https://x:y@api.us-2.crowdstrike.com/oauth2/token",
        "http://api.us-2.crowdstrike.com/oauth2/token",
        "//evil.example/oauth2/token",
        "https://EVIL.example/https://api.us-2.crowdstrike.com/oauth2/token",
    ] {
        let internet = Internet::new(world());
        let sandbox = &internet.stage.sandbox;
        sandbox.always(Service::FalconToken, Some(elsewhere(location)));
        let ran = internet.run("crowdstrike").ended(2);
        ran.says(&["308", "redirects are not followed"]);
        asked(&internet, &[format!("{US_1}{SIGN_IN}")]);
        assert_eq!(told(&internet), [US_1], "{location}");
    }
}

#[test]
fn a_second_308_is_not_followed() {
    for second in [US_1, US_2, EU_1] {
        let internet = Internet::new(world());
        let sandbox = &internet.stage.sandbox;
        sandbox.script(Service::FalconToken, vec![elsewhere(&at(US_2))]);
        sandbox.always(Service::FalconToken, Some(elsewhere(&at(second))));
        let ran = internet.run("crowdstrike").ended(2);
        ran.says(&["308", "redirects are not followed"]);
        asked(&internet, &[format!("{US_1}{SIGN_IN}"), format!("{US_2}{SIGN_IN}")]);
        assert_eq!(told(&internet), [US_1, US_2], "{second}");
    }
}

#[test]
fn government_clouds_are_never_discovered() {
    for (region, host) in [
        ("us-gov-1", "api.laggar.gcw.crowdstrike.com"),
        ("us-gov-2", "api.us-gov-2.crowdstrike.mil"),
    ] {
        let internet = Internet::new(world());
        let sandbox = &internet.stage.sandbox;
        sandbox.always(Service::FalconToken, Some(elsewhere(&at(host))));
        let ran = internet.run("crowdstrike").ended(2);
        ran.says(&["308", &format!("--cloud {region}")]);
        asked(&internet, &[format!("{US_1}{SIGN_IN}")]);

        let internet = Internet::new(world().with(|world| world.falcon.region = region.into()));
        internet.run("crowdstrike").ended(0);
        assert_eq!(internet.hosts(), ["api.crowdstrike.com:443", "api.recordedfuture.com:443"]);
    }
}

#[test]
fn a_cloud_that_is_named_is_never_left() {
    let named: [(&str, Option<&str>, &str); 4] = [
        ("--cloud eu-1", None, EU_1),
        ("--cloud us-1", None, US_1),
        ("--cloud us-gov-1", None, "api.laggar.gcw.crowdstrike.com"),
        ("", Some("eu-1"), EU_1),
    ];
    for (option, variable, host) in named {
        let run = |world: World, fault: Option<Fault>| {
            let internet = Internet::new(world);
            internet.stage.sandbox.always(Service::FalconToken, fault);
            let mut command = internet.command(&format!("crowdstrike --ca-cert ca.pem {option}"));
            command.envs(variable.map(|cloud| ("FALCON_CLOUD", cloud)));
            let ran = Ran::of(&mut command);
            (internet, ran)
        };
        let (internet, ran) = run(world(), Some(elsewhere(&at(US_2))));
        ran.ended(2).says(&["308", "--cloud us-2"]);
        asked(&internet, &[format!("{host}{SIGN_IN}")]);

        let in_another = world().with(|world| world.falcon.region = "us-2".into());
        let (internet, ran) = run(in_another, None);
        ran.ended(0);
        asked(
            &internet,
            &[format!("{host}{SIGN_IN}"), format!("{host}{ALERTS}"), format!("{RECEIVER}{SUBMIT}")],
        );
    }
}
