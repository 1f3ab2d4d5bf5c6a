//! Whether the ledger holds what the model holds.

use std::collections::BTreeSet;

use super::super::super::*;
use super::oracle::{Oracle, Row, SOURCES, Settled};
use super::{DETECTIONS, INDICATORS, TENANTS, TOKEN, domain};

impl Oracle {
    /// Compares everything that can be asked, and the tables of sightings and of settled entries themselves.
    pub(super) fn compare(&self, ledger: &Ledger) {
        for tenant in 0..TENANTS {
            self.compare_known(ledger, tenant);
            self.compare_batches(ledger, tenant);
            assert_eq!(ledger.checkpoint(self.tenants[tenant]).unwrap(), self.checkpoints[tenant]);
        }
        self.compare_rows(ledger);
        self.compare_sightings(ledger);
        self.compare_settled(ledger);
        self.compare_techniques(ledger);
        for (day, used) in &self.used {
            assert_eq!(ledger.used(TOKEN, *day).unwrap(), *used);
        }
        assert_eq!(ledger.view().runs(DateTime::UNIX_EPOCH).unwrap().len(), self.runs.len());
    }

    fn compare_known(&self, ledger: &Ledger, tenant: usize) {
        for detection in 0..DETECTIONS {
            for indicator in 0..INDICATORS {
                let entry = self.sightings.get(&(tenant, detection, indicator));
                let expected = match entry.map(|entry| (self.settled.get(entry), entry)) {
                    None => Known::New,
                    Some((Some(Settled::Delivered(_)), _)) => Known::Delivered,
                    Some((Some(Settled::Dropped(_)), _)) => Known::Dropped,
                    Some((None, id)) if self.rows[id].refused.is_some() => Known::Quarantined,
                    Some((None, _)) => Known::Waiting,
                };
                let (id, indicator) = (self.tenants[tenant], domain(&indicator.to_string()));
                assert_eq!(ledger.known(id, &detection.to_string(), &indicator).unwrap(), expected);
            }
        }
    }

    fn compare_batches(&self, ledger: &Ledger, tenant: usize) {
        let mut waiting: Vec<(&i64, &Row)> =
            self.rows.iter().filter(|(id, _)| self.waits(tenant, **id)).collect();
        waiting.sort_by_key(|(id, row)| (std::cmp::Reverse(row.severity), **id));
        let (mut handed_out, mut after) = (Vec::new(), None);
        loop {
            let batch = ledger.batch(self.tenants[tenant], 3, after).unwrap();
            let Some(last) = batch.last() else { break };
            after = Some(last.cursor());
            handed_out.extend(batch);
        }
        let expected: Vec<_> = waiting
            .iter()
            .map(|(id, row)| (EntryId(**id), row.item.as_str(), row.severity))
            .collect();
        let found: Vec<_> =
            handed_out.iter().map(|one| (one.id, one.item.as_str(), one.severity)).collect();
        assert_eq!(found, expected);
        let status = ledger.view().status(DateTime::UNIX_EPOCH.date_naive()).unwrap();
        let status = status.iter().find(|status| status.source == SOURCES[tenant]).unwrap();
        let refused =
            self.rows.values().filter(|row| row.tenant == tenant && row.refused.is_some()).count()
                as u64;
        assert_eq!((status.waiting, status.quarantined), (waiting.len() as u64, refused));
        assert_eq!(status.oldest_waiting, waiting.iter().map(|(_, row)| row.stored_at).min());
    }

    fn compare_rows(&self, ledger: &Ledger) {
        let held = ledger.view().list(&Filter::default()).unwrap();
        let items = ledger.view().export(&Filter::default()).unwrap();
        assert_eq!((held.len(), items.len()), (self.rows.len(), self.rows.len()));
        for ((held, item), (id, row)) in held.into_iter().zip(items).zip(&self.rows) {
            let found = Row {
                tenant: self.tenants.iter().position(|tenant| *tenant == held.tenant).unwrap(),
                indicator: (0..INDICATORS)
                    .find(|n| domain(&n.to_string()).value() == held.value)
                    .unwrap(),
                severity: held.severity,
                item,
                stored_at: held.stored_at,
                tries: held.tries,
                refused: held
                    .status
                    .zip(held.words)
                    .zip(held.refused_at)
                    .map(|((a, b), c)| (a, b, c)),
            };
            assert_eq!(
                (held.id, held.state == State::Quarantined, &found),
                (EntryId(*id), row.refused.is_some(), row)
            );
        }
    }

    fn compare_techniques(&self, ledger: &Ledger) {
        let select = "SELECT tenant, day, code, submissions FROM technique";
        let mut select = ledger.view().db().prepare(select).unwrap();
        let found: BTreeSet<(i64, String, String, u64)> = select
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, columns::Count>(3)?.0))
            })
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let expected = self
            .techniques
            .iter()
            .map(|((tenant, day, code), count)| {
                (self.tenants[*tenant].0, day.to_string(), code.clone(), *count)
            })
            .collect();
        assert_eq!(found, expected);
    }

    /// The first two invariants, read from the tables themselves.
    fn compare_sightings(&self, ledger: &Ledger) {
        let db = ledger.view().db();
        let count = |select: &str| {
            let select = format!("SELECT count(*) FROM {select}");
            db.query_row(&select, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(
            count("outbox WHERE id NOT IN (SELECT entry FROM sighting)"),
            0,
            "a row that no detection stands behind"
        );
        assert_eq!(count("outbox JOIN settled USING (id)"), 0);
        assert_eq!(count("pragma_foreign_key_check"), 0);
        let mut select =
            db.prepare("SELECT tenant, detection, kind, value, entry FROM sighting").unwrap();
        let found: BTreeSet<(i64, String, String, String, i64)> =
            select.query_map([], |row| row.try_into()).unwrap().map(Result::unwrap).collect();
        let expected = self
            .sightings
            .iter()
            .map(|((tenant, detection, indicator), entry)| {
                let indicator = domain(&indicator.to_string());
                (
                    self.tenants[*tenant].0,
                    detection.to_string(),
                    indicator.kind().as_str().to_owned(),
                    indicator.value().to_owned(),
                    *entry,
                )
            })
            .collect();
        assert_eq!(found, expected);
    }

    fn compare_settled(&self, ledger: &Ledger) {
        let select = "SELECT id, delivered_at, dropped_at FROM settled";
        let mut select = ledger.view().db().prepare(select).unwrap();
        let found: BTreeSet<(i64, Option<String>, Option<String>)> =
            select.query_map([], |row| row.try_into()).unwrap().map(Result::unwrap).collect();
        let expected = self
            .settled
            .iter()
            .map(|(id, settled)| match settled {
                Settled::Delivered(when) => (*id, Some(columns::text(*when)), None),
                Settled::Dropped(when) => (*id, None, Some(columns::text(*when))),
            })
            .collect();
        assert_eq!(found, expected);
    }
}
