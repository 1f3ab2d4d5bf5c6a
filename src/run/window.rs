//! Which window a run reads: the span asked for, and what earlier runs missed.

use chrono::{DateTime, TimeDelta, Utc};

use crate::failure::{Failure, FailureKind};
use crate::settings::Span;
use crate::window::Window;

/// How far a run looks back over the last one's end: Falcon enriches about an hour late, Carbon Black
/// updates for a quarter of an hour, and what is read twice is sent once.
const OVERLAP: TimeDelta = TimeDelta::hours(2);
/// A night that begins this much late is no catching up yet.
const USUAL_DELAY: TimeDelta = TimeDelta::hours(1);

/// A window, and what is special about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub window: Window,
    /// What the summary says about it.
    pub note: Option<String>,
    /// Whether what lies between the checkpoint and the window is given up on, because it is older than
    /// the limit for catching up.
    pub gap_accepted: bool,
    /// Whether this window may begin the checkpoint's history.
    pub may_found_checkpoint: bool,
}

/// Whether the span that was asked for can be read at all.
///
/// # Errors
/// When an exact span is empty or ends in the future.
pub(super) fn check(span: Span, now: DateTime<Utc>) -> Result<(), Failure> {
    match span {
        Span::Exact { since, until } => exact(since, until, now).map(|_| ()),
        Span::Hours(_) => Ok(()),
    }
}

/// Chooses the window.
///
/// # Errors
/// When an exact span is empty or begins in the future.
pub(super) fn choose(
    span: Span,
    checkpoint: Option<DateTime<Utc>>,
    max_catch_up: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Choice, Failure> {
    match span {
        Span::Exact { since, until } => exact(since, until, now),
        Span::Hours(hours) => {
            Ok(scheduled(TimeDelta::hours(hours.into()), checkpoint, max_catch_up, now))
        }
    }
}

fn exact(
    since: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<Choice, Failure> {
    let end = until.unwrap_or(now);
    let wrong = |what: &str| {
        Err(Failure::new(
            FailureKind::Configuration,
            what,
            "Give --since a time before --until, and neither in the future; for example --since 2026-11-20T00:00:00Z --until 2026-11-21T00:00:00Z.",
        ))
    };
    if end > now {
        return wrong("--until is in the future");
    }
    if since >= end {
        return wrong(if until.is_some() {
            "--since is not before --until"
        } else {
            "--since is in the future"
        });
    }
    Ok(Choice {
        window: Window { start: since, end },
        note: None,
        gap_accepted: false,
        may_found_checkpoint: until.is_none(),
    })
}

fn scheduled(
    span: TimeDelta,
    checkpoint: Option<DateTime<Utc>>,
    max_catch_up: TimeDelta,
    now: DateTime<Utc>,
) -> Choice {
    let asked = now - span;
    let wanted = checkpoint.map_or(asked, |checkpoint| asked.min(checkpoint - OVERLAP));
    let start = wanted.max(asked.min(now - max_catch_up));
    let late = checkpoint.filter(|checkpoint| *checkpoint < asked - USUAL_DELAY);
    let gap = checkpoint.filter(|checkpoint| *checkpoint < start);
    let note = match (late, gap) {
        (_, Some(checkpoint)) => Some(format!(
            "nothing was read since {}, longer ago than --max-catch-up allows: what lies between then and {} is NOT read; read it with --since {} --until {}",
            second(checkpoint),
            second(start),
            second(checkpoint),
            second(start)
        )),
        (Some(checkpoint), None) => Some(format!(
            "catching up: the last complete reading ended {}, so this one begins {}",
            second(checkpoint),
            second(start)
        )),
        (None, None) => None,
    };
    Choice {
        window: Window { start, end: now },
        note,
        gap_accepted: gap.is_some(),
        may_found_checkpoint: true,
    }
}

fn second(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn window(checkpoint: Option<&str>, hours: u32) -> Choice {
        let now = at("2026-11-22T00:15:00Z");
        choose(Span::Hours(hours), checkpoint.map(at), TimeDelta::days(30), now).unwrap()
    }

    #[test]
    fn the_first_run_reads_the_hours() {
        let choice = window(None, 24);
        assert_eq!(choice.window.start, at("2026-11-21T00:15:00Z"));
        assert_eq!(choice.note, None);
    }

    #[test]
    fn the_next_night_looks_two_hours_over_the_last_end() {
        let choice = window(Some("2026-11-21T00:15:00Z"), 24);
        assert_eq!(choice.window.start, at("2026-11-20T22:15:00Z"));
        assert_eq!(choice.note, None);
    }

    #[test]
    fn missed_nights_are_caught_up_with_a_note() {
        let choice = window(Some("2026-11-18T00:15:00Z"), 24);
        assert_eq!(choice.window.start, at("2026-11-17T22:15:00Z"));
        assert!(choice.note.unwrap().starts_with("catching up"));
        assert!(!choice.gap_accepted);
    }

    #[test]
    fn catching_up_has_a_limit_that_is_told() {
        let choice = window(Some("2026-09-01T00:15:00Z"), 24);
        assert_eq!(choice.window.start, at("2026-10-23T00:15:00Z"));
        assert!(choice.note.unwrap().contains("NOT read"));
        assert!(choice.gap_accepted);
    }

    #[test]
    fn hours_asked_for_are_not_cut_by_the_limit() {
        assert_eq!(window(None, 8760).window.start, at("2025-11-22T00:15:00Z"));
    }

    #[test]
    fn a_clock_that_went_back_reads_the_hours() {
        assert_eq!(
            window(Some("2026-11-25T00:15:00Z"), 24).window.start,
            at("2026-11-21T00:15:00Z")
        );
    }

    #[test]
    fn exact_spans_are_checked() {
        let now = at("2026-11-22T00:15:00Z");
        let span = |since: &str, until: Option<&str>| {
            choose(
                Span::Exact { since: at(since), until: until.map(at) },
                None,
                TimeDelta::days(30),
                now,
            )
        };
        assert!(span("2026-11-20T00:00:00Z", Some("2026-11-21T00:00:00Z")).is_ok());
        assert!(span("2026-11-21T00:00:00Z", Some("2026-11-21T00:00:00Z")).is_err());
        assert!(span("2026-11-21T00:00:00Z", Some("2026-11-23T00:00:00Z")).is_err());
        assert!(span("2026-11-23T00:00:00Z", None).is_err());
    }
}
