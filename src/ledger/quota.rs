//! What a token may still send today, and what is forgotten.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::columns::{Count, Time, number};
use super::{Ledger, Result};

/// For how long a delivered or dropped sighting and a day's quota are kept.
pub const SIGHTINGS_KEPT: TimeDelta = TimeDelta::days(90);
/// For how long a run and the number of a technique are kept: a year can be compared with the one before.
pub const RUNS_KEPT: TimeDelta = TimeDelta::days(400);

/// How many rows were forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Sightings delivered or dropped long ago.
    pub sightings: usize,
    /// Runs begun long ago.
    pub runs: usize,
    /// Days of quota.
    pub days: usize,
    /// Days of a technique.
    pub techniques: usize,
}

impl Ledger {
    /// How many submissions the token used on a UTC day, by whichever tenant.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn used(&self, token: &str, day: NaiveDate) -> Result<u64> {
        self.view.read(|db| Ok(used(db, token, day)?))
    }

    /// Deletes what was settled 90 days ago, quota days as old, and runs and techniques from 400 days ago. Nothing
    /// that is in the outbox is ever forgotten.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn forget(&self, now: DateTime<Utc>) -> Result<Forgotten> {
        let before = |kept| Time(now.checked_sub_signed(kept).unwrap_or(DateTime::<Utc>::MIN_UTC));
        let (settled, begun) = (before(SIGHTINGS_KEPT), before(RUNS_KEPT));
        let day = |time: &Time| time.0.date_naive().to_string();
        let (quota_day, technique_day) = (day(&settled), day(&begun));
        self.atomically(|db| {
            Ok(Forgotten {
                sightings: forget_settled(db, &settled)?,
                runs: db.execute("DELETE FROM run WHERE started_at < ?1", [begun])?,
                days: db.execute("DELETE FROM quota WHERE day < ?1", [quota_day])?,
                techniques: db.execute("DELETE FROM technique WHERE day < ?1", [technique_day])?,
            })
        })
    }
}

/// Deletes what was settled before a time, and returns how many sightings that were.
fn forget_settled(db: &Connection, before: &Time) -> rusqlite::Result<usize> {
    const OLD: &str = "FROM settled WHERE delivered_at < ?1 OR dropped_at < ?1";
    let any = format!("SELECT EXISTS (SELECT 1 {OLD})");
    // For the first 90 days there is nothing, and to find that out the far larger table need not be read.
    if !db.query_row(&any, [before], |row| row.get(0))? {
        return Ok(0);
    }
    let sightings = format!("DELETE FROM sighting WHERE entry IN (SELECT id {OLD})");
    let forgotten = db.execute(&sightings, [before])?;
    db.execute(&format!("DELETE {OLD}"), [before])?;
    Ok(forgotten)
}

/// What a token used on a day.
pub(super) fn used(db: &Connection, token: &str, day: NaiveDate) -> rusqlite::Result<u64> {
    let mut select = db.prepare_cached("SELECT used FROM quota WHERE token = ?1 AND day = ?2")?;
    let used = select
        .query_row(params![token, day.to_string()], |row| Ok(row.get::<_, Count>(0)?.0))
        .optional()?;
    Ok(used.unwrap_or(0))
}

/// Adds to what a token used on the day of `now`.
pub(super) fn add_used(
    db: &Connection,
    token: &str,
    count: u64,
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    if count > 0 {
        let mut add = db.prepare_cached(
            "INSERT INTO quota (token, day, used) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET used = used + excluded.used",
        )?;
        add.execute(params![token, now.date_naive().to_string(), number(count)])?;
    }
    Ok(())
}
