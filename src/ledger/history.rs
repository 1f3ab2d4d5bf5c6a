//! What was delivered, looked back upon: which indicators and techniques are shared most.

use chrono::{DateTime, NaiveDate, Utc};
use rusqlite::{Connection, params};

use super::columns::{Count, Named, Time};
use super::{EntryId, Result, TenantId, View};
use crate::indicator::Kind;

/// An indicator and how often it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What kind of indicator it is.
    pub kind: Kind,
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
                    FROM sighting JOIN tenant ON tenant.id = sighting.tenant
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
                Ok(Technique {
                    code: row.get(0)?,
                    submissions: row.get::<_, Count>(1)?.0,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// Counts the techniques that an entry's item names. Tactics (`TA0002`) are left out: nearly every technique comes
/// with one.
pub(super) fn count_techniques(
    db: &Connection,
    tenant: TenantId,
    id: EntryId,
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    let mut count = db.prepare_cached(
        "INSERT INTO technique (tenant, day, code, submissions)
         SELECT DISTINCT ?2, ?3, named.value, 1
         FROM outbox, json_each(CASE WHEN json_valid(item) THEN item ELSE '{}' END, '$.mitre_codes') AS named
         WHERE outbox.id = ?1 AND named.type = 'text' AND named.value GLOB 'T[0-9]*'
         ON CONFLICT DO UPDATE SET submissions = submissions + 1",
    )?;
    count.execute(params![id.0, tenant.0, now.date_naive().to_string()])?;
    Ok(())
}
