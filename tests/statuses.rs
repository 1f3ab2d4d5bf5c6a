//! Tests the program's reaction to every HTTP status from 100 to 599 of each service, over real
//! HTTP. [`OUTCOMES`] contains the expected reactions.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Url;
use sandbox::{
    CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, Fault, RF_TOKEN, Sandbox, Service,
    World,
};

use crate::clock::Clock;
use crate::failure::Failure;
use crate::http::{self, Http};
use crate::recorded_future::{self, Client, DetectionTimes, Outcome, Query};
use crate::selection::Thresholds;
use crate::shutdown::Shutdown;
use crate::sources::crowdstrike::Address;
use crate::sources::{Source, carbonblack, crowdstrike};
use crate::window::Window;

/// The statuses, how often the request was sent, and how it ended: `alerts` and `delivered` are
/// successes, everything else an outcome or the kind of the failure. After `lasting`, another
/// search would fail as well. The body of a 2xx is a JSON object without the expected keys: not a
/// page, a token or a receipt.
const OUTCOMES: &str = "\
FalconToken
  100  5 x temporary
  101  1 x unexpected
  102-299  5 x temporary
  300-399  1 x configuration
  400-401  1 x credentials
  402  1 x unexpected
  403  1 x credentials
  404  1 x configuration
  405-407  1 x unexpected
  408  5 x temporary
  409-424  1 x unexpected
  425  5 x temporary
  426-428  1 x unexpected
  429  5 x temporary
  430-499  1 x unexpected
  500  5 x temporary
  501  1 x temporary
  502-504  5 x temporary
  505-519  1 x temporary
  520-527  5 x temporary
  528  1 x temporary
  529-530  5 x temporary
  531-599  1 x temporary
FalconToken, with a code of rejected credentials in the body
  100  5 x temporary
  101  1 x unexpected
  102-299  5 x temporary
  300-399  1 x configuration
  400-401  1 x credentials
  402  1 x unexpected
  403  1 x credentials
  404  1 x configuration
  405-407  1 x unexpected
  408  5 x temporary
  409-424  1 x unexpected
  425  5 x temporary
  426-428  1 x unexpected
  429  5 x temporary
  430-499  1 x unexpected
  500-599  1 x credentials
FalconAlerts
  100  5 x temporary
  101  1 x unexpected
  102-299  5 x temporary
  300-399  1 x configuration
  400  1 x unexpected
  401  2 x credentials
  402  1 x unexpected
  403  1 x credentials
  404  1 x configuration
  405-407  1 x unexpected
  408  5 x temporary
  409-424  1 x unexpected
  425  5 x temporary
  426-428  1 x unexpected
  429  5 x temporary
  430-499  1 x unexpected
  500  5 x temporary
  501  1 x temporary
  502-504  5 x temporary
  505-519  1 x temporary
  520-527  5 x temporary
  528  1 x temporary
  529-530  5 x temporary
  531-599  1 x temporary
CarbonBlack
  100  5 x temporary
  101  1 x unexpected
  102-299  5 x temporary
  300-399  1 x configuration
  400  1 x unexpected
  401  1 x credentials
  402  1 x unexpected
  403  1 x credentials
  404  1 x configuration
  405-407  1 x unexpected
  408  5 x temporary
  409  1 x unexpected
  410  1 x configuration
  411-424  1 x unexpected
  425  5 x temporary
  426-428  1 x unexpected
  429  5 x temporary
  430-499  1 x unexpected
  500  5 x temporary
  501  1 x temporary
  502-504  5 x temporary
  505-519  1 x temporary
  520-527  5 x temporary
  528  1 x temporary
  529-530  5 x temporary
  531-599  1 x temporary
RecordedFuture
  100  5 x temporary, temporary
  101  1 x fatal, unexpected
  102-299  5 x temporary, temporary
  300-399  1 x fatal, configuration
  400  1 x rejected
  401  1 x fatal, credentials
  402  1 x fatal, unexpected
  403  1 x fatal, credentials
  404  1 x fatal, configuration
  405-407  1 x fatal, unexpected
  408  5 x temporary, temporary
  409-412  1 x fatal, unexpected
  413  1 x rejected
  414-421  1 x fatal, unexpected
  422  1 x rejected
  423-424  1 x fatal, unexpected
  425  5 x temporary, temporary
  426-428  1 x fatal, unexpected
  429  5 x temporary, temporary
  430-499  1 x fatal, unexpected
  500  5 x temporary, temporary
  501  1 x temporary, temporary
  502-504  5 x temporary, temporary
  505-519  1 x temporary, temporary
  520-527  5 x temporary, temporary
  528  1 x temporary, temporary
  529-530  5 x temporary, temporary
  531-599  1 x temporary, temporary
Search
  100  5 x temporary
  101  1 x unexpected, lasting
  102-299  5 x temporary
  300-399  1 x configuration, lasting
  400  1 x unexpected, lasting
  401  1 x credentials
  402  1 x unexpected, lasting
  403  1 x credentials, lasting
  404  1 x configuration, lasting
  405-407  1 x unexpected, lasting
  408  5 x temporary
  409-424  1 x unexpected, lasting
  425  5 x temporary
  426-428  1 x unexpected, lasting
  429  5 x temporary
  430-499  1 x unexpected, lasting
  500  5 x temporary
  501  1 x temporary
  502-504  5 x temporary
  505-519  1 x temporary
  520-527  5 x temporary
  528  1 x temporary
  529-530  5 x temporary
  531-599  1 x temporary
";

/// The title of each part of [`OUTCOMES`], the service, and the body of its responses.
const PARTS: [(&str, Service, &str); 6] = [
    ("FalconToken", Service::FalconToken, ERROR_BODY),
    (
        "FalconToken, with a code of rejected credentials in the body",
        Service::FalconToken,
        r#"{"errors":[{"code":401,"message":"no"}]}"#,
    ),
    ("FalconAlerts", Service::FalconAlerts, ERROR_BODY),
    ("CarbonBlack", Service::CarbonBlack, ERROR_BODY),
    ("RecordedFuture", Service::RecordedFuture, ERROR_BODY),
    ("Search", Service::Search, ERROR_BODY),
];
/// A body without the expected keys.
const ERROR_BODY: &str = r#"{"message":"no"}"#;

fn falcon(base: &Url) -> Box<dyn Source> {
    Box::new(crowdstrike::Config {
        client_id: CLIENT_ID.into(),
        client_secret: CLIENT_SECRET.into(),
        member_cid: None,
        all_cids: false,
        address: Address::Fixed(base.clone()),
        thresholds: Thresholds::default(),
        indicator: crowdstrike::IndicatorChoice::Ioc,
        concurrency: 1,
    })
}

fn carbon_black(base: &Url) -> Box<dyn Source> {
    Box::new(carbonblack::Config {
        base: base.clone(),
        org_key: CB_ORG.into(),
        secret: CB_SECRET.into(),
        api_id: CB_API_ID.into(),
        min_severity: 0,
        indicator: carbonblack::IndicatorChoice::Process,
        skip_trusted: false,
        concurrency: 1,
    })
}

async fn read(http: &Http, source: &dyn Source) -> String {
    let window = Window {
        start: "2026-11-21T00:15:00Z".parse().unwrap(),
        end: "2026-11-22T00:15:00Z".parse().unwrap(),
    };
    match source.reader(http, window).next_page().await {
        Ok(_) => "alerts".into(),
        Err(failure) => failure.kind.name().into(),
    }
}

fn client(http: &Http, base: &Url) -> Client {
    let config = recorded_future::Config {
        base: base.clone(),
        token: RF_TOKEN.into(),
        organization_ids: Vec::new(),
    };
    Client::new(http, &config, false).unwrap()
}

async fn search(http: &Http, base: &Url) -> String {
    let times = DetectionTimes {
        from: "2026-11-21T00:15:00Z".parse().unwrap(),
        to: "2026-11-22T00:15:00Z".parse().unwrap(),
    };
    let query = Query { times, types: BTreeSet::new(), organizations: Vec::new() };
    match client(http, base).search(&query, |_| ()).await {
        Ok(_) => "found".into(),
        Err(error) => {
            let lasting = if error.is_lasting { ", lasting" } else { "" };
            format!("{}{lasting}", error.failure.kind.name())
        }
    }
}

async fn submit(http: &Http, base: &Url) -> String {
    let item = serde_json::value::to_raw_value(&1).unwrap();
    let client = client(http, base);
    let named = |outcome: &str, failure: &Failure| format!("{outcome}, {}", failure.kind.name());
    match client.submit(&[&item]).await.outcome {
        Outcome::Delivered(_) => "delivered".into(),
        Outcome::Temporary(failure) => named("temporary", &failure),
        Outcome::Rejected(_) => "rejected".into(),
        Outcome::QuotaExhausted(failure) => named("quota exhausted", &failure),
        Outcome::Fatal(failure) => named("fatal", &failure),
    }
}

async fn request(http: &Http, service: Service, base: &Url) -> String {
    match service {
        Service::FalconToken | Service::FalconAlerts => read(http, falcon(base).as_ref()).await,
        Service::CarbonBlack => read(http, carbon_black(base).as_ref()).await,
        Service::RecordedFuture => submit(http, base).await,
        Service::Search => search(http, base).await,
    }
}

/// Returns the number of requests and the outcome for a final response.
async fn outcome(http: &Http, service: Service, code: u16, body: &str) -> String {
    let sandbox = Sandbox::start(World::default());
    sandbox.always(service, Some(Fault::status(code, body)));
    let base = sandbox.url().parse().unwrap();
    let outcome = request(http, service, &base).await;
    format!("{} x {outcome}", sandbox.requests_to(service).len())
}

/// Does the same for a status below 200, which is never a final response: this server violates
/// HTTP, sends only the status and closes the connection.
async fn informational(http: &Http, service: Service, code: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    // The thread waits for a further connection when the test ends, and ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            counter.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(format!("HTTP/1.1 {code} No\r\n\r\n").as_bytes());
        }
    });
    let outcome = request(http, service, &base.parse().unwrap()).await;
    format!("{} x {outcome}", requests.load(Ordering::SeqCst))
}

#[tokio::test]
async fn every_status_has_its_outcome() {
    let (_signals, shutdown) = Shutdown::new();
    let network = http::NetworkOptions {
        ca_cert: None,
        connect_timeout: Duration::from_secs(10),
        timeout: Duration::from_mins(2),
    };
    let http =
        Http::new(&network, Clock::without_waits(), Duration::from_mins(10), shutdown).unwrap();
    let mut actual = String::new();
    for (title, service, body) in PARTS {
        writeln!(actual, "{title}").unwrap();
        let mut last: Option<(u16, u16, String)> = None;
        let mut write = |(first, end, outcome): (u16, u16, String)| {
            let range = if first == end { first.to_string() } else { format!("{first}-{end}") };
            writeln!(actual, "  {range}  {outcome}").unwrap();
        };
        for code in 100..600 {
            let outcome = match code {
                ..200 => informational(&http, service, code).await,
                _ => outcome(&http, service, code, body).await,
            };
            match &mut last {
                Some((_, end, same)) if *same == outcome => *end = code,
                _ => {
                    if let Some(range) = last.replace((code, code, outcome)) {
                        write(range);
                    }
                }
            }
        }
        write(last.unwrap());
    }
    assert!(actual == OUTCOMES, "the outcomes are now:\n{actual}");
}
