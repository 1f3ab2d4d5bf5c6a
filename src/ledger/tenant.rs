//! Tenants: their names, and what is known about their accounts.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::columns::{optional_text, text};
use super::error::Problem;
use super::{Ledger, LedgerReader, Result, TenantLedger};

/// The id of a tenant in one ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TenantId(pub(super) i64);

/// A tenant as a run configures it. The name identifies it. Its source never changes, and its
/// customer only with `adopt`; with a new key or client id it stays the same tenant. The caller
/// digests what is secret or nearly so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tenant {
    /// The name, unique in a ledger.
    pub name: String,
    /// The source's name. It never changes.
    pub source: String,
    /// A digest of the client id or organization key at the vendor.
    pub account: String,
    /// A digest of the customer whose alerts the account reads, if the settings name it.
    pub customer: Option<String>,
    /// A digest of the Recorded Future token.
    pub token: String,
    /// The Recorded Future organization ids; their order and repeats do not matter.
    pub organizations: Vec<String>,
    /// Whether another customer may replace the one that the ledger knows.
    pub adopt: bool,
}

/// The properties of a tenant that may change, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Properties {
    /// A digest; `None` until a run has read the customer's alerts.
    customer: Option<String>,
    /// The digest of the account with which the customer's alerts were last read; that of the last
    /// run while no customer is known.
    account: String,
    token: String,
    /// A sorted JSON array. A run never parses it, and replaces it: a damaged one does not stop it.
    organizations: String,
}

impl Tenant {
    /// Returns the properties of this tenant, without a customer.
    pub(super) fn properties(&self) -> Properties {
        let mut organizations = self.organizations.clone();
        organizations.sort_unstable();
        organizations.dedup();
        let (account, token) = (self.account.clone(), self.token.clone());
        let organizations = Value::from(organizations).to_string();
        Properties { customer: None, account, token, organizations }
    }
}

/// Which tenants a person means. The default means all.
#[derive(Debug, Clone, Default)]
pub(crate) struct TenantFilter {
    /// Only the tenant with this name.
    pub name: Option<String>,
    /// Only tenants of this source.
    pub source: Option<String>,
}

/// The condition of a query on a table with the column `tenant`, whose first two parameters are the
/// fields of a [`TenantFilter`].
pub(super) const OF_TENANTS: &str = "(?1 IS NULL AND ?2 IS NULL OR tenant IN
    (SELECT id FROM tenant WHERE (?1 IS NULL OR name = ?1) AND (?2 IS NULL OR source = ?2)))";

impl TenantFilter {
    /// Whether a tenant of this name and source is meant.
    pub(crate) fn has(&self, name: &str, source: &str) -> bool {
        self.name.as_deref().is_none_or(|only| only == name)
            && self.source.as_deref().is_none_or(|only| only == source)
    }
}

impl LedgerReader {
    /// Returns the name and the source of each tenant, sorted by name.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn tenants(&self) -> Result<Vec<(String, String)>> {
        let select = "SELECT name, source FROM tenant ORDER BY name";
        self.query(select, &[], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Returns the digest of the customer whose alerts a tenant has; `None` where it is not known.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn customer_of(&self, name: &str) -> Result<Option<String>> {
        self.read(|db| Ok(find(db, name)?.and_then(|(_, _, known)| known.customer)))
    }
}

impl Ledger {
    /// Adds a tenant unless it is known. Returns its id, and its properties before this run; those
    /// of this run if it is new.
    pub(super) fn find_or_add_tenant(&self, tenant: &Tenant) -> Result<(TenantId, Properties)> {
        self.transaction(|db| {
            if let Some((id, source, before)) = find(db, &tenant.name)? {
                compare(tenant, source, before.customer.as_deref())?;
                return Ok((id, before));
            }
            let properties = tenant.properties();
            let insert = "INSERT INTO tenant (name, source, account, token, organizations)
                          VALUES (?1, ?2, ?3, ?4, ?5)";
            let Properties { account, token, organizations, .. } = &properties;
            let Tenant { name, source, .. } = tenant;
            db.execute(insert, params![name, source, account, token, organizations])?;
            Ok((TenantId(db.last_insert_rowid()), properties))
        })
    }
}

/// Fails if the ledger knows the tenant's name with another source or, without `adopt`, another
/// customer.
fn compare(tenant: &Tenant, source: String, known: Option<&str>) -> Result<(), Problem> {
    let name = tenant.name.clone();
    if source != tenant.source {
        return Err(Problem::OtherSource { tenant: name, source });
    }
    let customer = tenant.customer.as_deref();
    let is_other = customer.zip(known).is_some_and(|(customer, known)| customer != known);
    if is_other && !tenant.adopt { Err(Problem::OtherCustomer(name)) } else { Ok(()) }
}

impl LedgerReader {
    /// Compares a tenant with what the ledger knows under its name, as opening it for a run does.
    ///
    /// # Errors
    /// When the tenant has another source or, without `adopt`, another customer, and when the
    /// ledger cannot be read.
    pub(crate) fn check_tenant(&self, tenant: &Tenant) -> Result<()> {
        self.read(|db| match find(db, &tenant.name)? {
            Some((_, source, known)) => compare(tenant, source, known.customer.as_deref()),
            None => Ok(()),
        })
    }
}

impl TenantLedger {
    /// Returns the digest of the customer whose alerts earlier runs of this tenant read; `None`
    /// where none is known.
    pub(crate) fn customer(&self) -> Option<&str> {
        self.before.customer.as_deref()
    }

    /// Returns whether this account is the one that read the customer's alerts last.
    pub(crate) fn is_same_account(&self) -> bool {
        self.before.account == self.own.account
    }

    /// Records the properties of this run, after it has read alerts or found that there are none.
    /// If it learned no customer, an earlier one stays, with the account that read its alerts.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn record_properties(&self, customer: Option<&str>) -> Result<()> {
        let mut properties = self.own.clone();
        match customer {
            Some(customer) => properties.customer = Some(customer.to_owned()),
            None if self.before.customer.is_some() => {
                properties.customer.clone_from(&self.before.customer);
                properties.account.clone_from(&self.before.account);
            }
            None => {}
        }
        self.transaction(|db| Ok(write(db, self.tenant, &properties)?))
    }

    /// Restores the properties from before this run. The caller holds the transaction.
    pub(super) fn restore_properties(&self, db: &Connection) -> rusqlite::Result<()> {
        write(db, self.tenant, &self.before)
    }
}

/// The id of a tenant, its source and its properties.
type Known = (TenantId, String, Properties);

fn find(db: &Connection, name: &str) -> rusqlite::Result<Option<Known>> {
    let mut select = db.prepare_cached(
        "SELECT id, source, account, customer, token, organizations FROM tenant WHERE name = ?1",
    )?;
    let read = |row: &Row<'_>| {
        let properties = Properties {
            customer: optional_text(row, "customer")?,
            account: text(row, "account")?,
            token: text(row, "token")?,
            organizations: text(row, "organizations")?,
        };
        Ok((TenantId(row.get("id")?), text(row, "source")?, properties))
    };
    select.query_row([name], read).optional()
}

fn write(db: &Connection, id: TenantId, properties: &Properties) -> rusqlite::Result<()> {
    let update = "UPDATE tenant SET customer = ?2, account = ?3, token = ?4, organizations = ?5
                  WHERE id = ?1";
    let Properties { customer, account, token, organizations } = properties;
    db.execute(update, params![id.0, customer, account, token, organizations]).map(|_| ())
}
