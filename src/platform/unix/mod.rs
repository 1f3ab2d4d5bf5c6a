//! Linux, and systems like it.

pub(crate) mod advice;
pub(crate) mod arguments;
pub(crate) mod files;
pub(crate) mod folders;
pub(crate) mod ownership;
pub(crate) mod process;
pub(crate) mod signals;
