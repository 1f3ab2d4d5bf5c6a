//! The files that Carbon Black alerts name, and how Carbon Black judges them.
//!
//! The names of the reputations, and how often each occurs, are those of saved responses and of the
//! vendor's documentation.

use serde_json::Value;

use super::prng::{Prng, Sample};

/// Carbon Black's judgment of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    Trusted,
    Bad,
    Undecided,
}

/// An invented file: its hashes and its reputation are the same in every alert.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedFile {
    pub(super) judgement: Judgement,
    pub(super) number: u64,
}

/// The distance between the numbers of files of different judgements.
const RANGE: u64 = 1 << 32;

impl NamedFile {
    /// Returns the sample that its hashes come from.
    pub(super) fn sample(self) -> Sample {
        let range = match self.judgement {
            Judgement::Trusted => 0,
            Judgement::Bad => 1,
            Judgement::Undecided => 2,
        };
        Sample(range * RANGE + self.number)
    }

    fn reputation(self) -> &'static str {
        let names: &[(u64, &str)] = match self.judgement {
            Judgement::Trusted => &[
                (40, "TRUSTED_WHITE_LIST"),
                (30, "LOCAL_WHITE"),
                (20, "ADAPTIVE_WHITE_LIST"),
                (4, "COMMON_WHITE_LIST"),
                (4, "COMPANY_WHITE_LIST"),
                (2, "COMPANY_WHITE_LIST_CERT"),
            ],
            Judgement::Bad => &[
                (50, "KNOWN_MALWARE"),
                (15, "SUSPECT_MALWARE"),
                (12, "PUP"),
                (10, "HEURISTIC"),
                (8, "ADWARE"),
                (5, "COMPANY_BLACK_LIST"),
            ],
            Judgement::Undecided => &[
                (70, "NOT_LISTED"),
                (15, "RESOLVING"),
                (8, "UNKNOWN"),
                (4, "ADAPTIVE"),
                (3, "NOT_SUPPORTED"),
            ],
        };
        Prng::new(0x0F11_E000, self.sample().0, 0).weighted(names)
    }

    /// Returns the value of a field with its effective reputation; `None` if the field is absent.
    /// One in forty is empty, null or absent, one in fifty is in lower case, and one in two hundred
    /// is an unknown name.
    pub(super) fn effective_reputation(self, random: &mut Prng) -> Option<Value> {
        match random.below(200) {
            0..190 => Some(self.reputation().into()),
            190..194 => Some(self.reputation().to_lowercase().into()),
            194 => Some("MADE_UP_LIST".into()),
            195..197 => Some("".into()),
            197 => Some(Value::Null),
            _ => None,
        }
    }
}
