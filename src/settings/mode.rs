//! What a run does with the selected indicators.

/// What a run does with the selected indicators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Sends them and stores the result.
    Live,
    /// Sends them with `options.debug`: Recorded Future validates but does not store them.
    Debug,
    /// Prints them.
    DryRun,
}

impl Mode {
    /// Returns the name of the mode in the JSON document and the ledger.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Debug => "debug",
            Self::DryRun => "dry-run",
        }
    }
}
