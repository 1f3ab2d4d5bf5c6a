//! The summary of a run, read back and compared with the numbers in its log.

use std::collections::BTreeMap;

use super::{RunOutput, TestEnv};

/// The number of counts in the last log line of a run.
const COUNTS_IN_LOG: usize = 21;

/// The JSON key of each row of the summary, by the row's text.
const ROWS: [(&str, &str); 19] = [
    ("fetched", "alerts_fetched"),
    ("below the threshold", "alerts_below_threshold"),
    ("dismissed by an analyst", "alerts_dismissed"),
    ("unreadable", "alerts_unreadable"),
    ("without an indicator", "alerts_without_indicator"),
    ("repeated (each is sent once)", "indicators_repeated"),
    ("already delivered", "already_delivered"),
    ("of an unsupported type", "indicators_unsupported"),
    ("invalid", "indicators_invalid"),
    ("internal address or host name", "indicators_private"),
    ("trusted file", "indicators_trusted"),
    ("excluded", "indicators_excluded"),
    ("new", "new"),
    ("queued by earlier runs", "carried_in"),
    ("found in Recorded Future", "confirmed_by_search"),
    ("queued for the next run", "waiting"),
    ("in quarantine", "quarantined"),
    ("neither sent nor stored", "not_stored"),
    ("sent", "submitted"),
];

/// The numbers of a summary.
pub struct Summary {
    counts: BTreeMap<&'static str, u64>,
    /// The sum of the signed numbers of each group of rows: `alerts`, `mentions`, `indicators`.
    sums: BTreeMap<String, i64>,
    /// The number of alerts in which the mentions were found.
    with_indicator: Option<u64>,
}

impl RunOutput {
    /// Reads the summary, which has the rows of `ROWS` and nothing else.
    #[track_caller]
    pub fn summary(&self) -> Summary {
        let lines = self.stdout.lines().skip_while(|line| !line.contains(" · tenant ")).skip(1);
        let rows = lines.take_while(|line| line.starts_with("  ") && !line.contains("note:"));
        let mut summary =
            Summary { counts: BTreeMap::new(), sums: BTreeMap::new(), with_indicator: None };
        let mut group = String::new();
        for row in rows {
            summary.add_row(row, &mut group);
        }
        summary
    }

    /// Asserts that the summary has the same numbers as the run's last line in the log, and that
    /// each group of rows adds up to the number that the next group begins with.
    #[track_caller]
    pub fn assert_summary(&self, env: &TestEnv) -> &Self {
        let log = env.log();
        let finished = log.lines().rfind(|line| line.contains(" run finished ")).unwrap();
        let summary = self.summary();
        let fields = finished.split(' ').filter_map(|field| field.split_once('='));
        let mut compared = 0;
        for (name, value) in fields.filter(|(name, _)| !matches!(*name, "run" | "exit_code")) {
            let Ok(value) = value.parse::<u64>() else {
                continue;
            };
            // What the search found is a part of it, in a row of its own.
            let found = summary.count("confirmed_by_search");
            let shown = summary.count(name) + if name == "already_delivered" { found } else { 0 };
            assert_eq!(shown, value, "{name} in {}", self.stdout);
            compared += 1;
        }
        assert_eq!(compared, COUNTS_IN_LOG, "{finished}");
        summary.assert_counts_add_up(&self.stdout);
        self
    }
}

impl Summary {
    /// Returns a number by its name in the JSON document; 0 for a row that is not there.
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }

    #[track_caller]
    fn add_row(&mut self, row: &str, group: &mut String) {
        let mut words: Vec<&str> = row.split_whitespace().collect();
        if words[0].starts_with(|char: char| char.is_ascii_lowercase()) {
            words.remove(0).clone_into(group);
        }
        let signed: i64 = number(words.remove(0)).unwrap_or_else(|| panic!("no number in {row:?}"));
        let count = signed.unsigned_abs();
        let text = words.join(" ");
        let found_in = text.strip_prefix("found in ").filter(|rest| *rest != "Recorded Future");
        if let Some(rest) = found_in {
            let alerts = rest.strip_prefix("the other ").map(|alerts| number(alerts).unwrap());
            self.with_indicator = alerts.map(i64::unsigned_abs);
            self.counts.insert("indicators_found", count);
        } else {
            let (what, details) = text.split_once([',', ';']).unwrap_or((&text, ""));
            let what = what.strip_prefix("to be ").unwrap_or(what);
            let row_of = ROWS.iter().find(|(text, _)| *text == what);
            let (what, key) = row_of.unwrap_or_else(|| panic!("an unknown row: {row:?}"));
            let is_dry_run = details.contains("nothing was sent");
            let key = if is_dry_run { "would_submit" } else { key };
            assert_eq!(self.counts.insert(key, count), None, "{row:?}");
            if *what == "sent" {
                self.add_processed(details);
                return;
            }
        }
        *self.sums.entry(group.clone()).or_default() += signed;
    }

    /// Reads ` 2 processed by Recorded Future, 3 not processed`.
    fn add_processed(&mut self, details: &str) {
        let number_before = |words: &str| {
            let (before, _) = details.split_once(words)?;
            number(before.split(' ').next_back()?).map(i64::unsigned_abs)
        };
        let processed = number_before(" processed by Recorded Future")
            .or_else(|| number_before(" validated by Recorded Future"))
            .unwrap_or_default();
        let unprocessed =
            number_before(" not processed").or_else(|| number_before(" not validated"));
        self.counts.insert("processed", processed);
        self.counts.insert("unprocessed", unprocessed.unwrap_or_default());
    }

    #[track_caller]
    fn assert_counts_add_up(&self, text: &str) {
        let sum_of = |group: &str| self.sums.get(group).map(|sum| u64::try_from(*sum).unwrap());
        if let Some(with_indicator) = self.with_indicator {
            assert_eq!(sum_of("alerts"), Some(with_indicator), "{text}");
        }
        let sent = self.counts.get("submitted").or(self.counts.get("would_submit")).copied();
        if let Some(new) = self.counts.get("new") {
            assert_eq!(sum_of("mentions").unwrap_or_default(), *new, "{text}");
            assert_eq!(sum_of("indicators"), Some(sent.unwrap_or_default()), "{text}");
        } else if let Some(mentions) = sum_of("mentions") {
            assert_eq!(Some(mentions), sent, "{text}");
        }
    }
}

/// Returns the number in a text such as `-1,302` or `+7`.
fn number(text: &str) -> Option<i64> {
    text.replace(',', "").parse().ok()
}
