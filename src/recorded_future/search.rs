//! The search for what was submitted.
//!
//! What is documented: the filters, and pages of at most 1,000 rows by offset. What is not: how
//! many rows an offset can reach, the order, and what a page holds while others submit. So a large
//! result is divided by time, and one whose pages do not add up is read again.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Client, Outcome, outcome};
use crate::failure::{Failure, FailureKind};
use crate::http::{MalformedBody, Reply, Request, Response};

pub(super) const PATH: &str = "collective-insights/search";
/// The largest page that the reference allows, in rows.
const PAGE_ROWS: u64 = 1000;
/// A result with more rows is divided by time: services of this kind often serve no offset beyond
/// 10,000.
const MAX_ROWS: u64 = 10_000;
/// A result within this time is not divided any further.
const MIN_SPAN: TimeDelta = TimeDelta::seconds(1);
/// The margin before the first detection and after the last one.
const MARGIN: TimeDelta = TimeDelta::seconds(1);
/// The maximum number of times that a result is read whose pages do not add up.
const MAX_READS: usize = 3;

/// Detection times (UTC), both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DetectionTimes {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

/// A row of a result. Recorded Future may merge several submissions of one indicator into one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundRow {
    /// The type of the indicator, in lower case.
    pub indicator_type: String,
    pub value: String,
    /// UTC.
    pub detected_at: Option<DateTime<Utc>>,
    /// The id of the detection that it was submitted with.
    pub incident: Option<String>,
    /// The organizations that see it, without `uhash:`.
    organizations: BTreeSet<String>,
}

/// One page of a result.
#[derive(Debug)]
struct Page {
    rows: Vec<Value>,
    /// The number of rows of all pages, if the service counts them.
    total: Option<u64>,
}

/// The conditions of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub times: DetectionTimes,
    /// The types of indicators; empty for all.
    pub types: BTreeSet<String>,
    /// The organizations that see it; empty for all.
    pub organizations: Vec<String>,
}

/// The error of a search.
#[derive(Debug)]
pub(crate) struct SearchError {
    pub failure: Failure,
    /// Whether another search will fail as well: it is refused, or its pages do not add up.
    pub is_lasting: bool,
}

impl SearchError {
    const fn lasting(failure: Failure) -> Self {
        Self { failure, is_lasting: true }
    }
}

/// The outcome of reading the pages of a result.
enum Read {
    /// All of it was read.
    Whole,
    /// It is too large, and can be divided.
    TooLarge,
    /// Its pages do not add up, for this reason.
    Inconsistent(String),
}

/// The rows that were read of a result so far.
#[derive(Default)]
struct Progress {
    ids: HashSet<u64>,
    pages: HashSet<u64>,
    /// Different rows: one without an id is different from all others.
    rows: u64,
    offset: u64,
}

impl Progress {
    /// Adds a page. Returns whether there is anything new in it.
    fn add(&mut self, rows: &[Value]) -> bool {
        let before = self.rows;
        for row in rows {
            match row.get("id").filter(|id| !id.is_null()) {
                Some(id) => self.rows += u64::from(self.ids.insert(hash(id))),
                None => self.rows += 1,
            }
        }
        self.offset += u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let is_new_page = self.pages.insert(hash(&rows));
        self.rows > before && is_new_page
    }
}

impl Client {
    /// Calls `found` for what Recorded Future has, in any order; for some of it more than once.
    /// Returns the number of rows that name no indicator; one that is read again counts again.
    ///
    /// # Errors
    /// When the key may not search, when there is no usable response, and when the pages do not add
    /// up. What `found` got until then may be only a part.
    pub(crate) async fn search(
        &self,
        query: &Query,
        mut found: impl FnMut(FoundRow),
    ) -> Result<u64, SearchError> {
        let (mut left, mut reads, mut unreadable) = (vec![query.times], 0, 0);
        while let Some(times) = left.pop() {
            let part = Query { times, ..query.clone() };
            match self.read(&part, &mut found, &mut unreadable).await? {
                Read::Whole => reads = 0,
                Read::TooLarge => left.extend(times.halves()),
                Read::Inconsistent(reason) => {
                    reads += 1;
                    if reads == MAX_READS {
                        return Err(SearchError::lasting(inconsistent(&reason)));
                    }
                    tracing::warn!("the result of a search is read again: {reason}");
                    left.push(times);
                }
            }
        }
        Ok(unreadable)
    }

    /// Reads the result of a query page by page, until it is whole or one of the other cases of
    /// [`Read`] applies. Counts the rows that name no indicator.
    async fn read(
        &self,
        query: &Query,
        found: &mut impl FnMut(FoundRow),
        unreadable: &mut u64,
    ) -> Result<Read, SearchError> {
        let (mut progress, mut first_total) = (Progress::default(), None);
        loop {
            let Page { rows, total } = self.page(query, progress.offset).await?;
            if progress.offset == 0 {
                first_total = total;
            }
            // A total of exactly MAX_ROWS may be the service's limit: there may be more rows.
            let is_large = progress.offset.max(total.unwrap_or_default()) >= MAX_ROWS;
            if is_large && query.times.can_be_divided() {
                return Ok(Read::TooLarge);
            }
            if total < first_total {
                return Ok(Read::Inconsistent("its total shrank between two pages".into()));
            }
            let has_news = progress.add(&rows);
            if !rows.is_empty() && !has_news {
                return Ok(Read::Inconsistent("a page repeats rows of another one".into()));
            }
            for row in &rows {
                match FoundRow::from_row(row) {
                    Some(row) => found(row),
                    None => *unreadable += 1,
                }
            }
            if rows.is_empty() || total.is_some_and(|total| progress.offset >= total) {
                // Rows that others add meanwhile move older rows to later pages and remove none: at
                // least as many rows as the first total come.
                return Ok(match first_total {
                    Some(total) if progress.rows < total => Read::Inconsistent(format!(
                        "it has {} different rows instead of {total}",
                        progress.rows
                    )),
                    _ => Read::Whole,
                });
            }
        }
    }

    async fn page(&self, query: &Query, offset: u64) -> Result<Page, SearchError> {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let Query { times, types, organizations } = query;
        let from_to = json!({"from": time(times.from), "to": time(times.to)});
        let mut filters = Map::from_iter([("detection_time".to_owned(), from_to)]);
        if !types.is_empty() {
            filters.insert("indicator_type".to_owned(), json!(types));
        }
        if !organizations.is_empty() {
            filters.insert("organizations".to_owned(), json!(organizations));
        }
        let body = json!({"filters": filters, "limit": PAGE_ROWS, "offset": offset});
        let (url, headers) = (self.search_url.clone(), self.headers.clone());
        let request = Request::new(Method::POST, url, headers, body.to_string().into_bytes());
        match self.http.send(&request, parse_page).await {
            Ok(Reply::Success(page)) => Ok(page),
            Ok(Reply::Rejected(response)) => Err(rejected(&response, request.host())),
            Err(error) => {
                let failure = match outcome::from_http_error(error) {
                    Outcome::Temporary(failure) | Outcome::Fatal(failure) => failure,
                    other => unexpected(format!("the search ended with {other:?}")),
                };
                Err(SearchError { failure, is_lasting: false })
            }
        }
    }
}

impl DetectionTimes {
    /// Returns the span of these times, and a second before and after it: a service may round them.
    /// `None` if there are no times.
    pub(crate) fn of(times: impl Iterator<Item = DateTime<Utc>>) -> Option<Self> {
        let mut span: Option<Self> = None;
        for at in times {
            let known = span.get_or_insert(Self { from: at, to: at });
            known.from = known.from.min(at);
            known.to = known.to.max(at);
        }
        span.map(|Self { from, to }| Self {
            from: from.checked_sub_signed(MARGIN).unwrap_or(from),
            to: to.checked_add_signed(MARGIN).unwrap_or(to),
        })
    }

    fn can_be_divided(self) -> bool {
        self.to.signed_duration_since(self.from) > MIN_SPAN
    }

    /// Returns the two halves, which have no millisecond in common.
    fn halves(self) -> [Self; 2] {
        let middle = self.from + self.to.signed_duration_since(self.from) / 2;
        let middle = DateTime::from_timestamp_millis(middle.timestamp_millis()).unwrap_or(middle);
        [
            Self { from: middle + TimeDelta::milliseconds(1), to: self.to },
            Self { from: self.from, to: middle },
        ]
    }
}

impl FoundRow {
    /// Whether all these organizations see it.
    pub(crate) fn is_for(&self, organizations: &[String]) -> bool {
        organizations.iter().all(|id| self.organizations.contains(bare(id)))
    }

    /// Reads a row; `None` where it names no indicator.
    fn from_row(row: &Value) -> Option<Self> {
        let text = |key: &str| row.get("indicator")?.get(key)?.as_str();
        Some(Self {
            indicator_type: text("type")?.to_ascii_lowercase(),
            value: text("value")?.to_owned(),
            incident: row.pointer("/incident/id").and_then(Value::as_str).map(str::to_owned),
            organizations: row
                .get("organizations")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|id| Some(bare(id.as_str()?).to_owned()))
                .collect(),
            detected_at: row.get("detection_time").and_then(|time| time.as_str()?.parse().ok()),
        })
    }
}

/// Returns the id of an organization without its prefix.
fn bare(id: &str) -> &str {
    id.strip_prefix("uhash:").unwrap_or(id)
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn parse_page(response: &Response) -> Result<Page, MalformedBody> {
    let mut body: Value = response.json()?;
    let total = body.pointer("/counts/total").and_then(Value::as_u64);
    match body.get_mut("data").map(Value::take) {
        Some(Value::Array(rows)) => Ok(Page { rows, total }),
        _ => Err(MalformedBody(format!("it has no list of rows: {}", response.summary()))),
    }
}

fn rejected(response: &Response, host: &str) -> SearchError {
    let status = response.status.as_u16();
    let failure = match outcome::from_response(response, host) {
        Outcome::Fatal(failure) if status == 403 => Failure::new(
            FailureKind::Credentials,
            failure.message,
            "Ask your Recorded Future account manager or administrator to let this API key search Collective Insights. Runs do not need this: they go on sending.",
        )
        .with_cause("the API key may not search for what was submitted"),
        Outcome::Temporary(failure) | Outcome::QuotaExhausted(failure) => {
            return SearchError { failure, is_lasting: false };
        }
        Outcome::Fatal(failure) => failure,
        Outcome::Rejected(rejection) => unexpected(format!(
            "Recorded Future ({host}) rejected the search: {}",
            rejection.message
        )),
        Outcome::Delivered(_) => unexpected("a search was confirmed like a batch".into()),
    };
    // A 401 is about the key, which sending needs too: with another one the search may work.
    SearchError { failure, is_lasting: status != 401 }
}

fn unexpected(message: String) -> Failure {
    Failure::new(
        FailureKind::Unexpected,
        message,
        "Report this, together with the log of a run with --log-level debug; Recorded Future's support asks for the trace id.",
    )
}

fn inconsistent(reason: &str) -> Failure {
    Failure::new(
        FailureKind::Temporary,
        "the pages of Recorded Future's search do not add up, so nothing can be said about what is missing",
        "Run again later. If it stays so, tell Recorded Future's support.",
    )
    .with_cause(reason)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sandbox::{RF_TOKEN, Sandbox, Service, World};

    use super::*;
    use crate::clock::Clock;
    use crate::http::{Http, NetworkOptions};
    use crate::recorded_future::Config;
    use crate::shutdown::Shutdown;

    fn at(millisecond: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millisecond).unwrap()
    }

    #[test]
    fn halves_have_every_millisecond_once() {
        for (from, to) in [(0, 2000), (0, 2001), (7, 1008), (-5001, 1)] {
            let [later, earlier] = DetectionTimes { from: at(from), to: at(to) }.halves();
            assert_eq!((earlier.from, later.to), (at(from), at(to)));
            assert_eq!(later.from - earlier.to, TimeDelta::milliseconds(1));
        }
    }

    #[test]
    fn a_row_without_an_indicator_is_left_out() {
        let row = |row: Value| FoundRow::from_row(&row);
        let found = row(json!({"indicator": {"type": "Hash", "value": "AB"}})).unwrap();
        assert_eq!((found.indicator_type.as_str(), found.value.as_str()), ("hash", "AB"));
        for other in [json!(null), json!({}), json!({"indicator": {"type": 1, "value": "a"}})] {
            assert_eq!(row(other), None);
        }
    }

    /// Returns the values that a search finds, with the number of requests.
    async fn found(rows: Vec<Value>) -> (BTreeSet<String>, usize) {
        let sandbox = Sandbox::start(World::default());
        sandbox.change(|world| world.recorded_future.search.foreign_rows = rows);
        let (_signals, shutdown) = Shutdown::new();
        let network = NetworkOptions {
            ca_cert: None,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_mins(2),
        };
        let clock = Clock::without_waits();
        let http = Http::new(&network, clock, Duration::from_mins(10), shutdown).unwrap();
        let config = Config {
            base: sandbox.url().parse().unwrap(),
            token: RF_TOKEN.into(),
            organization_ids: Vec::new(),
        };
        let client = Client::new(&http, &config, false).unwrap();
        let times = DetectionTimes { from: at(0), to: at(30_000_000) };
        let query = Query { times, types: BTreeSet::new(), organizations: Vec::new() };
        let mut values = BTreeSet::new();
        let searched = client.search(&query, |row| _ = values.insert(row.value)).await;
        assert_eq!(searched.unwrap(), 0);
        (values, sandbox.requests_to(Service::Search).len())
    }

    fn rows(count: usize, with_ids: bool, value: impl Fn(usize) -> String) -> Vec<Value> {
        let time = |number: usize| {
            let millisecond = i64::try_from(number).unwrap() * 1000;
            at(millisecond).to_rfc3339_opts(SecondsFormat::Millis, true)
        };
        let row = |number| {
            let indicator = json!({"type": "domain", "value": value(number)});
            let mut row = json!({"detection_time": time(number), "indicator": indicator});
            if with_ids {
                row["id"] = number.to_string().into();
            }
            row
        };
        (0..count).map(row).collect()
    }

    #[tokio::test]
    async fn a_large_result_is_divided_by_time_and_nothing_is_missed() {
        for count in [9_999, 10_000, 25_001] {
            let (values, requests) = found(rows(count, true, |number| number.to_string())).await;
            assert_eq!(values.len(), count);
            // Dividing costs at most 24 requests more than the full pages.
            assert!((count / 1000..count / 1000 + 25).contains(&requests), "{requests}");
        }
    }

    #[tokio::test]
    async fn repeats_without_ids_add_up() {
        let (values, _) = found(rows(2500, false, |number| (number % 7).to_string())).await;
        assert_eq!(values.len(), 7);
    }

    #[test]
    fn what_has_no_list_of_rows_is_not_a_page() {
        let parse = |body: &str| parse_page(&Response::new(200, body));
        assert_eq!(parse(r#"{"data": []}"#).unwrap().total, None);
        let counted = parse(r#"{"data": [1], "counts": {"total": 7}}"#).unwrap();
        assert_eq!((counted.rows.len(), counted.total), (1, Some(7)));
        for body in ["", "[]", "{}", r#"{"data": null}"#, "<html>"] {
            parse(body).unwrap_err();
        }
    }
}
