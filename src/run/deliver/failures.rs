//! The failures of a delivery.

use super::MAX_REJECTIONS_IN_A_ROW;
use crate::failure::{Failure, FailureKind};
use crate::recorded_future::Rejection;
use crate::settings::{LedgerChoice, Settings};

pub(super) fn damaged_items(count: u64) -> Failure {
    let indicators = match count {
        1 => "1 indicator".to_owned(),
        _ => format!("{count} indicators"),
    };
    Failure::new(
        FailureKind::Partial,
        format!(
            "{indicators} cannot be sent: the stored item is damaged; all others were processed as usual"
        ),
        "The file of the ledger was changed from outside, or its disk is failing. A run puts them into quarantine: see `collective-insights outbox list --quarantined`, then remove them with `outbox drop`.",
    )
}

/// The failure for rejected items that an earlier attempt may have stored.
pub(super) fn rejected_in_doubt(count: u64, message: &str) -> Failure {
    let (indicators, them) = match count {
        1 => ("1 indicator".to_owned(), "it"),
        _ => (format!("{count} indicators"), "them"),
    };
    Failure::new(
        FailureKind::Partial,
        format!(
            "Recorded Future rejected {indicators}, the last one with {message}, but an attempt without a response may have stored {them}"
        ),
        format!(
            "The next run looks for {them} in Recorded Future first, and puts what is rejected again into quarantine. If this happens every day, tell Recorded Future's support the message."
        ),
    )
}

pub(super) fn everything_rejected(rejection: &Rejection) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!("Recorded Future rejects every indicator, the last one with {}", rejection.message),
        "Check --organization-id first. Sending has stopped and everything else stays queued; once the cause is fixed, `collective-insights outbox retry` queues what is in quarantine again.",
    )
}

pub(super) fn rejected_in_a_row(rejection: &Rejection) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!(
            "Recorded Future rejected {MAX_REJECTIONS_IN_A_ROW} indicators in a row, the last one with {}",
            rejection.message
        ),
        "Sending has stopped and everything else stays queued: the next run continues. Once the cause is fixed, `collective-insights outbox retry` queues what is in quarantine again.",
    )
    .with_cause("Recorded Future accepted indicators before: the account or the service may have changed")
}

pub(super) fn in_quarantine(settings: &Settings, count: u64, stopped: bool) -> Failure {
    let help = match settings.ledger {
        LedgerChoice::File { .. } => {
            "See the reason with `collective-insights outbox list --quarantined`, then `outbox retry` or `outbox drop`; report the reason to Recorded Future's support."
        }
        LedgerChoice::None => {
            "The log has the reasons and the items; without a ledger they are not kept."
        }
    };
    let rejected = match count {
        1 => "Recorded Future rejected 1 indicator; it is in quarantine".to_owned(),
        _ => format!("Recorded Future rejected {count} indicators; they are in quarantine"),
    };
    let message =
        if stopped { rejected } else { rejected + ", all others were processed as usual" };
    Failure::new(FailureKind::Partial, message, help)
}
