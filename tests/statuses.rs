//! Every HTTP status from 100 to 599, answered by each service over real HTTP, and what becomes of it.
//! No status may be left to chance: [`VERDICTS`] is the snapshot.

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
use crate::recorded_future::{self, Client, Outcome};
use crate::selection::Thresholds;
use crate::shutdown::Shutdown;
use crate::sources::crowdstrike::Address;
use crate::sources::{Source, carbonblack, crowdstrike};
use crate::window::Window;

/// The statuses, how often the request was sent, and how it ended: `alerts` and `delivered` are successes,
/// everything else a verdict or the kind of the failure. A 2xx is answered with a JSON object that says
/// nothing: Recorded Future's is taken as accepted, a vendor's must not pass for a page or a token.
const VERDICTS: &str = "\
FalconToken
  100  5 x temporary
  101  1 x unexpected
  102-299  5 x temporary
  300-399  1 x configuration
  400-401  1 x credentials
  402  1 x unexpected
  403  1 x credentials
  404  1 x configuration
  405-428  1 x unexpected
  429  5 x temporary
  430-499  1 x unexpected
  500  5 x temporary
  501  1 x temporary
  502-504  5 x temporary
  505-599  1 x temporary
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
  405-428  1 x unexpected
  429  5 x temporary
  430-499  1 x unexpected
  500  5 x temporary
  501  1 x temporary
  502-504  5 x temporary
  505-599  1 x temporary
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
  405-428  1 x unexpected
  429  5 x temporary
  430-499  1 x unexpected
  500  5 x temporary
  501  1 x temporary
  502-504  5 x temporary
  505-599  1 x temporary
RecordedFuture
  100  5 x try again, temporary
  101  1 x fatal, unexpected
  102-199  5 x try again, temporary
  200-299  1 x delivered
  300-399  1 x fatal, configuration
  400  1 x halve
  401  1 x fatal, credentials
  402  1 x fatal, unexpected
  403  1 x fatal, credentials
  404  1 x fatal, configuration
  405-412  1 x fatal, unexpected
  413  1 x halve
  414-421  1 x fatal, unexpected
  422  1 x halve
  423-428  1 x fatal, unexpected
  429  5 x try again, temporary
  430-499  1 x fatal, unexpected
  500  5 x try again, temporary
  501  1 x try again, temporary
  502-504  5 x try again, temporary
  505-599  1 x try again, temporary
";

const SERVICES: [Service; 4] =
    [Service::FalconToken, Service::FalconAlerts, Service::CarbonBlack, Service::RecordedFuture];

fn falcon(base: &Url) -> Box<dyn Source> {
    Box::new(crowdstrike::Config {
        client_id: CLIENT_ID.into(),
        client_secret: CLIENT_SECRET.into(),
        member_cid: None,
        address: Address::Fixed(base.clone()),
        thresholds: Thresholds::default(),
        concurrency: 1,
    })
}

fn carbon_black(base: &Url) -> Box<dyn Source> {
    Box::new(carbonblack::Config {
        base: base.clone(),
        org_key: CB_ORG.into(),
        secret: CB_SECRET.into(),
        api_id: CB_API_ID.into(),
        indicator: carbonblack::HashChoice::Process,
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

async fn submit(http: &Http, base: &Url) -> String {
    let settings = recorded_future::Settings {
        base: base.clone(),
        token: RF_TOKEN.into(),
        organization_ids: Vec::new(),
    };
    let item = serde_json::value::to_raw_value(&1).unwrap();
    let client = Client::new(http, &settings, false).unwrap();
    let named = |verdict: &str, failure: &Failure| format!("{verdict}, {}", failure.kind.name());
    match client.submit(&[&item]).await {
        Outcome::Delivered(_) => "delivered".into(),
        Outcome::Transient(failure) => named("try again", &failure),
        Outcome::Rejected(_) => "halve".into(),
        Outcome::QuotaExhausted(failure) => named("stop for today", &failure),
        Outcome::Fatal(failure) => named("fatal", &failure),
    }
}

async fn ask(http: &Http, service: Service, base: &Url) -> String {
    match service {
        Service::FalconToken | Service::FalconAlerts => read(http, falcon(base).as_ref()).await,
        Service::CarbonBlack => read(http, carbon_black(base).as_ref()).await,
        Service::RecordedFuture => submit(http, base).await,
    }
}

/// What becomes of a final answer, with the number of requests it took.
async fn verdict(http: &Http, service: Service, code: u16) -> String {
    let sandbox = Sandbox::start(World::default());
    sandbox.always(service, Some(Fault::status(code, r#"{"message":"no"}"#)));
    let base = sandbox.url().parse().unwrap();
    let verdict = ask(http, service, &base).await;
    format!("{} x {verdict}", sandbox.requests_to(service).len())
}

/// HTTP gives no final answer below 200, so a service has to break the rules for it: it says this much and
/// hangs up.
async fn informational(http: &Http, service: Service, code: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    // It waits for a further connection when the test ends, and goes with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            counter.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(format!("HTTP/1.1 {code} No\r\n\r\n").as_bytes());
        }
    });
    let verdict = ask(http, service, &base.parse().unwrap()).await;
    format!("{} x {verdict}", asked.load(Ordering::SeqCst))
}

#[tokio::test]
async fn every_status_has_its_verdict() {
    let (_signals, stop) = Shutdown::new();
    let network = http::NetworkOptions {
        ca_cert: None,
        connect_timeout: Duration::from_secs(10),
        timeout: Duration::from_mins(2),
    };
    let http = Http::new(&network, Clock::without_waits(), Duration::from_mins(10), stop).unwrap();
    let mut told = String::new();
    for service in SERVICES {
        writeln!(told, "{service:?}").unwrap();
        let mut last: Option<(u16, u16, String)> = None;
        let mut tell = |(first, end, verdict): (u16, u16, String)| {
            let range = if first == end { first.to_string() } else { format!("{first}-{end}") };
            writeln!(told, "  {range}  {verdict}").unwrap();
        };
        for code in 100..600 {
            let verdict = match code {
                ..200 => informational(&http, service, code).await,
                _ => verdict(&http, service, code).await,
            };
            match &mut last {
                Some((_, end, same)) if *same == verdict => *end = code,
                _ => {
                    if let Some(range) = last.replace((code, code, verdict)) {
                        tell(range);
                    }
                }
            }
        }
        tell(last.unwrap());
    }
    assert!(told == VERDICTS, "the verdicts are now:\n{told}");
}
