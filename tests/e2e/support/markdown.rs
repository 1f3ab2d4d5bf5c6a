//! Reads parts of the README and of the help topics, to be compared with the program.

use collective_insights::cli::TOPICS;

/// Returns the lines below a heading of any level, up to the next one.
#[track_caller]
pub fn section<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let title = |line: &'a str| line.strip_prefix('#').map(|line| line.trim_matches(['#', ' ']));
    let mut lines = text.lines().skip_while(|line| title(line) != Some(heading));
    assert!(lines.next().is_some(), "there is no heading {heading}");
    lines.take_while(|line| title(line).is_none()).collect()
}

/// Returns the rows of the first table under a heading without its head, each cell trimmed.
#[track_caller]
pub fn table<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let rows: Vec<Vec<&str>> = section(text, heading)
        .into_iter()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split(" |").map(str::trim).collect())
        .collect();
    assert!(!rows.is_empty(), "there is no table under {heading}");
    rows
}

/// Returns the terms that a list under a heading defines: its items that end with a colon.
#[track_caller]
pub fn terms<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let items = section(text, heading).into_iter().filter_map(|line| line.strip_prefix("- "));
    let terms: Vec<&str> = items.filter_map(|item| item.strip_suffix(':')).collect();
    assert!(!terms.is_empty(), "no term is defined under {heading}");
    terms
}

/// Returns the parts of a text that are in backticks.
pub fn in_backticks(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Returns the blocks of code in a language, without their fences.
pub fn code<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str()).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect()
}

/// Returns the text of a help topic.
#[track_caller]
pub fn topic(name: &str) -> &'static str {
    TOPICS.into_iter().find(|topic| topic.name == name).unwrap().text
}
