//! What differs between operating systems, under the same names for each. No other module has code
//! for one of them only.
//!
//! | module | purpose |
//! |---|---|
//! | `advice` | commands that help texts name |
//! | `arguments` | parts of arguments that need not be UTF-8 |
//! | `files` | opens files, with access for their owner only |
//! | `folders` | where the ledger and the settings file are |
//! | `ownership` | who else can change or read a file |
//! | `process` | what is set up when the program starts |
//! | `signals` | the signals that end a run |

#[cfg(any(windows, test))]
mod access_list;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use self::unix::{advice, arguments, files, folders, ownership, process, signals};
#[cfg(windows)]
pub(crate) use self::windows::{advice, arguments, files, folders, ownership, process, signals};
