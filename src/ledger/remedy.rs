//! The ledger's errors in plain words, with the command that helps.

use super::LedgerError;
use crate::failure::{Failure, FailureKind};

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let (kind, hint) = match &error {
            LedgerError::Locked { .. } => (
                FailureKind::Locked,
                "Wait for it to end; `collective-insights status` shows it. Another --ledger is for another purpose, not for running at the same time.".to_owned(),
            ),
            LedgerError::Damaged { path, .. } => {
                let path = path.display();
                (FailureKind::Ledger, format!(
                    "The file was left as it is. Save what can be saved with `sqlite3 {path} .recover > saved.sql`, then move it away (`mv {path} {path}.damaged`); the next run begins a new ledger and reads --hours back, which may send again what was sent."
                ))
            }
            LedgerError::Newer { .. } => {
                (FailureKind::Ledger, "Install the newer release again, or name another file with --ledger; this one was left as it is.".to_owned())
            }
            LedgerError::Older { .. } => {
                (FailureKind::Ledger, "Nothing is wrong with it: run a source, or wait for tonight's run, and look again.".to_owned())
            }
            LedgerError::Unwritable { path, .. } => {
                let path = path.display();
                (FailureKind::Ledger, format!(
                    "Let this user write the file and its folder (`ls -ld {path}`), or name another with --ledger <FILE>; --no-ledger runs without memory."
                ))
            }
            LedgerError::Full { path } => {
                (FailureKind::Ledger, format!("Free some room (`df -h {}`), then run again: nothing that was stored is lost.", path.display()))
            }
            LedgerError::NotWaiting { .. } | LedgerError::Other { .. } => {
                (FailureKind::Ledger, "Run again; if it stays, `sqlite3 <FILE> 'PRAGMA integrity_check'` tells whether the file is sound.".to_owned())
            }
        };
        Self::new(kind, error.to_string(), hint)
    }
}
