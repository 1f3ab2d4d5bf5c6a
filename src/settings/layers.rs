//! The layers in which the value of an option is looked up after the command line: variables,
//! secret files, the credentials directory and the settings file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::rc::Rc;

use super::config_file::{ConfigFile, Entry, Table, TenantTable, Value};
use super::lookup::Names;
use super::origin::Origin;
use super::{TenantName, secret_file};
use crate::failure::{Failure, FailureKind};

/// Returns the value of a variable.
pub(crate) type Environment = fn(&str) -> Option<OsString>;

/// Returns the value of a variable of this process.
pub(crate) fn process_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// A place where options have values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    /// Environment variables.
    Variable,
    /// The file that `<VARIABLE>_FILE` names, for a secret.
    SecretFile,
    /// systemd's credentials directory, for a secret.
    Credential,
    /// The tenant's table in the settings file.
    Tenant,
    /// `[defaults.<source>]` in the settings file.
    SourceDefaults,
    /// `[defaults]` in the settings file.
    Defaults,
}

/// The order in which the layers are looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// A variable overrides the settings file.
    Variables,
    /// For a tenant that a command such as `run` takes from the settings file, also if it is the
    /// only one: a variable applies to all of them, and must not replace what one of them sets,
    /// such as its credentials.
    Tenant,
}

impl Precedence {
    const fn layers(self) -> [Layer; 6] {
        use Layer::{Credential, Defaults, SecretFile, SourceDefaults, Tenant, Variable};
        match self {
            Self::Variables => [Variable, SecretFile, Credential, Tenant, SourceDefaults, Defaults],
            Self::Tenant => [Tenant, Variable, SecretFile, Credential, SourceDefaults, Defaults],
        }
    }
}

/// The option that is looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The long option without its dashes.
    pub key: &'a str,
    /// The vendor's variables, if the option has any. They precede the generated variable.
    pub names: Option<&'a Names>,
    pub is_secret: bool,
}

/// A value that was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The value; `None` if a file for a secret is empty, which ends the search.
    pub value: Option<Value>,
    pub origin: Origin,
    /// The position of its layer, from 0; a lower one takes precedence. `Lookup::find` counts from
    /// 1, because arguments come first there.
    pub rank: usize,
}

/// All layers of one command.
#[derive(Debug)]
pub(crate) struct Layers {
    environment: Environment,
    precedence: Precedence,
    /// The generated variable of each option (`COLLECTIVE_INSIGHTS_<OPTION>`), by its key.
    variables: BTreeMap<String, String>,
    file: Option<Rc<ConfigFile>>,
    /// The name of the source.
    source: Option<String>,
    /// The tenant that was named, which may be missing in the file.
    tenant_name: Option<TenantName>,
    /// The tables of the file that apply to this source and tenant; empty if the file has none.
    tenant: Table,
    source_defaults: Table,
    defaults: Table,
}

impl Layers {
    /// Returns layers without a settings file; `variables` are the generated ones, by the keys of
    /// their options.
    pub(crate) fn new(
        environment: Environment,
        precedence: Precedence,
        variables: BTreeMap<String, String>,
    ) -> Self {
        Self { environment, precedence, variables, ..Self::empty() }
    }

    /// Returns the layers of an environment only.
    #[cfg(test)]
    pub(super) fn of_environment(environment: Environment) -> Self {
        Self { environment, ..Self::empty() }
    }

    /// Returns layers without any value, to see which settings are looked up.
    pub(crate) fn empty() -> Self {
        Self {
            environment: |_| None,
            precedence: Precedence::Variables,
            variables: BTreeMap::new(),
            file: None,
            source: None,
            tenant_name: None,
            tenant: Table::default(),
            source_defaults: Table::default(),
            defaults: Table::default(),
        }
    }

    /// Uses the tables of the file that apply to a source and a tenant.
    pub(crate) fn use_file(
        &mut self,
        file: Rc<ConfigFile>,
        source: Option<&str>,
        tenant_name: Option<TenantName>,
    ) {
        let tenant = tenant_name.as_ref().and_then(|name| file.tenant(name));
        self.source = source.map(str::to_owned);
        self.tenant = tenant.map(|tenant| tenant.table.clone()).unwrap_or_default();
        let of_source = file.source_defaults.iter().find(|(name, _)| Some(&**name) == source);
        let of_source = of_source.map(|(_, table)| table.clone());
        self.source_defaults = of_source.unwrap_or_default();
        self.defaults = file.defaults.clone();
        self.tenant_name = tenant_name;
        self.file = Some(file);
    }

    /// Returns a warning if the settings file has tenants, but not the one that was named.
    pub(super) fn unknown_tenant(&self) -> Option<String> {
        let file = self.file.as_ref().filter(|file| !file.tenants.is_empty())?;
        let name = self.tenant_name.as_ref().filter(|name| file.tenant(name).is_none())?;
        Some(format!(
            "the settings file {} has no tenant {name}, so only its defaults apply; check --tenant (COLLECTIVE_INSIGHTS_TENANT)",
            file.path.display()
        ))
    }

    /// Returns a sentence that lists tenants of this source in the settings file, with a space
    /// before it; an empty text if there are none, or if a tenant of the file was chosen.
    pub(crate) fn tenant_hint(&self) -> String {
        const MAX_NAMED: usize = 5;
        let Some((file, source)) = self.file.as_ref().zip(self.source.as_ref()) else {
            return String::new();
        };
        let tenants: Vec<&TenantTable> =
            file.tenants.iter().filter(|tenant| tenant.source == *source).collect();
        let is_chosen = self.tenant_name.as_ref().is_some_and(|name| file.tenant(name).is_some());
        if is_chosen || tenants.is_empty() {
            return String::new();
        }
        let mut names: Vec<&str> =
            tenants.iter().take(MAX_NAMED).map(|tenant| tenant.name.as_str()).collect();
        if tenants.len() > MAX_NAMED {
            names.push("and others");
        }
        format!(
            " The settings file has tenants, which `{source} --tenant NAME` chooses: {}.",
            names.join(", ")
        )
    }

    /// Returns the first value of an option that is not blank, or the file of a secret if that is
    /// empty.
    ///
    /// # Errors
    /// When a variable is not UTF-8, when one that has several values does not have its form, and
    /// when a file for a secret cannot be read.
    pub(crate) fn find(&self, wanted: Wanted<'_>) -> Result<Option<Found>, Failure> {
        for (rank, layer) in self.precedence.layers().into_iter().enumerate() {
            if let Some((value, origin)) = self.find_in(layer, wanted)? {
                return Ok(Some(Found { value, origin, rank }));
            }
        }
        Ok(None)
    }

    fn find_in(
        &self,
        layer: Layer,
        wanted: Wanted<'_>,
    ) -> Result<Option<(Option<Value>, Origin)>, Failure> {
        let one = |(value, origin): (Option<String>, Origin)| (value.map(Value::One), origin);
        match layer {
            Layer::Variable => {
                let found = self.find_variable(wanted)?;
                Ok(found.map(|(text, origin)| (Some(Value::One(text)), origin)))
            }
            Layer::SecretFile if wanted.is_secret => {
                let named = wanted.names.map(|names| names.variable);
                let generated = self.variables.get(wanted.key).map(String::as_str);
                for variable in named.into_iter().chain(generated) {
                    let found = secret_file::named(self.environment, variable, wanted.key)?;
                    if found.is_some() {
                        return Ok(found.map(one));
                    }
                }
                Ok(None)
            }
            Layer::Credential if wanted.is_secret => match wanted.names {
                Some(names) => Ok(secret_file::credential(self.environment, names)?.map(one)),
                None => Ok(None),
            },
            Layer::SecretFile | Layer::Credential => Ok(None),
            Layer::Tenant => self.find_in_table(&self.tenant, wanted),
            Layer::SourceDefaults => self.find_in_table(&self.source_defaults, wanted),
            Layer::Defaults => self.find_in_table(&self.defaults, wanted),
        }
    }

    fn find_variable(&self, wanted: Wanted<'_>) -> Result<Option<(String, Origin)>, Failure> {
        let generated = self.variables.get(wanted.key);
        let names = wanted.names.into_iter();
        let vendors = names.flat_map(|names| {
            [(names.variable, None)]
                .into_iter()
                .chain(names.fallbacks.iter().map(|name| (*name, None)))
                .chain(names.combined.map(|part| (part.variable, Some(part))))
        });
        for (name, part) in vendors.chain(generated.map(|name| (&**name, None))) {
            let Some(text) = read_variable(self.environment, name)? else {
                continue;
            };
            let text = match part {
                Some(part) => part.of(&text)?,
                None => text,
            };
            return Ok(Some((text, Origin::Variable(name.to_owned()))));
        }
        Ok(None)
    }

    fn find_in_table(
        &self,
        table: &Table,
        wanted: Wanted<'_>,
    ) -> Result<Option<(Option<Value>, Origin)>, Failure> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let place = |line| Origin::SettingsFile { path: file.path.clone(), line };
        if wanted.is_secret
            && let Some(Entry { value: Value::One(path), line, .. }) =
                table.get(&format!("{}-file", wanted.key)).filter(|entry| !entry.is_blank())
        {
            let (value, path) = secret_file::in_settings(path, &place(*line), wanted.key)?;
            return Ok(Some((value.map(Value::One), Origin::File(place(*line).to_string(), path))));
        }
        let entry = table.get(wanted.key).filter(|entry| !entry.is_blank());
        Ok(entry.map(|entry| (Some(entry.value.clone()), place(entry.line))))
    }
}

/// Returns the text of a variable; `None` if it is not set, or blank.
///
/// # Errors
/// When it is not UTF-8.
pub(crate) fn read_variable(
    environment: Environment,
    name: &str,
) -> Result<Option<String>, Failure> {
    let Some(value) = environment(name) else {
        return Ok(None);
    };
    let value = value.to_str().ok_or_else(|| {
        Failure::new(
            FailureKind::Configuration,
            format!("the variable {name} is not UTF-8 text"),
            "Correct its value. No request was made.",
        )
    })?;
    Ok(super::lookup::non_blank(Some(value)).map(str::to_owned))
}

#[cfg(test)]
mod tests;
