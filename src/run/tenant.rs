//! The tenant of a run, and the customers whose alerts it may share.

use std::fmt::Write as _;

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::Run;
use crate::failure::{Failure, FailureKind};
use crate::ledger::{Tenant, TenantLedger};
use crate::recorded_future;
use crate::report::counted;
use crate::settings::{Settings, TenantName};
use crate::sources::{CustomerSource, Customers, Source};

/// The customer of a tenant that shares the alerts of all customers together.
const ALL_CUSTOMERS: &str = "all";

/// The customers whose alerts a run has read so far.
#[derive(Debug, Default)]
pub(super) struct CustomerState {
    /// The customers that the alerts named.
    seen: Customers,
    /// The digest of the customer whose alerts earlier runs of the tenant read.
    known: Option<String>,
    /// The digest of the customer that the settings name.
    named: Option<String>,
    /// Whether another customer may replace the known one.
    adopt: bool,
    /// Whether the alerts were read by the same account last.
    is_same_account: bool,
    /// Whether this run knows whose alerts it reads.
    is_confirmed: bool,
}

impl CustomerState {
    pub(super) fn new(source: &dyn Source, ledger: &TenantLedger, adopt: bool) -> Self {
        Self {
            known: ledger.customer().map(str::to_owned),
            named: named_customer(source),
            is_same_account: ledger.is_same_account(),
            adopt,
            ..Self::default()
        }
    }

    /// Returns the digest of the customer whose alerts are read, once that is known. With `adopt`,
    /// it is the known one as long as nothing names another.
    fn customer(&self) -> Option<String> {
        let read = || self.seen.only().map(|id| digest("customer", id));
        self.named.clone().or_else(read).or_else(|| self.known.clone().filter(|_| self.adopt))
    }

    /// Whether what earlier runs queued belongs to the customer of this run, as far as is known.
    pub(super) fn may_deliver(&self) -> bool {
        match (&self.known, &self.named) {
            _ if self.is_confirmed => true,
            (None, _) => true,
            (Some(known), Some(named)) => known == named,
            (Some(known), None) => self.is_same_account && known != ALL_CUSTOMERS,
        }
    }
}

impl Run<'_> {
    /// Checks whose alerts a page has: a tenant has the alerts of one customer, unless the settings
    /// let it share those of all customers together.
    ///
    /// # Errors
    /// When they belong to several customers, or to another one than the tenant's.
    pub(super) fn check_customers(&mut self, customers: &Customers) -> Result<(), Failure> {
        self.customer.seen.extend(customers);
        check_customers(
            self.source,
            &self.settings.tenant,
            &self.customer.seen,
            self.customer.known.as_deref().filter(|_| !self.customer.adopt),
        )
    }

    /// Records the tenant's properties, after this run has read a page, or found that there is
    /// none.
    ///
    /// # Errors
    /// Ledger errors.
    pub(super) fn record_customer(&mut self) -> Result<(), Failure> {
        if !self.customer.is_confirmed {
            let customer = self.customer.customer();
            self.ledger.record_properties(customer.as_deref())?;
            self.customer.is_confirmed = customer.is_some();
        }
        Ok(())
    }

    /// Returns the warning that queued indicators are not sent, because nothing has shown yet that
    /// this run reads the alerts of the same customer; `None` if they may be sent.
    pub(super) fn delivery_hold(&self, queued: u64) -> Option<String> {
        (queued > 0 && !self.customer.may_deliver()).then(|| {
            format!(
                "{} of tenant {} {} not sent: no alert has shown yet that these credentials belong to the same customer as those before; if they do, --adopt sends them",
                counted(queued, "queued indicator", "queued indicators"),
                self.settings.tenant,
                if queued == 1 { "was" } else { "were" }
            )
        })
    }
}

/// Returns the digest of the customer that the settings name; [`ALL_CUSTOMERS`] if they name all.
fn named_customer(source: &dyn Source) -> Option<String> {
    match source.customer() {
        CustomerSource::Settings(id) => Some(digest("customer", &id)),
        CustomerSource::Any => Some(ALL_CUSTOMERS.to_owned()),
        CustomerSource::Alerts => None,
    }
}

/// Checks whose alerts were read; `known` is the digest of the customer that they must belong to.
///
/// # Errors
/// When they belong to several customers, or to another one.
pub(crate) fn check_customers(
    source: &dyn Source,
    tenant: &TenantName,
    customers: &Customers,
    known: Option<&str>,
) -> Result<(), Failure> {
    if source.customer() != CustomerSource::Alerts {
        return Ok(());
    }
    match customers.only() {
        None if customers.len() > 1 => Err(source.several_customers(customers.len())),
        Some(id) if known.is_some_and(|known| known != digest("customer", id)) => {
            Err(other_customer(tenant, source))
        }
        _ => Ok(()),
    }
}

fn other_customer(tenant: &TenantName, source: &dyn Source) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!(
            "the alerts of {} belong to another customer than those that tenant {tenant} read before",
            source.info().title
        ),
        "Give this customer a tenant of its own with --tenant <NAME>. If it is the same customer under a new id, run once with --adopt. Nothing was stored or sent.",
    )
    .with_cause("the credentials belong to another customer's account, or the customer has a new id")
}

/// Returns the tenant of a run, as the ledger stores it.
pub(crate) fn tenant(settings: &Settings, source: &dyn Source) -> Tenant {
    let recorded_future = &settings.recorded_future;
    Tenant {
        name: settings.tenant.to_string(),
        source: source.info().name.to_owned(),
        account: digest("account", &source.account()),
        customer: named_customer(source),
        token: token_digest(recorded_future),
        organizations: recorded_future.organization_ids.clone(),
        adopt: settings.adopt,
    }
}

/// Returns the digest under which the ledger stores a Recorded Future key.
pub(crate) fn token_digest(config: &recorded_future::Config) -> String {
    digest("token", config.token.expose_secret())
}

/// Returns the digest under which the ledger stores an account, a customer or a token: SHA-256, in
/// hex.
fn digest(purpose: &str, text: &str) -> String {
    let hash = Sha256::digest(format!("collective-insights {purpose} {text}"));
    hash.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
