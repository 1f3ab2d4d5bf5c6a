//! Carbon Black's own judgement of a file: its reputation.
//!
//! The names are those of the vendor's documentation of reputations ("Reputation Reference"). Only
//! `process_effective_reputation` and its like count, which include the customer's own lists. The
//! fields without `effective` do not: in saved responses they have `NOT_LISTED` even for programs
//! of Windows.

/// Files that Carbon Black or the customer judges to be bad.
const BAD: [&str; 6] =
    ["KNOWN_MALWARE", "SUSPECT_MALWARE", "HEURISTIC", "PUP", "ADWARE", "COMPANY_BLACK_LIST"];

/// Files that Carbon Black or the customer trusts.
const TRUSTED: [&str; 6] = [
    "TRUSTED_WHITE_LIST",
    "LOCAL_WHITE",
    "ADAPTIVE_WHITE_LIST",
    "COMMON_WHITE_LIST",
    "COMPANY_WHITE_LIST",
    "COMPANY_WHITE_LIST_CERT",
];

/// A judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reputation {
    Bad,
    Trusted,
    /// `NOT_LISTED`, `RESOLVING` and the like, every name that is not known here, and none.
    Undecided,
}

impl Reputation {
    /// Parses an effective reputation, in any case.
    pub(super) fn parse(name: Option<&str>) -> Self {
        let is_in = |list: &[&str]| {
            name.is_some_and(|name| list.iter().any(|listed| listed.eq_ignore_ascii_case(name)))
        };
        match (is_in(&BAD), is_in(&TRUSTED)) {
            (true, _) => Self::Bad,
            (false, true) => Self::Trusted,
            (false, false) => Self::Undecided,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognized_in_any_case_and_others_are_neither() {
        for (name, expected) in [
            (Some("KNOWN_MALWARE"), Reputation::Bad),
            (Some("pup"), Reputation::Bad),
            (Some("TRUSTED_WHITE_LIST"), Reputation::Trusted),
            (Some("Company_White_List_Cert"), Reputation::Trusted),
            (Some("NOT_LISTED"), Reputation::Undecided),
            (Some("KNOWN_MALWARE_2"), Reputation::Undecided),
            (Some(""), Reputation::Undecided),
            (None, Reputation::Undecided),
        ] {
            assert_eq!(Reputation::parse(name), expected, "{name:?}");
        }
    }
}
