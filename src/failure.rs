//! Errors: what happened, why, what to do about it, and the exit code.
//!
//! Every [`Failure`] has a [`FailureKind`], and the kind decides the exit code. The help and the
//! systemd units read [`FailureKind::ALL`]; a test compares the documentation with it.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

/// The help of a failure whose cause is the program itself.
pub(crate) const REPORT_BUG: &str = "This is a bug in collective-insights. Report it with this message and the log (run with --debug for more detail).";

/// A signal that ends a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `SIGHUP`, sent when a terminal or a connection is closed.
    Hangup,
    /// `SIGINT`, Ctrl-C.
    Interrupt,
    /// `SIGTERM`, as sent by systemd and `kill`.
    Terminate,
}

impl Signal {
    /// Returns the signal's name, for example `SIGTERM`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hangup => "SIGHUP",
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }
}

/// The category of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// An internal error, or a response that contradicts the API's contract.
    Unexpected,
    /// The command line, a variable, a file or the environment has to be changed.
    Configuration,
    /// Part of the work was done; the message says which part was not.
    Partial,
    /// A service rejected the credentials, or they lack a permission.
    Credentials,
    /// A temporary error: safe to run again.
    Temporary,
    /// The ledger cannot be used.
    Ledger,
    /// Another run has locked the ledger.
    Locked,
    /// A signal ended the run.
    Interrupted(Signal),
}

impl FailureKind {
    /// Every kind, in the order of the exit codes.
    pub const ALL: [Self; 10] = [
        Self::Unexpected,
        Self::Configuration,
        Self::Partial,
        Self::Credentials,
        Self::Temporary,
        Self::Ledger,
        Self::Locked,
        Self::Interrupted(Signal::Hangup),
        Self::Interrupted(Signal::Interrupt),
        Self::Interrupted(Signal::Terminate),
    ];

    /// Returns the exit code of a run that ends this way.
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
            // 128 and the signal's number, as in a shell.
            Self::Interrupted(Signal::Hangup) => 129,
            Self::Interrupted(Signal::Interrupt) => 130,
            Self::Interrupted(Signal::Terminate) => 143,
        }
    }

    /// Returns the rank that picks the exit code of a run with several failures: the lowest wins.
    #[must_use]
    pub const fn urgency(self) -> u8 {
        match self {
            Self::Interrupted(_) => 0,
            Self::Ledger | Self::Locked => 1,
            Self::Credentials | Self::Configuration => 2,
            Self::Unexpected => 3,
            Self::Partial => 4,
            Self::Temporary => 5,
        }
    }

    /// Returns whether running again later can help without any other change.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Temporary | Self::Locked | Self::Interrupted(_) => true,
            Self::Unexpected
            | Self::Configuration
            | Self::Partial
            | Self::Credentials
            | Self::Ledger => false,
        }
    }

    /// Returns the kind's name in JSON documents.
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

    /// Returns the line that explains the exit code in the help.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Unexpected => "internal error, or a response that contradicts the API contract",
            Self::Configuration => "usage or configuration error: correct it and run again",
            Self::Partial => "partly done: alerts were not read, or indicators were rejected",
            Self::Credentials => "credentials rejected or permission missing",
            Self::Temporary => "temporary error: what was not sent is queued; run again safely",
            Self::Ledger => "the ledger cannot be used",
            Self::Locked => "another run has locked the ledger",
            Self::Interrupted(Signal::Hangup) => "interrupted by SIGHUP: the terminal was closed",
            Self::Interrupted(Signal::Interrupt) => "interrupted by Ctrl-C (SIGINT)",
            Self::Interrupted(Signal::Terminate) => "interrupted by SIGTERM",
        }
    }
}

/// A failure with its message, its chain of causes and a remedy.
///
/// The texts may quote a service's message: sanitize them before printing (`redact::sanitize`).
#[derive(Debug, Clone)]
pub struct Failure {
    /// The category.
    pub kind: FailureKind,
    /// The error, with the service's message and trace id if there are any.
    pub message: String,
    /// The items that the message is about, if any: one per line in text.
    pub list: Vec<String>,
    /// The next step for the user.
    pub help: String,
    cause: Option<Arc<anyhow::Error>>,
    /// Whether the cause is printed; it is logged at debug level in any case.
    is_cause_printed: bool,
}

impl Failure {
    /// Creates a failure without a cause.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            list: Vec::new(),
            help: help.into(),
            cause: None,
            is_cause_printed: true,
        }
    }

    /// Adds what the message is about.
    #[must_use]
    pub fn with_list(mut self, list: Vec<String>) -> Self {
        self.list = list;
        self
    }

    /// Adds the cause: an error with its sources, or a text.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(Arc::new(anyhow::Error::from_boxed(cause.into())));
        self
    }

    /// Adds a cause for the log only: the message says in plain words what it means.
    #[must_use]
    pub fn with_logged_cause(self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { is_cause_printed: false, ..self.with_cause(cause) }
    }

    /// Returns the chain of causes on one line, if there is a cause and it is printed.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        let printed = self.cause.as_ref().filter(|_| self.is_cause_printed);
        printed.map(|cause| join_chain(cause.chain()))
    }

    /// Returns the text of every link in the chain of causes, the outermost first.
    #[must_use]
    pub fn cause_chain(&self) -> Vec<String> {
        let chain = self.cause.iter().flat_map(|cause| cause.chain());
        chain.map(ToString::to_string).collect()
    }

    /// Returns the process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind.exit_code())
    }
}

/// Returns the exit code of the most urgent failure; 0 if there is none.
pub(crate) fn most_urgent_exit_code<'a>(failures: impl IntoIterator<Item = &'a Failure>) -> u8 {
    let kinds = failures.into_iter().map(|failure| failure.kind);
    kinds.min_by_key(|kind| kind.urgency()).map_or(0, FailureKind::exit_code)
}

/// One line: the message with its list, and the cause in parentheses.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.list.is_empty() {
            write!(f, ": {}", self.list.join(", "))?;
        }
        if let Some(cause) = self.cause() {
            write!(f, " ({cause})")?;
        }
        Ok(())
    }
}

impl PartialEq for Failure {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.message == other.message
            && self.list == other.list
            && self.help == other.help
            && self.cause_chain() == other.cause_chain()
    }
}

impl Eq for Failure {}

/// Joins an error and its sources with `: `.
pub(crate) fn error_chain(error: &(dyn Error + 'static)) -> String {
    join_chain(std::iter::successors(Some(error), |error| (*error).source()))
}

/// Joins the errors with `: `, except those that the text already ends with: many errors repeat the
/// text of their source.
fn join_chain<'a>(chain: impl Iterator<Item = &'a (dyn Error + 'static)>) -> String {
    chain.fold(String::new(), |mut text, error| {
        let link = error.to_string();
        if !text.ends_with(&link) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&link);
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    fn link(text: &'static str, source: Option<Link>) -> Link {
        Link { text, source: source.map(Box::new) }
    }

    fn failure() -> Failure {
        Failure::new(FailureKind::Temporary, "it failed", "Try again.")
    }

    /// A new kind needs an arm here; without a place in `ALL` its index does not compile.
    const fn place(kind: FailureKind) -> FailureKind {
        match kind {
            FailureKind::Unexpected => FailureKind::ALL[0],
            FailureKind::Configuration => FailureKind::ALL[1],
            FailureKind::Partial => FailureKind::ALL[2],
            FailureKind::Credentials => FailureKind::ALL[3],
            FailureKind::Temporary => FailureKind::ALL[4],
            FailureKind::Ledger => FailureKind::ALL[5],
            FailureKind::Locked => FailureKind::ALL[6],
            FailureKind::Interrupted(Signal::Hangup) => FailureKind::ALL[7],
            FailureKind::Interrupted(Signal::Interrupt) => FailureKind::ALL[8],
            FailureKind::Interrupted(Signal::Terminate) => FailureKind::ALL[9],
        }
    }

    #[test]
    fn all_has_every_kind() {
        assert_eq!(FailureKind::ALL.map(place), FailureKind::ALL);
    }

    #[test]
    fn exit_codes_are_unique_and_sorted() {
        let codes = FailureKind::ALL.map(FailureKind::exit_code);
        assert!(codes.is_sorted_by(|one, next| one < next), "{codes:?}");
        assert!(!codes.contains(&0));
    }

    #[test]
    fn the_cause_may_be_a_text_or_an_error_with_sources() {
        assert_eq!(failure().cause(), None);
        assert_eq!(failure().with_cause("no network").cause().as_deref(), Some("no network"));
        let chain = link("connect failed", Some(link("connection refused", None)));
        let failure = failure().with_cause(chain);
        assert_eq!(failure.to_string(), "it failed (connect failed: connection refused)");
        assert_eq!(failure.cause_chain(), ["connect failed", "connection refused"]);
    }

    #[test]
    fn a_source_that_is_already_quoted_is_not_repeated() {
        let refused = || link("refused", None);
        let chain = link("outer: refused", Some(link("refused", Some(refused()))));
        assert_eq!(error_chain(&chain), "outer: refused");
        let failure = failure().with_cause(chain);
        assert_eq!(failure.cause().as_deref(), Some("outer: refused"));
        assert_eq!(failure.cause_chain(), ["outer: refused", "refused", "refused"]);
    }

    #[test]
    fn a_list_is_on_the_line_of_the_message() {
        let failure = failure().with_list(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(failure.to_string(), "it failed: a, b");
        assert_ne!(failure, self::failure());
    }

    #[test]
    fn a_logged_cause_is_not_printed() {
        let failure = failure().with_logged_cause(link("refused", None));
        assert_eq!((failure.to_string().as_str(), failure.cause()), ("it failed", None));
        assert_eq!(failure.cause_chain(), ["refused"]);
    }

    #[test]
    fn failures_with_the_same_texts_are_equal() {
        assert_eq!(failure().with_cause("a"), failure().with_cause("a"));
        assert_ne!(failure().with_cause("a"), failure().with_cause("b"));
        assert_ne!(failure().with_cause("a"), failure());
    }
}
