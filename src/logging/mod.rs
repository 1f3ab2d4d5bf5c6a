//! The log: one line an event, UTC, the run's id on every line, free of secrets and control characters.
//!
//! Only this program's own events are written. The libraries below it log headers and bodies at their
//! finer levels, which is no place for other people's secrets.

mod file;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::SecondsFormat;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

pub use self::file::{enable_rotation, open};

use self::file::LogFile;
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::redact;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Time, level, run id and message, for people.
    Text,
    /// A JSON object with the same, for machines.
    Json,
}

/// Where the log goes and how much of it.
#[derive(Debug, Clone)]
pub struct LogSettings<'a> {
    /// The file; made with mode 0600 where it is not there, else appended to. `None` for no file.
    pub file: Option<&'a Path>,
    /// Bytes, beyond which the file is rotated.
    pub max_size: u64,
    /// How many rotated files are kept.
    pub keep: u8,
    /// How a line looks.
    pub format: Format,
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
    let open = |path: &Path| {
        LogFile::new(path, settings.max_size, settings.keep)
            .map_err(|error| unwritable(path, &error))
    };
    let log = Log {
        file: settings.file.map(open).transpose()?,
        format: settings.format,
        level: settings.level,
        to_stderr: settings.to_stderr,
        run_id: run_id.to_owned(),
        clock,
        failure_reported: AtomicBool::new(false),
    };
    // A second start in one process can only be a test's; the first log stays.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(log));
    Ok(())
}

/// The failure of a log file that cannot be opened.
#[must_use]
pub fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!("the log file {} cannot be written: {error}", path.display()),
        "Run in a folder you may write to, or name another file with --log-file.",
    )
}

struct Log {
    file: Option<LogFile>,
    format: Format,
    level: Level,
    to_stderr: bool,
    run_id: String,
    clock: Clock,
    failure_reported: AtomicBool,
}

impl<S: Subscriber> Layer<S> for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with(env!("CARGO_CRATE_NAME")) && *metadata.level() <= self.level
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let line = self.line(*event.metadata().level(), &redact::sanitize(&text.0));
        if self.to_stderr {
            // Nothing can be said about a stderr that takes nothing.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
        if let Some(Err(error)) = self.file.as_ref().map(|file| file.write(&line))
            && !self.failure_reported.swap(true, Ordering::Relaxed)
        {
            let _ = writeln!(
                std::io::stderr(),
                "the log cannot be written ({error}); the run goes on without it"
            );
        }
    }
}

impl Log {
    fn line(&self, level: Level, message: &str) -> String {
        let time = self.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let level = match level {
            Level::WARN => "WARNING",
            Level::ERROR => "ERROR",
            Level::INFO => "INFO",
            _ => "DEBUG",
        };
        match self.format {
            Format::Text => format!("{time} {level:<7} run={} {message}\n", self.run_id),
            Format::Json => {
                let line =
                    json!({"time": time, "level": level, "run": self.run_id, "message": message});
                format!("{line}\n")
            }
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
