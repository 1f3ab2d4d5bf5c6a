//! The world the services live in: accounts, alerts, and the habits of each service.
//! All of it can be set before the start and changed while the sandbox runs.

use std::time::Duration;

use serde_json::Value;

use crate::alert_store::Shelf;
use crate::carbon_black::CarbonBlackKeys;
use crate::falcon::FalconKeys;

/// The default Falcon client. Distinctive, so that a test can search logs and files for it.
pub const CLIENT_ID: &str = "c11e47c11e47c11e47c11e47c11e47c1";
/// The default Falcon client's secret (40 characters, as the real ones).
pub const CLIENT_SECRET: &str = "fAlc0nS3cr3tNeverT0BeSeenInAnyLogOrFile1";
/// The default Recorded Future token.
pub const RF_TOKEN: &str = "rft0kenneverseen0123456789abcdef";
/// The default Carbon Black organization key.
pub const CB_ORG: &str = "SANDB0X1";
/// The default Carbon Black API id.
pub const CB_API_ID: &str = "CBAP1ID234";
/// The default Carbon Black API secret.
pub const CB_SECRET: &str = "CBS3CRETNEVERSEEN0123456";

/// Everything a sandbox serves. `Default` is a working one: one account for each service, and no alerts.
#[derive(Debug, Clone)]
pub struct World {
    /// Waited before each answer.
    pub latency: Duration,
    /// Whether answers are compressed for clients that accept gzip.
    pub gzip: bool,
    /// CrowdStrike Falcon.
    pub falcon: FalconWorld,
    /// Carbon Black Cloud.
    pub carbon_black: CarbonBlackWorld,
    /// Recorded Future Collective Insights.
    pub recorded_future: RecordedFutureWorld,
}

/// A Falcon API client.
#[derive(Debug, Clone)]
pub struct FalconAccount {
    /// As a sign-in gives it.
    pub client_id: String,
    /// As a sign-in gives it.
    pub client_secret: String,
    /// The child CIDs (MSSP) that it may sign in to.
    pub member_cids: Vec<String>,
    /// Whether it has the scope Alerts: READ.
    pub alerts_read: bool,
    /// Whether the caller's address is on the allow-list.
    pub address_allowed: bool,
}

/// How a key without a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nothing {
    /// The key is left out.
    Absent,
    /// `null`
    Null,
    /// `[]` for a list, `""` for a text.
    Empty,
}

/// An `errors` entry in a Falcon answer with status 200.
#[derive(Debug, Clone)]
pub struct PageError {
    /// As a status would be.
    pub code: i64,
    /// In the service's words.
    pub message: String,
    /// Whether the page's alerts come beside it.
    pub keep_resources: bool,
}

/// Falcon's accounts, alerts and habits.
#[derive(Debug, Clone)]
pub struct FalconWorld {
    /// Who may sign in.
    pub accounts: Vec<FalconAccount>,
    /// What there is to read, for all accounts.
    pub alerts: Shelf<FalconKeys>,
    /// `X-Cs-Region` of a successful sign-in.
    pub region: String,
    /// When set, a sign-in with good credentials is answered 308 with this `Location` and no body.
    pub redirect: Option<String>,
    /// Lifetime of an access token in seconds.
    pub token_lifetime: u64,
    /// `X-Ratelimit-Limit` and `X-Ratelimit-Remaining`, requests a minute.
    pub rate_limit: (u64, u64),
    /// How `after` is written when there is no further page.
    pub last_after: Nothing,
    /// Whether the last page with alerts still has a token, which then leads to an empty page.
    pub after_on_last_page: bool,
    /// How `errors` is written when there are none.
    pub no_errors: Nothing,
    /// How `resources` is written when there are none.
    pub no_resources: Nothing,
    /// Added to every successful page.
    pub page_error: Option<PageError>,
    /// Whether `>` on dates acts as `>=`, as seen in the wild.
    pub loose_greater: bool,
    /// The most alerts in a page, whatever is asked for.
    pub largest_page: usize,
    pub(crate) sign_in_epoch: u64,
    pub(crate) after_epoch: u64,
}

/// A Carbon Black API key.
#[derive(Debug, Clone)]
pub struct CarbonBlackAccount {
    /// The organization it belongs to.
    pub org_key: String,
    /// The second half of `X-Auth-Token`.
    pub api_id: String,
    /// The first half of `X-Auth-Token`.
    pub secret: String,
    /// Whether it has the permission org.alerts READ.
    pub alerts_read: bool,
}

/// Carbon Black's accounts, alerts and habits.
#[derive(Debug, Clone)]
pub struct CarbonBlackWorld {
    /// Who may search.
    pub accounts: Vec<CarbonBlackAccount>,
    /// What there is to find, for all accounts.
    pub alerts: Shelf<CarbonBlackKeys>,
    /// Whether `num_available` is present.
    pub num_available: bool,
    /// The most rows in an answer, whatever is asked for.
    pub largest_page: usize,
}

/// A Recorded Future API token.
#[derive(Debug, Clone)]
pub struct RecordedFutureAccount {
    /// `X-RFToken`
    pub token: String,
    /// Whether it has the Collective Insights permission.
    pub collective_insights: bool,
}

/// Recorded Future's tokens and habits.
#[derive(Debug, Clone)]
pub struct RecordedFutureWorld {
    /// Who may submit.
    pub accounts: Vec<RecordedFutureAccount>,
    /// The spelling of `result.status`: `OK` or `ok`.
    pub status: String,
    /// Whether `result.summary` is present.
    pub summary: bool,
    /// More items than this in one request are a 413.
    pub max_items: usize,
    /// A body of more bytes than this is a 413.
    pub max_bytes: usize,
    /// Live items a token may store since the start; a batch that goes beyond is a 429.
    pub daily_limit: Option<u64>,
    /// Any batch that holds one of these `ioc.value`s is answered with that status, and nothing is stored.
    pub poison: Vec<(String, u16)>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            gzip: true,
            falcon: FalconWorld::default(),
            carbon_black: CarbonBlackWorld::default(),
            recorded_future: RecordedFutureWorld::default(),
        }
    }
}

impl Default for FalconWorld {
    fn default() -> Self {
        Self {
            accounts: vec![FalconAccount::new(CLIENT_ID, CLIENT_SECRET)],
            alerts: Shelf::default(),
            region: "us-1".into(),
            redirect: None,
            token_lifetime: 1799,
            rate_limit: (6000, 5999),
            last_after: Nothing::Absent,
            after_on_last_page: false,
            no_errors: Nothing::Empty,
            no_resources: Nothing::Empty,
            page_error: None,
            loose_greater: false,
            largest_page: usize::MAX,
            sign_in_epoch: 0,
            after_epoch: 0,
        }
    }
}

impl FalconAccount {
    /// An account that may do everything, without children.
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
    /// Every access token becomes unknown; the next request with one is a 401.
    pub fn expire_sign_ins(&mut self) {
        self.sign_in_epoch += 1;
    }

    /// Every `after` token becomes unknown; the next request with one is a 400.
    pub fn expire_after(&mut self) {
        self.after_epoch += 1;
    }
}

impl Default for CarbonBlackWorld {
    fn default() -> Self {
        Self {
            accounts: vec![CarbonBlackAccount {
                org_key: CB_ORG.into(),
                api_id: CB_API_ID.into(),
                secret: CB_SECRET.into(),
                alerts_read: true,
            }],
            alerts: Shelf::default(),
            num_available: true,
            largest_page: usize::MAX,
        }
    }
}

impl Default for RecordedFutureWorld {
    fn default() -> Self {
        Self {
            accounts: vec![RecordedFutureAccount {
                token: RF_TOKEN.into(),
                collective_insights: true,
            }],
            status: "OK".into(),
            summary: true,
            max_items: usize::MAX,
            max_bytes: usize::MAX,
            daily_limit: None,
            poison: Vec::new(),
        }
    }
}

impl World {
    /// The default world: one account for each service, and no alerts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes anything, in a chain of calls.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Adds Falcon alerts.
    pub fn falcon_alerts<'a>(mut self, alerts: impl IntoIterator<Item = &'a Value>) -> Self {
        self.falcon.alerts.extend(alerts);
        self
    }

    /// Adds a Falcon alert by its raw text; see [`Shelf::push_raw`].
    pub fn falcon_raw(mut self, text: impl Into<String>, like: &Value) -> Self {
        self.falcon.alerts.push_raw(text, like);
        self
    }

    /// Adds Carbon Black alerts.
    pub fn carbon_black_alerts<'a>(mut self, alerts: impl IntoIterator<Item = &'a Value>) -> Self {
        self.carbon_black.alerts.extend(alerts);
        self
    }

    /// Adds a Carbon Black alert by its raw text; see [`Shelf::push_raw`].
    pub fn carbon_black_raw(mut self, text: impl Into<String>, like: &Value) -> Self {
        self.carbon_black.alerts.push_raw(text, like);
        self
    }

    /// Waits that long before each answer.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Never compresses.
    pub fn no_gzip(mut self) -> Self {
        self.gzip = false;
        self
    }

    /// Recorded Future answers any batch that holds this `ioc.value` with that status.
    pub fn poison(mut self, value: impl Into<String>, status: u16) -> Self {
        self.recorded_future.poison.push((value.into(), status));
        self
    }
}
