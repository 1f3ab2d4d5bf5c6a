//! What can go wrong, in the words a person needs at 00:16: what happened, why, and what to do next.
//!
//! Every failure has a [`FailureKind`], and every kind has one exit code; the table stands in the README and
//! in `--help`.

use std::fmt;
use std::process::ExitCode;

/// The signal that asked a run to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `SIGINT`, Ctrl-C.
    Interrupt,
    /// `SIGTERM`, as sent by systemd and `kill`.
    Terminate,
}

/// What kind of trouble ended (or blemished) a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Something the program did not foresee, or an answer that contradicts the contract.
    Unexpected,
    /// The command line, a variable, a file or the place it runs in needs to be changed.
    Configuration,
    /// Part of the work is done; the message says what is not.
    Partial,
    /// A service refused the credentials, or they lack a permission.
    Credentials,
    /// Only time is needed: safe to run again.
    Temporary,
    /// The ledger cannot be used.
    Ledger,
    /// Another run holds the ledger.
    Locked,
    /// A signal ended the run.
    Interrupted(Signal),
}

impl FailureKind {
    /// The exit code of a run that ends this way.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Unexpected => 1,
            Self::Configuration => 2,
            Self::Partial => 3,
            Self::Credentials => 4,
            Self::Temporary => 5,
            Self::Ledger => 6,
            Self::Locked => 7,
            Self::Interrupted(Signal::Interrupt) => 130,
            Self::Interrupted(Signal::Terminate) => 143,
        }
    }

    /// The word for it in the JSON document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unexpected => "unexpected",
            Self::Configuration => "configuration",
            Self::Partial => "partial",
            Self::Credentials => "credentials",
            Self::Temporary => "temporary",
            Self::Ledger => "ledger",
            Self::Locked => "locked",
            Self::Interrupted(_) => "interrupted",
        }
    }
}

/// One failure: what happened, why as far as known, what to do next.
///
/// The texts may quote a service's own words; whoever prints them escapes control characters and
/// removes secrets (see [`crate::redact`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of trouble this is.
    pub kind: FailureKind,
    /// What happened, with the service's own message and trace id where there is one.
    pub message: String,
    /// Why, as far as known.
    pub cause: Option<String>,
    /// What to do next.
    pub hint: String,
}

impl Failure {
    /// A failure with what happened and what to do next.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, message: message.into(), cause: None, hint: hint.into() }
    }

    /// The same, with why it happened.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The exit code of a run that ends with this failure.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind.exit_code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(cause) = &self.cause {
            write!(f, " ({cause})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
