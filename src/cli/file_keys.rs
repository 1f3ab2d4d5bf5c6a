//! Validates the settings file against the options of the sources.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::Command;

use super::settable::{self, Settable};
use super::source_command::SourceCommand;
use crate::failure::Failure;
use crate::settings::config_file::{ConfigFile, Entry, Mistake, Table, Value};

/// Checks every key and value of the file.
///
/// # Errors
/// All mistakes, each with its line.
pub(super) fn validate(file: &ConfigFile, definition: &Command) -> Result<(), Failure> {
    let sources: BTreeMap<String, SourceKeys<'_>> = SourceCommand::names()
        .into_iter()
        .filter_map(|name| {
            let command = definition.find_subcommand(&name)?;
            let options = settable::options(command.get_arguments(), Some(&name));
            Some((name, SourceKeys { command, options }))
        })
        .collect();
    let mut validator = Validator { file, sources: &sources, mistakes: Vec::new() };
    if let Some(source) = sources.values().next() {
        validator.check_table(&file.defaults, source, Scope::Defaults);
    }
    for (name, table) in &file.source_defaults {
        if let Some(source) = sources.get(name) {
            validator.check_table(table, source, Scope::Source);
        }
    }
    for tenant in &file.tenants {
        if let Some(source) = sources.get(&tenant.source) {
            validator.check_table(&tenant.table, source, Scope::Source);
        }
    }
    match file.failure(validator.mistakes) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// The options of a source.
struct SourceKeys<'a> {
    command: &'a Command,
    options: Vec<Settable>,
}

impl SourceKeys<'_> {
    /// Returns the option that a key sets, and whether the value is a file that contains it.
    fn find(&self, key: &str, scope: Scope) -> Option<(&Settable, bool)> {
        let options = || self.options.iter().filter(|option| scope.has(option));
        let exact = options().find(|option| option.key == key).map(|option| (option, false));
        exact.or_else(|| {
            let key = key.strip_suffix("-file")?;
            Some((options().find(|option| option.is_secret && option.key == key)?, true))
        })
    }

    /// Returns all keys.
    fn keys(&self, scope: Scope) -> Vec<String> {
        let options = self.options.iter().filter(|option| scope.has(option));
        options
            .flat_map(|option| {
                let file = option.is_secret.then(|| format!("{}-file", option.key));
                [Some(option.key.clone()), file].into_iter().flatten()
            })
            .collect()
    }
}

/// Which options a table can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// `[defaults]`: the options that all sources have.
    Defaults,
    /// `[defaults.<source>]` and `[[tenant]]`: the options of the source, without those that apply
    /// to all tenants of a process.
    Source,
}

impl Scope {
    fn has(self, option: &Settable) -> bool {
        // A tenant is named by its table.
        match self {
            _ if option.key == "tenant" => false,
            Self::Defaults => !option.is_source_specific,
            Self::Source => !option.applies_to_process,
        }
    }
}

struct Validator<'a> {
    file: &'a ConfigFile,
    sources: &'a BTreeMap<String, SourceKeys<'a>>,
    mistakes: Vec<Mistake>,
}

impl Validator<'_> {
    fn check_table(&mut self, table: &Table, source: &SourceKeys<'_>, scope: Scope) {
        let mut all = Vec::new();
        let before = self.mistakes.len();
        for entry in &table.entries {
            match self.arguments(entry, table, source, scope) {
                Ok(arguments) => all.push((entry.line, arguments)),
                Err(message) => self.mistakes.push(Mistake { line: entry.line, message }),
            }
        }
        // One parse for all of them is enough if there is no mistake.
        let together: Vec<OsString> =
            all.iter().flat_map(|(_, arguments)| arguments.clone()).collect();
        let Some(conflict) = settable::rejection(source.command, &together) else {
            return;
        };
        for (line, arguments) in &all {
            if let Some(message) = settable::rejection(source.command, arguments) {
                self.mistakes.push(Mistake { line: *line, message });
            }
        }
        if self.mistakes.len() == before {
            let line = all.first().map_or(1, |(line, _)| *line);
            let message = format!("in the table of this line, {conflict}");
            self.mistakes.push(Mistake { line, message });
        }
    }

    /// Returns the arguments that a setting is equivalent to; none for a secret.
    fn arguments(
        &self,
        entry: &Entry,
        table: &Table,
        source: &SourceKeys<'_>,
        scope: Scope,
    ) -> Result<Vec<OsString>, String> {
        let (option, is_file) = source
            .find(&entry.key, scope)
            .ok_or_else(|| self.describe_unknown(&entry.key, source, scope))?;
        if !option.is_secret {
            return option.arguments(&entry.value);
        }
        if !matches!(entry.value, Value::One(_)) {
            return Err(format!("{} must be a string", entry.key));
        }
        if !is_file && table.get(&format!("{}-file", option.key)).is_some() {
            return Err(format!("{0} is set here, and {0}-file too; keep one of them", option.key));
        }
        if !is_file && !self.file.is_private {
            return Err(format!(
                "{0} is a secret, and other users can read this file; name a file that contains it with {0}-file, or run `chmod 600` on this one",
                option.key
            ));
        }
        Ok(Vec::new())
    }

    fn describe_unknown(&self, key: &str, source: &SourceKeys<'_>, scope: Scope) -> String {
        if settable::is_confirmation(key) {
            return format!("{key} confirms a risk, and can only be given on the command line");
        }
        if key == "tenant" {
            return "tenant cannot be set here: the tenant is the name of a [[tenant]]".to_owned();
        }
        if key == "config" {
            return "config cannot be set here: a settings file does not name another".to_owned();
        }
        if scope == Scope::Source && source.find(key, Scope::Defaults).is_some() {
            return format!("{key} applies to all tenants; set it in [defaults]");
        }
        if scope == Scope::Defaults {
            let owners: Vec<String> = self
                .sources
                .iter()
                .filter(|(_, keys)| keys.find(key, Scope::Source).is_some())
                .map(|(name, _)| format!("[defaults.{name}]"))
                .collect();
            if !owners.is_empty() {
                return format!(
                    "{key} belongs to a source; set it in {} or in a [[tenant]]",
                    owners.join(", ")
                );
            }
        }
        let known = source.keys(scope);
        match settable::nearest(key, known.iter().map(String::as_str)) {
            Some(nearest) => format!("unknown key {key}; the nearest is {nearest}"),
            None => format!("unknown key {key}; the keys are the long options"),
        }
    }
}
