//! The log: one event per line, in UTC, with the run's id and tenant, and without secrets and
//! control characters.
//!
//! Only this program's own events are logged: libraries log headers and bodies at their finer
//! levels, which may contain secrets.

mod fields;
mod file;
mod tenant_span;
mod warnings;

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::SecondsFormat;
use serde_json::{Map, Value};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use self::fields::Fields;
use self::file::LogFile;
pub(crate) use self::file::{enable_rotation, open};
use self::tenant_span::SpanTenant;
pub(crate) use self::tenant_span::{enter, in_same_span};
pub(crate) use self::warnings::{print_tenant_warnings, warn_on_stderr};
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::platform::ownership;
use crate::report::{self, progress};
use crate::settings::TenantName;

/// The format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Time, level, run id, tenant, message and fields, for people.
    Text,
    /// A JSON object with the same, for machines.
    Json,
}

/// The destination of the log, and its level.
#[derive(Debug, Clone)]
pub(crate) struct LogSettings<'a> {
    /// The file: created with mode 0600, or appended to. `None` for no file.
    pub file: Option<&'a Path>,
    /// The maximum size of the file, in bytes: before it gets larger, it is rotated.
    pub max_size: u64,
    /// How many rotated files are kept.
    pub keep: u8,
    /// The format of a line.
    pub format: Format,
    /// The finest level that is logged.
    pub level: Level,
    /// Whether the lines also go to stderr.
    pub to_stderr: bool,
}

/// Starts the log of this process. If the file cannot be opened, nothing is written to it, and the
/// failure is returned.
#[must_use]
pub(crate) fn start(
    settings: &LogSettings<'_>,
    run_id: &str,
    tenant: Option<&TenantName>,
    clock: Clock,
) -> Option<Failure> {
    let open = |path| {
        LogFile::new(path, settings.max_size, settings.keep)
            .map_err(|error| unwritable(path, error))
    };
    let (file, failure) = match settings.file.map(open).transpose() {
        Ok(file) => (file, None),
        Err(failure) => (None, Some(failure)),
    };
    let log = Log::new(settings, file, run_id, tenant, clock);
    // This fails in a test that starts a second log in one process; the first one stays.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(log));
    failure
}

/// Returns the failure for a log file that cannot be opened.
pub(crate) fn unwritable(path: &Path, error: std::io::Error) -> Failure {
    let owner = Some(path)
        .filter(|_| error.kind() == ErrorKind::PermissionDenied)
        .and_then(ownership::describe_owner);
    let give_back = match &owner {
        Some(_) => " A file that a run with sudo left behind is yours again after `sudo chown`.",
        None => "",
    };
    let failure = Failure::new(
        FailureKind::Configuration,
        format!("the log file {} cannot be written", path.display()),
        format!(
            "Run in a folder that you may write to, or name a regular file with --log-file (- logs to stderr, none writes no log).{give_back}"
        ),
    );
    match owner {
        Some(owner) => failure.with_cause(format!("{error}; {owner}")),
        None => failure.with_cause(error),
    }
}

struct Log {
    file: Option<LogFile>,
    format: Format,
    level: Level,
    to_stderr: bool,
    run_id: String,
    /// The tenant of lines that are logged outside any tenant's span.
    tenant: Option<String>,
    clock: Clock,
    failure_reported: AtomicBool,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with(env!("CARGO_CRATE_NAME")) && *metadata.level() <= self.level
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanTenant::of(attributes));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let tenant = SpanTenant::find(event, &context).or_else(|| self.tenant.clone());
        let line = self.line(*event.metadata().level(), tenant, fields);
        // Locked until the line is in the file, so that both have the same order of lines.
        let mut stderr = self.to_stderr.then(|| std::io::stderr().lock());
        if let Some(stderr) = &mut stderr {
            // An error of stderr cannot be reported anywhere.
            let _ = stderr.write_all(line.as_bytes());
        }
        let written = self.file.as_ref().map(|file| file.write(&line));
        drop(stderr);
        if let Some(Err(error)) = written
            && !self.failure_reported.swap(true, Ordering::Relaxed)
        {
            progress::suspend(|| {
                report::warn(&format!(
                    "the log cannot be written ({error}); the run continues without it"
                ));
            });
        }
    }
}

impl Log {
    fn new(
        settings: &LogSettings<'_>,
        file: Option<LogFile>,
        run_id: &str,
        tenant: Option<&TenantName>,
        clock: Clock,
    ) -> Self {
        Self {
            file,
            format: settings.format,
            level: settings.level,
            to_stderr: settings.to_stderr,
            run_id: run_id.to_owned(),
            tenant: tenant.map(ToString::to_string),
            clock,
            failure_reported: AtomicBool::new(false),
        }
    }

    fn line(&self, level: Level, tenant: Option<String>, fields: Fields) -> String {
        let time = self.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let level = match level {
            Level::WARN => "WARNING",
            Level::ERROR => "ERROR",
            Level::INFO => "INFO",
            _ => "DEBUG",
        };
        match self.format {
            Format::Text => {
                let tenant = tenant.map(|tenant| format!("tenant={tenant} "));
                let (run, tenant) = (&self.run_id, tenant.unwrap_or_default());
                format!("{time} {level:<7} run={run} {tenant}{}\n", fields.to_text())
            }
            Format::Json => {
                let mut object = Map::new();
                fields.add_to(&mut object);
                // Last, so that no field replaces them.
                object.insert("time".into(), time.into());
                object.insert("level".into(), level.into());
                object.insert("run".into(), self.run_id.as_str().into());
                if let Some(tenant) = tenant {
                    object.insert("tenant".into(), tenant.into());
                }
                format!("{}\n", Value::Object(object))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;
    use crate::redact;

    /// Returns the log of `events` in a format, without the times.
    fn log_of(format: Format, events: impl FnOnce()) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let settings = LogSettings {
            file: Some(&path),
            max_size: u64::MAX,
            keep: 1,
            format,
            level: Level::DEBUG,
            to_stderr: false,
        };
        let file = LogFile::new(&path, settings.max_size, settings.keep).unwrap();
        let tenant = TenantName::of_source("acme");
        let clock = Clock::without_waits();
        let log = Log::new(&settings, Some(file), "0123456789ab", Some(&tenant), clock);
        let subscriber = tracing_subscriber::registry().with(log);
        tracing::subscriber::with_default(subscriber, events);
        std::fs::read_to_string(&path).unwrap()
    }

    fn events() {
        let trace_id: Option<&str> = None;
        tracing::debug!(status = 200_u16, ok = true, offset = -3, url = "/a b", trace_id, "sent");
        tracing::warn!(reason = %"say \"no\"\n", "two {}", "words");
        tracing::trace!("not logged");
    }

    #[test]
    fn text_lines_have_a_message_and_fields() {
        let log = log_of(Format::Text, events);
        let lines: Vec<&str> = log.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(
            lines,
            [
                r#"DEBUG   run=0123456789ab tenant=acme sent status=200 ok=true offset=-3 url="/a b""#,
                r#"WARNING run=0123456789ab tenant=acme two words reason="say \"no\"\\u{a}""#,
            ]
        );
    }

    #[test]
    fn json_lines_have_typed_fields() {
        let log = log_of(Format::Json, events);
        let lines: Vec<Value> = log
            .lines()
            .map(|line| {
                let mut line: Value = serde_json::from_str(line).unwrap();
                assert!(line["time"].take().is_string());
                line
            })
            .collect();
        assert_eq!(
            lines,
            [
                json!({"time": null, "level": "DEBUG", "run": "0123456789ab", "tenant": "acme",
                    "message": "sent", "status": 200, "ok": true, "offset": -3, "url": "/a b"}),
                json!({"time": null, "level": "WARNING", "run": "0123456789ab", "tenant": "acme",
                    "message": "two words", "reason": "say \"no\"\\u{a}"}),
            ]
        );
    }

    #[test]
    fn the_tenant_of_a_line_is_that_of_its_span_or_else_of_the_run() {
        let log = log_of(Format::Text, || {
            tracing::info!("before");
            let span = enter(&TenantName::of_source("globex"));
            tracing::info!("inside");
            let work = in_same_span(|| tracing::info!("on another thread"));
            let dispatch = tracing::dispatcher::get_default(Clone::clone);
            std::thread::scope(|scope| {
                scope.spawn(|| tracing::dispatcher::with_default(&dispatch, work));
            });
            drop(span);
            tracing::info!("after");
        });
        let lines: Vec<&str> =
            log.lines().map(|line| line.split_once("tenant=").unwrap().1).collect();
        let expected = ["acme before", "globex inside", "globex on another thread", "acme after"];
        assert_eq!(lines, expected);
    }

    #[test]
    fn secrets_are_masked_in_messages_and_fields() {
        const SECRET: &str = "logged\"s3cret\\";
        redact::register_secret(&SecretString::from(SECRET));
        for format in [Format::Text, Format::Json] {
            let log = log_of(format, || {
                tracing::info!(text = SECRET, debug = ?SECRET, shown = %SECRET, "it is {SECRET}");
            });
            assert!(!log.contains("s3cret"), "{log}");
            assert_eq!(log.matches("[secret]").count(), 4, "{log}");
        }
    }
}
