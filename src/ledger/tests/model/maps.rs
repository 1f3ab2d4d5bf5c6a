//! The model: what the ledger should have, as maps, and how each step changes it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::super::Purged;
use super::*;

/// A row of the table `outbox`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) tenant: usize,
    pub(super) run: String,
    pub(super) indicator: usize,
    pub(super) severity: Option<u8>,
    pub(super) detections: u64,
    pub(super) stored_at: DateTime<Utc>,
    pub(super) attempts: u32,
    pub(super) rejection: Option<(u16, String, DateTime<Utc>)>,
    /// All mentions that were merged into it.
    mentions: Vec<Mention>,
}

impl Row {
    /// The item: the earliest mention, with the codes of all.
    pub(super) fn item(&self) -> Value {
        let order = |mention: &&Mention| {
            let alert = mention.alert();
            (alert.observed_at, alert.id, mention.field)
        };
        let earliest = self.mentions.iter().min_by_key(order).unwrap();
        let alert = earliest.alert();
        let codes: BTreeSet<String> =
            self.mentions.iter().flat_map(|mention| mention.codes()).collect();
        let mut item = json!({
            "timestamp": alert.observed_at.to_rfc3339_opts(SecondsFormat::Millis, true),
            "ioc": {
                "type": "domain",
                "value": indicator(self.indicator).value(),
                "source_type": "endpoint",
                "field": earliest.field,
            },
            "detection": {"type": "correlation", "id": alert.id},
            "incident": {"id": alert.id, "type": "crowdstrike-alert"},
        });
        if !codes.is_empty() {
            item["mitre_codes"] = json!(codes);
        }
        item
    }
}

/// A row of the table `settled`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) indicator: usize,
    pub(super) detections: u64,
    pub(super) batch: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchState {
    Sending,
    Delivered,
    Dropped,
}

/// A row of the table `batch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BatchRow {
    pub(super) tenant: usize,
    pub(super) token: String,
    pub(super) state: BatchState,
    pub(super) entries: u64,
    pub(super) span: Option<(i64, i64)>,
    pub(super) techniques: BTreeMap<String, u64>,
    /// `None` for a batch that was never `sending`.
    pub(super) begun_at: Option<DateTime<Utc>>,
    pub(super) ended_at: Option<DateTime<Utc>>,
}

/// A row of the table `run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunRow {
    pub(super) started_at: DateTime<Utc>,
    pub(super) finished: Option<(DateTime<Utc>, u8)>,
}

/// A row of the table `left_out`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeftOutRow {
    pub(super) mentions: u64,
    pub(super) first_at: DateTime<Utc>,
    pub(super) last_at: DateTime<Utc>,
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) tenants: [TenantId; TENANTS],
    pub(super) outbox: BTreeMap<i64, Row>,
    pub(super) settled: BTreeMap<i64, Settled>,
    pub(super) batches: BTreeMap<u32, BatchRow>,
    /// A tenant, a detection and an entry.
    pub(super) sightings: BTreeSet<(usize, usize, i64)>,
    pub(super) checkpoints: [Option<DateTime<Utc>>; TENANTS],
    pub(super) first_windows: [Option<DateTime<Utc>>; TENANTS],
    /// By tenant and id.
    pub(super) runs: BTreeMap<(usize, String), RunRow>,
    /// The number and the time of the last hit, by tenant and rule.
    pub(super) hits: BTreeMap<(usize, String), (u64, DateTime<Utc>)>,
    /// What was left out, by tenant and value.
    pub(super) left_out: BTreeMap<(usize, String), LeftOutRow>,
    /// What a dry run sees in the real ledger only: settled entries and sightings.
    pub(super) in_real_only: (BTreeSet<i64>, BTreeSet<(usize, usize, i64)>),
    pub(super) tenant: usize,
    pub(super) run: String,
    pub(super) resend: bool,
    /// The entry of each indicator in this run.
    pub(super) run_entries: BTreeMap<usize, i64>,
    pub(super) last_id: i64,
    last_batch: u32,
    last_run: u32,
}

impl Model {
    pub(super) fn new(folder: &Folder) -> Self {
        let path = folder.ledger();
        let tenant = |tenant: usize| {
            let options = TenantOptions { tenant: tenant_of(tenant), ..options() };
            let clock = Clock::fixed(at_minute(0));
            TenantLedger::open_alone(Some(&path), false, options, clock).unwrap().tenant
        };
        Self {
            tenants: std::array::from_fn(tenant),
            outbox: BTreeMap::new(),
            settled: BTreeMap::new(),
            batches: BTreeMap::new(),
            sightings: BTreeSet::new(),
            checkpoints: [None; TENANTS],
            first_windows: [None; TENANTS],
            runs: BTreeMap::new(),
            hits: BTreeMap::new(),
            left_out: BTreeMap::new(),
            in_real_only: Default::default(),
            tenant: 0,
            run: String::new(),
            resend: false,
            run_entries: BTreeMap::new(),
            last_id: 0,
            last_batch: 0,
            last_run: 0,
        }
    }

    pub(super) fn batch_of(&self, id: i64) -> Option<&BatchRow> {
        self.settled.get(&id).map(|settled| &self.batches[&settled.batch])
    }

    /// Whether the entry can be sent.
    pub(super) fn is_queued(&self, tenant: usize, id: i64) -> bool {
        let row = self.outbox.get(&id);
        row.is_some_and(|row| row.tenant == tenant && row.rejection.is_none())
            && !self.settled.contains_key(&id)
    }

    /// The entries that are not delivered, by id.
    pub(super) fn pending(&self) -> impl Iterator<Item = (i64, &Row)> {
        let ended = |id: &i64| self.batch_of(*id).is_some_and(|batch| batch.ended_at.is_some());
        self.outbox.iter().filter(move |(id, _)| !ended(id)).map(|(id, row)| (*id, row))
    }

    fn matching(&self, choice: &Choice) -> Vec<i64> {
        let matches = |row: &Row| {
            choice.source.is_none_or(|source| source == tenant_of(row.tenant).source)
                && choice.state.is_none_or(|state| {
                    (state == EntryState::Quarantined) == row.rejection.is_some()
                })
        };
        self.pending().filter(|(_, row)| matches(row)).map(|(id, _)| id).collect()
    }

    /// Begins the next run, which looks up what is in doubt, unless it is a dry run.
    pub(super) fn next_run(&mut self, tenant: usize, resend: bool, is_dry: bool) {
        self.last_run += 1;
        self.run = format!("run {}", self.last_run);
        (self.tenant, self.resend) = (tenant, resend);
        self.run_entries.clear();
        let in_doubt: Vec<u32> = self
            .batches
            .iter()
            .filter(|(_, batch)| batch.tenant == tenant && batch.state == BatchState::Sending)
            .map(|(number, _)| *number)
            .collect();
        for number in in_doubt {
            self.resolve_batch(number, is_dry);
        }
        self.delete_delivered();
    }

    pub(super) fn begin_dry_run(&mut self) {
        let settled = self.settled.keys().filter(|id| !self.outbox.contains_key(id)).copied();
        self.in_real_only = (settled.collect(), self.sightings.clone());
        self.hits.clear();
        self.left_out.clear();
    }

    pub(super) fn count_hits(&mut self, hits: &BTreeMap<String, u64>, now: DateTime<Utc>) {
        for (rule, count) in hits {
            let known = self.hits.entry((self.tenant, rule.clone())).or_insert((0, now));
            *known = (known.0 + count, now);
        }
    }

    pub(super) fn add_left_out(&mut self, counts: &BTreeMap<String, u64>, now: DateTime<Utc>) {
        for (value, count) in counts {
            let row = self.left_out.entry((self.tenant, value.clone()));
            let row = row.or_insert(LeftOutRow { mentions: 0, first_at: now, last_at: now });
            *row = LeftOutRow { mentions: row.mentions + count, last_at: now, ..*row };
        }
    }

    /// Whether an entry of this run has left the outbox.
    pub(super) fn run_has_sent(&self) -> bool {
        self.run_entries.values().any(|id| !self.outbox.contains_key(id))
    }

    pub(super) fn add(&mut self, mention: Mention, now: DateTime<Utc>) -> StoreOutcome {
        let is_indicator = |id: &i64| {
            let (row, settled) = (self.outbox.get(id), self.settled.get(id));
            let found = row.map(|row| row.indicator).or(settled.map(|settled| settled.indicator));
            found == Some(mention.indicator)
        };
        let known = self
            .sightings
            .iter()
            .filter(|(tenant, detection, _)| {
                (*tenant, *detection) == (self.tenant, mention.detection)
            })
            .map(|(.., entry)| *entry)
            .find(is_indicator);
        if let Some(id) = known {
            match self.batch_of(id).map(|batch| batch.state) {
                Some(BatchState::Delivered) if self.resend => {
                    self.sightings.remove(&(self.tenant, mention.detection, id));
                }
                Some(BatchState::Delivered) => return StoreOutcome::AlreadyDelivered,
                Some(BatchState::Dropped) => return StoreOutcome::Duplicate,
                Some(BatchState::Sending) | None => {
                    let row = &self.outbox[&id];
                    if row.run == self.run && row.rejection.is_none() {
                        self.merge(id, mention, 0);
                    }
                    return StoreOutcome::Duplicate;
                }
            }
        }
        if let Some(id) = self.run_entries.get(&mention.indicator).copied() {
            self.merge(id, mention, 1);
            self.sightings.insert((self.tenant, mention.detection, id));
            return StoreOutcome::Duplicate;
        }
        self.last_id += 1;
        let row = Row {
            tenant: self.tenant,
            run: self.run.clone(),
            indicator: mention.indicator,
            severity: mention.severity,
            detections: 1,
            stored_at: now,
            attempts: 0,
            rejection: None,
            mentions: vec![mention],
        };
        self.outbox.insert(self.last_id, row);
        self.run_entries.insert(mention.indicator, self.last_id);
        self.sightings.insert((self.tenant, mention.detection, self.last_id));
        StoreOutcome::New
    }

    fn merge(&mut self, id: i64, mention: Mention, detections: u64) {
        let row = self.outbox.get_mut(&id).unwrap();
        row.severity = row.severity.max(mention.severity);
        row.detections += detections;
        row.mentions.push(mention);
    }

    /// Begins a batch and returns its number; `None` when one of the items is not queued.
    pub(super) fn begin_batch(&mut self, items: &[QueuedItem], now: DateTime<Utc>) -> Option<u32> {
        let ids: BTreeSet<i64> = items.iter().map(|item| item.id.0).collect();
        if ids.len() < items.len() || !ids.iter().all(|id| self.is_queued(self.tenant, *id)) {
            return None;
        }
        Some(self.write_batch(self.tenant, ids, now))
    }

    /// Writes a batch in state `sending`, and returns its number.
    fn write_batch(&mut self, tenant: usize, ids: BTreeSet<i64>, now: DateTime<Utc>) -> u32 {
        let span = ids.first().copied().zip(ids.last().copied());
        let techniques = techniques(ids.iter().map(|id| self.outbox[id].item()));
        let number = self.new_batch(tenant, BatchState::Sending, ids.len(), span, None);
        let batch = self.batches.get_mut(&number).unwrap();
        (batch.techniques, batch.begun_at) = (techniques, Some(now));
        self.settle(ids, number);
        number
    }

    fn new_batch(
        &mut self,
        tenant: usize,
        state: BatchState,
        entries: usize,
        span: Option<(i64, i64)>,
        ended_at: Option<DateTime<Utc>>,
    ) -> u32 {
        self.last_batch += 1;
        let (token, entries) = (tenant_of(tenant).token, entries as u64);
        let techniques = BTreeMap::new();
        let begun_at = None;
        let batch =
            BatchRow { tenant, token, state, entries, span, techniques, begun_at, ended_at };
        self.batches.insert(self.last_batch, batch);
        self.last_batch
    }

    fn settle(&mut self, ids: impl IntoIterator<Item = i64>, batch: u32) {
        for id in ids {
            let row = &self.outbox[&id];
            let (indicator, detections) = (row.indicator, row.detections);
            self.settled.insert(id, Settled { indicator, detections, batch });
        }
    }

    pub(super) fn deliver_batch(&mut self, number: u32, now: DateTime<Utc>) {
        let batch = self.batches.get_mut(&number).unwrap();
        (batch.state, batch.ended_at) = (BatchState::Delivered, Some(now));
    }

    /// Removes a batch, and returns the rows of its entries.
    pub(super) fn requeue_batch(&mut self, number: u32) -> Vec<&mut Row> {
        self.batches.remove(&number).unwrap();
        let requeued: BTreeSet<i64> = self
            .settled
            .iter()
            .filter(|(_, settled)| settled.batch == number)
            .map(|(id, _)| *id)
            .collect();
        self.settled.retain(|id, _| !requeued.contains(id));
        self.outbox.iter_mut().filter(|(id, _)| requeued.contains(id)).map(|(_, row)| row).collect()
    }

    /// Ends the doubt about a batch: the entries that are not found are queued again.
    fn resolve_batch(&mut self, number: u32, is_dry: bool) {
        let entries = self.settled.iter().filter(|(_, settled)| settled.batch == number);
        for (id, _) in entries.filter(|_| !is_dry) {
            let row = self.outbox.get_mut(id).unwrap();
            row.attempts = row.attempts.max(1);
        }
        let is_lost = |id: &i64, settled: &Settled| {
            settled.batch == number && (is_dry || !is_found(EntryId(*id)))
        };
        self.settled.retain(|id, settled| !is_lost(id, settled));
        let found = self.settled.iter().filter(|(_, settled)| settled.batch == number);
        let found: Vec<&Row> = found.map(|(id, _)| &self.outbox[id]).collect();
        if found.is_empty() {
            self.batches.remove(&number);
            return;
        }
        let (entries, techniques) =
            (found.len() as u64, techniques(found.iter().map(|row| row.item())));
        let batch = self.batches.get_mut(&number).unwrap();
        (batch.state, batch.entries, batch.techniques) =
            (BatchState::Delivered, entries, techniques);
        batch.ended_at = batch.begun_at;
    }

    pub(super) fn delete_delivered(&mut self) {
        let pending: BTreeSet<i64> = self.pending().map(|(id, _)| id).collect();
        self.outbox.retain(|id, _| pending.contains(id));
    }

    pub(super) fn record_delivered(&mut self, token: &str, count: u64, now: DateTime<Utc>) {
        let number = self.new_batch(self.tenant, BatchState::Delivered, 0, None, Some(now));
        let batch = self.batches.get_mut(&number).unwrap();
        (batch.token, batch.entries) = (token.to_owned(), count);
    }

    pub(super) fn retry(&mut self, choice: &Choice, now: DateTime<Utc>) -> u64 {
        let state = Some(EntryState::Quarantined);
        let chosen = self.matching(&Choice { state, ..choice.clone() });
        let mut by_tenant_and_day = BTreeMap::<(usize, String), BTreeSet<i64>>::new();
        for id in &chosen {
            let row = self.outbox.get_mut(id).unwrap();
            row.rejection = None;
            if row.attempts > 1 && !self.settled.contains_key(id) {
                let item = row.item();
                let (day, _) = item["timestamp"].as_str().unwrap().split_once('T').unwrap();
                by_tenant_and_day.entry((row.tenant, day.to_owned())).or_default().insert(*id);
            }
        }
        for ((tenant, _), ids) in by_tenant_and_day {
            let last = self.last_run(tenant).unwrap_or(now);
            let is_plausible = last <= now && now <= last + TimeDelta::days(90);
            let begun_at = if is_plausible { now } else { last };
            self.write_batch(tenant, ids, begun_at);
        }
        chosen.len() as u64
    }

    pub(super) fn drop_entries(&mut self, choice: &Choice, now: DateTime<Utc>) -> u64 {
        let chosen = self.matching(choice);
        for tenant in 0..TENANTS {
            let is_own = |id: &i64| self.outbox.get(id).is_some_and(|row| row.tenant == tenant);
            let ids: Vec<i64> = chosen.iter().copied().filter(is_own).collect();
            let dropped_at = self.last_run(tenant).map_or(now, |last| last.max(now));
            if let Some(span) = ids.first().copied().zip(ids.last().copied()) {
                let (state, count) = (BatchState::Dropped, ids.len());
                let batch = self.new_batch(tenant, state, count, Some(span), Some(dropped_at));
                self.settle(ids.iter().copied(), batch);
                self.outbox.retain(|id, _| !ids.contains(id));
            }
        }
        chosen.len() as u64
    }

    fn last_run(&self, tenant: usize) -> Option<DateTime<Utc>> {
        let runs = self.runs.iter().filter(|((of, _), _)| *of == tenant);
        runs.map(|(_, run)| run.started_at).max()
    }

    pub(super) fn begin_run(&mut self, now: DateTime<Utc>) -> bool {
        let key = (self.tenant, self.run.clone());
        let is_new = !self.runs.contains_key(&key);
        self.runs.entry(key).or_insert(RunRow { started_at: now, finished: None });
        is_new
    }

    pub(super) fn finish_run(&mut self, code: u8, now: DateTime<Utc>) -> bool {
        let run = self.runs.get_mut(&(self.tenant, self.run.clone()));
        match run.filter(|run| run.finished.is_none()) {
            Some(run) => {
                run.finished = Some((now, code));
                true
            }
            None => false,
        }
    }

    pub(super) fn advance(
        &mut self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Advance {
        let (checkpoint, first) = (self.checkpoints[self.tenant], self.first_windows[self.tenant]);
        let until = until.min(now);
        let complete_until = checkpoint.or(first.filter(|first| *first <= now));
        if from > until || checkpoint.is_some_and(|checkpoint| until <= checkpoint) {
            Advance::Unchanged
        } else if complete_until.is_some_and(|complete_until| complete_until < from) {
            Advance::WouldLeaveGap
        } else {
            self.checkpoints[self.tenant] = Some(until);
            self.first_windows[self.tenant] = first.into_iter().chain([from]).min();
            Advance::Moved
        }
    }

    /// Sets checkpoints in the future back by 30 days, and returns their number.
    pub(super) fn reset_checkpoints(&mut self, now: DateTime<Utc>) -> u64 {
        let latest = now + TimeDelta::minutes(5);
        let mut count = 0;
        for (checkpoint, first) in self.checkpoints.iter_mut().zip(&mut self.first_windows) {
            if checkpoint.is_some_and(|checkpoint| checkpoint > latest) {
                *first = first.filter(|first| *first <= latest);
                *checkpoint = first.map(|first| first.max(now - TimeDelta::days(30)));
                count += 1;
            }
        }
        count
    }

    pub(super) fn purge(&mut self, now: DateTime<Utc>) -> Purged {
        let count = |model: &Self| {
            let (sightings, runs) = (model.sightings.len(), model.runs.len());
            let (hits, left_out) = (model.hits.len(), model.left_out.len());
            [sightings, runs, model.batches.len(), hits, left_out].map(|rows| rows as u64)
        };
        let before = count(self);
        let (old, older) = (now - TimeDelta::days(90), now - TimeDelta::days(400));
        let expired: BTreeSet<i64> = self
            .settled
            .keys()
            .filter(|id| self.batch_of(**id).unwrap().ended_at.is_some_and(|ended| ended < old))
            .copied()
            .collect();
        // A sighting whose alert was created later stays, and counts as never seen.
        self.sightings.retain(|(_, detection, entry)| {
            let mention =
                Mention { detection: *detection, severity: None, indicator: 0, field: "" };
            !(expired.contains(entry) && mention.alert().created_at < old)
        });
        self.settled.retain(|id, _| !expired.contains(id));
        for batch in self.batches.values_mut() {
            if batch.ended_at.is_some_and(|ended| ended < old) {
                batch.span = None;
            }
        }
        self.runs.retain(|_, run| run.started_at >= older);
        self.batches.retain(|_, batch| batch.ended_at.is_none_or(|ended| ended >= older));
        self.hits.retain(|_, (_, last)| *last >= older);
        self.left_out.retain(|_, row| row.last_at >= old);
        let after = count(self);
        let [sightings, runs, batches, exclusion_rules, left_out] =
            std::array::from_fn(|n| before[n] - after[n]);
        Purged { sightings, runs, batches, exclusion_rules, left_out }
    }
}

/// Whether a search finds an entry that was in doubt.
pub(super) const fn is_found(entry: EntryId) -> bool {
    entry.0 % 2 == 1
}

/// Returns how many items name each technique.
fn techniques(items: impl Iterator<Item = Value>) -> BTreeMap<String, u64> {
    let mut techniques = BTreeMap::new();
    for item in items {
        for code in item["mitre_codes"].as_array().into_iter().flatten() {
            let code = code.as_str().unwrap();
            if !code.starts_with("TA") {
                *techniques.entry(code.to_owned()).or_default() += 1;
            }
        }
    }
    techniques
}
