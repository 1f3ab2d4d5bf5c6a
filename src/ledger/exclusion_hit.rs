//! The number of matches of exclusion rules: only of rules that matched, because a file can have
//! hundreds of thousands of rules.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use rusqlite::params;

use super::columns::{Time, optional_time, text, time};
use super::error::Problem;
use super::reader::query;
use super::store::Store;
use super::tenant::OF_TENANTS;
use super::{LedgerReader, Result, TenantFilter};

impl Store<'_> {
    /// Counts mentions that exclusion rules matched. The normal form of a rule identifies it, so
    /// that the file can be edited and sorted.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn count_hits(&self, hits: &BTreeMap<String, u64>) -> Result<(), Problem> {
        let mut count = self.db.prepare_cached(
            "INSERT INTO main.exclusion_hit (tenant, rule, hits, last_hit_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET hits = hits + excluded.hits, last_hit_at = excluded.last_hit_at",
        )?;
        for (rule, hits) in hits {
            count.execute(params![self.ledger.tenant.0, rule, hits, self.now])?;
        }
        Ok(())
    }
}

/// An exclusion rule that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RuleHits {
    /// The rule in normal form.
    pub rule: String,
    /// The number of mentions that it matched since the ledger knows it: a rule without a match for
    /// 400 days is forgotten.
    pub hits: u64,
    /// When it matched last, UTC.
    pub last_hit_at: DateTime<Utc>,
}

impl LedgerReader {
    /// Returns the rules that matched a mention since a time: at most `limit`, those with the most
    /// hits (at any time) first, and the number of all of these rules.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn rules_by_hits(
        &self,
        since: DateTime<Utc>,
        limit: u32,
        tenants: &TenantFilter,
    ) -> Result<(Vec<RuleHits>, u64)> {
        self.read(|db| {
            let hit = format!("FROM exclusion_hit WHERE {OF_TENANTS} AND last_hit_at >= ?3");
            let count = format!("SELECT count(DISTINCT rule) {hit}");
            let params = params![tenants.name, tenants.source, Time(since)];
            let count = db.query_row(&count, params, |row| row.get(0))?;
            let select = format!(
                "SELECT rule, sum(hits), max(last_hit_at) {hit}
                 GROUP BY rule ORDER BY sum(hits) DESC, rule LIMIT {limit}",
            );
            let rules = query(db, &select, params, |row| {
                Ok(RuleHits { rule: text(row, 0)?, hits: row.get(1)?, last_hit_at: time(row, 2)? })
            })?;
            Ok((rules, count))
        })
    }

    /// Returns the exclusion rules that matched a mention since a time, in a run of any tenant.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn rules_hit_since(&self, since: DateTime<Utc>) -> Result<HashSet<String>> {
        let select = "SELECT rule FROM exclusion_hit WHERE last_hit_at >= ?1";
        self.query(select, params![Time(since)], |row| text(row, 0))
    }

    /// Returns when the earliest recorded run started, UTC.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn first_run(&self) -> Result<Option<DateTime<Utc>>> {
        self.read(|db| {
            let select = "SELECT min(started_at) FROM run";
            Ok(db.query_row(select, [], |row| optional_time(row, 0))?)
        })
    }
}
