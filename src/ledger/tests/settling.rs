//! How entries leave the outbox, what that costs, and what is forgotten.

use super::super::*;
use super::*;

#[test]
fn settling_is_all_or_nothing_and_never_twice() {
    let (ledger, tenant) = temporary();
    let entries = [entry("a", None, &["d1"]), entry("b", None, &["d2"]), entry("c", None, &["d3"])];
    ledger.store(tenant, "run", &entries, false, at(0)).unwrap();
    let ids: Vec<_> =
        ledger.batch(tenant, 9, None).unwrap().iter().map(|pending| pending.id).collect();
    let refused = |ids: &[EntryId]| {
        let error = ledger.settle_delivered(tenant, TOKEN, ids, at(1)).unwrap_err();
        assert!(matches!(error, LedgerError::NotWaiting { .. }), "{error}");
    };
    refused(&[ids[0], EntryId(999)]);
    refused(&[ids[0], ids[0]]);
    assert_eq!(
        (ledger.waiting(tenant).unwrap(), ledger.used(TOKEN, at(1).date_naive()).unwrap()),
        (3, 0)
    );
    ledger.quarantine(tenant, ids[2], 422, "first words", at(1)).unwrap();
    refused(&[ids[2]]);
    assert!(ledger.quarantine(tenant, ids[2], 400, "other words", at(1)).is_err());
    ledger.settle_delivered(tenant, TOKEN, &ids[..2], at(1)).unwrap();
    refused(&[ids[0]]);
    assert_eq!(
        (ledger.waiting(tenant).unwrap(), ledger.used(TOKEN, at(1).date_naive()).unwrap()),
        (0, 2)
    );
    let held = ledger.view().list(&Filter::default()).unwrap();
    assert_eq!(
        (held.len(), held[0].status, held[0].words.as_deref()),
        (1, Some(422), Some("first words"))
    );
    assert_eq!((held[0].tries, held[0].refused_at), (1, Some(at(1))));
}

#[test]
fn the_quota_belongs_to_the_token_and_the_utc_day() {
    let (ledger, one) = temporary();
    let two = ledger.tenant(&key("carbonblack", "account")).unwrap();
    for tenant in [one, two] {
        ledger.store(tenant, "run", &[entry("a", None, &["d"])], false, at(0)).unwrap();
        let id = first(&ledger, tenant);
        ledger.settle_delivered(tenant, TOKEN, &[id], at(1)).unwrap();
    }
    count_used(&ledger, TOKEN, 40, at(24 * 60 - 1));
    count_used(&ledger, TOKEN, 7, at(24 * 60));
    count_used(&ledger, "another", 3, at(0));
    assert_eq!(ledger.used(TOKEN, at(0).date_naive()).unwrap(), 42);
    assert_eq!(ledger.used(TOKEN, at(24 * 60).date_naive()).unwrap(), 7);
    assert_eq!(ledger.used("another", at(0).date_naive()).unwrap(), 3);
}

#[test]
fn dropping_leaves_a_trace_and_takes_only_what_matches() {
    let (ledger, one) = temporary();
    let two = ledger.tenant(&key("carbonblack", "account")).unwrap();
    for (tenant, name) in [(one, "a"), (one, "b"), (two, "c")] {
        ledger.store(tenant, "run", &[entry(name, None, &["d"])], false, at(0)).unwrap();
    }
    let id = first(&ledger, one);
    ledger.quarantine(one, id, 400, "bad", at(1)).unwrap();
    let drop = |filter: Filter| ledger.drop_entries(&filter, at(2)).unwrap();
    assert_eq!(
        drop(Filter { ids: Some(Vec::new()), ..Filter::default() }),
        0,
        "no numbers, no entries"
    );
    assert_eq!(drop(Filter { source: Some("' OR 1 --".to_owned()), ..Filter::default() }), 0);
    assert_eq!(
        drop(Filter { state: Some(State::Quarantined), tenant: Some(two), ..Filter::default() }),
        0
    );
    assert_eq!(drop(Filter { state: Some(State::Quarantined), ..Filter::default() }), 1);
    assert_eq!(ledger.known(one, "d", &domain("a")).unwrap(), Known::Dropped);
    assert_eq!(drop(Filter { source: Some("carbonblack".to_owned()), ..Filter::default() }), 1);
    let id = first(&ledger, one);
    assert_eq!(drop(Filter { ids: Some(vec![id, EntryId(999)]), ..Filter::default() }), 1);
    assert!(ledger.view().list(&Filter::default()).unwrap().is_empty());
}

#[test]
fn only_what_is_settled_is_forgotten_and_only_when_old() {
    let (ledger, tenant) = temporary();
    let day = 24 * 60;
    for (name, stored) in [("a", 0), ("b", 0), ("c", 0), ("d", 0)] {
        ledger.store(tenant, "run", &[entry(name, None, &["d"])], false, at(stored)).unwrap();
    }
    let ids: Vec<_> =
        ledger.batch(tenant, 9, None).unwrap().iter().map(|pending| pending.id).collect();
    ledger.settle_delivered(tenant, TOKEN, &ids[..1], at(0)).unwrap();
    ledger.drop_entries(&Filter { ids: Some(vec![ids[1]]), ..Filter::default() }, at(0)).unwrap();
    ledger.quarantine(tenant, ids[2], 400, "bad", at(0)).unwrap();
    ledger.begin_run(tenant, "one", "scheduled", None, at(0)).unwrap();
    assert_eq!(ledger.forget(at(90 * day)).unwrap(), Forgotten::default());
    let forgotten = ledger.forget(at(91 * day)).unwrap();
    assert_eq!(forgotten, Forgotten { sightings: 2, runs: 0, days: 1, techniques: 0 });
    assert_eq!(
        ledger.forget(at(401 * day)).unwrap(),
        Forgotten { sightings: 0, runs: 1, days: 0, techniques: 0 }
    );
    assert_eq!((ledger.waiting(tenant).unwrap(), quarantined(&ledger, tenant)), (1, 1));
    assert!(ledger.forget(DateTime::<Utc>::MIN_UTC).is_ok());
    assert!(ledger.forget(DateTime::<Utc>::MAX_UTC).is_ok());
}
