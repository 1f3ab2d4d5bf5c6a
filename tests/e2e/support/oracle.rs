//! The oracle: generates alerts whose submissions are known in advance, and checks at the end that
//! each of them arrived or is in quarantine, and nothing else arrived.

mod alerts;
mod ledger;
mod repeats;
mod requests;
mod run_checks;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use sandbox::{RecordedRequest, Sandbox, StoredItem};
use serde_json::Value;

use super::RunOutput;
use super::json::text;
use super::vendor::Vendor;
use ledger::{Sighting, sightings};
use repeats::Record;
use requests::is_rejected_alone;

pub use repeats::PastRun;
pub use requests::response_lost;
pub use run_checks::check_counts;

/// An indicator that an alert names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mention {
    /// The id of the alert, and of the detection that is sent for it.
    pub alert: String,
    /// The value of the indicator.
    pub value: String,
}

impl Mention {
    /// Returns the mention that an item was sent for.
    fn of(item: &Value) -> Self {
        Self { alert: text(item, "/detection/id"), value: text(item, "/ioc/value") }
    }
}

/// A tenant whose runs are checked.
pub struct Tenant<'a> {
    /// Its vendor and its Recorded Future, which serve no other tenant.
    pub sandbox: &'a Sandbox,
    /// The ledger, which other tenants may share.
    pub ledger: PathBuf,
    pub name: &'a str,
}

/// The copies of each item that were stored, in the order in which they arrived.
type Arrived<'a> = BTreeMap<Mention, Vec<&'a StoredItem>>;

/// The expected result for the alerts of one vendor.
pub struct Oracle {
    pub vendor: Vendor,
    /// Every mention that must arrive, with its item. Where several alerts name the same indicator,
    /// the item of one of them is sufficient.
    expected: BTreeMap<Mention, Value>,
    /// The time at which the vendor created each alert, by the id of the alert.
    created_at: BTreeMap<String, DateTime<Utc>>,
    /// The ids of the alerts that a fault may remove, because nothing is sent for them.
    removable: Vec<String>,
    /// The ids of the alerts that `choose_removed` returned.
    removed: RefCell<BTreeSet<String>>,
}

/// How many of the expected mentions are in each state at the end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct FinalCounts {
    pub delivered: usize,
    pub quarantined: usize,
    pub queued: usize,
    /// How often an item was stored again.
    pub duplicates: usize,
}

/// Returns the time of the first alert. The first run starts one day later.
fn first_alert_time() -> DateTime<Utc> {
    "2026-11-21T00:15:00Z".parse().unwrap()
}

/// Returns when the run after this many days starts; for 1 that is [`NOW`](super::NOW).
pub fn run_time(days: u32) -> String {
    let time = first_alert_time() + TimeDelta::days(days.into());
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl Oracle {
    /// Chooses a few alerts that a fault removes, never the same twice.
    pub fn choose_removed(&self) -> Vec<String> {
        let mut removed = self.removed.borrow_mut();
        let candidates = self.removable.iter().skip(removed.len() % 7);
        let candidates = candidates.step_by(self.removable.len() / 4 + 1);
        let chosen: Vec<String> = candidates.filter(|id| !removed.contains(*id)).cloned().collect();
        removed.extend(chosen.iter().cloned());
        chosen
    }

    /// Returns the values of all indicators that must arrive.
    pub fn values(&self) -> Vec<String> {
        let values: BTreeSet<&String> =
            self.expected.keys().map(|mention| &mention.value).collect();
        values.into_iter().cloned().collect()
    }

    /// Checks how many alerts a run fetched: not more than the sandbox served after the first
    /// `served_before`, and, if the run ended with code 0, not fewer than were created in its
    /// window before `now`, the time of the services, without those that `choose_removed` returned.
    #[track_caller]
    pub fn check_fetched(
        &self,
        sandbox: &Sandbox,
        output: &RunOutput,
        served_before: usize,
        now: DateTime<Utc>,
    ) {
        let document = output.json();
        if document["window"].is_null() {
            return;
        }
        let instant = |key: &str| -> DateTime<Utc> {
            document["window"][key].as_str().unwrap().parse().unwrap()
        };
        let (start, end) = (instant("start"), instant("end"));
        let fetched = usize::try_from(output.count("alerts_fetched")).unwrap();
        let in_window = |id: &String| (start..end).contains(&self.created_at[id]);
        let served = self.vendor.served_alerts(sandbox);
        let served = served.iter().skip(served_before).filter(|id| in_window(id));
        let served = served.collect::<BTreeSet<_>>().len();
        assert!(fetched <= served, "{fetched} fetched of {served} unique ones: {document}");
        if output.code == 0 {
            let removed = self.removed.borrow();
            let exists = |id: &String| !removed.contains(id) && self.created_at[id] < now;
            let existing = self.created_at.keys().filter(|id| exists(id) && in_window(id)).count();
            assert!(fetched >= existing, "complete with {fetched} of {existing}: {document}");
        }
    }

    /// Checks the sandbox and the ledger at the end, after a run without faults.
    ///
    /// `may_be_lost` reports whether the response to a batch may not have arrived although it was
    /// stored. `runs` are all runs so far; without them, it is not checked whether a run had to
    /// find by a search what an earlier run stored.
    #[track_caller]
    pub fn check(
        &self,
        tenant: &Tenant<'_>,
        runs: &[PastRun],
        may_be_lost: impl Fn(usize, &RecordedRequest) -> bool,
    ) -> FinalCounts {
        let stored = tenant.sandbox.stored();
        let requests = tenant.sandbox.requests();
        let record = Record::new(tenant.sandbox, runs, &stored, &requests);
        let may_be_lost = |request: usize| may_be_lost(request, &requests[request]);
        let arrived = self.check_stored(&record, may_be_lost);
        let duplicates = arrived.values().map(|copies| copies.len() - 1).sum();

        let sightings = sightings(tenant);
        let mut counts = FinalCounts { duplicates, ..FinalCounts::default() };
        for mention in self.expected.keys() {
            let state = sightings.get(mention).map(|sighting| sighting.state.as_str());
            match state {
                Some("delivered") => counts.delivered += 1,
                Some("quarantined") => {
                    assert!(
                        is_rejected_alone(&requests, &mention.value),
                        "{mention:?} is in quarantine but was never rejected alone"
                    );
                    counts.quarantined += 1;
                }
                Some("waiting") => counts.queued += 1,
                other => panic!("{mention:?} is lost: its state in the ledger is {other:?}"),
            }
        }
        self.assert_represented(&sightings, &arrived);
        let unexpected = sightings.keys().find(|mention| !self.expected.contains_key(*mention));
        assert_eq!(unexpected, None, "the ledger contains an indicator that no alert mentions");
        for (mention, copies) in &arrived {
            let state = &sightings[mention].state;
            let is_explained =
                state == "delivered" || copies.last().is_some_and(|copy| may_be_lost(copy.request));
            assert!(is_explained, "{mention:?} arrived, but its state in the ledger is {state}");
        }
        assert!(!tenant.sandbox.overlapping_posts());
        counts
    }

    /// Checks every item that was stored: it is an expected one, unchanged, and stored again only
    /// where the response to the copy before may have been lost. Returns the copies of each.
    #[track_caller]
    fn check_stored<'a>(
        &self,
        record: &Record<'a>,
        may_be_lost: impl Fn(usize) -> bool,
    ) -> Arrived<'a> {
        let mut arrived = Arrived::new();
        for stored in record.stored {
            let mention = Mention::of(&stored.item);
            let expected = self.expected.get(&mention);
            let expected = expected.unwrap_or_else(|| panic!("unexpected: {}", stored.item));
            assert_eq!(&stored.item, expected, "an item was changed");
            let copies = arrived.entry(mention.clone()).or_default();
            if let Some(last) = copies.last() {
                let request = &record.requests[last.request];
                assert!(
                    last.request != stored.request && may_be_lost(last.request),
                    "{mention:?} was stored twice although the response to request {} arrived: {request:?}",
                    last.request,
                );
            }
            record.assert_may_repeat(copies, stored);
            copies.push(stored);
        }
        arrived
    }

    /// Asserts that each mention of a delivered entry is represented by an item of that entry that
    /// arrived when the alert of the mention existed: not by one of an earlier run.
    #[track_caller]
    fn assert_represented(&self, sightings: &BTreeMap<Mention, Sighting>, arrived: &Arrived<'_>) {
        let mut entries: BTreeMap<i64, Vec<&Mention>> = BTreeMap::new();
        for (mention, sighting) in sightings {
            if sighting.state == "delivered" {
                entries.entry(sighting.entry).or_default().push(mention);
            }
        }
        for mentions in entries.values() {
            let copies = mentions.iter().filter_map(|mention| arrived.get(*mention)).flatten();
            let arrived_at = copies.map(|copy| copy.stored_at).max();
            for mention in mentions {
                assert!(
                    arrived_at
                        .is_some_and(|arrived_at| self.created_at[&mention.alert] <= arrived_at),
                    "{mention:?} counts as delivered but never arrived"
                );
            }
        }
    }
}
