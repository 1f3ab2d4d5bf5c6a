//! The findings of a check, about one service or one tenant.

use crate::cli::ResolvedRun;
use crate::failure::Failure;
use crate::settings::TenantName;

/// The subject of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    Settings,
    TlsAndProxy,
    Exclusions,
    Ledger,
    Log,
    Metrics,
    Dns,
    Proxy,
    Tls,
    Network,
    Clock,
    Permission,
    Customers,
    NotConfigured,
    /// The tenant is disabled, or its vendor cannot be reached, so that nothing more is checked.
    NotChecked,
}

impl Check {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::TlsAndProxy => "TLS and proxy",
            Self::Exclusions => "exclusions",
            Self::Ledger => "ledger",
            Self::Log => "log",
            Self::Metrics => "metrics",
            Self::Dns => "DNS",
            Self::Proxy => "proxy",
            Self::Tls => "TLS",
            Self::Network => "network",
            Self::Clock => "clock",
            Self::Permission => "permission",
            Self::Customers => "customers",
            Self::NotConfigured => "not configured",
            Self::NotChecked => "left out",
        }
    }
}

/// The result of one check.
#[derive(Debug)]
pub(super) struct Finding {
    pub check: Check,
    /// The tenants that it is about; empty if a source is checked without one.
    pub tenants: Vec<TenantName>,
    /// The result, or the failure with its help.
    pub result: Result<String, Failure>,
}

impl Finding {
    pub(super) const fn new(check: Check, result: Result<String, Failure>) -> Self {
        Self { check, tenants: Vec::new(), result }
    }
}

/// The findings about one service or one tenant.
#[derive(Debug)]
pub(super) struct Section {
    /// The service, or `All tenants` for what they share.
    pub title: &'static str,
    /// The tenant, if all findings are about one.
    pub tenant: Option<TenantName>,
    pub findings: Vec<Finding>,
    /// The run whose requests are checked; `None` if no request can be sent with its settings.
    pub run: Option<ResolvedRun>,
}

impl Section {
    pub(super) const fn new(title: &'static str, tenant: Option<TenantName>) -> Self {
        Self { title, tenant, findings: Vec::new(), run: None }
    }

    /// Adds a finding about the tenant of this section.
    pub(super) fn add(&mut self, check: Check, result: Result<String, Failure>) {
        let tenants = self.tenant.iter().cloned().collect();
        self.findings.push(Finding { check, tenants, result });
    }

    /// Adds a finding, or only its tenants to an equal one that is there already.
    pub(super) fn merge(&mut self, finding: Finding) {
        let same = self
            .findings
            .iter_mut()
            .find(|other| other.check == finding.check && other.result == finding.result);
        match same {
            Some(same) => same.tenants.extend(finding.tenants),
            None => self.findings.push(finding),
        }
    }

    /// Whether every check passed.
    pub(super) fn is_ok(&self) -> bool {
        self.findings.iter().all(|finding| finding.result.is_ok())
    }

    /// Whether something was not checked.
    pub(super) fn is_not_checked(&self) -> bool {
        self.findings.iter().any(|finding| finding.check == Check::NotChecked)
    }
}

/// The checks of what tenants can share, such as the ledger: each is performed once per value.
#[derive(Debug, Default)]
pub(super) struct SharedChecks {
    /// Each with the value that was checked, for example a path.
    made: Vec<(String, Finding)>,
}

impl SharedChecks {
    /// Performs a check for a tenant, unless it was performed with the same value (`about`) for
    /// another one. Returns whether it passed.
    pub(super) fn check(
        &mut self,
        check: Check,
        about: String,
        tenant: Option<&TenantName>,
        perform: impl FnOnce() -> Result<String, Failure>,
    ) -> bool {
        let known =
            self.made.iter().position(|(other, finding)| *other == about && finding.check == check);
        let at = known.unwrap_or_else(|| {
            self.made.push((about, Finding::new(check, perform())));
            self.made.len() - 1
        });
        self.made.get_mut(at).is_some_and(|(_, finding)| {
            finding.tenants.extend(tenant.cloned());
            finding.result.is_ok()
        })
    }

    /// Returns the findings in the order in which they were made.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.made.into_iter().map(|(_, finding)| finding).collect()
    }
}
