//! The length and the checksum of the ledger, by which a run knows whether it changed since the
//! last one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::Crc;

/// The length and the checksum of a file. Where they are the same, the file is as the last run left
/// it, and need not be examined whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    length: u64,
    crc: u32,
}

impl Fingerprint {
    /// Reads the file at `path`. Do not call it while a transaction is open: closing a descriptor
    /// of the file would drop the locks that `SQLite` holds on it.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let (mut crc, mut length) = (Crc::new(), 0);
        let mut buffer = vec![0; 1 << 18];
        loop {
            let read = file.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
                return Ok(Self { length, crc: crc.sum() });
            };
            crc.update(bytes);
            length += u64::try_from(read).unwrap_or_default();
        }
    }

    /// Parses the words of a note in the lock file, from the third one on.
    pub(super) fn parse<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Self> {
        Some(Self { length: words.next()?.parse().ok()?, crc: words.next()?.parse().ok()? })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.length, self.crc)
    }
}
