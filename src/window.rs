//! The span of time that a run reads.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// The span of time a run reads: `[start, end)`, UTC, whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// The first instant that belongs to it.
    pub start: DateTime<Utc>,
    /// The first instant after it.
    pub end: DateTime<Utc>,
}

impl Window {
    /// Returns the options that read it, in whole seconds.
    pub(crate) fn as_options(self) -> String {
        let seconds = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        // Rounded outward: less than a second too much is read at each end.
        let until = self.end + TimeDelta::milliseconds(999);
        format!("--since {} --until {}", seconds(self.start), seconds(until))
    }
}
