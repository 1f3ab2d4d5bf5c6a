//! Applies each step to the ledger and to the model, and compares what the two return.

use std::collections::BTreeMap;

use super::maps::{Model, is_found};
use super::*;
use crate::ledger::batch::Batch;

/// The ledger, and what a run remembers of it.
pub(super) struct Driver<'a> {
    pub(super) folder: &'a Folder,
    pub(super) ledger: TenantLedger,
    pub(super) dry_run: bool,
    /// The time of the last step.
    pub(super) now: DateTime<Utc>,
    /// Every item as the queue showed it last, also those that left it.
    pub(super) items: BTreeMap<i64, QueuedItem>,
    /// Batches that were begun, with their numbers in the model and the times at which they began.
    sending: Vec<(Batch, u32, DateTime<Utc>)>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(folder: &'a Folder, model: &mut Model) -> Self {
        model.next_run(0, false, false);
        Self::open(folder, model, false, at_minute(0))
    }

    /// Opens the ledger for the run of the model.
    fn open(folder: &'a Folder, model: &Model, dry_run: bool, now: DateTime<Utc>) -> Self {
        let path = folder.ledger();
        let options = TenantOptions {
            tenant: tenant_of(model.tenant),
            run_id: &model.run,
            resend: model.resend,
            ..options()
        };
        let ledger =
            TenantLedger::open_alone(Some(&path), dry_run, options, Clock::fixed(now)).unwrap();
        // The test is about what the ledger has, not about the disk: without syncs it takes far
        // less time.
        ledger.ledger().reader().db().pragma_update(None, "synchronous", "OFF").unwrap();
        resolve_doubt(&ledger, is_found);
        ledger.delete_delivered().unwrap();
        let (items, sending) = (BTreeMap::new(), Vec::new());
        Self { folder, ledger, dry_run, now, items, sending }
    }

    pub(super) fn apply(&mut self, model: &mut Model, step: &Step, now: DateTime<Utc>) {
        self.now = now;
        self.ledger.set_clock(Clock::fixed(now));
        match step {
            Step::NextRun { tenant, resend, reopen } => {
                self.next_run(model, *tenant, *resend, *reopen);
            }
            Step::Store { mentions, hits, fails } => self.store(model, mentions, hits, *fails),
            Step::Begin { first, ids } => self.begin(model, *first, ids),
            Step::End { nth, ending } => self.end(model, *nth, *ending),
            Step::DeleteDelivered => {
                self.ledger.delete_delivered().unwrap();
                model.delete_delivered();
            }
            Step::Retry(choice) => {
                self.sending.clear();
                let count = self.ledger.ledger().retry_quarantined(&choice.filter(), now).unwrap();
                assert_eq!(count, model.retry(choice, now));
            }
            Step::Drop(choice) => {
                self.sending.clear();
                let count = self.ledger.ledger().drop_entries(&choice.filter(), now).unwrap();
                assert_eq!(count, model.drop_entries(choice, now));
            }
            Step::RecordFirstWindow { start } => {
                let start = at_minute(start * DAY);
                self.ledger.record_first_window(start).unwrap();
                if model.checkpoints[model.tenant].is_none() {
                    model.first_windows[model.tenant] = Some(start);
                }
            }
            Step::ResetCheckpoints => {
                let back_to = now - TimeDelta::days(30);
                let count = self.ledger.ledger().reset_checkpoints(now, back_to).unwrap();
                assert_eq!(count, model.reset_checkpoints(now));
            }
            Step::Advance { from, until } => {
                let (from, until) = (at_minute(from * DAY), at_minute(until * DAY));
                let advance = self
                    .ledger
                    .advance_checkpoint(Window { start: from, end: until }, None)
                    .unwrap();
                assert_eq!(advance, model.advance(from, until, now));
            }
            Step::BeginRun => {
                let begun = self.ledger.begin_run("live", window());
                assert_eq!(begun.is_ok(), model.begin_run(now), "{begun:?}");
            }
            Step::FinishRun(code) => {
                // Each failed run found alerts.
                let counts = format!(r#"{{"alerts_fetched":{code}}}"#);
                let finished = self.ledger.finish_run(*code, &counts, None);
                assert_eq!(finished.is_ok(), model.finish_run(*code, now), "{finished:?}");
            }
            Step::RecordDelivered(count) => {
                let (whole, tenant) = (self.ledger.ledger(), self.ledger.tenant);
                record_delivered(whole.reader().db(), tenant, TOKEN, *count, now);
                model.record_delivered(TOKEN, *count, now);
            }
            Step::Purge => {
                // As at the end of a run: what was delivered has left the outbox by then.
                self.ledger.delete_delivered().unwrap();
                model.delete_delivered();
                assert_eq!(self.ledger.purge_expired().unwrap(), model.purge(now));
            }
            Step::DryRun { tenant, resend, steps } => {
                self.dry_run(model, *tenant, *resend, steps);
            }
        }
    }

    fn next_run(&mut self, model: &mut Model, tenant: usize, resend: bool, reopen: bool) {
        model.next_run(tenant, resend, self.dry_run);
        if reopen {
            self.close();
            *self = Self::open(self.folder, model, false, self.now);
            return;
        }
        self.sending.clear();
        self.ledger.tenant = model.tenants[tenant];
        self.ledger.token = tenant_of(tenant).token;
        self.ledger.resend = resend;
        next_run_that_finds(&mut self.ledger, &model.run, is_found);
    }

    fn store(
        &mut self,
        model: &mut Model,
        mentions: &[Mention],
        hits: &BTreeMap<String, u64>,
        fails: bool,
    ) {
        // A run stores everything before it sends what it stored.
        if model.run_has_sent() {
            self.next_run(model, model.tenant, model.resend, false);
        }
        let mut stored = Vec::new();
        let done: Result<()> = self.ledger.store(|store| {
            for mention in mentions {
                let indicator = indicator(mention.indicator);
                stored.push(store.add(&mention.alert(), &indicator, mention.field)?);
            }
            store.count_hits(hits)?;
            store.add_left_out(&samples(hits))?;
            if fails { Err(undo()) } else { Ok(()) }
        });
        assert_eq!(done.is_err(), fails, "{done:?}");
        let mut changed = model.clone();
        let expected: Vec<_> =
            mentions.iter().map(|mention| changed.add(*mention, self.now)).collect();
        assert_eq!(stored, expected);
        changed.count_hits(hits, self.now);
        changed.add_left_out(hits, self.now);
        if !fails {
            *model = changed;
        }
    }

    fn begin(&mut self, model: &mut Model, first: usize, ids: &[i64]) {
        let mut items = self.ledger.next_items(first, None).unwrap().items;
        items.extend(ids.iter().filter_map(|id| self.items.get(id)).cloned());
        let begun = self.ledger.begin_batch(&items);
        match model.begin_batch(&items, self.now) {
            Some(number) => self.sending.push((begun.unwrap(), number, self.now)),
            None => assert!(is_not_queued(&begun)),
        }
    }

    fn end(&mut self, model: &mut Model, nth: usize, ending: Ending) {
        if self.sending.is_empty() {
            return;
        }
        let (batch, number, begun) = self.sending.swap_remove(nth % self.sending.len());
        // No run is longer than a day.
        let now = self.now.clamp(begun, begun + TimeDelta::days(1));
        self.ledger.set_clock(Clock::fixed(now));
        match ending {
            Ending::Deliver => {
                self.ledger.deliver_batch(batch).unwrap();
                model.deliver_batch(number, now);
            }
            Ending::Requeue => {
                self.ledger.requeue_batch(&batch).unwrap();
                model.requeue_batch(number);
            }
            Ending::RequeueFailed => {
                self.ledger.requeue_failed_batch(&batch).unwrap();
                for row in model.requeue_batch(number) {
                    row.attempts += 1;
                }
            }
            Ending::Quarantine => {
                self.ledger.quarantine_batch(&batch, 422, "no").unwrap();
                for row in model.requeue_batch(number) {
                    row.attempts += 1;
                    row.rejection = Some((422, "no".to_owned(), now));
                }
            }
        }
    }

    /// Does steps in a dry run, and then goes on with another run.
    fn dry_run(&mut self, model: &mut Model, tenant: usize, resend: bool, steps: &[(Step, i64)]) {
        self.close();
        let folder = self.folder;
        let before = (folder.bytes(), folder.file_names());
        let mut clone = model.clone();
        clone.begin_dry_run();
        clone.next_run(tenant, resend, true);
        let mut driver = Self::open(folder, &clone, true, self.now);
        driver.compare(&clone);
        for (step, day) in steps {
            driver.apply(&mut clone, step, at_minute(day * DAY));
            driver.compare(&clone);
        }
        // Not one of the steps: in a dry run, a purge deletes only from the private ledger, and
        // what it would delete from the real one is still found there.
        driver.ledger.purge_expired().unwrap();
        drop(driver);
        assert!((folder.bytes(), folder.file_names()) == before, "the dry run changed a file");
        model.next_run(tenant, resend, false);
        *self = Self::open(folder, model, false, self.now);
    }

    /// Closes the file, so that it can be opened again; batches that were begun stay so, as those
    /// of a killed run.
    fn close(&mut self) {
        self.ledger = temporary();
        self.sending.clear();
    }
}

/// Returns samples with the values and counts of a map.
fn samples(counts: &BTreeMap<String, u64>) -> LeftOut {
    let sample =
        |(value, count): (&String, &u64)| ("excluded", value.clone(), "d".to_owned(), *count);
    LeftOut::from_samples(counts.iter().map(sample))
}
