use proptest::prelude::*;

use super::{HashChoice, mapping, wire};
use crate::detection::AlertOutcome;
use crate::sources::lenient::Lenient;
use crate::sources::tests::{answer_of, any_alert};

const KNOWN: &[&str] = &[
    "id",
    "backend_timestamp",
    "detection_timestamp",
    "severity",
    "reason",
    "blocked_sha256",
    "blocked_md5",
    "ioc_hit",
    "process_sha256",
    "attack_tactic",
    "attack_technique",
    "ttps",
];

proptest! {
    #[test]
    fn any_alert_whatsoever_is_read(alerts in prop::collection::vec(any_alert(KNOWN), 1..8)) {
        let page = wire::alert_page(&answer_of("results", &alerts), 1).unwrap();
        prop_assert_eq!(page.results.len(), alerts.len());
        for (slot, alert) in page.results.into_iter().zip(&alerts) {
            prop_assert_eq!(matches!(slot, Lenient::Parsed(_)), alert.is_object());
            if let Lenient::Parsed(alert) = slot
                && let AlertOutcome::Detection(detection) = mapping::reading(alert, HashChoice::Both)
            {
                prop_assert!(!detection.id.is_empty() && !detection.mentions.is_empty());
            }
        }
    }
}
