//! Colour, where a person wants it. It only ever repeats what the words and signs say.

use std::io::IsTerminal;

use clap::ColorChoice;

/// Whether what is printed is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Styler(bool);

impl Styler {
    /// What the option says; without its word: on a terminal that takes colours, unless `NO_COLOR`
    /// (<https://no-color.org>) is set.
    #[must_use]
    pub fn new(choice: ColorChoice, stream: &impl IsTerminal) -> Self {
        let unwanted = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => stream.is_terminal() && !console::is_dumb() && !unwanted(),
        })
    }

    /// For what is well.
    #[must_use]
    pub fn green(self, text: &str) -> String {
        self.styled("32", text)
    }

    /// For what needs a person.
    #[must_use]
    pub fn red(self, text: &str) -> String {
        self.styled("31", text)
    }

    /// For what moves.
    #[must_use]
    pub fn cyan(self, text: &str) -> String {
        self.styled("36", text)
    }

    fn styled(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
