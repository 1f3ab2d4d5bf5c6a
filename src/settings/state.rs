//! The default place of the ledger.
//!
//! It does not depend on the working folder: a run that is started in another folder would find no
//! ledger there, and send everything again. The log is in the working folder, for people to read.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, FailureKind};
use crate::platform::{advice, folders};

/// The name of the ledger in its folder.
const LEDGER: &str = "collective-insights.db";

/// Returns the default path of the ledger.
///
/// # Errors
/// When the user has no state folder, and when the state folder has no ledger but the working
/// folder has one, where earlier versions created it.
pub(crate) fn default_ledger() -> Result<PathBuf, Failure> {
    let folder = folders::state().ok_or_else(no_folder)?;
    let path = folder.join(LEDGER);
    let exists = |path: &Path| path.symlink_metadata().is_ok();
    if !exists(&path) && exists(Path::new(LEDGER)) {
        return Err(in_working_folder(&folder));
    }
    Ok(path)
}

fn no_folder() -> Failure {
    Failure::new(
        FailureKind::Configuration,
        "there is no folder for the ledger: the user has no home folder",
        format!(
            "Name the ledger's file with --ledger, or set {} to a folder.",
            folders::STATE_VARIABLES
        ),
    )
}

fn in_working_folder(folder: &Path) -> Failure {
    let move_it = advice::move_into(folder, LEDGER);
    let folder = folder.display();
    Failure::new(
        FailureKind::Configuration,
        format!("there is a ledger in the working folder ({LEDGER}), and none in {folder}"),
        format!(
            "To keep its history, move it: {move_it}. Or name it with --ledger {LEDGER}. Nothing was read or sent."
        ),
    )
    .with_cause("without --ledger, the ledger is in the state folder, so that it is the same one in every working folder")
}
