//! One row per UTC day and tenant, from the runs of the ledger.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

use serde_json::{Map, Value};

use crate::ledger::RunRecord;
use crate::report::Counts;
use crate::settings::Mode;

/// A run that has not ended and started longer ago than this was killed: more than a run takes with
/// the default deadline and the `--wait` that `generate cron` gives it.
const MAX_RUN_TIME: TimeDelta = TimeDelta::hours(3);

/// The numbers of all runs of a tenant on one UTC day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day {
    pub date: NaiveDate,
    pub tenant: String,
    pub source: String,
    /// The number of runs; 0 on a day without one.
    pub runs: u32,
    /// The sums of their counts; `None` if no run recorded any. The queue is not counted twice:
    /// `carried_in` is from the first run, and `waiting` from the last one.
    pub counts: Option<Counts>,
    /// Whether there was a run, and all runs ended with exit code 0.
    pub all_succeeded: bool,
    /// Whether a run ended with another exit code or was killed; a running one has not failed.
    pub has_failed: bool,
}

impl Day {
    /// Returns one of the counts; 0 where there are none.
    pub(super) fn count(&self, of: impl Fn(&Counts) -> u64) -> u64 {
        self.counts.as_ref().map(of).unwrap_or_default()
    }

    fn new(
        date: NaiveDate,
        (source, tenant): (&str, &str),
        runs: &[&RunRecord],
        now: DateTime<Utc>,
    ) -> Self {
        let mut counts: Option<Counts> = None;
        // A killed run left no numbers.
        for next in runs.iter().filter_map(|run| counts_of(run)) {
            match &mut counts {
                Some(counts) => counts.add_next_run(&next),
                None => counts = Some(next),
            }
        }
        Self {
            date,
            tenant: tenant.to_owned(),
            source: source.to_owned(),
            runs: u32::try_from(runs.len()).unwrap_or(u32::MAX),
            counts,
            all_succeeded: !runs.is_empty() && runs.iter().all(|run| run.exit_code == Some(0)),
            has_failed: runs.iter().any(|run| has_failed(run, now)),
        }
    }
}

/// Whether a run ended with an exit code other than 0, or was killed.
pub(super) fn has_failed(run: &RunRecord, now: DateTime<Utc>) -> bool {
    // A run that seems to start in the future had another clock; it may be running as well.
    let age = (now - run.started_at).abs();
    let is_running = run.finished_at.is_none() && age < MAX_RUN_TIME;
    run.exit_code != Some(0) && !is_running
}

/// Returns the counts that a run recorded; `None` if there are none, or if one is so large that it
/// must be damaged: sums could overflow.
fn counts_of(run: &RunRecord) -> Option<Counts> {
    const MAX: u64 = 1_000_000_000;
    let numbers: Map<String, Value> = serde_json::from_str(run.counts.as_deref()?).ok()?;
    let is_plausible = |number: &Value| number.as_u64().is_some_and(|number| number <= MAX);
    numbers.values().all(is_plausible).then(|| serde_json::from_value(numbers.into()).ok())?
}

/// Returns the first of the last `days` UTC days, including today.
pub(super) fn first_day(now: DateTime<Utc>, days: u32) -> NaiveDate {
    now.date_naive() - Days::new(u64::from(days.saturating_sub(1)))
}

/// Returns the first instant of a day, UTC.
pub(super) fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// Returns a row for each day and tenant with live runs, sorted by day. `runs` are sorted, with the
/// oldest first. A day without a run also has a row if the tenant ran before, except today: the run
/// may be yet to come.
pub(super) fn days(runs: &[RunRecord], now: DateTime<Utc>) -> Vec<Day> {
    let today = now.date_naive();
    // Only live runs deliver anything.
    let live = runs.iter().filter(|run| run.mode == Mode::Live.name());
    let mut tenants: BTreeMap<(&str, &str), BTreeMap<NaiveDate, Vec<&RunRecord>>> = BTreeMap::new();
    for run in live {
        let days = tenants.entry((&run.source, &run.tenant)).or_default();
        days.entry(run.started_at.date_naive()).or_default().push(run);
    }
    let mut rows = Vec::new();
    for (of, mut days) in tenants {
        let first = days.keys().next().copied().unwrap_or(today);
        for date in first.iter_days().take_while(|date| *date < today) {
            days.entry(date).or_default();
        }
        rows.extend(days.iter().map(|(date, runs)| Day::new(*date, of, runs, now)));
    }
    rows.sort_by_key(|day| day.date);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    /// Runs as the ledger returns them.
    #[derive(Default)]
    struct Runs(Vec<RunRecord>);

    impl Runs {
        fn add(
            &mut self,
            tenant: (&str, &str),
            mode: &str,
            time: &str,
            ended: Option<(i32, &str)>,
        ) {
            let (source, tenant) = tenant;
            self.0.push(RunRecord {
                id: self.0.len().to_string(),
                tenant: tenant.to_owned(),
                source: source.to_owned(),
                mode: mode.to_owned(),
                window: None,
                started_at: at(time),
                finished_at: ended.map(|_| at(time)),
                exit_code: ended.map(|(code, _)| code),
                counts: ended.map(|(_, counts)| counts.to_owned()),
                error: None,
            });
        }

        fn days(&self, today: &str) -> Vec<Day> {
            days(&self.0, midnight(today.parse().unwrap()))
        }
    }

    const GOOD: &str = r#"{"alerts_fetched":9,"submitted":5,"processed":4,"unprocessed":1,"waiting":2,"carried_in":3,"quarantined":1,"later":7}"#;

    #[test]
    fn the_runs_of_a_day_are_one_row_with_the_queue_of_the_last() {
        let mut runs = Runs::default();
        let falcon = ("crowdstrike", "acme");
        runs.add(falcon, "live", "2026-11-20T00:15:00Z", Some((0, GOOD)));
        runs.add(falcon, "live", "2026-11-20T09:00:00Z", Some((0, GOOD)));
        let days = runs.days("2026-11-20");
        assert_eq!(days.len(), 1);
        let day = &days[0];
        let counts = day.counts.as_ref().unwrap();
        assert_eq!((day.runs, counts.tally.alerts_fetched, counts.submitted), (2, 18, 10));
        assert_eq!((counts.processed, counts.quarantined), (8, 2));
        assert_eq!(counts.waiting, 2, "of the last run");
        assert_eq!(counts.carried_in, 3, "of the first run");
        assert!(day.all_succeeded);
    }

    #[test]
    fn only_live_runs_count() {
        let mut runs = Runs::default();
        for mode in ["debug", "dry-run", "other"] {
            let tenant = ("crowdstrike", "acme");
            runs.add(tenant, mode, "2026-11-20T00:15:00Z", Some((0, GOOD)));
        }
        assert_eq!(runs.days("2026-11-25"), []);
    }

    #[test]
    fn failed_killed_and_missing_runs_show() {
        let mut runs = Runs::default();
        let tenant = ("carbonblack", "acme-cbc");
        runs.add(tenant, "live", "2026-11-20T00:15:00Z", Some((5, GOOD)));
        runs.add(tenant, "live", "2026-11-21T00:15:00Z", None);
        runs.add(tenant, "live", "2026-11-23T00:15:00Z", Some((0, "no JSON")));
        let days = runs.days("2026-11-25");
        let rows: Vec<_> = days
            .iter()
            .map(|day| {
                (
                    day.date.to_string(),
                    day.runs,
                    day.count(|counts| counts.submitted),
                    day.all_succeeded,
                )
            })
            .collect();
        let rows: Vec<_> = rows
            .iter()
            .map(|(date, runs, sent, succeeded)| (date.as_str(), *runs, *sent, *succeeded))
            .collect();
        assert_eq!(
            rows,
            [
                ("2026-11-20", 1, 5, false),
                ("2026-11-21", 1, 0, false),
                ("2026-11-22", 0, 0, false),
                ("2026-11-23", 1, 0, true),
                ("2026-11-24", 0, 0, false),
            ],
            "today's run may be yet to come"
        );
    }

    #[test]
    fn a_running_run_has_not_failed_on_the_day_on_which_it_started() {
        let mut runs = Runs::default();
        runs.add(("crowdstrike", "acme"), "live", "2026-11-20T23:50:00Z", None);
        for (now, has_failed) in [("2026-11-21T00:10:00Z", false), ("2026-11-21T02:51:00Z", true)] {
            let day = &days(&runs.0, at(now))[0];
            assert_eq!((day.has_failed, day.all_succeeded), (has_failed, false), "{now}");
        }
        runs.add(("crowdstrike", "acme"), "live", "2026-11-20T23:55:00Z", Some((5, GOOD)));
        assert!(days(&runs.0, at("2026-11-21T00:10:00Z"))[0].has_failed);
    }

    #[test]
    fn each_tenant_has_its_own_row() {
        let mut runs = Runs::default();
        runs.add(("crowdstrike", "other"), "live", "2026-11-21T00:20:00Z", Some((0, GOOD)));
        runs.add(("crowdstrike", "acme"), "live", "2026-11-20T00:15:00Z", Some((0, GOOD)));
        runs.add(("carbonblack", "acme-cbc"), "live", "2026-11-21T00:25:00Z", Some((0, GOOD)));
        let days = runs.days("2026-11-22");
        let rows: Vec<_> =
            days.iter().map(|day| (day.date.to_string(), day.tenant.as_str(), day.runs)).collect();
        let row = |date: &str, tenant, runs| (date.to_owned(), tenant, runs);
        assert_eq!(
            rows,
            [
                row("2026-11-20", "acme", 1),
                row("2026-11-21", "acme-cbc", 1),
                row("2026-11-21", "acme", 0),
                row("2026-11-21", "other", 1),
            ]
        );
    }
}
