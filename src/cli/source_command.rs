//! The sources as subcommands.

use std::rc::Rc;
use std::sync::LazyLock;

use clap::{FromArgMatches, Subcommand};

use super::NAME;
use super::run_args::{CommonArgs, RunArgs};
use crate::failure::{Failure, FailureKind, REPORT_BUG};
use crate::redact::sanitize;
use crate::settings::layers::Layers;
use crate::settings::lookup::{Lookup, SettingsError};
use crate::settings::{EffectiveOption, Settings};
use crate::sources::{Source, SourceArgs, carbonblack, crowdstrike};

/// The sources. A new one is a folder of `sources`, a variant here and what the compiler asks for.
#[derive(Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// Send CrowdStrike Falcon detections
    ///
    /// Reads the alerts of the last 24 hours and those that earlier runs missed, and sends each
    /// file hash, domain, IP address and URL in them as an indicator, once per run.
    #[command(
        visible_aliases = ["cs", "falcon"],
        disable_help_flag = true,
        after_long_help = crowdstrike::EXAMPLES
    )]
    Crowdstrike(Box<RunArgs<crowdstrike::Args>>),
    /// Send Carbon Black Cloud alerts
    ///
    /// Reads the alerts of the last 24 hours and those that earlier runs missed, and sends each
    /// file hash in them as an indicator, once per run.
    #[command(
        visible_alias = "cb",
        // Hidden, so that a shell completes `carb` without a question.
        alias = "carbon-black",
        disable_help_flag = true,
        after_long_help = carbonblack::EXAMPLES
    )]
    Carbonblack(Box<RunArgs<carbonblack::Args>>),
}

/// A source and the settings of a run.
#[derive(Debug)]
pub(crate) struct ResolvedRun {
    pub source: Box<dyn Source>,
    /// All other settings.
    pub settings: Settings,
    /// The options with a variable of a vendor, as they were looked up.
    pub resolved: Vec<EffectiveOption>,
}

impl SourceCommand {
    /// Returns the arguments of the vendor and the common ones.
    pub(crate) fn args(&self) -> (&dyn SourceArgs, &CommonArgs) {
        match self {
            Self::Crowdstrike(args) => (&args.vendor, &args.common),
            Self::Carbonblack(args) => (&args.vendor, &args.common),
        }
    }

    /// Returns a command with the sources as subcommands.
    fn definition() -> &'static clap::Command {
        static SOURCES: LazyLock<clap::Command> =
            LazyLock::new(|| SourceCommand::augment_subcommands(clap::Command::new(NAME)));
        &SOURCES
    }

    /// Returns the names of all sources.
    pub(super) fn names() -> Vec<String> {
        Self::definition().get_subcommands().map(|source| source.get_name().to_owned()).collect()
    }

    /// Returns the source with this name, without arguments.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let matches = Self::definition().clone().try_get_matches_from([NAME, name]).ok()?;
        Self::from_arg_matches(&matches).ok()
    }

    /// Returns the source with this name, without arguments.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        Self::from_name(name).ok_or_else(|| unknown(name))
    }

    /// Looks up all settings; `None` if one is missing or not valid.
    pub(crate) fn look_up(&self, lookup: &mut Lookup) -> Option<(Box<dyn Source>, Settings)> {
        let (source, common) = self.args();
        let name = source.info().name;
        let source = source.resolve(lookup);
        let settings = common.resolve(name, lookup);
        source.zip(settings)
    }

    /// Looks up and validates all settings but for the vendor's.
    ///
    /// # Errors
    /// When settings are missing or one is not valid.
    pub(crate) fn resolve_common(&self, layers: &Rc<Layers>) -> Result<Settings, SettingsError> {
        let (source, common) = self.args();
        let mut lookup = Lookup::new(layers);
        let settings = common.resolve(source.info().name, &mut lookup);
        let (settings, _) = lookup.finish(settings)?;
        Ok(settings)
    }

    /// Looks up and validates all settings.
    ///
    /// # Errors
    /// When settings are missing or one is not valid.
    pub(crate) fn resolve(&self, layers: &Rc<Layers>) -> Result<ResolvedRun, SettingsError> {
        let mut lookup = Lookup::new(layers);
        let run = self.look_up(&mut lookup);
        let ((source, settings), resolved) = lookup.finish(run)?;
        Ok(ResolvedRun { source, settings, resolved })
    }
}

/// Returns the failure for a source that is not one of this program.
pub(super) fn unknown(name: &str) -> Failure {
    let message = format!("this program has no source {}", sanitize(name));
    Failure::new(FailureKind::Unexpected, message, REPORT_BUG)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// clap derives the name of a subcommand from its variant. Schedules and the ledger use
    /// `SourceInfo::name`.
    #[test]
    fn the_subcommand_has_the_name_of_its_source() {
        for name in SourceCommand::names() {
            let source = SourceCommand::from_name(&name).unwrap();
            assert_eq!(source.args().0.info().name, name);
        }
    }
}
