//! Tables of numbers.

use std::fmt::Write as _;

use super::layout::{Layout, display_width};

/// The narrowest terminal for a table.
const MIN_COLUMNS: usize = 50;

/// Rows with a name and a number for each heading.
#[derive(Debug)]
pub(crate) struct NumberTable<'a, const N: usize> {
    /// The heading of the names.
    pub name: &'a str,
    pub headings: [&'a str; N],
    pub rows: &'a [(String, [String; N])],
}

impl<const N: usize> NumberTable<'_, N> {
    /// Returns the table, with columns as wide as the widest cell. `None` where the terminal is too
    /// narrow for it. `paint` gets the index of a column, the cell, and the cell with its padding.
    pub(crate) fn text(
        &self,
        layout: Layout,
        paint: impl Fn(usize, &str, String) -> String,
    ) -> Option<String> {
        let names = self.rows.iter().map(|(name, _)| name.as_str()).chain([self.name]);
        let name_width = names.map(display_width).max().unwrap_or_default();
        let mut widths = self.headings.map(str::len);
        for (_, cells) in self.rows {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.len().max(*width);
            }
        }
        let total = 2 + name_width + widths.iter().map(|width| width + 2).sum::<usize>();
        if layout.columns().is_some_and(|columns| columns < total.max(MIN_COLUMNS)) {
            return None;
        }
        let padded = |name: &str| {
            format!("  {name}{}", " ".repeat(name_width.saturating_sub(display_width(name))))
        };
        let mut heading = padded(self.name);
        for (cell, width) in self.headings.into_iter().zip(widths) {
            // Writing to a String cannot fail.
            let _ = write!(heading, "  {cell:>width$}");
        }
        let mut text = layout.styler.bold(&heading) + "\n";
        for (name, cells) in self.rows {
            text.push_str(&padded(name));
            for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
                text.push_str("  ");
                text.push_str(&paint(column, cell, format!("{cell:>width$}")));
            }
            text.push('\n');
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(columns: usize) -> Option<String> {
        let row = |name: &str, cells: [&str; 2]| (name.to_owned(), cells.map(str::to_owned));
        let rows = [row("acme", ["12,345", "0"]), row("a-long-name", ["-", "7"])];
        let table = NumberTable { name: "tenant", headings: ["fetched", "new"], rows: &rows };
        table.text(Layout::with_columns(columns), |column, cell, padded| match (column, cell) {
            (1, "7") => padded.replace('7', "!"),
            _ => padded,
        })
    }

    #[test]
    fn columns_are_as_wide_as_the_widest_cell() {
        let expected = "  tenant       fetched  new\n  \
                        acme          12,345    0\n  \
                        a-long-name        -    !\n";
        assert_eq!(text(80).as_deref(), Some(expected));
    }

    #[test]
    fn a_narrow_terminal_has_no_table() {
        assert_eq!(text(49), None);
    }
}
