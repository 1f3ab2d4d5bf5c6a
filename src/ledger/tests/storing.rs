//! What comes into the outbox, and in which order it goes out.

use super::super::*;
use super::*;

#[test]
fn a_tenant_is_its_source_account_token_and_set_of_organizations() {
    let (ledger, one) = temporary();
    let mut same = key("crowdstrike", "account");
    same.organizations = ["uhash:a", "uhash:b", "uhash:a"].map(str::to_owned).to_vec();
    assert_eq!(ledger.tenant(&same).unwrap(), one);
    let mut others = vec![key("carbonblack", "account"), key("crowdstrike", "another")];
    others.push(TenantKey { token: "another".to_owned(), ..same.clone() });
    others.push(TenantKey { organizations: vec!["uhash:a,uhash:b".to_owned()], ..same });
    for other in others {
        assert_ne!(ledger.tenant(&other).unwrap(), one);
    }
}

#[test]
fn tenants_never_mix() {
    let (ledger, one) = temporary();
    let two = ledger.tenant(&key("crowdstrike", "another")).unwrap();
    ledger.store(one, "run", &[entry("a", None, &["d"])], false, at(0)).unwrap();
    let id = first(&ledger, one);
    assert_eq!(ledger.known(two, "d", &domain("a")).unwrap(), Known::New);
    assert!(ledger.batch(two, 9, None).unwrap().is_empty());
    assert_eq!((ledger.waiting(one).unwrap(), ledger.waiting(two).unwrap()), (1, 0));
    assert!(matches!(
        ledger.settle_delivered(two, TOKEN, &[id], at(1)),
        Err(LedgerError::NotWaiting { .. })
    ));
    assert!(matches!(
        ledger.quarantine(two, id, 400, "no", at(1)),
        Err(LedgerError::NotWaiting { .. })
    ));
    assert!(matches!(ledger.tried(two, &[id]), Err(LedgerError::NotWaiting { .. })));
    assert_eq!(ledger.known(one, "d", &domain("a")).unwrap(), Known::Waiting);
    ledger.advance(one, at(0), at(5), at(5)).unwrap();
    assert_eq!(ledger.checkpoint(two).unwrap(), None);
    assert_eq!(ledger.store(two, "run", &[entry("a", None, &["d"])], false, at(0)).unwrap(), 1);
}

#[test]
fn the_detections_merged_into_an_entry_share_its_fate() {
    let (ledger, tenant) = temporary();
    ledger.store(tenant, "run", &[entry("a", Some(5), &["d1", "d2"])], false, at(0)).unwrap();
    let known = |detection| ledger.known(tenant, detection, &domain("a")).unwrap();
    assert_eq!(
        (known("d1"), known("d2"), known("d3")),
        (Known::Waiting, Known::Waiting, Known::New)
    );
    let id = first(&ledger, tenant);
    ledger.quarantine(tenant, id, 400, "bad", at(1)).unwrap();
    assert_eq!((known("d1"), known("d2")), (Known::Quarantined, Known::Quarantined));
    assert_eq!(ledger.retry_quarantined(&Filter::default()).unwrap(), 1);
    ledger.settle_delivered(tenant, TOKEN, &[id], at(2)).unwrap();
    assert_eq!((known("d1"), known("d2")), (Known::Delivered, Known::Delivered));
    // The indicator in the same detection is another sighting when it is another indicator.
    assert_eq!(ledger.known(tenant, "d1", &domain("b")).unwrap(), Known::New);
}

#[test]
fn what_is_known_is_not_stored_again() {
    let (ledger, tenant) = temporary();
    let one = [entry("a", None, &["d1"])];
    assert_eq!(ledger.store(tenant, "run", &one, false, at(0)).unwrap(), 1);
    assert_eq!(ledger.store(tenant, "run", &one, false, at(0)).unwrap(), 0);
    assert_eq!(
        ledger.store(tenant, "run", &one, true, at(0)).unwrap(),
        0,
        "it waits: there is nothing to resend"
    );
    let id = first(&ledger, tenant);
    ledger.quarantine(tenant, id, 400, "bad", at(0)).unwrap();
    assert_eq!(ledger.store(tenant, "run", &one, true, at(0)).unwrap(), 0);
    assert_eq!((ledger.waiting(tenant).unwrap(), quarantined(&ledger, tenant)), (0, 1));
    // A new detection of the same indicator is a new sighting.
    assert_eq!(
        ledger.store(tenant, "run", &[entry("a", None, &["d1", "d2"])], false, at(0)).unwrap(),
        1
    );
    assert_eq!(ledger.known(tenant, "d1", &domain("a")).unwrap(), Known::Quarantined);
    assert_eq!(ledger.known(tenant, "d2", &domain("a")).unwrap(), Known::Waiting);
}

#[test]
fn resend_revives_what_was_delivered_but_not_what_a_person_dropped() {
    let (ledger, tenant) = temporary();
    let both = [entry("a", None, &["d1"]), entry("b", None, &["d2"])];
    ledger.store(tenant, "run", &both, false, at(0)).unwrap();
    let ids: Vec<_> =
        ledger.batch(tenant, 9, None).unwrap().iter().map(|pending| pending.id).collect();
    ledger.settle_delivered(tenant, TOKEN, &ids[..1], at(1)).unwrap();
    ledger.drop_entries(&Filter::default(), at(1)).unwrap();
    assert_eq!(ledger.store(tenant, "run", &both, false, at(2)).unwrap(), 0);
    assert_eq!(ledger.store(tenant, "run", &both, true, at(2)).unwrap(), 1);
    assert_eq!(ledger.known(tenant, "d1", &domain("a")).unwrap(), Known::Waiting);
    assert_eq!(ledger.known(tenant, "d2", &domain("b")).unwrap(), Known::Dropped);
    assert!(first(&ledger, tenant) > ids[1], "a number is never given twice");
}

#[test]
fn an_entry_without_a_detection_is_an_error_and_nothing_is_stored() {
    let (ledger, tenant) = temporary();
    let entries = [entry("a", None, &["d1"]), entry("b", None, &[])];
    assert!(matches!(
        ledger.store(tenant, "run", &entries, false, at(0)),
        Err(LedgerError::Other { .. })
    ));
    assert_eq!(ledger.waiting(tenant).unwrap(), 0);
    assert_eq!(ledger.known(tenant, "d1", &domain("a")).unwrap(), Known::New);
}

#[test]
fn the_most_severe_go_first_and_then_the_oldest() {
    let (ledger, tenant) = temporary();
    let severities = [
        ("a", None),
        ("b", Some(0)),
        ("c", Some(90)),
        ("d", Some(255)),
        ("e", Some(90)),
        ("f", None),
    ];
    for (name, severity) in severities {
        ledger.store(tenant, "run", &[entry(name, severity, &["d"])], false, at(0)).unwrap();
    }
    let expected: Vec<_> =
        ["d", "c", "e", "b", "a", "f"].map(|name| format!(r#"{{"indicator":"{name}"}}"#)).to_vec();
    for size in 1..=7_usize {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let batch = ledger.batch(tenant, size, after).unwrap();
            let Some(last) = batch.last() else { break };
            after = Some(last.cursor());
            seen.extend(batch.into_iter().map(|pending| pending.item));
        }
        assert_eq!(seen, expected, "in batches of {size}");
    }
}

#[test]
fn hostile_values_come_back_as_they_were() {
    let (ledger, tenant) = temporary();
    for text in ["'; DROP TABLE outbox; --", "\u{0}\u{202e}\\\"%_?1", "𝕏\n\r\t"] {
        let mut hostile = entry("a", None, &[text]);
        hostile.item = text.to_owned();
        assert_eq!(ledger.store(tenant, text, &[hostile], false, at(0)).unwrap(), 1);
        assert_eq!(ledger.known(tenant, text, &domain("a")).unwrap(), Known::Waiting);
        let id = first(&ledger, tenant);
        assert_eq!(ledger.view().export(&Filter::default()).unwrap(), [text]);
        ledger.quarantine(tenant, id, 400, text, at(0)).unwrap();
        assert_eq!(ledger.view().list(&Filter::default()).unwrap()[0].words.as_deref(), Some(text));
        ledger.drop_entries(&Filter::default(), at(0)).unwrap();
    }
}
