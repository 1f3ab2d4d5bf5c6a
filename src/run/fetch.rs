//! Fetching the window's alerts, and storing them while the next pages are fetched.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, timeout, timeout_at};

use super::Run;
use super::crash_point::crash_point;
use super::notes;
use crate::failure::{Failure, FailureKind};
use crate::ledger::TenantLedger;
use crate::logging;
use crate::redact;
use crate::report::counted;
use crate::report::progress::{Progress, Work};
use crate::selection::{LeftOut, Rules, Selection, Tally, Thresholds};
use crate::sources::{AlertReader, Page};

/// The maximum number of fetched pages that wait to be stored; it limits the memory of a run.
const MAX_WAITING_PAGES: usize = 1;
/// The time that a transaction waits for more pages of alerts: each commit writes the changed parts
/// of the ledger to disk, and consecutive pages change mostly the same parts.
const MAX_TRANSACTION: Duration = Duration::from_millis(200);

/// The maximum wait for the number of alerts below the thresholds.
const MAX_COUNTING: Duration = Duration::from_secs(10);

/// The selection from the pages that were read.
#[derive(Debug)]
struct Selected {
    tally: Tally,
    left_out: LeftOut,
    /// The failure, if not all of it was stored.
    stored: Result<(), Failure>,
}

/// The result of reading a window.
#[derive(Debug)]
enum ReadOutcome {
    Complete,
    /// Not all pages were read or stored; the failure is in the report, or in [`Selected`].
    Incomplete,
    /// A page has alerts that must not be shared, for example of another customer.
    Rejected(Failure),
}

impl Run<'_> {
    /// Fetches the window page by page and stores what is selected. A failure of the vendor goes to
    /// the report, and what was fetched before it is stored.
    ///
    /// # Errors
    /// Ledger errors, and when alerts must not be shared: then nothing of the run stays stored.
    pub(super) async fn fetch(&mut self) -> Result<(), Failure> {
        self.report.progress.set(Work::Reading { pages: 0, alerts: 0, total: None });
        let (mut reader, first) = self.first_page().await;
        if let Some(note) = self.plan.note.take() {
            self.report.note(note);
        }
        let has_read = first.is_ok();
        if let Ok(page) = &first {
            let customers = page.as_ref().map(|page| self.check_customers(&page.customers));
            if let Some(Err(failure)) = customers {
                return self.withdraw(failure);
            }
            self.record_customer()?;
        }
        let (sender, receiver) = mpsc::channel(MAX_WAITING_PAGES);
        let storing = tokio::task::spawn_blocking({
            let selection = Selection::new(self.rules(), Arc::clone(&self.exclusions));
            let (ledger, progress) = (Arc::clone(&self.ledger), self.report.progress.clone());
            let work = move || store_pages(receiver, selection, &ledger, &progress);
            logging::in_same_span(work)
        });
        let end = self.read_pages(reader.as_mut(), first, sender).await;
        let window_total = self.count_without_thresholds(reader.as_mut(), &end).await;
        drop(reader);
        let selected = match storing.await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        if matches!(end, ReadOutcome::Complete) && selected.stored.is_ok() {
            self.report.progress.finish();
        }
        match end {
            ReadOutcome::Rejected(failure) => self.withdraw(failure),
            ReadOutcome::Complete | ReadOutcome::Incomplete => {
                if has_read {
                    // Again: a later page may have named the customer.
                    self.record_customer()?;
                }
                self.report_selection(selected, window_total)
            }
        }
    }

    /// Reports what was selected, counts the exclusion rules that matched, and stores samples of
    /// what was left out: at the end, so that none remain if the run is withdrawn.
    fn report_selection(
        &mut self,
        selected: Selected,
        window_total: Option<u64>,
    ) -> Result<(), Failure> {
        let Selected { mut tally, left_out, stored } = selected;
        // Where storing failed, alerts that were read are not in the tally.
        if let Some(total) = window_total.filter(|_| stored.is_ok()) {
            tally.add_left_out(total);
        }
        if tally.alerts_unreadable > 0 {
            let title = self.source.info().title;
            self.report.fail(unreadable_alerts(tally.alerts_unreadable, title));
        }
        if let Some(note) = notes::without_indicators(&tally, self.source) {
            self.report.note(note);
        }
        if tally.trusted_selected > 0 {
            let note = self.source.trusted_note(tally.trusted_selected, tally.hashes_selected);
            self.report.note(note);
        }
        let hits = std::mem::take(&mut tally.exclusion_hits);
        // It may have what was found of a batch in doubt before the run read anything.
        self.report.counts.tally.add(&tally);
        stored?;
        Ok(self.ledger.store(|store| {
            store.count_hits(&hits)?;
            store.add_left_out(&left_out)
        })?)
    }

    /// Reads all pages and passes them on to be stored.
    async fn read_pages(
        &mut self,
        reader: &mut dyn AlertReader,
        first: Result<Option<Page>, Failure>,
        sender: Sender<Page>,
    ) -> ReadOutcome {
        let mut end = ReadOutcome::Complete;
        let mut next = first;
        loop {
            let mut page = match next {
                Ok(Some(page)) => page,
                Ok(None) => return end,
                Err(failure) => {
                    self.report.fail(failure);
                    return ReadOutcome::Incomplete;
                }
            };
            if let Err(failure) = self.check_customers(&page.customers) {
                return ReadOutcome::Rejected(failure);
            }
            if let Some(partial_error) = page.partial_error.take() {
                self.report.fail(partial_error);
                end = ReadOutcome::Incomplete;
            }
            self.plan.complete_until = page.complete_until;
            if sender.send(page).await.is_err() {
                // The ledger failed; `store_pages` returns why.
                return ReadOutcome::Incomplete;
            }
            next = reader.next_page().await;
        }
    }

    /// Requests the number of alerts that the window has without the thresholds: the vendor did not
    /// send those below them. `None` if there are no thresholds, if the window was not read
    /// completely, or if the number cannot be found, which is reported.
    async fn count_without_thresholds(
        &mut self,
        reader: &mut dyn AlertReader,
        end: &ReadOutcome,
    ) -> Option<u64> {
        if self.source.thresholds() == Thresholds::default()
            || !matches!(end, ReadOutcome::Complete)
        {
            return None;
        }
        // Delivery matters more than this number.
        let total = timeout(MAX_COUNTING, reader.total_without_thresholds()).await;
        let reason = match total {
            Ok(Ok(Some(total))) => return Some(total),
            Ok(Ok(None)) => "the service did not report their number".to_owned(),
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => format!("no answer within {} s", MAX_COUNTING.as_secs()),
        };
        self.report.note(format!(
            "the alerts below the thresholds, which the service left out, are not counted: {reason}"
        ));
        None
    }

    /// Returns a reader of the window and its first page. The first response carries the vendor's
    /// time: if this machine's clock was wrong, the window is chosen again and read from its start.
    async fn first_page(&mut self) -> (Box<dyn AlertReader>, Result<Option<Page>, Failure>) {
        let mut reader = self.source.reader(&self.vendor, self.plan.window);
        let mut page = reader.next_page().await;
        match self.correct_window() {
            Ok(true) if page.is_ok() => {
                reader = self.source.reader(&self.vendor, self.plan.window);
                page = reader.next_page().await;
            }
            Ok(_) => {}
            Err(failure) => page = Err(failure),
        }
        (reader, page)
    }

    /// Deletes everything that the run stored from the ledger, and records the failure there as the
    /// error of the run.
    ///
    /// # Errors
    /// Always: `failure`, or that of the ledger.
    fn withdraw(&mut self, failure: Failure) -> Result<(), Failure> {
        self.plan.complete_until = self.plan.window.start;
        let withdrawn = self.ledger.withdraw_run(&redact::sanitize(&failure.to_string()));
        if let Err(error) = withdrawn {
            self.report.fail(failure);
            return Err(error.into());
        }
        Err(failure)
    }

    /// Returns the rules of the selection.
    fn rules(&self) -> Rules {
        Rules {
            thresholds: self.source.thresholds(),
            skip_dismissed: self.settings.skip_dismissed,
            skip_trusted: self.source.skip_trusted(),
        }
    }
}

fn unreadable_alerts(count: u64, title: &str) -> Failure {
    Failure::new(
        FailureKind::Partial,
        format!(
            "{} cannot be read; all others were processed as usual",
            counted(count, "alert", "alerts")
        ),
        format!(
            "The log names each alert with the reason. Look them up in the console of {title}; they are not read again. If they look normal there, report it as a bug of collective-insights."
        ),
    )
}

/// Stores pages as they come; those that come shortly after one another share a transaction.
fn store_pages(
    mut pages: Receiver<Page>,
    mut selection: Selection,
    ledger: &TenantLedger,
    progress: &Progress,
) -> Selected {
    let mut count = 0;
    let mut end = Ok(());
    while let Some(first) = pages.blocking_recv() {
        let mut total = first.total;
        let deadline = Instant::now() + MAX_TRANSACTION;
        let stored = ledger.store(|store| {
            let mut next = Some(first);
            while let Some(page) = next {
                count += 1;
                total = page.total;
                for outcome in page.outcomes {
                    selection.add(outcome, |detection, indicator, field| {
                        store.add(detection, indicator, field)
                    })?;
                }
                let alerts = selection.tally().alerts_fetched;
                tracing::debug!(alerts, total, "read a page");
                crash_point();
                next = receive_until(&mut pages, deadline, ledger.wanted_by_others());
            }
            Ok(())
        });
        if let Err(error) = stored {
            end = Err(error.into());
            break;
        }
        let alerts = selection.tally().alerts_fetched;
        progress.set(Work::Reading { pages: count, alerts, total });
        crash_point();
    }
    let (tally, left_out) = selection.into_parts();
    Selected { tally, left_out, stored: end }
}

/// Returns the next page; `None` at the deadline, when another tenant waits for the ledger, and
/// when there are no more pages.
fn receive_until<P>(
    pages: &mut Receiver<P>,
    deadline: Instant,
    wanted: impl Future<Output = ()>,
) -> Option<P> {
    // The timeout alone would return a page that is ready even after the deadline.
    if Instant::now() >= deadline {
        return None;
    }
    Handle::current().block_on(async {
        tokio::select! {
            // A page that is there already takes less time here than in a transaction of its own.
            biased;
            page = timeout_at(deadline, pages.recv()) => page.ok().flatten(),
            () = wanted => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_that_comes_too_late_is_left_for_the_next_transaction() {
        let (sender, mut pages) = mpsc::channel(1);
        let received = tokio::task::spawn_blocking(move || {
            let soon = || Instant::now() + MAX_TRANSACTION * 100;
            let nobody = std::future::pending;
            sender.try_send("page").unwrap();
            let late = receive_until(&mut pages, Instant::now(), nobody());
            let ready = receive_until(&mut pages, soon(), std::future::ready(()));
            let wanted = receive_until(&mut pages, soon(), std::future::ready(()));
            sender.try_send("next").unwrap();
            (late, ready, wanted, receive_until(&mut pages, soon(), nobody()))
        });
        assert_eq!(received.await.unwrap(), (None, Some("page"), None, Some("next")));
    }
}
