//! Decides when a later run may store an item a second time: only where no search could show it
//! that an earlier run stored the item.

use chrono::{DateTime, TimeDelta, Utc};
use sandbox::world::SearchWorld;
use sandbox::{Fault, RecordedRequest, Sandbox, Service, StoredItem};

use super::super::json::text;
use super::Mention;
use super::requests::submits;

/// If searches fail for this long, a batch in doubt is sent again without one.
const MAX_WAIT: TimeDelta = TimeDelta::days(2);
/// A search whose pages have fewer rows than the total that they state is given up after this many
/// readings.
const MAX_READS: usize = 3;
/// A time longer than any run.
const RUN_TIME: TimeDelta = TimeDelta::minutes(5);

/// A run of the past.
#[derive(Debug, Clone, Copy)]
pub struct PastRun {
    /// How many requests there were before it.
    pub first_request: usize,
    /// When it started, by the clock of the services.
    pub now: DateTime<Utc>,
    /// Whether neither its own clock nor the `Date` header of a service is wrong by a day or more.
    pub clock_is_right: bool,
    /// Whether the responses of the vendor have a `Date` header with a plausible time, which
    /// confirms or corrects the clock of the run.
    pub vendor_states_date: bool,
    /// The same for Recorded Future.
    pub recorded_future_states_date: bool,
}

impl PastRun {
    /// Creates a run at which all clocks are right.
    pub const fn new(first_request: usize, now: DateTime<Utc>) -> Self {
        Self {
            first_request,
            now,
            clock_is_right: true,
            vendor_states_date: true,
            recorded_future_states_date: true,
        }
    }
}

/// The record of a sandbox, and the runs that it is of.
pub(super) struct Record<'a> {
    pub(super) runs: &'a [PastRun],
    pub(super) stored: &'a [StoredItem],
    pub(super) requests: &'a [RecordedRequest],
    search: SearchWorld,
}

impl<'a> Record<'a> {
    pub(super) fn new(
        sandbox: &Sandbox,
        runs: &'a [PastRun],
        stored: &'a [StoredItem],
        requests: &'a [RecordedRequest],
    ) -> Self {
        let search = sandbox.change(|world| world.recorded_future.search.clone());
        Self { runs, stored, requests, search }
    }

    /// Returns the run that a request belongs to; `None` if the runs are not known.
    fn run_of(&self, request: usize) -> Option<&PastRun> {
        self.runs.iter().rfind(|run| run.first_request <= request)
    }

    /// Asserts that an item that earlier runs stored is stored again only if the searches for it of
    /// this run, or of a run since the last copy, could not find it. Such a run queued it again.
    #[track_caller]
    pub(super) fn assert_may_repeat(&self, earlier: &[&StoredItem], again: &StoredItem) {
        let (Some(run), Some(last)) = (self.run_of(again.request), earlier.last()) else { return };
        if last.request >= run.first_request {
            return;
        }
        let mention = Mention::of(&again.item);
        let mut searching_runs = self.runs.iter().enumerate().filter_map(|(index, run)| {
            let end = self.runs.get(index + 1).map_or(usize::MAX, |next| next.first_request);
            let requests = self.requests.get(run.first_request..end.min(again.request))?;
            let searches: Vec<_> = requests.iter().filter(|one| searches_for(one, again)).collect();
            let is_since = run.first_request > last.request && !searches.is_empty();
            is_since.then_some((run, requests, searches))
        });
        let is_excused = searching_runs.any(|(run, requests, searches)| {
            earlier.iter().all(|copy| self.is_hidden(copy, run))
                || self.is_given_up(&searches)
                || self.has_waited_too_long(&mention, run, requests, &searches)
        });
        assert!(
            is_excused,
            "{mention:?} was stored by request {} and again by request {} of a later run ({run:?})",
            last.request, again.request,
        );
    }

    /// Whether no search of a run can show the item: the token may not search, the item cannot be
    /// found yet, or the search has one row per indicator, and that row has another alert.
    fn is_hidden(&self, item: &StoredItem, run: &PastRun) -> bool {
        let first_of_value = || {
            let mut of_value = self.stored.iter().filter(|other| {
                ["type", "value"].iter().all(|key| other.item["ioc"][key] == item.item["ioc"][key])
            });
            of_value.next().map(|first| Mention::of(&first.item))
        };
        !self.search.is_allowed
            || item.stored_at + self.search.lag > run.now
            || self.search.merges_repeats && first_of_value() != Some(Mention::of(&item.item))
    }

    /// Whether a search was refused, or its pages may have lacked rows: more often than it is read
    /// again, or without a total that shows it.
    fn is_given_up(&self, searches: &[&RecordedRequest]) -> bool {
        let is_refusal = |status| !matches!(status, 200 | 401 | 408 | 425 | 429 | 500..);
        let is_refused = searches.iter().filter_map(|request| request.status).any(is_refusal);
        let count_faults = |faults: &[Fault]| {
            searches.iter().filter(|request| faults.contains(&request.fault)).count()
        };
        let hiding = count_faults(&[Fault::RepeatedPage, Fault::LoopingPage, Fault::EmptyPage]);
        let uncounted = count_faults(&[Fault::WithoutPagination]);
        let has_counts = self.search.has_counts && uncounted == 0;
        is_refused || hiding + uncounted >= MAX_READS || hiding > 0 && !has_counts
    }

    /// Whether a search failed, and the run may have known that the batch was in doubt for so long
    /// that it is sent again without a search. By which clock the doubt began is not known where
    /// that of the earlier run was wrong.
    fn has_waited_too_long(
        &self,
        mention: &Mention,
        run: &PastRun,
        requests: &[RecordedRequest],
        searches: &[&RecordedRequest],
    ) -> bool {
        let is_too_old = |begun: &PastRun| {
            let is_known = begun.clock_is_right && run.clock_is_right;
            !is_known || run.now - begun.now + RUN_TIME >= MAX_WAIT
        };
        let last_attempt =
            self.requests[..run.first_request].iter().rposition(|one| submits(one, mention));
        !searches.iter().all(|search| has_succeeded(search))
            && confirms_clock(run, requests)
            && last_attempt.and_then(|request| self.run_of(request)).is_none_or(is_too_old)
    }
}

/// Whether a request searches a span of time with the detection of this item.
fn searches_for(request: &RecordedRequest, stored: &StoredItem) -> bool {
    let detected_at: DateTime<Utc> = text(&stored.item, "/timestamp").parse().unwrap();
    let body = (request.service == Some(Service::Search)).then(|| request.json()).flatten();
    body.is_some_and(|body| {
        let time = |end| -> DateTime<Utc> {
            text(&body, &format!("/filters/detection_time/{end}")).parse().unwrap()
        };
        (time("from")..=time("to")).contains(&detected_at)
    })
}

/// Whether the whole response to a search arrived.
fn has_succeeded(search: &RecordedRequest) -> bool {
    let is_not_json =
        matches!(search.fault, Fault::Html | Fault::HtmlAfterProcessing | Fault::Empty200);
    search.status == Some(200) && search.complete && !is_not_json
}

/// Whether a response to one of these requests of a run may have confirmed or corrected its clock.
fn confirms_clock(run: &PastRun, requests: &[RecordedRequest]) -> bool {
    let states_date = |request: &RecordedRequest| match request.service {
        Some(Service::RecordedFuture | Service::Search) => run.recorded_future_states_date,
        _ => run.vendor_states_date,
    };
    requests.iter().any(|request| request.status.is_some() && states_date(request))
}
