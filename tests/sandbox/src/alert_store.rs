//! Alerts as they are kept: raw text to be served as it stands, and beside it what a search needs.
//!
//! Serving a page is then joining texts, and an alert that no JSON library would write (a key twice,
//! `1e999`, half a surrogate pair) can be served all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

/// What a search needs to know of one alert.
pub trait Keys: Clone {
    /// Reads the keys of an alert; `None` when it is not an object.
    fn read(alert: &Value) -> Option<Self>;
    /// The alert's identity, where it has one.
    fn id(&self) -> Option<&str>;
}

/// One alert. Without keys it is a stray (a number, a text, null): it matches every search and sorts last.
#[derive(Debug, Clone)]
pub struct Alert<K> {
    /// Served as it stands.
    pub text: Arc<str>,
    /// What searches and sorting see.
    pub keys: Option<K>,
}

/// All alerts of one vendor, in the order in which they were added.
#[derive(Debug, Clone)]
pub struct Shelf<K> {
    alerts: Arc<Vec<Alert<K>>>,
    revision: u64,
}

impl<K> Default for Shelf<K> {
    fn default() -> Self {
        Self { alerts: Arc::default(), revision: 0 }
    }
}

impl<K: Keys> Shelf<K> {
    /// Adds an alert.
    pub fn push(&mut self, alert: &Value) {
        self.push_raw(alert.to_string(), alert);
    }

    /// Adds an alert by its text, which need not be JSON that anything can read.
    /// `like` gives the fields that searches and sorting see; `Value::Null` makes it a stray.
    pub fn push_raw(&mut self, text: impl Into<String>, like: &Value) {
        let text = Arc::from(text.into());
        self.touch().push(Alert { text, keys: K::read(like) });
    }

    /// Adds alerts.
    pub fn extend<'a>(&mut self, alerts: impl IntoIterator<Item = &'a Value>) {
        let shelf = self.touch();
        shelf.extend(
            alerts
                .into_iter()
                .map(|alert| Alert { text: alert.to_string().into(), keys: K::read(alert) }),
        );
    }

    /// Keeps only the alerts for whose id the answer is yes. Strays have no id and go.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.touch().retain(|alert| alert.keys.as_ref().and_then(K::id).is_some_and(&mut keep));
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.touch().clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.alerts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    pub(crate) fn alerts(&self) -> &[Alert<K>] {
        &self.alerts
    }

    /// Two shelves of one revision hold the same alerts: what lets a search be remembered between pages.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    fn touch(&mut self) -> &mut Vec<Alert<K>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        self.revision = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::make_mut(&mut self.alerts)
    }
}

/// The texts of some alerts, joined by commas, with the ids they carry.
pub(crate) fn join<'a, K: Keys + 'a>(
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
