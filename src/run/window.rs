//! Which window a run fetches: the requested span, and what earlier runs missed.

use chrono::{DateTime, TimeDelta, Utc};

use crate::failure::{Failure, FailureKind};
use crate::settings::{PointInTime, RequestedSpan};
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
    /// Every alert of the window before this instant was fetched: the window's start at first.
    pub complete_until: DateTime<Utc>,
    /// A note about the window for the summary.
    pub note: Option<String>,
    /// The span that is not read because it is older than the limit for catching up: from the
    /// overlap before the checkpoint to the window.
    pub gap: Option<Window>,
    /// Whether this window may set the first checkpoint.
    pub may_init_checkpoint: bool,
}

impl WindowPlan {
    const fn new(window: Window) -> Self {
        Self {
            window,
            complete_until: window.start,
            note: None,
            gap: None,
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

/// Chooses the window. `fetched` is what earlier runs read, from the start of the first window to
/// the checkpoint; `None` before the first run.
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
    since: PointInTime,
    until: Option<PointInTime>,
    now: DateTime<Utc>,
) -> Result<WindowPlan, Failure> {
    let start = since.at(now);
    let end = until.map_or(now, |until| until.at(now));
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
    if start >= end {
        return invalid(if until.is_some() {
            "--since is not before --until"
        } else {
            "--since is in the future"
        });
    }
    let note = [Some(("--since", since)), until.map(|until| ("--until", until))]
        .into_iter()
        .flatten()
        .filter(|(_, point)| !point.is_explicit())
        .map(|(option, point)| format!("{option} is {}", format_seconds(point.at(now))))
        .reduce(|since, until| format!("{since}, {until}"));
    let plan = WindowPlan::new(Window { start, end });
    Ok(WindowPlan { note, may_init_checkpoint: until.is_none(), ..plan })
}

/// Returns the last `span`, extended back to the checkpoint and the overlap before it, but not to
/// more than `max_catch_up` before now, apart from a usual delay and the overlap.
fn catch_up_window(
    span: TimeDelta,
    fetched: Option<Window>,
    max_catch_up: TimeDelta,
    now: DateTime<Utc>,
) -> WindowPlan {
    let requested = now - span;
    let checkpoint = fetched.map(|fetched| fetched.end);
    // The overlap covers what was fetched, not alerts that are older than any run requested.
    let overlap = fetched.map(|fetched| fetched.start.max(fetched.end - OVERLAP));
    let wanted = overlap.map_or(requested, |overlap| requested.min(overlap));
    let limit = now - max_catch_up;
    // A run that is a little late leaves no gap: the checkpoint, and the overlap before it, may be
    // a little beyond the limit.
    let is_in_reach = checkpoint.is_none_or(|checkpoint| checkpoint >= limit - USUAL_DELAY);
    let start = if is_in_reach { wanted } else { requested.min(limit) };
    let late = checkpoint.filter(|checkpoint| *checkpoint < requested - USUAL_DELAY);
    // The gap begins with the overlap before the checkpoint: alerts that came late into it were not
    // read either.
    let gap = checkpoint
        .filter(|checkpoint| *checkpoint < start)
        .map(|_| Window { start: wanted.min(start), end: start });
    let note = late.filter(|_| gap.is_none()).map(|checkpoint| {
        format!(
            "catching up: earlier runs read up to {}, so this one reads from {}",
            format_seconds(checkpoint),
            format_seconds(start)
        )
    });
    WindowPlan { note, gap, ..WindowPlan::new(Window { start, end: now }) }
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
        // The first run read nothing; it read the first hour of its window; it was complete.
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
        assert_eq!(plan.gap, None);
    }

    #[test]
    fn a_skipped_gap_is_reported() {
        let plan = window(Some("2026-09-01T00:15:00Z"), 24);
        assert_eq!(plan.window.start, at("2026-10-23T00:15:00Z"));
        let gap = Window { start: at("2026-08-31T22:15:00Z"), end: plan.window.start };
        assert_eq!((plan.gap, plan.note), (Some(gap), None));
    }

    #[test]
    fn a_run_that_is_a_little_late_leaves_no_gap_at_the_limit() {
        let now = at("2026-11-22T00:15:00Z");
        for (checkpoint, start, has_gap) in [
            ("2026-11-21T00:14:58Z", "2026-11-20T22:14:58Z", false),
            ("2026-11-20T23:15:00Z", "2026-11-20T21:15:00Z", false),
            ("2026-11-20T23:14:59Z", "2026-11-21T00:15:00Z", true),
        ] {
            let fetched = Window { start: at("2026-08-01T00:00:00Z"), end: at(checkpoint) };
            let span = RequestedSpan::Hours(24);
            let plan = choose(span, Some(fetched), TimeDelta::days(1), now).unwrap();
            assert_eq!((plan.window.start, plan.gap.is_some()), (at(start), has_gap));
        }
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
            let point = |text| PointInTime::Instant(at(text));
            choose(
                RequestedSpan::Exact { since: point(since), until: until.map(point) },
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

    #[test]
    fn what_a_person_typed_is_said_back_as_an_instant() {
        let now = at("2026-11-22T00:15:00Z");
        let plan = |since, until| {
            let span = RequestedSpan::Exact { since, until };
            choose(span, None, TimeDelta::days(30), now).unwrap()
        };
        let week = PointInTime::Ago(TimeDelta::days(7));
        let today = PointInTime::DaysBeforeToday(0);
        let week_ago = plan(week, None);
        assert_eq!(week_ago.window.start, at("2026-11-15T00:15:00Z"));
        assert_eq!(week_ago.note.as_deref(), Some("--since is 2026-11-15T00:15:00Z"));
        assert_eq!(
            plan(week, Some(today)).note.as_deref(),
            Some("--since is 2026-11-15T00:15:00Z, --until is 2026-11-22T00:00:00Z")
        );
        let explicit = PointInTime::Instant(at("2026-11-20T00:00:00Z"));
        assert_eq!(plan(explicit, None).note, None);
    }
}
