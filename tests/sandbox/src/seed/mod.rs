//! Made alerts, as many as wanted and the same ones every time, and the reading of recorded ones.
//!
//! Everything is invented: hashes are digits of a generator, domains are under example.com, example.net
//! and example.org, public addresses are in 1.0.0.0/8. Mixed in is what a reader must cope with: private
//! addresses, indicators that Recorded Future does not take, hashes of a wrong length, `""` and null.

mod carbon_black;
mod falcon;
mod prng;
mod samples;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use crate::alert_store::{Keys, Shelf};
use crate::world::World;
use prng::Prng;
pub use samples::samples;

/// What is to be made. The same recipe gives the same alerts.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// How many alerts.
    pub count: usize,
    /// The first alert is created at or soon after this instant.
    pub start: DateTime<Utc>,
    /// All alerts are created before this instant.
    pub end: DateTime<Utc>,
    /// Another seed gives other alerts.
    pub seed: u64,
    /// The share of alerts (0 to 1) that carry an indicator.
    pub indicators: f64,
    /// How many different values of each type the indicators are drawn from.
    pub distinct: usize,
    /// About 3.7 KB of JSON an alert, as the real ones, instead of about 0.7 KB.
    pub full_size: bool,
}

impl Recipe {
    /// That many lean alerts over the 24 hours before `end`; three in ten carry an indicator.
    pub fn new(count: usize, end: DateTime<Utc>) -> Self {
        Self {
            count,
            start: end - TimeDelta::hours(24),
            end,
            seed: 1,
            indicators: 0.3,
            distinct: 1000,
            full_size: false,
        }
    }

    /// The same, at full size.
    pub fn full_size(mut self) -> Self {
        self.full_size = true;
        self
    }

    /// When alert `index` was created. The alerts are spread evenly; one in twenty shares the instant of the
    /// one before it, as happens in life.
    fn created(&self, index: usize) -> DateTime<Utc> {
        let shared = index > 0 && self.draws(index, 0).chance(0.05);
        let slot = if shared { index - 1 } else { index };
        let step = (self.end - self.start).num_nanoseconds().unwrap_or(i64::MAX)
            / i64::try_from(self.count.max(1)).unwrap_or(i64::MAX);
        let jitter = self.draws(slot, 1).below(u64::try_from(step / 2).unwrap_or(0).max(1));
        let offset = step
            .saturating_mul(i64::try_from(slot).unwrap_or(i64::MAX))
            .saturating_add(i64::try_from(jitter).unwrap_or(0));
        self.start + TimeDelta::nanoseconds(offset)
    }

    /// The generator for one purpose of one alert: no alert's content depends on another's.
    fn draws(&self, index: usize, purpose: u64) -> Prng {
        Prng::new(self.seed, index as u64, purpose)
    }
}

/// Made Falcon alerts, oldest first.
pub fn falcon_alerts(recipe: &Recipe) -> Vec<Value> {
    all(recipe, falcon::alert, falcon::bulk)
}

/// Made Carbon Black alerts, oldest first.
pub fn carbon_black_alerts(recipe: &Recipe) -> Vec<Value> {
    all(recipe, carbon_black::alert, carbon_black::bulk)
}

impl World {
    /// Adds made Falcon alerts as text at once: the way for large numbers.
    pub fn seed_falcon(mut self, recipe: &Recipe) -> Self {
        shelve(recipe, &mut self.falcon.alerts, falcon::alert, falcon::bulk);
        self
    }

    /// Adds made Carbon Black alerts as text at once: the way for large numbers.
    pub fn seed_carbon_black(mut self, recipe: &Recipe) -> Self {
        shelve(recipe, &mut self.carbon_black.alerts, carbon_black::alert, carbon_black::bulk);
        self
    }
}

/// The part of an alert that differs from every other.
type Lean = fn(&Recipe, usize) -> Map<String, Value>;
/// The part that only has to be there, for size: there are [`BULKS`] of them, shared out.
type Bulk = fn(u64) -> Map<String, Value>;

const BULKS: u64 = 64;

fn bulks(recipe: &Recipe, bulk: Bulk) -> Vec<Map<String, Value>> {
    let count = if recipe.full_size { BULKS } else { 0 };
    (0..count).map(bulk).collect()
}

fn all(recipe: &Recipe, lean: Lean, bulk: Bulk) -> Vec<Value> {
    let bulks = bulks(recipe, bulk);
    let alert = |index| {
        let mut alert = lean(recipe, index);
        if !bulks.is_empty() {
            alert.extend(bulks[index % bulks.len()].clone());
        }
        Value::Object(alert)
    };
    (0..recipe.count).map(alert).collect()
}

fn shelve<K: Keys>(recipe: &Recipe, shelf: &mut Shelf<K>, lean: Lean, bulk: Bulk) {
    // The bulk is rendered once and joined on as text: an alert is `{` its own `,` the bulk `}`.
    let bulks: Vec<String> =
        bulks(recipe, bulk).into_iter().map(|bulk| Value::Object(bulk).to_string()).collect();
    for index in 0..recipe.count {
        let alert = Value::Object(lean(recipe, index));
        let mut text = alert.to_string();
        if !bulks.is_empty() {
            text.pop();
            text.push(',');
            text.push_str(&bulks[index % bulks.len()][1..]);
        }
        shelf.push_raw(text, &alert);
    }
}
