//! What is shared most.

use super::super::*;
use super::*;

/// Stores and delivers a submission of an indicator with these codes.
fn deliver(
    ledger: &Ledger,
    tenant: TenantId,
    name: &str,
    detections: &[&str],
    codes: &str,
    now: i64,
) {
    let entry =
        Entry { item: format!(r#"{{"mitre_codes":{codes}}}"#), ..entry(name, None, detections) };
    ledger.store(tenant, "run", &[entry], true, at(now)).unwrap();
    let id = first(ledger, tenant);
    ledger.settle_delivered(tenant, TOKEN, &[id], at(now)).unwrap();
}

fn seen(ledger: &Ledger, since: i64) -> Vec<(String, u64, DateTime<Utc>)> {
    let seen = ledger.view().most_seen(at(since), 10).unwrap();
    seen.into_iter().map(|seen| (seen.value, seen.detections, seen.last_delivered)).collect()
}

fn techniques(ledger: &Ledger, since: i64) -> Vec<(String, u64)> {
    let since = at(since).date_naive();
    let techniques = ledger.view().techniques(since, 10).unwrap();
    techniques.into_iter().map(|technique| (technique.code, technique.submissions)).collect()
}

#[test]
fn indicators_are_counted_by_the_detections_that_named_them() {
    let (ledger, one) = temporary();
    let other_organization =
        TenantKey { organizations: vec!["uhash:c".to_owned()], ..key("crowdstrike", "account") };
    let two = ledger.tenant(&other_organization).unwrap();
    let three = ledger.tenant(&key("carbonblack", "account")).unwrap();
    deliver(&ledger, one, "a", &["d1", "d2"], "[]", 1);
    deliver(&ledger, two, "a", &["d2", "d3"], "[]", 2);
    deliver(&ledger, three, "a", &["d1"], "[]", 3);
    deliver(&ledger, one, "b", &["d1"], "[]", 4);
    let waiting = entry("b", None, &["d8", "d9"]);
    ledger.store(one, "run", &[waiting], false, at(5)).unwrap();
    assert_eq!(
        seen(&ledger, 0),
        [("a.evil.net".to_owned(), 4, at(3)), ("b.evil.net".to_owned(), 1, at(4))],
        "d2 went to two organizations of one account; what waits is not shared yet"
    );
    assert_eq!(seen(&ledger, 4), [("b.evil.net".to_owned(), 1, at(4))]);
    assert_eq!(ledger.view().most_seen(at(0), 1).unwrap().len(), 1);
}

#[test]
fn techniques_are_counted_by_the_submissions_that_named_them() {
    let (ledger, tenant) = temporary();
    let day = 24 * 60;
    deliver(&ledger, tenant, "a", &["d1", "d2"], r#"["T1059.001","TA0002"]"#, 0);
    deliver(&ledger, tenant, "b", &["d1"], r#"["T1059.001","T1204"]"#, day);
    deliver(&ledger, tenant, "b", &["d1"], r#"["T1204"]"#, day);
    let named = |code: &str, count| (code.to_owned(), count);
    assert_eq!(
        techniques(&ledger, 0),
        [named("T1059.001", 2), named("T1204", 2)],
        "sent again counts again"
    );
    assert_eq!(techniques(&ledger, day), [named("T1204", 2), named("T1059.001", 1)]);
    assert_eq!(ledger.forget(at(400 * day)).unwrap().techniques, 0);
    assert_eq!(ledger.forget(at(401 * day)).unwrap().techniques, 1);
    assert_eq!(ledger.forget(at(402 * day)).unwrap().techniques, 2);
}

#[test]
fn whatever_an_item_holds_it_can_be_settled() {
    let (ledger, tenant) = temporary();
    for codes in ["null", "7", "{}", "[[],{},1,null,\"\",\"TX\"]", "\"TA0001\"", "[", ""] {
        deliver(&ledger, tenant, "a", &["d1"], codes, 0);
    }
    assert_eq!(techniques(&ledger, 0), []);
    assert_eq!(ledger.waiting(tenant).unwrap(), 0);
}

#[test]
fn a_settling_that_fails_counts_no_technique() {
    let (ledger, tenant) = temporary();
    let entry =
        Entry { item: r#"{"mitre_codes":["T1059"]}"#.to_owned(), ..entry("a", None, &["d1"]) };
    ledger.store(tenant, "run", &[entry], false, at(0)).unwrap();
    let id = first(&ledger, tenant);
    assert!(ledger.settle_delivered(tenant, TOKEN, &[id, EntryId(99)], at(0)).is_err());
    assert_eq!(techniques(&ledger, 0), []);
}
