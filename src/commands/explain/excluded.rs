//! The exclusion files that runs use now, and the rule that matches an indicator.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cli::{ExplainArgs, Parsed};
use crate::commands::tenants::KnownTenant;
use crate::failure::Failure;
use crate::indicator::Indicator;
use crate::report;
use crate::run;

/// The line and the normal form of a rule.
pub(super) type LineAndRule = (u32, String);

/// The exclusion file of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TenantFile {
    /// `None` if none is known.
    pub path: Option<PathBuf>,
    /// The rule that matches the indicator.
    pub rule: Option<LineAndRule>,
    /// Whether the file, or the tenant's settings, could not be read: then the rule is not known.
    pub is_unreadable: bool,
}

/// Reads each file once; one that cannot be used is read again for each tenant.
pub(super) struct ExclusionFiles<'a> {
    parsed: &'a Parsed,
    indicator: Option<&'a Indicator>,
    /// The file of this command line, for all tenants.
    given: Option<PathBuf>,
    read: BTreeMap<PathBuf, Option<LineAndRule>>,
    failures: Vec<Failure>,
}

impl<'a> ExclusionFiles<'a> {
    /// Reads the file that the command line names.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn new(
        args: &ExplainArgs,
        parsed: &'a Parsed,
        indicator: Option<&'a Indicator>,
    ) -> Result<Self, Failure> {
        // Only an argument counts for all tenants. Variables and the settings file are looked up
        // for each tenant, as runs do: its table takes precedence over a variable.
        let given = args.exclusion_file.clone();
        let given = given.filter(|_| !parsed.is_set_elsewhere("--exclusion-file"));
        let mut files =
            Self { parsed, indicator, given, read: BTreeMap::new(), failures: Vec::new() };
        if let Some(path) = files.given.clone() {
            files.find(&path)?;
        }
        Ok(files)
    }

    /// Returns the file of a tenant, and the rule that matches. A file that cannot be read is only
    /// a warning, because the ledger's answer matters more.
    pub(super) fn of(&mut self, tenant: &KnownTenant) -> TenantFile {
        if self.indicator.is_none() {
            return TenantFile::default();
        }
        let path = match self.path_of(tenant) {
            Ok(Some(path)) => path,
            Ok(None) => return TenantFile::default(),
            Err(failure) => return self.unreadable(failure, None),
        };
        match self.find(&path) {
            Ok(rule) => TenantFile { rule, path: Some(path), is_unreadable: false },
            Err(failure) => self.unreadable(failure, Some(path)),
        }
    }

    fn unreadable(&mut self, failure: Failure, path: Option<PathBuf>) -> TenantFile {
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
        TenantFile { path, rule: None, is_unreadable: true }
    }

    fn path_of(&self, tenant: &KnownTenant) -> Result<Option<PathBuf>, Failure> {
        if let Some(given) = &self.given {
            return Ok(Some(given.clone()));
        }
        // A name that is not valid comes from a damaged ledger only.
        let Ok(name) = tenant.name.parse() else { return Ok(None) };
        let run = self.parsed.tenant_without_options(&name, &tenant.source).parsed?;
        let file = run.source().and_then(|source| {
            let (_, common) = source.args();
            common.exclusion_file()
        });
        Ok(file.map(Path::to_owned))
    }

    fn find(&mut self, path: &Path) -> Result<Option<LineAndRule>, Failure> {
        let Some(indicator) = self.indicator else { return Ok(None) };
        if let Some(known) = self.read.get(path) {
            return Ok(known.clone());
        }
        let exclusions = run::read_exclusion_file(path)?;
        let rule = exclusions.find(indicator).map(|rule| (rule.line, rule.text.to_owned()));
        self.read.insert(path.to_owned(), rule.clone());
        Ok(rule)
    }

    /// Warns about what could not be read.
    pub(super) fn warn(&self) {
        for failure in &self.failures {
            report::warn(&format!(
                "{failure}; whether it excludes the indicator is not known. {}",
                failure.help
            ));
        }
    }
}
