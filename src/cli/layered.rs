//! A command line together with what variables and the settings file set.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::settable::{self, Settable};
use super::source_command::SourceCommand;
use super::{NAME, Parsed, definition, file_keys, parse_each_source, parse_words, usage_error};
use crate::failure::{Failure, FailureKind};
use crate::settings::config_file::{ConfigFile, TenantTable, Value};
use crate::settings::layers::{
    Environment, Found, Layers, Precedence, Wanted, process_environment,
};
use crate::settings::lookup::Lookup;
use crate::settings::{Origin, TenantName};

/// The option that names the settings file.
const CONFIG: &str = "config";
/// The options of `run` that say which tenants run, and how many at a time.
const OF_RUN_ALONE: [&str; 2] = ["tenant", "jobs"];
/// The only key of `[defaults]` that applies to commands other than `run` and the sources.
const LEDGER: &str = "ledger";

/// The innermost subcommand of a command line.
pub(super) struct InnermostCommand<'a> {
    pub command: &'a Command,
    pub matches: &'a ArgMatches,
    /// Its options, and the global ones of the commands around it.
    arguments: Vec<&'a Arg>,
}

impl<'a> InnermostCommand<'a> {
    pub(super) fn find(definition: &'a Command, matches: &'a ArgMatches) -> Self {
        let (mut command, mut matches) = (definition, matches);
        let mut arguments = Vec::new();
        while let Some((name, submatches)) = matches.subcommand()
            && let Some(subcommand) = command.find_subcommand(name)
        {
            arguments.extend(command.get_arguments().filter(|argument| argument.is_global_set()));
            (command, matches) = (subcommand, submatches);
        }
        arguments.extend(command.get_arguments());
        Self { command, matches, arguments }
    }

    /// Returns the option that names the settings file, if the command has it.
    fn config(&self) -> Option<&'a Arg> {
        self.arguments.iter().copied().find(|argument| argument.get_long() == Some(CONFIG))
    }

    /// Returns the ids of the options that are on the command line.
    fn given(&self) -> impl Iterator<Item = &'a str> {
        let ids = self.arguments.iter().map(|argument| argument.get_id().as_str());
        ids.filter(|id| self.is_given(id))
    }

    /// Returns the arguments that were given, as words of a command line, but for those of `run`
    /// alone and those that come from elsewhere.
    fn as_given(&self, origins: &BTreeMap<String, Origin>) -> Vec<OsString> {
        let mut words = Vec::new();
        for argument in &self.arguments {
            let id = argument.get_id().as_str();
            let Some(key) = argument.get_long().filter(|_| self.is_given(id)) else { continue };
            let flag = format!("--{key}");
            if OF_RUN_ALONE.contains(&key) || origins.contains_key(&flag) {
                continue;
            }
            if !argument.get_action().takes_values() {
                words.push(flag.into());
                continue;
            }
            for value in self.matches.get_raw(id).into_iter().flatten() {
                let mut word = OsString::from(format!("{flag}="));
                word.push(value);
                words.push(word);
            }
        }
        words
    }

    fn is_given(&self, id: &str) -> bool {
        self.matches.value_source(id) == Some(ValueSource::CommandLine)
    }

    /// Whether two options cannot be used together.
    fn conflict(&self, one: &str, other: &str) -> bool {
        let find = |id: &str| self.arguments.iter().find(|argument| argument.get_id() == id);
        let names = |one: &str, other: &str| {
            find(one).is_some_and(|one| {
                let conflicts = self.command.get_arg_conflicts_with(one);
                conflicts.iter().any(|argument| argument.get_id() == other)
            })
        };
        names(one, other) || names(other, one)
    }
}

/// The settings file of a command, and how it was found.
#[derive(Debug, Clone)]
pub(crate) struct FoundFile {
    pub(super) file: Rc<ConfigFile>,
    pub(super) origin: Origin,
}

impl Parsed {
    /// Returns the same command with the values of the options that were not given, from variables
    /// and the settings file.
    ///
    /// # Errors
    /// When the settings file cannot be used, and when a value is not valid.
    pub(crate) fn with_layers(self) -> Result<Self, Failure> {
        let definition = definition();
        let file = match InnermostCommand::find(definition, &self.matches).config() {
            Some(_) => ConfigFile::find(config_argument(&self.matches), &SourceCommand::names())?,
            None => None,
        };
        let file = file.map(|(file, origin)| FoundFile { file: Rc::new(file), origin });
        if let Some(FoundFile { file, .. }) = &file {
            file_keys::validate(file, definition)?;
        }
        self.with_file(file, Precedence::Variables, process_environment)
    }

    /// Returns the tenants of the settings file; none if there is no file.
    pub(crate) fn file_tenants(&self) -> &[TenantTable] {
        self.file.as_ref().map(|found| found.file.tenants.as_slice()).unwrap_or_default()
    }

    /// Returns a command line for each source, as if only its name was given. Values come from
    /// variables and from the settings file of this command.
    ///
    /// # Errors
    /// When a value is not valid.
    pub(crate) fn each_source(&self) -> Result<Vec<Self>, Failure> {
        let sources = parse_each_source()?.into_iter();
        let with_file = |source: Self| {
            source.with_file(self.file.clone(), Precedence::Variables, process_environment)
        };
        sources.map(with_file).collect()
    }

    /// Returns a command line for each named tenant, or else for each enabled one of the settings
    /// file: `<source> --tenant=<name>`, or `check <source> --tenant=<name>` if this command is
    /// `check`, with the options of this command. Each is parsed when it is taken: together they
    /// would need megabytes.
    ///
    /// # Errors
    /// As for [`Self::chosen_tenants`].
    pub(crate) fn each_tenant(
        &self,
        named: &[TenantName],
    ) -> Result<impl Iterator<Item = TenantCommand>, Failure> {
        let arguments = InnermostCommand::find(definition(), &self.matches).as_given(&self.origins);
        let tenants = self.chosen_tenants(named)?.into_iter();
        let check = matches!(self.command, super::Command::Check(_)).then_some("check");
        Ok(tenants.map(move |tenant| {
            let words = check.into_iter().chain([tenant.source.as_str()]);
            self.tenant_command(&tenant.name, &tenant.source, words, &arguments)
        }))
    }

    /// Returns the named tenants of the settings file, or else its enabled ones.
    ///
    /// # Errors
    /// When there is no settings file, a named tenant is missing or disabled, or none is enabled.
    pub(crate) fn chosen_tenants(
        &self,
        named: &[TenantName],
    ) -> Result<Vec<&TenantTable>, Failure> {
        match &self.file {
            Some(found) => chosen_tenants(&found.file, named),
            None => Err(no_tenants("there is no settings file", "")),
        }
    }

    /// Returns the command line of a tenant's source without options, whether the settings file has
    /// the tenant or not.
    pub(crate) fn tenant_without_options(&self, name: &TenantName, source: &str) -> TenantCommand {
        self.tenant_command(name, source, [source], &[])
    }

    fn tenant_command<'a>(
        &self,
        name: &TenantName,
        source: &str,
        words: impl IntoIterator<Item = &'a str>,
        arguments: &[OsString],
    ) -> TenantCommand {
        let words = std::iter::once(NAME).chain(words).map(OsString::from);
        let words = words.chain([format!("--tenant={name}").into()]);
        // If the file has tenants, what one of them sets takes precedence over a variable.
        let precedence = match self.file_tenants() {
            [] => Precedence::Variables,
            _ => Precedence::Tenant,
        };
        let parsed = parse_words(words.chain(arguments.iter().cloned()).collect())
            .map_err(|error| usage_error::as_failure(&error))
            .and_then(|parsed| {
                parsed.with_file(self.file.clone(), precedence, process_environment)
            });
        TenantCommand { name: name.clone(), source: source.to_owned(), parsed }
    }

    /// Returns the same command with values from variables and a validated settings file.
    pub(super) fn with_file(
        self,
        file: Option<FoundFile>,
        precedence: Precedence,
        environment: Environment,
    ) -> Result<Self, Failure> {
        let definition = definition();
        let innermost = InnermostCommand::find(definition, &self.matches);
        let source = self.source().map(|source| source.args().0.info().name);
        let options = settable::options(innermost.arguments.iter().copied(), source);
        let variables =
            options.iter().map(|option| (option.key.clone(), option.variable.clone())).collect();
        let mut layers = Layers::new(environment, precedence, variables);
        let mut added = Added::default();
        if let (Some(found), Some(config)) = (&file, innermost.config()) {
            if !innermost.is_given(config.get_id().as_str()) {
                let mut argument = OsString::from("--config=");
                argument.push(&found.file.path);
                added.add(CONFIG, vec![argument], found.origin.clone());
            }
            let tenant = match source {
                Some(source) => chosen_tenant(&found.file, innermost.matches, &layers, source)?,
                None => None,
            };
            layers.use_file(Rc::clone(&found.file), source, tenant);
        }
        added.add_all(&innermost, &options, &layers, source)?;
        let Added { arguments, origins } = added;
        // Before `--`, after which nothing is an option.
        let end = self.arguments.iter().position(|argument| argument == "--");
        let (before, after) = self.arguments.split_at(end.unwrap_or(self.arguments.len()));
        let parsed = parse_words([before, &arguments, after].concat()).map_err(|error| {
            let origins: Vec<String> =
                origins.iter().map(|(flag, origin)| format!("{flag} from {origin}")).collect();
            usage_error::as_failure(&error)
                .with_cause(format!("set outside the command line: {}", origins.join(", ")))
        })?;
        Ok(Self { origins, file, layers: Rc::new(layers), ..parsed })
    }
}

/// The command line of the run of one tenant.
#[derive(Debug)]
pub(crate) struct TenantCommand {
    pub name: TenantName,
    /// The name of its source.
    pub source: String,
    /// The error, if a value is not valid.
    pub parsed: Result<Parsed, Failure>,
}

/// Returns the tenants of the file with these names, or all enabled ones.
pub(super) fn chosen_tenants<'a>(
    file: &'a ConfigFile,
    named: &[TenantName],
) -> Result<Vec<&'a TenantTable>, Failure> {
    let path = file.path.display();
    if named.is_empty() {
        let enabled: Vec<&TenantTable> =
            file.tenants.iter().filter(|tenant| tenant.is_enabled).collect();
        if enabled.is_empty() {
            let message = format!("the settings file {path} has no enabled tenant");
            return Err(no_tenants(&message, ""));
        }
        return Ok(enabled);
    }
    let known = file.tenants.iter().map(|tenant| tenant.name.as_str());
    let mut chosen: Vec<&TenantTable> = Vec::new();
    for name in named {
        let Some(tenant) = file.tenant(name) else {
            let nearest = settable::nearest(name.as_str(), known);
            let tip = nearest.map(|nearest| format!(" The nearest is {nearest}."));
            let message = format!("the settings file {path} has no tenant {name}");
            return Err(no_tenants(&message, &tip.unwrap_or_default()));
        };
        if !tenant.is_enabled {
            let message = format!("tenant {name} of {path} is left out with `enabled = false`");
            return Err(no_tenants(&message, ""));
        }
        if !chosen.iter().any(|other| other.name == *name) {
            chosen.push(tenant);
        }
    }
    Ok(chosen)
}

fn no_tenants(message: &str, tip: &str) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        message,
        format!(
            "Name a settings file with a [[tenant]] for each customer and source (--config, COLLECTIVE_INSIGHTS_CONFIG); `collective-insights generate config` prints an example.{tip} No request was made."
        ),
    )
}

/// The options that are added to a command line.
#[derive(Debug, Default)]
struct Added {
    arguments: Vec<OsString>,
    /// The origin of each, by its flag.
    origins: BTreeMap<String, Origin>,
}

impl Added {
    fn add(&mut self, key: &str, arguments: Vec<OsString>, origin: Origin) {
        self.arguments.extend(arguments);
        self.origins.insert(format!("--{key}"), origin);
    }

    /// Adds the options that are not given and have a value elsewhere. A value has no effect if it
    /// conflicts with an argument, or with a value of a layer that takes precedence.
    fn add_all(
        &mut self,
        innermost: &InnermostCommand<'_>,
        options: &[Settable],
        layers: &Layers,
        source: Option<&str>,
    ) -> Result<(), Failure> {
        // Options with a variable of the vendor (`CS_CLIENT_ID`) are looked up with the settings.
        let looked_up = source.map(looked_up_elsewhere).unwrap_or_default();
        let is_added = |option: &&Settable| {
            !innermost.is_given(&option.id) && !looked_up.contains(&option.key)
        };
        let uses_all_defaults = source.is_some() || innermost.command.get_name() == "run";
        let mut found: Vec<(&Settable, Found)> = Vec::new();
        for option in options.iter().filter(is_added) {
            let wanted = Wanted { key: &option.key, names: None, is_secret: false };
            if let Some(value) = layers.find(wanted)?
                && (uses_all_defaults || option.key == LEDGER || !value.origin.is_settings_file())
            {
                found.push((option, value));
            }
        }
        found.sort_by_key(|(_, found)| found.rank);
        // With the rank of its layer: a lower one takes precedence, and arguments (`None`) first.
        let mut set: Vec<(&str, Option<usize>)> = innermost.given().map(|id| (id, None)).collect();
        for (option, Found { value, origin, rank }) in found {
            let overridden = set.iter().any(|(other, other_rank)| {
                *other_rank < Some(rank) && innermost.conflict(&option.id, other)
            });
            if overridden {
                continue;
            }
            // An empty value is one of a secret file, which no option here has.
            let arguments = value
                .map_or(Ok(Vec::new()), |value| to_arguments(option, value, &origin))
                .and_then(|arguments| {
                    let rejection = settable::rejection(innermost.command, &arguments);
                    rejection.map_or(Ok(arguments), Err)
                })
                .map_err(|reason| invalid(&origin, &reason))?;
            if !arguments.is_empty() {
                set.push((&option.id, Some(rank)));
            }
            self.add(&option.key, arguments, origin);
        }
        Ok(())
    }
}

fn to_arguments(option: &Settable, value: Value, origin: &Origin) -> Result<Vec<OsString>, String> {
    match (value, origin) {
        (Value::One(text), Origin::Variable(_)) => option.arguments(&option.parse_variable(&text)?),
        (value, _) => option.arguments(&value),
    }
}

fn invalid(origin: &Origin, reason: &str) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!("{origin}: {reason}"),
        "Correct it and run again. No request was made.",
    )
}

/// Returns the value of `--config`, before or after a source. `check` has one of its own, with the
/// id `check_config`.
fn config_argument(matches: &ArgMatches) -> Option<&Path> {
    let inner = matches.subcommand().and_then(|(_, matches)| config_argument(matches));
    let given = |id: &str| matches.try_get_one::<PathBuf>(id).ok().flatten();
    inner.or_else(|| given(CONFIG).or_else(|| given("check_config")).map(PathBuf::as_path))
}

/// Returns the tenant that a command of a source names.
///
/// # Errors
/// When the file has it as a tenant of another source, and when the name in a variable is not
/// valid.
fn chosen_tenant(
    file: &ConfigFile,
    matches: &ArgMatches,
    layers: &Layers,
    source: &str,
) -> Result<Option<TenantName>, Failure> {
    let given = matches.try_get_one::<TenantName>("tenant").ok().flatten().cloned();
    let name = given.map_or_else(|| tenant_in_variable(layers), |name| Ok(Some(name)))?;
    match name.as_ref().and_then(|name| file.tenant(name)) {
        Some(tenant) if tenant.source != source => Err(Failure::new(
            FailureKind::Configuration,
            format!(
                "the tenant {} in {} is one of {}, not of {source}",
                tenant.name,
                file.path.display(),
                tenant.source
            ),
            format!(
                "Use `collective-insights {} --tenant {}`, or name another tenant with --tenant. No request was made.",
                tenant.source, tenant.name
            ),
        )),
        _ => Ok(name),
    }
}

fn tenant_in_variable(layers: &Layers) -> Result<Option<TenantName>, Failure> {
    let wanted = Wanted { key: "tenant", names: None, is_secret: false };
    match layers.find(wanted)? {
        Some(Found { value: Some(Value::One(text)), origin, .. }) => {
            text.parse().map(Some).map_err(|reason| invalid(&origin, reason))
        }
        _ => Ok(None),
    }
}

/// Returns the keys of the options of a source that have a variable of the vendor.
fn looked_up_elsewhere(source: &str) -> Vec<String> {
    let mut lookup = Lookup::without_layers();
    if let Some(source) = SourceCommand::from_name(source) {
        source.look_up(&mut lookup);
    }
    lookup.settings().iter().map(|setting| setting.names.key().to_owned()).collect()
}

#[cfg(test)]
mod tests;
