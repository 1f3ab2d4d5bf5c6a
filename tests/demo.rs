//! The demo: runs the real program against the sandbox, for both vendors. It needs no credentials
//! and no network.
//!
//! `cargo run --release --example demo`
//!
//! Cargo does not build the binary for an example, so this one is two programs in one file: started
//! under the name `collective-insights` it runs the same `main` as the binary. The demo starts
//! itself under that name for each command that it shows.
//!
//! It compares the printed numbers with what the sandbox served and stored, and fails if they
//! differ, so that CI can run it.

#[path = "demo/choices.rs"]
mod choices;

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use choices::Source;
use chrono::{TimeDelta, Utc};
use sandbox::seed::Recipe;
use sandbox::{
    CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, Sandbox, Service, World,
};

const PROGRAM: &str = "collective-insights";
const FALCON_ALERTS: usize = 800;
const CARBON_BLACK_ALERTS: usize = 300;
const EXCLUSION_FILE: &str = "known-good.txt";
const EXCLUSIONS: &str = ".example.net    # our own domain and its subdomains\n";
const REPORT_FILE: &str = "report.html";
const SECRETS: [&str; 5] = [CLIENT_ID, CLIENT_SECRET, CB_API_ID, CB_SECRET, RF_TOKEN];

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments.next().as_deref() == Some(OsStr::new(PROGRAM)) {
        return collective_insights::main(std::env::args_os());
    }
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If stderr cannot be written, the exit code still reports the error.
            let _ = writeln!(std::io::stderr(), "the demo failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Shows the parts of the demo in order.
fn demo() -> Result<()> {
    let env = DemoEnv::new()?;
    print(&format!(
        "The sandbox on {} simulates CrowdStrike Falcon, Carbon Black Cloud and Recorded Future,\n\
         with {FALCON_ALERTS} and {CARBON_BLACK_ALERTS} invented alerts from the last 24 hours. Some are of types that are not requested.\n\
         No credentials are needed, and nothing is sent to other machines.\n\n\
         $ cd {}\n\
         $ cat {EXCLUSION_FILE}\n\
         {EXCLUSIONS}\n",
        env.sandbox.url(),
        env.folder.display(),
    ));

    title("What is shared: by the rule of the Python scripts, and with the recommended options");
    let options = format!("--exclusion-file {EXCLUSION_FILE}");
    for source in &env.sources {
        source.compare(&env, &options)?;
    }
    check("requests to Recorded Future", env.posts(), 0)?;
    let daily_run = |source: &Source| format!("{} {} {options}", source.name, source.recommended);

    title("The daily run, once per vendor");
    let [carbon_black, crowdstrike] = &env.sources;
    let output = env.run(&daily_run(crowdstrike))?;
    let served_alerts = env.sandbox.served_alerts().falcon;
    output.check_counts(&served_alerts, env.stored("crowdstrike:falcon"))?;
    let output = env.run(&daily_run(carbon_black))?;
    let served_alerts = env.sandbox.served_alerts().carbon_black;
    output.check_counts(&served_alerts, env.stored("carbonblack:cloud"))?;
    env.check_exclusions()?;

    title("The same runs again: everything was delivered already, and nothing is sent twice");
    let posts = env.posts();
    for source in [crowdstrike, carbon_black] {
        let output = env.run(&daily_run(source))?;
        check("sent again", output.number("sent")?, 0)?;
    }
    check("requests to Recorded Future", env.posts(), posts)?;

    title("The status of each source");
    let status = env.run("status")?;
    check("sources", status.lines_with("read until"), 2)?;
    check("sources with an empty outbox", status.lines_with("queued         0"), 2)?;

    title("One item, as Recorded Future received it");
    let stored = env.sandbox.stored();
    let first = stored.first().ok_or("nothing was stored")?;
    print(&format!("{:#}\n\n", first.item));

    title("The report of all that was sent, for a browser");
    let sent = env.stored("crowdstrike:falcon") + env.stored("carbonblack:cloud");
    env.run(&format!("report --html {REPORT_FILE}"))?;
    check_report(&std::fs::read_to_string(env.path(REPORT_FILE))?, sent)?;

    env.check_secrets()?;
    title("All numbers above match what the sandbox served and stored");
    print(&format!(
        "Log:     {}\n\
         Ledger:  {}\n\
         Report:  {} (open it in a browser)\n",
        env.path("collective-insights.log").display(),
        env.path("collective-insights.db").display(),
        env.path(REPORT_FILE).display(),
    ));
    env.sandbox.finish();
    Ok(())
}

/// The sandbox, and a new working folder. The folder is kept, so that the log can be read.
struct DemoEnv {
    sandbox: Sandbox,
    sources: [Source; 2],
    folder: PathBuf,
}

impl DemoEnv {
    fn new() -> Result<Self> {
        // Less than 24 hours, because the runs start later and read the last 24 hours.
        let now = Utc::now();
        let recipe = |count| Recipe {
            start: now - TimeDelta::minutes(24 * 60 - 10),
            distinct: 60,
            seed: 3,
            ..Recipe::new(count, now)
        };
        let world = World::default()
            .seed_falcon(&recipe(FALCON_ALERTS))
            .seed_carbon_black(&recipe(CARBON_BLACK_ALERTS));
        let folder = tempfile::Builder::new().prefix("collective-insights-demo-").tempdir()?.keep();
        std::fs::write(folder.join(EXCLUSION_FILE), EXCLUSIONS)?;
        let sources = [
            choices::carbon_black(&recipe(CARBON_BLACK_ALERTS)),
            choices::crowdstrike(&recipe(FALCON_ALERTS)),
        ];
        Ok(Self { sandbox: Sandbox::start(world), sources, folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs the program, and prints the command and its output.
    fn run(&self, arguments: &str) -> Result<CommandOutput> {
        let output = self.output(arguments)?;
        print(&format!("$ {PROGRAM} {arguments}\n{}{}\n", output.text, output.errors));
        Ok(output)
    }

    /// Runs the real program in its own process, and returns what it prints.
    fn output(&self, arguments: &str) -> Result<CommandOutput> {
        let url = self.sandbox.url();
        let system_certificates = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
            .into_iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let output = Command::new(std::env::current_exe()?)
            .arg0(PROGRAM)
            .args(arguments.split_whitespace())
            .current_dir(&self.folder)
            .env_clear()
            .envs(system_certificates)
            .env("STATE_DIRECTORY", &self.folder)
            .env("COLLECTIVE_INSIGHTS_CONFIG", "/dev/null")
            .envs([
                ("CS_BASE_URL", url.as_str()),
                ("CS_CLIENT_ID", CLIENT_ID),
                ("CS_CLIENT_SECRET", CLIENT_SECRET),
                ("CB_HOSTNAME", &url),
                ("CB_ORG_ID", CB_ORG),
                ("CB_API_ID", CB_API_ID),
                ("CB_SECRET", CB_SECRET),
                ("RF_API_URL", &url),
                ("RF_API_KEY", RF_TOKEN),
            ])
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let errors = String::from_utf8(output.stderr)?;
        if !output.status.success() {
            print(&text);
            return Err(format!("{PROGRAM} {arguments}: {}\n{errors}", output.status).into());
        }
        Ok(CommandOutput { text, errors })
    }

    /// Returns the number of items of one vendor that Recorded Future stored.
    fn stored(&self, source_type: &str) -> usize {
        let stored = self.sandbox.stored();
        let of_vendor = stored
            .iter()
            .filter(|stored| stored.item.pointer("/ioc/source_type") == Some(&source_type.into()));
        of_vendor.count()
    }

    /// Returns the number of requests to Recorded Future.
    fn posts(&self) -> usize {
        self.sandbox.requests_to(Service::RecordedFuture).len()
    }

    /// Checks that no excluded indicator was stored.
    fn check_exclusions(&self) -> Result<()> {
        let stored = self.sandbox.stored();
        let excluded =
            stored.iter().filter(|stored| stored.item.to_string().contains("example.net"));
        check("excluded indicators sent", excluded.count(), 0)
    }

    /// Checks that the log, the ledger and the report contain no secret.
    fn check_secrets(&self) -> Result<()> {
        for name in ["collective-insights.log", "collective-insights.db", REPORT_FILE] {
            let found = secrets_in(&self.path(name))?;
            check(&format!("secrets in {name}"), found.len(), 0)?;
        }
        Ok(())
    }
}

/// The output of a command on stdout and on stderr.
struct CommandOutput {
    text: String,
    errors: String,
}

impl CommandOutput {
    /// Checks that a run read all alerts, and that its counts match what was stored.
    fn check_counts(&self, served_alerts: &[String], stored: usize) -> Result<()> {
        let alerts: BTreeSet<&String> = served_alerts.iter().collect();
        check("fetched", self.number("fetched")?, alerts.len())?;
        check("sent", self.number("sent")?, stored)?;
        check("processed", self.number("processed")?, stored)?;
        if stored == 0 { Err("nothing was sent".into()) } else { Ok(()) }
    }

    /// Returns the number before a word in the summary.
    fn number(&self, word: &str) -> Result<usize> {
        let words = self.text.split_whitespace();
        words
            .clone()
            .zip(words.skip(1))
            .filter(|(_, after)| after.trim_end_matches(',') == word)
            .find_map(|(number, _)| number.replace(',', "").parse().ok())
            .ok_or_else(|| format!("the summary has no number for {word:?}").into())
    }

    fn lines_with(&self, text: &str) -> usize {
        self.text.lines().filter(|line| line.contains(text)).count()
    }
}

/// Checks the number of shared indicators on the page of the report.
fn check_report(page: &str, sent: usize) -> Result<()> {
    let (_, rest) = page.split_once("indicators shared</span>").ok_or("the page has no number")?;
    let (_, rest) = rest.split_once("value=\"").ok_or("the page has no number")?;
    let number = rest.split('"').next().unwrap_or_default();
    check("indicators shared in the report", number.parse()?, sent)
}

fn secrets_in(path: &Path) -> Result<BTreeSet<&'static str>> {
    let content = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
    Ok(SECRETS.into_iter().filter(|secret| content.contains(secret)).collect())
}

/// Fails if a number is not the expected one.
fn check(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: {found}, expected {expected}").into())
    }
}

fn title(text: &str) {
    print(&format!("--- {text} ---\n\n"));
}

/// Writes to stdout. A closed pipe (`| head`) is not an error.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
