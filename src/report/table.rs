//! Tables of numbers.

use std::fmt::Write as _;

use super::layout::{Layout, display_width, thousands};

/// The narrowest terminal for a table.
const MIN_COLUMNS: usize = 50;
/// The cell of an absent number.
const NO_NUMBER: &str = "-";

/// Rows with a name and a number for each heading.
#[derive(Debug)]
pub(crate) struct NumberTable<'a, const N: usize> {
    /// The heading of the names.
    pub name: &'a str,
    pub headings: [&'a str; N],
    /// The heading of the column whose numbers are red unless they are 0.
    pub red_unless_zero: &'a str,
    pub rows: Vec<NumberRow<N>>,
}

/// A row of a table of numbers.
#[derive(Debug, Clone)]
pub(crate) struct NumberRow<const N: usize> {
    pub name: String,
    /// `None` where there is no number.
    pub numbers: [Option<u64>; N],
    /// The text after the numbers.
    pub note: String,
}

impl<const N: usize> NumberRow<N> {
    /// Returns a row of a name and its numbers.
    pub(crate) fn new(name: impl Into<String>, numbers: [u64; N]) -> Self {
        Self { name: name.into(), numbers: numbers.map(Some), note: String::new() }
    }

    /// Whether it has any number; without one, the note takes the place of the numbers.
    fn has_numbers(&self) -> bool {
        self.numbers.iter().any(Option::is_some)
    }

    fn cells(&self) -> [String; N] {
        self.numbers.map(|number| number.map_or_else(|| NO_NUMBER.to_owned(), thousands))
    }

    /// Returns the row for a terminal that has no space for the table.
    fn sentence(&self, headings: [&str; N], layout: Layout) -> String {
        let numbers = headings.into_iter().zip(self.numbers);
        let numbers = numbers.filter_map(|(heading, number)| Some((heading, number?)));
        let numbers: Vec<String> =
            numbers.map(|(heading, number)| format!("{heading} {}", thousands(number))).collect();
        let text = format!("{} {}", numbers.join(", "), self.note.trim_start());
        layout.title(&self.name, &format!(" {}", text.trim()))
    }
}

impl<const N: usize> NumberTable<'_, N> {
    /// Returns the width of the names and that of each column of numbers.
    fn widths(&self) -> (usize, [usize; N]) {
        let names = self.rows.iter().map(|row| row.name.as_str()).chain([self.name]);
        let mut widths = self.headings.map(str::len);
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row.cells()) {
                *width = cell.len().max(*width);
            }
        }
        (names.map(display_width).max().unwrap_or_default(), widths)
    }

    /// Returns the width of the table without notes, in columns.
    pub(crate) fn width(&self) -> usize {
        let (name, numbers) = self.widths();
        2 + name + numbers.iter().map(|width| 2 + width).sum::<usize>()
    }

    /// Returns the table, with columns as wide as the widest cell. On a terminal that is too narrow
    /// for it, each row is a sentence.
    pub(crate) fn text(&self, layout: Layout) -> String {
        let with_numbers = self.rows.iter().filter(|row| row.has_numbers());
        let note = with_numbers.map(|row| display_width(&row.note)).max().unwrap_or_default();
        let needed = (self.width() + usize::from(note > 0) + note).max(MIN_COLUMNS);
        if layout.columns().is_some_and(|columns| columns < needed) {
            return self.rows.iter().map(|row| row.sentence(self.headings, layout)).collect();
        }
        let (name_width, widths) = self.widths();
        let padded = |name: &str| {
            format!("  {name}{}", " ".repeat(name_width.saturating_sub(display_width(name))))
        };
        let mut heading = padded(self.name);
        for (cell, width) in self.headings.into_iter().zip(widths) {
            // Writing to a String cannot fail.
            let _ = write!(heading, "  {cell:>width$}");
        }
        let mut text = layout.styler.bold(&heading) + "\n";
        for row in &self.rows {
            text.push_str(&padded(&row.name));
            let shown = if row.has_numbers() { N } else { 0 };
            let cells =
                row.cells().into_iter().zip(widths).zip(self.headings).zip(row.numbers).take(shown);
            for (((cell, width), heading), number) in cells {
                let cell = format!("  {cell:>width$}");
                let is_problem =
                    heading == self.red_unless_zero && number.is_some_and(|number| number > 0);
                text.push_str(&if is_problem { layout.styler.red(&cell) } else { cell });
            }
            if !row.note.is_empty() {
                text = text + " " + &row.note;
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(columns: usize) -> String {
        let missing = NumberRow {
            name: "a-long-name".to_owned(),
            numbers: [None, Some(7)],
            note: "ended".to_owned(),
        };
        let nothing = NumberRow { numbers: [None, None], ..missing.clone() };
        let table = NumberTable {
            name: "tenant",
            headings: ["fetched", "new"],
            red_unless_zero: "",
            rows: vec![NumberRow::new("acme", [12_345, 0]), missing, nothing],
        };
        table.text(Layout::with_columns(columns))
    }

    #[test]
    fn columns_are_as_wide_as_the_widest_cell() {
        let expected = "  tenant       fetched  new\n  \
                        acme          12,345    0\n  \
                        a-long-name        -    7 ended\n  \
                        a-long-name ended\n";
        assert_eq!(text(80), expected);
    }

    #[test]
    fn a_narrow_terminal_has_a_sentence_for_each_row() {
        let expected = "acme fetched 12,345, new 0\n\
                        a-long-name new 7 ended\n\
                        a-long-name ended\n";
        assert_eq!(text(49), expected);
    }
}
