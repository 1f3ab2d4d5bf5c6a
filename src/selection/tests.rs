use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::Value;

use super::*;
use crate::clock::Clock;
use crate::detection::{BareAlert, SourceInfo};
use crate::indicator::ClaimedType;
use crate::ledger::{BusyRetry, Tenant, TenantLedger, TenantOptions};
use crate::mitre::{MitreCode, MitreCodes};

/// Texts of indicators: few, so that they repeat.
const VALUES: [(ClaimedType, &str); 6] = [
    (ClaimedType::Domain, "example.com"),
    (ClaimedType::Domain, "www.example.com"),
    (ClaimedType::Domain, "Example.COM."),
    (ClaimedType::Address, "8.8.4.4"),
    (ClaimedType::Url, "http://example.com/"),
    (ClaimedType::Md5, "0123456789abcdef0123456789abcdef"),
];

const REJECTED: [(ClaimedType, &str); 3] = [
    (ClaimedType::Domain, "not a domain"),
    (ClaimedType::Address, "10.1.2.3"),
    (ClaimedType::Md5, "d41d8cd98f00b204e9800998ecf8427e"),
];

const SOURCE: SourceInfo = SourceInfo {
    name: "source",
    title: "Source",
    source_type: "endpoint",
    incident_type: "source-alert",
};

/// Any mention. Whether it is trusted depends on the indicator alone.
fn mention() -> impl Strategy<Value = Mention> {
    let parse = |(claim, text)| {
        let mention = Mention::parse("ioc_value", claim, text);
        let trusted = mention.indicator.as_ref().is_ok_and(|found| found.value().len() % 2 == 0);
        Mention { trusted, ..mention }
    };
    prop_oneof![
        5 => prop::sample::select(&VALUES[..]).prop_map(parse),
        1 => prop::sample::select(&REJECTED[..]).prop_map(parse),
        1 => Just(Mention::unsupported("ioc_value", "registry key")),
    ]
}

fn score() -> impl Strategy<Value = Option<u8>> {
    prop::option::of(prop::sample::select(&[0_u8, 1, 49, 50, 51, 100, 255][..]))
}

fn assessment() -> impl Strategy<Value = Assessment> {
    (score(), score(), any::<bool>()).prop_map(|(severity, confidence, dismissed)| Assessment {
        severity,
        confidence,
        dismissed,
    })
}

fn time(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

/// Alerts that come more than once, also with other scores and codes; an id has one time of
/// creation.
fn detection() -> impl Strategy<Value = Detection> {
    let mentions = prop::collection::vec(mention(), 1..5);
    let codes = prop::collection::btree_set(1000_u16..1009, 0..3);
    (0_u8..12, 0_i64..4, assessment(), codes, mentions).prop_map(
        |(id, second, assessment, codes, mentions)| Detection {
            id: format!("id:{id}"),
            observed_at: time(second),
            created_at: time(i64::from(id)),
            name: None,
            incident_name: None,
            assessment,
            mitre_codes: codes
                .into_iter()
                .map(|code| MitreCode::parse(&format!("T{code}")).unwrap())
                .collect(),
            mentions,
        },
    )
}

fn alert_outcome() -> impl Strategy<Value = AlertOutcome> {
    prop_oneof![
        4 => detection().prop_map(|detection| AlertOutcome::Detection(Box::new(detection))),
        1 => assessment().prop_map(|assessment| {
            AlertOutcome::WithoutIndicator(BareAlert::new(assessment, None, false))
        }),
        1 => prop::option::of("[a-z]{0,3}").prop_map(|id| AlertOutcome::Unreadable { id, reason: "made so" }),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let least = prop::sample::select(&[0_u8, 1, 50, 100][..]);
    (least.clone(), least, any::<bool>(), any::<bool>()).prop_map(
        |(severity, confidence, skip_dismissed, skip_trusted)| Rules {
            thresholds: Thresholds { severity, confidence },
            skip_dismissed,
            skip_trusted,
        },
    )
}

fn exclusions(list: &str) -> Exclusions {
    Exclusions::parse(Path::new("list.txt"), list.as_bytes()).unwrap()
}

/// What earlier runs did, the same for the same detection and indicator; `None` where they did
/// nothing.
fn past(seed: u8, detection: &Detection, indicator: &Indicator) -> Option<StoreOutcome> {
    let sum = detection.id.bytes().chain(indicator.value().bytes());
    match (sum.map(usize::from).sum::<usize>() + usize::from(seed)) % 5 {
        0 => Some(StoreOutcome::AlreadyDelivered),
        1 => Some(StoreOutcome::Duplicate),
        _ => None,
    }
}

fn options(run_id: &str) -> TenantOptions<'_> {
    let tenant = Tenant {
        name: "tenant".to_owned(),
        source: "source".to_owned(),
        account: "account".to_owned(),
        customer: None,
        adopt: false,
        token: "token".to_owned(),
        organizations: Vec::new(),
    };
    TenantOptions {
        tenant,
        source: SOURCE,
        run_id,
        resend: false,
        busy_retry: BusyRetry::default(),
    }
}

fn open(path: Option<&Path>, options: TenantOptions<'_>) -> TenantLedger {
    TenantLedger::open_alone(path, false, options, Clock::fixed(time(99))).unwrap()
}

/// The counts of a run, and what it queued, in order.
#[derive(Debug, PartialEq)]
struct Selected {
    tally: Tally,
    /// The number of mentions that an exclusion rule matched.
    hits: u64,
    items: Vec<Value>,
}

/// An indicator as an item names it: its type and its value.
type Name = (String, String);

impl Selected {
    fn names(&self) -> Vec<Name> {
        let text = |item: &Value, key: &str| item["ioc"][key].as_str().unwrap().to_owned();
        self.items.iter().map(|item| (text(item, "type"), text(item, "value"))).collect()
    }

    fn by_name(&self) -> BTreeMap<Name, &Value> {
        self.names().into_iter().zip(&self.items).collect()
    }
}

fn name(indicator: &Indicator) -> Name {
    (indicator.kind().as_str().to_owned(), indicator.value().to_owned())
}

/// Selects from pages of a few alerts, each stored in one transaction.
fn select(
    ledger: &TenantLedger,
    outcomes: &[AlertOutcome],
    rules: Rules,
    list: &str,
    past: impl Fn(&Detection, &Indicator) -> Option<StoreOutcome>,
) -> Selected {
    let mut selection = Selection::new(rules, Arc::new(exclusions(list)));
    for page in outcomes.chunks(7) {
        let stored = ledger.store(|store| {
            for outcome in page {
                selection.add(outcome.clone(), |detection, indicator, field| {
                    match past(detection, indicator) {
                        Some(stored) => Ok(stored),
                        None => store.add(detection, indicator, field),
                    }
                })?;
            }
            Ok(())
        });
        stored.unwrap();
    }
    let items = ledger.next_items(usize::MAX, None).unwrap();
    let items =
        items.items.iter().map(|queued| serde_json::from_str(queued.json.get()).unwrap()).collect();
    let tally = selection.tally().clone();
    Selected { hits: tally.exclusion_hits.values().sum(), tally, items }
}

fn nothing(_: &Detection, _: &Indicator) -> Option<StoreOutcome> {
    None
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_numbers_add_up_whatever_was_read(
        outcomes in prop::collection::vec(alert_outcome(), 0..40),
        rules in rules(),
        list in prop::sample::select(&["", "example.com", ".example.com\n8.8.0.0/16"][..]),
        seed in any::<u8>(),
    ) {
        let ledger = open(None, options("run"));
        let past = |detection: &Detection, indicator: &Indicator| past(seed, detection, indicator);
        let selected = select(&ledger, &outcomes, rules, list, past);
        let tally = &selected.tally;

        prop_assert_eq!(tally.alerts_fetched, u64::try_from(outcomes.len()).unwrap());
        let passes = |assessment: Assessment| {
            rules.thresholds.pass(assessment) && !(rules.skip_dismissed && assessment.dismissed)
        };
        let passing = outcomes.iter().filter_map(|outcome| match outcome {
            AlertOutcome::Detection(detection) if passes(detection.assessment) => Some(detection),
            _ => None,
        });
        let (alerts, mentions) = passing.fold((0, 0), |(alerts, mentions), detection| {
            (alerts + 1, mentions + u64::try_from(detection.mentions.len()).unwrap())
        });
        let other_alerts = tally.alerts_below_threshold
            + tally.alerts_dismissed
            + tally.alerts_unreadable
            + tally.alerts_without_indicator;
        prop_assert_eq!(tally.alerts_fetched, other_alerts + alerts);
        prop_assert_eq!(tally.indicators_found, mentions);
        prop_assert_eq!(
            tally.indicators_found,
            tally.indicators_unsupported
                + tally.indicators_invalid
                + tally.indicators_private
                + tally.indicators_trusted
                + tally.indicators_excluded
                + tally.indicators_repeated
                + tally.already_delivered
                + tally.selected
        );
        prop_assert_eq!(tally.indicators_found, tally.not_selected() + tally.selected);
        prop_assert_eq!(tally.selected, u64::try_from(selected.items.len()).unwrap());
        prop_assert_eq!(tally.indicators_excluded, selected.hits);

        let names = selected.names();
        prop_assert!(!rules.skip_trusted || tally.trusted_selected == 0);
        prop_assert!(rules.skip_trusted || tally.indicators_trusted == 0);
        prop_assert!(rules.skip_dismissed || tally.alerts_dismissed == 0);
        prop_assert!(tally.trusted_selected <= tally.hashes_selected);
        let unique: BTreeSet<&Name> = names.iter().collect();
        prop_assert_eq!(unique.len(), names.len());
        let excluded = exclusions(list);
        let covered = VALUES
            .iter()
            .map(|(claim, text)| Indicator::parse(*claim, text).unwrap())
            .filter(|indicator| excluded.find(indicator).is_some());
        for indicator in covered {
            prop_assert!(!unique.contains(&name(&indicator)));
        }
    }

    #[test]
    fn the_order_of_the_alerts_changes_nothing(
        (outcomes, shuffled) in prop::collection::vec(alert_outcome(), 0..25)
            .prop_flat_map(|outcomes| (Just(outcomes.clone()), Just(outcomes).prop_shuffle())),
        rules in rules(),
        seed in any::<u8>(),
    ) {
        let (one, other) = (open(None, options("run")), open(None, options("run")));
        let past = |detection: &Detection, indicator: &Indicator| past(seed, detection, indicator);
        let selected = select(&one, &outcomes, rules, "", past);
        let of_shuffled = select(&other, &shuffled, rules, "", past);
        prop_assert_eq!(&selected.tally, &of_shuffled.tally);
        prop_assert_eq!(selected.by_name(), of_shuffled.by_name());
        // Nor do alerts that are fetched twice.
        let again = select(&one, &shuffled, rules, "", past);
        prop_assert_eq!(again.tally.selected, 0);
        prop_assert_eq!(again.items, selected.items);
    }

    #[test]
    fn the_earliest_represents_an_indicator_with_the_codes_of_all(
        detections in prop::collection::vec(detection(), 0..25),
    ) {
        let outcomes: Vec<AlertOutcome> =
            detections.iter().cloned().map(|one| AlertOutcome::Detection(Box::new(one))).collect();
        let ledger = open(None, options("run"));
        let selected = select(&ledger, &outcomes, Rules::default(), "", nothing);
        let mut expected: BTreeMap<Name, Expected<'_>> = BTreeMap::new();
        for (place, detection) in detections.iter().enumerate() {
            let earliest = (detection.observed_at, detection.id.as_str());
            for indicator in detection.mentions.iter().filter_map(|mention| mention.indicator.as_ref().ok()) {
                let entry = expected.entry(name(indicator)).or_insert(Expected {
                    earliest,
                    codes: BTreeSet::new(),
                    severity: None,
                    place,
                });
                entry.earliest = entry.earliest.min(earliest);
                entry.codes.extend(detection.mitre_codes.iter().map(ToString::to_string));
                entry.severity = entry.severity.max(detection.assessment.severity);
            }
        }
        for (name, item) in selected.by_name() {
            let expected = &expected[&name];
            let (time, id) = expected.earliest;
            let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
            prop_assert_eq!(item["timestamp"].as_str(), Some(time.as_str()));
            prop_assert_eq!(item["detection"]["id"].as_str(), Some(id));
            let codes = item["mitre_codes"].as_array().into_iter().flatten();
            let codes: Vec<_> = codes.map(|code| code.as_str().unwrap().to_owned()).collect();
            prop_assert_eq!(codes, expected.codes.iter().cloned().collect::<Vec<_>>());
        }
        // The most severe alert decides the order, then the first alert.
        let names = selected.names();
        prop_assert_eq!(names.len(), expected.len());
        let order = |name: &Name| (Reverse(expected[name].severity), expected[name].place);
        prop_assert!(names.is_sorted_by_key(order), "{names:?}");
    }
}

/// What the item of an indicator should be made of.
struct Expected<'a> {
    earliest: (DateTime<Utc>, &'a str),
    codes: BTreeSet<String>,
    severity: Option<u8>,
    /// The place of the first alert that names it.
    place: usize,
}

#[test]
fn a_threshold_of_0_passes_every_alert() {
    let none = Assessment::default();
    assert!(Thresholds::default().pass(none));
    for (severity, confidence) in [(1, 0), (0, 1), (100, 100)] {
        let thresholds = Thresholds { severity, confidence };
        assert!(!thresholds.pass(none));
        assert!(thresholds.pass(Assessment {
            severity: Some(severity),
            confidence: Some(confidence),
            dismissed: false
        }));
    }
}

/// An alert that names `example.com`.
fn alert(id: &str) -> AlertOutcome {
    AlertOutcome::Detection(Box::new(Detection {
        id: id.into(),
        observed_at: DateTime::UNIX_EPOCH,
        created_at: DateTime::UNIX_EPOCH,
        name: None,
        incident_name: None,
        assessment: Assessment::default(),
        mitre_codes: MitreCodes::default(),
        mentions: vec![Mention::parse("ioc_value", ClaimedType::Domain, "example.com")],
    }))
}

#[test]
fn what_earlier_runs_did_decides_before_what_this_one_did() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let select = |run: &str, ids: &[&str]| {
        let ledger = open(Some(&path), options(run));
        let outcomes: Vec<_> = ids.iter().map(|id| alert(id)).collect();
        let selected = select(&ledger, &outcomes, Rules::default(), "", nothing);
        (ledger, selected)
    };
    let (ledger, _) = select("delivers", &["delivered"]);
    let batch = ledger.begin_batch(&ledger.next_items(9, None).unwrap().items).unwrap();
    ledger.deliver_batch(batch).unwrap();
    drop(ledger);
    drop(select("queues", &["queued"]));
    let (_ledger, selected) = select("last", &["delivered", "queued", "new", "newer"]);
    let ids: Vec<_> = selected.items.iter().map(|item| item["detection"]["id"].as_str()).collect();
    assert_eq!(ids, [Some("queued"), Some("new")]);
    let tally = &selected.tally;
    assert_eq!((tally.selected, tally.already_delivered, tally.indicators_repeated), (1, 1, 2));
}

#[test]
fn a_mention_that_cannot_be_stored_counts_as_selected_and_ends_the_page() {
    let mut selection = Selection::new(Rules::default(), Arc::new(Exclusions::default()));
    let failed = selection.add(alert("id"), |_, _, _| Err("disk full"));
    assert_eq!(failed, Err("disk full"));
    let tally = selection.tally();
    assert_eq!((tally.alerts_fetched, tally.indicators_found, tally.selected), (1, 1, 1));
}

#[test]
fn an_alert_stores_an_indicator_once_with_the_first_of_its_fields() {
    let AlertOutcome::Detection(mut detection) = alert("id") else { panic!("no detection") };
    for field in ["domain", "ioc_value"] {
        detection.mentions.push(Mention::parse(field, ClaimedType::Domain, "example.com"));
    }
    for (stored, selected, repeated, delivered) in [
        (StoreOutcome::New, 1, 2, 0),
        (StoreOutcome::Duplicate, 0, 3, 0),
        (StoreOutcome::AlreadyDelivered, 0, 0, 3),
    ] {
        let mut selection = Selection::new(Rules::default(), Arc::new(Exclusions::default()));
        let mut fields = Vec::new();
        let store = |_: &Detection, _: &Indicator, field| {
            fields.push(field);
            Ok::<_, Infallible>(stored)
        };
        selection.add(AlertOutcome::Detection(detection.clone()), store).unwrap();
        assert_eq!(fields, ["domain"]);
        let tally = selection.tally();
        let counts = (tally.selected, tally.indicators_repeated, tally.already_delivered);
        assert_eq!(counts, (selected, repeated, delivered));
    }
}
