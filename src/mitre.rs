//! MITRE ATT&CK codes: the only ones Recorded Future takes.

use std::fmt;

/// A technique (`T1059`, `T1059.001`) or a tactic (`TA0002`).
///
/// CrowdStrike's own `CST....` and `CSTA....` codes are not MITRE's and cannot be made into one.
///
/// They are ordered as their texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MitreCode {
    tactic: bool,
    number: u16,
    sub: Option<u16>,
}

impl MitreCode {
    /// Reads a code in any case; `None` when the text is not exactly one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.trim().strip_prefix(['T', 't'])?;
        let (tactic, rest) = match rest.strip_prefix(['A', 'a']) {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (number, sub) = match rest.split_once('.') {
            Some(_) if tactic => return None,
            Some((number, sub)) => (number, Some(digits(sub, 3)?)),
            None => (rest, None),
        };
        Some(Self { tactic, number: digits(number, 4)?, sub })
    }

    /// Reads the technique inside a Carbon Black TTP such as `MITRE_T1204_002_MALICIOUS_FILE`
    /// (seen in recorded Alerts v7 answers); other TTPs give `None`.
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

impl fmt::Display for MitreCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}{:04}", if self.tactic { "A" } else { "" }, self.number)?;
        self.sub.map_or(Ok(()), |sub| write!(f, ".{sub:03}"))
    }
}

/// Codes in their order and without repeats.
///
/// A list, because an alert names one or two, for which a tree would take ten times the memory, and a run
/// keeps them of every submission.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MitreCodes(Vec<MitreCode>);

impl MitreCodes {
    /// Adds those that are not among them.
    pub fn add_all(&mut self, others: &Self) {
        for code in &others.0 {
            if let Err(place) = self.0.binary_search(code) {
                self.0.insert(place, *code);
            }
        }
    }

    /// Each, in order.
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

/// The number that exactly so many digits spell.
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
    fn techniques_and_tactics_are_read() {
        assert_eq!(code("T1059").as_deref(), Some("T1059"));
        assert_eq!(code(" t1059.001 ").as_deref(), Some("T1059.001"));
        assert_eq!(code("TA0002").as_deref(), Some("TA0002"));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "CST0007",
            "CSTA0004",
            "T105",
            "T10599",
            "TA0002.001",
            "T1059.1",
            "T1059.",
            "T1059.0010",
            "TA002",
            "T１０５９",
        ] {
            assert_eq!(code(text), None, "{text}");
        }
    }

    #[test]
    fn they_are_ordered_as_their_texts_are() {
        let texts = ["T0001", "T0001.001", "T0010", "T1059", "T1059.002", "TA0002"];
        let codes = texts.map(|text| MitreCode::parse(text).unwrap());
        assert!(codes.is_sorted());
        assert_eq!(codes.map(|code| code.to_string()), texts);
    }

    #[test]
    fn codes_are_in_order_and_without_repeats() {
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
    fn ttps_hold_techniques() {
        let ttp = |text| MitreCode::from_ttp(text).map(|code| code.to_string());
        assert_eq!(ttp("MITRE_T1204_002_MALICIOUS_FILE").as_deref(), Some("T1204.002"));
        assert_eq!(ttp("MITRE_T1059_CMD_LINE_OR_SCRIPT_INTER").as_deref(), Some("T1059"));
        assert_eq!(ttp("RUN_MALWARE_APP"), None);
        assert_eq!(ttp("MITRE_"), None);
        assert_eq!(ttp(""), None);
    }
}
