//! What was delivered most often.

use super::*;

/// Stores an indicator that these alerts with these codes name, and delivers it, in a run of its
/// own.
fn deliver(
    ledger: &mut TenantLedger,
    name: &str,
    detections: &[&str],
    codes: &MitreCodes,
    minutes: i64,
) {
    set_time(ledger, minutes);
    next_run(ledger, &minutes.to_string());
    for id in detections {
        let detection = Detection { mitre_codes: codes.clone(), ..alert(id) };
        add(ledger, &detection, &domain(name));
    }
    deliver_all(ledger);
}

fn top(reader: &LedgerReader, since: i64) -> Vec<(String, u64, DateTime<Utc>)> {
    let top = reader.top_indicators(at_minute(since), 10, &TenantFilter::default()).unwrap();
    top.into_iter().map(|top| (top.value, top.detections, top.last_delivered)).collect()
}

fn techniques(reader: &LedgerReader, since: i64) -> Vec<(String, u64)> {
    let techniques =
        reader.techniques(Period::since(at_minute(since)), 10, &TenantFilter::default()).unwrap();
    techniques.into_iter().map(|technique| (technique.code, technique.submissions)).collect()
}

#[test]
fn indicators_are_counted_by_the_detections_that_named_them_summed_over_tenants() {
    let folder = Folder::new();
    let path = folder.ledger();
    let one = tenant("crowdstrike");
    let other = Tenant { name: "other".to_owned(), ..one.clone() };
    let open = |tenant| {
        let options = TenantOptions { tenant, ..options() };
        TenantLedger::open_alone(Some(&path), false, options, Clock::fixed(at_minute(0))).unwrap()
    };
    let none = MitreCodes::default;
    deliver(&mut open(one.clone()), "a", &["d1", "d2"], &none(), 1);
    deliver(&mut open(other), "a", &["d2", "d3"], &none(), 2);
    deliver(&mut open(tenant("carbonblack")), "a", &["d1"], &none(), 3);
    let mut ledger = open(one);
    deliver(&mut ledger, "b", &["d1"], &none(), 4);
    let by_name =
        |name: &str, count, minutes| (domain(name).value().to_owned(), count, at_minute(minutes));
    let all = [by_name("a", 5, 3), by_name("b", 1, 4)];
    assert_eq!(top(ledger.ledger().reader(), 0), all);
    // What is queued, being sent, in quarantine or dropped was not shared.
    next_run(&mut ledger, "last");
    for name in ["b", "c", "d", "e"] {
        store(&ledger, name, &["d8", "d9"]);
    }
    let items = queue(&ledger);
    quarantine(&ledger, &items[1], "no");
    ledger
        .ledger()
        .drop_entries(
            &EntryFilter { state: Some(EntryState::Quarantined), ..EntryFilter::default() },
            at_minute(5),
        )
        .unwrap();
    quarantine(&ledger, &items[2], "no");
    let _being_sent = ledger.begin_batch(&items[3..]).unwrap();
    assert_eq!(top(ledger.ledger().reader(), 0), all);
    ledger.delete_delivered().unwrap();
    assert_eq!(top(&folder.reader(), 0), all);
    assert_eq!(top(ledger.ledger().reader(), 4), [by_name("b", 1, 4)]);
    assert_eq!(
        ledger
            .ledger()
            .reader()
            .top_indicators(at_minute(0), 1, &TenantFilter::default())
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn indicators_of_equal_count_come_by_their_last_delivery_and_then_by_value() {
    let mut ledger = temporary();
    for (name, minutes) in [("c", 1), ("a", 1), ("b", 2)] {
        deliver(&mut ledger, name, &["d"], &MitreCodes::default(), minutes);
    }
    let values: Vec<_> =
        top(ledger.ledger().reader(), 0).into_iter().map(|(value, ..)| value).collect();
    assert_eq!(values, ["b", "a", "c"].map(|name| domain(name).value().to_owned()));
}

#[test]
fn techniques_are_counted_by_the_submissions_that_named_them() {
    let mut ledger = temporary();
    deliver(&mut ledger, "a", &["d1", "d2"], &codes(&["T1059.001", "TA0002"]), 0);
    deliver(&mut ledger, "b", &["d1"], &codes(&["T1059.001", "T1204"]), DAY);
    ledger.resend = true;
    deliver(&mut ledger, "b", &["d1"], &codes(&["T1204"]), DAY + 1);
    let named = |code: &str, count| (code.to_owned(), count);
    assert_eq!(
        techniques(ledger.ledger().reader(), 0),
        [named("T1059.001", 2), named("T1204", 2)],
        "sent again counts again"
    );
    assert_eq!(
        techniques(ledger.ledger().reader(), DAY),
        [named("T1204", 2), named("T1059.001", 1)]
    );
    assert_eq!(
        ledger
            .ledger()
            .reader()
            .techniques(Period::since(at_minute(0)), 1, &TenantFilter::default())
            .unwrap()
            .len(),
        1
    );
    let purge = |ledger: &mut TenantLedger, days| {
        ledger.delete_delivered().unwrap();
        set_time(ledger, days * DAY);
        let purged = ledger.purge_expired().unwrap();
        (purged.batches, techniques(ledger.ledger().reader(), 0))
    };
    assert_eq!(purge(&mut ledger, 400), (0, vec![named("T1059.001", 2), named("T1204", 2)]));
    assert_eq!(purge(&mut ledger, 401), (1, vec![named("T1204", 2), named("T1059.001", 1)]));
    assert_eq!(purge(&mut ledger, 402), (2, vec![]));
}

/// Replaces the codes of all queued items by this JSON array.
fn set_codes(ledger: &TenantLedger, codes: &str) {
    let update = "UPDATE outbox SET item = json_set(item, '$.mitre_codes', json(?1))";
    assert_eq!(ledger.ledger().reader().db().execute(update, [codes]).unwrap(), 1);
}

#[test]
fn codes_that_are_not_techniques_do_not_count() {
    let ledger = temporary();
    store(&ledger, "a", &["d1"]);
    set_codes(&ledger, r#"["", "T", "TX", "TA0001", "t1059"]"#);
    deliver_all(&ledger);
    assert_eq!(techniques(ledger.ledger().reader(), 0), []);
    assert_eq!(ledger.quota_used().unwrap(), 1);
}

#[test]
fn only_a_delivered_batch_counts_its_techniques_each_once_per_item() {
    let ledger = temporary();
    let detection = Detection { mitre_codes: codes(&["T1059"]), ..alert("d1") };
    add(&ledger, &detection, &domain("a"));
    set_codes(&ledger, r#"["T1059", "T1059", "T1204", "TA0002"]"#);
    let items = queue(&ledger);
    let batch = ledger.begin_batch(&items).unwrap();
    assert_eq!(techniques(ledger.ledger().reader(), 0), []);
    ledger.requeue_failed_batch(&batch).unwrap();
    assert!(is_not_queued(&ledger.begin_batch([&items[0], &items[0]])));
    assert_eq!(techniques(ledger.ledger().reader(), 0), []);
    deliver_all(&ledger);
    let named = |code: &str, count| (code.to_owned(), count);
    assert_eq!(techniques(ledger.ledger().reader(), 0), [named("T1059", 1), named("T1204", 1)]);
}

#[test]
fn the_last_run_of_a_tenant_is_the_latest_that_has_ended() {
    let folder = Folder::new();
    let mut one = folder.open_as("crowdstrike", "1");
    let last = |ledger: &TenantLedger| -> Vec<(String, String, Option<i32>)> {
        let runs = ledger.ledger().reader().last_ended_runs(at_minute(100)).unwrap();
        runs.into_iter().map(|run| (run.tenant, run.id, run.exit_code)).collect()
    };
    let run = |ledger: &mut TenantLedger, id: &str, minutes, exit_code: Option<u8>| {
        set_time(ledger, minutes);
        next_run(ledger, id);
        ledger.begin_run("live", window()).unwrap();
        if let Some(exit_code) = exit_code {
            ledger.finish_run(exit_code, "{}", None).unwrap();
        }
    };
    run(&mut one, "killed", 1, None);
    assert_eq!(last(&one), []);
    // One of the future, by a wrong clock, counts while there is no other.
    run(&mut one, "future", 10_000, Some(5));
    let named = |id: &str, code| ("crowdstrike".to_owned(), id.to_owned(), Some(code));
    assert_eq!(last(&one), [named("future", 5)]);
    run(&mut one, "later", 3, Some(3));
    run(&mut one, "earlier", 2, Some(0));
    run(&mut one, "running", 4, None);
    assert_eq!(last(&one), [named("later", 3)]);
    drop(one);
    let mut other = folder.open_as("carbonblack", "1");
    run(&mut other, "of another", 5, Some(0));
    let found = last(&other);
    assert_eq!(found.len(), 2);
    assert!(found.contains(&named("later", 3)), "{found:?}");
}
