//! The names of tactics and techniques, for people.
//!
//! For a newer version of ATT&CK, replace `enterprise.tsv`, change [`ATTACK_VERSION`], and change
//! [`TACTICS`] if the tactics changed.

/// The version of ATT&CK that the names are from.
pub(crate) const ATTACK_VERSION: &str = "17.0";

/// The notice that the license of ATT&CK requires wherever its names are shown.
pub(crate) const ATTACK_NOTICE: &str = "\u{a9} The MITRE Corporation. ATT&CK is reproduced and distributed with the permission of The MITRE Corporation.";

/// One technique per line: its code, the codes of its tactics with commas between them, and its
/// name, separated by tabs. Lines that begin with # are comments.
const TECHNIQUES: &str = include_str!("enterprise.tsv");

/// The codes and names of the tactics, in the order of an attack.
pub(crate) const TACTICS: [(&str, &str); 14] = [
    ("TA0043", "Reconnaissance"),
    ("TA0042", "Resource Development"),
    ("TA0001", "Initial Access"),
    ("TA0002", "Execution"),
    ("TA0003", "Persistence"),
    ("TA0004", "Privilege Escalation"),
    ("TA0005", "Defense Evasion"),
    ("TA0006", "Credential Access"),
    ("TA0007", "Discovery"),
    ("TA0008", "Lateral Movement"),
    ("TA0009", "Collection"),
    ("TA0011", "Command and Control"),
    ("TA0010", "Exfiltration"),
    ("TA0040", "Impact"),
];

/// A technique or sub-technique that this version of ATT&CK has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TechniqueName {
    pub name: &'static str,
    tactics: &'static str,
}

impl TechniqueName {
    /// Returns the name of a code; `None` for one that this version does not have.
    pub(crate) fn find(code: &str) -> Option<Self> {
        TECHNIQUES.lines().find_map(|line| {
            let (found, rest) = line.split_once('\t')?;
            let (tactics, name) = rest.split_once('\t')?;
            (found == code).then_some(Self { name, tactics })
        })
    }

    /// Whether it belongs to this tactic; many belong to several.
    pub(crate) fn is_of(self, tactic: &str) -> bool {
        self.tactics.split(',').any(|own| own == tactic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mitre::MitreCode;

    #[test]
    fn every_line_has_a_code_known_tactics_and_a_name() {
        let lines: Vec<&str> = TECHNIQUES.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() > 600, "{}", lines.len());
        assert!(lines.is_sorted());
        for line in lines {
            let fields: Vec<&str> = line.split('\t').collect();
            let [code, tactics, name] = fields[..] else { panic!("{line}") };
            assert_eq!(MitreCode::parse(code).unwrap().to_string(), code);
            assert!(!name.trim().is_empty(), "{line}");
            let is_known = |tactic| TACTICS.iter().any(|(known, _)| *known == tactic);
            assert!(tactics.split(',').all(is_known), "{line}");
        }
        assert!(TECHNIQUES.contains(&format!("ATT&CK Enterprise {ATTACK_VERSION}:")));
    }

    #[test]
    fn a_technique_has_a_name_and_tactics() {
        let powershell = TechniqueName::find("T1059.001").unwrap();
        assert_eq!(powershell.name, "PowerShell");
        assert!(powershell.is_of("TA0002"));
        assert!(!powershell.is_of("TA0003"));
        let accounts = TechniqueName::find("T1078").unwrap();
        assert_eq!(TACTICS.iter().filter(|(tactic, _)| accounts.is_of(tactic)).count(), 4);
        assert_eq!(TechniqueName::find("T9999"), None);
        assert_eq!(TechniqueName::find(""), None);
    }
}
