//! Summary of the deliveries in a period: by day and type, and each indicator once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use rusqlite::{Connection, params};

use super::columns::{Time, json_array, milliseconds, optional_time, text, time};
use super::reader::query;
use super::tenant::OF_TENANTS;
use super::{LedgerReader, Result, TenantFilter};
use crate::indicator::IndicatorType;

/// The number of alerts of an indicator that are remembered.
const ALERTS_KEPT: usize = 3;

/// The number of deliveries of a type on a UTC day.
pub(crate) type DeliveriesByDay = BTreeMap<(NaiveDate, IndicatorType), u64>;

/// A span of time. A batch belongs to it if it was delivered in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    /// UTC, inclusive.
    pub start: DateTime<Utc>,
    /// UTC, exclusive; `None` without end.
    pub end: Option<DateTime<Utc>>,
}

impl Period {
    /// Returns the span from a time on, without end.
    pub(crate) const fn since(start: DateTime<Utc>) -> Self {
        Self { start, end: None }
    }
}

/// The indicators that were delivered in a period, each counted once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The number of indicators.
    pub indicators: u64,
    /// The number of indicators that were not delivered before the period, as far as the ledger
    /// goes back (90 days).
    pub new: u64,
    /// When the earliest delivery took place whose entries are still kept (90 days), UTC.
    pub first_delivery: Option<DateTime<Utc>>,
    /// The number of indicators that more than one source named.
    pub in_several_sources: u64,
    /// The indicators with the most detections.
    pub top: Vec<Delivered>,
    /// The indicators from several sources with the most detections.
    pub top_in_several: Vec<Delivered>,
    /// The new indicators with the most detections.
    pub top_new: Vec<Delivered>,
}

/// An indicator that was delivered in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub indicator_type: IndicatorType,
    pub value: String,
    /// The number of detections that named it, in the period.
    pub detections: u64,
    /// The highest severity of these, 0 to 100; `None` where none has one.
    pub severity: Option<u8>,
}

/// The sources of an indicator in a period, and its alerts as far back as the ledger goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IndicatorOrigin {
    /// The names of the sources that named it in the period.
    pub sources: BTreeSet<String>,
    /// When the first and the last alert that named it were created, UTC.
    pub seen: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// The last alerts: creation time (UTC) and id, the latest last.
    pub alerts: BTreeSet<(DateTime<Utc>, String)>,
}

impl IndicatorOrigin {
    fn add_alert(&mut self, created_at: DateTime<Utc>, id: String) {
        let (first, last) = self.seen.unwrap_or((created_at, created_at));
        self.seen = Some((first.min(created_at), last.max(created_at)));
        self.alerts.insert((created_at, id));
        if self.alerts.len() > ALERTS_KEPT {
            self.alerts.pop_first();
        }
    }
}

/// The indicators with the most detections, the first of equal ones, at most `limit`.
struct Top {
    limit: usize,
    best: Vec<Delivered>,
}

impl Top {
    const fn new(limit: usize) -> Self {
        Self { limit, best: Vec::new() }
    }

    /// Adds an indicator of this many detections if it is one of the best. Indicators come in the
    /// order of type and value, which decides between equal ones.
    fn add(
        &mut self,
        detections: u64,
        delivered: impl FnOnce() -> rusqlite::Result<Delivered>,
    ) -> rusqlite::Result<()> {
        let index = self.best.partition_point(|other| other.detections >= detections);
        if index < self.limit {
            self.best.insert(index, delivered()?);
            self.best.truncate(self.limit);
        }
        Ok(())
    }
}

impl LedgerReader {
    /// Counts the deliveries of a period by UTC day and type.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn deliveries_by_day(
        &self,
        period: Period,
        tenants: &TenantFilter,
    ) -> Result<DeliveriesByDay> {
        self.read(|db| {
            let days = delivered_batches(db, period, tenants)?;
            let mut by_day = DeliveriesByDay::new();
            // Grouped here: SQLite would sort all rows.
            let mut select = db.prepare_cached("SELECT batch, type FROM settled")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                if let Some(day) = days.get(&row.get(0)?) {
                    let indicator_type = row.get(1)?;
                    *by_day.entry((*day, indicator_type)).or_default() += 1;
                }
            }
            Ok(by_day)
        })
    }

    /// Counts the indicators that were delivered in a period, and returns those with the most
    /// detections: at most `limit` in each of the three lists.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn summary(
        &self,
        period: Period,
        limit: usize,
        tenants: &TenantFilter,
    ) -> Result<Summary> {
        self.read(|db| {
            // CROSS JOIN keeps the order of the tables: the long one is scanned once.
            let select = format!(
                "SELECT type, value, sum(detections) FILTER (WHERE ended_at >= ?3),
                        max(severity) FILTER (WHERE ended_at >= ?3), min(ended_at) >= ?3,
                        count(DISTINCT source) FILTER (WHERE ended_at >= ?3)
                 FROM settled CROSS JOIN batch ON batch.id = settled.batch
                              CROSS JOIN tenant ON tenant.id = batch.tenant
                 WHERE {OF_TENANTS} AND state = 'delivered' AND (?4 IS NULL OR ended_at < ?4)
                 GROUP BY type, value HAVING max(ended_at) >= ?3 ORDER BY type, value",
            );
            let mut select = db.prepare_cached(&select)?;
            let (start, end) = (Time(period.start), period.end.map(Time));
            let mut rows = select.query(params![tenants.name, tenants.source, start, end])?;
            let mut summary = Summary::default();
            let [mut top, mut top_in_several, mut top_new] = [(); 3].map(|()| Top::new(limit));
            while let Some(row) = rows.next()? {
                let detections = row.get(2)?;
                let delivered = || {
                    Ok(Delivered {
                        indicator_type: row.get(0)?,
                        value: text(row, 1)?,
                        detections,
                        severity: row.get::<_, Option<i64>>(3)?.and_then(|one| one.try_into().ok()),
                    })
                };
                summary.indicators += 1;
                top.add(detections, delivered)?;
                if row.get(4)? {
                    summary.new += 1;
                    top_new.add(detections, delivered)?;
                }
                if row.get::<_, u32>(5)? > 1 {
                    summary.in_several_sources += 1;
                    top_in_several.add(detections, delivered)?;
                }
            }
            summary.first_delivery = first_delivery(db, tenants)?;
            summary.top = top.best;
            summary.top_in_several = top_in_several.best;
            summary.top_new = top_new.best;
            Ok(summary)
        })
    }

    /// Returns where these indicators of a period come from, by type and value.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn origins<'a>(
        &self,
        indicators: impl Iterator<Item = &'a Delivered>,
        period: Period,
        tenants: &TenantFilter,
    ) -> Result<HashMap<(IndicatorType, String), IndicatorOrigin>> {
        let values = json_array(indicators.map(|indicator| indicator.value.as_str()));
        self.read(|db| {
            let mut origins: HashMap<_, IndicatorOrigin> = HashMap::new();
            let mut entries = HashMap::new();
            // One scan of each of the two long tables, whatever the number of indicators.
            let mut select = db.prepare_cached(&format!(
                "SELECT settled.id, type, value, source, ended_at >= ?4 AND (?5 IS NULL OR ended_at < ?5)
                 FROM settled CROSS JOIN batch ON batch.id = settled.batch
                              CROSS JOIN tenant ON tenant.id = batch.tenant
                 WHERE value IN (SELECT value FROM json_each(?3)) AND state = 'delivered' AND {OF_TENANTS}",
            ))?;
            let (start, end) = (Time(period.start), period.end.map(Time));
            let mut rows = select.query(params![tenants.name, tenants.source, values, start, end])?;
            while let Some(row) = rows.next()? {
                let key = (row.get(1)?, text(row, 2)?);
                let origin = origins.entry(key.clone()).or_default();
                if row.get(4)? {
                    origin.sources.insert(row.get(3)?);
                }
                entries.insert(row.get::<_, i64>(0)?, key);
            }
            let mut select = db.prepare_cached(&format!(
                "SELECT entry, created_at, alert FROM sighting
                 WHERE {OF_TENANTS} AND entry IN (SELECT value FROM json_each(?3))",
            ))?;
            let ids = json_array(entries.keys().copied());
            let mut rows = select.query(params![tenants.name, tenants.source, ids])?;
            while let Some(row) = rows.next()? {
                let origin = entries.get(&row.get(0)?).and_then(|key| origins.get_mut(key));
                let created_at = milliseconds(row, 1)?;
                if let Some((origin, created_at)) = origin.zip(created_at) {
                    origin.add_alert(created_at, text(row, 2)?);
                }
            }
            Ok(origins)
        })
    }
}

/// Returns when the first delivery took place whose entries are still kept.
fn first_delivery(
    db: &Connection,
    tenants: &TenantFilter,
) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let select = format!(
        "SELECT min(ended_at) FROM batch
         WHERE {OF_TENANTS} AND state = 'delivered' AND first_entry IS NOT NULL",
    );
    db.query_row(&select, params![tenants.name, tenants.source], |row| optional_time(row, 0))
}

/// Returns the batches of a period that were delivered, with their UTC day.
fn delivered_batches(
    db: &Connection,
    period: Period,
    tenants: &TenantFilter,
) -> rusqlite::Result<HashMap<i64, NaiveDate>> {
    let select = format!(
        "SELECT id, ended_at FROM batch
         WHERE {OF_TENANTS} AND state = 'delivered' AND ended_at >= ?3 AND (?4 IS NULL OR ended_at < ?4)",
    );
    let (start, end) = (Time(period.start), period.end.map(Time));
    query(db, &select, params![tenants.name, tenants.source, start, end], |row| {
        Ok((row.get(0)?, time(row, 1)?.date_naive()))
    })
}
