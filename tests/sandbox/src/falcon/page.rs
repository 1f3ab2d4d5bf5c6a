//! `POST /alerts/combined/alerts/v1`

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::sign_in::authorize;
use super::{
    ALERTS, FalconKeys, Memory, Order, random_hex, refused, trace_id, with_headers, wrong_method,
};
use crate::alert_store::{Alert, join};
use crate::fql::Filter;
use crate::handler::{Answer, Asked};
use crate::world::{FalconWorld, Nothing};

const MAX_LIMIT: u64 = 1000;
const DEFAULT_LIMIT: u64 = 100;
const DEFAULT_SORT: &str = "created_timestamp|desc";

/// What a page is asked for.
#[derive(Debug, Clone, PartialEq)]
struct Query {
    filter: Option<String>,
    sort: String,
    limit: u64,
    after: Option<String>,
}

/// What an `after` token stands for: a place in the order of one filter and one sort.
#[derive(Debug)]
pub(super) struct After {
    filter: Option<String>,
    sort: String,
    epoch: u64,
    /// The alert after which the page begins: its keys and its place on the shelf.
    place: (Option<FalconKeys>, usize),
}

/// So many searches are remembered: a client asks for as many slices side by side, and then for their
/// next pages.
const REMEMBERED: usize = 40;

/// A search, remembered for its next page.
#[derive(Debug)]
pub(super) struct Search {
    filter: Option<String>,
    sort: String,
    revision: u64,
    loose: bool,
    found: Order,
}

/// A message in the vendor's words, and what exactly is wrong.
type Refusal = (&'static str, String);

/// One page of alerts.
pub(crate) fn alerts(world: &FalconWorld, memory: &mut Memory, asked: &Asked<'_>) -> Answer {
    if asked.method != "POST" {
        return wrong_method(world);
    }
    if let Err(answer) = authorize(world, memory, asked) {
        return answer;
    }
    if !asked.is_content_type("application/json") {
        return refused(
            world,
            415,
            ALERTS,
            "unsupported media type",
            "Content-Type must be application/json",
        );
    }
    match page(world, memory, asked.body) {
        Ok(answer) => answer,
        Err((message, reason)) => refused(world, 400, ALERTS, message, &reason),
    }
}

fn page(world: &FalconWorld, memory: &mut Memory, body: &[u8]) -> Result<Answer, Refusal> {
    let query = Query::parse(body)?;
    let sort = Sort::parse(&query.sort)?;
    let filter = match &query.filter {
        Some(text) => {
            Some(Filter::parse(text).map_err(|why| ("invalid query filter in request", why))?)
        }
        None => None,
    };
    let found = search(world, memory, &query, sort, filter.as_ref());
    let begin = match &query.after {
        Some(token) => sort.place(world, &found, place_of(world, memory, &query, token)?),
        None => 0,
    };
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let limit = limit.min(world.largest_page);
    let end = found.len().min(begin.saturating_add(limit));
    let shown = &found[begin..end];
    let more = end < found.len() || (world.after_on_last_page && !shown.is_empty());
    let after = shown.last().filter(|_| more).map(|&last| {
        let token = random_hex();
        let place = (world.alerts.alerts()[last].keys.clone(), last);
        let (filter, sort) = (query.filter.clone(), query.sort.clone());
        memory.after.insert(token.clone(), After { filter, sort, epoch: world.after_epoch, place });
        token
    });
    Ok(render(world, shown, found.len(), query.limit, after))
}

impl Query {
    fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let bad = |why: String| ("invalid request body", why);
        let body: Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
        let mut query =
            Self { filter: None, sort: DEFAULT_SORT.into(), limit: DEFAULT_LIMIT, after: None };
        for (key, value) in body {
            let text = |value: &Value| match value.as_str() {
                Some(text) if !text.is_empty() => Ok(text.to_owned()),
                _ => Err(bad(format!("{key} must be a text that is not empty"))),
            };
            match key.as_str() {
                "filter" => query.filter = Some(text(&value)?),
                "sort" => query.sort = text(&value)?,
                "after" => query.after = Some(text(&value)?),
                "limit" => query.limit = limit(&value)?,
                _ => return Err(bad(format!("{key:?} is no known key"))),
            }
        }
        Ok(query)
    }
}

fn limit(value: &Value) -> Result<u64, Refusal> {
    let fits = value.as_u64().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    fits.ok_or_else(|| {
        ("limit must be greater than 0 and less than or equal to 1000", format!("limit is {value}"))
    })
}

fn place_of(
    world: &FalconWorld,
    memory: &Memory,
    query: &Query,
    token: &str,
) -> Result<(Option<FalconKeys>, usize), Refusal> {
    let refusal = |why: &str| ("invalid pagination token", why.to_owned());
    let after = memory.after.get(token).ok_or_else(|| refusal("unknown"))?;
    if after.epoch != world.after_epoch {
        return Err(refusal("expired"));
    }
    if after.filter != query.filter || after.sort != query.sort {
        return Err(refusal("made for another filter or sort"));
    }
    Ok(after.place.clone())
}

fn search(
    world: &FalconWorld,
    memory: &mut Memory,
    query: &Query,
    sort: Sort,
    filter: Option<&Filter>,
) -> Order {
    let (revision, loose) = (world.alerts.revision(), world.loose_greater);
    let known = memory.searches.iter().find(|known| {
        let same = known.filter == query.filter && known.sort == query.sort;
        same && known.revision == revision && known.loose == loose
    });
    if let Some(known) = known {
        return Arc::clone(&known.found);
    }
    let shelf = world.alerts.alerts();
    let matches = |alert: &Alert<FalconKeys>| match (&alert.keys, filter) {
        (Some(keys), Some(filter)) => filter.matches(keys, loose),
        _ => true,
    };
    let mut found: Vec<usize> = (0..shelf.len()).filter(|&at| matches(&shelf[at])).collect();
    found.sort_unstable_by(|&a, &b| {
        sort.compare((shelf[a].keys.as_ref(), a), (shelf[b].keys.as_ref(), b))
    });
    let found = Arc::new(found);
    let (filter, sort) = (query.filter.clone(), query.sort.clone());
    memory.searches.truncate(REMEMBERED - 1);
    memory.searches.push_front(Search { filter, sort, revision, loose, found: Arc::clone(&found) });
    found
}

#[derive(Debug, Clone, Copy)]
enum By {
    Created,
    Timestamp,
    Updated,
    CompositeId,
}

#[derive(Debug, Clone, Copy)]
struct Sort {
    by: By,
    down: bool,
}

impl Sort {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let wrong = || ("invalid sort parameter in request", format!("{text:?} is no known sort"));
        let (field, direction) = text.split_once('|').ok_or_else(wrong)?;
        let by = match field {
            "created_timestamp" => By::Created,
            "timestamp" => By::Timestamp,
            "updated_timestamp" => By::Updated,
            "composite_id" => By::CompositeId,
            _ => return Err(wrong()),
        };
        match direction {
            "asc" => Ok(Self { by, down: false }),
            "desc" => Ok(Self { by, down: true }),
            _ => Err(wrong()),
        }
    }

    /// By the sort field, then by `composite_id`, then by place. Whatever lacks the sort field comes last.
    fn compare(
        self,
        (a, at_a): (Option<&FalconKeys>, usize),
        (b, at_b): (Option<&FalconKeys>, usize),
    ) -> Ordering {
        let instant = |keys: Option<&FalconKeys>| -> Option<DateTime<Utc>> {
            keys.and_then(|keys| match self.by {
                By::Created => keys.created,
                By::Timestamp => keys.timestamp,
                By::Updated => keys.updated,
                By::CompositeId => None,
            })
        };
        fn id(keys: Option<&FalconKeys>) -> Option<&str> {
            keys.and_then(|keys| keys.composite_id.as_deref())
        }
        let main = match self.by {
            By::CompositeId => self.order(id(a), id(b)),
            _ => self.order(instant(a), instant(b)).then_with(|| id(a).cmp(&id(b))),
        };
        main.then(at_a.cmp(&at_b))
    }

    fn order<T: Ord>(self, a: Option<T>, b: Option<T>) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) if self.down => Reverse(a).cmp(&Reverse(b)),
            (Some(a), Some(b)) => a.cmp(&b),
            (a, b) => a.is_none().cmp(&b.is_none()),
        }
    }

    /// The first in the order that comes after a place, as the order is now: alerts may have come since.
    fn place(
        self,
        world: &FalconWorld,
        found: &[usize],
        (keys, at): (Option<FalconKeys>, usize),
    ) -> usize {
        let shelf = world.alerts.alerts();
        found.partition_point(|&other| {
            self.compare((shelf[other].keys.as_ref(), other), (keys.as_ref(), at))
                != Ordering::Greater
        })
    }
}

fn render(
    world: &FalconWorld,
    shown: &[usize],
    total: usize,
    limit: u64,
    after: Option<String>,
) -> Answer {
    let error = world.page_error.as_ref();
    let shown = if error.is_some_and(|error| !error.keep_resources) { &[] } else { shown };
    let shelf = world.alerts.alerts();
    let (texts, ids) = join(shown.iter().map(|&at| &shelf[at]));
    let trace = trace_id();
    let after = match after {
        Some(token) => format!(r#","after":"{token}""#),
        None => nothing(world.last_after, "after", r#""""#),
    };
    let errors = match error {
        Some(error) => {
            format!(r#","errors":{}"#, json!([{"code": error.code, "message": error.message}]))
        }
        None => nothing(world.no_errors, "errors", "[]"),
    };
    let resources = match shown {
        [] => nothing(world.no_resources, "resources", "[]"),
        _ => format!(r#","resources":[{texts}]"#),
    };
    let body = format!(
        r#"{{"meta":{{"query_time":0.043633983,"pagination":{{"total":{total},"limit":{limit}{after}}},"powered_by":"{ALERTS}","trace_id":"{trace}"}}{errors}{resources}}}"#
    );
    let mut answer = with_headers(Answer::json(200, body), world, &trace);
    answer.ids = ids;
    answer
}

/// A key without a value, as the world wants it written, with the comma before it.
fn nothing(how: Nothing, key: &str, empty: &str) -> String {
    match how {
        Nothing::Absent => String::new(),
        Nothing::Null => format!(r#","{key}":null"#),
        Nothing::Empty => format!(r#","{key}":{empty}"#),
    }
}
