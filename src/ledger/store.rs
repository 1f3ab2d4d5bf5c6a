//! Stores the mentions of a run: each indicator once, and no mention that an earlier run stored.

use rusqlite::{Connection, OptionalExtension, params};

use super::columns::{ItemColumn, rfc3339};
use super::error::Problem;
use super::{EntryId, Result, TenantLedger};
use crate::detection::Detection;
use crate::indicator::Indicator;
use crate::submission::{StoreOutcome, Submission};

/// The state of an alert with one of its indicators.
enum SightingState {
    /// It is in the outbox.
    Pending {
        entry: EntryId,
        /// Whether this run stored the entry, and it is not in quarantine.
        this_run: bool,
    },
    Delivered {
        entry: EntryId,
    },
    Dropped,
}

/// `run_entry`: the entries of this run by their indicator. `unlinked`: the sightings that this run
/// removed, to send delivered indicators once more. Temporary tables rather than maps: they may
/// become larger than memory. See [`super::files::temporary`] for where they are.
const CREATE_RUN_TABLES: &str = "
CREATE TEMP TABLE IF NOT EXISTS run_entry (
    tenant INTEGER NOT NULL,
    type   TEXT NOT NULL,
    value  TEXT NOT NULL,
    entry  INTEGER NOT NULL,
    PRIMARY KEY (tenant, type, value)
) STRICT, WITHOUT ROWID;
CREATE TEMP TABLE IF NOT EXISTS unlinked AS SELECT * FROM main.sighting WHERE 0";

impl TenantLedger {
    /// Stores the mentions that `work` adds, as one transaction: all or none.
    ///
    /// # Errors
    /// When the ledger cannot be read or written, and those of `work`.
    pub(crate) fn store<T>(
        &self,
        work: impl FnOnce(&Store<'_>) -> Result<T, Problem>,
    ) -> Result<T> {
        self.transaction(|db| {
            db.execute_batch(CREATE_RUN_TABLES)?;
            work(&Store { db, ledger: self, now: rfc3339(self.clock().now()) })
        })
    }

    /// Removes the entries and sightings that this run stored. Restores the sightings that it
    /// removed and the earlier account, customer, token and organizations of the tenant, and
    /// records why the run stops.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn withdraw_run(&self, error: &str) -> Result<()> {
        let run = params![self.tenant.0, self.run_id];
        self.transaction(|db| {
            db.execute_batch(CREATE_RUN_TABLES)?;
            db.execute(
                "DELETE FROM main.sighting WHERE tenant = ?1 AND entry IN
                    (SELECT id FROM main.outbox WHERE tenant = ?1 AND run = ?2)",
                run,
            )?;
            db.execute("DELETE FROM main.outbox WHERE tenant = ?1 AND run = ?2", run)?;
            let restore = "INSERT OR IGNORE INTO main.sighting
                           SELECT * FROM temp.unlinked WHERE tenant = ?1";
            db.execute(restore, [self.tenant.0])?;
            db.execute("DELETE FROM temp.run_entry WHERE tenant = ?1", [self.tenant.0])?;
            let update = "UPDATE main.run SET error = ?3 WHERE tenant = ?1 AND id = ?2";
            db.execute(update, params![self.tenant.0, self.run_id, error])?;
            Ok(self.restore_properties(db)?)
        })
    }
}

/// A transaction that stores mentions.
#[derive(Debug)]
pub(crate) struct Store<'a> {
    pub(super) db: &'a Connection,
    pub(super) ledger: &'a TenantLedger,
    pub(super) now: String,
}

impl Store<'_> {
    /// Stores one mention as a new entry, or merges it into the entry that the indicator has in
    /// this run. A mention that an earlier run stored is not stored again, unless it was delivered
    /// and this run sends again what was delivered.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub(crate) fn add(
        &self,
        detection: &Detection,
        indicator: &Indicator,
        field: &str,
    ) -> Result<StoreOutcome, Problem> {
        match self.lookup(detection, indicator)? {
            Some(SightingState::Delivered { entry }) if self.ledger.resend => {
                self.unlink(detection, entry)?;
            }
            Some(SightingState::Delivered { .. }) => return Ok(StoreOutcome::AlreadyDelivered),
            Some(SightingState::Pending { entry, this_run: true }) => {
                // The alert names the indicator twice, or was read twice.
                self.merge(entry, detection, indicator, field)?;
                return Ok(StoreOutcome::Duplicate);
            }
            Some(SightingState::Pending { .. } | SightingState::Dropped) => {
                return Ok(StoreOutcome::Duplicate);
            }
            None => {}
        }
        if let Some(entry) = self.run_entry(indicator)? {
            self.merge(entry, detection, indicator, field)?;
            self.count_repeat(entry)?;
            self.link(detection, entry)?;
            return Ok(StoreOutcome::Duplicate);
        }
        let entry = self.insert(detection, indicator, field)?;
        self.link(detection, entry)?;
        Ok(StoreOutcome::New)
    }

    /// Returns what is known about an alert with an indicator: in this ledger or, for a dry run,
    /// which has a ledger of its own, in the real one, attached as `real`.
    fn lookup(
        &self,
        detection: &Detection,
        indicator: &Indicator,
    ) -> Result<Option<SightingState>, Problem> {
        let found = self.lookup_in("main", detection, indicator)?;
        if found.is_none() && self.ledger.shared().real_is_attached() {
            return self.lookup_in("real", detection, indicator);
        }
        Ok(found)
    }

    fn lookup_in(
        &self,
        schema: &str,
        detection: &Detection,
        indicator: &Indicator,
    ) -> Result<Option<SightingState>, Problem> {
        // A dry run can put an entry of the real ledger into its own batch: that one counts then.
        let (batch, earlier) = match schema {
            "main" => ("settled.batch", ""),
            _ => (
                "ifnull(settled.batch, earlier.batch)",
                "LEFT JOIN real.settled AS earlier ON earlier.id = entry AND earlier.type = ?4 AND earlier.value = ?5",
            ),
        };
        let mut select = self.db.prepare_cached(&format!(
            "SELECT entry, ifnull(batch.state, 'sending'), outbox.run = ?6 AND outbox.state = 'waiting'
             FROM {schema}.sighting
             LEFT JOIN main.outbox ON outbox.id = entry AND outbox.type = ?4 AND outbox.value = ?5
             LEFT JOIN main.settled ON settled.id = entry AND settled.type = ?4 AND settled.value = ?5
             {earlier}
             LEFT JOIN main.batch ON batch.id = {batch}
             WHERE sighting.tenant = ?1 AND created_at = ?2 AND alert = ?3
                AND (outbox.id IS NOT NULL OR {batch} IS NOT NULL)",
        ))?;
        let key = params![
            self.ledger.tenant.0,
            detection.created_at.timestamp_millis(),
            detection.id,
            indicator.kind().as_str(),
            indicator.value(),
            self.ledger.run_id,
        ];
        let found = select.query_row(key, |row| {
            let entry = EntryId(row.get(0)?);
            Ok(match row.get_ref(1)?.as_str()? {
                "delivered" => SightingState::Delivered { entry },
                "dropped" => SightingState::Dropped,
                _ => SightingState::Pending {
                    entry,
                    this_run: row.get::<_, Option<bool>>(2)?.unwrap_or(false),
                },
            })
        });
        Ok(found.optional()?)
    }

    fn run_entry(&self, indicator: &Indicator) -> rusqlite::Result<Option<EntryId>> {
        let mut select = self.db.prepare_cached(
            "SELECT entry FROM temp.run_entry WHERE tenant = ?1 AND type = ?2 AND value = ?3",
        )?;
        let key = params![self.ledger.tenant.0, indicator.kind().as_str(), indicator.value()];
        select.query_row(key, |row| Ok(EntryId(row.get(0)?))).optional()
    }

    fn insert(
        &self,
        detection: &Detection,
        indicator: &Indicator,
        field: &str,
    ) -> Result<EntryId, Problem> {
        let submission = Submission::new(detection, indicator, field, self.ledger.source);
        let item = json(&submission)?;
        let (indicator_type, value) = (indicator.kind().as_str(), indicator.value());
        let mut insert = self.db.prepare_cached(
            "INSERT INTO main.outbox (tenant, run, type, value, severity, stored_at, item)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let (tenant, severity) = (self.ledger.tenant.0, detection.assessment.severity);
        let run = &self.ledger.run_id;
        insert.execute(params![tenant, run, indicator_type, value, severity, self.now, item])?;
        let entry = EntryId(self.db.last_insert_rowid());
        let mut remember = self.db.prepare_cached(
            "INSERT INTO temp.run_entry (tenant, type, value, entry) VALUES (?1, ?2, ?3, ?4)",
        )?;
        remember.execute(params![tenant, indicator_type, value, entry.0])?;
        Ok(entry)
    }

    /// Merges an alert into an entry of this run. If the stored item is damaged, one for this alert
    /// alone replaces it.
    fn merge(
        &self,
        entry: EntryId,
        detection: &Detection,
        indicator: &Indicator,
        field: &str,
    ) -> Result<(), Problem> {
        let mut select =
            self.db.prepare_cached("SELECT item, severity FROM main.outbox WHERE id = ?1")?;
        let (item, severity) = select.query_row([entry.0], |row| {
            Ok((row.get::<_, ItemColumn>(0)?.0, row.get::<_, Option<u8>>(1)?))
        })?;
        let other = Submission::new(detection, indicator, field, self.ledger.source);
        let new_item = match serde_json::from_str::<Submission<'_>>(&item) {
            Ok(mut merged) => merged.merge(other).then(|| json(&merged)).transpose()?,
            Err(error) => {
                tracing::warn!(%entry, %error, "a stored item is damaged and was replaced");
                Some(json(&other)?)
            }
        };
        let new_severity = severity.max(detection.assessment.severity);
        if new_item.is_some() || new_severity != severity {
            let mut update = self.db.prepare_cached(
                "UPDATE main.outbox SET item = ifnull(?2, item), severity = ?3 WHERE id = ?1",
            )?;
            update.execute(params![entry.0, new_item, new_severity])?;
        }
        Ok(())
    }

    fn count_repeat(&self, entry: EntryId) -> rusqlite::Result<()> {
        let mut count = self.db.prepare_cached(
            "INSERT INTO main.repeat (entry, count) VALUES (?1, 1)
             ON CONFLICT DO UPDATE SET count = count + 1",
        )?;
        count.execute([entry.0])?;
        Ok(())
    }

    fn link(&self, detection: &Detection, entry: EntryId) -> rusqlite::Result<()> {
        let mut insert = self.db.prepare_cached(
            "INSERT INTO main.sighting (tenant, created_at, alert, entry) VALUES (?1, ?2, ?3, ?4)",
        )?;
        let created_at = detection.created_at.timestamp_millis();
        insert.execute(params![self.ledger.tenant.0, created_at, detection.id, entry.0])?;
        Ok(())
    }

    /// Removes the sighting of a delivered entry, so that the alert is stored again.
    fn unlink(&self, detection: &Detection, entry: EntryId) -> rusqlite::Result<()> {
        let created_at = detection.created_at.timestamp_millis();
        let key = params![self.ledger.tenant.0, created_at, detection.id, entry.0];
        let mut remember =
            self.db.prepare_cached("INSERT INTO temp.unlinked VALUES (?1, ?2, ?3, ?4)")?;
        remember.execute(key)?;
        let mut delete = self.db.prepare_cached(
            "DELETE FROM main.sighting WHERE tenant = ?1 AND created_at = ?2 AND alert = ?3 AND entry = ?4",
        )?;
        delete.execute(key)?;
        Ok(())
    }
}

fn json(submission: &Submission<'_>) -> Result<String, Problem> {
    serde_json::to_string(submission)
        .map_err(|error| Problem::Other(format!("an item cannot be written as JSON: {error}")))
}
