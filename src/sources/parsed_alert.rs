//! One alert of a page, decoded and mapped.

use chrono::{DateTime, Utc};

use super::lenient::Lenient;
use crate::detection::AlertOutcome;

/// The parts of an alert that a run needs.
#[derive(Debug)]
pub(super) struct ParsedAlert {
    /// The alert's id, by which repeats are recognized.
    pub id: Option<String>,
    /// When the alert entered the vendor's store (UTC): the field by which windows are read.
    pub created_at: Option<DateTime<Utc>>,
    pub outcome: AlertOutcome,
}

impl ParsedAlert {
    /// An element that is not a valid alert.
    pub(super) const MALFORMED: Self =
        Self { id: None, created_at: None, outcome: AlertOutcome::MALFORMED };

    /// Maps the elements of a page with `parse`.
    pub(super) fn map_all<A>(elements: Vec<Lenient<A>>, parse: impl Fn(A) -> Self) -> Vec<Self> {
        // Not collected, which would keep the memory of the elements: three times as much.
        let mut alerts = Vec::with_capacity(elements.len());
        alerts
            .extend(elements.into_iter().map(|element| element.0.map_or(Self::MALFORMED, &parse)));
        alerts
    }
}
