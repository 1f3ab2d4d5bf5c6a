//! Colors. They only repeat what the text already shows.

use std::io::IsTerminal;

use clap::ColorChoice;

/// Adds colors to text, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Styler(bool);

impl Styler {
    /// Creates a styler for a stream. `Auto` means colors on a terminal that supports them, unless
    /// `NO_COLOR` (<https://no-color.org>) is set.
    pub(crate) fn new(choice: ColorChoice, stream: &impl IsTerminal) -> Self {
        let no_color = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => stream.is_terminal() && !console::is_dumb() && !no_color(),
        })
    }

    /// Success.
    pub(crate) fn green(self, text: &str) -> String {
        self.styled("32", text)
    }

    /// Failure.
    pub(crate) fn red(self, text: &str) -> String {
        self.styled("31", text)
    }

    /// Progress.
    pub(crate) fn cyan(self, text: &str) -> String {
        self.styled("36", text)
    }

    fn styled(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
