//! The metrics file that a run replaces. It may have what the ledger does not: the end of a run
//! that failed before it was recorded, and if the ledger cannot be read, the ends of all runs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::text::PREFIX;
use super::{Key, LastRun, key};

/// The maximum number of bytes that are read.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The metrics of a tenant in the file.
#[derive(Debug, Default)]
pub(super) struct Previous {
    pub last_success: Option<DateTime<Utc>>,
    pub last_run: Option<LastRun>,
}

/// The values of the samples of a tenant.
#[derive(Debug, Default)]
struct Values {
    last_success: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    duration: Option<Duration>,
    exit_code: Option<i32>,
}

/// Returns the beginning of the file, or nothing if it does not exist.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        opened => opened?.take(MAX_BYTES).read_to_end(&mut bytes)?,
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns the last runs and successes. What cannot be parsed is ignored, and so is a time after
/// `latest`: it was written when the clock was wrong.
pub(super) fn parse(text: &str, latest: DateTime<Utc>) -> BTreeMap<Key, Previous> {
    let mut tenants: BTreeMap<Key, Values> = BTreeMap::new();
    // The last line may be incomplete.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let Some((name, key, value)) = parse_sample(line) else { continue };
        let values = tenants.entry(key).or_default();
        let time = || parse_time(value).filter(|time| *time <= latest);
        match name {
            "last_success_timestamp_seconds" => values.last_success = time(),
            "last_run_timestamp_seconds" => values.ended_at = time(),
            "last_run_duration_seconds" => values.duration = parse_duration(value),
            "last_run_exit_code" => values.exit_code = value.parse().ok(),
            _ => {}
        }
    }
    let known = tenants.into_iter().map(|(key, values)| (key, Previous::from(values)));
    known.filter(|(_, known)| known.last_success.is_some() || known.last_run.is_some()).collect()
}

impl From<Values> for Previous {
    fn from(values: Values) -> Self {
        let Values { last_success, ended_at, duration, exit_code } = values;
        let last_run = || {
            Some(LastRun {
                id: None,
                ended_at: ended_at?,
                duration: duration?,
                exit_code: exit_code?,
                counts: None,
            })
        };
        Self { last_success, last_run: last_run() }
    }
}

/// Returns the name without its prefix, the tenant and the value of a sample without other labels.
fn parse_sample(line: &str) -> Option<(&str, Key, &str)> {
    let (name, rest) = line.strip_prefix(PREFIX)?.split_once("{tenant=")?;
    let (tenant, rest) = parse_label(rest)?;
    let (source, rest) = parse_label(rest.strip_prefix(",source=")?)?;
    Some((name, key(&source, &tenant), rest.strip_prefix("} ")?))
}

/// Returns the value of a label, which begins with a quote, and what follows.
fn parse_label(text: &str) -> Option<(String, &str)> {
    let mut chars = text.strip_prefix('"')?.chars();
    let mut value = String::new();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(match chars.next()? {
                'n' => '\n',
                char @ ('\\' | '"') => char,
                _ => return None,
            }),
            char => value.push(char),
        }
    }
}

fn parse_time(value: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(parse_thousandths(value)?)
}

fn parse_duration(value: &str) -> Option<Duration> {
    Some(Duration::from_millis(parse_thousandths(value)?.try_into().ok()?))
}

/// Returns the number of thousandths of a decimal that has three places.
fn parse_thousandths(value: &str) -> Option<i64> {
    let (whole, places) = value.split_once('.')?;
    (places.len() == 3).then(|| format!("{whole}{places}").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::TenantMetrics;
    use crate::metrics::text::render;

    type Parts = (Option<DateTime<Utc>>, Option<(DateTime<Utc>, Duration, i32)>);

    fn parts(previous: &Previous) -> Parts {
        let run = previous.last_run.as_ref();
        (previous.last_success, run.map(|run| (run.ended_at, run.duration, run.exit_code)))
    }

    fn rendered(tenants: &BTreeMap<Key, Parts>) -> String {
        let metrics = tenants.iter().map(|(key, (last_success, last_run))| {
            let last_run = last_run.map(|(ended_at, duration, exit_code)| LastRun {
                id: None,
                ended_at,
                duration,
                exit_code,
                counts: None,
            });
            (key.clone(), TenantMetrics { last_success: *last_success, last_run, status: None })
        });
        render(&metrics.collect())
    }

    fn parsed(text: &str) -> BTreeMap<Key, Parts> {
        let parsed = parse(text, DateTime::<Utc>::MAX_UTC);
        parsed.iter().map(|(key, previous)| (key.clone(), parts(previous))).collect()
    }

    fn time() -> impl Strategy<Value = DateTime<Utc>> {
        // Until the year 9999.
        (1..253_402_300_800_000_i64).prop_map(|time| DateTime::from_timestamp_millis(time).unwrap())
    }

    fn values() -> impl Strategy<Value = Parts> {
        let duration = (0..i64::MAX.unsigned_abs()).prop_map(Duration::from_millis);
        let run = proptest::option::of((time(), duration, any::<i32>()));
        (proptest::option::of(time()), run)
            .prop_filter("known", |(success, run)| success.is_some() || run.is_some())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            tenants in proptest::collection::btree_map(
                ("[\\PC\"\\\\\n{},= ]{0,8}", "\\PC{0,8}").prop_map(|(tenant, source)| key(&source, &tenant)),
                values(),
                0..4,
            )
        ) {
            let text = rendered(&tenants);
            prop_assert_eq!(parsed(&text), tenants, "{}", text);
        }

        #[test]
        fn any_text_can_be_read(
            text in "(collective_insights_last_run_exit_code|\\{tenant=|,source=|\"|\\\\|n|\\} |1|\\.|\n){0,30}"
        ) {
            parsed(&text);
        }
    }

    #[test]
    fn labels_that_need_escapes_are_read_back() {
        let time = DateTime::from_timestamp_millis(1_500).unwrap();
        let known = (Some(time), Some((time, Duration::from_millis(30), 2)));
        for name in ["a\"} 1\\", "\\n", "\\\"", "a\nb", "", "\u{1b}[1m", "漢字 {x=\"y\"}"] {
            let tenants = BTreeMap::from([(key("crowdstrike", name), known)]);
            assert_eq!(parsed(&rendered(&tenants)), tenants, "{name:?}");
        }
        assert_eq!(parse_label("\"a\\n\\\\\\\"b\" c"), Some(("a\n\\\"b".to_owned(), " c")));
        for wrong in ["", "a", "\"a", "\"a\\", "\"a\\\"", "\"\\t\""] {
            assert_eq!(parse_label(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_not_a_number_or_not_complete_is_ignored() {
        let lines = |time: &str, duration: &str, exit_code: &str| {
            let labels = "{tenant=\"a\",source=\"s\"}";
            format!(
                "{PREFIX}last_run_timestamp_seconds{labels} {time}\n\
                 {PREFIX}last_run_duration_seconds{labels} {duration}\n\
                 {PREFIX}last_run_exit_code{labels} {exit_code}\n"
            )
        };
        let good = lines("1.500", "0.000", "2");
        assert_eq!(parsed(&good).len(), 1);
        // A code of two digits looks like this if its end is not read.
        assert!(parsed(good.trim_end()).is_empty());
        for (time, duration, exit_code) in [
            ("1.500", "0.000", ""),
            ("1.500", "0.000", "2 "),
            ("1.500", "-0.001", "2"),
            ("1.500", "1e3", "2"),
            ("1.50", "0.000", "2"),
            ("9223372036854775.807", "0.000", "2"),
            ("99999999999999999999.000", "0.000", "2"),
            ("NaN", "0.000", "2"),
        ] {
            let text = lines(time, duration, exit_code);
            assert!(parsed(&text).is_empty(), "{text}");
        }
        let latest = DateTime::from_timestamp_millis(1_499).unwrap();
        assert!(parse(&good, latest).is_empty());
    }
}
