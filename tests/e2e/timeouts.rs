//! How long the network may take.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use sandbox::{Fault, Service};

use crate::support::failures::world;
use crate::support::vendor::Vendor;
use crate::support::{Ran, Stage};

#[test]
fn a_request_that_takes_too_long_is_tried_again() {
    for vendor in Vendor::BOTH {
        let stage = Stage::new(world());
        let slow = Fault::HangThenAnswer(Duration::from_secs(4));
        stage.sandbox.script(vendor.service(), vec![slow.clone()]);
        stage.run(&format!("{} --timeout 1", vendor.command())).ended(0);
        assert!(stage.log().contains("did not respond in time"), "{}", stage.log());
        assert_eq!(stage.items().len(), 1);

        // The usual limit bears it.
        let stage = Stage::new(world());
        stage.sandbox.script(vendor.service(), vec![slow]);
        stage.run(vendor.command()).ended(0);
        assert!(!stage.log().contains("did not respond in time"), "{}", stage.log());
    }
}

#[test]
fn a_service_that_never_answers_in_time_is_said_to_and_with_what_remedy() {
    let stage = Stage::new(world());
    let slow = Fault::HangThenAnswer(Duration::from_secs(4));
    stage.sandbox.always(Service::RecordedFuture, Some(slow));
    let ran = stage.run("crowdstrike --timeout 1 --json").ended(5);
    ran.says(&["127.0.0.1 did not respond in time", "--timeout <SECONDS>"]);
    assert_eq!(ran.adds_up().count("waiting"), 1);
}

#[test]
fn a_connection_that_is_not_made_in_time_is_given_up() {
    // It takes connections and never says a word: TLS belongs to making a connection.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", silent.local_addr().unwrap());
    let stage = Stage::new(world());
    let timed = |arguments: &str| {
        let mut command = stage.command(arguments);
        command.env("CS_BASE_URL", &address);
        command.env_remove("COLLECTIVE_INSIGHTS_TEST_NOW");
        let begun = Instant::now();
        let ran = Ran::of(&mut command);
        (ran, begun.elapsed())
    };
    let (ran, took) = timed("check crowdstrike --connect-timeout 1");
    let ran = ran.ended(5);
    assert!(ran.stdout.contains("could not connect to 127.0.0.1"), "{}", ran.stdout);
    assert!(took < Duration::from_secs(8), "{took:?}");

    let (ran, took) = timed("crowdstrike --connect-timeout 1");
    ran.ended(5).says(&["could not connect to 127.0.0.1"]);
    assert!(took < Duration::from_secs(30), "{took:?}, with 5 tries");
}

#[test]
fn ranges_are_the_parsers() {
    for vendor in Vendor::BOTH {
        for (option, good, bad) in [
            ("--connect-timeout", ["1", "300"], ["0", "301"]),
            ("--timeout", ["1", "3600"], ["0", "3601"]),
        ] {
            for value in good {
                let stage = Stage::new(world());
                stage.run(&format!("{} {option} {value}", vendor.command())).ended(0);
            }
            for value in bad.into_iter().chain(["-1", "1.5", "soon", "99999"]) {
                let stage = Stage::new(world());
                let ran = stage.run(&format!("{} {option}={value}", vendor.command()));
                ran.ended(2).says(&[option, value]);
                assert_eq!(stage.sandbox.requests().len(), 0);
            }
        }
    }
}
