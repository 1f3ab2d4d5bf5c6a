//! The setup of the process when the program starts.

use console::Term;

/// Lets the terminals interpret colors, which those of Windows do only on request.
pub(crate) fn set_up() {
    for terminal in [Term::stdout(), Term::stderr()] {
        // This switches them on where the terminal can show them, unless `NO_COLOR` is set.
        let _ = terminal.features().colors_supported();
    }
}
