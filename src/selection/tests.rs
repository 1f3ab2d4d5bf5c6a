use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;
use crate::indicator::ClaimedType;
use crate::mitre::{MitreCode, MitreCodes};

/// Few enough that they repeat.
const VALUES: [(ClaimedType, &str); 6] = [
    (ClaimedType::Domain, "example.com"),
    (ClaimedType::Domain, "www.example.com"),
    (ClaimedType::Domain, "Example.COM."),
    (ClaimedType::Address, "8.8.4.4"),
    (ClaimedType::Url, "http://example.com/"),
    (ClaimedType::Md5, "0123456789abcdef0123456789abcdef"),
];

fn outcome() -> impl Strategy<Value = Result<Indicator, RejectReason>> {
    prop_oneof![
        5 => prop::sample::select(&VALUES[..]).prop_map(|(claim, text)| Indicator::parse(claim, text)),
        1 => prop::sample::select(&[RejectReason::Unsupported, RejectReason::Invalid, RejectReason::Private][..]).prop_map(Err),
    ]
}

fn score() -> impl Strategy<Value = Option<u8>> {
    prop::option::of(prop::sample::select(&[0_u8, 1, 49, 50, 51, 100, 255][..]))
}

fn scores() -> impl Strategy<Value = Scores> {
    (score(), score()).prop_map(|(severity, confidence)| Scores { severity, confidence })
}

fn detection() -> impl Strategy<Value = Detection> {
    let mentions = prop::collection::vec(outcome(), 1..5);
    let codes = prop::collection::btree_set(1000_u16..1009, 0..3);
    (0_u8..12, 0_i64..4, scores(), codes, mentions).prop_map(
        |(id, second, scores, codes, outcomes)| Detection {
            id: format!("id:{id}"),
            observed_at: DateTime::<Utc>::from_timestamp(second, 0).unwrap(),
            created_at: DateTime::<Utc>::from_timestamp(second, 0).unwrap(),
            name: None,
            incident_name: None,
            scores,
            mitre_codes: codes
                .into_iter()
                .map(|code| MitreCode::parse(&format!("T{code}")).unwrap())
                .collect(),
            mentions: outcomes
                .into_iter()
                .map(|indicator| Mention { field: "ioc_value", indicator })
                .collect(),
        },
    )
}

fn reading() -> impl Strategy<Value = AlertOutcome> {
    prop_oneof![
        4 => detection().prop_map(|detection| AlertOutcome::Detection(Box::new(detection))),
        1 => scores().prop_map(AlertOutcome::WithoutIndicator),
        1 => prop::option::of("[a-z]{0,3}").prop_map(|id| AlertOutcome::Unreadable { id, why: "made so" }),
    ]
}

fn thresholds() -> impl Strategy<Value = Thresholds> {
    let least = prop::sample::select(&[0_u8, 1, 50, 100][..]);
    (least.clone(), least).prop_map(|(severity, confidence)| Thresholds { severity, confidence })
}

/// What earlier runs did, the same for the same detection and indicator.
fn past(seed: u8, detection: &str, indicator: &Indicator) -> Past {
    let sum = detection.bytes().chain(indicator.value().bytes());
    match (sum.map(usize::from).sum::<usize>() + usize::from(seed)) % 5 {
        0 => Past::Delivered,
        1 => Past::Held,
        _ => Past::New,
    }
}

fn exclusions(list: &str) -> Exclusions {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.txt");
    std::fs::write(&path, list).unwrap();
    Exclusions::read(&path).unwrap()
}

fn select(
    outcomes: &[AlertOutcome],
    thresholds: Thresholds,
    list: &str,
    past: impl Fn(&str, &Indicator) -> Past,
) -> Selected {
    let mut selection = Selection::new(thresholds, exclusions(list));
    for reading in outcomes {
        let took = selection
            .take(reading.clone(), |id, indicator| Ok::<_, Infallible>(past(id, indicator)));
        assert_eq!(took, Ok(()));
    }
    selection.finish()
}

/// Submissions with the detections they repeat, in whatever order those came, apart from them.
fn whole(selected: &Selected) -> Vec<(Submission, BTreeSet<String>)> {
    let apart = |submission: &Submission| {
        let repeats = submission.detections(&selected.repeats).skip(1).collect();
        (Submission { last_repeat: None, ..submission.clone() }, repeats)
    };
    selected.submissions.iter().map(apart).collect()
}

/// When an indicator was seen first, the codes of all its detections, and their highest severity.
type Standing<'a> = (DateTime<Utc>, BTreeSet<&'a MitreCode>, Option<u8>);

proptest! {
    #[test]
    fn the_numbers_add_up_whatever_was_read(
        outcomes in prop::collection::vec(reading(), 0..40),
        thresholds in thresholds(),
        list in prop::sample::select(&["", "example.com", ".example.com\n8.8.0.0/16"][..]),
        seed in any::<u8>(),
    ) {
        let Selected { submissions, tally, .. } = select(&outcomes, thresholds, list, |id, indicator| past(seed, id, indicator));

        prop_assert_eq!(tally.alerts_fetched, u64::try_from(outcomes.len()).unwrap());
        let passing = outcomes.iter().filter_map(|reading| match reading {
            AlertOutcome::Detection(detection) if thresholds.pass(detection.scores) => Some(detection),
            _ => None,
        });
        let (alerts, mentions) = passing.fold((0, 0), |(alerts, mentions), detection| {
            (alerts + 1, mentions + u64::try_from(detection.mentions.len()).unwrap())
        });
        let other_alerts = tally.alerts_below_threshold + tally.alerts_unreadable + tally.alerts_without_indicator;
        prop_assert_eq!(tally.alerts_fetched, other_alerts + alerts);
        prop_assert_eq!(tally.indicators_found, mentions);
        prop_assert_eq!(
            tally.indicators_found,
            tally.indicators_unsupported
                + tally.indicators_invalid
                + tally.indicators_private
                + tally.indicators_excluded
                + tally.indicators_repeated
                + tally.already_delivered
                + tally.selected
        );
        prop_assert_eq!(tally.selected, u64::try_from(submissions.len()).unwrap());

        let unique: BTreeSet<&Indicator> = submissions.iter().map(|one| &one.indicator).collect();
        prop_assert_eq!(unique.len(), submissions.len());
        let excluded = exclusions(list);
        prop_assert!(unique.iter().all(|indicator| !excluded.covers(indicator)));
    }

    #[test]
    fn the_order_of_the_alerts_changes_nothing(
        (outcomes, shuffled) in prop::collection::vec(reading(), 0..25)
            .prop_flat_map(|outcomes| (Just(outcomes.clone()), Just(outcomes).prop_shuffle())),
        thresholds in thresholds(),
        seed in any::<u8>(),
    ) {
        let past = |id: &str, indicator: &Indicator| past(seed, id, indicator);
        let selected = select(&outcomes, thresholds, "", past);
        let of_shuffled = select(&shuffled, thresholds, "", past);
        prop_assert_eq!(&selected.tally, &of_shuffled.tally);
        prop_assert_eq!(whole(&selected), whole(&of_shuffled));
    }

    #[test]
    fn the_earliest_stands_for_an_indicator_with_the_codes_of_all(
        detections in prop::collection::vec(detection(), 0..25),
    ) {
        let outcomes: Vec<AlertOutcome> = detections.iter().cloned().map(|one| AlertOutcome::Detection(Box::new(one))).collect();
        let Selected { submissions, .. } = select(&outcomes, Thresholds::default(), "", |_, _| Past::New);
        let mut wanted: BTreeMap<&Indicator, Standing> = BTreeMap::new();
        for detection in &detections {
            for indicator in detection.mentions.iter().filter_map(|mention| mention.indicator.as_ref().ok()) {
                let entry = wanted.entry(indicator).or_insert((detection.observed_at, BTreeSet::new(), None));
                entry.0 = entry.0.min(detection.observed_at);
                entry.1.extend(detection.mitre_codes.iter());
                entry.2 = entry.2.max(detection.scores.severity);
            }
        }
        let got: BTreeMap<_, _> = submissions
            .iter()
            .map(|one| (&one.indicator, (one.observed_at, one.mitre_codes.iter().collect(), one.severity)))
            .collect();
        prop_assert_eq!(got, wanted);
    }
}

#[test]
fn a_threshold_of_nothing_lets_everything_pass() {
    let none = Scores::default();
    assert!(Thresholds::default().pass(none));
    for (severity, confidence) in [(1, 0), (0, 1), (100, 100)] {
        let thresholds = Thresholds { severity, confidence };
        assert!(!thresholds.pass(none));
        assert!(thresholds.pass(Scores { severity: Some(severity), confidence: Some(confidence) }));
    }
}

#[test]
fn what_earlier_runs_did_decides_before_what_this_one_did() {
    let alert = |id: &str| {
        AlertOutcome::Detection(Box::new(Detection {
            id: id.into(),
            observed_at: DateTime::UNIX_EPOCH,
            created_at: DateTime::UNIX_EPOCH,
            name: None,
            incident_name: None,
            scores: Scores::default(),
            mitre_codes: MitreCodes::default(),
            mentions: vec![Mention {
                field: "ioc_value",
                indicator: Indicator::parse(ClaimedType::Domain, "example.com"),
            }],
        }))
    };
    let outcomes = ["delivered", "held", "new", "newer"].map(alert);
    let Selected { submissions, repeats, tally } =
        select(&outcomes, Thresholds::default(), "", |id, _| match id {
            "delivered" => Past::Delivered,
            "held" => Past::Held,
            _ => Past::New,
        });
    assert_eq!(submissions.len(), 1);
    let detections = submissions[0].detections(&repeats);
    assert_eq!(detections.collect::<Vec<_>>(), ["new", "newer"]);
    assert_eq!((tally.already_delivered, tally.indicators_repeated), (1, 2));
}
