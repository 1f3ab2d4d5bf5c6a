//! Which window a run fetches: the requested span, and what earlier runs missed.

use chrono::{DateTime, TimeDelta, Utc};

use crate::failure::{Failure, FailureKind};
use crate::settings::RequestedSpan;
use crate::window::Window;

/// How far a run looks back behind the checkpoint: Falcon enriches alerts about an hour late,
/// Carbon Black updates them for a quarter of an hour. What is fetched twice is sent once.
const OVERLAP: TimeDelta = TimeDelta::hours(2);
/// A run this late is not reported as catching up.
const USUAL_DELAY: TimeDelta = TimeDelta::hours(1);

/// The window of a run, and how far it was fetched.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WindowPlan {
    pub window: Window,
    /// Every alert of the window before this instant was fetched; its start until then.
    pub complete_until: DateTime<Utc>,
    /// What the summary says about the window.
    pub note: Option<String>,
    /// Whether the span between the checkpoint and the window is skipped, because it is older than
    /// the limit for catching up.
    pub gap_skipped: bool,
    /// Whether this window may set the first checkpoint.
    pub may_init_checkpoint: bool,
}

impl WindowPlan {
    const fn new(window: Window) -> Self {
        Self {
            window,
            complete_until: window.start,
            note: None,
            gap_skipped: false,
            may_init_checkpoint: true,
        }
    }
}

/// Checks that the requested span can be fetched at all, by this machine's clock.
///
/// # Errors
/// When an exact span is empty or ends in the future.
pub(super) fn check(span: RequestedSpan, now: DateTime<Utc>) -> Result<(), Failure> {
    match span {
        RequestedSpan::Exact { since, until } => exact(since, until, now).map(|_| ()),
        RequestedSpan::Hours(_) => Ok(()),
    }
}

/// Chooses the window.
///
/// # Errors
/// When an exact span is empty or ends in the future.
pub(super) fn choose(
    span: RequestedSpan,
    fetched: Option<Window>,
    max_catch_up: TimeDelta,
    now: DateTime<Utc>,
) -> Result<WindowPlan, Failure> {
    match span {
        RequestedSpan::Exact { since, until } => exact(since, until, now),
        RequestedSpan::Hours(hours) => {
            let span = TimeDelta::hours(hours.into());
            Ok(catch_up_window(span, fetched, max_catch_up, now))
        }
    }
}

fn exact(
    since: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<WindowPlan, Failure> {
    let end = until.unwrap_or(now);
    let invalid = |what: &str| {
        Err(Failure::new(
            FailureKind::Configuration,
            what,
            "Give --since a time before --until, and neither in the future (check this machine's clock); for example --since 2026-11-20T00:00:00Z --until 2026-11-21T00:00:00Z.",
        ))
    };
    if end > now {
        return invalid("--until is in the future");
    }
    if since >= end {
        return invalid(if until.is_some() {
            "--since is not before --until"
        } else {
            "--since is in the future"
        });
    }
    let plan = WindowPlan::new(Window { start: since, end });
    Ok(WindowPlan { may_init_checkpoint: until.is_none(), ..plan })
}

/// Extends the last `span` back to the checkpoint, at most by `max_catch_up`.
fn catch_up_window(
    span: TimeDelta,
    fetched: Option<Window>,
    max_catch_up: TimeDelta,
    now: DateTime<Utc>,
) -> WindowPlan {
    let requested = now - span;
    let checkpoint = fetched.map(|fetched| fetched.end);
    // The overlap covers what was fetched, not alerts that are older than any run asked for.
    let overlap = fetched.map(|fetched| fetched.start.max(fetched.end - OVERLAP));
    let wanted = overlap.map_or(requested, |overlap| requested.min(overlap));
    let start = wanted.max(requested.min(now - max_catch_up));
    let late = checkpoint.filter(|checkpoint| *checkpoint < requested - USUAL_DELAY);
    let gap = checkpoint.filter(|checkpoint| *checkpoint < start);
    let note = match (late, gap) {
        (_, Some(checkpoint)) => {
            let (from, until) = (format_seconds(checkpoint), format_seconds(start));
            Some(format!(
                "gap: alerts from {from} to {until} were not read (older than --max-catch-up {} days); read them with --since {from} --until {until}",
                max_catch_up.num_days()
            ))
        }
        (Some(checkpoint), None) => Some(format!(
            "catching up: the last complete run ended at {}, so this one starts at {}",
            format_seconds(checkpoint),
            format_seconds(start)
        )),
        (None, None) => None,
    };
    let plan = WindowPlan::new(Window { start, end: now });
    WindowPlan { note, gap_skipped: gap.is_some(), ..plan }
}

pub(super) fn format_seconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn window(checkpoint: Option<&str>, hours: u32) -> WindowPlan {
        window_after(
            checkpoint.map(|end| Window { start: at("2026-08-01T00:00:00Z"), end: at(end) }),
            hours,
        )
    }

    fn window_after(fetched: Option<Window>, hours: u32) -> WindowPlan {
        let now = at("2026-11-22T00:15:00Z");
        choose(RequestedSpan::Hours(hours), fetched, TimeDelta::days(30), now).unwrap()
    }

    #[test]
    fn the_overlap_does_not_reach_before_the_first_window() {
        let start = at("2026-11-20T23:15:00Z");
        // The first run failed; it failed after an hour; it was complete.
        for (end, expected) in [
            ("2026-11-20T23:15:00Z", "2026-11-20T23:15:00Z"),
            ("2026-11-21T00:15:00Z", "2026-11-20T23:15:00Z"),
            ("2026-11-21T23:15:00Z", "2026-11-21T00:15:00Z"),
        ] {
            let plan = window_after(Some(Window { start, end: at(end) }), 24);
            assert_eq!(plan.window.start, at(expected), "{end}");
        }
    }

    #[test]
    fn the_first_run_fetches_the_requested_hours() {
        let plan = window(None, 24);
        assert_eq!(plan.window.start, at("2026-11-21T00:15:00Z"));
        assert_eq!(plan.note, None);
    }

    #[test]
    fn the_next_run_starts_two_hours_before_the_checkpoint() {
        let plan = window(Some("2026-11-21T00:15:00Z"), 24);
        assert_eq!(plan.window.start, at("2026-11-20T22:15:00Z"));
        assert_eq!(plan.note, None);
    }

    #[test]
    fn missed_runs_are_caught_up_with_a_note() {
        let plan = window(Some("2026-11-18T00:15:00Z"), 24);
        assert_eq!(plan.window.start, at("2026-11-17T22:15:00Z"));
        assert!(plan.note.unwrap().starts_with("catching up"));
        assert!(!plan.gap_skipped);
    }

    #[test]
    fn a_skipped_gap_is_reported() {
        let plan = window(Some("2026-09-01T00:15:00Z"), 24);
        assert_eq!(plan.window.start, at("2026-10-23T00:15:00Z"));
        assert!(plan.note.unwrap().contains("were not read"));
        assert!(plan.gap_skipped);
    }

    #[test]
    fn the_catch_up_limit_does_not_shorten_the_requested_hours() {
        assert_eq!(window(None, 8760).window.start, at("2025-11-22T00:15:00Z"));
    }

    #[test]
    fn a_checkpoint_in_the_future_is_ignored() {
        assert_eq!(
            window(Some("2026-11-25T00:15:00Z"), 24).window.start,
            at("2026-11-21T00:15:00Z")
        );
    }

    #[test]
    fn an_exact_span_must_not_be_empty_or_in_the_future() {
        let now = at("2026-11-22T00:15:00Z");
        let span = |since: &str, until: Option<&str>| {
            choose(
                RequestedSpan::Exact { since: at(since), until: until.map(at) },
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
