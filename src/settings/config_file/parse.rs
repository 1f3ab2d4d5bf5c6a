//! Parses the text of a settings file into tables, each key with its line.

use std::ops::Range;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use super::{ConfigFile, Entry, Mistake, Table, TenantTable, Value};
use crate::settings::TenantName;

/// Parses a file. Its mistakes are those of the syntax and of the tables, not of single settings.
pub(super) fn parse(text: &str, sources: &[String]) -> ConfigFile {
    let mut parser = Parser { text, sources, mistakes: Vec::new() };
    let mut file = ConfigFile {
        path: PathBuf::new(),
        is_private: false,
        defaults: Table::default(),
        source_defaults: Vec::new(),
        tenants: Vec::new(),
        mistakes: Vec::new(),
    };
    match DeTable::parse(text) {
        Ok(root) => parser.read_file(root.get_ref(), &mut file),
        Err(error) => parser.report(
            error.span().unwrap_or_default(),
            format!("this is not valid TOML: {}", error.message().replace('\n', ", ")),
        ),
    }
    file.mistakes = parser.mistakes;
    file
}

struct Parser<'a> {
    text: &'a str,
    /// The names of all sources.
    sources: &'a [String],
    mistakes: Vec<Mistake>,
}

impl Parser<'_> {
    fn read_file(&mut self, root: &DeTable<'_>, file: &mut ConfigFile) {
        for (key, value) in root {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("defaults", DeValue::Table(table)) => self.read_defaults(table, file),
                ("tenant", DeValue::Array(tables)) => {
                    for element in tables {
                        match element.get_ref() {
                            DeValue::Table(table) => self.read_tenant(table, element.span(), file),
                            _ => self.report(element.span(), NOT_TENANTS.to_owned()),
                        }
                    }
                }
                ("tenant", _) => self.report(key.span(), NOT_TENANTS.to_owned()),
                ("defaults", _) => {
                    self.report(key.span(), "defaults is a table: [defaults]".to_owned());
                }
                (other, _) => self.report(
                    key.span(),
                    format!(
                        "unknown key {other}: settings are in the tables [defaults] and [[tenant]]"
                    ),
                ),
            }
        }
    }

    fn read_defaults(&mut self, table: &DeTable<'_>, file: &mut ConfigFile) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match value.get_ref() {
                DeValue::Table(of_source) if self.is_source(name) => {
                    let table = self.table(of_source);
                    file.source_defaults.push((name.to_owned(), table));
                }
                DeValue::Table(_) => self.report(
                    key.span(),
                    format!("unknown table [defaults.{name}]; {}", self.list_sources()),
                ),
                value => file.defaults.entries.push(self.entry(name, value, key.span())),
            }
        }
    }

    fn read_tenant(&mut self, table: &DeTable<'_>, span: Range<usize>, file: &mut ConfigFile) {
        let mut table = self.table(table);
        let name = self.take(&mut table, "name", span.clone());
        let source = self.take(&mut table, "source", span);
        let is_enabled = self.take_enabled(&mut table);
        let name = name.and_then(|(name, line)| match name.parse::<TenantName>() {
            Ok(name) => Some((name, line)),
            Err(reason) => {
                self.mistakes.push(Mistake { line, message: format!("name: {reason}") });
                None
            }
        });
        let source = source.and_then(|(source, line)| {
            if self.is_source(&source) {
                return Some(source);
            }
            let message = format!("unknown source; {}", self.list_sources());
            self.mistakes.push(Mistake { line, message });
            None
        });
        let Some(((name, line), source)) = name.zip(source) else {
            return;
        };
        if file.tenant(&name).is_some() {
            let message = format!("there is another tenant named {name}; each needs its own name");
            self.mistakes.push(Mistake { line, message });
            return;
        }
        file.tenants.push(TenantTable { name, source, is_enabled, table });
    }

    /// Takes `enabled` out of a tenant's table; without it a tenant is enabled.
    fn take_enabled(&mut self, table: &mut Table) -> bool {
        let at = table.entries.iter().position(|entry| entry.key == "enabled");
        match at.map(|at| table.entries.remove(at)) {
            None => true,
            Some(Entry { value: Value::Flag(is_enabled), .. }) => is_enabled,
            Some(Entry { line, .. }) => {
                let message = "enabled must be true or false".to_owned();
                self.mistakes.push(Mistake { line, message });
                false
            }
        }
    }

    /// Takes a required text out of a tenant's table; returns it with its line. `tenant` is where
    /// the table is, for the mistake that it does not have the key.
    fn take(
        &mut self,
        table: &mut Table,
        key: &str,
        tenant: Range<usize>,
    ) -> Option<(String, usize)> {
        let at = table.entries.iter().position(|entry| entry.key == key);
        match at.map(|at| table.entries.remove(at)) {
            Some(Entry { value: Value::One(text), line, .. }) => Some((text, line)),
            Some(Entry { line, .. }) => {
                self.mistakes.push(Mistake { line, message: format!("{key} must be a string") });
                None
            }
            None => {
                self.report(tenant, format!("this tenant has no {key}"));
                None
            }
        }
    }

    fn table(&self, table: &DeTable<'_>) -> Table {
        let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            self.entry(name, value.get_ref(), key.span())
        };
        let mut entries: Vec<Entry> = table.iter().map(entry).collect();
        entries.sort_by_key(|entry| entry.line);
        Table { entries }
    }

    fn entry(&self, key: &str, value: &DeValue<'_>, span: Range<usize>) -> Entry {
        Entry { key: key.to_owned(), value: convert(value), line: self.line(&span) }
    }

    fn is_source(&self, name: &str) -> bool {
        self.sources.iter().any(|source| source == name)
    }

    fn list_sources(&self) -> String {
        format!("the sources are {}", self.sources.join(" and "))
    }

    fn report(&mut self, span: Range<usize>, message: String) {
        self.mistakes.push(Mistake { line: self.line(&span), message });
    }

    /// Returns the line in which a span starts, from 1.
    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.get(..span.start).unwrap_or_default();
        before.matches('\n').count() + 1
    }
}

pub(super) const NOT_TENANTS: &str =
    "tenant is an array of tables: [[tenant]], once for each tenant";

fn convert(value: &DeValue<'_>) -> Value {
    if let Some(text) = scalar(value) {
        return Value::One(text);
    }
    match value {
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Array(array) => {
            let texts: Option<Vec<String>> =
                array.iter().map(|value| scalar(value.get_ref())).collect();
            texts.map_or(Value::Other("an array of other values than strings"), Value::Many)
        }
        DeValue::Float(_) => Value::Other("a number with a decimal point"),
        DeValue::Integer(_) => Value::Other("an integer that is not decimal"),
        DeValue::Datetime(_) => Value::Other("a date or time without quotation marks"),
        DeValue::Table(_) | DeValue::String(_) => Value::Other("a table"),
    }
}

/// Returns a string or a decimal integer as text.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        _ => None,
    }
}
