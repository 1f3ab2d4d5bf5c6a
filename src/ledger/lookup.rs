//! Looks up one indicator, or one alert. [`super`] describes the tables.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};

use super::batch::SentItem;
use super::columns::{ItemColumn, json_array, milliseconds, optional_text, optional_time, text};
use super::reader::query;
use super::{EntryId, LedgerReader, Result, TenantFilter, TenantId, gap};
use crate::indicator::Indicator;
use crate::window::Window;

/// How many alerts of an indicator are returned per tenant: the newest. All are counted.
const NAMED_ALERTS: usize = 100;
/// How many indicators of an alert are returned per tenant.
const NAMED_ENTRIES: usize = 1000;

/// The result of a look-up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The entries of the indicator and those of the alert, the latest first.
    pub entries: Vec<KnownEntry>,
    /// The alerts that named the indicator, by tenant (its name).
    pub alerts: BTreeMap<String, Alerts>,
    /// When the alert with this id was created, by tenant.
    pub alert_created: BTreeMap<String, DateTime<Utc>>,
}

/// Alerts that named an indicator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Alerts {
    /// The number of all of them.
    pub count: u64,
    /// When the oldest was created, UTC.
    pub first: DateTime<Utc>,
    /// When the newest was created, UTC.
    pub last: DateTime<Utc>,
    /// The newest alerts, in the order of their creation: id, time of creation (UTC), and entry.
    pub newest: VecDeque<(String, DateTime<Utc>, EntryId)>,
}

impl Alerts {
    fn add(&mut self, id: String, created_at: DateTime<Utc>, entry: EntryId) {
        if self.count == 0 {
            self.first = created_at;
        }
        self.count += 1;
        self.last = created_at;
        if self.newest.len() == NAMED_ALERTS {
            self.newest.pop_front();
        }
        self.newest.push_back((id, created_at, entry));
    }
}

/// The span that the runs of a tenant have read. Times are UTC; `None` where there is none yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SpanRead {
    /// The start of the first window.
    pub from: Option<DateTime<Utc>>,
    /// The checkpoint.
    pub until: Option<DateTime<Utc>>,
    /// The spans before the checkpoint that no run read, the earliest first.
    pub gaps: Vec<Window>,
}

/// An entry and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownEntry {
    /// Its id.
    pub id: EntryId,
    /// The tenant's name.
    pub tenant: String,
    /// The type of the indicator.
    pub indicator_type: String,
    /// The indicator.
    pub value: String,
    /// The number of detections that named it in the run that stored it.
    pub detections: u64,
    /// From 0 to 100, where the vendor gave one.
    pub severity: Option<u8>,
    /// The field of the alert that named it, where it is known.
    pub field: Option<String>,
    /// Its MITRE codes, with spaces between them.
    pub mitre_codes: String,
    /// The number of attempts to send it, while it is in the outbox.
    pub attempts: Option<u32>,
    /// Its state.
    pub fate: Fate,
}

/// The state of an entry, and since when. Times are UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It will be sent; when it was stored.
    Queued { since: DateTime<Utc> },
    /// It is in this batch, which Recorded Future may have stored; it is not confirmed.
    InDoubt { since: DateTime<Utc>, batch: i64 },
    /// Recorded Future rejected it, or its item is damaged, and then there is no status.
    Quarantined { since: DateTime<Utc>, status: Option<u16>, message: String },
    /// Recorded Future confirmed this batch.
    Delivered { at: DateTime<Utc>, batch: i64 },
    /// A person dropped it.
    Dropped { at: DateTime<Utc> },
}

impl LedgerReader {
    /// Returns what became of an indicator, and of those that an alert named. The tables have no
    /// index of indicators or alerts and are read whole.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn find(
        &self,
        indicator: Option<&Indicator>,
        alert: &str,
        filter: &TenantFilter,
    ) -> Result<Found> {
        self.read(|db| {
            let tenants = names(db, filter)?;
            let mut ids = match indicator {
                Some(indicator) => entries_of(db, indicator)?,
                None => BTreeSet::new(),
            };
            let (alerts, of_alert) = sightings(db, &ids, alert, &tenants)?;
            ids.extend(of_alert.values().flat_map(|(_, entries)| entries));
            let entries = entries(db, &ids, &tenants)?;
            // An alert whose entries were all purged counts as never seen.
            let is_known = |ids: &BTreeSet<i64>| entries.iter().any(|one| ids.contains(&one.id.0));
            let alert_created = of_alert.into_iter().filter(|(_, (_, ids))| is_known(ids));
            let alert_created = alert_created.map(|(tenant, (time, _))| (tenant, time)).collect();
            Ok(Found { entries, alerts, alert_created })
        })
    }

    /// Returns the span that the runs of each tenant have read, by the tenant's name.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn spans_read(&self) -> Result<BTreeMap<String, SpanRead>> {
        self.read(|db| {
            let select = "SELECT id, name, read_from, read_until FROM tenant";
            let spans = query(db, select, &[], |row| {
                let span = SpanRead {
                    from: optional_time(row, "read_from")?,
                    until: optional_time(row, "read_until")?,
                    gaps: gap::gaps(db, TenantId(row.get("id")?))?,
                };
                Ok((row.get("name")?, span))
            })?;
            Ok(spans)
        })
    }
}

/// Returns the names of the tenants that are meant, by id.
fn names(db: &Connection, filter: &TenantFilter) -> rusqlite::Result<BTreeMap<i64, String>> {
    let select = "SELECT id, name FROM tenant
                  WHERE (?1 IS NULL OR name = ?1) AND (?2 IS NULL OR source = ?2)";
    query(db, select, params![filter.name, filter.source], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Returns the ids of the entries of an indicator.
fn entries_of(db: &Connection, indicator: &Indicator) -> rusqlite::Result<BTreeSet<i64>> {
    let select = "SELECT id FROM settled WHERE type = ?1 AND value = ?2
                  UNION SELECT id FROM outbox WHERE type = ?1 AND value = ?2";
    query(db, select, params![indicator.kind().as_str(), indicator.value()], |row| row.get(0))
}

type OfAlert = BTreeMap<String, (DateTime<Utc>, BTreeSet<i64>)>;

/// Returns the alerts of these entries, and the entries of this alert, by tenant.
fn sightings(
    db: &Connection,
    ids: &BTreeSet<i64>,
    alert: &str,
    tenants: &BTreeMap<i64, String>,
) -> rusqlite::Result<(BTreeMap<String, Alerts>, OfAlert)> {
    // In the order of the key, so that nothing is sorted.
    let mut select = db.prepare_cached(
        "SELECT tenant, created_at, alert, entry FROM sighting
         WHERE alert = ?1 OR entry IN (SELECT value FROM json_each(?2))
         ORDER BY tenant, created_at",
    )?;
    let (mut alerts, mut of_alert) = (BTreeMap::<String, Alerts>::new(), OfAlert::new());
    let mut rows = select.query(params![alert, json_array(ids.iter().copied())])?;
    while let Some(row) = rows.next()? {
        let Some(tenant) = tenants.get(&row.get(0)?) else { continue };
        let Some(created_at) = milliseconds(row, 1)? else { continue };
        let (detection, entry) = (text(row, 2)?, row.get(3)?);
        if detection == alert {
            let (_, entries) =
                of_alert.entry(tenant.clone()).or_insert((created_at, BTreeSet::new()));
            if entries.len() < NAMED_ENTRIES {
                entries.insert(entry);
            }
        }
        if ids.contains(&entry) {
            let alerts = alerts.entry(tenant.clone()).or_default();
            alerts.add(detection, created_at, EntryId(entry));
        }
    }
    Ok((alerts, of_alert))
}

/// Returns the entries with these ids, the latest first.
fn entries(
    db: &Connection,
    ids: &BTreeSet<i64>,
    tenants: &BTreeMap<i64, String>,
) -> rusqlite::Result<Vec<KnownEntry>> {
    let select = "SELECT ifnull(outbox.tenant, batch.tenant) AS tenant, wanted.value AS id,
                ifnull(settled.type, outbox.type) AS type,
                ifnull(settled.value, outbox.value) AS value,
                ifnull(settled.severity, outbox.severity) AS severity,
                ifnull(detections, 1 + ifnull(count, 0)) AS detections,
                batch.id AS batch, batch.state AS batch_state, begun_at, ended_at,
                attempts, stored_at, rejected_at, status, message, item,
                field, mitre_codes
         FROM json_each(?1) AS wanted
            LEFT JOIN outbox ON outbox.id = wanted.value
            LEFT JOIN repeat ON repeat.entry = outbox.id
            LEFT JOIN settled ON settled.id = wanted.value
            LEFT JOIN batch ON batch.id = settled.batch
         ORDER BY wanted.value DESC";
    let entries: Vec<_> = query(db, select, params![json_array(ids.iter().copied())], |row| {
        let tenant = row.get::<_, Option<i64>>("tenant")?.and_then(|id| tenants.get(&id));
        let fate = read_fate(row)?;
        Ok(match (tenant, fate) {
            (Some(tenant), Some(fate)) => Some(read_entry(row, tenant, fate)?),
            // Of a tenant that is not meant, purged, or damaged.
            _ => None,
        })
    })?;
    Ok(entries.into_iter().flatten().collect())
}

/// Reads what became of an entry: its batch decides; without one, its row in the outbox.
fn read_fate(row: &Row<'_>) -> rusqlite::Result<Option<Fate>> {
    let batch = row.get::<_, Option<i64>>("batch")?.zip(optional_text(row, "batch_state")?);
    if let Some((batch, state)) = batch {
        let ended_at = optional_time(row, "ended_at")?;
        return Ok(match state.as_str() {
            "delivered" => ended_at.map(|at| Fate::Delivered { at, batch }),
            "dropped" => ended_at.map(|at| Fate::Dropped { at }),
            _ => optional_time(row, "begun_at")?.map(|since| Fate::InDoubt { since, batch }),
        });
    }
    let message = optional_text(row, "message")?;
    Ok(match optional_time(row, "rejected_at")?.zip(message) {
        Some((since, message)) => {
            Some(Fate::Quarantined { since, status: row.get("status")?, message })
        }
        None => optional_time(row, "stored_at")?.map(|since| Fate::Queued { since }),
    })
}

fn read_entry(row: &Row<'_>, tenant: &str, fate: Fate) -> rusqlite::Result<KnownEntry> {
    // The field and the codes of an entry that is in no batch are in its item only.
    let item = row.get::<_, Option<ItemColumn>>("item")?;
    let item = item.map(|item| SentItem::read(&item.0)).unwrap_or_default();
    Ok(KnownEntry {
        id: EntryId(row.get("id")?),
        tenant: tenant.to_owned(),
        indicator_type: optional_text(row, "type")?.unwrap_or_default(),
        value: optional_text(row, "value")?.unwrap_or_default(),
        detections: row.get("detections")?,
        severity: row.get("severity")?,
        field: optional_text(row, "field")?.or_else(|| item.field().map(str::to_owned)),
        mitre_codes: optional_text(row, "mitre_codes")?.unwrap_or_else(|| item.mitre_codes()),
        attempts: row.get("attempts")?,
        fate,
    })
}
