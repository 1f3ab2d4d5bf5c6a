//! What was delivered, looked back upon: which indicators and techniques are shared most.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use rusqlite::{Connection, params};
use serde::Deserialize;
use serde_json::Value;

use super::columns::{Count, Named, Time};
use super::{Result, TenantId, View};
use crate::indicator::IndicatorType;

/// An indicator and how often it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What kind of indicator it is.
    pub kind: IndicatorType,
    /// The indicator.
    pub value: String,
    /// How many detections named it; one that went to several tenants of an account counts once.
    pub detections: u64,
    /// When the last of them was delivered.
    pub last_delivered: DateTime<Utc>,
}

/// A MITRE technique and how often it was shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Technique {
    /// Its code.
    pub code: String,
    /// How many delivered submissions named it.
    pub submissions: u64,
}

impl View {
    /// The indicators that most of the detections delivered since a time named, at most `limit`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn most_seen(&self, since: DateTime<Utc>, limit: u32) -> Result<Vec<Seen>> {
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT kind, value, count(*), max(delivered) AS last FROM (
                    SELECT kind, value, max(delivered_at) AS delivered
                    FROM sighting JOIN settled ON settled.id = entry JOIN tenant ON tenant.id = sighting.tenant
                    WHERE delivered_at >= ?1 GROUP BY source, account, detection, kind, value)
                 GROUP BY kind, value ORDER BY count(*) DESC, last DESC, kind, value LIMIT ?2",
            )?;
            let rows = select.query_map(params![Time(since), limit], |row| {
                Ok(Seen {
                    kind: row.get::<_, Named>(0)?.0,
                    value: row.get(1)?,
                    detections: row.get::<_, Count>(2)?.0,
                    last_delivered: row.get::<_, Time>(3)?.0,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The techniques that most submissions named that were delivered on the UTC day `since` or later, at most
    /// `limit`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn techniques(&self, since: NaiveDate, limit: u32) -> Result<Vec<Technique>> {
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT code, sum(submissions) FROM technique WHERE day >= ?1
                 GROUP BY code ORDER BY sum(submissions) DESC, code LIMIT ?2",
            )?;
            let rows = select.query_map(params![since.to_string(), limit], |row| {
                Ok(Technique { code: row.get(0)?, submissions: row.get::<_, Count>(1)?.0 })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// How many of the items delivered together named each technique.
///
/// A map in memory and one statement a code: asking `SQLite` to read each item took a third of a run's
/// processor time.
#[derive(Debug, Default)]
pub(super) struct Techniques(BTreeMap<String, i64>);

/// What is read of an item.
#[derive(Debug, Default, Deserialize)]
struct Item {
    #[serde(default)]
    mitre_codes: Vec<Value>,
}

impl Techniques {
    /// Counts those that an item names, each once. Tactics (`TA0002`) are left out: nearly every technique comes with
    /// one. An item that is no JSON, or whose codes are no list, names none: it can be settled all the same.
    pub fn add(&mut self, item: &str) {
        let item: Item = serde_json::from_str(item).unwrap_or_default();
        let codes: BTreeSet<&str> = item.mitre_codes.iter().filter_map(Value::as_str).collect();
        for code in codes.into_iter().filter(|code| is_technique(code)) {
            *self.0.entry(code.to_owned()).or_default() += 1;
        }
    }

    /// Adds the numbers to those of the day.
    pub fn store(
        &self,
        db: &Connection,
        tenant: TenantId,
        now: DateTime<Utc>,
    ) -> rusqlite::Result<()> {
        let mut add = db.prepare_cached(
            "INSERT INTO technique (tenant, day, code, submissions) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET submissions = submissions + excluded.submissions",
        )?;
        let day = now.date_naive().to_string();
        for (code, submissions) in &self.0 {
            add.execute(params![tenant.0, day, code, submissions])?;
        }
        Ok(())
    }
}

/// A `T` with a digit behind it.
fn is_technique(code: &str) -> bool {
    code.strip_prefix('T')
        .is_some_and(|number| number.starts_with(|first: char| first.is_ascii_digit()))
}
