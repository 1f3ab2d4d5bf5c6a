//! Fetching the window's alerts, and storing them while the next pages are fetched.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{self, Receiver};

use super::Run;
use super::crash_point::crash_point;
use crate::failure::Failure;
use crate::ledger::TenantLedger;
use crate::report::progress::{Progress, Work};
use crate::selection::{Selection, Tally};
use crate::sources::Page;

/// Pages that may be fetched and not yet stored: bounds the memory of a run.
const MAX_UNSTORED_PAGES: usize = 2;

impl Run<'_> {
    /// Fetches the window page by page and stores what is selected. A failure of the vendor goes to
    /// the report, and what was fetched before it is stored.
    ///
    /// # Errors
    /// Those of the ledger.
    pub(super) async fn fetch(&mut self) -> Result<(), Failure> {
        let (sender, receiver) = mpsc::channel(MAX_UNSTORED_PAGES);
        let storing = tokio::task::spawn_blocking({
            let selection = Selection::new(self.source.thresholds(), Arc::clone(&self.exclusions));
            let (ledger, progress) = (Arc::clone(&self.ledger), self.report.progress.clone());
            move || store_pages(receiver, selection, &ledger, &progress)
        });
        let mut reader = self.source.reader(&self.http, self.plan.window);
        self.report.progress.set(Work::Reading { pages: 0, alerts: 0, total: None });
        let mut is_complete = true;
        loop {
            match reader.next_page().await {
                Ok(Some(mut page)) => {
                    if let Some(partial_error) = page.partial_error.take() {
                        self.report.fail(partial_error);
                        is_complete = false;
                    }
                    // A page that the vendor itself calls incomplete makes nothing after it
                    // certain.
                    if is_complete {
                        self.plan.complete_until = page.complete_until;
                    }
                    if sender.send(page).await.is_err() {
                        // The ledger failed; the other side returns why.
                        break;
                    }
                }
                Ok(None) => break,
                Err(failure) => {
                    self.report.fail(failure);
                    break;
                }
            }
        }
        drop((reader, sender));
        let (tally, stored) = match storing.await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        if tally.alerts_unreadable > 0 {
            self.report.note(format!(
                "{} alerts cannot be read and are left out; the log names them",
                tally.alerts_unreadable
            ));
        }
        self.report.counts.tally = tally;
        stored
    }
}

/// Stores pages as they come; those that came meanwhile share one transaction.
fn store_pages(
    mut pages: Receiver<Page>,
    mut selection: Selection,
    ledger: &Mutex<TenantLedger>,
    progress: &Progress,
) -> (Tally, Result<(), Failure>) {
    let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let mut count = 0;
    while let Some(first) = pages.blocking_recv() {
        let mut total = first.total;
        let mut batch = vec![first];
        while batch.len() < MAX_UNSTORED_PAGES
            && let Ok(page) = pages.try_recv()
        {
            total = page.total;
            batch.push(page);
        }
        count += u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let stored = ledger.store(|store| {
            for page in batch {
                for outcome in page.outcomes {
                    selection.add(outcome, |detection, indicator, field| {
                        store.add(detection, indicator, field)
                    })?;
                }
                let alerts = selection.tally().alerts_fetched;
                tracing::debug!(alerts, total = page.total, "stored a page");
            }
            Ok(())
        });
        if let Err(error) = stored {
            return (selection.tally().clone(), Err(error.into()));
        }
        let alerts = selection.tally().alerts_fetched;
        progress.set(Work::Reading { pages: count, alerts, total });
        crash_point();
    }
    (selection.tally().clone(), Ok(()))
}
