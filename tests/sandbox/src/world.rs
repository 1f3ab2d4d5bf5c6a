//! The world of a sandbox: the accounts, the alerts and the behavior of each service. A test can
//! set all of it before the start, and change all but `tls` and `http2` while the sandbox runs.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::alert_store::AlertStore;
use crate::carbon_black::CarbonBlackKeys;
use crate::falcon::FalconKeys;
use crate::tls::CertificateAuthority;

/// The id of the default Falcon client. It is unique, so that a test can search logs and files for
/// it.
pub const CLIENT_ID: &str = "c11e47c11e47c11e47c11e47c11e47c1";
/// The secret of the default Falcon client (40 characters, like real ones).
pub const CLIENT_SECRET: &str = "fAlc0nS3cr3tNeverT0BeSeenInAnyLogOrFile1";
/// The default Recorded Future token.
pub const RF_TOKEN: &str = "rft0kenneverseen0123456789abcdef";
/// The default Carbon Black organization key.
pub const CB_ORG: &str = "SANDB0X1";
/// The default Carbon Black API id.
pub const CB_API_ID: &str = "CBAP1ID234";
/// The default Carbon Black API secret.
pub const CB_SECRET: &str = "CBS3CRETNEVERSEEN0123456";

/// Everything that a sandbox serves. `Default` has one working account per service and no alerts.
#[derive(Debug, Clone)]
pub struct World {
    /// The delay of each response.
    pub latency: Duration,
    /// The time of the services: alerts that were created later do not exist yet. `None` for the
    /// system's time, and then all alerts exist.
    pub date: Option<DateTime<Utc>>,
    /// Whether responses are compressed for clients that accept gzip.
    pub gzip: bool,
    /// TLS instead of unencrypted HTTP. Cannot be changed after the start.
    pub tls: Option<Tls>,
    /// The limits of HTTP/2. Cannot be changed after the start.
    pub http2: Http2Limits,
    /// CrowdStrike Falcon.
    pub falcon: FalconWorld,
    /// Carbon Black Cloud.
    pub carbon_black: CarbonBlackWorld,
    /// Recorded Future Collective Insights.
    pub recorded_future: RecordedFutureWorld,
}

/// The `Date` of the responses of a service. A fault can have another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DateHeader {
    /// The time of the services and this much more, which may be negative.
    Skew(TimeDelta),
    /// This text, which need not be a date.
    Text(String),
    /// There is none.
    Absent,
}

impl Default for DateHeader {
    fn default() -> Self {
        Self::Skew(TimeDelta::zero())
    }
}

/// TLS for all connections.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Issues the certificate.
    pub authority: CertificateAuthority,
    /// The protocols that the server offers (ALPN), the preferred one first.
    pub protocols: &'static [&'static str],
}

/// The limits of the server for a client over HTTP/2.
#[derive(Debug, Clone, Copy, Default)]
pub struct Http2Limits {
    /// The flow-control window for a request, and for a connection, in bytes.
    pub window: Option<u32>,
    /// The maximum number of concurrent requests on a connection.
    pub max_streams: Option<u32>,
}

/// A Falcon API client.
#[derive(Debug, Clone)]
pub struct FalconAccount {
    /// `client_id` of a sign-in.
    pub client_id: String,
    /// `client_secret` of a sign-in.
    pub client_secret: String,
    /// The customer ids (CIDs) of the child accounts that it can sign in to.
    pub member_cids: Vec<String>,
    /// Whether it has the scope `Alerts: READ`.
    pub alerts_read: bool,
    /// Whether the client's IP address is on the allow-list.
    pub address_allowed: bool,
}

/// The form of a key without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingValue {
    /// The key is absent.
    Absent,
    /// `null`
    Null,
    /// `[]` for a list, `""` for a string.
    Empty,
}

/// An `errors` entry in a Falcon response with status 200.
#[derive(Debug, Clone)]
pub struct PageError {
    /// `code`, for example 500.
    pub code: i64,
    /// `message`.
    pub message: String,
    /// Whether the page still contains its alerts.
    pub keep_resources: bool,
}

/// Falcon's accounts, alerts and behavior.
#[derive(Debug, Clone)]
pub struct FalconWorld {
    /// The `Date` of sign-ins and pages.
    pub date: DateHeader,
    /// The API clients that exist.
    pub accounts: Vec<FalconAccount>,
    /// The alerts, the same for all accounts. A sign-in with a `member_cid` sees only those of this
    /// customer (`cid`, else `origin_cid`).
    pub alerts: AlertStore<FalconKeys>,
    /// `X-Cs-Region` of a successful sign-in.
    pub region: String,
    /// If set, a sign-in with valid credentials gets a 308 with this `Location` and no body.
    pub redirect: Option<String>,
    /// Whether a sign-in with an unknown client id gets a 500 whose body has the code 400, as was
    /// observed, instead of a 400.
    pub unknown_client_as_500: bool,
    /// The lifetime of an access token in seconds.
    pub token_lifetime: u64,
    /// `X-Ratelimit-Limit` and `X-Ratelimit-Remaining`, in requests per minute.
    pub rate_limit: (u64, u64),
    /// The form of `after` on the last page.
    pub last_after: MissingValue,
    /// Whether the last page with alerts still has an `after` token, which leads to an empty page.
    pub after_on_last_page: bool,
    /// The form of `errors` if there are none.
    pub empty_errors: MissingValue,
    /// The form of `resources` if there are none.
    pub empty_resources: MissingValue,
    /// The error added to every successful page, if any.
    pub page_error: Option<PageError>,
    /// Whether an expired `after` token gets a 200 with an error 404 in its body, as was observed
    /// on another Falcon API, instead of a 400.
    pub expired_token_in_body: bool,
    /// Whether `>` on dates acts as `>=`, as was observed on the real service.
    pub gt_includes_equal: bool,
    /// The maximum number of alerts per page, whatever `limit` is.
    pub max_page_size: usize,
    /// The largest total that a page reports: stores of this kind often stop counting at 10,000.
    pub max_total: usize,
    /// The ids of alerts that are counted in the total but not returned.
    pub hidden_alerts: Vec<String>,
    /// How often the access tokens were invalidated: those of an earlier epoch are not valid.
    pub(crate) access_token_epoch: u64,
    /// How often the `after` tokens were invalidated.
    pub(crate) page_token_epoch: u64,
}

/// A Carbon Black API key.
#[derive(Debug, Clone)]
pub struct CarbonBlackAccount {
    /// The organization that it belongs to.
    pub org_key: String,
    /// The second half of `X-Auth-Token`.
    pub api_id: String,
    /// The first half of `X-Auth-Token`.
    pub secret: String,
    /// Whether it has the permission org.alerts READ.
    pub alerts_read: bool,
}

/// Carbon Black's accounts, alerts and behavior.
#[derive(Debug, Clone)]
pub struct CarbonBlackWorld {
    /// The `Date` of searches.
    pub date: DateHeader,
    /// The API keys that exist.
    pub accounts: Vec<CarbonBlackAccount>,
    /// The alerts, the same for all accounts.
    pub alerts: AlertStore<CarbonBlackKeys>,
    /// If set, this version of the API was switched off: every search gets this status, 410 or
    /// 404.
    pub switched_off: Option<u16>,
    /// Whether `num_available` is present.
    pub num_available: bool,
    /// The maximum number of rows per response, whatever `rows` is.
    pub max_page_size: usize,
    /// The ids of alerts that are counted in `num_found` but not returned.
    pub hidden_alerts: Vec<String>,
}

/// A Recorded Future API token.
#[derive(Debug, Clone)]
pub struct RecordedFutureAccount {
    /// `X-RFToken`
    pub token: String,
    /// Whether it has the Collective Insights permission.
    pub collective_insights: bool,
}

/// Recorded Future's accounts and behavior.
#[derive(Debug, Clone)]
pub struct RecordedFutureWorld {
    /// The `Date` of all its responses.
    pub date: DateHeader,
    /// The API tokens that exist.
    pub accounts: Vec<RecordedFutureAccount>,
    /// The spelling of `result.status`: `OK` or `ok`.
    pub status: String,
    /// Whether `result.summary` is present.
    pub summary: bool,
    /// Requests with more items get a 413.
    pub max_items: usize,
    /// Requests with a larger body, in bytes, get a 413.
    pub max_bytes: usize,
    /// Maximum number of items per token, without those sent with `debug`; never reset. A batch
    /// that exceeds it gets a 429.
    pub store_limit: Option<u64>,
    /// A batch that contains one of these `ioc.value`s gets this status, and none of it is stored.
    pub rejected_values: Vec<(String, u16)>,
    /// The search for what was submitted.
    pub search: SearchWorld,
}

/// The behavior of Recorded Future's search.
#[derive(Debug, Clone)]
pub struct SearchWorld {
    /// Whether the tokens may search.
    pub is_allowed: bool,
    /// The time from the submission of an item until it can be found.
    pub lag: TimeDelta,
    /// Whether submissions of one indicator are one row, with the detection of the first.
    pub merges_repeats: bool,
    /// The `ioc.value`s that are never found.
    pub never_found: Vec<String>,
    /// Rows of items that other clients submitted.
    pub foreign_rows: Vec<Value>,
    /// Whether `counts` is present.
    pub has_counts: bool,
    /// The maximum number of rows per page, whatever `limit` is.
    pub max_page_size: usize,
}

impl Default for SearchWorld {
    fn default() -> Self {
        Self {
            is_allowed: true,
            lag: TimeDelta::zero(),
            merges_repeats: false,
            never_found: Vec::new(),
            foreign_rows: Vec::new(),
            has_counts: true,
            max_page_size: usize::MAX,
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            date: None,
            gzip: true,
            tls: None,
            http2: Http2Limits::default(),
            falcon: FalconWorld::default(),
            carbon_black: CarbonBlackWorld::default(),
            recorded_future: RecordedFutureWorld::default(),
        }
    }
}

impl Default for FalconWorld {
    fn default() -> Self {
        Self {
            date: DateHeader::default(),
            accounts: vec![FalconAccount::new(CLIENT_ID, CLIENT_SECRET)],
            alerts: AlertStore::default(),
            region: "us-1".into(),
            redirect: None,
            unknown_client_as_500: false,
            token_lifetime: 1799,
            rate_limit: (6000, 5999),
            last_after: MissingValue::Absent,
            after_on_last_page: false,
            empty_errors: MissingValue::Empty,
            empty_resources: MissingValue::Empty,
            page_error: None,
            expired_token_in_body: false,
            gt_includes_equal: false,
            max_page_size: usize::MAX,
            max_total: usize::MAX,
            hidden_alerts: Vec::new(),
            access_token_epoch: 0,
            page_token_epoch: 0,
        }
    }
}

impl FalconAccount {
    /// Returns a client with all permissions and no child accounts.
    pub fn new(client_id: &str, client_secret: &str) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            member_cids: Vec::new(),
            alerts_read: true,
            address_allowed: true,
        }
    }
}

impl FalconWorld {
    /// Invalidates all access tokens: the next request with one gets a 401.
    pub fn expire_access_tokens(&mut self) {
        self.access_token_epoch += 1;
    }

    /// Invalidates all `after` tokens: the next request with one gets a 400, or the error of
    /// `expired_token_in_body`.
    pub fn expire_page_tokens(&mut self) {
        self.page_token_epoch += 1;
    }
}

impl Default for CarbonBlackWorld {
    fn default() -> Self {
        Self {
            date: DateHeader::default(),
            accounts: vec![CarbonBlackAccount {
                org_key: CB_ORG.into(),
                api_id: CB_API_ID.into(),
                secret: CB_SECRET.into(),
                alerts_read: true,
            }],
            alerts: AlertStore::default(),
            switched_off: None,
            num_available: true,
            max_page_size: usize::MAX,
            hidden_alerts: Vec::new(),
        }
    }
}

impl Default for RecordedFutureWorld {
    fn default() -> Self {
        Self {
            date: DateHeader::default(),
            accounts: vec![RecordedFutureAccount {
                token: RF_TOKEN.into(),
                collective_insights: true,
            }],
            status: "OK".into(),
            summary: true,
            max_items: usize::MAX,
            max_bytes: usize::MAX,
            store_limit: None,
            rejected_values: Vec::new(),
            search: SearchWorld::default(),
        }
    }
}

impl World {
    /// Returns the default world: one account per service, and no alerts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies any change, for a chain of calls.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Adds Falcon alerts.
    pub fn falcon_alerts<'a>(mut self, alerts: impl IntoIterator<Item = &'a Value>) -> Self {
        self.falcon.alerts.extend(alerts);
        self
    }

    /// Adds a Falcon alert by its raw text; see [`AlertStore::push_raw`].
    pub fn falcon_raw(mut self, text: impl Into<String>, search_as: &Value) -> Self {
        self.falcon.alerts.push_raw(text, search_as);
        self
    }

    /// Adds Carbon Black alerts.
    pub fn carbon_black_alerts<'a>(mut self, alerts: impl IntoIterator<Item = &'a Value>) -> Self {
        self.carbon_black.alerts.extend(alerts);
        self
    }

    /// Adds a Carbon Black alert by its raw text; see [`AlertStore::push_raw`].
    pub fn carbon_black_raw(mut self, text: impl Into<String>, search_as: &Value) -> Self {
        self.carbon_black.alerts.push_raw(text, search_as);
        self
    }

    /// Sets the wait before each response.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Turns compression off.
    pub fn no_gzip(mut self) -> Self {
        self.gzip = false;
        self
    }

    /// Uses TLS with a new certificate authority, and offers HTTP/2 and HTTP/1.1.
    pub fn tls(self) -> Self {
        self.tls_with(&["h2", "http/1.1"])
    }

    /// Uses TLS with a new certificate authority, and offers HTTP/1.1 only.
    pub fn tls_http1(self) -> Self {
        self.tls_with(&["http/1.1"])
    }

    /// Uses TLS with HTTP/2 only: a client that does not offer it cannot connect.
    pub fn tls_http2(self) -> Self {
        self.tls_with(&["h2"])
    }

    fn tls_with(mut self, protocols: &'static [&'static str]) -> Self {
        self.tls = Some(Tls { authority: CertificateAuthority::new("Sandbox CA"), protocols });
        self
    }

    /// Sets the `Date` of the responses of both vendors.
    pub fn set_vendor_date(&mut self, date: &DateHeader) {
        self.falcon.date.clone_from(date);
        self.carbon_black.date.clone_from(date);
    }

    /// Makes Recorded Future reject any batch that contains this `ioc.value`, with this status.
    pub fn reject_value(mut self, value: impl Into<String>, status: u16) -> Self {
        self.recorded_future.rejected_values.push((value.into(), status));
        self
    }
}
