//! HTTP/2: all requests to a host share one connection and its flow control.

use sandbox::World;
use sandbox::seed::Recipe;

use crate::support::TestEnv;
use crate::support::vendor::{DAY_WINDOW, Vendor, at_millis};

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// Returns this many pages of alerts of 6 to 8 KB over the test day.
fn large_pages(pages: usize) -> World {
    let recipe = Recipe::new(pages * 1000, at_millis(DAY_MILLIS)).large();
    World::default().tls().seed_falcon(&recipe).seed_carbon_black(&recipe)
}

/// Reads the pages, and asserts that each request was sent once, over HTTP/2.
#[track_caller]
fn assert_reads_without_retries(vendor: Vendor, world: World, pages: usize, concurrency: usize) {
    let env = TestEnv::new(world);
    let flags = format!("--json --daily-limit 0 --timeout 10 --concurrency {concurrency}");
    let output = env.run(&format!("{} {DAY_WINDOW} {flags}", vendor.command())).assert_code(0);
    let requests = env.sandbox.requests();
    assert!(requests.iter().all(|request| request.http2 && request.complete), "{vendor:?}");
    let log = env.log();
    assert!(!log.contains("retrying"), "{vendor:?}: {log}");
    let seeded = u64::try_from(pages * 1000).unwrap();
    // CrowdStrike's query selects one product of several.
    let expected =
        if vendor == Vendor::CrowdStrike { seeded * 9 / 10..seeded } else { seeded..seeded + 1 };
    assert!(expected.contains(&output.count("alerts_fetched")), "{vendor:?}");
    // A page that is not full for each slice of the window.
    let requests = env.request_count(vendor.service());
    assert!((pages * 9 / 10..=pages + concurrency).contains(&requests), "{vendor:?}: {requests}");
}

#[test]
fn large_pages_do_not_stall_each_other() {
    for vendor in Vendor::ALL {
        assert_reads_without_retries(vendor, large_pages(9).no_gzip(), 9, 8);
    }
}

#[test]
fn large_compressed_pages_do_not_stall_each_other() {
    for vendor in Vendor::ALL {
        assert_reads_without_retries(vendor, large_pages(9), 9, 8);
    }
}
