//! The settings file that a schedule is for, and what its keys mean for a deployment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use clap::Command as Definition;

use super::commands::Command;
use super::layered::{FoundFile, chosen_tenants};
use super::settable::{self, Settable};
use super::source_command::SourceCommand;
use super::{NAME, Parsed, definition, file_keys, parse_each_source, parse_words, usage_error};
use crate::failure::{Failure, FailureKind};
use crate::settings::config_file::{ConfigFile, Entry, Table, TenantTable, Value};
use crate::settings::layers::Precedence;
use crate::settings::lookup::Lookup;
use crate::settings::{Origin, TenantName};

/// A settings file whose tenants are scheduled together.
#[derive(Debug)]
pub(crate) struct ScheduledFile {
    /// The absolute path.
    pub path: PathBuf,
    /// The maximum run time in minutes.
    pub deadline: u32,
    /// The maximum wait until another run ends, in minutes.
    pub wait: u32,
    /// The settings of the tenants, from the lowest precedence to the highest.
    pub tables: Vec<ScheduledTable>,
    /// Required settings that the file does not have, as sentences.
    pub missing: Vec<String>,
}

/// A table of the file.
#[derive(Debug)]
pub(crate) struct ScheduledTable {
    /// For example `[defaults]`.
    pub heading: String,
    /// The name of the table or tenant, for example `[defaults]` or `tenant acme`.
    pub owner: String,
    /// A prefix for the names of secret files that are created for this table; each table has
    /// another.
    pub file_prefix: String,
    pub entries: Vec<ScheduledEntry>,
}

/// A setting of the file.
#[derive(Debug)]
pub(crate) struct ScheduledEntry {
    pub key: String,
    pub value: Value,
    /// The line in the file, from 1; 0 for the name and the source of a tenant.
    pub line: usize,
    pub meaning: Meaning,
}

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Plain,
    /// The path of the ledger.
    Ledger,
    /// The path of the metrics file.
    Metrics,
    /// The path of a file that a run reads.
    File,
    /// A secret.
    Secret,
}

impl Parsed {
    /// Returns the settings file of the command if it has tenants.
    ///
    /// # Errors
    /// When none of them is enabled, an option of `run` is not valid, or the absolute path of the
    /// file is not known.
    pub(crate) fn scheduled_file(&self) -> Result<Option<ScheduledFile>, Failure> {
        let found = self.file.as_ref().filter(|found| !found.file.tenants.is_empty());
        found.map(|found| scheduled(found, &[])).transpose()
    }

    /// Returns the settings file of the command with these tenants, or with all enabled ones if
    /// none is named. If there is no file, or an empty one, `example` is its text.
    ///
    /// # Errors
    /// When the file has no such enabled tenant, and as for [`Self::scheduled_file`].
    pub(crate) fn scheduled_file_or(
        &self,
        example: &str,
        tenants: &[TenantName],
    ) -> Result<ScheduledFile, Failure> {
        if let Some(found) = self.file.as_ref().filter(|found| !found.file.is_empty()) {
            return scheduled(found, tenants);
        }
        let file = ConfigFile::with_text(example, &SourceCommand::names());
        file_keys::validate(&file, definition())?;
        scheduled(&FoundFile { file: Rc::new(file), origin: Origin::Default }, tenants)
    }
}

fn scheduled(found: &FoundFile, tenants: &[TenantName]) -> Result<ScheduledFile, Failure> {
    let file = &found.file;
    let chosen = chosen_tenants(file, tenants)?;
    let sources = source_keys()?;
    // Every source has the options that [defaults] can set, so the keys of any one do.
    let defaults = sources.values().next().map_or(Vec::new(), |keys| entries(&file.defaults, keys));
    let mut tables = vec![ScheduledTable::new("[defaults]", "defaults", defaults)];
    for (source, table) in &file.source_defaults {
        if let Some(keys) = sources.get(source.as_str())
            && chosen.iter().any(|tenant| tenant.source == *source)
        {
            let heading = format!("[defaults.{source}]");
            let prefix = format!("defaults-{source}");
            tables.push(ScheduledTable::new(&heading, &prefix, entries(table, keys)));
        }
    }
    let mut missing = Vec::new();
    for tenant in chosen {
        if let Some(keys) = sources.get(tenant.source.as_str()) {
            missing.extend(missing_settings(file, tenant, keys));
            tables.push(tenant_table(tenant, keys));
        }
    }
    tables.retain(|table| !table.entries.is_empty());
    let (deadline, wait) = run_times(found)?;
    let path = std::path::absolute(&file.path).map_err(|error| {
        let message = format!("the working folder of {} is not known", file.path.display());
        Failure::new(
            FailureKind::Configuration,
            message,
            "Name the file with --config and its absolute path.",
        )
        .with_cause(error)
    })?;
    Ok(ScheduledFile { path, deadline, wait, tables, missing })
}

/// The keys that the tables of a source can have.
struct SourceKeys {
    options: Vec<Settable>,
    /// The settings that a run requires.
    required: Vec<String>,
}

/// Returns the keys of each source, by its name.
fn source_keys() -> Result<BTreeMap<&'static str, SourceKeys>, Failure> {
    let definition = definition();
    let mut sources = BTreeMap::new();
    for parsed in parse_each_source()? {
        let Some(source) = parsed.source() else { continue };
        let name = source.args().0.info().name;
        let arguments = definition.find_subcommand(name).into_iter();
        let options = settable::options(arguments.flat_map(Definition::get_arguments), Some(name));
        let mut lookup = Lookup::without_layers();
        source.look_up(&mut lookup);
        let required = lookup.settings().iter().filter(|setting| setting.is_required);
        let required = required.map(|setting| setting.names.flag.trim_start_matches("--").into());
        let required = required.collect();
        sources.insert(name, SourceKeys { options, required });
    }
    Ok(sources)
}

fn tenant_table(tenant: &TenantTable, keys: &SourceKeys) -> ScheduledTable {
    let plain = |key: &str, value: &str| ScheduledEntry {
        key: key.to_owned(),
        value: Value::One(value.to_owned()),
        line: 0,
        meaning: Meaning::Plain,
    };
    let TenantTable { name, source, table, .. } = tenant;
    let mut all = vec![plain("name", name.as_str()), plain("source", source)];
    all.extend(entries(table, keys));
    let owner = format!("tenant {name}");
    ScheduledTable { owner, ..ScheduledTable::new("[[tenant]]", &format!("tenant-{name}"), all) }
}

impl ScheduledFile {
    /// Returns the path of the metrics file, if there is one.
    pub(crate) fn metrics_file(&self) -> Option<&str> {
        let entries = self.tables.iter().flat_map(|table| &table.entries);
        entries.filter(|entry| entry.meaning == Meaning::Metrics).find_map(|entry| {
            match &entry.value {
                Value::One(path) => Some(path.as_str()),
                _ => None,
            }
        })
    }
}

impl ScheduledTable {
    fn new(heading: &str, file_prefix: &str, entries: Vec<ScheduledEntry>) -> Self {
        let (heading, owner) = (heading.to_owned(), heading.to_owned());
        Self { heading, owner, file_prefix: file_prefix.to_owned(), entries }
    }
}

/// Returns the entries of a table.
fn entries(table: &Table, keys: &SourceKeys) -> Vec<ScheduledEntry> {
    let mut entries = table.entries.clone();
    entries.sort_by_key(|entry| entry.line);
    entries
        .into_iter()
        .map(|entry| {
            let is_set = !entry.is_blank();
            let Entry { key, value, line } = entry;
            let meaning = if is_set { meaning(&key, &keys.options) } else { Meaning::Plain };
            ScheduledEntry { key, value, line, meaning }
        })
        .collect()
}

fn meaning(key: &str, options: &[Settable]) -> Meaning {
    let find = |key: &str| options.iter().find(|option| option.key == key);
    match find(key) {
        Some(option) if option.is_secret => Meaning::Secret,
        Some(option) if option.key == "ledger" => Meaning::Ledger,
        Some(option) if option.key == "metrics-file" => Meaning::Metrics,
        // The other paths of a process are those of its log and metrics, which it writes to.
        Some(option) if option.is_path && !option.applies_to_process => Meaning::File,
        Some(_) => Meaning::Plain,
        // `<secret>-file`.
        None => Meaning::File,
    }
}

/// Returns the maximum run time and the maximum wait of `run` with this file, in minutes. Variables
/// of this process have no effect: the scheduled process has others.
fn run_times(found: &FoundFile) -> Result<(u32, u32), Failure> {
    let run = parse_words([NAME, "run"].map(Into::into).into())
        .map_err(|error| usage_error::as_failure(&error))?
        .with_file(Some(found.clone()), Precedence::Variables, |_| None)?;
    let Command::Run(args) = &run.command else { return Ok((0, 0)) };
    let wait = args.process.wait().map_or(0, |wait| wait.limit.as_secs().div_ceil(60));
    Ok((args.process.deadline, u32::try_from(wait).unwrap_or(u32::MAX)))
}

/// Returns a sentence for each required setting that the file does not have for a tenant: neither
/// in its table nor in the defaults.
fn missing_settings(file: &ConfigFile, tenant: &TenantTable, keys: &SourceKeys) -> Vec<String> {
    let TenantTable { name, source, table, .. } = tenant;
    let of_source = file.source_defaults.iter().filter(|(of, _)| of == source);
    let tables: Vec<&Table> =
        [table, &file.defaults].into_iter().chain(of_source.map(|(_, table)| table)).collect();
    let is_set = |key: &str| {
        tables.iter().any(|table| table.get(key).is_some_and(|entry| !entry.is_blank()))
    };
    let required = keys.required.iter();
    required
        .filter(|key| !is_set(key) && !is_set(&format!("{key}-file")))
        .map(|key| format!("tenant {name} has no {key}"))
        .collect()
}
