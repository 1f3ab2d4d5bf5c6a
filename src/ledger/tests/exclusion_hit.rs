//! Tests of the counts of how often each exclusion rule matched.

use super::*;

fn rules(ledger: &TenantLedger, minutes: i64) -> Vec<String> {
    let mut rules: Vec<_> =
        ledger.ledger().reader().rules_hit_since(at_minute(minutes)).unwrap().into_iter().collect();
    rules.sort();
    rules
}

fn hits(ledger: &TenantLedger) -> Vec<(i64, String, u32)> {
    let select = "SELECT tenant, rule, hits FROM exclusion_hit ORDER BY tenant, rule";
    let whole = ledger.ledger();
    let mut select = whole.reader().db().prepare(select).unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().map(|row| row.unwrap()).collect()
}

#[test]
fn hits_are_summed_by_tenant_and_known_for_all() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    count_rule_hits(&ledger, &[("example.com", 2), (".example.com", 1)]);
    set_time(&mut ledger, 5);
    count_rule_hits(&ledger, &[("example.com", 40)]);
    drop(ledger);
    let ledger = folder.open_as("carbonblack", "other");
    count_rule_hits(&ledger, &[("example.com", 1), ("8.8.8.0/24", 1)]);
    let named = |tenant, rule: &str, hits| (tenant, rule.to_owned(), hits);
    assert_eq!(
        hits(&ledger),
        [
            named(1, ".example.com", 1),
            named(1, "example.com", 42),
            named(2, "8.8.8.0/24", 1),
            named(2, "example.com", 1),
        ]
    );
    assert_eq!(rules(&ledger, 0), [".example.com", "8.8.8.0/24", "example.com"]);
    assert_eq!(rules(&ledger, 5), ["example.com"]);
    assert_eq!(rules(&ledger, 6), [""; 0]);
}

#[test]
fn hits_are_stored_with_their_page_or_not_at_all() {
    let ledger = temporary();
    let failed: Result<()> = ledger.store(|store| {
        store.count_hits(&[("example.com".to_owned(), 1)].into())?;
        Err(undo())
    });
    assert!(failed.is_err());
    assert_eq!(hits(&ledger), []);
}

#[test]
fn rules_are_forgotten_long_after_their_last_hit() {
    let mut ledger = temporary();
    count_rule_hits(&ledger, &[("a.example", 1), ("b.example", 1)]);
    set_time(&mut ledger, DAY);
    count_rule_hits(&ledger, &[("b.example", 1)]);
    // A rule is kept for 400 days after its last hit; the second one was hit a day later.
    for (days, purged) in [(400, 0), (401, 1), (401, 0), (402, 1)] {
        set_time(&mut ledger, days * DAY);
        assert_eq!(ledger.purge_expired().unwrap().exclusion_rules, purged, "{days}");
    }
}

#[test]
fn the_first_run_is_the_earliest_of_all_tenants() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    assert_eq!(ledger.ledger().reader().first_run().unwrap(), None);
    set_time(&mut ledger, 7);
    ledger.begin_run("live", window()).unwrap();
    drop(ledger);
    let mut ledger = folder.open_as("carbonblack", "other");
    set_time(&mut ledger, 3);
    ledger.begin_run("live", window()).unwrap();
    assert_eq!(ledger.ledger().reader().first_run().unwrap(), Some(at_minute(3)));
}

#[test]
fn a_dry_run_counts_its_own_hits_only_and_leaves_none() {
    let folder = Folder::new();
    count_rule_hits(&folder.open(), &[("example.com", 1)]);
    let dry_run = folder.open_dry_run();
    assert_eq!(rules(&dry_run, 0), [""; 0]);
    count_rule_hits(&dry_run, &[("example.com", 7), ("other.example", 7)]);
    assert_eq!(rules(&dry_run, 0), ["example.com", "other.example"]);
    drop(dry_run);
    let ledger = folder.open();
    assert_eq!(hits(&ledger), [(1, "example.com".to_owned(), 1)]);
}
