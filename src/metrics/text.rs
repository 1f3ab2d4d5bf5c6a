//! The metrics as text, in the exposition format of Prometheus (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::{Key, TenantMetrics};
use crate::ledger::TenantStatus;
use crate::redact::sanitize;
use crate::report::Counts;

/// The beginning of each name.
pub(super) const PREFIX: &str = "collective_insights_";

/// The beginning of each metrics file.
pub(super) const START: &str = "# HELP collective_insights_";

/// A sample: its own label, if any, and its value.
type Sample = (Option<(&'static str, &'static str)>, String);

/// A metric, without the prefix of its name. All are gauges: a number of the last run is not one
/// that only grows.
struct Metric {
    name: &'static str,
    help: &'static str,
    samples: fn(&TenantMetrics) -> Vec<Sample>,
}

const METRICS: [Metric; 11] = [
    Metric {
        name: "build_info",
        help: "The version of the program that wrote this; the value is 1.",
        samples: |_| vec![(Some(("version", env!("CARGO_PKG_VERSION"))), "1".to_owned())],
    },
    Metric {
        name: "last_success_timestamp_seconds",
        help: "When the last run with exit code 0 ended, Unix time; 0 where none is known.",
        samples: |tenant| one(Some(tenant.last_success.map_or_else(|| "0".to_owned(), unix_time))),
    },
    Metric {
        name: "last_run_timestamp_seconds",
        help: "When the last run ended, Unix time.",
        samples: |tenant| one(tenant.last_run.as_ref().map(|run| unix_time(run.ended_at))),
    },
    Metric {
        name: "last_run_duration_seconds",
        help: "How long the last run took, without its wait for another one.",
        samples: |tenant| {
            let seconds =
                |milliseconds| thousandths(i64::try_from(milliseconds).unwrap_or(i64::MAX));
            one(tenant.last_run.as_ref().map(|run| seconds(run.duration.as_millis())))
        },
    },
    Metric {
        name: "last_run_exit_code",
        help: "The exit code of the last run.",
        samples: |tenant| one(tenant.last_run.as_ref().map(|run| run.exit_code.to_string())),
    },
    Metric {
        name: "last_run_alerts",
        help: "Alerts that the last run read, by what became of them.",
        samples: |tenant| counts(tenant, alerts),
    },
    Metric {
        name: "last_run_indicators",
        help: "Indicators that were queued before the last run or mentioned in its alerts, by what became of them.",
        samples: |tenant| counts(tenant, indicators),
    },
    Metric {
        name: "queued_indicators",
        help: "Indicators that are queued for the next run.",
        samples: |tenant| status(tenant, |status| Some(status.queued.to_string())),
    },
    Metric {
        name: "oldest_queued_timestamp_seconds",
        help: "When the oldest queued indicator was stored, Unix time.",
        samples: |tenant| status(tenant, |status| status.oldest_queued.map(unix_time)),
    },
    Metric {
        name: "quarantined_indicators",
        help: "Indicators in quarantine.",
        samples: |tenant| status(tenant, |status| Some(status.quarantined.to_string())),
    },
    Metric {
        name: "quota_used_indicators",
        help: "Indicators delivered with the API key of the tenant, by all tenants, on the UTC day of writing.",
        samples: |tenant| status(tenant, |status| Some(status.used_today.to_string())),
    },
];

/// Returns the alerts by what became of them: as many as were fetched in all.
fn alerts(counts: &Counts) -> Vec<(&'static str, u64)> {
    let tally = &counts.tally;
    vec![
        ("below_threshold", tally.alerts_below_threshold),
        ("dismissed", tally.alerts_dismissed),
        ("unreadable", tally.alerts_unreadable),
        ("without_indicator", tally.alerts_without_indicator),
        ("with_indicator", tally.alerts_with_indicator()),
    ]
}

/// Returns the indicators by what became of them: as many as were carried in and found. What a dry
/// run would send is not among them, because it writes no file.
fn indicators(counts: &Counts) -> Vec<(&'static str, u64)> {
    let tally = &counts.tally;
    vec![
        ("unsupported", tally.indicators_unsupported),
        ("invalid", tally.indicators_invalid),
        ("private", tally.indicators_private),
        ("trusted", tally.indicators_trusted),
        ("excluded", tally.indicators_excluded),
        ("repeated", tally.indicators_repeated),
        ("already_delivered", tally.already_delivered),
        ("processed", counts.processed),
        ("unprocessed", counts.unprocessed),
        ("quarantined", counts.quarantined),
        ("waiting", counts.waiting),
        ("not_stored", counts.not_stored),
    ]
}

fn one(value: Option<String>) -> Vec<Sample> {
    value.map(|value| (None, value)).into_iter().collect()
}

fn status(tenant: &TenantMetrics, value: fn(&TenantStatus) -> Option<String>) -> Vec<Sample> {
    one(tenant.status.as_ref().and_then(value))
}

fn counts(tenant: &TenantMetrics, fates: fn(&Counts) -> Vec<(&'static str, u64)>) -> Vec<Sample> {
    let counts = tenant.last_run.as_ref().and_then(|run| run.counts.as_ref());
    let fates = counts.map(fates).unwrap_or_default().into_iter();
    fates.map(|(fate, count)| (Some(("fate", fate)), count.to_string())).collect()
}

/// Returns a time in seconds since 1970.
fn unix_time(time: DateTime<Utc>) -> String {
    thousandths(time.timestamp_millis())
}

/// Returns a number of thousandths as a decimal.
fn thousandths(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let number = number.unsigned_abs();
    format!("{sign}{}.{:03}", number / 1000, number % 1000)
}

/// Returns the text of the file. A metric without a sample is left out.
pub(super) fn render(tenants: &BTreeMap<Key, TenantMetrics>) -> String {
    let mut text = String::new();
    for Metric { name, help, samples } in METRICS {
        let mut lines = String::new();
        for ((source, tenant), metrics) in tenants {
            for (label, value) in samples(metrics) {
                let labels = [("tenant", tenant.as_str()), ("source", source)].into_iter();
                let labels: Vec<String> = labels
                    .chain(label)
                    .map(|(name, value)| format!("{name}=\"{}\"", label_value(value)))
                    .collect();
                // Writing to a String cannot fail.
                let _ = writeln!(lines, "{PREFIX}{name}{{{}}} {value}", labels.join(","));
            }
        }
        if !lines.is_empty() {
            let _ = writeln!(text, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} gauge");
            text.push_str(&lines);
        }
    }
    text
}

/// Returns the value of a label between its quotes.
fn label_value(text: &str) -> String {
    sanitize(text).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::LastRun;
    use crate::selection::Tally;

    fn tenants(name: &str, metrics: TenantMetrics) -> BTreeMap<Key, TenantMetrics> {
        BTreeMap::from([(("crowdstrike".to_owned(), name.to_owned()), metrics)])
    }

    #[test]
    fn a_metric_without_a_sample_is_left_out() {
        let version = env!("CARGO_PKG_VERSION");
        let labels = "tenant=\"a\",source=\"crowdstrike\"";
        assert_eq!(
            render(&tenants("a", TenantMetrics::default())),
            format!(
                "# HELP collective_insights_build_info The version of the program that wrote this; the value is 1.\n\
                 # TYPE collective_insights_build_info gauge\n\
                 collective_insights_build_info{{{labels},version=\"{version}\"}} 1\n\
                 # HELP collective_insights_last_success_timestamp_seconds When the last run with exit code 0 ended, Unix time; 0 where none is known.\n\
                 # TYPE collective_insights_last_success_timestamp_seconds gauge\n\
                 collective_insights_last_success_timestamp_seconds{{{labels}}} 0\n"
            )
        );
        assert_eq!(render(&BTreeMap::new()), "");
        assert_eq!(START, format!("# HELP {PREFIX}"));
    }

    #[test]
    fn times_have_thousandths() {
        for (number, expected) in [
            (0, "0.000"),
            (1, "0.001"),
            (-1, "-0.001"),
            (61_030, "61.030"),
            (-1500, "-1.500"),
            (i64::MIN, "-9223372036854775.808"),
        ] {
            assert_eq!(thousandths(number), expected);
        }
        let last_run = LastRun {
            id: None,
            ended_at: DateTime::UNIX_EPOCH,
            duration: Duration::MAX,
            exit_code: 0,
            counts: None,
        };
        let text = render(&tenants(
            "a",
            TenantMetrics { last_run: Some(last_run), ..TenantMetrics::default() },
        ));
        assert!(text.contains(
            "duration_seconds{tenant=\"a\",source=\"crowdstrike\"} 9223372036854775.807\n"
        ));
    }

    #[test]
    fn a_label_cannot_end_early() {
        let text = render(&tenants("a\"} 1\n\\", TenantMetrics::default()));
        let labels =
            text.lines().filter_map(|line| line.split_once("{tenant=").map(|(_, rest)| rest));
        let mut labels = labels.peekable();
        assert!(labels.peek().is_some(), "{text}");
        for label in labels {
            // How the line end is shown is a matter of the report.
            assert!(label.starts_with("\"a\\\"} 1"), "{label}");
            assert!(label.contains("\\\\\",source=\"crowdstrike\""), "{label}");
        }
        assert_eq!(text.lines().count(), 6, "{text}");
    }

    #[test]
    fn counts_that_contradict_each_other_do_not_overflow() {
        let tally = Tally { alerts_fetched: 1, alerts_dismissed: 2, ..Tally::default() };
        let counts = Counts { tally, ..Counts::default() };
        assert_eq!(alerts(&counts).last(), Some(&("with_indicator", 0)));
    }
}
