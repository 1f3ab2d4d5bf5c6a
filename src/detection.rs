//! A detection: our vendor-free form of an alert. What it is, not where it came from.

use chrono::{DateTime, Utc};

use crate::indicator::{Indicator, RejectReason};
use crate::mitre::MitreCodes;

/// How a source is named: on the command line, in texts, and towards Recorded Future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceInfo {
    /// The subcommand, the ledger's and the JSON document's word, for example `crowdstrike`.
    pub name: &'static str,
    /// The product's name in texts for people.
    pub title: &'static str,
    /// `ioc.source_type`: the portal's "Event Source".
    pub source_type: &'static str,
    /// `incident.type`.
    pub incident_type: &'static str,
}

/// An alert's scores as the vendor gave them: severity 1-100 (CrowdStrike) or 1-10 (Carbon Black),
/// confidence 1-100.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scores {
    /// How bad the vendor says it is; absent on some products.
    pub severity: Option<u8>,
    /// How sure the vendor is; absent on some products and for all of Carbon Black.
    pub confidence: Option<u8>,
}

/// One mention of an indicator in an alert, with what became of reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The vendor's field it stood in: Recorded Future's `ioc.field`.
    pub field: &'static str,
    /// The indicator, or why it is none that may be sent.
    pub outcome: Result<Indicator, RejectReason>,
}

/// One alert that names at least one indicator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// The vendor's identity of the alert, opaque.
    pub id: String,
    /// When the behaviour was seen, UTC: what Recorded Future gets.
    pub observed_at: DateTime<Utc>,
    /// When the alert entered the vendor's store, UTC. Written once, so it is the same each time the
    /// alert is fetched; `observed_at` where the alert does not have it.
    pub created_at: DateTime<Utc>,
    /// What was detected, in the vendor's words.
    pub name: Option<String>,
    /// The short title the vendor shows, where it has one.
    pub incident_name: Option<String>,
    /// The vendor's scores.
    pub scores: Scores,
    /// MITRE ATT&CK techniques and tactics, without repeats.
    pub mitre_codes: MitreCodes,
    /// Every mention of an indicator, in the alert's order; not empty.
    pub mentions: Vec<Mention>,
}

/// What reading one alert gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertOutcome {
    /// It names indicators.
    Detection(Box<Detection>),
    /// It is a good alert that names no indicator we look for: the normal case.
    WithoutIndicator(Scores),
    /// It cannot be made a detection; counted and logged, never fatal.
    Unreadable {
        /// The alert's identity, where it has one.
        id: Option<String>,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl AlertOutcome {
    /// What reads as no alert at all.
    pub const MALFORMED: Self =
        Self::Unreadable { id: None, why: "it is not a JSON object that can be read" };
}
