//! A detection: the vendor-neutral form of an alert.

use chrono::{DateTime, Utc};

use crate::indicator::{ClaimedType, Indicator, RejectReason};
use crate::mitre::MitreCodes;
use crate::redact;

/// The maximum length of a rejected text that is kept, in characters.
const MAX_REJECTED_CHARS: usize = 200;

/// The names of a source: on the command line, in messages, and in what Recorded Future receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceInfo {
    /// The subcommand, also used in the ledger and in JSON, for example `crowdstrike`.
    pub name: &'static str,
    /// The product name in messages.
    pub title: &'static str,
    /// `ioc.source_type`: the "Event Source" in the Recorded Future portal.
    pub source_type: &'static str,
    /// `incident.type`.
    pub incident_type: &'static str,
}

/// The judgment of an alert by the vendor and the customer's analysts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Assessment {
    /// The severity, 1 to 100 (CrowdStrike) or 1 to 10 (Carbon Black); absent on some
    /// products.
    pub severity: Option<u8>,
    /// The vendor's confidence, 1 to 100; absent on some products and always for Carbon Black.
    pub confidence: Option<u8>,
    /// Whether an analyst dismissed the alert, for example as a false positive.
    pub dismissed: bool,
}

/// A mention: an indicator named by an alert, before duplicates are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The field of the alert that names it; sent as `ioc.field`.
    pub field: &'static str,
    /// The indicator, or why it may not be sent.
    pub indicator: Result<Indicator, Rejected>,
    /// Whether the vendor or the customer trusts the file whose hash this is.
    pub trusted: bool,
}

impl Mention {
    /// Creates a mention of `text`, which is not known to be trusted.
    #[must_use]
    pub fn parse(field: &'static str, claim: ClaimedType, text: &str) -> Self {
        let indicator = Indicator::parse(claim, text).map_err(|reason| Rejected::new(reason, text));
        Self { field, indicator, trusted: false }
    }

    /// Creates a mention of a type that has no [`ClaimedType`].
    #[must_use]
    pub fn unsupported(field: &'static str, text: &str) -> Self {
        let rejected = Rejected::new(RejectReason::Unsupported, text);
        Self { field, indicator: Err(rejected), trusted: false }
    }
}

/// A text that is not an indicator that may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The reason.
    pub reason: RejectReason,
    /// The start of the text as the vendor has it, without user name and password of a URL. For the
    /// log, and for the ledger's samples of mentions that were not sent.
    pub text: Box<str>,
}

impl Rejected {
    fn new(reason: RejectReason, text: &str) -> Self {
        let text = redact::without_credentials(text.trim());
        // A text of at most that many bytes has at most that many characters.
        let text = if text.len() > MAX_REJECTED_CHARS {
            redact::excerpt(&text, MAX_REJECTED_CHARS).into()
        } else {
            text.into()
        };
        Self { reason, text }
    }
}

/// An alert that names at least one indicator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// The vendor's id of the alert, opaque.
    pub id: String,
    /// When the behavior was observed, UTC; sent as `timestamp`.
    pub observed_at: DateTime<Utc>,
    /// When the alert entered the vendor's store, UTC. It never changes, so it is the same each
    /// time the alert is fetched. Equal to `observed_at` if the alert does not have it.
    pub created_at: DateTime<Utc>,
    /// The vendor's description.
    pub name: Option<String>,
    /// The vendor's short title, if it has one.
    pub incident_name: Option<String>,
    /// The judgment of the alert.
    pub assessment: Assessment,
    /// MITRE ATT&CK techniques and tactics, without duplicates.
    pub mitre_codes: MitreCodes,
    /// The mentions in the order of the alert; not empty.
    pub mentions: Vec<Mention>,
}

/// The longest name of a kind of alerts that is kept, in characters.
const MAX_KIND: usize = 40;

/// An alert that names no indicator in the fields that are read: the usual case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BareAlert {
    /// The judgment of the alert.
    pub assessment: Assessment,
    /// The vendor's name for alerts of this kind.
    pub kind: Option<Box<str>>,
    /// Whether it names an indicator that would be found with another `--indicator`.
    pub other_choice: bool,
}

impl BareAlert {
    /// Creates it with the vendor's name for its kind, of any length.
    #[must_use]
    pub fn new(assessment: Assessment, kind: Option<&str>, other_choice: bool) -> Self {
        let kind = kind.map(|kind| redact::excerpt(kind, MAX_KIND).into());
        Self { assessment, kind, other_choice }
    }
}

/// The result of mapping an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertOutcome {
    /// The alert names indicators.
    Detection(Box<Detection>),
    /// The alert is valid and names no indicator.
    WithoutIndicator(BareAlert),
    /// The alert cannot become a detection. It is counted and logged, and never ends a run.
    Unreadable {
        /// The id of the alert, if it has one.
        id: Option<String>,
        /// The reason why it cannot be used.
        reason: &'static str,
    },
}

impl AlertOutcome {
    /// The outcome of a list element that is not a valid alert.
    pub const MALFORMED: Self =
        Self::Unreadable { id: None, reason: "it is not a JSON object that can be read" };
}
