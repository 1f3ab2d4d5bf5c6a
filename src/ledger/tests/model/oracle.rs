//! The model: what the ledger should hold, as maps, and how each step changes it.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::super::super::*;
use super::super::count_used;
use super::{Choice, DAY, Draft, Step, TENANTS, TOKEN, at, domain, key};

pub(super) const SOURCES: [&str; TENANTS] = ["crowdstrike", "carbonblack"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Delivered(DateTime<Utc>),
    Dropped(DateTime<Utc>),
}

impl Settled {
    fn when(self) -> DateTime<Utc> {
        match self {
            Self::Delivered(when) | Self::Dropped(when) => when,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) tenant: usize,
    pub(super) indicator: usize,
    pub(super) severity: Option<u8>,
    pub(super) item: String,
    pub(super) stored_at: DateTime<Utc>,
    pub(super) tries: u32,
    pub(super) refused: Option<(u16, String, DateTime<Utc>)>,
}

/// A tenant, a detection and an indicator.
pub(super) type Pair = (usize, usize, usize);

#[derive(Debug, Clone)]
pub(super) struct Oracle {
    pub(super) tenants: [TenantId; TENANTS],
    pub(super) rows: BTreeMap<i64, Row>,
    pub(super) settled: BTreeMap<i64, Settled>,
    /// The entry that each names.
    pub(super) sightings: BTreeMap<Pair, i64>,
    pub(super) used: BTreeMap<NaiveDate, u64>,
    /// By tenant, day and code.
    pub(super) techniques: BTreeMap<(usize, NaiveDate, String), u64>,
    pub(super) checkpoints: [Option<DateTime<Utc>>; TENANTS],
    pub(super) runs: Vec<(usize, DateTime<Utc>)>,
    begun: u32,
    last_id: i64,
}

impl Oracle {
    pub(super) fn new(ledger: &Ledger) -> Self {
        Self {
            tenants: SOURCES.map(|source| ledger.tenant(&key(source, "account")).unwrap()),
            rows: BTreeMap::new(),
            settled: BTreeMap::new(),
            sightings: BTreeMap::new(),
            used: BTreeMap::new(),
            techniques: BTreeMap::new(),
            checkpoints: [None; TENANTS],
            runs: Vec::new(),
            begun: 0,
            last_id: 0,
        }
    }

    /// Does a step here and there, and compares what the two answer.
    pub(super) fn apply(&mut self, ledger: &Ledger, step: &Step, now: DateTime<Utc>) {
        let id_of = |tenant: usize| self.tenants[tenant];
        let numbered = |ids: &[i64]| ids.iter().copied().map(EntryId).collect::<Vec<_>>();
        match step {
            Step::Store { tenant, entries, resend } => {
                let (tenant_id, real) =
                    (id_of(*tenant), entries.iter().map(real).collect::<Vec<_>>());
                let stored = ledger.store(tenant_id, "run", &real, *resend, now).unwrap();
                assert_eq!(stored, self.store(*tenant, entries, *resend, now));
            }
            Step::Settle { tenant, ids } => {
                let done = ledger.settle_delivered(id_of(*tenant), TOKEN, &numbered(ids), now);
                assert_eq!(done.is_ok(), self.settle(*tenant, ids, now), "{done:?}");
            }
            Step::Quarantine { tenant, id } => {
                let done = ledger.quarantine(id_of(*tenant), EntryId(*id), 422, "no", now);
                let waits = self.waits(*tenant, *id);
                assert_eq!(done.is_ok(), waits, "{done:?}");
                if let Some(row) = self.rows.get_mut(id).filter(|_| waits) {
                    row.refused = Some((422, "no".to_owned(), now));
                    row.tries += 1;
                }
            }
            Step::Tried { tenant, ids } => {
                let done = ledger.tried(id_of(*tenant), &numbered(ids));
                let all = ids.iter().all(|id| self.waits(*tenant, *id));
                assert_eq!(done.is_ok(), all, "{done:?}");
                for id in ids.iter().filter(|_| all) {
                    self.rows.get_mut(id).unwrap().tries += 1;
                }
            }
            Step::Retry(choice) => {
                let chosen = self.chosen(choice, Some(true));
                assert_eq!(
                    ledger.retry_quarantined(&self.filter(choice)).unwrap(),
                    chosen.len() as u64
                );
                for id in chosen {
                    self.rows.get_mut(&id).unwrap().refused = None;
                }
            }
            Step::Drop(choice) => {
                let chosen = self.chosen(choice, choice.quarantined);
                assert_eq!(
                    ledger.drop_entries(&self.filter(choice), now).unwrap(),
                    chosen.len() as u64
                );
                for id in chosen {
                    self.leave(id, Settled::Dropped(now));
                }
            }
            Step::Advance { tenant, from, until } => {
                let (from, until) = (at(from * DAY), at(until * DAY));
                let advance = ledger.advance(id_of(*tenant), from, until, now).unwrap();
                assert_eq!(advance, self.advance(*tenant, from, until, now));
            }
            Step::Run { tenant } => {
                self.begun += 1;
                ledger
                    .begin_run(id_of(*tenant), &self.begun.to_string(), "scheduled", None, now)
                    .unwrap();
                self.runs.push((*tenant, now));
            }
            Step::CountUsed(count) => {
                count_used(ledger, TOKEN, *count, now);
                self.count_used(*count, now);
            }
            Step::Forget => self.forget(ledger.forget(now).unwrap(), now),
            Step::Reopen | Step::Rehearse(_) => unreachable!("these are played, not applied"),
        }
    }

    pub(super) fn waits(&self, tenant: usize, id: i64) -> bool {
        self.rows.get(&id).is_some_and(|row| row.tenant == tenant && row.refused.is_none())
    }

    fn leave(&mut self, id: i64, settled: Settled) {
        self.rows.remove(&id).unwrap();
        assert_eq!(self.settled.insert(id, settled), None);
    }

    fn store(&mut self, tenant: usize, entries: &[Draft], resend: bool, now: DateTime<Utc>) -> u64 {
        let mut stored = 0;
        for draft in entries {
            self.last_id += 1;
            let mut any = false;
            for detection in &draft.detections {
                let pair = (tenant, *detection, draft.indicator);
                let held = self.sightings.get(&pair);
                let settled = held.and_then(|entry| self.settled.get(entry));
                let again = resend && matches!(settled, Some(Settled::Delivered(_)));
                if held.is_none() || again {
                    self.sightings.insert(pair, self.last_id);
                    any = true;
                }
            }
            if any {
                let Entry { severity, item, .. } = real(draft);
                let (indicator, stored_at) = (draft.indicator, now);
                let row =
                    Row { tenant, indicator, severity, item, stored_at, tries: 0, refused: None };
                self.rows.insert(self.last_id, row);
                stored += 1;
            }
        }
        stored
    }

    fn settle(&mut self, tenant: usize, ids: &[i64], now: DateTime<Utc>) -> bool {
        let twice = ids.iter().enumerate().any(|(n, id)| ids[..n].contains(id));
        if twice || !ids.iter().all(|id| self.waits(tenant, *id)) {
            return false;
        }
        for id in ids {
            if let Some(code) = self.rows[id].severity.map(technique) {
                let key = (tenant, now.date_naive(), code);
                *self.techniques.entry(key).or_default() += 1;
            }
            self.leave(*id, Settled::Delivered(now));
        }
        self.count_used(ids.len() as u64, now);
        true
    }

    fn count_used(&mut self, count: u64, now: DateTime<Utc>) {
        if count > 0 {
            *self.used.entry(now.date_naive()).or_default() += count;
        }
    }

    fn filter(&self, choice: &Choice) -> Filter {
        let source =
            choice.tenant.filter(|_| choice.by_source).map(|tenant| SOURCES[tenant].to_owned());
        let tenant = choice.tenant.filter(|_| !choice.by_source).map(|tenant| self.tenants[tenant]);
        let state =
            choice.quarantined.map(|yes| if yes { State::Quarantined } else { State::Waiting });
        let ids = choice.ids.as_ref().map(|ids| ids.iter().copied().map(EntryId).collect());
        Filter { source, tenant, state, ids }
    }

    fn chosen(&self, choice: &Choice, quarantined: Option<bool>) -> Vec<i64> {
        let chosen = self.rows.iter().filter(|(id, row)| {
            choice.tenant.is_none_or(|tenant| tenant == row.tenant)
                && quarantined.is_none_or(|yes| yes == row.refused.is_some())
                && choice.ids.as_ref().is_none_or(|ids| ids.contains(id))
        });
        chosen.map(|(id, _)| *id).collect()
    }

    fn advance(
        &mut self,
        tenant: usize,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Advance {
        let ran =
            self.runs.iter().filter(|(whose, _)| *whose == tenant).map(|(_, when)| *when).max();
        let checkpoint = self.checkpoints[tenant];
        let until = until.min(now);
        if ran.is_some_and(|ran| now < ran) || checkpoint.is_some_and(|checkpoint| now < checkpoint)
        {
            Advance::ClockWentBack
        } else if from > until || checkpoint.is_some_and(|checkpoint| until <= checkpoint) {
            Advance::Unchanged
        } else if checkpoint.is_some_and(|checkpoint| checkpoint < from) {
            Advance::WouldLeaveGap
        } else {
            self.checkpoints[tenant] = Some(until);
            Advance::Moved
        }
    }

    fn forget(&mut self, told: Forgotten, now: DateTime<Utc>) {
        let (sightings, days, runs) = (self.sightings.len(), self.used.len(), self.runs.len());
        let techniques = self.techniques.len();
        let old = now - chrono::TimeDelta::days(90);
        let settled = &self.settled;
        let is_old = |id: &i64| settled.get(id).is_some_and(|settled| settled.when() < old);
        self.sightings.retain(|_, entry| !is_old(entry));
        self.settled.retain(|_, settled| settled.when() >= old);
        self.used.retain(|day, _| *day >= old.date_naive());
        let older = now - chrono::TimeDelta::days(400);
        self.runs.retain(|(_, when)| *when >= older);
        self.techniques.retain(|(_, day, _), _| *day >= older.date_naive());
        let expected = Forgotten {
            sightings: sightings - self.sightings.len(),
            runs: runs - self.runs.len(),
            days: days - self.used.len(),
            techniques: techniques - self.techniques.len(),
        };
        assert_eq!(told, expected);
    }
}

/// The technique that an item of this severity names.
fn technique(severity: u8) -> String {
    format!("T000{severity}")
}

/// The entry of a draft. Its item tells it from others of the same indicator; without a severity it is no JSON at all.
fn real(draft: &Draft) -> Entry {
    let item = match draft.severity.map(technique) {
        Some(code) => format!(r#"{{"is":"{draft:?}","mitre_codes":["{code}","TA0001","{code}"]}}"#),
        None => format!("{draft:?}"),
    };
    Entry {
        indicator: domain(&draft.indicator.to_string()),
        severity: draft.severity,
        item,
        detections: draft.detections.iter().map(ToString::to_string).collect(),
    }
}
