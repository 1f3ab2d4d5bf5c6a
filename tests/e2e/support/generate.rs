//! Runs of `generate`.

use std::path::Path;

use tempfile::TempDir;

use super::{RunOutput, bare_command};

/// Runs `generate` in an empty folder and an empty environment.
pub fn generate(arguments: &str) -> RunOutput {
    generate_in(TempDir::new().unwrap().path(), arguments)
}

/// Runs `generate` in a folder and an empty environment.
pub fn generate_in(folder: &Path, arguments: &str) -> RunOutput {
    let mut command = bare_command(folder);
    command.arg("generate").args(arguments.split_whitespace());
    RunOutput::capture(&mut command)
}
