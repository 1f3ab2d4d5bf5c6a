//! The layout of text: how wide the terminal is, where lines end, and colors.
//!
//! On a terminal, text is wrapped between words and continues under its beginning. Elsewhere (a
//! pipe, a file, the log) nothing is wrapped or shortened, so that programs find whole lines.

use std::borrow::Cow;
use std::io::{stderr, stdout};
use std::time::Duration;

use console::Term;
pub(crate) use textwrap::core::display_width;
use textwrap::{Options, WordSeparator, WordSplitter};

use super::Styler;
use crate::redact::sanitize;

/// The widths, in columns, that text is laid out for. A narrower terminal breaks lines itself.
const MIN_COLUMNS: usize = 24;
const MAX_COLUMNS: usize = 200;
/// The indent of further lines below a title, and below a label that takes a third of the width.
const SMALL_INDENT: usize = 2;
/// A word of a table is shortened to what is left of the line, but not to less than this.
const MIN_WORD_COLUMNS: usize = 20;

/// The layout of text on a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// The width of the terminal; `None` where nothing is wrapped.
    columns: Option<usize>,
    pub(crate) styler: Styler,
}

impl Layout {
    /// Neither wrapped nor colored, as in the log.
    pub(crate) const PLAIN: Self = Self { columns: None, styler: Styler::PLAIN };

    /// Returns the layout of stdout.
    pub(crate) fn stdout() -> Self {
        Self { columns: columns(&Term::stdout()), styler: Styler::of(&stdout()) }
    }

    /// Returns the layout of stderr.
    pub(crate) fn stderr() -> Self {
        Self { columns: columns(&Term::stderr()), styler: Styler::of(&stderr()) }
    }

    #[cfg(test)]
    pub(crate) const fn with_columns(columns: usize) -> Self {
        Self { columns: Some(columns), styler: Styler::PLAIN }
    }

    /// Returns the width of the terminal, in columns; `None` where nothing is wrapped.
    pub(crate) const fn columns(self) -> Option<usize> {
        self.columns
    }

    /// Returns a label and a text as lines: the text continues under its beginning. The label can
    /// be styled; in the text, secrets are masked and control characters escaped.
    pub(crate) fn paragraph(self, label: &str, text: &str) -> String {
        let width = display_width(label);
        if self.columns.is_some_and(|columns| width * 3 >= columns) {
            let margin = label.len() - label.trim_start().len();
            return self.hanging(label, margin + SMALL_INDENT, text);
        }
        self.hanging(label, width, text)
    }

    /// Returns a bold title and what belongs to it as lines.
    pub(crate) fn title(self, title: &str, text: &str) -> String {
        self.hanging(&self.styler.bold(&sanitize(title)), SMALL_INDENT, text)
    }

    /// Returns lines that are styled already, each of them wrapped under its own indent.
    pub(crate) fn lines(self, text: &str) -> String {
        let Some(columns) = self.columns else {
            return text.to_owned();
        };
        let wrapped = text.lines().map(|line| {
            let margin = " ".repeat(line.len() - line.trim_start().len());
            wrap(line, columns, "", &margin) + "\n"
        });
        wrapped.collect()
    }

    /// Returns the same as [`Self::paragraph`], with this indent of further lines.
    pub(crate) fn hanging(self, label: &str, indent: usize, text: &str) -> String {
        let text = sanitize(text);
        let Some(columns) = self.columns else {
            return format!("{label}{text}\n");
        };
        let longest = columns.saturating_sub(indent);
        let words: Vec<_> = text.split(' ').map(|word| shorten(word, longest)).collect();
        // The label is wrapped as part of the text: a first word that does not fit goes below it.
        let (margin, label) = label.split_at(label.len() - label.trim_start().len());
        let text = format!("{label}{}", words.join(" "));
        let further = " ".repeat(indent);
        wrap(&text, columns, margin, &further) + "\n"
    }

    /// Returns a row of a table on one line: `cells`, and the last cell, which is a single word and
    /// is shortened to the columns that are left. If these are too few, the word is on the next
    /// line, indented.
    pub(crate) fn row(self, cells: &str, indent: usize, word: &str) -> String {
        let left = self.columns.map(|columns| columns.saturating_sub(display_width(cells)));
        match left {
            Some(left) if left >= MIN_WORD_COLUMNS => {
                self.hanging(cells, indent, &shorten(&sanitize(word), left))
            }
            _ => self.hanging(cells, indent, word),
        }
    }
}

fn wrap(text: &str, columns: usize, first: &str, further: &str) -> String {
    let options = Options::new(columns)
        .initial_indent(first)
        .subsequent_indent(further)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    textwrap::fill(text, options)
}

fn columns(terminal: &Term) -> Option<usize> {
    let columns = usize::from(terminal.is_term().then(|| terminal.size().1)?);
    Some(columns.clamp(MIN_COLUMNS, MAX_COLUMNS))
}

/// Returns a text in at most this many columns: `…` replaces the middle of a longer one, so that
/// both ends of a hash, a path or a URL stay.
pub(crate) fn shorten(text: &str, columns: usize) -> Cow<'_, str> {
    if display_width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let kept = columns.saturating_sub(1);
    let end: String = beginning(text.chars().rev(), kept / 2).chars().rev().collect();
    Cow::Owned(format!("{}…{end}", beginning(text.chars(), kept - kept / 2)))
}

/// Returns the beginning of a text in at most this many columns, with `…` for the rest.
pub(crate) fn truncate(text: &str, columns: usize) -> Cow<'_, str> {
    if display_width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let kept = beginning(text.chars(), columns.saturating_sub(1));
    Cow::Owned(format!("{}…", kept.trim_end()))
}

/// Returns the first characters, in at most this many columns.
fn beginning(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    let mut buffer = [0; 4];
    chars
        .take_while(|char| {
            used += display_width(char.encode_utf8(&mut buffer));
            used <= columns
        })
        .collect()
}

/// Returns a number with its thousands separated: `1,852`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| str::from_utf8(group).unwrap_or(""))
        .collect();
    groups.join(",")
}

/// Returns a length of time in one or two units: `400 ms`, `59 s`, `3 min 5 s`, `2 d 1 h`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match (hours, minutes, seconds) {
        (0, 0, 0) => format!("{} ms", time.as_millis()),
        (0, 0, _) => format!("{seconds} s"),
        (0, ..) => format!("{minutes} min {} s", seconds % 60),
        (..48, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Characters that take one column, two and none, and a word that is longer than any line.
    const TEXT: &str = "Check --client-id (CS_CLIENT_ID) and the path /var/lib/collective-insights; 検出 e\u{301} 275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f0123456789 ends";

    #[test]
    fn no_line_is_too_wide_and_no_word_is_split() {
        for label in ["", "error: ", "  cause: ", "  indicators       498  "] {
            for columns in MIN_COLUMNS..=MAX_COLUMNS {
                let text = Layout::with_columns(columns).paragraph(label, TEXT);
                for line in text.lines() {
                    assert!(display_width(line) <= columns, "{columns}: {line:?}");
                }
                let words: Vec<&str> = label.split_whitespace().chain(TEXT.split(' ')).collect();
                let wrapped: Vec<&str> = text.split_whitespace().collect();
                assert_eq!(wrapped.len(), words.len(), "{columns}: {text}");
                for (wrapped, word) in wrapped.iter().zip(words) {
                    let ends = wrapped.split_once('…');
                    let is_shortened = ends
                        .is_some_and(|(start, end)| word.starts_with(start) && word.ends_with(end));
                    assert!(*wrapped == word || is_shortened, "{columns}: {wrapped:?}, {word:?}");
                }
            }
        }
    }

    #[test]
    fn further_lines_begin_under_the_text() {
        let text = Layout::with_columns(40)
            .paragraph("  help: ", "Set it with --rf-api-key or with RF_API_KEY.");
        assert_eq!(text, "  help: Set it with --rf-api-key or with\n        RF_API_KEY.\n");
        // On a narrow terminal the label would take a third of it.
        let text = Layout::with_columns(24).paragraph("  cause: ", "no space left on the device");
        assert_eq!(text, "  cause: no space left\n    on the device\n");
    }

    #[test]
    fn the_last_word_of_a_row_is_shortened_or_below() {
        let hash = "0123456789abcdef".repeat(4);
        let row = |columns| Layout::with_columns(columns).row("1  queued  acme  ", 4, &hash);
        assert_eq!(row(81), format!("1  queued  acme  {hash}\n"));
        assert_eq!(row(40), "1  queued  acme  0123456789a…56789abcdef\n");
        assert_eq!(row(30), "1  queued  acme\n    0123456789abc…456789abcdef\n");
        assert_eq!(Layout::PLAIN.row("1  ", 4, &hash), format!("1  {hash}\n"));
    }

    #[test]
    fn nothing_is_wrapped_or_shortened_without_a_terminal() {
        assert_eq!(Layout::PLAIN.paragraph("error: ", TEXT), format!("error: {TEXT}\n"));
    }

    #[test]
    fn control_characters_of_the_text_are_escaped_but_those_of_the_label_stay() {
        let text = Layout::with_columns(80).paragraph("\u{1b}[1mnote:\u{1b}[0m ", "\u{1b}[2J\n");
        assert_eq!(text, "\u{1b}[1mnote:\u{1b}[0m \\u{1b}[2J\\u{a}\n");
    }

    #[test]
    fn a_shortened_text_keeps_both_ends() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdefg", 6), "abc…fg");
        assert_eq!(shorten("検出検出", 6), "検…出");
        assert_eq!(shorten("abcdefg", 1), "…");
        assert_eq!(truncate("abc defg", 8), "abc defg");
        assert_eq!(truncate("abc defg", 5), "abc…");
    }

    #[test]
    fn a_length_of_time_has_one_or_two_units() {
        let text = |millis| duration(Duration::from_millis(millis));
        assert_eq!(text(400), "400 ms");
        assert_eq!(text(59_999), "59 s");
        assert_eq!(text(185_000), "3 min 5 s");
        assert_eq!(text(3_600_000), "1 h 0 min");
        assert_eq!(text(48 * 3_600_000 - 1), "47 h 59 min");
        assert_eq!(text(49 * 3_600_000), "2 d 1 h");
    }

    #[test]
    fn thousands_are_separated() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")]
        {
            assert_eq!(thousands(number), text);
        }
    }
}
