//! Falcon's search for alerts, one page per request: `POST /alerts/combined/alerts/v1`

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::sign_in::authorize;
use super::{
    FalconKeys, FalconState, POWERED_BY_ALERTS, SortedIndices, error_response, random_hex,
    trace_id, with_headers, wrong_method,
};
use crate::alert_store::{Alert, SearchKeys, join};
use crate::faults::Fault;
use crate::fql::{Filter, Interval};
use crate::handler::{Request, Response};
use crate::world::{FalconWorld, MissingValue};

const MAX_LIMIT: u64 = 1000;
const DEFAULT_LIMIT: u64 = 100;
const DEFAULT_SORT: &str = "created_timestamp|desc";

/// The parameters of a request for a page.
#[derive(Debug, Clone, PartialEq)]
struct Query {
    /// Which alerts to find, and in which order.
    search: SearchTerms,
    limit: u64,
    after: Option<String>,
}

/// The parameters that decide what a search finds.
#[derive(Debug, Clone, PartialEq)]
struct SearchTerms {
    filter: Option<String>,
    sort: String,
    /// The child account that the access token is limited to.
    member_cid: Option<String>,
}

/// What an `after` token leads to: a position in the result of one search.
#[derive(Debug)]
pub(super) struct PageToken {
    search: SearchTerms,
    /// The token is valid until a test invalidates all, which increases the epoch of the world.
    epoch: u64,
    /// The alert after which the page begins: its keys and its index in the store.
    position: (Option<FalconKeys>, usize),
}

/// How many searches are cached. A client requests up to 32 time slices concurrently, then their
/// next pages.
const MAX_CACHED_SEARCHES: usize = 40;

/// The result of a search, cached for its next page.
#[derive(Debug)]
pub(super) struct CachedSearch {
    search: SearchTerms,
    revision: u64,
    gt_includes_equal: bool,
    found: SortedIndices,
}

/// All alerts in the order of creation, so that a search looks only at those in the time range of
/// its filter.
#[derive(Debug)]
pub(super) struct CreatedIndex {
    revision: u64,
    /// In the order of [`BY_CREATION`]: the alerts without a creation date come last.
    sorted: Vec<usize>,
    /// How many of them have a creation date.
    dated: usize,
}

impl CreatedIndex {
    fn new(world: &FalconWorld) -> Self {
        let alerts = world.alerts.alerts();
        let mut sorted: Vec<usize> = (0..alerts.len()).collect();
        BY_CREATION.sort(alerts, &mut sorted);
        let dated = sorted.partition_point(|&at| created(&alerts[at]).is_some());
        Self { revision: world.alerts.revision(), sorted, dated }
    }

    /// Returns the alerts that were created in an interval, and those without a creation date.
    fn candidates(
        &self,
        alerts: &[Alert<FalconKeys>],
        Interval { first, last }: Interval,
    ) -> impl Iterator<Item = usize> {
        let (dated, undated) = self.sorted.split_at(self.dated);
        let begin = dated.partition_point(|&at| created(&alerts[at]) < first);
        let in_time = &dated[begin..];
        let end = in_time.partition_point(|&at| last.is_none() || created(&alerts[at]) <= last);
        in_time[..end].iter().chain(undated).copied()
    }
}

fn created(alert: &Alert<FalconKeys>) -> Option<DateTime<Utc>> {
    alert.keys.as_ref()?.created
}

/// The message of a 400 as the service writes it, and the exact reason.
type BadRequest = (&'static str, String);

/// The reason of a rejected token that was valid before.
const EXPIRED: &str = "expired";

/// Returns one page of alerts.
pub(crate) fn alerts(
    world: &FalconWorld,
    state: &mut FalconState,
    request: &Request<'_>,
    fault: &Fault,
) -> Response {
    if request.method != "POST" {
        return wrong_method(world);
    }
    let member_cid = match authorize(world, state, request) {
        Ok(member_cid) => member_cid,
        Err(response) => return response,
    };
    if !request.is_content_type("application/json") {
        return error_response(
            world,
            415,
            POWERED_BY_ALERTS,
            "unsupported media type",
            "Content-Type must be application/json",
        );
    }
    match page(world, state, member_cid, request.body, fault) {
        Ok(response) => response,
        Err((_, reason)) if reason == EXPIRED && world.expired_token_in_body => {
            expired_context(world)
        }
        Err((message, reason)) => error_response(world, 400, POWERED_BY_ALERTS, message, &reason),
    }
}

fn page(
    world: &FalconWorld,
    state: &mut FalconState,
    member_cid: Option<String>,
    body: &[u8],
    fault: &Fault,
) -> Result<Response, BadRequest> {
    let query = Query::parse(body, member_cid)?;
    let sort = Sort::parse(&query.search.sort)?;
    let filter = match &query.search.filter {
        Some(text) => Some(
            Filter::parse(text).map_err(|reason| ("invalid query filter in request", reason))?,
        ),
        None => None,
    };
    let found = search(world, state, &query.search, sort, filter.as_ref());
    let begin = match &query.after {
        Some(token) => sort.index_after(world, &found, position_of(world, state, &query, token)?),
        None => 0,
    };
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let limit = limit.min(world.max_page_size);
    let end = found.len().min(begin.saturating_add(limit));
    let is_later = query.after.is_some();
    // The rows of this page, and the row after which the next one begins.
    let (rows, next) = match fault {
        Fault::RepeatedPage if is_later => (begin.saturating_sub(limit)..begin, end),
        Fault::LoopingPage if is_later => (begin.saturating_sub(limit)..begin, begin),
        _ => (begin..end, end),
    };
    let page = &found[rows];
    let more = next < found.len() || (world.after_on_last_page && !page.is_empty());
    let last = next.checked_sub(1).filter(|_| more && !page.is_empty());
    let after = last.map(|last| {
        let (token, last) = (random_hex(), found[last]);
        let position = (world.alerts.alerts()[last].keys.clone(), last);
        let (search, epoch) = (query.search.clone(), world.page_token_epoch);
        state.page_tokens.insert(token.clone(), PageToken { search, epoch, position });
        token
    });
    let paging = |total: usize, after| {
        Some(Paging { total: total.min(world.max_total), limit: query.limit, after })
    };
    Ok(match fault {
        Fault::WithoutPagination => render(world, page, None),
        Fault::EmptyPage if is_later => render(world, &[], paging(0, None)),
        _ => render(world, page, paging(found.len(), after)),
    })
}

impl Query {
    fn parse(body: &[u8], member_cid: Option<String>) -> Result<Self, BadRequest> {
        let invalid = |reason: String| ("invalid request body", reason);
        let body: Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))?;
        let search = SearchTerms { filter: None, sort: DEFAULT_SORT.into(), member_cid };
        let mut query = Self { search, limit: DEFAULT_LIMIT, after: None };
        for (key, value) in body {
            let text = |value: &Value| match value.as_str() {
                Some(text) if !text.is_empty() => Ok(text.to_owned()),
                _ => Err(invalid(format!("{key} must be a non-empty string"))),
            };
            match key.as_str() {
                "filter" => query.search.filter = Some(text(&value)?),
                "sort" => query.search.sort = text(&value)?,
                "after" => query.after = Some(text(&value)?),
                "limit" => query.limit = limit(&value)?,
                _ => return Err(invalid(format!("unknown key {key:?}"))),
            }
        }
        Ok(query)
    }
}

fn limit(value: &Value) -> Result<u64, BadRequest> {
    let fits = value.as_u64().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    fits.ok_or_else(|| {
        ("limit must be greater than 0 and less than or equal to 1000", format!("limit is {value}"))
    })
}

/// Returns the position of an `after` token, if the token is valid for this query.
fn position_of(
    world: &FalconWorld,
    state: &FalconState,
    query: &Query,
    token: &str,
) -> Result<(Option<FalconKeys>, usize), BadRequest> {
    let invalid = |reason: &str| ("invalid pagination token", reason.to_owned());
    let token = state.page_tokens.get(token).ok_or_else(|| invalid("unknown"))?;
    if token.epoch != world.page_token_epoch {
        return Err(invalid(EXPIRED));
    }
    if token.search != query.search {
        return Err(invalid("issued for another filter, sort or account"));
    }
    Ok(token.position.clone())
}

fn search(
    world: &FalconWorld,
    state: &mut FalconState,
    terms: &SearchTerms,
    sort: Sort,
    filter: Option<&Filter>,
) -> SortedIndices {
    let (revision, gt_includes_equal) = (world.alerts.revision(), world.gt_includes_equal);
    let cached = state.searches.iter().find(|cached| {
        cached.search == *terms
            && cached.revision == revision
            && cached.gt_includes_equal == gt_includes_equal
    });
    if let Some(cached) = cached {
        return Arc::clone(&cached.found);
    }
    let alerts = world.alerts.alerts();
    let member_cid = terms.member_cid.as_deref();
    let matches = |alert: &Alert<FalconKeys>| match &alert.keys {
        Some(keys) => {
            filter.is_none_or(|filter| filter.matches(keys, gt_includes_equal))
                && member_cid.is_none_or(|cid| keys.customer.as_deref() == Some(cid))
        }
        None => member_cid.is_none(),
    };
    let index = match state.by_created.take() {
        Some(index) if index.revision == revision => index,
        _ => CreatedIndex::new(world),
    };
    let interval = filter.map(Filter::created_between).unwrap_or_default();
    let candidates = index.candidates(alerts, interval);
    let mut found: Vec<usize> = candidates.filter(|&at| matches(&alerts[at])).collect();
    state.by_created = Some(index);
    // The index is in the order of `created_timestamp|asc`: sorting by that costs little.
    sort.sort(alerts, &mut found);
    let found = Arc::new(found);
    let search = terms.clone();
    state.searches.truncate(MAX_CACHED_SEARCHES - 1);
    let result = Arc::clone(&found);
    state.searches.push_front(CachedSearch { search, revision, gt_includes_equal, found });
    result
}

#[derive(Debug, Clone, Copy)]
enum SortField {
    Created,
    Timestamp,
    Updated,
    CompositeId,
}

#[derive(Debug, Clone, Copy)]
struct Sort {
    field: SortField,
    descending: bool,
}

const BY_CREATION: Sort = Sort { field: SortField::Created, descending: false };

impl Sort {
    fn parse(text: &str) -> Result<Self, BadRequest> {
        let invalid = || ("invalid sort parameter in request", format!("unknown sort {text:?}"));
        let (field, direction) = text.split_once('|').ok_or_else(invalid)?;
        let field = match field {
            "created_timestamp" => SortField::Created,
            "timestamp" => SortField::Timestamp,
            "updated_timestamp" => SortField::Updated,
            "composite_id" => SortField::CompositeId,
            _ => return Err(invalid()),
        };
        match direction {
            "asc" => Ok(Self { field, descending: false }),
            "desc" => Ok(Self { field, descending: true }),
            _ => Err(invalid()),
        }
    }

    fn sort(self, alerts: &[Alert<FalconKeys>], indices: &mut [usize]) {
        indices.sort_unstable_by(|&a, &b| {
            self.compare((alerts[a].keys.as_ref(), a), (alerts[b].keys.as_ref(), b))
        });
    }

    /// Compares by the sort field, then by `composite_id`, then by index. Alerts without the sort
    /// field come last.
    fn compare(
        self,
        (a, at_a): (Option<&FalconKeys>, usize),
        (b, at_b): (Option<&FalconKeys>, usize),
    ) -> Ordering {
        let instant = |keys: Option<&FalconKeys>| -> Option<DateTime<Utc>> {
            keys.and_then(|keys| match self.field {
                SortField::Created => keys.created,
                SortField::Timestamp => keys.timestamp,
                SortField::Updated => keys.updated,
                SortField::CompositeId => None,
            })
        };
        fn id(keys: Option<&FalconKeys>) -> Option<&str> {
            keys.and_then(|keys| keys.composite_id.as_deref())
        }
        let main = match self.field {
            SortField::CompositeId => self.order(id(a), id(b)),
            _ => self.order(instant(a), instant(b)).then_with(|| id(a).cmp(&id(b))),
        };
        main.then(at_a.cmp(&at_b))
    }

    fn order<T: Ord>(self, a: Option<T>, b: Option<T>) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) if self.descending => Reverse(a).cmp(&Reverse(b)),
            (Some(a), Some(b)) => a.cmp(&b),
            (a, b) => a.is_none().cmp(&b.is_none()),
        }
    }

    /// Returns the index of the first alert after a position, in the current order: alerts may have
    /// been added since.
    fn index_after(
        self,
        world: &FalconWorld,
        found: &[usize],
        (keys, at): (Option<FalconKeys>, usize),
    ) -> usize {
        let alerts = world.alerts.alerts();
        found.partition_point(|&other| {
            self.compare((alerts[other].keys.as_ref(), other), (keys.as_ref(), at))
                != Ordering::Greater
        })
    }
}

/// The numbers of a page, and the token of the next one.
struct Paging {
    total: usize,
    limit: u64,
    after: Option<String>,
}

fn render(world: &FalconWorld, page: &[usize], paging: Option<Paging>) -> Response {
    let error = world.page_error.as_ref();
    let page = if error.is_some_and(|error| !error.keep_resources) { &[] } else { page };
    let alerts = world.alerts.alerts();
    let is_returned = |alert: &&Alert<FalconKeys>| {
        let id = alert.keys.as_ref().and_then(FalconKeys::id);
        id.is_none_or(|id| world.hidden_alerts.iter().all(|hidden| hidden != id))
    };
    let (texts, ids) = join(page.iter().map(|&at| &alerts[at]).filter(is_returned));
    let trace = trace_id();
    let pagination = paging.map_or_else(String::new, |Paging { total, limit, after }| {
        let after = match after {
            Some(token) => format!(r#","after":"{token}""#),
            None => missing_value(world.last_after, "after", r#""""#),
        };
        format!(r#""pagination":{{"total":{total},"limit":{limit}{after}}},"#)
    });
    let errors = match error {
        Some(error) => {
            format!(r#","errors":{}"#, json!([{"code": error.code, "message": error.message}]))
        }
        None => missing_value(world.empty_errors, "errors", "[]"),
    };
    let resources = match page {
        [] => missing_value(world.empty_resources, "resources", "[]"),
        _ => format!(r#","resources":[{texts}]"#),
    };
    let body = format!(
        r#"{{"meta":{{"query_time":0.043633983,{pagination}"powered_by":"{POWERED_BY_ALERTS}","trace_id":"{trace}"}}{errors}{resources}}}"#
    );
    let mut response = with_headers(Response::json(200, body), world, &trace);
    response.ids = ids;
    response
}

/// Returns a page that consists of the error for an expired token.
fn expired_context(world: &FalconWorld) -> Response {
    let trace = trace_id();
    let error =
        json!({"code": 404, "message": "Search context expired, 'after' key no longer valid"});
    let body = json!({"meta": {"trace_id": trace}, "errors": [error], "resources": []});
    with_headers(Response::json(200, body.to_string()), world, &trace)
}

/// Returns a key without a value in the configured form, with the comma before it.
fn missing_value(form: MissingValue, key: &str, empty: &str) -> String {
    match form {
        MissingValue::Absent => String::new(),
        MissingValue::Null => format!(r#","{key}":null"#),
        MissingValue::Empty => format!(r#","{key}":{empty}"#),
    }
}
