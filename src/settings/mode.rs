//! What a run does with what it selected.

/// What a run does with what it selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is sent and saved.
    Live,
    /// It is sent with `options.debug`: Recorded Future checks it and saves nothing.
    Debug,
    /// It is shown.
    DryRun,
}

impl Mode {
    /// The mode's name in the JSON document and the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Debug => "debug",
            Self::DryRun => "dry-run",
        }
    }
}
