//! Short ways to open a stage, and what a test looks at when a run is over.

use sandbox::{Service, World};
use serde_json::Value;

use super::{Ran, Stage, text};

impl Stage {
    /// A stage with these Falcon alerts.
    pub fn falcon(alerts: &[Value]) -> Self {
        Self::new(World::default().falcon_alerts(alerts))
    }

    /// A stage with these Carbon Black alerts.
    pub fn carbonblack(alerts: &[Value]) -> Self {
        Self::new(World::default().carbon_black_alerts(alerts))
    }

    /// The items that the sandbox stored, in the order in which they came.
    pub fn items(&self) -> Vec<Value> {
        let stored = self.sandbox.stored();
        stored.into_iter().map(|stored| stored.item).collect()
    }

    /// The one item that the sandbox stored.
    #[track_caller]
    pub fn only_item(&self) -> Value {
        let mut items = self.items();
        assert_eq!(items.len(), 1, "{items:?}");
        items.remove(0)
    }

    /// `type value` of the stored indicators, sorted.
    pub fn stored_indicators(&self) -> Vec<String> {
        let name =
            |item: &Value| format!("{} {}", text(item, "/ioc/type"), text(item, "/ioc/value"));
        let mut indicators: Vec<String> = self.items().iter().map(name).collect();
        indicators.sort();
        indicators
    }

    /// The bodies of the requests to Recorded Future.
    pub fn posts(&self) -> Vec<Value> {
        let requests = self.sandbox.requests_to(Service::RecordedFuture);
        requests.iter().map(|asked| asked.json().unwrap()).collect()
    }

    /// How many requests one of the services got.
    pub fn asked(&self, service: Service) -> usize {
        self.sandbox.requests_to(service).len()
    }
}

impl Ran {
    /// Checks that stderr has each of these words: what a person needs to read.
    #[track_caller]
    pub fn says(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {}", self.stderr);
        }
        self
    }

    /// Checks the numbers of the JSON document that are named; all others are checked to be 0.
    #[track_caller]
    pub fn counts(&self, wanted: &[(&str, u64)]) -> &Self {
        let document = self.json();
        for (name, count) in document["counts"].as_object().unwrap() {
            let want = wanted.iter().find(|(wanted, _)| wanted == name);
            let want = want.map_or(0, |(_, count)| *count);
            assert_eq!(count.as_u64(), Some(want), "{name} in {document}");
        }
        for (name, _) in wanted {
            self.count(name);
        }
        self.adds_up()
    }
}

/// The keys of a JSON object, sorted.
#[track_caller]
pub fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The texts in a JSON list.
#[track_caller]
pub fn texts(list: &Value) -> Vec<&str> {
    let texts = list.as_array().unwrap().iter();
    texts.map(|text| text.as_str().unwrap()).collect()
}
