//! Whose rows they are.

use std::fmt;

use rusqlite::{OptionalExtension, params};

use super::columns::Words;
use super::{Ledger, Result};

/// What separates one tenant from another. The caller digests what is secret or nearly so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantKey {
    /// The vendor's name.
    pub source: String,
    /// A digest of the client id or organization key at the vendor.
    pub account: String,
    /// A digest of the Recorded Future token.
    pub token: String,
    /// The Recorded Future organization ids; their order and repeats do not matter.
    pub organizations: Vec<String>,
}

/// A tenant's number in one ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub(super) i64);

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Ledger {
    /// The tenant with this key, new or known.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub fn tenant(&self, key: &TenantKey) -> Result<TenantId> {
        let mut organizations = key.organizations.clone();
        organizations.sort_unstable();
        organizations.dedup();
        let organizations = Words(organizations);
        let columns = params![key.source, key.account, key.token, organizations];
        self.atomically(|db| {
            let mut find = db.prepare_cached(
                "SELECT id FROM tenant WHERE source = ?1 AND account = ?2 AND token = ?3 AND organizations = ?4",
            )?;
            if let Some(id) = find.query_row(columns, |row| row.get(0)).optional()? {
                return Ok(TenantId(id));
            }
            let insert = "INSERT INTO tenant (source, account, token, organizations) VALUES (?1, ?2, ?3, ?4)";
            db.execute(insert, columns)?;
            Ok(TenantId(db.last_insert_rowid()))
        })
    }
}
