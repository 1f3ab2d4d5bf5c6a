//! Whose run it is, and whose alerts it may share.

use std::fmt::Write as _;

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::Run;
use crate::failure::{Failure, FailureKind};
use crate::ledger::Tenant;
use crate::report::counted;
use crate::settings::{Settings, TenantName};
use crate::sources::{CustomerSource, Customers, Source};

/// Whose alerts a run has read so far.
#[derive(Debug, Default)]
pub(super) struct CustomerState {
    /// The customers that the alerts named.
    seen: Customers,
    /// The digest of the one whose alerts earlier runs of the tenant read.
    known: Option<String>,
    /// Whether another one takes its place.
    adopt: bool,
    /// Whether the only one is in the ledger.
    is_recorded: bool,
}

impl CustomerState {
    pub(super) fn new(known: Option<&str>, adopt: bool) -> Self {
        Self { known: known.map(str::to_owned), adopt, ..Self::default() }
    }
}

impl Run<'_> {
    /// Checks whose alerts a page has: a tenant has those of one customer, unless all may be shared
    /// together.
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

    /// Records whose alerts they are, once the alerts named it.
    ///
    /// # Errors
    /// Those of the ledger.
    pub(super) fn record_customer(&mut self) -> Result<(), Failure> {
        let Some(id) = self.customer.seen.only() else {
            return Ok(());
        };
        if self.source.customer() == CustomerSource::Alerts && !self.customer.is_recorded {
            let customer = digest("customer", id);
            self.ledger().record_customer(&customer)?;
            self.customer.is_recorded = true;
        }
        Ok(())
    }

    /// Returns why nothing that is queued may be sent: the account is another one than before, and
    /// no alert has shown that it reads the same customer.
    pub(super) fn delivery_hold(&self, queued: u64) -> Option<String> {
        let is_open = self.source.customer() == CustomerSource::Alerts
            && self.customer.known.is_some()
            && !self.customer.is_recorded
            && !self.customer.adopt;
        (queued > 0 && is_open && !self.ledger().is_same_account()).then(|| {
            format!(
                "{} of tenant {} not sent: the credentials are other ones than before, and no alert has shown yet that they belong to the same customer; if they do, --adopt sends them",
                counted(queued, "queued indicator", "queued indicators"),
                self.settings.tenant
            )
        })
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
            "the alerts of {} belong to another customer than those that tenant {tenant} read before; nothing was stored or sent",
            source.info().title
        ),
        "Give this customer a tenant of its own with --tenant <NAME>. If it is the same customer under a new id, run once with --adopt.",
    )
    .with_cause("the credentials belong to another customer's account, or the customer has a new id")
}

/// Returns the tenant of a run, as the ledger stores it.
pub(super) fn tenant(settings: &Settings, source: &dyn Source) -> Tenant {
    let recorded_future = &settings.recorded_future;
    Tenant {
        name: settings.tenant.to_string(),
        source: source.info().name.to_owned(),
        account: digest("account", &source.account()),
        customer: match source.customer() {
            CustomerSource::Settings(id) => Some(digest("customer", &id)),
            CustomerSource::Alerts | CustomerSource::Any => None,
        },
        token: digest("token", recorded_future.token.expose_secret()),
        organizations: recorded_future.organization_ids.clone(),
        adopt: settings.adopt,
    }
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
