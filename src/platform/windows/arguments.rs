//! Arguments, which need not be Unicode.

use std::ffi::{OsStr, OsString};
use std::os::windows::ffi::{OsStrExt as _, OsStringExt as _};

/// Returns what follows the prefix in an argument that begins with it.
pub(crate) fn strip_prefix(argument: &OsStr, prefix: &str) -> Option<OsString> {
    let argument: Vec<u16> = argument.encode_wide().collect();
    let prefix: Vec<u16> = prefix.encode_utf16().collect();
    argument.strip_prefix(prefix.as_slice()).map(OsString::from_wide)
}
