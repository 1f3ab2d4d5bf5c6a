//! What is found of one indicator, and of one alert.

use super::*;
use crate::ledger::lookup::Found;

fn find(folder: &Folder, name: &str, alert: &str) -> Found {
    folder.reader().find(Some(&domain(name)), alert, &TenantFilter::default()).unwrap()
}

fn fate(folder: &Folder, name: &str) -> Fate {
    let mut entries = find(folder, name, "").entries;
    assert_eq!(entries.len(), 1, "{name}");
    entries.remove(0).fate
}

#[test]
fn each_fate_is_found() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    let names = ["delivered", "deleted", "dropped", "quarantined", "sending", "queued"];
    for name in names {
        store(&ledger, name, &["d1", "d2"]);
    }
    let items = queue(&ledger);
    set_time(&mut ledger, 5);
    let deliver = |item| ledger.deliver_batch(ledger.begin_batch([item]).unwrap()).unwrap();
    deliver(&items[1]);
    ledger.delete_delivered().unwrap();
    deliver(&items[0]);
    quarantine(&ledger, &items[2], "no");
    let filter = EntryFilter { state: Some(EntryState::Quarantined), ..EntryFilter::default() };
    ledger.ledger().drop_entries(&filter, at_minute(6)).unwrap();
    quarantine(&ledger, &items[3], "no");
    let _being_sent = ledger.begin_batch([&items[4]]).unwrap();
    drop(ledger);
    let delivered = |name| match fate(&folder, name) {
        Fate::Delivered { at, batch } => (at, batch),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(delivered("deleted"), (at_minute(5), 1));
    assert_eq!(delivered("delivered"), (at_minute(5), 2));
    assert_eq!(fate(&folder, "dropped"), Fate::Dropped { at: at_minute(6) });
    let message = "no".to_owned();
    let rejected = Fate::Quarantined { since: at_minute(5), status: Some(400), message };
    assert_eq!(fate(&folder, "quarantined"), rejected);
    assert!(
        matches!(fate(&folder, "sending"), Fate::InDoubt { since, .. } if since == at_minute(5))
    );
    assert_eq!(fate(&folder, "queued"), Fate::Queued { since: at_minute(0) });
    for name in names {
        let found = find(&folder, name, "");
        let entry = &found.entries[0];
        let field = Some("field").filter(|_| name != "dropped");
        assert_eq!((entry.detections, entry.field.as_deref()), (2, field), "{name}");
        let alerts = &found.alerts["crowdstrike"];
        assert_eq!((alerts.count, alerts.newest.len()), (2, 2), "{name}");
        assert_eq!(found.alert_created.len(), 0);
    }
    let of_alert = find(&folder, "absent", "d2");
    assert_eq!(of_alert.entries.len(), names.len());
    assert_eq!(of_alert.alert_created["crowdstrike"], at_minute(0));
    assert_eq!(find(&folder, "absent", "d"), Found::default());
}

#[test]
fn tenants_are_kept_apart_and_alerts_are_limited() {
    let folder = Folder::new();
    let ids: Vec<String> = (0..150).map(|number| format!("d{number:03}")).collect();
    let names: Vec<&str> = ids.iter().map(String::as_str).collect();
    store(&folder.open(), "a", &names);
    store(&folder.open_as("carbonblack", "other"), "a", &["d000"]);
    let found = find(&folder, "a", "d000");
    assert_eq!(found.entries.len(), 2);
    assert_eq!(found.alert_created.len(), 2);
    let alerts = &found.alerts["crowdstrike"];
    assert_eq!((alerts.count, alerts.newest.len()), (150, 100));
    assert_eq!(alerts.newest.back().unwrap().0, "d149");
    assert_eq!(found.alerts["carbonblack"].count, 1);
    let one = TenantFilter { name: Some("carbonblack".to_owned()), source: None };
    let found = folder.reader().find(Some(&domain("a")), "d000", &one).unwrap();
    assert_eq!((found.entries.len(), found.alerts.len(), found.alert_created.len()), (1, 1, 1));
}

#[test]
fn what_was_purged_is_not_found() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    store(&ledger, "a", &["d"]);
    deliver_all(&ledger);
    ledger.delete_delivered().unwrap();
    set_time(&mut ledger, 91 * DAY);
    ledger.purge_expired().unwrap();
    drop(ledger);
    assert_eq!(find(&folder, "a", "d"), Found::default());
}
