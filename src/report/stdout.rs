//! Standard output: what cannot be written is an error, unless the reader closed the pipe.

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
pub(crate) fn out(text: &str) -> Result<(), Failure> {
    let mut stdout = Stdout::lock();
    stdout.write(text)?;
    stdout.finish()
}

/// Stdout, buffered. After a reader closed the pipe (`| head`), everything else is discarded.
#[derive(Debug)]
pub(crate) struct Stdout(BufWriter<UntilClosed<StdoutLock<'static>>>);

impl Stdout {
    /// Locks stdout.
    pub(crate) fn lock() -> Self {
        Self(BufWriter::new(UntilClosed { inner: io::stdout().lock(), is_closed: false }))
    }

    /// Writes a text, which may stay in the buffer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), Failure> {
        IS_USED.fetch_or(!text.is_empty(), Ordering::Relaxed);
        self.0.write_all(text.as_bytes()).map_err(unwritable_output)
    }

    /// Writes what is in the buffer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.0.flush().map_err(unwritable_output)
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

/// Discards everything after the reader closed the pipe.
#[derive(Debug)]
struct UntilClosed<W> {
    inner: W,
    is_closed: bool,
}

impl<W: Write> UntilClosed<W> {
    fn unless_closed<T>(
        &mut self,
        discarded: T,
        write: impl FnOnce(&mut W) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.is_closed {
            return Ok(discarded);
        }
        match write(&mut self.inner) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(discarded)
            }
            result => result,
        }
    }
}

impl<W: Write> Write for UntilClosed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_closed(bytes.len(), |inner| inner.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_closed((), Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails every write with this error.
    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn only_a_closed_pipe_is_not_an_error() {
        for (kind, succeeds) in [(ErrorKind::BrokenPipe, true), (ErrorKind::StorageFull, false)] {
            let mut output = UntilClosed { inner: Broken(kind), is_closed: false };
            assert_eq!(output.write_all(b"text").is_ok(), succeeds, "{kind}");
            assert_eq!(output.flush().is_ok(), succeeds, "{kind}");
        }
    }
}
