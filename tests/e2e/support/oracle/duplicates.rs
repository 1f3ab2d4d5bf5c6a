//! Decides when a later run may store an item a second time: if the searches of that run, or of a
//! run in between, could not show that an earlier run stored it.

use chrono::{DateTime, TimeDelta, Utc};
use sandbox::world::SearchWorld;
use sandbox::{Fault, RecordedRequest, Sandbox, Service, StoredItem};
use serde_json::Value;

use super::{Mention, mention_of};

/// A batch in doubt is sent again if searches fail for this long.
const MAX_WAIT: TimeDelta = TimeDelta::days(2);
/// A search is given up after its result was read this many times, and its pages did not add up to
/// the total that they state.
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
    /// Whether the run knew the time of its start to within a day, from its own clock or from the
    /// `Date` header of a service.
    pub clock_is_right: bool,
}

/// The record of a sandbox, divided by runs.
pub(super) struct Record<'a> {
    pub(super) runs: &'a [PastRun],
    pub(super) stored: &'a [StoredItem],
    pub(super) requests: &'a [RecordedRequest],
    pub(super) search: SearchWorld,
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

    /// Asserts that a later run stores an item again only if the searches of that run could not
    /// find the item, or those of a run in between: such a run queued the item again as not sent.
    #[track_caller]
    pub(super) fn assert_searched(&self, first: &StoredItem, again: &StoredItem) {
        let Some(run) = self.run_of(again.request) else { return };
        if first.request >= run.first_request {
            return;
        }
        let later = |one: &&PastRun| {
            one.first_request > first.request && one.first_request <= again.request
        };
        let is_excused = self.runs.iter().filter(later).any(|run| {
            let searches = self.searches(run, again.request);
            self.is_hidden(first, run)
                || self.is_given_up(&searches)
                || self.has_waited_too_long(
                    &self.attempts(&mention_of(&first.item), run.first_request),
                    run,
                    &searches,
                )
        });
        assert!(
            is_excused,
            "{:?} was stored by request {} and again by request {} of a later run ({run:?}), which searched: {:?}",
            mention_of(&first.item),
            first.request,
            again.request,
            self.searches(run, again.request),
        );
    }

    /// Returns the searches of a run, up to this request.
    fn searches(&self, run: &PastRun, until: usize) -> Vec<&RecordedRequest> {
        let next = self.runs.iter().find(|next| next.first_request > run.first_request);
        let end = next.map_or(until, |next| next.first_request.min(until));
        let requests = self.requests[run.first_request..end].iter();
        requests.filter(|request| request.service == Some(Service::Search)).collect()
    }

    /// Whether no search of a run can show the item: the token may not search, the item cannot be
    /// found yet, or the search has one row per indicator, and that row has another alert.
    fn is_hidden(&self, item: &StoredItem, run: &PastRun) -> bool {
        let first_of_value = || {
            let mut of_value = self.stored.iter().filter(|other| {
                ["type", "value"].iter().all(|key| other.item["ioc"][key] == item.item["ioc"][key])
            });
            of_value.next().map(|first| mention_of(&first.item))
        };
        !self.search.is_allowed
            || item.stored_at + self.search.lag > run.now
            || self.search.merges_repeats && first_of_value() != Some(mention_of(&item.item))
    }

    /// Whether a search was refused, or its pages may have had fewer rows than the stated total.
    fn is_given_up(&self, searches: &[&RecordedRequest]) -> bool {
        let is_refused = |status| !matches!(status, 200 | 401 | 408 | 425 | 429 | 500..);
        let are_refused = searches.iter().filter_map(|request| request.status).any(is_refused);
        let has_fault = |faults: &[Fault]| {
            searches.iter().filter(|request| faults.contains(&request.fault)).count()
        };
        let hiding = has_fault(&[Fault::RepeatedPage, Fault::LoopingPage, Fault::EmptyPage]);
        let uncounted = has_fault(&[Fault::WithoutPagination]);
        let has_counts = self.search.has_counts && uncounted == 0;
        are_refused || hiding + uncounted >= MAX_READS || hiding > 0 && !has_counts
    }

    /// Whether a search failed, and the batch was in doubt for so long that the run sends it again
    /// without a search. With a wrong clock it may have been.
    fn has_waited_too_long(
        &self,
        attempts: &[(usize, &RecordedRequest)],
        run: &PastRun,
        searches: &[&RecordedRequest],
    ) -> bool {
        let succeeded = |request: &&RecordedRequest| {
            let is_not_json =
                matches!(request.fault, Fault::Html | Fault::HtmlAfterProcessing | Fault::Empty200);
            request.status == Some(200) && request.complete && !is_not_json
        };
        let begun = attempts.last().and_then(|(number, _)| self.run_of(*number));
        let is_too_old = |begun: &PastRun| {
            let is_known = begun.clock_is_right && run.clock_is_right;
            !is_known || run.now - begun.now + RUN_TIME >= MAX_WAIT
        };
        !searches.iter().all(succeeded) && begun.is_none_or(is_too_old)
    }

    /// Returns the requests before request `until` that submitted the item, with their numbers.
    fn attempts(&self, mention: &Mention, until: usize) -> Vec<(usize, &RecordedRequest)> {
        let requests = self.requests.iter().enumerate().take(until);
        requests.filter(|(_, request)| submits(request, mention)).collect()
    }
}

/// Whether a request submits the item of a mention.
fn submits(request: &RecordedRequest, mention: &Mention) -> bool {
    let body = (request.service == Some(Service::RecordedFuture)).then(|| request.json()).flatten();
    let items = body.as_ref().and_then(|body| body["data"].as_array());
    items.is_some_and(|items: &Vec<Value>| items.iter().any(|item| mention_of(item) == *mention))
}
