//! Whether the ledger has what the model has.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rusqlite::Row as SqlRow;
use serde_json::Value;

use super::driver::Driver;
use super::maps::{BatchState, Model, Row};
use super::*;
use crate::indicator::IndicatorType;

impl Driver<'_> {
    /// Compares the reads below, and the tables themselves.
    pub(super) fn compare(&mut self, model: &Model) {
        for tenant in 0..TENANTS {
            self.ledger.tenant = model.tenants[tenant];
            self.compare_lookups(model, tenant);
            self.compare_queue(model, tenant);
            self.compare_quota(model, tenant);
            assert_eq!(self.ledger.checkpoint().unwrap(), model.checkpoints[tenant]);
            let fetched = self.ledger.fetched().unwrap();
            let first = model.first_windows[tenant];
            assert_eq!(fetched.map(|fetched| fetched.start), first);
            assert_eq!(fetched.map(|fetched| fetched.end), model.checkpoints[tenant].or(first));
        }
        self.ledger.tenant = model.tenants[model.tenant];
        self.ledger.set_clock(Clock::fixed(self.now));
        self.compare_entries(model);
        self.compare_status(model);
        self.compare_history(model);
        self.compare_tables(model);
        self.compare_batches(model);
        self.compare_hits(model);
        self.compare_left_out(model);
    }

    /// Compares what would become of each mention if a run of this tenant stored it: the current
    /// run, if it is this tenant's and has sent nothing yet, else another one.
    fn compare_lookups(&self, model: &Model, tenant: usize) {
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        let mut model = model.clone();
        let another_run = tenant != model.tenant || model.run_has_sent();
        model.tenant = tenant;
        let undone: Result<()> = self.ledger.store(|store| {
            let db = store.db;
            if another_run {
                db.execute("DELETE FROM temp.run_entry", []).unwrap();
                model.run_entries.clear();
            }
            for detection in 0..DETECTIONS {
                for number in 0..INDICATORS {
                    let mention =
                        Mention { detection, severity: None, indicator: number, field: "field" };
                    db.execute_batch("SAVEPOINT lookup").unwrap();
                    let stored = store.add(&mention.alert(), &indicator(number), "field")?;
                    db.execute_batch("ROLLBACK TO lookup; RELEASE lookup").unwrap();
                    found.push(stored);
                    expected.push(model.clone().add(mention, self.now));
                }
            }
            Err(undo())
        });
        assert_eq!(found, expected, "tenant {tenant}: {undone:?}");
    }

    fn compare_queue(&mut self, model: &Model, tenant: usize) {
        let mut expected: Vec<(i64, &Row)> =
            model.pending().filter(|(id, _)| model.is_queued(tenant, *id)).collect();
        expected.sort_by_key(|(id, row)| (Reverse(row.severity), *id));
        let (mut queue, mut after) = (Vec::new(), None);
        loop {
            let next = self.ledger.next_items(2, after).unwrap();
            if next.end.is_none() {
                break;
            }
            after = next.end;
            queue.extend(next.items);
        }
        assert_eq!(queue, self.ledger.next_items(usize::MAX, None).unwrap().items);
        assert!(queue.iter().all(|queued| queued.indicator_type == IndicatorType::Domain));
        let expected: Vec<_> = expected.into_iter().map(|(id, row)| (id, row.item())).collect();
        let found: Vec<_> =
            queue.iter().map(|queued| (queued.id.0, json(queued.json.get()))).collect();
        assert_eq!(found, expected);
        // Later steps begin batches with any of these, also after they left the queue.
        self.items.extend(queue.into_iter().map(|queued| (queued.id.0, queued)));
        let waiting = |row: &Row| row.tenant == tenant && row.rejection.is_none();
        let queued = model.pending().filter(|(_, row)| waiting(row)).count() as u64;
        assert_eq!(self.ledger.queued().unwrap(), queued);
    }

    fn compare_quota(&mut self, model: &Model, tenant: usize) {
        let token = std::mem::replace(&mut self.ledger.token, tenant_of(tenant).token);
        let ended = model.batches.values().filter_map(|batch| batch.ended_at);
        for time in ended.chain([self.now]) {
            self.ledger.set_clock(Clock::fixed(time));
            let used = used(model, &self.ledger.token, time);
            assert_eq!(self.ledger.quota_used().unwrap(), used);
        }
        self.ledger.token = token;
    }

    fn compare_entries(&self, model: &Model) {
        let sources = [None, Some("crowdstrike"), Some("carbonblack")];
        let states = [None, Some(EntryState::Queued), Some(EntryState::Quarantined)];
        for (source, state) in sources.into_iter().zip(states).chain([(None, states[2])]) {
            let filter = Choice { source, state }.filter();
            let entries = self.ledger.ledger().reader().list(&filter).unwrap();
            let items = self.ledger.ledger().reader().export(&filter).unwrap();
            let found: Vec<_> =
                entries.into_iter().zip(items.iter().map(|item| json(item))).collect();
            let expected: Vec<_> = model
                .pending()
                .map(|(id, row)| (entry(id, row), row.item()))
                .filter(|(entry, _)| source.is_none_or(|source| source == entry.source))
                .filter(|(entry, _)| state.is_none_or(|state| state == entry.state))
                .collect();
            assert_eq!(found, expected);
            assert_eq!(items.len(), found.len());
        }
    }

    fn compare_status(&self, model: &Model) {
        let found =
            self.ledger.ledger().reader().status(self.now, &TenantFilter::default()).unwrap();
        let mut expected: Vec<_> =
            (0..TENANTS).map(|tenant| status(model, tenant, self.now)).collect();
        expected.sort_by_key(|status| status.source.clone());
        assert_eq!(found, expected);
        let runs = self
            .ledger
            .ledger()
            .reader()
            .runs(DateTime::UNIX_EPOCH, &TenantFilter::default())
            .unwrap();
        let found: BTreeMap<_, _> = runs
            .iter()
            .map(|run| {
                (
                    (run.tenant.clone(), run.id.clone()),
                    (run.started_at, run.finished_at, run.exit_code),
                )
            })
            .collect();
        let expected: BTreeMap<_, _> = model
            .runs
            .iter()
            .map(|((tenant, id), run)| {
                let code = run.finished.map(|(_, code)| i32::from(code));
                let key = (tenant_of(*tenant).name, id.clone());
                (key, (run.started_at, run.finished.map(|(time, _)| time), code))
            })
            .collect();
        assert_eq!((found.len(), &found), (runs.len(), &expected));
    }

    fn compare_history(&self, model: &Model) {
        let delivered = |number: &u32| {
            let batch = &model.batches[number];
            batch.ended_at.filter(|_| batch.state == BatchState::Delivered)
        };
        for since in [DateTime::UNIX_EPOCH, self.now] {
            let day = since.date_naive();
            let mut techniques: BTreeMap<&str, u64> = BTreeMap::new();
            for (number, batch) in &model.batches {
                if delivered(number).is_some_and(|ended| ended.date_naive() >= day) {
                    for (code, count) in &batch.techniques {
                        *techniques.entry(code).or_default() += count;
                    }
                }
            }
            let found = self
                .ledger
                .ledger()
                .reader()
                .techniques(
                    Period::since(day.and_time(chrono::NaiveTime::MIN).and_utc()),
                    99,
                    &TenantFilter::default(),
                )
                .unwrap();
            let mut expected: Vec<_> = techniques.into_iter().collect();
            expected.sort_by_key(|(code, count)| (Reverse(*count), *code));
            let found: Vec<_> =
                found.iter().map(|one| (one.code.as_str(), one.submissions)).collect();
            assert_eq!(found, expected);
            if self.dry_run {
                // Nobody reads the history of a dry run, and it has its own entries only.
                continue;
            }
            let mut top: BTreeMap<usize, (u64, DateTime<Utc>)> = BTreeMap::new();
            for settled in model.settled.values() {
                if let Some(ended) = delivered(&settled.batch).filter(|ended| *ended >= since) {
                    let sum = top.entry(settled.indicator).or_insert((0, ended));
                    *sum = (sum.0 + settled.detections, sum.1.max(ended));
                }
            }
            let found = self
                .ledger
                .ledger()
                .reader()
                .top_indicators(since, 99, &TenantFilter::default())
                .unwrap();
            let mut expected: Vec<_> =
                top.into_iter().map(|(n, (count, last))| (count, last, indicator(n))).collect();
            expected.sort_by_key(|(count, last, value)| (Reverse((*count, *last)), value.clone()));
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(detections, last_delivered, indicator)| TopIndicator {
                    indicator_type: indicator.kind(),
                    value: indicator.value().to_owned(),
                    detections,
                    last_delivered,
                })
                .collect();
            assert_eq!(found, expected);
        }
    }

    /// Compares the rows of the tables, and checks the invariants.
    fn compare_tables(&self, model: &Model) {
        let ids = |select: &str| self.rows(select, |row| row.get::<_, i64>(0));
        let outbox: Vec<i64> = model.outbox.keys().copied().collect();
        assert_eq!(ids("SELECT id FROM outbox ORDER BY id"), outbox);
        // The view leaves out the rows whose batch has ended; the table keeps them until they are
        // deleted.
        let pending: Vec<i64> = model.pending().map(|(id, _)| id).collect();
        assert_eq!(ids("SELECT id FROM pending ORDER BY id"), pending);
        let settled = self.rows("SELECT id, value, detections FROM settled ORDER BY id", |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        });
        let (settled_in_real, seen_in_real) = &model.in_real_only;
        let expected: Vec<(i64, String, u32)> = model
            .settled
            .iter()
            .filter(|(id, _)| !settled_in_real.contains(id))
            .map(|(id, settled)| {
                let value = indicator(settled.indicator).value().to_owned();
                (*id, value, u32::try_from(settled.detections).unwrap())
            })
            .collect();
        assert_eq!(settled, expected);
        let mut sightings = self
            .rows("SELECT tenant, created_at, alert, entry FROM sighting", |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            });
        sightings.sort();
        let mut expected: Vec<(i64, i64, String, i64)> = model
            .sightings
            .difference(seen_in_real)
            .map(|(tenant, detection, entry)| {
                let mention =
                    Mention { detection: *detection, severity: None, indicator: 0, field: "" };
                let alert = mention.alert();
                let created = alert.created_at.timestamp_millis();
                (model.tenants[*tenant].0, created, alert.id, *entry)
            })
            .collect();
        expected.sort();
        assert_eq!(sightings, expected);
        let last_id = ids("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'");
        assert_eq!(last_id.first().copied().unwrap_or(0), model.last_id);
        assert_eq!(ids("SELECT count(*) FROM pragma_foreign_key_check"), [0]);
        let dropped =
            "SELECT outbox.id FROM outbox JOIN settled USING (id) JOIN batch ON batch.id = batch
                       WHERE batch.state = 'dropped' OR outbox.state = 'quarantined'";
        assert_eq!(ids(dropped), [0_i64; 0]);
        if !self.dry_run {
            // `outbox` may have rows without an alert: with `resend`, the alert of a delivered one
            // is stored again.
            let unseen = "SELECT id FROM pending WHERE id NOT IN (SELECT entry FROM sighting)";
            assert_eq!(ids(unseen), [0_i64; 0], "an entry that no alert names");
        }
    }

    fn compare_batches(&self, model: &Model) {
        let mut found = self.rows(
            "SELECT tenant, token, state, entries, first_entry, last_entry, techniques, ended_at,
                    (SELECT group_concat(id ORDER BY id) FROM settled WHERE batch = batch.id)
             FROM batch",
            |row| {
                let span = row.get::<_, Option<i64>>(4)?.zip(row.get::<_, Option<i64>>(5)?);
                let entries = row.get::<_, Option<String>>(8)?.unwrap_or_default();
                let techniques = json(&row.get::<_, String>(6)?);
                Ok(format!(
                    "{} {} {} {} {span:?} {techniques} {:?} [{entries}]",
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, String>(2)?,
                    row.get::<_, i64>(3)?,
                    row.get::<_, Option<columns::Time>>(7)?.map(|time| time.0),
                ))
            },
        );
        let mut expected: Vec<String> = model
            .batches
            .iter()
            .map(|(number, batch)| {
                let state = match batch.state {
                    BatchState::Sending => "sending",
                    BatchState::Delivered => "delivered",
                    BatchState::Dropped => "dropped",
                };
                let entries: Vec<String> = model
                    .settled
                    .iter()
                    .filter(|(id, settled)| {
                        settled.batch == *number && !model.in_real_only.0.contains(id)
                    })
                    .map(|(id, _)| id.to_string())
                    .collect();
                format!(
                    "{} {} {state} {} {:?} {} {:?} [{}]",
                    model.tenants[batch.tenant].0,
                    batch.token,
                    batch.entries,
                    batch.span,
                    serde_json::json!(batch.techniques),
                    batch.ended_at,
                    entries.join(","),
                )
            })
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }

    fn compare_hits(&self, model: &Model) {
        let found = self.rows(
            "SELECT tenant, rule, hits, last_hit_at FROM exclusion_hit ORDER BY tenant, rule",
            |row| {
                let last: columns::Time = row.get(3)?;
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, u32>(2)?, last.0))
            },
        );
        let mut expected: Vec<_> = model
            .hits
            .iter()
            .map(|((tenant, rule), (count, last))| {
                let count = u32::try_from(*count).unwrap();
                (model.tenants[*tenant].0, rule.clone(), count, *last)
            })
            .collect();
        expected.sort();
        assert_eq!(found, expected);
        let whole = self.ledger.ledger();
        let reader = whole.reader();
        let hit = model.hits.iter().filter(|(_, (_, last))| *last >= self.now);
        let expected = hit.map(|((_, rule), _)| rule.clone()).collect();
        assert_eq!(reader.rules_hit_since(self.now).unwrap(), expected);
        let first = model.runs.values().map(|run| run.started_at).min();
        assert_eq!(reader.first_run().unwrap(), first);
    }

    fn compare_left_out(&self, model: &Model) {
        let found = self.rows(
            "SELECT tenant, value, mentions, first_at, last_at FROM left_out ORDER BY tenant, value",
            |row| {
                let (first, last): (columns::Time, columns::Time) = (row.get(3)?, row.get(4)?);
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, first.0, last.0))
            },
        );
        let expected = model.left_out.iter().map(|((tenant, value), row)| {
            let mentions = u32::try_from(row.mentions).unwrap();
            (model.tenants[*tenant].0, value.clone(), mentions, row.first_at, row.last_at)
        });
        let mut expected: Vec<(i64, String, u32, _, _)> = expected.collect();
        expected.sort();
        assert_eq!(found, expected);
    }

    fn rows<T>(
        &self,
        select: &str,
        read: impl FnMut(&SqlRow<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let whole = self.ledger.ledger();
        let mut select = whole.reader().db().prepare_cached(select).unwrap();
        let rows = select.query_map([], read).unwrap();
        rows.map(std::result::Result::unwrap).collect()
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn used(model: &Model, token: &str, time: DateTime<Utc>) -> u64 {
    model
        .batches
        .values()
        .filter(|batch| batch.token == token && batch.state == BatchState::Delivered)
        .filter(|batch| batch.ended_at.unwrap().date_naive() == time.date_naive())
        .map(|batch| batch.entries)
        .sum()
}

fn organizations(tenant: usize) -> Vec<String> {
    let mut organizations = tenant_of(tenant).organizations;
    organizations.sort();
    organizations
}

fn entry(id: i64, row: &Row) -> OutboxEntry {
    let rejection = row.rejection.clone();
    OutboxEntry {
        id: EntryId(id),
        tenant: tenant_of(row.tenant).name,
        source: tenant_of(row.tenant).source,
        organizations: organizations(row.tenant),
        run: row.run.clone(),
        indicator_type: indicator(row.indicator).kind().to_string(),
        value: indicator(row.indicator).value().to_owned(),
        severity: row.severity,
        stored_at: row.stored_at,
        attempts: row.attempts,
        state: match rejection {
            Some(_) => EntryState::Quarantined,
            None => EntryState::Queued,
        },
        status: rejection.as_ref().map(|rejection| rejection.0),
        message: rejection.as_ref().map(|rejection| rejection.1.clone()),
        rejected_at: rejection.map(|rejection| rejection.2),
    }
}

fn status(model: &Model, tenant: usize, now: DateTime<Utc>) -> TenantStatus {
    let key = tenant_of(tenant);
    let runs = || model.runs.iter().filter(|((of, _), _)| *of == tenant);
    let latest = now + TimeDelta::minutes(5);
    // A run in the future is the last one where there is no other.
    let last = runs().max_by_key(|((_, id), run)| (run.started_at <= latest, run.started_at, id));
    let last = last.map(|(_, run)| run);
    let finished =
        || runs().filter_map(|(_, run)| run.finished).filter(|(time, _)| *time <= latest);
    let finished = |succeeded: bool| {
        finished().filter(|(_, code)| (*code == 0) == succeeded).map(|(time, _)| time).max()
    };
    // Exactly the failed runs found alerts: the driver gives each its exit code as their number.
    let (last_success, last_alerts) = (finished(true), finished(false));
    let quiet_for = last_success.zip(last_alerts).map(|(success, alerts)| success - alerts);
    let rows = || model.pending().map(|(_, row)| row).filter(|row| row.tenant == tenant);
    TenantStatus {
        tenant: key.name,
        source: key.source,
        organizations: organizations(tenant),
        account: key.account.chars().take(8).collect(),
        customer: None,
        last_run: last.map(|run| run.started_at),
        last_exit_code: last.and_then(|run| run.finished).map(|(_, code)| i32::from(code)),
        last_error: None,
        last_success,
        last_alerts,
        is_quiet: quiet_for.is_some_and(|quiet| quiet >= status::QUIET),
        read_until: model.checkpoints[tenant],
        gaps: Vec::new(),
        is_checkpoint_in_future: model.checkpoints[tenant].is_some_and(|time| time > latest),
        queued: rows().filter(|row| row.rejection.is_none()).count() as u64,
        quarantined: rows().filter(|row| row.rejection.is_some()).count() as u64,
        oldest_queued: rows().filter(|row| row.rejection.is_none()).map(|row| row.stored_at).min(),
        used_today: used(model, &key.token, now),
    }
}
