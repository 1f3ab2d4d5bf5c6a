//! The recipe of one run: read what is excluded, deliver what waits, read the vendor, store what was
//! selected, deliver it, and say what happened.

mod books;
mod crash_point;
mod delivery;
mod reading;
mod window;

use self::books::Books;
use self::crash_point::crash_point;
use self::delivery::Delivery;
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::http::Http;
use crate::logging;
use crate::recorded_future::Client;
use crate::report::Report;
use crate::report::progress::{Progress, Work};
use crate::selection::exclusions::Exclusions;
use crate::settings::{Mode, Settings};
use crate::shutdown::Shutdown;

/// Performs one run. Whatever happens, the report says it.
pub async fn run(
    settings: &Settings,
    run_id: &str,
    clock: Clock,
    stop: Shutdown,
    progress: &Progress,
) -> Report {
    let heartbeat = tokio::spawn(progress.clone().log_heartbeat(clock));
    let mut report = Report::new(run_id, settings.source.info(), settings.mode);
    report.progress = progress.clone();
    if let Err(failure) = prepare_and_perform(settings, clock, stop, &mut report).await {
        report.fail(failure);
    }
    heartbeat.abort();
    report
}

/// Everything that can be wrong on this machine is found before any request.
async fn prepare_and_perform(
    settings: &Settings,
    clock: Clock,
    stop: Shutdown,
    report: &mut Report,
) -> Result<(), Failure> {
    let exclusions = read_exclusions(settings)?;
    let http = Http::new(&settings.network, clock, settings.deadline, stop)?;
    report.progress.follow(http.waits());
    let client = Client::new(&http, &settings.recorded_future, settings.mode == Mode::Debug)?;
    let now = clock.now_to_the_millisecond();
    // A span that cannot be leaves the ledger untouched.
    window::check(settings.span, now)?;
    let books = Books::open(settings, &report.run_id, clock)?;
    logging::enable_rotation();
    crash_point();
    let choice = window::choose(settings.span, books.checkpoint()?, settings.max_catch_up, now)?;
    report.window = Some(choice.window);
    if let Some(note) = &choice.note {
        report.note(note.clone());
    }
    books.found(&choice)?;
    crash_point();
    books.begin(choice.window)?;
    crash_point();
    report.counts.carried_in = books.waiting()?;
    let elsewhere = books.waiting_elsewhere()?;
    if elsewhere > 0 {
        report.warn(format!(
            "{elsewhere} submissions of this account wait under another Recorded Future key or for other organizations, and only a run with those sends them; `collective-insights status` shows them"
        ));
    }

    let mut delivery = Delivery::new(settings, &client, &books);
    let performed =
        perform(settings, &http, &choice, exclusions, &books, &mut delivery, report).await;
    let concluded = delivery.conclude(report, performed.is_ok());
    let failure = [performed, concluded].into_iter().find_map(Result::err);
    if let Some(failure) = &failure {
        report.fail(failure.clone());
    }
    crash_point();
    books.finish(report)?;
    crash_point();
    Ok(())
}

async fn perform(
    settings: &Settings,
    http: &Http,
    choice: &window::Choice,
    exclusions: Exclusions,
    books: &Books<'_>,
    delivery: &mut Delivery<'_>,
    report: &mut Report,
) -> Result<(), Failure> {
    delivery.deliver(report).await?;
    let read = reading::read(settings, http, choice.window, exclusions, books, report).await?;
    crash_point();
    report.progress.set(Work::Storing {
        submissions: u64::try_from(read.submissions.len()).unwrap_or(u64::MAX),
    });
    books.store(read.submissions, &read.repeats)?;
    crash_point();
    books.advance(choice, read.complete_until, report)?;
    crash_point();
    delivery.deliver(report).await
}

/// Reads the exclusion file that the settings name.
///
/// # Errors
/// With the file and the line that cannot be read.
pub fn read_exclusions(settings: &Settings) -> Result<Exclusions, Failure> {
    let Some(path) = &settings.exclusion_file else {
        return Ok(Exclusions::default());
    };
    let exclusions = Exclusions::read(path).map_err(|error| {
        let failure = Failure::new(
            FailureKind::Configuration,
            error.to_string(),
            "Correct the line or the file's name; exclusions.example.txt shows every form. Nothing was asked or sent.",
        );
        match std::error::Error::source(&error) {
            Some(source) => failure.with_cause(source.to_string()),
            None => failure,
        }
    })?;
    tracing::info!("{} exclusions read from {}", exclusions.len(), path.display());
    Ok(exclusions)
}
