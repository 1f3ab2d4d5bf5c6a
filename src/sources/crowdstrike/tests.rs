use proptest::prelude::*;

use super::wire;
use crate::detection::AlertOutcome;
use crate::sources::lenient::Lenient;
use crate::sources::tests::{answer_of, any_alert};

const KNOWN: &[&str] = &[
    "composite_id",
    "id",
    "created_timestamp",
    "timestamp",
    "severity",
    "confidence",
    "description",
    "display_name",
    "name",
    "ioc_type",
    "ioc_value",
    "ioc_context",
    "tactic_id",
    "technique_id",
    "mitre_attack",
];

proptest! {
    #[test]
    fn any_alert_whatsoever_is_read(alerts in prop::collection::vec(any_alert(KNOWN), 1..8)) {
        let page = wire::alert_page(&answer_of("resources", &alerts), true).unwrap();
        prop_assert_eq!(page.resources.len(), alerts.len());
        for (slot, alert) in page.resources.into_iter().zip(&alerts) {
            prop_assert_eq!(matches!(slot, Lenient::Parsed(_)), alert.is_object());
            if let Lenient::Parsed(element) = slot
                && let AlertOutcome::Detection(detection) = element.reading
            {
                prop_assert!(!detection.id.is_empty() && !detection.mentions.is_empty());
            }
        }
    }
}
