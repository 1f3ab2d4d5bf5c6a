//! The file: its lock, its rehearsals, its making and its limits.

use tempfile::TempDir;

use super::super::*;
use super::*;

#[test]
fn a_ledger_remembers_across_runs_and_is_its_owners_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    assert!(View::open(&path).unwrap().is_none());
    let ledger = open(&path);
    let tenant = tenant(&ledger);
    ledger.store(tenant, "run", &[entry("a", None, &["d"])], false, at(0)).unwrap();
    let view = View::open(&path).unwrap().expect("a view needs no lock");
    assert_eq!(view.list(&Filter::default()).unwrap().len(), 1);
    drop(ledger);
    assert_eq!(open(&path).known(tenant, "d", &domain("a")).unwrap(), Known::Waiting);
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["ledger.db", "ledger.db.lock"]);
    #[cfg(unix)]
    for name in names {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn what_is_written_waits_for_another_program() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path);
    let tenant = tenant(&ledger);
    let while_another_writes = |work: &dyn Fn()| {
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let done = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(200));
            other.execute_batch("ROLLBACK").unwrap();
        });
        work();
        done.join().unwrap();
    };
    while_another_writes(&|| {
        let entries = [entry("a", None, &["d"])];
        ledger.store(tenant, "run", &entries, false, at(0)).unwrap();
    });
    while_another_writes(&|| {
        let id = first(&ledger, tenant);
        ledger.settle_delivered(tenant, TOKEN, &[id], at(1)).unwrap();
    });
    while_another_writes(&|| {
        ledger.forget(at(200 * 24 * 60)).unwrap();
    });
}

#[test]
fn a_second_run_is_told_who_holds_the_ledger() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path);
    for second in [Ledger::open(&path, at(1)), Ledger::rehearse(&path, at(1))] {
        match second {
            Err(LedgerError::Locked { process, since, .. }) => {
                assert_eq!(process, Some(std::process::id()));
                assert_eq!(since.as_deref(), Some("2026-03-01T00:00:00.000Z"));
            }
            other => panic!("{other:?}"),
        }
    }
    #[cfg(unix)]
    {
        let link = folder.path().join("another-name.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(
            matches!(Ledger::open(&link, at(1)), Err(LedgerError::Locked { .. })),
            "a link is the same ledger"
        );
    }
    drop(ledger);
    let rehearsal = Ledger::rehearse(&path, at(2)).unwrap();
    assert!(matches!(Ledger::open(&path, at(3)), Err(LedgerError::Locked { .. })));
    drop(rehearsal);
    open(&path);
}

#[test]
fn a_rehearsal_sees_everything_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    {
        let rehearsal = Ledger::rehearse(&path, at(0)).unwrap();
        rehearsal
            .store(tenant(&rehearsal), "run", &[entry("a", None, &["d"])], false, at(0))
            .unwrap();
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "an absent ledger stays absent");
    let ledger = open(&path);
    let tenant = tenant(&ledger);
    ledger.store(tenant, "run", &[entry("a", None, &["d1"])], false, at(0)).unwrap();
    drop(ledger);
    let before = std::fs::read(&path).unwrap();
    let rehearsal = Ledger::rehearse(&path, at(0)).unwrap();
    assert!(rehearsal.is_rehearsal());
    let many: Vec<_> = (0..2000).map(|n| entry(&format!("n{n}"), None, &["d2"])).collect();
    assert_eq!(rehearsal.store(tenant, "run", &many, false, at(0)).unwrap(), 2000);
    let id = first(&rehearsal, tenant);
    rehearsal.settle_delivered(tenant, TOKEN, &[id], at(0)).unwrap();
    assert_eq!(rehearsal.known(tenant, "d1", &domain("a")).unwrap(), Known::Delivered);
    let failed = rehearsal.settle_delivered(tenant, TOKEN, &[id], at(0));
    assert!(
        matches!(failed, Err(LedgerError::NotWaiting { .. })),
        "an error ends only its own step"
    );
    assert_eq!(rehearsal.waiting(tenant).unwrap(), 2000);
    assert!(!folder.path().join("ledger.db-journal").exists());
    drop(rehearsal);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_rehearsal_whose_transaction_was_ended_goes_no_further() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    drop(open(&path));
    let rehearsal = Ledger::rehearse(&path, at(0)).unwrap();
    let tenant = tenant(&rehearsal);
    // As SQLite does itself after an error of the disk.
    rehearsal.view().db().execute_batch("ROLLBACK").unwrap();
    let refused = rehearsal.begin_run(tenant, "run", "debug", None, at(0));
    assert!(matches!(refused, Err(LedgerError::Other { .. })), "{refused:?}");
    drop(rehearsal);
    assert!(open(&path).view().status(at(0).date_naive()).unwrap().is_empty());
}

#[test]
fn a_full_disk_is_told_and_undoes_only_the_step() {
    let folder = TempDir::new().unwrap();
    for rehearsal in [false, true] {
        let path = folder.path().join("ledger.db");
        drop(open(&path));
        let ledger = if rehearsal {
            Ledger::rehearse(&path, at(0)).unwrap()
        } else {
            Ledger::open(&path, at(0)).unwrap()
        };
        let tenant = tenant(&ledger);
        ledger.store(tenant, "run", &[entry("a", None, &["d"])], false, at(0)).unwrap();
        ledger.view().db().pragma_update(None, "max_page_count", 20).unwrap();
        let many: Vec<_> = (0..2000).map(|n| entry(&format!("n{n}"), None, &["d2"])).collect();
        let full = ledger.store(tenant, "run", &many, false, at(0));
        assert!(matches!(full, Err(LedgerError::Full { .. })), "{full:?}");
        if !rehearsal {
            assert_eq!(ledger.waiting(tenant).unwrap(), 1);
        }
        drop(ledger);
    }
    assert_eq!(
        open(&folder.path().join("ledger.db")).view().list(&Filter::default()).unwrap().len(),
        1
    );
}

#[test]
fn a_journal_without_its_ledger_is_never_played_into_a_new_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    std::fs::write(folder.path().join("ledger.db-journal"), "left behind").unwrap();
    assert!(matches!(Ledger::open(&path, at(0)), Err(LedgerError::Damaged { .. })));
    assert!(!path.exists());
}

#[test]
fn what_a_killed_creation_left_is_no_ledger_and_in_nobodys_way() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    std::fs::write(folder.path().join("ledger.db.half-made"), "").unwrap();
    std::fs::write(folder.path().join("ledger.db.half-made-journal"), "").unwrap();
    assert!(View::open(&path).unwrap().is_none());
    drop(open(&path));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
}
