//! The demo: the real program against the sandbox, for both vendors. No credentials, no network.
//!
//! `cargo run --release --example demo`
//!
//! Cargo builds no binary for an example, so this one is two programs in one file: started under the
//! name `collective-insights` it is that program, through the same door as the binary. The demo starts
//! itself under that name for each command it shows.
//!
//! What is printed is checked against what the sandbox handed out and stored. The demo fails where the
//! two differ, so that it can be run by machines too.

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use chrono::{TimeDelta, Utc};
use sandbox::seed::Recipe;
use sandbox::{
    CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, Sandbox, Service, World,
};

const PROGRAM: &str = "collective-insights";
const FALCON_ALERTS: usize = 800;
const CARBON_BLACK_ALERTS: usize = 300;
const EXCLUSION_FILE: &str = "known-good.txt";
const EXCLUSIONS: &str = ".example.net    # ours, and all names below it\n";
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
            // Nothing can be done about a stderr that takes nothing.
            let _ = writeln!(std::io::stderr(), "the demo failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is shown, in the order in which it is shown.
fn demo() -> Result<()> {
    let stage = Stage::set()?;
    say(&format!(
        "CrowdStrike Falcon, Carbon Black Cloud and Recorded Future are played on {}, with {FALCON_ALERTS} and\n\
         {CARBON_BLACK_ALERTS} made-up alerts of the last 24 hours, not all of them of a kind that is asked for. No credentials are\n\
         needed, and nothing leaves this machine.\n\n\
         $ cd {}\n\
         $ cat {EXCLUSION_FILE}\n\
         {EXCLUSIONS}",
        stage.sandbox.url(),
        stage.folder.display(),
    ));

    title("The nightly run, once for each vendor");
    let options = format!("--exclusion-file {EXCLUSION_FILE}");
    let crowdstrike = stage.run(&format!("crowdstrike {options}"))?;
    let handed_out = stage.sandbox.handed_out().falcon;
    crowdstrike.fetched_and_sent(&handed_out, stage.stored("crowdstrike:falcon"))?;
    let carbonblack = stage.run(&format!("carbonblack {options}"))?;
    let handed_out = stage.sandbox.handed_out().carbon_black;
    carbonblack.fetched_and_sent(&handed_out, stage.stored("carbonblack:cloud"))?;
    stage.nothing_excluded_was_stored()?;

    title("The same again: all is known already, and nothing is sent twice");
    let posts = stage.posts();
    for vendor in ["crowdstrike", "carbonblack"] {
        let again = stage.run(&format!("{vendor} {options}"))?;
        check("submitted again", again.number("submitted")?, 0)?;
    }
    check("requests to Recorded Future", stage.posts(), posts)?;

    title("How each source stands");
    let status = stage.run("status")?;
    check("sources", status.lines_with("read up to"), 2)?;
    check("sources with nothing waiting", status.lines_with("waiting        0"), 2)?;

    title("One item, as Recorded Future got it");
    let stored = stage.sandbox.stored();
    let first = stored.first().ok_or("nothing was stored")?;
    say(&format!("{:#}\n", first.item));

    stage.no_secret_was_written()?;
    title("All numbers above are what the sandbox handed out and stored");
    say(&format!(
        "The log:     {}\n\
         The ledger:  {}\n",
        stage.path("collective-insights.log").display(),
        stage.path("collective-insights.db").display(),
    ));
    stage.sandbox.finish();
    Ok(())
}

/// The sandbox, and a fresh folder that stays: the log in it is there to be read.
struct Stage {
    sandbox: Sandbox,
    folder: PathBuf,
}

impl Stage {
    fn set() -> Result<Self> {
        // A little short of 24 hours: the runs begin a moment after this, and read the last 24.
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
        Ok(Self { sandbox: Sandbox::start(world), folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs the real program, in a process of its own, and shows what was typed and printed.
    fn run(&self, arguments: &str) -> Result<Shown> {
        let url = self.sandbox.url();
        let of_the_system = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
            .into_iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let output = Command::new(std::env::current_exe()?)
            .arg0(PROGRAM)
            .args(arguments.split_whitespace())
            .current_dir(&self.folder)
            .env_clear()
            .envs(of_the_system)
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
        say(&format!("$ {PROGRAM} {arguments}\n{text}{errors}\n"));
        if !output.status.success() {
            return Err(format!("{PROGRAM} {arguments} ended with {}", output.status).into());
        }
        Ok(Shown { text })
    }

    /// How many items of one vendor Recorded Future keeps.
    fn stored(&self, source_type: &str) -> usize {
        let stored = self.sandbox.stored();
        let of_vendor = stored
            .iter()
            .filter(|stored| stored.item.pointer("/ioc/source_type") == Some(&source_type.into()));
        of_vendor.count()
    }

    /// How many requests Recorded Future got.
    fn posts(&self) -> usize {
        self.sandbox.requests_to(Service::RecordedFuture).len()
    }

    fn nothing_excluded_was_stored(&self) -> Result<()> {
        let stored = self.sandbox.stored();
        let excluded =
            stored.iter().filter(|stored| stored.item.to_string().contains("example.net"));
        check("excluded indicators sent", excluded.count(), 0)
    }

    /// The log and the ledger hold no secret.
    fn no_secret_was_written(&self) -> Result<()> {
        for name in ["collective-insights.log", "collective-insights.db"] {
            let found = secrets_in(&self.path(name))?;
            check(&format!("secrets in {name}"), found.len(), 0)?;
        }
        Ok(())
    }
}

/// What a command printed.
struct Shown {
    text: String,
}

impl Shown {
    /// A run that read all there was, and said the truth about what it sent.
    fn fetched_and_sent(&self, handed_out: &[String], stored: usize) -> Result<()> {
        let alerts: BTreeSet<&String> = handed_out.iter().collect();
        check("fetched", self.number("fetched")?, alerts.len())?;
        check("submitted", self.number("submitted")?, stored)?;
        check("processed", self.number("processed")?, stored)?;
        check("of something sent", usize::from(stored > 0), 1)
    }

    /// The number that the summary puts before a word.
    fn number(&self, word: &str) -> Result<usize> {
        let pieces = self.text.split([':', ';', ',', '\n']);
        let found = pieces
            .map(|piece| piece.trim().trim_start_matches("of these "))
            .filter_map(|piece| piece.split_once(' '))
            .find(|(_, after)| *after == word)
            .ok_or_else(|| format!("the summary has no number of {word}"))?;
        Ok(found.0.parse()?)
    }

    fn lines_with(&self, text: &str) -> usize {
        self.text.lines().filter(|line| line.contains(text)).count()
    }
}

fn secrets_in(path: &Path) -> Result<BTreeSet<&'static str>> {
    let content = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
    Ok(SECRETS.into_iter().filter(|secret| content.contains(secret)).collect())
}

fn check(what: &str, shown: usize, real: usize) -> Result<()> {
    if shown == real {
        Ok(())
    } else {
        Err(format!("{what}: {shown}, and it should be {real}").into())
    }
}

fn title(text: &str) {
    say(&format!("--- {text} ---\n\n"));
}

/// Writes to stdout. A reader that went away (`| head`) is no failure of the demo.
fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
