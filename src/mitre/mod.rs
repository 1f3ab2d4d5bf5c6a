//! MITRE ATT&CK codes, the only codes that Recorded Future accepts.

mod names;

use std::fmt;

pub(crate) use self::names::{ATTACK_NOTICE, ATTACK_VERSION, TACTICS, TechniqueName};

/// A technique (`T1059`, `T1059.001`) or a tactic (`TA0002`).
///
/// CrowdStrike's own `CST....` and `CSTA....` codes are not MITRE codes and have no equivalent.
///
/// The order is that of their texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MitreCode {
    is_tactic: bool,
    number: u16,
    sub: Option<u16>,
}

impl MitreCode {
    /// Parses a code; ignores case and surrounding spaces. `None` if the text is not one code.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.trim().strip_prefix(['T', 't'])?;
        let (is_tactic, rest) = match rest.strip_prefix(['A', 'a']) {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (number, sub) = match rest.split_once('.') {
            Some(_) if is_tactic => return None,
            Some((number, sub)) => (number, Some(digits(sub, 3)?)),
            None => (rest, None),
        };
        Some(Self { is_tactic, number: digits(number, 4)?, sub })
    }

    /// Parses the technique in a Carbon Black TTP such as `MITRE_T1204_002_MALICIOUS_FILE` (seen in
    /// recorded Alerts v7 responses); `None` for other TTPs.
    #[must_use]
    pub fn from_ttp(ttp: &str) -> Option<Self> {
        let mut words = ttp.trim().split('_');
        if words.next() != Some("MITRE") {
            return None;
        }
        let stem = words.next()?;
        match words.next().filter(|sub| digits(sub, 3).is_some()) {
            Some(sub) => Self::parse(&format!("{stem}.{sub}")),
            None => Self::parse(stem),
        }
    }
}

impl MitreCode {
    /// Parses the code in a link to a MITRE page, for example
    /// `https://attack.mitre.org/techniques/T1558/003/`, or `wiki/Technique/T1218` as in recorded
    /// alerts; `None` for other links.
    #[must_use]
    pub fn from_link(link: &str) -> Option<Self> {
        let (_, path) = link.split_once("://attack.mitre.org/")?;
        let path = path.split(['?', '#']).next()?;
        let mut parts = path
            .split('/')
            .skip_while(|part| !matches!(*part, "techniques" | "tactics" | "Technique"));
        let code = parts.nth(1)?;
        match parts.next().filter(|sub| digits(sub, 3).is_some()) {
            Some(sub) => Self::parse(&format!("{code}.{sub}")),
            None => Self::parse(code),
        }
    }
}

impl fmt::Display for MitreCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}{:04}", if self.is_tactic { "A" } else { "" }, self.number)?;
        self.sub.map_or(Ok(()), |sub| write!(f, ".{sub:03}"))
    }
}

/// Codes, sorted and without duplicates.
///
/// A list: most alerts have one or two, for which a tree would take ten times the memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MitreCodes(Vec<MitreCode>);

impl MitreCodes {
    /// Adds the codes that are missing.
    pub fn add_all(&mut self, others: &Self) {
        for code in &others.0 {
            if let Err(index) = self.0.binary_search(code) {
                self.0.insert(index, *code);
            }
        }
    }

    /// Iterates over the codes in order.
    pub fn iter(&self) -> impl Iterator<Item = &MitreCode> {
        self.0.iter()
    }
}

impl FromIterator<MitreCode> for MitreCodes {
    fn from_iter<I: IntoIterator<Item = MitreCode>>(codes: I) -> Self {
        let mut codes: Vec<MitreCode> = codes.into_iter().collect();
        codes.sort_unstable();
        codes.dedup();
        codes.shrink_to_fit();
        Self(codes)
    }
}

/// Parses a number of exactly `count` digits.
fn digits(text: &str, count: usize) -> Option<u16> {
    let fits = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Option<String> {
        MitreCode::parse(text).map(|code| code.to_string())
    }

    #[test]
    fn techniques_and_tactics_are_parsed() {
        assert_eq!(code("T1059").as_deref(), Some("T1059"));
        assert_eq!(code(" t1059.001 ").as_deref(), Some("T1059.001"));
        assert_eq!(code("TA0002").as_deref(), Some("TA0002"));
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in [
            "", "CST0007", "CSTA0004", "T105", "T10599", "TA0002.001", "T1059.1", "T1059.",
            "T1059.0010", "TA002", "T１０５９",
        ] {
            assert_eq!(code(text), None, "{text}");
        }
    }

    #[test]
    fn codes_are_ordered_like_their_texts() {
        let texts = ["T0001", "T0001.001", "T0010", "T1059", "T1059.002", "TA0002"];
        let codes = texts.map(|text| MitreCode::parse(text).unwrap());
        assert!(codes.is_sorted());
        assert_eq!(codes.map(|code| code.to_string()), texts);
    }

    #[test]
    fn codes_are_sorted_and_without_duplicates() {
        let codes = |texts: &[&str]| -> MitreCodes {
            texts.iter().filter_map(|text| MitreCode::parse(text)).collect()
        };
        let mut some = codes(&["T1204", "TA0002", "T1059", "T1204"]);
        assert_eq!(some, codes(&["T1059", "T1204", "TA0002"]));
        some.add_all(&codes(&["T1001", "T1204", "TA0001", "TA0009"]));
        let all: Vec<String> = some.iter().map(ToString::to_string).collect();
        assert_eq!(all, ["T1001", "T1059", "T1204", "TA0001", "TA0002", "TA0009"]);
    }

    #[test]
    fn codes_are_parsed_from_links() {
        let link = |text| MitreCode::from_link(text).map(|code| code.to_string());
        for (text, expected) in [
            ("https://attack.mitre.org/techniques/T1558/003/", Some("T1558.003")),
            ("https://attack.mitre.org/techniques/T1558", Some("T1558")),
            ("http://attack.mitre.org/versions/v9/techniques/T1558/?a#b", Some("T1558")),
            ("https://attack.mitre.org/tactics/TA0006/", Some("TA0006")),
            ("https://attack.mitre.org/wiki/Technique/T1218", Some("T1218")),
            ("https://attack.mitre.org/wiki/Execution", None),
            ("https://attack.mitre.org/groups/G0016/", None),
            ("https://attack.mitre.org/techniques/", None),
            ("https://example.com/techniques/T1558/003/", None),
            ("", None),
        ] {
            assert_eq!(link(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn techniques_are_parsed_from_ttps() {
        let ttp = |text| MitreCode::from_ttp(text).map(|code| code.to_string());
        assert_eq!(ttp("MITRE_T1204_002_MALICIOUS_FILE").as_deref(), Some("T1204.002"));
        assert_eq!(ttp("MITRE_T1059_CMD_LINE_OR_SCRIPT_INTER").as_deref(), Some("T1059"));
        assert_eq!(ttp("RUN_MALWARE_APP"), None);
        assert_eq!(ttp("MITRE_"), None);
        assert_eq!(ttp(""), None);
    }
}
