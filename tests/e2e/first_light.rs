//! The nightly job in its plainest form, for both vendors.

use sandbox::World;

use crate::support::alerts::{carbonblack, falcon, sha256};
use crate::support::{Stage, text};

#[test]
fn a_crowdstrike_detection_arrives_as_the_contract_says() {
    let stage = Stage::new(World::default().falcon_alerts(&[falcon(
        "cid:ind:1",
        "hash_sha256",
        &sha256(1),
    )]));
    let ran = stage.run("crowdstrike --json").ended(0);
    assert_eq!(ran.adds_up().count("processed"), 1);
    let stored = stage.sandbox.stored();
    let item = &stored[0].item;
    assert_eq!(text(item, "/timestamp"), "2026-11-21T08:00:00.123Z");
    assert_eq!(text(item, "/ioc/value"), sha256(1));
    assert_eq!(text(item, "/ioc/source_type"), "crowdstrike:falcon");
    assert_eq!(text(item, "/incident/type"), "crowdstrike-falcon-alert");
}

#[test]
fn a_carbon_black_alert_arrives_as_the_contract_says() {
    let stage = Stage::new(World::default().carbon_black_alerts(&[carbonblack("a1", &sha256(2))]));
    let ran = stage.run("carbonblack --json").ended(0);
    assert_eq!(ran.adds_up().count("processed"), 1);
    let stored = stage.sandbox.stored();
    assert_eq!(
        text(&stored[0].item, "/ioc/source_type"),
        "carbonblack:cloud"
    );
}
