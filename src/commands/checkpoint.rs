//! `checkpoint`: sets back checkpoints that are in the future.

use chrono::TimeDelta;

use super::confirm::confirm;
use super::{open_ledger, open_reader, time_or_never};
use crate::cli::CheckpointAction;
use crate::clock::Clock;
use crate::failure::Failure;
use crate::ledger::TenantFilter;
use crate::report::counted;

/// A checkpoint is set to this long before now: as far as a run catches up by default, and less
/// than the time for which delivered indicators are kept, so that nothing is sent twice.
const SET_BACK: TimeDelta = TimeDelta::days(30);

/// Sets back the checkpoints that are in the future.
pub(crate) fn checkpoint(action: &CheckpointAction, clock: Clock) -> Result<String, Failure> {
    let CheckpointAction::Reset { ledger, yes } = action;
    let path = ledger.path()?;
    let reader = open_reader(&path)?;
    let tenants = reader.status(clock.now(), &TenantFilter::default())?;
    drop(reader);
    let in_future = tenants.iter().filter(|tenant| tenant.is_checkpoint_in_future).count();
    if in_future == 0 {
        return Ok("no checkpoint is in the future\n".to_owned());
    }
    let count = u64::try_from(in_future).unwrap_or(u64::MAX);
    if !yes && !confirmed(count)? {
        return Ok("no checkpoint was set back\n".to_owned());
    }
    // Opened after the confirmation, so that the ledger is not locked while waiting for it.
    let now = clock.now();
    let ledger = open_ledger(&path, clock)?;
    let back_to = now - SET_BACK;
    let count = ledger.reset_checkpoints(now, back_to)?;
    Ok(format!(
        "{} set back; the next run reads the alerts since {} again, or since the start of the first run's window if that is later, and sends nothing twice\n",
        counted(count, "checkpoint", "checkpoints"),
        time_or_never(Some(back_to))
    ))
}

fn confirmed(count: u64) -> Result<bool, Failure> {
    let checkpoints = counted(count, "checkpoint", "checkpoints");
    confirm(
        &format!("Set {checkpoints} back?"),
        &format!("set {checkpoints} back"),
        "Add --yes to set them back without confirmation, or see them first with `collective-insights status`.",
    )
}
