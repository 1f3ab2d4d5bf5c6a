//! The log: one line an event, UTC, the run's id on every line, free of secrets and control characters.
//!
//! Only this program's own events are written. The libraries below it log headers and bodies at their
//! finer levels, which is no place for other people's secrets.

pub mod redaction;

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::SecondsFormat;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::clock::Clock;
use crate::failure::{Failure, Kind};

/// Where the log goes and how much of it.
#[derive(Debug, Clone)]
pub struct LogSettings<'a> {
    /// The file; made with mode 0600 where it is not there, else appended to.
    pub file: &'a Path,
    /// The finest level that is written.
    pub level: Level,
    /// Whether the lines also go to stderr.
    pub to_stderr: bool,
}

/// Opens the log for this process.
///
/// # Errors
/// When the file cannot be opened for writing.
pub fn start(settings: &LogSettings<'_>, run_id: &str, clock: Clock) -> Result<(), Failure> {
    let file = open(settings.file).map_err(|error| {
        Failure::new(
            Kind::Configuration,
            format!(
                "the log file {} cannot be written: {error}",
                settings.file.display()
            ),
            "Run in a folder you may write to, or name another file with --log-file.",
        )
    })?;
    let log = Log {
        file,
        level: settings.level,
        to_stderr: settings.to_stderr,
        run_id: run_id.to_owned(),
        clock,
        told_that_it_failed: AtomicBool::new(false),
    };
    // A second start in one process can only be a test's; the first log stays.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(log));
    Ok(())
}

/// Opens a log file for appending, made with mode 0600 where it is not there.
pub(crate) fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

struct Log {
    file: File,
    level: Level,
    to_stderr: bool,
    run_id: String,
    clock: Clock,
    told_that_it_failed: AtomicBool,
}

impl<S: Subscriber> Layer<S> for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with(env!("CARGO_CRATE_NAME")) && *metadata.level() <= self.level
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let time = self
            .clock
            .now()
            .to_rfc3339_opts(SecondsFormat::Millis, true);
        let level = match *event.metadata().level() {
            Level::WARN => "WARNING",
            Level::ERROR => "ERROR",
            Level::INFO => "INFO",
            _ => "DEBUG",
        };
        let line = format!(
            "{time} {level:<7} run={} {}\n",
            self.run_id,
            redaction::safe(&text.0)
        );
        if self.to_stderr {
            // Nothing can be said about a stderr that takes nothing.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
        // One write a line: concurrent writers of an appended file do not mix theirs in.
        if let Err(error) = (&self.file).write_all(line.as_bytes())
            && !self.told_that_it_failed.swap(true, Ordering::Relaxed)
        {
            let _ = writeln!(
                std::io::stderr(),
                "the log cannot be written ({error}); the run goes on without it"
            );
        }
    }
}

/// An event's message and fields as text.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = if field.name() == "message" {
            write!(self.0, "{value:?}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }
}
