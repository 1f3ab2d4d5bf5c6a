//! Any operations in any order, against a model that is nothing but maps.

mod compare;
mod oracle;

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use tempfile::TempDir;

use super::super::*;
use super::*;
use oracle::Oracle;

const DAY: i64 = 24 * 60;
const TENANTS: usize = 2;
const DETECTIONS: usize = 4;
const INDICATORS: usize = 3;

/// Something done to a ledger. Entries are picked by their number, so that many picks miss.
#[derive(Debug, Clone)]
enum Step {
    Store { tenant: usize, entries: Vec<Draft>, resend: bool },
    Settle { tenant: usize, ids: Vec<i64> },
    Quarantine { tenant: usize, id: i64 },
    Tried { tenant: usize, ids: Vec<i64> },
    Retry(Choice),
    Drop(Choice),
    Advance { tenant: usize, from: i64, until: i64 },
    Run { tenant: usize },
    CountUsed(u64),
    Forget,
    Reopen,
    Rehearse(Vec<(Step, i64)>),
}

#[derive(Debug, Clone)]
struct Draft {
    indicator: usize,
    severity: Option<u8>,
    detections: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Choice {
    tenant: Option<usize>,
    by_source: bool,
    quarantined: Option<bool>,
    ids: Option<Vec<i64>>,
}

fn draft() -> impl Strategy<Value = Draft> {
    (0..INDICATORS, proptest::option::of(0..4_u8), vec(0..DETECTIONS, 0..4))
        .prop_filter("an entry stands for a detection", |draft| !draft.2.is_empty())
        .prop_map(|(indicator, severity, detections)| Draft { indicator, severity, detections })
}

fn choice() -> impl Strategy<Value = Choice> {
    let ids = proptest::option::of(vec(1..20_i64, 0..4));
    (proptest::option::of(0..TENANTS), any::<bool>(), proptest::option::of(any::<bool>()), ids)
        .prop_map(|(tenant, by_source, quarantined, ids)| Choice {
            tenant,
            by_source,
            quarantined,
            ids,
        })
}

fn plain_step() -> impl Strategy<Value = Step> {
    let tenant = 0..TENANTS;
    let store = (tenant.clone(), vec(draft(), 0..4), any::<bool>());
    prop_oneof![
        6 => store.prop_map(|(tenant, entries, resend)| Step::Store { tenant, entries, resend }),
        5 => (tenant.clone(), vec(1..20_i64, 0..3)).prop_map(|(tenant, ids)| Step::Settle { tenant, ids }),
        4 => (tenant.clone(), 1..20_i64).prop_map(|(tenant, id)| Step::Quarantine { tenant, id }),
        1 => (tenant.clone(), vec(1..20_i64, 0..3)).prop_map(|(tenant, ids)| Step::Tried { tenant, ids }),
        2 => choice().prop_map(Step::Retry),
        2 => choice().prop_map(Step::Drop),
        3 => (tenant.clone(), 0..9_i64, 0..9_i64)
            .prop_map(|(tenant, from, until)| Step::Advance { tenant, from: from * 30, until: until * 30 }),
        1 => tenant.prop_map(|tenant| Step::Run { tenant }),
        1 => (0..5_u64).prop_map(Step::CountUsed),
        1 => Just(Step::Forget),
    ]
}

/// A step and the day on which it is done, by a clock that goes as it likes.
fn timed(step: impl Strategy<Value = Step>) -> impl Strategy<Value = (Step, i64)> {
    (step, 0..240_i64)
}

fn crash_point() -> impl Strategy<Value = Step> {
    prop_oneof![
        16 => plain_step(),
        1 => Just(Step::Reopen),
        1 => vec(timed(plain_step()), 0..8).prop_map(Step::Rehearse),
    ]
}

fn opened(ledger: Ledger) -> Ledger {
    // The test is about what the ledger holds, not about the disk: without syncs it tries many times as much.
    ledger.view().db().pragma_update(None, "synchronous", "OFF").unwrap();
    ledger
}

/// Does a sequence of steps to a ledger and to the model, comparing after each.
fn play(path: &Path, mut ledger: Ledger, model: &mut Oracle, steps: Vec<(Step, i64)>) -> Ledger {
    for (step, day) in steps {
        let now = at(day * DAY);
        match step {
            Step::Reopen => {
                drop(ledger);
                ledger = opened(Ledger::open(path, now).unwrap());
            }
            Step::Rehearse(steps) => {
                drop(ledger);
                let rehearsal = Ledger::rehearse(path, now).unwrap();
                drop(play(path, rehearsal, &mut model.clone(), steps));
                ledger = opened(Ledger::open(path, now).unwrap());
            }
            step => model.apply(&ledger, &step, now),
        }
        model.compare(&ledger);
    }
    ledger
}

proptest! {
    #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

    #[test]
    fn any_order_of_operations_agrees_with_the_model(steps in vec(timed(crash_point()), 1..40)) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("ledger.db");
        let ledger = opened(open(&path));
        let mut model = Oracle::new(&ledger);
        drop(play(&path, ledger, &mut model, steps));
        // What counts in the end is what the file says.
        model.compare(&open(&path));
    }
}
