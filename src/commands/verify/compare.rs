//! The comparison of what the ledger has as delivered with what Recorded Future has.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;

use super::groups::Group;
use crate::failure::Failure;
use crate::indicator::IndicatorType;
use crate::ledger::{DeliveredEntry, EntryId, LedgerReader};
use crate::recorded_future::{Client, DetectionTimes, FoundRow, Query};

/// How long it can take after its delivery until an indicator is found. The real time is not
/// documented.
const MAX_DELAY: TimeDelta = TimeDelta::hours(24);
/// How many missing indicators are kept to be shown.
const MAX_SHOWN: usize = 1000;
/// The common name of all types that the ledger cannot have.
const OTHER_TYPE: &str = "other";

/// How many submissions of one day or type were delivered, how many of them Recorded Future has,
/// and how many indicators it has in addition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Numbers {
    /// Delivered, according to the ledger: the sum of found, missing and recent.
    pub delivered: u64,
    pub found: u64,
    /// The entries that are not found although they were delivered more than a day ago.
    pub missing: u64,
    /// The entries that are not found, but were delivered within the last day.
    pub recent: u64,
    /// Found, but the ledger does not have it.
    pub unknown: u64,
}

impl Numbers {
    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            delivered: self.delivered + other.delivered,
            found: self.found + other.found,
            missing: self.missing + other.missing,
            recent: self.recent + other.recent,
            unknown: self.unknown + other.unknown,
        }
    }
}

/// The result of comparing.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// The numbers by the UTC day of the delivery, or of the detection for unknown rows.
    pub days: BTreeMap<NaiveDate, Numbers>,
    /// The numbers by the type of the indicator, as Recorded Future names it.
    pub types: BTreeMap<String, Numbers>,
    /// The last delivery of each missing indicator, by tenant and [`key`].
    pub missing: BTreeMap<(String, u64), EntryId>,
    /// The first missing deliveries, to show them.
    pub shown: Vec<DeliveredEntry>,
    /// Rows of the search that name no indicator.
    pub unreadable: u64,
    /// The type and the day of the detection of what was found and is not one of the deliveries
    /// that its search was compared with, by [`key`]. The ledger may still have it, from other
    /// tenants or days.
    unknown: HashMap<u64, (&'static str, Option<NaiveDate>)>,
}

impl Comparison {
    pub(super) fn total(&self) -> Numbers {
        self.types.values().fold(Numbers::default(), |sum, one| sum.plus(*one))
    }

    /// Compares what these tenants delivered since a time with what their API key finds.
    ///
    /// # Errors
    /// When the search fails: then nothing is added. When the ledger cannot be read: then a part
    /// may have been added.
    pub(super) async fn add(
        &mut self,
        ledger: &LedgerReader,
        client: &Client,
        group: &Group,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), Failure> {
        let Group { tenants, token, .. } = group;
        let mut is_found = HashMap::new();
        let mut times: Option<(DateTime<Utc>, DateTime<Utc>)> = None;
        ledger.for_each_delivered(tenants, token, since, |entry| {
            is_found.insert(key(&entry.indicator_type, &entry.value), false);
            let at = entry.detected_at;
            let (first, last) = times.unwrap_or((at, at));
            times = Some((first.min(at), last.max(at)));
            Ok::<_, Failure>(())
        })?;
        let times = times.into_iter().flat_map(|(first, last)| [first, last]);
        let Some(times) = DetectionTimes::of(times) else {
            return Ok(());
        };
        let mut unknown = HashMap::new();
        let query = Query { times, types: BTreeSet::new(), organizations: Vec::new() };
        let searched = client.search(&query, |row| {
            let key = key(&row.indicator_type, &row.value);
            match is_found.get_mut(&key) {
                Some(is_found) => *is_found = true,
                None => _ = unknown.insert(key, (type_of(&row), row.detected_at)),
            }
        });
        self.unreadable += searched.await.map_err(|error| error.failure)?;
        let days = unknown
            .into_iter()
            .map(|(key, (name, time))| (key, (name, time.map(|time| time.date_naive()))));
        self.unknown.extend(days);
        ledger.for_each_delivered(tenants, token, since, |entry| {
            let key = key(&entry.indicator_type, &entry.value);
            // An indicator that was delivered meanwhile was not searched for.
            if let Some(is_found) = is_found.get(&key) {
                self.count(entry, key, *is_found, now);
            }
            Ok::<_, Failure>(())
        })?;
        Ok(())
    }

    /// Counts what was found and is not in the ledger, once all tenants were compared: what one of
    /// them delivered can be found with the API key of another.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) fn count_unknown(&mut self, ledger: &LedgerReader) -> Result<(), Failure> {
        let mut unknown = std::mem::take(&mut self.unknown);
        if !unknown.is_empty() {
            ledger.for_each_indicator(|indicator_type, value| {
                unknown.remove(&key(indicator_type, value));
            })?;
        }
        for (indicator_type, day) in unknown.into_values() {
            let one = Numbers { unknown: 1, ..Numbers::default() };
            if let Some(day) = day {
                self.add_to_day(day, one);
            }
            self.add_to_type(indicator_type.to_owned(), one);
        }
        Ok(())
    }

    fn count(&mut self, entry: DeliveredEntry, key: u64, is_found: bool, now: DateTime<Utc>) {
        let is_recent = now.signed_duration_since(entry.delivered_at) <= MAX_DELAY;
        let is_missing = !is_found && !is_recent;
        let numbers = Numbers {
            delivered: 1,
            found: u64::from(is_found),
            missing: u64::from(is_missing),
            recent: u64::from(!is_found && is_recent),
            unknown: 0,
        };
        self.add_to_day(entry.delivered_at.date_naive(), numbers);
        self.add_to_type(entry.indicator_type.clone(), numbers);
        if is_missing {
            self.missing.insert((entry.tenant.clone(), key), entry.id);
            if self.shown.len() < MAX_SHOWN {
                self.shown.push(entry);
            }
        }
    }

    fn add_to_day(&mut self, day: NaiveDate, numbers: Numbers) {
        let sum = self.days.entry(day).or_default();
        *sum = sum.plus(numbers);
    }

    fn add_to_type(&mut self, indicator_type: String, numbers: Numbers) {
        let sum = self.types.entry(indicator_type).or_default();
        *sum = sum.plus(numbers);
    }
}

fn type_of(row: &FoundRow) -> &'static str {
    IndicatorType::from_name(&row.indicator_type).map_or(OTHER_TYPE, IndicatorType::as_str)
}

/// Returns a hash of type and value, which an indicator in the ledger and its row in the search
/// have in common. Upper and lower case are the same in hashes and domain names.
fn key(indicator_type: &str, value: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    indicator_type.hash(&mut hasher);
    match indicator_type {
        "hash" | "domain" => value.to_ascii_lowercase().hash(&mut hasher),
        _ => value.hash(&mut hasher),
    }
    hasher.finish()
}
