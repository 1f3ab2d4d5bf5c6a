//! Tenants: a name, and what may change about it.

use std::collections::BTreeSet;

use super::*;

fn open(folder: &Folder, tenant: Tenant) -> Result<TenantLedger> {
    let path = folder.ledger();
    let options = TenantOptions { tenant, ..options() };
    TenantLedger::open_alone(Some(&path), false, options, Clock::fixed(at_minute(0)))
}

#[test]
fn a_tenant_is_its_name_and_everything_else_may_change() {
    let folder = Folder::new();
    let one = tenant("crowdstrike");
    let ledger = open(&folder, one.clone()).unwrap();
    let id = ledger.tenant;
    store(&ledger, "a", &["d"]);
    drop(ledger);
    let changed = Tenant {
        account: "other".to_owned(),
        token: "another".to_owned(),
        organizations: ["uhash:c", "uhash:a", "uhash:c"].map(str::to_owned).to_vec(),
        ..one.clone()
    };
    let ledger = open(&folder, changed).unwrap();
    assert_eq!((ledger.tenant, ledger.queued().unwrap()), (id, 1));
    let organizations = || {
        let status = folder.reader().status(at_minute(0), &TenantFilter::default()).unwrap();
        status[0].organizations.clone()
    };
    assert_eq!(organizations(), ["uhash:a", "uhash:b"], "a run that reads nothing changes nothing");
    ledger.record_properties(None).unwrap();
    let status =
        ledger.ledger().reader().status(at_minute(0), &TenantFilter::default()).unwrap().remove(0);
    assert_eq!(status.organizations, ["uhash:a", "uhash:c"]);
    deliver_all(&ledger);
    assert_eq!(ledger.quota_used().unwrap(), 1, "with the new token");
    drop(ledger);
    let ledger = open(&folder, Tenant { name: "other".to_owned(), ..one }).unwrap();
    assert_ne!(ledger.tenant, id);
    assert_eq!((ledger.queued().unwrap(), ledger.quota_used().unwrap()), (0, 0));
    let tenants = ledger.ledger().reader().tenants().unwrap();
    let names: Vec<&str> = tenants.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["crowdstrike", "other"]);
}

#[test]
fn a_tenant_keeps_its_source() {
    let folder = Folder::new();
    open(&folder, tenant("crowdstrike")).unwrap();
    let other = Tenant { source: "carbonblack".to_owned(), ..tenant("crowdstrike") };
    let error = open(&folder, other).unwrap_err();
    assert!(matches!(error.problem, Problem::OtherSource { .. }), "{error}");
    let status = folder.reader().status(at_minute(0), &TenantFilter::default()).unwrap();
    assert_eq!((status.len(), status[0].source.as_str()), (1, "crowdstrike"));
}

#[test]
fn a_customer_that_the_settings_name_is_compared_when_the_ledger_is_opened() {
    let folder = Folder::new();
    let of = |customer: &str, adopt| Tenant {
        customer: Some(customer.to_owned()),
        account: customer.to_owned(),
        adopt,
        ..tenant("carbonblack")
    };
    let customer = || folder.reader().customer_of("carbonblack").unwrap();
    // Nothing is known before a run has read something: the settings may be wrong.
    open(&folder, of("typo", false)).unwrap();
    assert_eq!(customer(), None);
    open(&folder, of("a", false)).unwrap().record_properties(Some("a")).unwrap();
    open(&folder, of("a", false)).unwrap();
    let error = open(&folder, of("b", false)).unwrap_err();
    assert!(matches!(error.problem, Problem::OtherCustomer { .. }), "{error}");
    let error = folder.reader().check_tenant(&of("b", false)).unwrap_err();
    assert!(matches!(error.problem, Problem::OtherCustomer { .. }), "{error}");
    folder.reader().check_tenant(&of("b", true)).unwrap();
    open(&folder, of("b", true)).unwrap();
    assert_eq!(customer(), Some("a".to_owned()), "it has not read anything");
    open(&folder, of("b", true)).unwrap().record_properties(Some("b")).unwrap();
    assert_eq!(customer(), Some("b".to_owned()));
    open(&folder, of("a", false)).unwrap_err();
    assert_eq!(folder.reader().customer_of("unknown").unwrap(), None);
}

#[test]
fn a_customer_that_alerts_name_is_recorded_with_the_account_that_reads_it() {
    let folder = Folder::new();
    let with = |account: &str| Tenant { account: account.to_owned(), ..tenant("crowdstrike") };
    let ledger = open(&folder, with("one")).unwrap();
    assert_eq!(ledger.customer(), None);
    ledger.record_properties(Some("c")).unwrap();
    drop(ledger);
    let ledger = open(&folder, with("two")).unwrap();
    assert_eq!(ledger.customer(), Some("c"));
    assert!(!ledger.is_same_account(), "it has not read the customer's alerts yet");
    // A window without alerts shows nothing.
    ledger.record_properties(None).unwrap();
    drop(ledger);
    let ledger = open(&folder, with("two")).unwrap();
    assert_eq!((ledger.customer(), ledger.is_same_account()), (Some("c"), false));
    ledger.record_properties(Some("c")).unwrap();
    drop(ledger);
    assert!(open(&folder, with("two")).unwrap().is_same_account());
    assert!(!open(&folder, with("one")).unwrap().is_same_account());
}

#[test]
fn a_withdrawn_run_leaves_all_properties_as_they_were() {
    let folder = Folder::new();
    let with = |account: &str| Tenant {
        account: account.to_owned(),
        token: account.to_owned(),
        organizations: vec![account.to_owned()],
        ..tenant("crowdstrike")
    };
    let ledger = open(&folder, with("one")).unwrap();
    ledger.record_properties(Some("c")).unwrap();
    ledger.withdraw_run("no").unwrap();
    assert_eq!(ledger.ledger().reader().customer_of("crowdstrike").unwrap(), None);
    ledger.record_properties(Some("c")).unwrap();
    drop(ledger);
    let row = || {
        let reader = folder.reader();
        let select =
            "SELECT account || ' ' || customer || ' ' || token || ' ' || organizations FROM tenant";
        reader.db().query_row(select, [], |row| row.get::<_, String>(0)).unwrap()
    };
    let before = row();
    let ledger = open(&folder, with("two")).unwrap();
    ledger.record_properties(Some("d")).unwrap();
    assert_ne!(row(), before);
    ledger.withdraw_run("no").unwrap();
    assert_eq!(row(), before);
}

#[test]
fn a_person_chooses_tenants_by_name_and_by_source() {
    let folder = Folder::new();
    for (name, source) in [("a", "crowdstrike"), ("b", "crowdstrike"), ("c", "carbonblack")] {
        let ledger = open(&folder, Tenant { name: name.to_owned(), ..tenant(source) }).unwrap();
        ledger.begin_run("live", Window { start: at_minute(-1), end: at_minute(0) }).unwrap();
        store(&ledger, name, &["d"]);
        store(&ledger, &format!("{name}-sent"), &["d"]);
        let batch = ledger.begin_batch(&queue(&ledger)[1..]).unwrap();
        ledger.deliver_batch(batch).unwrap();
    }
    let reader = folder.reader();
    let cases = [
        (None, None, "abc"),
        (Some("b"), None, "b"),
        (None, Some("crowdstrike"), "ab"),
        (Some("c"), Some("carbonblack"), "c"),
        (Some("c"), Some("crowdstrike"), ""),
        (Some("unknown"), None, ""),
    ];
    for (name, source, expected) in cases {
        let tenants =
            TenantFilter { name: name.map(str::to_owned), source: source.map(str::to_owned) };
        let status = reader.status(at_minute(0), &tenants).unwrap();
        let mut names: Vec<_> = status.into_iter().map(|status| status.tenant).collect();
        names.sort();
        assert_eq!(names.concat(), expected, "{tenants:?}");
        let runs = reader.runs(at_minute(-9), &tenants).unwrap();
        let names: Vec<_> = runs.into_iter().map(|run| run.tenant).collect();
        assert_eq!(names.concat(), expected, "{tenants:?}");
        let top = reader.top_indicators(at_minute(-9), 9, &tenants).unwrap();
        assert_eq!(top.len(), expected.len(), "{tenants:?}");
        let filter = EntryFilter { tenants, ..EntryFilter::default() };
        let entries = reader.list(&filter).unwrap();
        let names: Vec<_> = entries.into_iter().map(|entry| entry.tenant).collect();
        assert_eq!(names.concat(), expected, "{filter:?}");
        let counts = reader.count_by_tenant(&filter).unwrap();
        let counts: Vec<_> = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        let expected: Vec<_> =
            expected.split_terminator("").skip(1).map(|name| (name, 1)).collect();
        assert_eq!(counts, expected, "{filter:?}");
    }
}

fn open_shared(folder: &Folder) -> SharedLedger {
    let path = folder.ledger();
    let file = LedgerOptions {
        path: Some(&path),
        dry_run: false,
        busy_retry: BusyRetry::default(),
        lock: None,
    };
    SharedLedger::open(file, Clock::fixed(at_minute(0))).unwrap()
}

fn open_as(shared: &SharedLedger, name: &str) -> TenantLedger {
    let tenant = Tenant { name: name.to_owned(), ..tenant("crowdstrike") };
    TenantLedger::open(shared, TenantOptions { tenant, ..options() }, Clock::fixed(at_minute(0)))
        .unwrap()
}

#[test]
fn several_tenants_use_one_open_ledger_at_once() {
    const DETECTIONS: usize = 20;
    let folder = Folder::new();
    let shared = open_shared(&folder);
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let shared = &shared;
            scope.spawn(move || {
                let ledger = open_as(shared, name);
                ledger.begin_run("live", window()).unwrap();
                for number in 0..DETECTIONS {
                    // Each tenant has the same alerts and the same indicator, which is new once.
                    let stored = store(&ledger, "shared", &[&format!("d{number}")]);
                    let is_first = number == 0;
                    assert_eq!(
                        stored == [StoreOutcome::New],
                        is_first,
                        "{name} {number}: {stored:?}"
                    );
                }
                let batch = ledger.begin_batch(&queue(&ledger)).unwrap();
                ledger.deliver_batch(batch).unwrap();
                ledger.finish_run(0, "{}", None).unwrap();
            });
        }
    });
    drop(shared);
    let reader = folder.reader();
    let runs = reader.runs(at_minute(0), &TenantFilter::default()).unwrap();
    let names: BTreeSet<&str> = runs.iter().map(|run| run.tenant.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["a", "b", "c", "d"]));
    assert!(runs.iter().all(|run| run.exit_code == Some(0)), "{runs:?}");
    // The lock is free again.
    folder.open_as("crowdstrike", "next");
}

#[test]
fn a_panic_of_one_tenant_leaves_the_ledger_to_the_others() {
    let folder = Folder::new();
    let shared = open_shared(&folder);
    let (one, other) = (open_as(&shared, "one"), open_as(&shared, "other"));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        one.store(|store| -> Result<(), Problem> {
            store.add(&alert("d"), &domain("a"), "field")?;
            panic!("a defect");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(store(&other, "a", &["d"]), [StoreOutcome::New]);
    assert_eq!((one.queued().unwrap(), other.queued().unwrap()), (0, 1));
    assert_eq!(
        store(&one, "a", &["d"]),
        [StoreOutcome::New],
        "nothing of the first try was stored"
    );
}

#[test]
fn a_tenant_that_waits_for_the_ledger_is_noticed() {
    let folder = Folder::new();
    let shared = open_shared(&folder);
    let (one, other) = (open_as(&shared, "one"), open_as(&shared, "other"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    std::thread::scope(|scope| {
        let guard = one.ledger();
        let waiting = scope.spawn(|| other.queued().unwrap());
        // Returns only if the other thread waits.
        runtime.block_on(one.wanted_by_others());
        drop(guard);
        assert_eq!(waiting.join().unwrap(), 0);
    });
}
