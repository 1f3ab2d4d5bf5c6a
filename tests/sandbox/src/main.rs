//! Runs the sandbox on its own, to try the program by hand: `sandbox --falcon 5000 --carbonblack
//! 5000`.

use std::time::Duration;

use sandbox::seed::{Recipe, Size, customer_cid};
use sandbox::world::{FalconAccount, RecordedFutureAccount};
use sandbox::{CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, Sandbox, World};

const USAGE: &str = "\
usage: sandbox [--port N] [--falcon N] [--carbonblack N] [--days N] [--latency-ms N]
               [--customers N] [--accounts N] [--full-size | --large] [--own-indicators]
               [--search] [--no-gzip] [--tls [--http1 | --http2]]

  --port N          port on 127.0.0.1 (default: any free port)
  --falcon N        CrowdStrike Falcon alerts to generate (default: 1000)
  --carbonblack N   Carbon Black alerts to generate (default: 1000)
  --days N          days before now in which the alerts are created, evenly (default: 1)
  --customers N     CrowdStrike customers that the alerts belong to: a parent account and its
                    children, whose CIDs are printed (default: 1)
  --accounts N      CrowdStrike API clients that see all alerts, whose ids are printed; they have
                    the same secret, and their ids are Recorded Future keys too (default: 1)
  --latency-ms N    milliseconds to wait before each response (default: 0)
  --full-size       alerts of about 3.7 KB, like real ones
  --large           alerts of 6 to 8 KB, of which 2 KB cannot be compressed
  --own-indicators  every CrowdStrike alert names a hash of its own
  --search          keep what is submitted, so that Recorded Future's search finds it
  --no-gzip         never compress, so that measurements do not include it
  --tls             use TLS, with HTTP/2 and HTTP/1.1; the file with the certificate of its new
                    authority is printed as SSL_CERT_FILE
  --http1           with --tls: offer HTTP/1.1 only
  --http2           with --tls: offer HTTP/2 only, so that a client without it fails";

struct Options {
    port: u16,
    falcon: usize,
    carbon_black: usize,
    days: u32,
    customers: usize,
    accounts: usize,
    latency: Duration,
    size: Size,
    own_indicators: bool,
    gzip: bool,
    search: bool,
    tls: bool,
    http1: bool,
    http2: bool,
}

fn main() {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\n\n{USAGE}");
            std::process::exit(2);
        }
    };
    let world = world(&options);
    match Sandbox::start_on(options.port, world) {
        Ok(sandbox) => {
            print_environment(&sandbox);
            for number in 1..options.customers {
                println!("# For --member-cid: {}", customer_cid(number));
            }
            for number in 1..options.accounts {
                println!("# For --client-id: {}", client_id(number));
            }
            sandbox.serve_forever(options.search);
        }
        Err(error) => {
            eprintln!("cannot listen on port {}: {error}", options.port);
            std::process::exit(1);
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        port: 0,
        falcon: 1000,
        carbon_black: 1000,
        days: 1,
        customers: 1,
        accounts: 1,
        latency: Duration::ZERO,
        size: Size::Small,
        own_indicators: false,
        gzip: true,
        search: false,
        tls: false,
        http1: false,
        http2: false,
    };
    while let Some(flag) = args.next() {
        let mut number = || -> Result<u64, String> {
            let value = args.next().ok_or_else(|| format!("{flag} needs a number"))?;
            value.parse().map_err(|_| format!("{flag}: {value:?} is not a number"))
        };
        let too_large = |_| "the number is too large".to_owned();
        match flag.as_str() {
            "--port" => options.port = number()?.try_into().map_err(too_large)?,
            "--falcon" => options.falcon = number()?.try_into().map_err(too_large)?,
            "--carbonblack" => options.carbon_black = number()?.try_into().map_err(too_large)?,
            "--days" => options.days = number()?.try_into().map_err(too_large)?,
            "--customers" => options.customers = number()?.try_into().map_err(too_large)?,
            "--accounts" => options.accounts = number()?.try_into().map_err(too_large)?,
            "--latency-ms" => options.latency = Duration::from_millis(number()?),
            "--full-size" => options.size = Size::Full,
            "--large" => options.size = Size::Large,
            "--own-indicators" => options.own_indicators = true,
            "--no-gzip" => options.gzip = false,
            "--search" => options.search = true,
            "--tls" => options.tls = true,
            "--http1" => options.http1 = true,
            "--http2" => options.http2 = true,
            _ => return Err(format!("unknown flag {flag:?}")),
        }
    }
    if options.customers == 0 {
        return Err("--customers must be at least 1".to_owned());
    }
    if (options.http1 || options.http2) && !options.tls {
        return Err("--http1 and --http2 require --tls".to_owned());
    }
    if options.http1 && options.http2 {
        return Err("--http1 and --http2 exclude each other".to_owned());
    }
    Ok(options)
}

fn world(options: &Options) -> World {
    let now = chrono::Utc::now();
    let recipe = |count| Recipe {
        start: now - chrono::TimeDelta::days(options.days.into()),
        size: options.size,
        own_indicators: options.own_indicators,
        customers: options.customers,
        ..Recipe::new(count, now)
    };
    let world = match options {
        Options { tls: false, .. } => World::default(),
        Options { http1: true, .. } => World::default().tls_http1(),
        Options { http2: true, .. } => World::default().tls_http2(),
        _ => World::default().tls(),
    };
    world
        .latency(options.latency)
        .with(|world| {
            world.gzip = options.gzip;
            let others = (1..options.accounts).map(client_id);
            let others = others.map(|id| FalconAccount::new(&id, CLIENT_SECRET));
            world.falcon.accounts.extend(others);
            let keys = (1..options.accounts).map(|number| RecordedFutureAccount {
                token: client_id(number),
                collective_insights: true,
            });
            world.recorded_future.accounts.extend(keys);
        })
        .seed_falcon(&recipe(options.falcon))
        .seed_carbon_black(&recipe(options.carbon_black))
}

/// Returns the id of an additional API client, which has the same secret as the default client.
fn client_id(number: usize) -> String {
    format!("{number:032x}")
}

fn print_environment(sandbox: &Sandbox) {
    if let Some(pem) = sandbox.ca_pem() {
        let name = format!("sandbox-ca-{}.pem", sandbox.port());
        let file = std::env::temp_dir().join(name);
        match std::fs::write(&file, pem) {
            Ok(()) => println!("export SSL_CERT_FILE='{}'", file.display()),
            Err(error) => {
                eprintln!("cannot write {}: {error}", file.display());
                std::process::exit(1);
            }
        }
    }
    let url = sandbox.url();
    println!(
        "# The sandbox listens on {url}. Paste these lines into the shell that runs the program:"
    );
    println!("export STATE_DIRECTORY=\"$PWD\" # for a ledger of its own");
    for (key, value) in [
        ("CS_BASE_URL", url.as_str()),
        ("CS_CLIENT_ID", CLIENT_ID),
        ("CS_CLIENT_SECRET", CLIENT_SECRET),
        ("CB_HOSTNAME", url.as_str()),
        ("CB_ORG_ID", CB_ORG),
        ("CB_API_ID", CB_API_ID),
        ("CB_SECRET", CB_SECRET),
        ("RF_API_URL", url.as_str()),
        ("RF_API_KEY", RF_TOKEN),
    ] {
        println!("export {key}='{value}'");
    }
}
