//! Shell completions.

use clap_complete::Shell;

use crate::cli::{self, NAME};

/// Returns the completion script of a shell.
pub(super) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::definition().clone(), NAME, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Bash { fix_bash_name(&script) } else { script }
}

/// Works around clap-rs/clap#6421: `clap_complete` 4.6 writes the hyphen of the program's name in
/// two ways, so that bash completes nothing after a subcommand. Does nothing once that is fixed.
fn fix_bash_name(script: &str) -> String {
    script.replace(&NAME.replace('-', "__subcmd__"), &NAME.replace('-', "__"))
}
