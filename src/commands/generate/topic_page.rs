//! A help topic as a man page: converts the Markdown of the topic to roff.

use std::iter::Peekable;
use std::str::Lines;

use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::cli::{NAME, Topic};

/// Lines of a topic before its text: the title and the summary, each with a blank line.
const HEAD_LINES: usize = 4;

/// Returns the man page of a topic.
pub(super) fn page(topic: &Topic) -> Roff {
    let mut roff = Roff::new();
    let title = format!("{NAME}-{}", topic.name).to_uppercase();
    let version = concat!("collective-insights ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", [title.as_str(), "7", " ", version]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{NAME}-{} - {}", topic.name, topic.summary()))]);
    let mut lines = topic.text.lines().peekable();
    for _ in 0..HEAD_LINES {
        lines.next();
    }
    if lines.peek().is_some_and(|line| !line.starts_with('#')) {
        roff.control("SH", ["DESCRIPTION"]);
    }
    while let Some(line) = lines.next() {
        if !line.is_empty() {
            block(line, &mut lines, &mut roff);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold(NAME), roman("(1)")]);
    roff
}

/// Converts the block that begins with this line.
fn block(line: &str, lines: &mut Peekable<Lines<'_>>, roff: &mut Roff) {
    if let Some(heading) = line.strip_prefix("## ") {
        roff.control("SH", [heading.to_uppercase().as_str()]);
    } else if line.starts_with("```") {
        roff.control("PP", []);
        roff.control("nf", []);
        for line in lines.by_ref().take_while(|line| !line.starts_with("```")) {
            roff.text([roman(format!("    {line}"))]);
        }
        roff.control("fi", []);
    } else if line.starts_with('|') {
        // The head of a table is left out: it is the row with a line of dashes below it.
        if lines.next_if(|next| next.starts_with("|-")).is_none() {
            table_row(line, roff);
        }
    } else if let Some((marker, text)) = list_item(line) {
        if let Some(term) = text.strip_suffix(':') {
            roff.control("TP", []);
            roff.text(inlines(term));
            roff.text(inlines(&continued("", lines)));
        } else {
            roff.control("IP", [marker, "3"]);
            roff.text(inlines(&continued(text, lines)));
        }
    } else {
        roff.control("PP", []);
        roff.text(inlines(&continued(line, lines)));
    }
}

/// Writes a row of a table: the first cell becomes a term, the others its explanation.
fn table_row(line: &str, roff: &mut Roff) {
    let mut cells = line.trim_matches('|').split('|').map(str::trim);
    roff.control("TP", []);
    roff.text(inlines(cells.next().unwrap_or_default()));
    let rest: Vec<&str> = cells.filter(|cell| !cell.is_empty()).collect();
    roff.text(inlines(&rest.join(": ")));
}

/// Returns the marker of a list item in roff, and the item's first line; `None` for another line.
fn list_item(line: &str) -> Option<(&str, &str)> {
    if let Some(text) = line.strip_prefix("- ") {
        return Some(("\\(bu", text));
    }
    let (number, text) = line.split_once(". ")?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some((number, text))
}

/// Joins a paragraph's first line and those that continue it.
fn continued(first: &str, lines: &mut Peekable<Lines<'_>>) -> String {
    let mut text = first.to_owned();
    let continues = |line: &&str| {
        !line.is_empty() && !line.starts_with(['#', '|', '`']) && list_item(line).is_none()
            || line.starts_with('`') && !line.starts_with("```")
    };
    while let Some(line) = lines.next_if(continues) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(line.trim_start());
    }
    text
}

/// Returns the parts of a text: code is bold, as commands and options are in man pages.
fn inlines(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { bold(part) } else { roman(part) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Title

Summary.

A paragraph with `--code`
on two lines.

## A heading

- A bullet
  on two lines.
1. A number.
- `--term` [default: `1`]:
  Its definition,
  on two lines.

| Head | Other |
|------|-------|
| `a`  | b     |

```sh
code `as it is`
```
";

    #[test]
    fn each_kind_of_block_is_converted() {
        let page = page(&Topic { name: "title", text: TEXT }).render();
        let lines: Vec<&str> = page.lines().skip_while(|line| *line != ".SH NAME").collect();
        assert_eq!(
            lines,
            [
                ".SH NAME",
                "collective\\-insights\\-title \\- Summary",
                ".SH DESCRIPTION",
                ".PP",
                "A paragraph with \\fB\\-\\-code\\fR on two lines.",
                ".SH \"A HEADING\"",
                ".IP \\(bu 3",
                "A bullet on two lines.",
                ".IP 1 3",
                "A number.",
                ".TP",
                "\\fB\\-\\-term\\fR [default: \\fB1\\fR]",
                "Its definition, on two lines.",
                ".TP",
                "\\fBa\\fR",
                "b",
                ".PP",
                ".nf",
                "    code `as it is`",
                ".fi",
                ".SH \"SEE ALSO\"",
                "\\fBcollective\\-insights\\fR(1)",
            ]
        );
    }
}
