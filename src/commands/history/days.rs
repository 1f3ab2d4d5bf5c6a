//! From runs to days: one row for each UTC day and source.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::ledger::{Run, TenantId};
use crate::report::Counts;
use crate::settings::Mode;

/// What all runs of a source on one UTC day did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day {
    pub date: NaiveDate,
    pub source: String,
    /// How many runs began; none on a day that was missed.
    pub runs: u32,
    pub fetched: u64,
    pub sent: u64,
    pub processed: u64,
    /// What was left in the outbox by the last run that ended.
    pub waiting: u64,
    pub quarantined: u64,
    /// Whether there was a run, and every one of them ended with exit code 0.
    pub all_succeeded: bool,
}

impl Day {
    const fn missed(date: NaiveDate, source: String) -> Self {
        Self {
            date,
            source,
            runs: 0,
            fetched: 0,
            sent: 0,
            processed: 0,
            waiting: 0,
            quarantined: 0,
            all_succeeded: false,
        }
    }

    fn of(date: NaiveDate, source: &str, runs: &[&Run]) -> Self {
        let mut day = Self::missed(date, source.to_owned());
        day.all_succeeded = runs.iter().all(|run| run.exit_code == Some(0));
        let mut waiting: BTreeMap<TenantId, u64> = BTreeMap::new();
        for run in runs {
            day.runs += 1;
            // A run that was killed left no numbers, only what it had settled by then.
            let Some(counts) = counts(run) else { continue };
            day.fetched += counts.tally.alerts_fetched;
            day.sent += counts.submitted;
            day.processed += counts.processed;
            day.quarantined += counts.quarantined;
            waiting.insert(run.tenant, counts.waiting);
        }
        day.waiting = waiting.values().sum();
        day
    }
}

fn counts(run: &Run) -> Option<Counts> {
    serde_json::from_str(run.counts.as_deref()?).ok()
}

/// The days of these runs (the oldest run first), and a row for each day on which a source that had run
/// before did not. `today` is not held against a source: its run may be yet to come.
pub(super) fn days(runs: &[Run], today: NaiveDate) -> Vec<Day> {
    // Trials leave no trace in the ledger; if one ever does, it is not what was shared.
    let live = runs.iter().filter(|run| run.mode == Mode::Live.name());
    let mut days: BTreeMap<(NaiveDate, &str), Vec<&Run>> = BTreeMap::new();
    for run in live {
        let key = (run.started_at.date_naive(), run.source.as_str());
        days.entry(key).or_default().push(run);
    }
    let sources: BTreeSet<&str> = days.keys().map(|(_, source)| *source).collect();
    for source in sources {
        let first = days.keys().find(|(_, whose)| *whose == source);
        let Some((first, _)) = first.copied() else {
            continue;
        };
        for date in first.iter_days().take_while(|date| *date < today) {
            days.entry((date, source)).or_default();
        }
    }
    days.into_iter()
        .map(|((date, source), runs)| match runs.as_slice() {
            [] => Day::missed(date, source.to_owned()),
            runs => Day::of(date, source, runs),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::ledger::{Ledger, TenantKey};

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    struct Book {
        ledger: Ledger,
        runs: u32,
    }

    impl Book {
        fn new() -> Self {
            Self { ledger: Ledger::temporary().unwrap(), runs: 0 }
        }

        fn run(&mut self, whose: (&str, &str), mode: &str, time: &str, ended: Option<(i32, &str)>) {
            let (source, account) = whose;
            let key = TenantKey {
                source: source.to_owned(),
                account: account.to_owned(),
                token: "token".to_owned(),
                organizations: Vec::new(),
            };
            let tenant = self.ledger.tenant(&key).unwrap();
            self.runs += 1;
            let id = self.runs.to_string();
            self.ledger.begin_run(tenant, &id, mode, None, at(time)).unwrap();
            if let Some((code, counts)) = ended {
                self.ledger.finish_run(tenant, &id, code, counts, None, at(time)).unwrap();
            }
        }

        fn days(&self, today: &str) -> Vec<Day> {
            let runs = self.ledger.view().runs(at("2026-01-01T00:00:00Z")).unwrap();
            days(&runs, today.parse().unwrap())
        }
    }

    const GOOD: &str = r#"{"alerts_fetched":9,"submitted":5,"processed":4,"unprocessed":1,"waiting":2,"quarantined":1,"later":7}"#;

    #[test]
    fn the_runs_of_a_day_are_one_night_and_the_last_tells_what_waits() {
        let mut book = Book::new();
        let falcon = ("crowdstrike", "one");
        book.run(falcon, "live", "2026-11-20T00:15:00Z", Some((0, GOOD)));
        book.run(falcon, "live", "2026-11-20T09:00:00Z", Some((0, GOOD)));
        book.run(("crowdstrike", "two"), "live", "2026-11-20T10:00:00Z", Some((0, GOOD)));
        let days = book.days("2026-11-20");
        assert_eq!(days.len(), 1);
        let day = &days[0];
        assert_eq!((day.runs, day.fetched, day.sent), (3, 27, 15));
        assert_eq!((day.processed, day.quarantined), (12, 3));
        assert_eq!(day.waiting, 4, "the last of each account");
        assert!(day.all_succeeded);
    }

    #[test]
    fn trials_do_not_count() {
        let mut book = Book::new();
        for mode in ["debug", "dry-run", "rehearsal"] {
            let whose = ("crowdstrike", "one");
            book.run(whose, mode, "2026-11-20T00:15:00Z", Some((0, GOOD)));
        }
        assert_eq!(book.days("2026-11-25"), []);
    }

    #[test]
    fn a_failed_a_killed_and_a_missed_run_show() {
        let mut book = Book::new();
        let whose = ("carbonblack", "one");
        book.run(whose, "live", "2026-11-20T00:15:00Z", Some((5, GOOD)));
        book.run(whose, "live", "2026-11-21T00:15:00Z", None);
        book.run(whose, "live", "2026-11-23T00:15:00Z", Some((0, "no JSON")));
        let days = book.days("2026-11-25");
        let told: Vec<_> = days
            .iter()
            .map(|day| (day.date.to_string(), day.runs, day.sent, day.all_succeeded))
            .collect();
        let told: Vec<_> = told
            .iter()
            .map(|(date, runs, sent, well)| (date.as_str(), *runs, *sent, *well))
            .collect();
        assert_eq!(
            told,
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
        let mut book = Book::new();
        book.run(("crowdstrike", "one"), "live", "2026-11-20T00:15:00Z", Some((0, GOOD)));
        book.run(("carbonblack", "one"), "live", "2026-11-21T00:25:00Z", Some((0, GOOD)));
        let days = book.days("2026-11-22");
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
