//! Generates any number of alerts, deterministically, and loads recorded ones.
//!
//! All generated data is invented: hashes are random digits, domains are under example.com,
//! example.net and example.org, public addresses are in 1.0.0.0/8 and 2a00::/16. Some of it is
//! difficult on purpose: private addresses, unsupported indicator types, hashes of a wrong length,
//! `""` and null.

mod carbon_black;
mod falcon;
mod prng;
mod reputation;
mod samples;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use crate::alert_store::{AlertStore, SearchKeys};
use crate::world::World;
use prng::Prng;
pub use samples::samples;

/// The parameters of generated alerts. The same recipe always gives the same alerts.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The number of alerts.
    pub count: usize,
    /// The first alert is created at this instant, or after it by up to half of the mean distance
    /// between two alerts.
    pub start: DateTime<Utc>,
    /// All alerts are created before this instant.
    pub end: DateTime<Utc>,
    /// The seed of the random numbers.
    pub seed: u64,
    /// The share of alerts (0 to 1) that name an indicator.
    pub indicator_share: f64,
    /// The number of different values of each of these: a type of indicator, the malware that
    /// Falcon stops, and the files that Carbon Black trusts, finds bad, or has not judged.
    pub distinct: usize,
    /// The number of CrowdStrike customers. The alerts are spread evenly over them: see
    /// [`customer_cid`].
    pub customers: usize,
    /// Whether each Falcon alert names a hash that no other alert names. `indicator_share` and
    /// `distinct` then apply to Carbon Black only.
    pub own_indicators: bool,
    /// The size of the alerts.
    pub size: Size,
}

/// The size of a generated alert as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// About 0.7 KB: only the fields that are not padding.
    Small,
    /// About 3.7 KB, like most real ones.
    Full,
    /// 6 to 8 KB, like real ones with long command lines; about 2 KB cannot be compressed.
    Large,
}

impl Recipe {
    /// Returns a recipe for small alerts over the 24 hours before `end`; 30 % name an indicator.
    pub fn new(count: usize, end: DateTime<Utc>) -> Self {
        Self {
            count,
            start: end - TimeDelta::hours(24),
            end,
            seed: 1,
            indicator_share: 0.3,
            distinct: 1000,
            customers: 1,
            own_indicators: false,
            size: Size::Small,
        }
    }

    /// Makes the alerts as large as real ones.
    pub fn full_size(mut self) -> Self {
        self.size = Size::Full;
        self
    }

    /// Makes the alerts as large as real ones with long command lines.
    pub fn large(mut self) -> Self {
        self.size = Size::Large;
        self
    }

    /// Returns when alert `index` was created. The alerts are spread evenly; one in twenty has the
    /// same instant as the previous one, as in real data.
    fn created(&self, index: usize) -> DateTime<Utc> {
        let shared = index > 0 && self.random(index, 0).chance(0.05);
        let slot = if shared { index - 1 } else { index };
        let step = (self.end - self.start).num_nanoseconds().unwrap_or(i64::MAX)
            / i64::try_from(self.count.max(1)).unwrap_or(i64::MAX);
        let jitter = self.random(slot, 1).below(u64::try_from(step / 2).unwrap_or(0).max(1));
        let offset = step
            .saturating_mul(i64::try_from(slot).unwrap_or(i64::MAX))
            .saturating_add(i64::try_from(jitter).unwrap_or(0));
        self.start + TimeDelta::nanoseconds(offset)
    }

    /// Returns the random numbers for one purpose of one alert. Each purpose has a number, so that
    /// its random numbers depend neither on other alerts nor on other purposes.
    fn random(&self, index: usize, purpose: u64) -> Prng {
        Prng::new(self.seed, index as u64, purpose)
    }
}

/// Returns the CID of a CrowdStrike customer. Number 0 is the parent account, which exists in every
/// recipe; the others are its children.
pub fn customer_cid(number: usize) -> String {
    match number {
        0 => "5a9db0c500000000000000000000c1d0".to_owned(),
        _ => Prng::new(0xC1D, number as u64, 0).hex(32),
    }
}

/// Generates Falcon alerts, oldest first.
pub fn falcon_alerts(recipe: &Recipe) -> Vec<Value> {
    generate(recipe, falcon::alert, falcon::padding)
}

/// Generates Carbon Black alerts, oldest first.
pub fn carbon_black_alerts(recipe: &Recipe) -> Vec<Value> {
    generate(recipe, carbon_black::alert, carbon_black::padding)
}

impl World {
    /// Adds generated Falcon alerts directly as text, which is fast for large numbers. All clients
    /// can sign in to the child accounts.
    pub fn seed_falcon(mut self, recipe: &Recipe) -> Self {
        let children: Vec<String> = (1..recipe.customers).map(customer_cid).collect();
        for account in &mut self.falcon.accounts {
            account.member_cids.extend_from_slice(&children);
        }
        add_to_store(recipe, &mut self.falcon.alerts, falcon::alert, falcon::padding);
        self
    }

    /// Adds generated Carbon Black alerts directly as text, which is fast for large numbers.
    pub fn seed_carbon_black(mut self, recipe: &Recipe) -> Self {
        let alerts = &mut self.carbon_black.alerts;
        add_to_store(recipe, alerts, carbon_black::alert, carbon_black::padding);
        self
    }
}

/// Generates the fields that are not padding.
type GenerateAlert = fn(&Recipe, usize) -> Map<String, Value>;
/// Generates the fields that only make an alert as large as a real one.
type GeneratePadding = fn(u64) -> Map<String, Value>;

/// The number of different paddings: alert n has padding n modulo this.
const PADDINGS: u64 = 64;

fn paddings(recipe: &Recipe, padding: GeneratePadding) -> Vec<Map<String, Value>> {
    let count = if recipe.size == Size::Small { 0 } else { PADDINGS };
    let padded = |number| {
        let mut fields = padding(number);
        if recipe.size == Size::Large {
            fields.extend(command_line(number));
        }
        fields
    };
    (0..count).map(padded).collect()
}

/// Generates a long command line with random base64 in place of a script, and a plain script.
fn command_line(number: u64) -> Map<String, Value> {
    let mut random = Prng::new(0xC0DE, number, 0);
    let script = random.base64(2000);
    let line = |step: u64| {
        format!("$step{step} = Get-Content -Path C:\\Made\\Up\\input-{step}.txt -Encoding UTF8; ")
    };
    let plain: String = (0..20).map(line).collect();
    let encoded = format!("powershell.exe -NoProfile -EncodedCommand {script}");
    Map::from_iter([
        ("made_up_command_line".to_owned(), encoded.into()),
        ("made_up_script".to_owned(), plain.into()),
    ])
}

fn generate(recipe: &Recipe, alert: GenerateAlert, padding: GeneratePadding) -> Vec<Value> {
    let paddings = paddings(recipe, padding);
    let padded = |index| {
        let mut alert = alert(recipe, index);
        if !paddings.is_empty() {
            alert.extend(paddings[index % paddings.len()].clone());
        }
        Value::Object(alert)
    };
    (0..recipe.count).map(padded).collect()
}

fn add_to_store<K: SearchKeys>(
    recipe: &Recipe,
    store: &mut AlertStore<K>,
    alert: GenerateAlert,
    padding: GeneratePadding,
) {
    // A padding is rendered once and appended as text: `{` the alert's fields `,` the padding `}`.
    let render = |padding| Value::Object(padding).to_string();
    let paddings: Vec<String> = paddings(recipe, padding).into_iter().map(render).collect();
    for index in 0..recipe.count {
        let alert = Value::Object(alert(recipe, index));
        let mut text = alert.to_string();
        if !paddings.is_empty() {
            text.pop();
            text.push(',');
            text.push_str(&paddings[index % paddings.len()][1..]);
        }
        store.push_raw(text, &alert);
    }
}
