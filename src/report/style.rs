//! Colors. They only repeat what the text already shows.

use std::io::IsTerminal;
use std::sync::OnceLock;

use clap::ColorChoice;

/// The value of `--color`: it applies to everything that a process prints.
static CHOICE: OnceLock<ColorChoice> = OnceLock::new();

/// Sets when colors are used. Only the first call has an effect.
pub(crate) fn set_color(choice: ColorChoice) {
    // It is set once per process.
    let _ = CHOICE.set(choice);
}

/// Adds colors to text, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Styler(bool);

impl Styler {
    /// Adds no colors.
    pub(crate) const PLAIN: Self = Self(false);

    /// Creates the styler for a stream, by the choice of [`set_color`].
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        Self::new(CHOICE.get().copied().unwrap_or(ColorChoice::Auto), stream)
    }

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

    /// Whether it adds colors.
    pub(crate) const fn is_colored(self) -> bool {
        self.0
    }

    /// Styles titles and labels.
    pub(crate) fn bold(self, text: &str) -> String {
        self.styled("1", text)
    }

    /// Styles the label of an error, as clap prints it.
    pub(crate) fn error(self, text: &str) -> String {
        self.styled("1;31", text)
    }

    /// Styles the label of a warning.
    pub(crate) fn warning(self, text: &str) -> String {
        self.styled("1;33", text)
    }

    /// Styles success.
    pub(crate) fn green(self, text: &str) -> String {
        self.styled("32", text)
    }

    /// Styles what needs attention.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.styled("33", text)
    }

    /// Styles a failure.
    pub(crate) fn red(self, text: &str) -> String {
        self.styled("31", text)
    }

    /// Styles progress.
    pub(crate) fn cyan(self, text: &str) -> String {
        self.styled("36", text)
    }

    fn styled(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
