//! The ledger as one run sees it: its own tenant, its own id, and failures in plain words.

use std::cmp::Reverse;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::window::Choice;
use crate::clock::Clock;
use crate::detection::SourceInfo;
use crate::failure::{Failure, FailureKind};
use crate::indicator::Indicator;
use crate::ledger::{Advance, AtOnce, Entry, EntryId, Known, Ledger, Pending, TenantId, TenantKey};
use crate::recorded_future;
use crate::report::Report;
use crate::selection::Past;
use crate::settings::{LedgerChoice, Mode, Settings};
use crate::submission::{Repeats, Submission};
use crate::window::Window;

/// The ledger of a run.
pub(super) struct Books<'a> {
    settings: &'a Settings,
    clock: Clock,
    run_id: String,
    ledger: Ledger,
    tenant: TenantId,
    token: String,
}

impl<'a> Books<'a> {
    /// Opens the ledger that the settings name: for real, as a rehearsal, or without a memory.
    pub fn open(settings: &'a Settings, run_id: &str, clock: Clock) -> Result<Self, Failure> {
        let now = clock.now();
        let ledger = match (&settings.ledger, settings.mode) {
            (LedgerChoice::None, _) => Ledger::temporary(),
            (LedgerChoice::File(path), Mode::Live) => Ledger::open(path, now),
            (LedgerChoice::File(path), Mode::Debug | Mode::DryRun) => Ledger::rehearse(path, now),
        }?;
        let token = digest("token", settings.recorded_future.token.expose_secret());
        let tenant = ledger.tenant(&TenantKey {
            source: settings.source.info().name.to_owned(),
            account: digest("account", &settings.source.account()),
            token: token.clone(),
            organizations: settings.recorded_future.organization_ids.clone(),
        })?;
        Ok(Self { settings, clock, run_id: run_id.to_owned(), ledger, tenant, token })
    }

    pub fn checkpoint(&self) -> Result<Option<DateTime<Utc>>, Failure> {
        Ok(self.ledger.checkpoint(self.tenant)?)
    }

    pub fn begin(&self, window: Window) -> Result<(), Failure> {
        let span = Some((window.start, window.end));
        Ok(self.ledger.begin_run(
            self.tenant,
            &self.run_id,
            self.settings.mode.name(),
            span,
            self.clock.now(),
        )?)
    }

    pub fn waiting(&self) -> Result<u64, Failure> {
        Ok(self.ledger.waiting(self.tenant)?)
    }

    /// How many submissions of this account wait under another key or for other organizations.
    pub fn waiting_elsewhere(&self) -> Result<u64, Failure> {
        Ok(self.ledger.waiting_elsewhere(self.tenant)?)
    }

    /// While this is held, many questions about the past are fast, and nothing can be stored.
    pub fn at_once(&self) -> Result<AtOnce<'_>, Failure> {
        Ok(self.ledger.at_once()?)
    }

    /// What earlier runs did with a detection's indicator.
    pub fn past(&self, detection: &str, indicator: &Indicator) -> Result<Past, Failure> {
        Ok(match self.ledger.known(self.tenant, detection, indicator)? {
            Known::New => Past::New,
            Known::Delivered if self.settings.resend => Past::New,
            Known::Delivered => Past::Delivered,
            Known::Waiting | Known::Quarantined | Known::Dropped => Past::Held,
        })
    }

    /// Puts submissions into the outbox, all or none.
    pub fn store(
        &self,
        mut submissions: Vec<Submission>,
        repeats: &Repeats,
    ) -> Result<(), Failure> {
        let labels = self.settings.source.info();
        // In the order in which they will be sent: what is settled together then lies together in the file,
        // and settling a batch touches fewer pages.
        submissions.sort_by_key(|submission| Reverse(submission.severity));
        // One after the other: with all that they repeat, they take more memory than anything else.
        let entries = submissions.into_iter().map(|submission| entry(submission, repeats, labels));
        self.ledger.store_each(
            self.tenant,
            &self.run_id,
            entries,
            self.settings.resend,
            self.clock.now(),
        )?;
        Ok(())
    }

    /// The next submissions to send, the most severe first.
    pub fn batch(&self, limit: usize) -> Result<Vec<(Pending, Box<RawValue>)>, Failure> {
        let pending = self.ledger.batch(self.tenant, limit, None)?;
        pending
            .into_iter()
            .map(|pending| {
                let item = RawValue::from_string(pending.item.clone())
                    .map_err(|error| unwritable(&error))?;
                Ok((pending, item))
            })
            .collect()
    }

    pub fn delivered(&self, ids: &[EntryId]) -> Result<(), Failure> {
        Ok(self.ledger.settle_delivered(self.tenant, &self.token, ids, self.clock.now())?)
    }

    /// Notes that these were sent and are waiting still.
    pub fn tried(&self, ids: &[EntryId]) -> Result<(), Failure> {
        Ok(self.ledger.tried(self.tenant, ids)?)
    }

    pub fn quarantine(&self, id: EntryId, status: u16, words: &str) -> Result<(), Failure> {
        Ok(self.ledger.quarantine(self.tenant, id, status, words, self.clock.now())?)
    }

    /// How many more submissions the UTC day holds; `None` for any number.
    pub fn room_today(&self) -> Result<Option<u64>, Failure> {
        let Some(limit) = self.settings.daily_limit else {
            return Ok(None);
        };
        let used = self.ledger.used(&self.token, self.clock.now().date_naive())?;
        Ok(Some(limit.saturating_sub(used)))
    }

    /// Begins the checkpoint's history where this run begins to read: a first run that is killed must not
    /// take its window along, because without a checkpoint the next one looks back its own hours only.
    /// It comes before the run is recorded, so that there is no run without a checkpoint.
    pub fn found(&self, choice: &Choice) -> Result<(), Failure> {
        if choice.may_found_checkpoint && self.checkpoint()?.is_none() {
            let start = choice.window.start;
            self.ledger.advance(self.tenant, start, start, self.clock.now())?;
        }
        Ok(())
    }

    /// Moves the checkpoint over what was read and stored.
    pub fn advance(
        &self,
        choice: &Choice,
        complete_until: DateTime<Utc>,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let checkpoint = self.checkpoint()?;
        let read_from = match checkpoint {
            None if !choice.may_found_checkpoint => return Ok(()),
            // Whoever raises the limit after a night without the vendor finds the gap still known.
            Some(checkpoint) if choice.gap_accepted && complete_until > choice.window.start => {
                checkpoint
            }
            _ => choice.window.start,
        };
        match self.ledger.advance(self.tenant, read_from, complete_until, self.clock.now())? {
            Advance::Moved | Advance::Unchanged | Advance::WouldLeaveGap => {}
            Advance::ClockWentBack => report.note(
                "this machine's clock is behind an earlier run's; what was read is sent, but the next run reads it again".into(),
            ),
        }
        Ok(())
    }

    /// Records how the run ended, and forgets what is too old to matter.
    pub fn finish(&self, report: &Report) -> Result<(), Failure> {
        let counts = serde_json::to_string(&report.counts).map_err(|error| unwritable(&error))?;
        let error =
            report.failures().first().map(|failure| crate::redact::safe(&failure.to_string()));
        let now = self.clock.now();
        self.ledger.finish_run(
            self.tenant,
            &self.run_id,
            report.exit_code().into(),
            &counts,
            error.as_deref(),
            now,
        )?;
        self.ledger.forget(now)?;
        Ok(())
    }
}

/// A submission as the ledger keeps it.
fn entry(
    submission: Submission,
    repeats: &Repeats,
    labels: SourceInfo,
) -> serde_json::Result<Entry> {
    let item: Box<str> = recorded_future::item(&submission, labels)?.into();
    Ok(Entry {
        detections: submission.detections(repeats).collect(),
        indicator: submission.indicator,
        severity: submission.severity,
        item: item.into(),
    })
}

fn unwritable(error: &serde_json::Error) -> Failure {
    Failure::new(
        FailureKind::Unexpected,
        format!("what is to be sent or stored is no JSON: {error}"),
        "Report this.",
    )
}

/// A digest that stands for a name or a secret in the ledger: SHA-256, in hex.
fn digest(purpose: &str, text: &str) -> String {
    let hash = Sha256::digest(format!("collective-insights {purpose} {text}"));
    hash.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
