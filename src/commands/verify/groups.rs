//! The tenants whose deliveries are compared, grouped by the key that finds them.

use crate::cli::{Parsed, TenantCommand};
use crate::commands::tenants::{
    KnownTenant, SettingsEntry, SettingsFileTenants, known_tenants, unknown_tenant,
};
use crate::failure::{Failure, FailureKind};
use crate::http::NetworkOptions;
use crate::ledger::{LedgerReader, TenantFilter};
use crate::recorded_future;
use crate::settings::TenantName;
use crate::settings::config_file::TenantTable;
use crate::{logging, run};

/// The tenants whose deliveries one search finds: those with the same key and address.
pub(super) struct Group {
    pub recorded_future: recorded_future::Config,
    /// The digest of the key.
    pub token: String,
    pub network: NetworkOptions,
    pub tenants: Vec<String>,
}

/// The tenants that are compared, and those that are not.
#[derive(Default)]
pub(super) struct Groups {
    pub by_key: Vec<Group>,
    /// The tenants that cannot be compared, and why.
    pub failures: Vec<(Vec<String>, Failure)>,
    /// The tenants of the ledger that `run` leaves out.
    pub left_out: Vec<String>,
}

impl Groups {
    /// Groups the named tenants, or else the enabled ones of the settings file; without a settings
    /// file, all of the ledger. A tenant that has never run is in no group.
    ///
    /// # Errors
    /// When a named tenant is unknown or disabled, when none is enabled, and when the ledger cannot
    /// be read.
    pub(super) fn new(
        ledger: &LedgerReader,
        parsed: &Parsed,
        named: &[TenantName],
    ) -> Result<Self, Failure> {
        let file = SettingsFileTenants(parsed.file_tenants());
        let known = known_tenants(ledger, file, &TenantFilter::default())?;
        let mut groups = Self::default();
        for command in commands(&known, parsed, named)? {
            let _span = logging::enter(&command.name);
            groups.add(ledger, command)?;
        }
        logging::print_tenant_warnings();
        if named.is_empty() {
            let is_left_out = |tenant: &&KnownTenant| {
                !tenant.never_ran
                    && !matches!(tenant.settings_entry, None | Some(SettingsEntry::Enabled))
            };
            let left_out = known.iter().filter(is_left_out);
            groups.left_out = left_out.map(|tenant| tenant.name.clone()).collect();
        }
        Ok(groups)
    }

    fn add(&mut self, ledger: &LedgerReader, command: TenantCommand) -> Result<(), Failure> {
        let tenant = command.name.to_string();
        let settings = command.parsed.and_then(|parsed| {
            Ok(parsed.required_source(&command.source)?.resolve_common(&parsed.layers)?)
        });
        let settings = match settings {
            Ok(settings) => settings,
            Err(failure) => {
                self.fail(tenant, failure);
                return Ok(());
            }
        };
        let token = run::token_digest(&settings.recorded_future);
        match ledger.token_of(&tenant)? {
            // It has never run.
            None => return Ok(()),
            Some(last) if last != token => {
                self.fail(tenant, other_key());
                return Ok(());
            }
            Some(_) => {}
        }
        let (network, recorded_future) = (settings.network, settings.recorded_future);
        let same = self.by_key.iter_mut().find(|group| {
            group.network == network
                && group.recorded_future.has_same_address_and_key(&recorded_future)
        });
        if let Some(group) = same {
            group.tenants.push(tenant);
        } else {
            let tenants = vec![tenant];
            self.by_key.push(Group { recorded_future, token, network, tenants });
        }
        Ok(())
    }

    fn fail(&mut self, tenant: String, failure: Failure) {
        match self.failures.iter_mut().find(|(_, other)| *other == failure) {
            Some((tenants, _)) => tenants.push(tenant),
            None => self.failures.push((vec![tenant], failure)),
        }
    }
}

/// Returns the command line of each chosen tenant of the settings file; without one, of the ledger.
fn commands(
    known: &[KnownTenant],
    parsed: &Parsed,
    named: &[TenantName],
) -> Result<Vec<TenantCommand>, Failure> {
    if !parsed.file_tenants().is_empty() {
        let tenants = parsed.chosen_tenants(named)?.into_iter();
        let command =
            |tenant: &TenantTable| parsed.tenant_without_options(&tenant.name, &tenant.source);
        return Ok(tenants.map(command).collect());
    }
    let is_unknown = |name: &&TenantName| known.iter().all(|one| one.name != name.as_str());
    if let Some(unknown) = named.iter().find(is_unknown) {
        return Err(unknown_tenant(unknown.as_str(), known, SettingsFileTenants::default()));
    }
    let is_chosen = |name: &TenantName| named.is_empty() || named.contains(name);
    let all = known.iter().filter_map(|one| Some((one.name.parse().ok()?, &one.source)));
    let chosen = all.filter(|(name, _)| is_chosen(name));
    Ok(chosen.map(|(name, source)| parsed.tenant_without_options(&name, source)).collect())
}

fn other_key() -> Failure {
    Failure::new(
        FailureKind::Configuration,
        "its last run had another Recorded Future key, and this one finds nothing of what that one sent",
        "Set the key that its runs have: RF_API_KEY, or rf-api-key-file in the settings file. After a change of the key, verify again once it has run.",
    )
}
