//! HTTP/2: all requests to a host share one connection and its flow control.

use sandbox::World;
use sandbox::seed::Recipe;
use sandbox::world::Http2Limits;

use crate::support::TestEnv;
use crate::support::vendor::{DAY_WINDOW, Vendor, at_millis};

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// Returns this many pages of alerts of 6 to 8 KB over the test day.
fn large_pages(vendor: Vendor, pages: usize) -> World {
    let recipe = Recipe::new(pages * 1000, at_millis(DAY_MILLIS)).large();
    match vendor {
        Vendor::CrowdStrike => World::default().tls().seed_falcon(&recipe),
        Vendor::CarbonBlack => World::default().tls().seed_carbon_black(&recipe),
    }
}

/// Reads pages, and asserts that each request was sent once, over HTTP/2.
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
        // Each slice of the window ends with a page that is not full.
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
