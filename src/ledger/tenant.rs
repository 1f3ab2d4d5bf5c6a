//! Whose detections are stored: a name, and what is known about it.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns::JsonList;
use super::error::Cause;
use super::{Ledger, LedgerReader, Result, TenantLedger};

/// The id of a tenant in one ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TenantId(pub(super) i64);

/// A tenant as a run configures it. The name identifies it; everything else may change, so that a
/// new key or client id starts nothing over. The caller digests what is secret or nearly so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tenant {
    /// The name, unique in a ledger.
    pub name: String,
    /// The source's name. It never changes.
    pub source: String,
    /// A digest of the client id or organization key at the vendor.
    pub account: String,
    /// A digest of the customer whose alerts the account reads, where the settings name it.
    pub customer: Option<String>,
    /// A digest of the Recorded Future token.
    pub token: String,
    /// The Recorded Future organization ids; their order and repeats do not matter.
    pub organizations: Vec<String>,
    /// Whether another customer takes the place of the one that the ledger knows.
    pub adopt: bool,
}

/// Whose alerts a tenant has, as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// A digest; `None` until alerts name it.
    customer: Option<String>,
    /// The digest of the account by which the customer was read last.
    account: String,
}

impl Tenant {
    fn owner(&self) -> Owner {
        Owner { customer: self.customer.clone(), account: self.account.clone() }
    }
}

/// Which tenants a person means. The default means all.
#[derive(Debug, Clone, Default)]
pub(crate) struct TenantFilter {
    /// The one with this name.
    pub name: Option<String>,
    /// Those of this source.
    pub source: Option<String>,
}

/// The condition of a query on a table with the column `tenant` that [`TenantFilter::columns`]
/// completes.
pub(super) const OF_TENANTS: &str = "(?1 IS NULL AND ?2 IS NULL OR tenant IN
    (SELECT id FROM tenant WHERE (?1 IS NULL OR name = ?1) AND (?2 IS NULL OR source = ?2)))";

impl TenantFilter {
    pub(super) fn columns(&self) -> [Value; 2] {
        [self.name.clone().into(), self.source.clone().into()]
    }
}

impl LedgerReader {
    /// Returns the names of all tenants, sorted.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn tenant_names(&self) -> Result<Vec<String>> {
        self.read(|db| {
            let mut select = db.prepare_cached("SELECT name FROM tenant ORDER BY name")?;
            let names = select.query_map([], |row| row.get(0))?;
            Ok(names.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Returns the digest of the customer whose alerts a tenant has; `None` where it is not known.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn customer_of(&self, name: &str) -> Result<Option<String>> {
        self.read(|db| Ok(find(db, name)?.and_then(|(_, _, owner)| owner.customer)))
    }
}

impl Ledger {
    /// Returns the id of a tenant, new or known, and whose alerts it had before.
    pub(super) fn tenant(&self, tenant: &Tenant) -> Result<(TenantId, Owner)> {
        let mut organizations = tenant.organizations.clone();
        organizations.sort_unstable();
        organizations.dedup();
        let organizations = JsonList(organizations);
        self.transaction(|db| {
            let Some((id, source, owner)) = find(db, &tenant.name)? else {
                let insert =
                    "INSERT INTO tenant (name, source, account, customer, token, organizations)
                              VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                let Tenant { name, source, account, customer, token, .. } = tenant;
                db.execute(insert, params![name, source, account, customer, token, organizations])?;
                return Ok((TenantId(db.last_insert_rowid()), tenant.owner()));
            };
            if source != tenant.source {
                return Err(Cause::OtherSource { tenant: tenant.name.clone(), source });
            }
            let is_known = owner.customer.is_some() && tenant.customer.is_some();
            if is_known && owner.customer != tenant.customer && !tenant.adopt {
                return Err(Cause::OtherCustomer { tenant: tenant.name.clone() });
            }
            let update = "UPDATE tenant SET token = ?2, organizations = ?3 WHERE id = ?1";
            db.execute(update, params![id.0, tenant.token, organizations])?;
            if tenant.customer.is_some() {
                write_owner(db, id, &tenant.owner())?;
            }
            Ok((id, owner))
        })
    }
}

impl TenantLedger {
    /// Returns the digest of the customer whose alerts earlier runs of this tenant read; `None`
    /// where no alert has named one.
    pub(crate) fn customer(&self) -> Option<&str> {
        self.owner.customer.as_deref()
    }

    /// Returns whether this account is the one that read the customer's alerts last.
    pub(crate) fn is_same_account(&self) -> bool {
        self.owner.account == self.account
    }

    /// Records the customer that the alerts of this run name, by its digest.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn record_customer(&self, customer: &str) -> Result<()> {
        let owner = Owner { customer: Some(customer.to_owned()), account: self.account.clone() };
        self.ledger.transaction(|db| Ok(write_owner(db, self.tenant, &owner)?))
    }

    /// Takes back what this run recorded about the customer. The caller holds the transaction.
    pub(super) fn restore_owner(&self, db: &Connection) -> rusqlite::Result<()> {
        write_owner(db, self.tenant, &self.owner)
    }
}

type Known = (TenantId, String, Owner);

fn find(db: &Connection, name: &str) -> rusqlite::Result<Option<Known>> {
    let mut select =
        db.prepare_cached("SELECT id, source, account, customer FROM tenant WHERE name = ?1")?;
    let read = |row: &Row<'_>| {
        let owner = Owner { customer: row.get("customer")?, account: row.get("account")? };
        Ok((TenantId(row.get("id")?), row.get("source")?, owner))
    };
    select.query_row([name], read).optional()
}

fn write_owner(db: &Connection, id: TenantId, owner: &Owner) -> rusqlite::Result<()> {
    let update = "UPDATE tenant SET customer = ?2, account = ?3 WHERE id = ?1";
    db.execute(update, params![id.0, owner.customer, owner.account]).map(|_| ())
}
