//! The delivered indicators that most detections named, and the MITRE techniques that most
//! submissions named.

use chrono::{DateTime, Utc};
use rusqlite::params;

use super::columns::{Time, time};
use super::tenant::OF_TENANTS;
use super::{LedgerReader, Period, Result, TenantFilter};
use crate::indicator::IndicatorType;

/// An indicator and how many detections named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopIndicator {
    /// Its type.
    pub indicator_type: IndicatorType,
    /// The indicator.
    pub value: String,
    /// The number of detections that named it, summed over the tenants.
    pub detections: u64,
    /// When it was last delivered, UTC.
    pub last_delivered: DateTime<Utc>,
}

/// A MITRE technique and how many submissions named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Technique {
    /// Its code.
    pub code: String,
    /// The number of delivered submissions that named it.
    pub submissions: u64,
}

impl LedgerReader {
    /// Returns up to `limit` indicators that were delivered since a time, ordered by the number
    /// of detections that named them.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn top_indicators(
        &self,
        since: DateTime<Utc>,
        limit: u32,
        tenants: &TenantFilter,
    ) -> Result<Vec<TopIndicator>> {
        // CROSS JOIN keeps the order of the tables: the long one is scanned once, from the first
        // entry that may have been delivered since then.
        let select = format!(
            "SELECT type, value, sum(detections), max(ended_at) AS last
             FROM settled CROSS JOIN batch ON batch.id = settled.batch
             WHERE settled.id >= (
                    SELECT min(first_entry) FROM batch WHERE state = 'delivered' AND ended_at >= ?3)
                AND {OF_TENANTS} AND state = 'delivered' AND ended_at >= ?3
             GROUP BY type, value ORDER BY sum(detections) DESC, last DESC, type, value LIMIT ?4",
        );
        self.query(&select, params![tenants.name, tenants.source, Time(since), limit], |row| {
            Ok(TopIndicator {
                indicator_type: row.get(0)?,
                value: row.get(1)?,
                detections: row.get(2)?,
                last_delivered: time(row, 3)?,
            })
        })
    }

    /// Returns up to `limit` techniques, in the order of the number of submissions delivered in a
    /// period that named them.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn techniques(
        &self,
        period: Period,
        limit: u32,
        tenants: &TenantFilter,
    ) -> Result<Vec<Technique>> {
        let select = format!(
            "SELECT key, sum(value) FROM batch, json_each(techniques)
             WHERE {OF_TENANTS} AND state = 'delivered' AND ended_at >= ?3
                AND (?4 IS NULL OR ended_at < ?4)
             GROUP BY key ORDER BY sum(value) DESC, key LIMIT ?5",
        );
        let (start, end) = (Time(period.start), period.end.map(Time));
        self.query(&select, params![tenants.name, tenants.source, start, end, limit], |row| {
            Ok(Technique { code: row.get(0)?, submissions: row.get(1)? })
        })
    }
}
