//! Arguments, which need not be UTF-8.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// Returns what follows the prefix in an argument that begins with it.
pub(crate) fn strip_prefix(argument: &OsStr, prefix: &str) -> Option<OsString> {
    let rest = argument.as_bytes().strip_prefix(prefix.as_bytes())?;
    Some(OsString::from_vec(rest.to_owned()))
}
