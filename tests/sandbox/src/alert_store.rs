//! Storage of the alerts: the raw text that is served, and next to it the fields that a search
//! needs.
//!
//! A page consists of these texts, joined with commas. So it can also contain alerts that no JSON
//! library would write (a duplicate key, `1e999`, a lone surrogate).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use serde_json::Value;

/// The fields of one alert that searches filter and sort by.
pub trait SearchKeys: Clone {
    /// Reads the keys of an alert; `None` if it is not an object.
    fn from_alert(alert: &Value) -> Option<Self>;
    /// Returns the id of the alert, if it has one.
    fn id(&self) -> Option<&str>;
    /// Returns when the service created the alert.
    fn created(&self) -> Option<DateTime<Utc>>;
}

/// One alert. An alert without keys (a number, a string, null) matches every search, except one of
/// a Falcon child account, and sorts last.
#[derive(Debug, Clone)]
pub struct Alert<K> {
    /// The JSON text, served unchanged.
    pub text: Arc<str>,
    /// The keys for searching and sorting.
    pub keys: Option<K>,
}

/// All alerts of one vendor, in insertion order.
#[derive(Debug, Clone)]
pub struct AlertStore<K> {
    alerts: Arc<Vec<Alert<K>>>,
    revision: u64,
}

impl<K> Default for AlertStore<K> {
    fn default() -> Self {
        Self { alerts: Arc::default(), revision: 0 }
    }
}

impl<K: SearchKeys> AlertStore<K> {
    /// Adds an alert.
    pub fn push(&mut self, alert: &Value) {
        self.push_raw(alert.to_string(), alert);
    }

    /// Adds an alert by its text, which need not be valid JSON.
    /// `search_as` provides the fields that searches and sorting see; `Value::Null` provides none.
    pub fn push_raw(&mut self, text: impl Into<String>, search_as: &Value) {
        let text = Arc::from(text.into());
        self.alerts_mut().push(Alert { text, keys: K::from_alert(search_as) });
    }

    /// Adds alerts.
    pub fn extend<'a>(&mut self, alerts: impl IntoIterator<Item = &'a Value>) {
        let added = alerts
            .into_iter()
            .map(|alert| Alert { text: alert.to_string().into(), keys: K::from_alert(alert) });
        self.alerts_mut().extend(added);
    }

    /// Keeps only the alerts whose id passes `keep`. Alerts without an id are removed.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let has_kept_id =
            |alert: &Alert<K>| alert.keys.as_ref().and_then(K::id).is_some_and(&mut keep);
        self.alerts_mut().retain(has_kept_id);
    }

    /// Removes all alerts.
    pub fn clear(&mut self) {
        self.alerts_mut().clear();
    }

    /// Returns the number of alerts.
    pub fn len(&self) -> usize {
        self.alerts.len()
    }

    /// Reports whether there are no alerts.
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    pub(crate) fn alerts(&self) -> &[Alert<K>] {
        &self.alerts
    }

    /// Stores with the same revision contain the same alerts. Lets a search be cached between
    /// pages.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the alerts for a change, under a new revision.
    fn alerts_mut(&mut self) -> &mut Vec<Alert<K>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        self.revision = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::make_mut(&mut self.alerts)
    }
}

/// The alerts of a store that existed at a time. Cached, because they are the same for each page of
/// a search.
#[derive(Debug)]
pub(crate) struct Snapshot<K> {
    revision: u64,
    time: DateTime<Utc>,
    alerts: AlertStore<K>,
}

impl<K: SearchKeys> Snapshot<K> {
    /// Leaves only the alerts in the store that were created up to a time, or whose creation is
    /// unknown.
    pub(crate) fn apply(cached: &mut Option<Self>, store: &mut AlertStore<K>, time: DateTime<Utc>) {
        let exists = |alert: &Alert<K>| {
            alert.keys.as_ref().and_then(K::created).is_none_or(|created| created <= time)
        };
        if store.alerts().iter().all(exists) {
            return;
        }
        let revision = store.revision();
        if let Some(snapshot) = cached
            && (snapshot.revision, snapshot.time) == (revision, time)
        {
            *store = snapshot.alerts.clone();
            return;
        }
        store.alerts_mut().retain(exists);
        *cached = Some(Self { revision, time, alerts: store.clone() });
    }
}

/// Joins the texts of alerts with commas, and returns their ids too.
pub(crate) fn join<'a, K: SearchKeys + 'a>(
    alerts: impl Iterator<Item = &'a Alert<K>>,
) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut ids = Vec::new();
    for alert in alerts {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&alert.text);
        ids.extend(alert.keys.as_ref().and_then(K::id).map(str::to_owned));
    }
    (text, ids)
}
