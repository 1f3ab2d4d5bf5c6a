//! The span of time that a run reads.

use chrono::{DateTime, Utc};

/// The span of time a run reads: `[start, end)`, UTC, whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// The first instant that belongs to it.
    pub start: DateTime<Utc>,
    /// The first instant that no longer does.
    pub end: DateTime<Utc>,
}
