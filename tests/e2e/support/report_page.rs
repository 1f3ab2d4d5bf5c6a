//! Reads the HTML page of `report`: its tables, tiles, attributes and elements.

use std::collections::BTreeMap;
use std::path::Path;

/// The HTML of a page.
pub struct ReportPage(pub String);

impl ReportPage {
    pub fn read(path: &Path) -> Self {
        Self(std::fs::read_to_string(path).unwrap())
    }

    /// Returns the rows of the table with this label, each as the texts of its cells.
    #[track_caller]
    pub fn rows(&self, label: &str) -> Vec<Vec<String>> {
        let start = format!("aria-label=\"{label}\"");
        let (_, rest) = self.0.split_once(&start).unwrap_or_else(|| panic!("no table {label}"));
        let (table, _) = rest.split_once("</table>").unwrap();
        let (_, body) = table.split_once("<tbody>").unwrap();
        let body = body.replace("<th", "<td").replace("</th>", "</td>");
        let rows = body.split("<tr").skip(1);
        rows.map(|row| row.split("<td").skip(1).map(cell).collect()).collect()
    }

    /// Returns the numbers in a column of a table, by the first cell of their row.
    #[track_caller]
    pub fn numbers(&self, label: &str, column: usize) -> BTreeMap<String, u64> {
        let rows = self.rows(label).into_iter();
        rows.map(|row| (row[0].clone(), number(&row[column]))).collect()
    }

    /// Returns the number in the tile with this name. Tiles are the boxes with the main numbers.
    #[track_caller]
    pub fn tile(&self, name: &str) -> u64 {
        let start = format!("<span class=\"name\">{name}</span>");
        let (_, rest) = self.0.split_once(&start).unwrap_or_else(|| panic!("no tile {name}"));
        number(&text(rest.split_once("</data>").unwrap().0))
    }

    /// Returns the values of an attribute, in the order of the page.
    pub fn attributes(&self, name: &str) -> Vec<String> {
        let start = format!(" {name}=\"");
        self.0.split(&start).skip(1).map(|rest| text(rest.split('"').next().unwrap())).collect()
    }

    /// Returns the elements of this name, each up to its end.
    pub fn elements(&self, name: &str) -> Vec<&str> {
        let end = format!("</{name}>");
        let starts = [format!("<{name} "), format!("<{name}>")];
        let found = starts.iter().flat_map(|start| self.0.split(start.as_str()).skip(1));
        found.map(|rest| rest.split(&end).next().unwrap()).collect()
    }
}

/// Returns the text of a cell, from after the name of its tag.
fn cell(html: &str) -> String {
    let (_, content) = html.split_once('>').unwrap();
    text(content.split("</td>").next().unwrap())
}

/// Removes the tags.
fn text(html: &str) -> String {
    let parts = html.split('<').enumerate().map(|(index, part)| match index {
        0 => part,
        _ => part.split_once('>').map_or("", |(_, text)| text),
    });
    let text: String = parts.collect();
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

#[track_caller]
fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("{text:?} is not a number"))
}
