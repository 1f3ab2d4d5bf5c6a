//! Any operations in any order, against a model that consists of maps.

mod compare;
mod driver;
mod maps;

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::Config;

use self::driver::Driver;
use self::maps::Model;
use super::*;

const TENANTS: usize = 3;
const DETECTIONS: usize = 4;
const INDICATORS: usize = 3;

/// An operation. Entries are picked by numbers that may be their ids: many picks miss.
#[derive(Debug, Clone)]
enum Step {
    /// Another run of a tenant, after the one before it ended or was killed.
    NextRun {
        tenant: usize,
        resend: bool,
        reopen: bool,
    },
    /// Stores mentions, hits of exclusion rules, and samples of what was left out (the same texts
    /// and counts as the hits) in one transaction, which may fail at its end.
    Store {
        mentions: Vec<Mention>,
        hits: BTreeMap<String, u64>,
        fails: bool,
    },
    /// Begins a batch with the first of the queue and others.
    Begin {
        first: usize,
        ids: Vec<i64>,
    },
    /// Ends one of the batches that were begun.
    End {
        nth: usize,
        ending: Ending,
    },
    DeleteDelivered,
    Retry(Choice),
    Drop(Choice),
    RecordFirstWindow {
        start: i64,
    },
    ResetCheckpoints,
    Advance {
        from: i64,
        until: i64,
    },
    BeginRun,
    FinishRun(u8),
    RecordDelivered(u64),
    Purge,
    DryRun {
        tenant: usize,
        resend: bool,
        steps: Vec<(Step, i64)>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mention {
    detection: usize,
    severity: Option<u8>,
    indicator: usize,
    field: &'static str,
}

/// How a batch ends.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Deliver,
    Requeue,
    RequeueFailed,
    Quarantine,
}

/// The entries that `outbox retry` or `outbox drop` changes.
#[derive(Debug, Clone)]
struct Choice {
    source: Option<&'static str>,
    state: Option<EntryState>,
}

impl Choice {
    fn filter(&self) -> EntryFilter {
        let source = self.source.map(str::to_owned);
        EntryFilter {
            tenants: TenantFilter { name: None, source },
            state: self.state,
            ..EntryFilter::default()
        }
    }
}

/// Two tenants of one source that share a token, and one of another source with another token.
fn tenant_of(number: usize) -> Tenant {
    match number {
        0 => tenant("crowdstrike"),
        1 => Tenant {
            name: "other".to_owned(),
            organizations: vec!["uhash:c".to_owned()],
            ..tenant("crowdstrike")
        },
        _ => Tenant { token: "another".to_owned(), ..tenant("carbonblack") },
    }
}

impl Mention {
    /// The alert. Its number decides its id and times; its severity, and with it its codes, vary.
    fn alert(self) -> Detection {
        let (id, observed, created) =
            [("d0", 5, 0), ("'d1", 3, 1), ("d2", 3, 100 * DAY), ("d3", 9, 400 * DAY)]
                [self.detection];
        Detection {
            observed_at: at_minute(observed),
            created_at: at_minute(created),
            mitre_codes: self.codes().iter().map(|code| MitreCode::parse(code).unwrap()).collect(),
            ..alert_with_severity(id, self.severity)
        }
    }

    fn codes(self) -> Vec<String> {
        match self.severity {
            Some(severity) => vec![format!("T100{severity}"), "TA0001".to_owned()],
            None => Vec::new(),
        }
    }
}

fn indicator(number: usize) -> Indicator {
    domain(&number.to_string())
}

fn mention() -> impl Strategy<Value = Mention> {
    let field = prop::sample::select(&["sha256", "ioc_value"][..]);
    (0..DETECTIONS, prop::option::of(0..3_u8), 0..INDICATORS, field).prop_map(
        |(detection, severity, indicator, field)| Mention { detection, severity, indicator, field },
    )
}

fn choice() -> impl Strategy<Value = Choice> {
    let source = prop::sample::select(&["crowdstrike", "carbonblack", "absent"][..]);
    let state = prop::sample::select(&[EntryState::Queued, EntryState::Quarantined][..]);
    (prop::option::of(source), prop::option::of(state))
        .prop_map(|(source, state)| Choice { source, state })
}

fn ending() -> impl Strategy<Value = Ending> {
    use Ending::{Deliver, Quarantine, Requeue, RequeueFailed};
    prop_oneof![
        4 => Just(Deliver),
        1 => Just(Requeue),
        1 => Just(RequeueFailed),
        2 => Just(Quarantine),
    ]
}

fn next_run_step(reopen: impl Strategy<Value = bool>) -> impl Strategy<Value = Step> {
    (0..TENANTS, any::<bool>(), reopen).prop_map(|(tenant, resend, reopen)| Step::NextRun {
        tenant,
        resend,
        reopen,
    })
}

/// A step that is also possible in a dry run.
fn plain_step() -> impl Strategy<Value = Step> {
    let rule = prop::sample::select(&["example.com", ".example.com", "'"][..]);
    let hits = btree_map(rule.prop_map(str::to_owned), 1..3_u64, 0..3);
    let store = (vec(mention(), 0..6), hits, prop::bool::weighted(0.1));
    prop_oneof![
        3 => next_run_step(Just(false)),
        8 => store.prop_map(|(mentions, hits, fails)| Step::Store { mentions, hits, fails }),
        5 => (0..3_usize, vec(1..12_i64, 0..2)).prop_map(|(first, ids)| Step::Begin { first, ids }),
        7 => (0..9_usize, ending()).prop_map(|(nth, ending)| Step::End { nth, ending }),
        2 => Just(Step::DeleteDelivered),
        2 => choice().prop_map(Step::Retry),
        1 => choice().prop_map(Step::Drop),
        1 => (0..240_i64).prop_map(|start| Step::RecordFirstWindow { start }),
        1 => Just(Step::ResetCheckpoints),
        2 => (0..9_i64, 0..9_i64)
            .prop_map(|(from, until)| Step::Advance { from: from * 30, until: until * 30 }),
        1 => Just(Step::BeginRun),
        1 => (0..9_u8).prop_map(Step::FinishRun),
        1 => (0..5_u64).prop_map(Step::RecordDelivered),
    ]
}

/// A step and the day on which it is done, by a clock that jumps.
fn timed(step: impl Strategy<Value = Step>) -> impl Strategy<Value = (Step, i64)> {
    (step, prop_oneof![2 => 0..120_i64, 1 => 0..600_i64])
}

fn any_step() -> impl Strategy<Value = Step> {
    let dry_run = (0..TENANTS, any::<bool>(), vec(timed(plain_step()), 0..8));
    prop_oneof![
        24 => plain_step(),
        2 => Just(Step::Purge),
        1 => next_run_step(Just(true)),
        2 => dry_run.prop_map(|(tenant, resend, steps)| Step::DryRun { tenant, resend, steps }),
    ]
}

proptest! {
    #![proptest_config(Config {
        // `PROPTEST_CASES=10000` tries more, for example overnight.
        cases: Config::default().cases / 4,
        failure_persistence: None,
        ..Config::default()
    })]

    #[test]
    fn any_order_of_operations_agrees_with_the_model(steps in vec(timed(any_step()), 1..40)) {
        let folder = Folder::new();
        let mut model = Model::new(&folder);
        let mut driver = Driver::new(&folder, &mut model);
        for (step, day) in steps {
            driver.apply(&mut model, &step, at_minute(day * DAY));
            driver.compare(&model);
        }
        // Finally, what is in the file counts.
        let last = Step::NextRun { tenant: 0, resend: false, reopen: true };
        driver.apply(&mut model, &last, at_minute(0));
        driver.compare(&model);
    }
}
