//! Tests of the timeouts of requests and connections.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use sandbox::{Fault, Service};

use crate::support::failures::one_alert_per_vendor;
use crate::support::vendor::Vendor;
use crate::support::{RunOutput, TestEnv};

#[test]
fn a_request_that_times_out_is_retried() {
    for vendor in Vendor::ALL {
        let env = TestEnv::new(one_alert_per_vendor());
        let slow = Fault::HangThenRespond(Duration::from_secs(4));
        env.sandbox.queue_faults(vendor.service(), vec![slow.clone()]);
        env.run(&format!("{} --timeout 1", vendor.command())).assert_code(0);
        assert!(env.log().contains("did not respond in time"), "{}", env.log());
        assert_eq!(env.items().len(), 1);

        // The default timeout is longer.
        let env = TestEnv::new(one_alert_per_vendor());
        env.sandbox.queue_faults(vendor.service(), vec![slow]);
        env.run(vendor.command()).assert_code(0);
        assert!(!env.log().contains("did not respond in time"), "{}", env.log());
    }
}

#[test]
fn a_service_that_always_times_out_is_an_error_with_help() {
    let env = TestEnv::new(one_alert_per_vendor());
    let slow = Fault::HangThenRespond(Duration::from_secs(4));
    env.sandbox.always(Service::RecordedFuture, Some(slow));
    let output = env.run("crowdstrike --timeout 1 --json").assert_code(5);
    output.assert_stderr(&["127.0.0.1 did not respond in time", "--timeout <SECONDS>"]);
    assert_eq!(output.assert_counts_add_up().count("waiting"), 1);
}

#[test]
fn a_connection_that_is_not_established_in_time_is_an_error() {
    // The server accepts connections but sends nothing: the TLS handshake is part of connecting.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let env = TestEnv::new(one_alert_per_vendor());
    let timed = |arguments: &str| {
        let mut command = env.command(arguments);
        command.env("CS_BASE_URL", &url);
        let started = Instant::now();
        let output = RunOutput::capture(&mut command);
        (output, started.elapsed())
    };
    let (output, took) = timed("check crowdstrike --connect-timeout 1");
    let output = output.assert_code(5);
    assert!(output.stdout.contains("cannot connect to 127.0.0.1"), "{}", output.stdout);
    assert!(took < Duration::from_secs(8), "{took:?}");

    let (output, took) = timed("crowdstrike --connect-timeout 1");
    output.assert_code(5).assert_stderr(&["cannot connect to 127.0.0.1"]);
    assert!(took < Duration::from_secs(30), "{took:?}, with 5 attempts");
}

#[test]
fn values_out_of_range_are_rejected() {
    for vendor in Vendor::ALL {
        for (option, valid, invalid) in [
            ("--connect-timeout", ["1", "300"], ["0", "301"]),
            ("--timeout", ["1", "3600"], ["0", "3601"]),
        ] {
            for value in valid {
                let env = TestEnv::new(one_alert_per_vendor());
                env.run(&format!("{} {option} {value}", vendor.command())).assert_code(0);
            }
            for value in invalid.into_iter().chain(["-1", "1.5", "soon", "99999"]) {
                let env = TestEnv::new(one_alert_per_vendor());
                let output = env.run(&format!("{} {option}={value}", vendor.command()));
                output.assert_code(2).assert_stderr(&[option, value]);
                assert_eq!(env.sandbox.requests().len(), 0);
            }
        }
    }
}
