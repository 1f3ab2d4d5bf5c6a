//! The tenants of the ledger, and what the settings file says about them.

use crate::cli::TenantArgs;
use crate::failure::{Failure, FailureKind};
use crate::ledger::{LedgerReader, TenantFilter};
use crate::redact::sanitize;
use crate::settings::config_file::TenantTable;

/// Whether the settings file has a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SettingsEntry {
    Enabled,
    /// It has `enabled = false`.
    Disabled,
    /// The file has only other tenants.
    Absent,
}

impl SettingsEntry {
    /// Returns the name in JSON documents.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Absent => "absent",
        }
    }

    /// Returns why `run` does not include the tenant; `None` if it does.
    pub(super) const fn note(self) -> Option<&'static str> {
        match self {
            Self::Enabled => None,
            Self::Disabled => Some("disabled in the settings file"),
            Self::Absent => Some("not in the settings file"),
        }
    }
}

/// The tenants of the settings file. If it has none, or does not exist, it excludes no tenant of
/// the ledger.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SettingsFileTenants<'a>(pub(crate) &'a [TenantTable]);

impl SettingsFileTenants<'_> {
    /// Returns whether the file has the tenant of this name; `None` if it has no tenants at all.
    pub(super) fn entry(self, name: &str) -> Option<SettingsEntry> {
        let found = self.0.iter().find(|tenant| tenant.name.as_str() == name);
        let entry = match found {
            Some(tenant) if tenant.is_enabled => SettingsEntry::Enabled,
            Some(_) => SettingsEntry::Disabled,
            None => SettingsEntry::Absent,
        };
        (!self.0.is_empty()).then_some(entry)
    }

    /// Returns whether the file has tenants, but no enabled one of this name.
    pub(crate) fn is_left_out(self, name: &str) -> bool {
        self.entry(name).is_some_and(|entry| entry != SettingsEntry::Enabled)
    }
}

/// A tenant of the ledger or of the settings file.
#[derive(Debug)]
pub(super) struct KnownTenant {
    pub name: String,
    /// The source's name.
    pub source: String,
    /// `None` where the settings file has no tenants.
    pub settings_entry: Option<SettingsEntry>,
    /// Whether the ledger does not have it.
    pub never_ran: bool,
}

/// Returns the tenants of the ledger sorted by name, and then those of the settings file that it
/// does not have, in the order of the file.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) fn known_tenants(
    ledger: &LedgerReader,
    file_tenants: SettingsFileTenants<'_>,
    filter: &TenantFilter,
) -> Result<Vec<KnownTenant>, Failure> {
    let in_ledger = ledger.tenants()?;
    let new = file_tenants.0.iter().map(|tenant| (tenant.name.to_string(), tenant.source.clone()));
    let new: Vec<_> =
        new.filter(|(name, _)| in_ledger.iter().all(|(old, _)| old != name)).collect();
    let known = |never_ran| {
        move |(name, source): (String, String)| {
            let settings_entry = file_tenants.entry(&name);
            KnownTenant { name, source, settings_entry, never_ran }
        }
    };
    let all = in_ledger.into_iter().map(known(false)).chain(new.into_iter().map(known(true)));
    Ok(all.filter(|tenant| filter.has(&tenant.name, &tenant.source)).collect())
}

/// Returns a filter for the tenants that the arguments name.
///
/// # Errors
/// When neither the ledger nor the settings file has a tenant of that name, and when the ledger
/// cannot be read.
pub(super) fn tenant_filter(
    ledger: &LedgerReader,
    args: &TenantArgs,
    file_tenants: SettingsFileTenants<'_>,
) -> Result<TenantFilter, Failure> {
    let name = args.tenant.as_ref().map(ToString::to_string);
    if let Some(name) = &name {
        let known = known_tenants(ledger, file_tenants, &TenantFilter::default())?;
        if known.iter().all(|tenant| tenant.name != *name) {
            return Err(unknown_tenant(name, &known, file_tenants));
        }
    }
    Ok(TenantFilter { name, source: args.source.clone() })
}

/// Returns the failure for a tenant that neither the ledger nor the settings file has.
pub(super) fn unknown_tenant(
    name: &str,
    known: &[KnownTenant],
    file_tenants: SettingsFileTenants<'_>,
) -> Failure {
    let message = match file_tenants.0 {
        [] => format!("the ledger has no tenant {name}"),
        _ => format!("neither the ledger nor the settings file has a tenant {name}"),
    };
    let names: Vec<&str> = known.iter().map(|tenant| tenant.name.as_str()).collect();
    Failure::new(
        FailureKind::Configuration,
        message,
        format!("Correct --tenant. The known ones are: {}.", sanitize(&names.join(", "))),
    )
}
