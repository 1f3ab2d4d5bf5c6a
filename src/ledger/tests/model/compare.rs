//! Whether the ledger holds what the model holds.

use std::collections::BTreeSet;

use super::super::super::*;
use super::oracle::{Fate, Oracle, Row, SOURCES};
use super::{DETECTIONS, INDICATORS, TENANTS, TOKEN, domain};

impl Oracle {
    /// Compares everything that can be asked, and the table of sightings itself.
    pub(super) fn compare(&self, ledger: &Ledger) {
        for tenant in 0..TENANTS {
            self.compare_known(ledger, tenant);
            self.compare_batches(ledger, tenant);
            assert_eq!(
                ledger.checkpoint(self.tenants[tenant]).unwrap(),
                self.checkpoints[tenant]
            );
        }
        self.compare_rows(ledger);
        self.compare_sightings(ledger);
        self.compare_techniques(ledger);
        for (day, used) in &self.used {
            assert_eq!(ledger.used(TOKEN, *day).unwrap(), *used);
        }
        assert_eq!(
            ledger.view().runs(DateTime::UNIX_EPOCH).unwrap().len(),
            self.runs.len()
        );
    }

    fn compare_known(&self, ledger: &Ledger, tenant: usize) {
        for detection in 0..DETECTIONS {
            for indicator in 0..INDICATORS {
                let expected = match self.fates.get(&(tenant, detection, indicator)) {
                    None => Known::New,
                    Some(Fate::Delivered(_)) => Known::Delivered,
                    Some(Fate::Dropped(_)) => Known::Dropped,
                    Some(Fate::Stored(id)) if self.rows[id].refused.is_some() => Known::Quarantined,
                    Some(Fate::Stored(_)) => Known::Waiting,
                };
                let (id, indicator) = (self.tenants[tenant], domain(&indicator.to_string()));
                assert_eq!(
                    ledger
                        .known(id, &detection.to_string(), &indicator)
                        .unwrap(),
                    expected
                );
            }
        }
    }

    fn compare_batches(&self, ledger: &Ledger, tenant: usize) {
        let mut waiting: Vec<(&i64, &Row)> = self
            .rows
            .iter()
            .filter(|(id, _)| self.waits(tenant, **id))
            .collect();
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
        let found: Vec<_> = handed_out
            .iter()
            .map(|one| (one.id, one.item.as_str(), one.severity))
            .collect();
        assert_eq!(found, expected);
        let status = ledger
            .view()
            .status(DateTime::UNIX_EPOCH.date_naive())
            .unwrap();
        let status = status
            .iter()
            .find(|status| status.source == SOURCES[tenant])
            .unwrap();
        let refused = self
            .rows
            .values()
            .filter(|row| row.tenant == tenant && row.refused.is_some())
            .count() as u64;
        assert_eq!(
            (status.waiting, status.quarantined),
            (waiting.len() as u64, refused)
        );
        assert_eq!(
            status.oldest_waiting,
            waiting.iter().map(|(_, row)| row.stored_at).min()
        );
    }

    fn compare_rows(&self, ledger: &Ledger) {
        let held = ledger.view().list(&Filter::default()).unwrap();
        let items = ledger.view().export(&Filter::default()).unwrap();
        assert_eq!(
            (held.len(), items.len()),
            (self.rows.len(), self.rows.len())
        );
        for ((held, item), (id, row)) in held.into_iter().zip(items).zip(&self.rows) {
            let found = Row {
                tenant: self
                    .tenants
                    .iter()
                    .position(|tenant| *tenant == held.tenant)
                    .unwrap(),
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
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get::<_, columns::Count>(3)?.0,
                ))
            })
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let expected = self
            .techniques
            .iter()
            .map(|((tenant, day, code), count)| {
                (
                    self.tenants[*tenant].0,
                    day.to_string(),
                    code.clone(),
                    *count,
                )
            })
            .collect();
        assert_eq!(found, expected);
    }

    /// The first two invariants, read from the table itself.
    fn compare_sightings(&self, ledger: &Ledger) {
        let db = ledger.view().db();
        let count = |select: &str| {
            db.query_row(select, [], |row| row.get::<_, i64>(0))
                .unwrap()
        };
        assert_eq!(
            count("SELECT count(*) FROM sighting"),
            i64::try_from(self.fates.len()).unwrap()
        );
        let alone = "SELECT count(*) FROM outbox WHERE id NOT IN (SELECT outbox FROM sighting WHERE outbox IS NOT NULL)";
        assert_eq!(count(alone), 0, "a row that no detection stands behind");
        assert_eq!(count("SELECT count(*) FROM pragma_foreign_key_check"), 0);
        for ((tenant, detection, indicator), fate) in &self.fates {
            let (outbox, delivered, dropped) = match fate {
                Fate::Stored(id) => (Some(*id), None, None),
                Fate::Delivered(when) => (None, Some(columns::text(*when)), None),
                Fate::Dropped(when) => (None, None, Some(columns::text(*when))),
            };
            let select =
                "SELECT count(*) FROM sighting WHERE tenant = ?1 AND detection = ?2 AND value = ?3
                          AND outbox IS ?4 AND delivered_at IS ?5 AND dropped_at IS ?6";
            let indicator = domain(&indicator.to_string());
            let columns = rusqlite::params![
                self.tenants[*tenant].0,
                detection.to_string(),
                indicator.value(),
                outbox,
                delivered,
                dropped
            ];
            assert_eq!(
                db.query_row(select, columns, |row| row.get(0)),
                Ok(1),
                "{fate:?}"
            );
        }
    }
}
