//! Delivering the outbox: batch by batch, one after the other, each settled only on a verified verdict.

use serde_json::value::RawValue;

use super::books::Books;
use super::crash_point::crash_point;
use crate::failure::{Failure, FailureKind};
use crate::indicator;
use crate::ledger::{EntryId, Pending};
use crate::recorded_future::{Bisection, Client, Outcome, ProcessedCounts, Receipt, Rejection};
use crate::report::Report;
use crate::report::progress::Work;
use crate::settings::{LedgerChoice, Mode, Settings};

/// So many refused one by one, and none ever accepted, is no matter of single items any more.
const REFUSED_IN_A_ROW: u64 = 20;

type Item = (Pending, Box<RawValue>);

/// Delivers what is in the outbox, as far as it goes in this run.
pub(super) struct Delivery<'a> {
    settings: &'a Settings,
    client: &'a Client<'a>,
    books: &'a Books<'a>,
    batch_size: usize,
    /// Batches that were accepted.
    batches: u64,
    /// What was sent in this run and what is still to be sent.
    all: u64,
    /// Why nothing more is sent in this run.
    ended: bool,
}

impl<'a> Delivery<'a> {
    pub fn new(settings: &'a Settings, client: &'a Client<'a>, books: &'a Books<'a>) -> Self {
        Self {
            settings,
            client,
            books,
            batch_size: settings.batch_size,
            batches: 0,
            all: 0,
            ended: false,
        }
    }

    /// Sends what waits. What goes wrong with Recorded Future is told in the report and ends sending for
    /// this run; what was not accepted keeps waiting.
    ///
    /// # Errors
    /// The ledger's alone.
    pub async fn deliver(&mut self, report: &mut Report) -> Result<(), Failure> {
        if self.settings.mode == Mode::DryRun {
            return Ok(());
        }
        let settled = report.counts.submitted + report.counts.quarantined;
        self.all = settled + self.books.waiting()?;
        while !self.ended {
            let room = self
                .books
                .room_today()?
                .map_or(usize::MAX, |room| usize::try_from(room).unwrap_or(usize::MAX));
            let batch = self.books.batch(self.batch_size.min(room.max(1)))?;
            if batch.is_empty() {
                return Ok(());
            }
            if room == 0 {
                self.end(report, quota_used_up(self.settings));
                return Ok(());
            }
            self.tell(report);
            self.send(batch, report).await?;
        }
        Ok(())
    }

    /// Sends one batch, narrowing it down where something in it is refused.
    async fn send(&mut self, batch: Vec<Item>, report: &mut Report) -> Result<(), Failure> {
        let mut bisection = Bisection::new(batch);
        while let Some(part) = bisection.next_batch() {
            let items: Vec<&RawValue> = part.iter().map(|(_, item)| item.as_ref()).collect();
            let verdict = self.client.submit(&items).await;
            crash_point();
            match verdict {
                Outcome::Delivered(receipt) => self.settle(&part, &receipt, report)?,
                Outcome::Rejected(refused) => {
                    if refused.too_large() && part.len() > 1 {
                        self.batch_size = self.batch_size.min(part.len().div_ceil(2));
                        tracing::info!(
                            "a batch of {} is too large: at most {} from now on",
                            part.len(),
                            self.batch_size
                        );
                    }
                    if let Some((pending, _)) = bisection.split(part) {
                        self.quarantine(&pending, &refused, report)?;
                    }
                }
                Outcome::Transient(failure)
                | Outcome::QuotaExhausted(failure)
                | Outcome::Fatal(failure) => {
                    self.end(report, failure);
                    self.books.tried(&ids(&part))?;
                }
            }
            crash_point();
            if self.ended {
                break;
            }
        }
        Ok(())
    }

    fn settle(
        &mut self,
        part: &[Item],
        receipt: &Receipt,
        report: &mut Report,
    ) -> Result<(), Failure> {
        self.books.delivered(&ids(part))?;
        let processed = reconcile(part, receipt, report);
        let sent = u64::try_from(part.len()).unwrap_or(u64::MAX);
        let counts = &mut report.counts;
        counts.submitted += sent;
        counts.processed += processed;
        counts.unprocessed += sent - processed;
        tracing::debug!("sent a batch of {sent}; {processed} processed");
        self.batches += 1;
        self.tell(report);
        Ok(())
    }

    fn quarantine(
        &mut self,
        pending: &Pending,
        refused: &Rejection,
        report: &mut Report,
    ) -> Result<(), Failure> {
        self.books.quarantine(pending.id, refused.status, &refused.words)?;
        report.counts.quarantined += 1;
        self.tell(report);
        tracing::warn!(
            "Recorded Future refused a submission, now in quarantine: {} ({})",
            refused.words,
            pending.item
        );
        if report.counts.submitted == 0 && report.counts.quarantined >= REFUSED_IN_A_ROW {
            self.end(report, everything_refused(refused));
        }
        Ok(())
    }

    fn tell(&self, report: &Report) {
        report.progress.set(Work::Sending {
            batches: self.batches,
            sent: report.counts.submitted,
            refused: report.counts.quarantined,
            all: self.all,
        });
    }

    fn end(&mut self, report: &mut Report, failure: Failure) {
        self.ended = true;
        report.fail(failure);
    }

    /// Takes stock at the run's end: what still waits, and what a person has to look at. Where the ledger
    /// failed (`ledger_held` is false) it may not know all that was selected, and the run's own count of
    /// what is still to be sent stands.
    ///
    /// # Errors
    /// The ledger's alone; the numbers then are those that the run itself counted.
    pub fn conclude(&self, report: &mut Report, ledger_held: bool) -> Result<(), Failure> {
        if self.settings.mode == Mode::DryRun {
            return self.show(report);
        }
        if report.counts.quarantined > 0 {
            report.fail(in_quarantine(self.settings, report.counts.quarantined));
        }
        let waiting = self.books.waiting();
        let counts = &mut report.counts;
        counts.waiting = match &waiting {
            Ok(waiting) if ledger_held => *waiting,
            Ok(_) | Err(_) => counts.unsettled(),
        };
        waiting.map(|_| ())
    }

    fn show(&self, report: &mut Report) -> Result<(), Failure> {
        report.items = self.books.batch(usize::MAX)?.into_iter().map(|(_, item)| item).collect();
        report.counts.submitted = u64::try_from(report.items.len()).unwrap_or(u64::MAX);
        report.counts.unprocessed = report.counts.submitted;
        Ok(())
    }
}

fn ids(part: &[Item]) -> Vec<EntryId> {
    part.iter().map(|(pending, _)| pending.id).collect()
}

/// Compares what was processed with what was sent, kind by kind. A difference is a warning with its
/// numbers, not a failure: the service may know an indicator already.
fn reconcile(part: &[Item], receipt: &Receipt, report: &mut Report) -> u64 {
    let mut sent = ProcessedCounts::default();
    for (pending, _) in part {
        sent.add(pending.kind);
    }
    let Some(processed) = receipt.processed else {
        report.warn(format!("Recorded Future accepted {} submissions without saying how many it processed; they count as processed", part.len()));
        return u64::try_from(part.len()).unwrap_or(u64::MAX);
    };
    let mut sum = 0;
    for kind in indicator::IndicatorType::ALL {
        let (sent, processed) = (sent.of(kind), processed.of(kind));
        if sent != processed {
            let kind = kind.as_str();
            tracing::warn!(
                "of {sent} submissions of kind {kind}, Recorded Future says it processed {processed}"
            );
        }
        sum += processed.min(sent);
    }
    sum
}

fn quota_used_up(settings: &Settings) -> Failure {
    let limit = settings.daily_limit.unwrap_or_default();
    Failure::new(
        FailureKind::Temporary,
        format!(
            "today's {limit} submissions are used up; the rest waits, the most severe were sent first"
        ),
        "Nothing needs to be done: the next run after midnight UTC goes on. --daily-limit changes the limit.",
    )
}

fn everything_refused(refused: &Rejection) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!("Recorded Future refuses every submission, the last with {}", refused.words),
        "Check --organization-id first. Sending has stopped and everything else waits; once it is mended, `collective-insights outbox retry` brings back what is in quarantine.",
    )
}

fn in_quarantine(settings: &Settings, count: u64) -> Failure {
    let hint = match settings.ledger {
        LedgerChoice::File(_) => {
            "See why with `collective-insights outbox list --quarantined`, then `outbox retry` or `outbox drop`; show the words to Recorded Future's support."
        }
        LedgerChoice::None => {
            "The log has the words and the items; without a ledger they are not kept."
        }
    };
    Failure::new(
        FailureKind::Partial,
        match count {
            1 => {
                "1 submission was refused by Recorded Future by itself; all others were not held up"
                    .to_owned()
            }
            _ => format!(
                "{count} submissions were refused by Recorded Future one by one; all others were not held up"
            ),
        },
        hint,
    )
}
