//! Standard output. A failed write is an error, unless the reader closed the pipe.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::{Failure, FailureKind};
use crate::platform::advice;

/// Whether something was written to stdout.
static IS_USED: AtomicBool = AtomicBool::new(false);

/// Returns whether this process wrote something to stdout.
pub(super) fn is_used() -> bool {
    IS_USED.load(Ordering::Relaxed)
}

/// Writes a text to stdout.
///
/// # Errors
/// When it cannot be written, for example because the disk is full.
pub(crate) fn write_stdout(text: &str) -> Result<(), Failure> {
    let mut stdout = Stdout::lock();
    stdout.write(text)?;
    stdout.finish()
}

/// Stdout, buffered. A reader that closed the pipe (`| head`) is not an error.
#[derive(Debug)]
pub(crate) struct Stdout(BufWriter<StdoutLock<'static>>);

impl Stdout {
    /// Locks stdout.
    pub(crate) fn lock() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    /// Writes a text, which may stay in the buffer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), Failure> {
        IS_USED.fetch_or(!text.is_empty(), Ordering::Relaxed);
        ignore_closed_pipe(self.0.write_all(text.as_bytes()))
    }

    /// Writes what is in the buffer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        ignore_closed_pipe(self.0.flush())
    }
}

fn ignore_closed_pipe(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(unwritable_output(error)),
        _ => Ok(()),
    }
}

/// Returns the failure for output that cannot be written.
pub(crate) fn unwritable_output(error: io::Error) -> Failure {
    Failure::new(
        FailureKind::Unexpected,
        "the output cannot be written and is incomplete",
        format!(
            "Free some space (`{}`) or redirect the output to another place, then run the command again.",
            advice::DISK_SPACE
        ),
    )
    .with_cause(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_pipe_is_not_an_error() {
        assert!(ignore_closed_pipe(Err(ErrorKind::BrokenPipe.into())).is_ok());
        assert!(ignore_closed_pipe(Err(ErrorKind::StorageFull.into())).is_err());
    }
}
