//! Shell completions.

use clap_complete::Shell;

use super::NAME;
use crate::cli;

/// The script that a shell reads.
pub(super) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::definition(), NAME, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Bash { with_one_spelling(&script) } else { script }
}

/// `clap_complete` 4.6 spells the hyphen of the program's name in two ways, so that in bash nothing behind a
/// subcommand is completed (clap-rs/clap#6421). Where that is mended, this changes nothing.
fn with_one_spelling(script: &str) -> String {
    script.replace(&NAME.replace('-', "__subcmd__"), &NAME.replace('-', "__"))
}
