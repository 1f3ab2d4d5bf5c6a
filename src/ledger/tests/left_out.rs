//! Samples of what runs left out.

use super::*;
use crate::selection::MAX_SAMPLES;

/// Returns the samples of a value: tenant, value, mentions, last alert, first and last time.
fn samples(ledger: &TenantLedger, value: &str) -> Vec<(String, String, u64, String, i64, i64)> {
    let whole = ledger.ledger();
    let found = whole.reader().left_out_of(&[value], "absent", &TenantFilter::default()).unwrap();
    let minutes = |time: DateTime<Utc>| (time - at_minute(0)).num_minutes();
    let sample = |sample: LeftOutSample| {
        let (first, last) = (minutes(sample.first_at), minutes(sample.last_at));
        (sample.tenant, sample.value, sample.mentions, sample.alert, first, last)
    };
    found.into_iter().map(sample).collect()
}

fn count(ledger: &TenantLedger) -> usize {
    let select = "SELECT count(*) FROM left_out WHERE tenant = ?1";
    let whole = ledger.ledger();
    whole.reader().db().query_row(select, [ledger.tenant.0], |row| row.get::<_, u32>(0)).unwrap()
        as usize
}

#[test]
fn mentions_are_summed_by_tenant_with_the_last_alert() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    add_left_out_samples(&ledger, &[("a.example", "d1", 2), ("b.example", "d1", 1)]);
    set_time(&mut ledger, 5);
    add_left_out_samples(&ledger, &[("a.example", "d2", 40)]);
    drop(ledger);
    let ledger = folder.open_as("carbonblack", "other");
    add_left_out_samples(&ledger, &[("A.Example", "d3", 1)]);
    let named = |tenant: &str, value: &str, mentions, alert: &str, last| {
        (tenant.to_owned(), value.to_owned(), mentions, alert.to_owned(), 0, last)
    };
    // An indicator is stored in normal form, so its case matters.
    assert_eq!(samples(&ledger, "a.example"), [named("crowdstrike", "a.example", 42, "d2", 5)]);
    assert_eq!(samples(&ledger, "A.Example"), [named("carbonblack", "A.Example", 1, "d3", 0)]);
    let whole = ledger.ledger();
    let of_alert = whole.reader().left_out_of(&[], "d1", &TenantFilter::default()).unwrap();
    assert_eq!(of_alert.len(), 1);
    assert_eq!(of_alert[0].value, "b.example");
    let filter = TenantFilter { source: Some("carbonblack".to_owned()), ..TenantFilter::default() };
    assert_eq!(whole.reader().left_out_of(&["a.example"], "", &filter).unwrap(), []);
    assert_eq!(whole.reader().left_out_of(&["A.Example"], "", &filter).unwrap().len(), 1);
}

#[test]
fn those_with_the_most_mentions_are_first_over_all_tenants() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    add_left_out_samples(&ledger, &[("a.example", "d", 2), ("b.example", "d", 3)]);
    set_time(&mut ledger, 5);
    add_left_out_samples(&ledger, &[("c.example", "d", 1)]);
    drop(ledger);
    let ledger = folder.open_as("carbonblack", "other");
    add_left_out_samples(&ledger, &[("a.example", "d", 2)]);
    let whole = ledger.ledger();
    let top = |since, limit, tenants: &TenantFilter| -> Vec<(String, u64)> {
        let top = whole.reader().top_left_out(at_minute(since), limit, tenants).unwrap();
        top.into_iter().map(|sample| (sample.value, sample.mentions)).collect()
    };
    let named = |value: &str, mentions| (value.to_owned(), mentions);
    let all = TenantFilter::default();
    assert_eq!(top(0, 2, &all), [named("a.example", 4), named("b.example", 3)]);
    assert_eq!(top(5, 9, &all), [named("c.example", 1)]);
    let one = TenantFilter { name: Some("carbonblack".to_owned()), source: None };
    assert_eq!(top(0, 9, &one), [named("a.example", 2)]);
}

#[test]
fn the_latest_of_each_tenant_stay() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    let samples_of = |prefix: &str, count: usize| {
        let sample = |number| ("excluded", format!("{prefix}{number}.example"), String::new(), 1);
        LeftOut::from_samples((0..count).map(sample))
    };
    let add = |ledger: &TenantLedger, left_out: &LeftOut| {
        ledger.store(|store| store.add_left_out(left_out)).unwrap();
    };
    add(&ledger, &samples_of("old", MAX_SAMPLES));
    assert_eq!(count(&ledger), MAX_SAMPLES);
    set_time(&mut ledger, 1);
    add(&ledger, &samples_of("new", 10));
    add_left_out_samples(&ledger, &[("old7.example", "d", 1)]);
    assert_eq!(count(&ledger), MAX_SAMPLES);
    assert_eq!(samples(&ledger, "new9.example").len(), 1);
    assert_eq!(samples(&ledger, "old7.example")[0].2, 2);
    drop(ledger);
    let ledger = folder.open_as("carbonblack", "other");
    add(&ledger, &samples_of("new", 10));
    assert_eq!(count(&ledger), 10);
}

#[test]
fn they_are_kept_for_90_days() {
    let mut ledger = temporary();
    add_left_out_samples(&ledger, &[("a.example", "d", 1), ("b.example", "d", 1)]);
    set_time(&mut ledger, DAY);
    add_left_out_samples(&ledger, &[("b.example", "d", 1)]);
    for (days, purged) in [(90, 0), (91, 1), (91, 0), (92, 1)] {
        set_time(&mut ledger, days * DAY);
        assert_eq!(ledger.purge_expired().unwrap().left_out, purged, "{days}");
    }
}

#[test]
fn they_are_stored_with_their_transaction_or_not_at_all() {
    let ledger = temporary();
    let failed: Result<()> = ledger.store(|store| {
        let sample = ("excluded", "a.example".to_owned(), String::new(), 1);
        store.add_left_out(&LeftOut::from_samples([sample]))?;
        Err(undo())
    });
    assert!(failed.is_err());
    assert_eq!(count(&ledger), 0);
}

#[test]
fn a_dry_run_leaves_none() {
    let folder = Folder::new();
    add_left_out_samples(&folder.open(), &[("a.example", "d", 1)]);
    let dry_run = folder.open_dry_run();
    add_left_out_samples(&dry_run, &[("a.example", "d", 7), ("b.example", "d", 7)]);
    drop(dry_run);
    let ledger = folder.open();
    assert_eq!(samples(&ledger, "a.example")[0].2, 1);
    assert_eq!(count(&ledger), 1);
}
