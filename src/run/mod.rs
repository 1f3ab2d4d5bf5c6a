//! The recipe of one run: read what is excluded, deliver what waits, read the vendor, store what was
//! selected, deliver it, and say what happened.

mod books;
mod delivery;
mod reading;
mod steps;
mod window;

use self::books::Books;
use self::delivery::Delivery;
use self::steps::step;
use crate::cli::{Mode, Settings};
use crate::clock::Clock;
use crate::failure::{Failure, Kind};
use crate::http::{Http, Stop};
use crate::logging;
use crate::recorded_future::Client;
use crate::report::Report;
use crate::report::progress::{Progress, Work};
use crate::selection::exclusions::Exclusions;

/// Performs one run. Whatever happens, the report says it.
pub async fn run(
    settings: &Settings,
    run_id: &str,
    clock: Clock,
    stop: Stop,
    progress: &Progress,
) -> Report {
    let heartbeat = tokio::spawn(progress.clone().tell_the_log(clock));
    let mut report = Report::new(run_id, settings.source.labels(), settings.mode);
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
    stop: Stop,
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
    logging::may_rotate();
    step();
    let choice = window::choose(settings.span, books.checkpoint()?, settings.max_catch_up, now)?;
    report.window = Some(choice.window);
    if let Some(note) = &choice.note {
        report.note(note.clone());
    }
    books.found(&choice)?;
    step();
    books.begin(choice.window)?;
    step();
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
    step();
    books.finish(report)?;
    step();
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
    step();
    report.progress.set(Work::Storing {
        submissions: u64::try_from(read.submissions.len()).unwrap_or(u64::MAX),
    });
    books.store(read.submissions, &read.repeats)?;
    step();
    books.advance(choice, read.known_until, report)?;
    step();
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
            Kind::Configuration,
            error.to_string(),
            "Correct the line or the file's name; exclusions.example.txt shows every form. Nothing was asked or sent.",
        );
        match std::error::Error::source(&error) {
            Some(source) => failure.because(source.to_string()),
            None => failure,
        }
    })?;
    tracing::info!("{} exclusions read from {}", exclusions.len(), path.display());
    Ok(exclusions)
}
