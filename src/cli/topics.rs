//! Help topics: the Markdown files of the folder `topics`. `help <topic>` prints them,
//! `generate man` converts them to man pages, and the README links to them.

use std::fmt::Write as _;

/// A help topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// The name on the command line.
    pub name: &'static str,
    /// Markdown, at most 100 columns wide: a title, a summary of one line, then headings,
    /// paragraphs, lists, tables and fenced code. A list item whose first line ends with a colon
    /// is a definition.
    pub text: &'static str,
}

/// All topics, in the order in which they are listed.
pub const TOPICS: [Topic; 9] = [
    Topic { name: "options", text: include_str!("topics/options.md") },
    Topic { name: "sharing", text: include_str!("topics/sharing.md") },
    Topic { name: "exclusions", text: include_str!("topics/exclusions.md") },
    Topic { name: "numbers", text: include_str!("topics/numbers.md") },
    Topic { name: "delivery", text: include_str!("topics/delivery.md") },
    Topic { name: "networks", text: include_str!("topics/networks.md") },
    Topic { name: "operations", text: include_str!("topics/operations.md") },
    Topic { name: "troubleshooting", text: include_str!("topics/troubleshooting.md") },
    Topic { name: "json", text: include_str!("topics/json.md") },
];

impl Topic {
    /// Returns the topic of this name.
    pub(super) fn find(name: &str) -> Option<Self> {
        TOPICS.into_iter().find(|topic| topic.name == name)
    }

    /// Returns what the topic is about, as one line without a full stop.
    #[must_use]
    pub fn summary(&self) -> &'static str {
        self.text.lines().nth(2).unwrap_or_default().trim_end_matches('.')
    }
}

/// Returns a list of all topics for the help, with a heading.
pub(super) fn list() -> String {
    let width = TOPICS.iter().map(|topic| topic.name.len()).max().unwrap_or_default();
    TOPICS.iter().fold("Help topics:".to_owned(), |mut list, topic| {
        // Writing to a String cannot fail.
        let _ = write!(list, "\n  {:<width$}  {}", topic.name, topic.summary());
        list
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_begins_with_its_title_and_a_summary() {
        for topic in TOPICS {
            let lines: Vec<&str> = topic.text.lines().take(4).collect();
            let title = lines[0].strip_prefix("# ").unwrap();
            assert_eq!(title.to_lowercase(), topic.name);
            assert_eq!((lines[1], lines[3]), ("", ""), "{title}");
            assert!(lines[2].ends_with('.'), "{title}");
        }
    }

    #[test]
    fn lines_have_at_most_100_columns() {
        for topic in TOPICS {
            for line in topic.text.lines() {
                assert!(line.chars().count() <= 100, "{}: {line}", topic.name);
            }
        }
    }

    #[test]
    fn the_columns_of_tables_are_aligned() {
        let bars = |line: &str| -> Vec<usize> {
            line.chars().enumerate().filter(|(_, char)| *char == '|').map(|(at, _)| at).collect()
        };
        for topic in TOPICS {
            let lines: Vec<&str> = topic.text.lines().collect();
            for pair in
                lines.windows(2).filter(|pair| pair.iter().all(|line| line.starts_with('|')))
            {
                assert_eq!(bars(pair[0]), bars(pair[1]), "{}: {}", topic.name, pair[1]);
            }
        }
    }
}
