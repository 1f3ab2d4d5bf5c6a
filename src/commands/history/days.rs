//! One row per UTC day and source, from the runs of the ledger.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::ledger::{Run, TenantId};
use crate::report::Counts;
use crate::settings::Mode;

/// The numbers of all runs of a source on one UTC day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day {
    pub date: NaiveDate,
    pub source: String,
    /// The number of runs; 0 on a day without one.
    pub runs: u32,
    pub fetched: u64,
    pub sent: u64,
    pub processed: u64,
    /// The number of indicators that the last finished run left in the outbox.
    pub queued: u64,
    pub quarantined: u64,
    /// Whether there was a run, and all runs ended with exit code 0.
    pub all_succeeded: bool,
}

impl Day {
    const fn no_run(date: NaiveDate, source: String) -> Self {
        Self {
            date,
            source,
            runs: 0,
            fetched: 0,
            sent: 0,
            processed: 0,
            queued: 0,
            quarantined: 0,
            all_succeeded: false,
        }
    }

    fn from_runs(date: NaiveDate, source: &str, runs: &[&Run]) -> Self {
        let mut day = Self::no_run(date, source.to_owned());
        day.all_succeeded = runs.iter().all(|run| run.exit_code == Some(0));
        let mut queued: BTreeMap<TenantId, u64> = BTreeMap::new();
        for run in runs {
            day.runs += 1;
            // A killed run left no numbers.
            let Some(counts) = counts(run) else { continue };
            day.fetched += counts.tally.alerts_fetched;
            day.sent += counts.submitted;
            day.processed += counts.processed;
            day.quarantined += counts.quarantined;
            queued.insert(run.tenant, counts.waiting);
        }
        day.queued = queued.values().sum();
        day
    }
}

fn counts(run: &Run) -> Option<Counts> {
    serde_json::from_str(run.counts.as_deref()?).ok()
}

/// Returns the days of these runs (the oldest run first), and a row for each day without a run of
/// a source that had run before. `today` gets none: its run may be yet to come.
pub(super) fn days(runs: &[Run], today: NaiveDate) -> Vec<Day> {
    // Only live runs deliver anything.
    let live = runs.iter().filter(|run| run.mode == Mode::Live.name());
    let mut days: BTreeMap<(NaiveDate, &str), Vec<&Run>> = BTreeMap::new();
    for run in live {
        let key = (run.started_at.date_naive(), run.source.as_str());
        days.entry(key).or_default().push(run);
    }
    let sources: BTreeSet<&str> = days.keys().map(|(_, source)| *source).collect();
    for source in sources {
        let first = days.keys().find(|(_, name)| *name == source);
        let Some((first, _)) = first.copied() else {
            continue;
        };
        for date in first.iter_days().take_while(|date| *date < today) {
            days.entry((date, source)).or_default();
        }
    }
    days.into_iter()
        .map(|((date, source), runs)| match runs.as_slice() {
            [] => Day::no_run(date, source.to_owned()),
            runs => Day::from_runs(date, source, runs),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    /// Runs as the ledger returns them.
    #[derive(Default)]
    struct Runs(Vec<Run>);

    impl Runs {
        fn add(&mut self, tenant: (&str, i64), mode: &str, time: &str, ended: Option<(i32, &str)>) {
            let (source, tenant) = tenant;
            self.0.push(Run {
                id: self.0.len().to_string(),
                tenant: TenantId::new(tenant),
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
            days(&self.0, today.parse().unwrap())
        }
    }

    const GOOD: &str = r#"{"alerts_fetched":9,"submitted":5,"processed":4,"unprocessed":1,"waiting":2,"quarantined":1,"later":7}"#;

    #[test]
    fn the_runs_of_a_day_are_one_row_with_the_queue_of_the_last() {
        let mut runs = Runs::default();
        let falcon = ("crowdstrike", 1);
        runs.add(falcon, "live", "2026-11-20T00:15:00Z", Some((0, GOOD)));
        runs.add(falcon, "live", "2026-11-20T09:00:00Z", Some((0, GOOD)));
        runs.add(("crowdstrike", 2), "live", "2026-11-20T10:00:00Z", Some((0, GOOD)));
        let days = runs.days("2026-11-20");
        assert_eq!(days.len(), 1);
        let day = &days[0];
        assert_eq!((day.runs, day.fetched, day.sent), (3, 27, 15));
        assert_eq!((day.processed, day.quarantined), (12, 3));
        assert_eq!(day.queued, 4, "of the last run of each tenant");
        assert!(day.all_succeeded);
    }

    #[test]
    fn only_live_runs_count() {
        let mut runs = Runs::default();
        for mode in ["debug", "dry-run", "other"] {
            let tenant = ("crowdstrike", 1);
            runs.add(tenant, mode, "2026-11-20T00:15:00Z", Some((0, GOOD)));
        }
        assert_eq!(runs.days("2026-11-25"), []);
    }

    #[test]
    fn failed_killed_and_missing_runs_show() {
        let mut runs = Runs::default();
        let tenant = ("carbonblack", 1);
        runs.add(tenant, "live", "2026-11-20T00:15:00Z", Some((5, GOOD)));
        runs.add(tenant, "live", "2026-11-21T00:15:00Z", None);
        runs.add(tenant, "live", "2026-11-23T00:15:00Z", Some((0, "no JSON")));
        let days = runs.days("2026-11-25");
        let rows: Vec<_> = days
            .iter()
            .map(|day| (day.date.to_string(), day.runs, day.sent, day.all_succeeded))
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
    fn each_source_has_its_own_row() {
        let mut runs = Runs::default();
        runs.add(("crowdstrike", 1), "live", "2026-11-20T00:15:00Z", Some((0, GOOD)));
        runs.add(("carbonblack", 1), "live", "2026-11-21T00:25:00Z", Some((0, GOOD)));
        let days = runs.days("2026-11-22");
        let rows: Vec<_> =
            days.iter().map(|day| (day.date.to_string(), day.source.as_str(), day.runs)).collect();
        let row = |date: &str, source, runs| (date.to_owned(), source, runs);
        assert_eq!(
            rows,
            [
                row("2026-11-20", "crowdstrike", 1),
                row("2026-11-21", "carbonblack", 1),
                row("2026-11-21", "crowdstrike", 0),
            ]
        );
    }
}
