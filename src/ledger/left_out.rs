//! Samples of the indicators that runs did not send, for `explain` and `report`: the latest ones of
//! each tenant, up to a limit.

use chrono::{DateTime, Utc};
use rusqlite::params;

use super::columns::{Time, json_array, text, time};
use super::error::Problem;
use super::store::Store;
use super::tenant::OF_TENANTS;
use super::{LedgerReader, Result, TenantFilter};
use crate::indicator::IndicatorType;
use crate::selection::{LeftOut, MAX_SAMPLES};

/// A value that runs of a tenant did not send, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOutSample {
    /// The tenant's name.
    pub tenant: String,
    /// The reason, as logged.
    pub reason: String,
    /// `None` where the value is not an indicator that may be sent.
    pub indicator_type: Option<IndicatorType>,
    /// The beginning of the value: in normal form if it is an indicator, else as in the alert.
    pub value: String,
    /// The beginning of the id of the last alert that named it.
    pub alert: String,
    /// The number of mentions; an alert that two runs read counts twice.
    pub mentions: u64,
    /// When a run left it out for the first time, UTC.
    pub first_at: DateTime<Utc>,
    /// When a run left it out last, UTC.
    pub last_at: DateTime<Utc>,
}

/// A value that was not sent, summed over tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOutTotal {
    /// The reason, as logged.
    pub reason: String,
    /// `None` where the value is not an indicator that may be sent.
    pub indicator_type: Option<IndicatorType>,
    /// The beginning of the value.
    pub value: String,
    /// The number of mentions, in all runs since it was left out for the first time.
    pub mentions: u64,
    /// When a run left it out last, UTC.
    pub last_at: DateTime<Utc>,
}

impl Store<'_> {
    /// Adds what a run left out to the samples of its tenant, and deletes the oldest of them beyond
    /// [`MAX_SAMPLES`].
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn add_left_out(&self, left_out: &LeftOut) -> Result<(), Problem> {
        if left_out.is_empty() {
            return Ok(());
        }
        let tenant = self.ledger.tenant.0;
        let mut add = self.db.prepare_cached(
            "INSERT INTO main.left_out
                (tenant, reason, type, value, alert, mentions, first_at, last_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
             ON CONFLICT DO UPDATE SET alert = excluded.alert,
                mentions = mentions + excluded.mentions, last_at = excluded.last_at",
        )?;
        for (key, sample) in left_out.iter() {
            add.execute(params![
                tenant,
                key.reason,
                key.indicator_type.map_or("", IndicatorType::as_str),
                key.value,
                sample.alert,
                sample.mentions,
                self.now,
            ])?;
        }
        let delete = "DELETE FROM main.left_out WHERE tenant = ?1 AND (reason, type, value) IN (
                        SELECT reason, type, value FROM main.left_out WHERE tenant = ?1
                        ORDER BY last_at DESC, mentions DESC LIMIT -1 OFFSET ?2)";
        self.db.execute(delete, params![tenant, MAX_SAMPLES])?;
        Ok(())
    }
}

impl LedgerReader {
    /// Returns the samples that have one of these values, or whose last alert has this id, sorted
    /// by tenant. The case of values that are not indicators does not matter: they are not in
    /// normal form.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn left_out_of(
        &self,
        values: &[&str],
        alert: &str,
        tenants: &TenantFilter,
    ) -> Result<Vec<LeftOutSample>> {
        let values = json_array(values.iter().copied());
        let select = format!(
            "SELECT name, reason, type, value, alert, mentions, first_at, last_at
             FROM left_out JOIN tenant ON tenant.id = left_out.tenant
             WHERE {OF_TENANTS} AND (alert = ?4 OR EXISTS (
                SELECT 1 FROM json_each(?3) AS wanted
                WHERE wanted.value = left_out.value OR
                    (type = '' AND wanted.value = left_out.value COLLATE NOCASE)))
             ORDER BY name, last_at DESC, reason, left_out.value LIMIT {MAX_SAMPLES}"
        );
        self.query(&select, params![tenants.name, tenants.source, values, alert], |row| {
            Ok(LeftOutSample {
                tenant: text(row, 0)?,
                reason: text(row, 1)?,
                indicator_type: IndicatorType::from_name(&text(row, 2)?),
                value: text(row, 3)?,
                alert: text(row, 4)?,
                mentions: row.get(5)?,
                first_at: time(row, 6)?,
                last_at: time(row, 7)?,
            })
        })
    }

    /// Returns at most `limit` of the values that were left out since a time: those with the most
    /// mentions, summed over the tenants. Mentions before that time count too.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn top_left_out(
        &self,
        since: DateTime<Utc>,
        limit: u32,
        tenants: &TenantFilter,
    ) -> Result<Vec<LeftOutTotal>> {
        let select = format!(
            "SELECT reason, type, value, sum(mentions), max(last_at) AS last
             FROM left_out WHERE {OF_TENANTS} AND last_at >= ?3
             GROUP BY reason, type, value
             ORDER BY sum(mentions) DESC, last DESC, reason, type, value LIMIT ?4"
        );
        self.query(&select, params![tenants.name, tenants.source, Time(since), limit], |row| {
            Ok(LeftOutTotal {
                reason: text(row, 0)?,
                indicator_type: IndicatorType::from_name(&text(row, 1)?),
                value: text(row, 2)?,
                mentions: row.get(3)?,
                last_at: time(row, 4)?,
            })
        })
    }
}
