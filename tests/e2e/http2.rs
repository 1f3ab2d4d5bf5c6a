//! Tests HTTP/2, over which all requests to a host share one connection and its flow control.

use std::time::Duration;

use sandbox::seed::Recipe;
use sandbox::world::Http2Limits;
use sandbox::{Fault, Service, World};

use crate::support::nginx::Nginx;
use crate::support::paging::{assert_read_once_with, one_per_second};
use crate::support::tls::CertificateAuthority;
use crate::support::vendor::{DAY_MILLIS, DAY_WINDOW, Vendor, millis_into_day};
use crate::support::{RunOutput, TestEnv};

/// Returns this many pages of alerts of 6 to 8 KB over the test day.
fn large_pages(vendor: Vendor, pages: usize) -> World {
    let recipe = Recipe::new(pages * 1000, millis_into_day(DAY_MILLIS)).large();
    match vendor {
        Vendor::CrowdStrike => World::default().tls().seed_falcon(&recipe),
        Vendor::CarbonBlack => World::default().tls().seed_carbon_black(&recipe),
    }
}

/// Reads this many pages in a changed world, and asserts that each request was sent once, over
/// HTTP/2.
fn assert_no_retries(pages: usize, concurrency: usize, change: impl Fn(&mut World)) {
    for vendor in Vendor::ALL {
        let env = TestEnv::new(large_pages(vendor, pages).with(&change));
        let flags = format!("--json --daily-limit 0 --timeout 30 --concurrency {concurrency}");
        let output = env.run(&format!("{} {DAY_WINDOW} {flags}", vendor.command()));
        // The queries leave out some of the generated alerts.
        let seeded = pages * 1000;
        let fetched = usize::try_from(output.assert_code(0).count("alerts_fetched")).unwrap();
        assert!((seeded * 8 / 10..=seeded).contains(&fetched), "{vendor:?}: {fetched}");
        assert!(!env.log().contains("retrying"), "{vendor:?}: {}", env.log());
        let requests = env.sandbox.requests();
        assert!(requests.iter().all(|request| request.http2 && request.complete), "{vendor:?}");
        // The window is read in parts, concurrently. Each ends with a page that is not full.
        let pages = fetched.div_ceil(1000);
        let requests = env.request_count(vendor.service());
        assert!((pages..=pages + concurrency).contains(&requests), "{vendor:?}: {requests}");
    }
}

#[test]
fn large_pages_do_not_stall_each_other() {
    assert_no_retries(9, 8, |world| world.gzip = false);
}

#[test]
fn large_compressed_pages_do_not_stall_each_other() {
    assert_no_retries(9, 8, |world| world.gzip = true);
}

#[test]
fn small_limits_of_the_server_do_not_stall() {
    assert_no_retries(9, 8, |world| {
        world.http2 = Http2Limits { window: Some(4096), max_streams: Some(3) };
    });
}

/// Reports whether a run of this vendor sends requests to a service.
fn uses(vendor: Vendor, service: Service) -> bool {
    let signs_in = vendor == Vendor::CrowdStrike && service == Service::FalconToken;
    signs_in || service == vendor.service() || service == Service::RecordedFuture
}

/// For each of these services, reads three pages while the first request to it, and the third if
/// there is one, have this fault, and asserts that each alert is read once.
fn assert_nothing_lost(fault: &Fault, services: &[Service], flags: &str) {
    for vendor in Vendor::ALL {
        for service in services.iter().filter(|service| uses(vendor, **service)) {
            let env = TestEnv::new(vendor.world(&one_per_second(vendor, 2500)).tls());
            let faults = vec![fault.clone(), Fault::None, fault.clone()];
            env.sandbox.queue_faults(*service, faults);
            assert_read_once_with(flags, vendor, &env, 2500);
            let requests = env.sandbox.requests();
            assert!(requests.iter().all(|request| request.http2));
            let retried = env.log().contains("request failed, retrying");
            assert_eq!(retried, *fault != Fault::GoAway, "{vendor:?} {fault:?}");
        }
    }
}

/// The services of the vendors.
const VENDOR_SERVICES: [Service; 3] =
    [Service::FalconToken, Service::FalconAlerts, Service::CarbonBlack];

/// All services that a run sends requests to if no batch is in doubt.
const ALL_SERVICES: [Service; 4] =
    [Service::FalconToken, Service::FalconAlerts, Service::CarbonBlack, Service::RecordedFuture];

#[test]
fn after_a_reset_stream_nothing_is_lost() {
    assert_nothing_lost(&Fault::Reset, &ALL_SERVICES, "");
    // Not for Recorded Future: a submission that it processes without a response is stored twice.
    assert_nothing_lost(&Fault::ResetAfterProcessing, &VENDOR_SERVICES, "");
    assert_nothing_lost(&Fault::Truncate, &VENDOR_SERVICES, "");
}

#[test]
fn after_a_closed_connection_nothing_is_lost() {
    assert_nothing_lost(&Fault::CloseConnection, &ALL_SERVICES, "");
}

#[test]
fn after_a_refused_stream_nothing_is_lost() {
    assert_nothing_lost(&Fault::RefuseStream, &ALL_SERVICES, "");
}

#[test]
fn after_an_abrupt_goaway_nothing_is_lost() {
    assert_nothing_lost(&Fault::GoAwayWithError, &ALL_SERVICES, "");
}

#[test]
fn requests_in_flight_at_an_abrupt_goaway_are_sent_again() {
    for vendor in Vendor::ALL {
        let world = vendor.world(&one_per_second(vendor, 8000)).tls();
        // With latency, so that several requests are in flight.
        let env = TestEnv::new(world.latency(Duration::from_millis(100)));
        for _ in 0..2 {
            let faults = [Fault::None, Fault::None, Fault::None, Fault::GoAwayWithError];
            env.sandbox.queue_faults(vendor.service(), faults.into());
        }
        assert_read_once_with("--concurrency 8", vendor, &env, 8000);
        let requests = env.sandbox.requests_to(vendor.service());
        let lost = requests.iter().filter(|request| !request.complete).count();
        assert!(lost > 2, "{vendor:?}: {lost} of {} requests were lost", requests.len());
    }
}

#[test]
fn after_a_goaway_nothing_is_lost_or_retried() {
    assert_nothing_lost(&Fault::GoAway, &ALL_SERVICES, "");
}

#[test]
fn a_server_that_stops_serving_a_connection_is_connected_to_again() {
    assert_nothing_lost(&Fault::StopServing, &ALL_SERVICES, "--timeout 4");
}

#[test]
fn large_pages_of_a_real_nginx_do_not_stall_each_other() {
    for vendor in Vendor::ALL {
        let world = large_pages(vendor, 9).with(|world| world.tls = None);
        let env = TestEnv::new(world.no_gzip());
        let ca = CertificateAuthority::new("nginx CA");
        let Some(nginx) = Nginx::start(env.sandbox.port(), &ca) else {
            println!("skipped: nginx is not installed");
            return;
        };
        let flags = "--json --daily-limit 0 --timeout 30 --concurrency 8 --ca-cert ca.pem";
        let mut command = env.command(&format!("{} {DAY_WINDOW} {flags}", vendor.command()));
        env.write("ca.pem", ca.pem());
        for name in ["CS_BASE_URL", "CB_HOSTNAME", "RF_API_URL"] {
            command.env(name, nginx.url());
        }
        let output = RunOutput::capture(&mut command).assert_code(0);
        assert!(output.count("alerts_fetched") > 7000, "{vendor:?}");
        assert!(!env.log().contains("retrying"), "{vendor:?}: {}", env.log());
        // Each line has the protocol, the status and the ratio of the compression, or `-`.
        let log = nginx.access_log();
        assert!(log.lines().all(|line| line.starts_with("HTTP/2.0 20")), "{vendor:?}: {log}");
        assert!(
            log.lines().any(|line| !line.ends_with(" -")),
            "{vendor:?}: no page was compressed: {log}"
        );
    }
}
