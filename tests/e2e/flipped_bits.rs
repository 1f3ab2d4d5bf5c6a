//! Tests runs with a flipped bit in the ledger. Each flip does no harm, or the file is refused and
//! left as it is, or the help of the error names what repairs it.
//!
//! The long form flips 400 bits, and prints how often each outcome was found:
//! `cargo test --test e2e flipped_bits -- --ignored --nocapture`.

use std::collections::BTreeMap;

use rusqlite::Connection;
use sandbox::{Fault, Service, World};
use serde_json::Value;

use crate::support::TestEnv;
use crate::support::alerts::{carbonblack, falcon_at, sha256};
use crate::support::json::text;

const LEDGER: &str = "collective-insights.db";
const JOURNAL: &str = "collective-insights.db-journal";

/// The runs after the flip, each with its time: two tenants of one source, another source, and all
/// of them an hour later.
const RUNS: [(&str, &str); 6] = [
    ("2026-11-22T01:15:00Z", "crowdstrike --json"),
    ("2026-11-22T01:20:00Z", "crowdstrike --json --tenant other --organization-id uhash:a"),
    ("2026-11-22T01:25:00Z", "carbonblack --json"),
    ("2026-11-22T02:15:00Z", "crowdstrike --json"),
    ("2026-11-22T02:20:00Z", "crowdstrike --json --tenant other --organization-id uhash:a"),
    ("2026-11-22T02:25:00Z", "carbonblack --json"),
];

/// The size in bytes up to which the program checks the whole ledger when it opens it.
const SMALL: usize = 4 << 20;

/// Returns a world with 90 Falcon and 60 Carbon Black alerts. Recorded Future rejects two of the
/// indicators of the former.
fn world() -> World {
    let falcon: Vec<Value> =
        (0..90).map(|number| falcon_at(number, "2026-11-21T08:00:00Z")).collect();
    let carbon_black: Vec<Value> =
        (100..160).map(|number| carbonblack(&format!("cb{number}"), &sha256(number))).collect();
    World::default()
        .falcon_alerts(&falcon)
        .carbon_black_alerts(&carbon_black)
        .reject_value(sha256(7), 400)
        .reject_value(sha256(70), 400)
}

/// Returns a ledger in which each tenant has delivered and queued submissions, and some have
/// quarantined ones.
fn filled_ledger(env: &TestEnv) -> Vec<u8> {
    for (batches, run) in [
        (9, "crowdstrike --json --batch-size 10"),
        (4, "crowdstrike --json --batch-size 20 --tenant other --organization-id uhash:a"),
        (3, "carbonblack --json --batch-size 10"),
    ] {
        // After these batches, a 401 ends the run.
        let mut faults = vec![Fault::None; batches];
        faults.push(Fault::status(401, ""));
        env.sandbox.queue_faults(Service::RecordedFuture, faults);
        let output = env.run(run).assert_code(4);
        assert!(output.count("processed") > 0 && output.count("waiting") > 0, "{output:?}");
    }
    std::fs::read(env.path(LEDGER)).unwrap()
}

/// The number of times that each indicator was stored, by its organizations and its value.
type Deliveries = BTreeMap<String, usize>;

/// Returns what is stored so far.
fn deliveries(env: &TestEnv) -> Deliveries {
    let mut counts = Deliveries::new();
    for stored in env.sandbox.stored() {
        let value = text(&stored.item, "/ioc/value");
        *counts.entry(format!("{:?} {value}", stored.organization_ids)).or_default() += 1;
    }
    counts
}

/// The result of a run with a flipped bit in its ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// All runs did the same as without the flip.
    Harmless,
    /// Everything was delivered once, but an item went to quarantine.
    Quarantined,
    /// A run refused the file and left it unchanged. With what the help names, nothing is lost.
    RefusedAndRepaired,
    /// A run refused the file and left it unchanged. What the help names does not save everything.
    Refused,
    /// A run failed after it had written. With what the help names, nothing is lost.
    Repaired,
    /// A run failed after it had written. What the help names does not save everything.
    NotRepaired,
    /// Everything was delivered, but one indicator of one alert twice: no check can notice another
    /// letter in the record of a delivery.
    Repeated,
    /// Everything was delivered, but more than one indicator twice.
    ManyRepeated,
    /// Something was neither delivered nor in quarantine.
    Lost,
}

/// A ledger to be damaged, and what has to be delivered in spite of that.
struct FlipTest {
    /// The content of the ledger.
    ledger: Vec<u8>,
    /// What was delivered before the ledger had this content.
    before: Deliveries,
    /// What is delivered after [`RUNS`] without a flip.
    expected: Deliveries,
    /// How many entries are in quarantine then.
    quarantined: u64,
    /// The number of bytes from the start of the file in which a bit may be flipped.
    length: usize,
}

impl FlipTest {
    /// Prepares a ledger, which may be larger than [`SMALL`], and does the runs without a flip.
    fn new(large: bool) -> Self {
        let env = TestEnv::new(world());
        filled_ledger(&env);
        let before = deliveries(&env);
        let length = std::fs::metadata(env.path(LEDGER)).unwrap().len();
        let length = usize::try_from(length).unwrap();
        if large {
            let db = Connection::open(env.path(LEDGER)).unwrap();
            let bytes = SMALL + 1;
            db.execute_batch(&format!(
                "CREATE TABLE padding (x); INSERT INTO padding VALUES (zeroblob({bytes}))"
            ))
            .unwrap();
        }
        let ledger = std::fs::read(env.path(LEDGER)).unwrap();
        assert_eq!(ledger.len() > SMALL, large);
        for (now, run) in RUNS {
            let output = env.run_at(now, run);
            assert!([0, 3].contains(&output.code), "{output:?}");
        }
        let quarantined = quarantined(&env);
        assert_eq!(quarantined, 4);
        let expected = deliveries(&env);
        assert!(expected.values().all(|count| *count == 1), "{expected:?}");
        assert_eq!(expected.len(), 90 + 90 + 60 - 4);
        Self { ledger, before, expected, quarantined, length }
    }

    /// Flips a bit and does the runs. Returns the outcome, and the error of a run that failed.
    fn flip(&self, bit: usize) -> (Outcome, String) {
        let env = TestEnv::new(world());
        let mut flipped = self.ledger.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        env.write(LEDGER, &flipped);
        for (number, (now, run)) in RUNS.into_iter().enumerate() {
            let before = std::fs::read(env.path(LEDGER)).unwrap();
            let output = env.run_at(now, run);
            if output.code == 6 {
                let unchanged = std::fs::read(env.path(LEDGER)).unwrap() == before
                    && !env.path(JOURNAL).exists();
                let says_unchanged = output.stderr.contains("The file was left as it is");
                assert!(unchanged || !says_unchanged, "bit {bit}, run {number}: {output:?}");
                let repaired = repair(&env) && {
                    for (now, run) in RUNS {
                        env.run_at(now, run);
                    }
                    self.judge(&env) <= Outcome::Quarantined
                };
                return (
                    match (unchanged, repaired) {
                        (true, true) => Outcome::RefusedAndRepaired,
                        (true, false) => Outcome::Refused,
                        (false, true) => Outcome::Repaired,
                        (false, false) => Outcome::NotRepaired,
                    },
                    output.stderr,
                );
            }
            assert!([0, 3].contains(&output.code), "bit {bit}, run {number}: {output:?}");
        }
        let outcome = self.judge(&env);
        (outcome, String::new())
    }

    /// Compares what was delivered before and after the flip with what is expected.
    fn judge(&self, env: &TestEnv) -> Outcome {
        let mut found = deliveries(env);
        for (indicator, count) in &self.before {
            *found.entry(indicator.clone()).or_default() += count;
        }
        let missing = self.expected.keys().filter(|indicator| !found.contains_key(*indicator));
        let missing = u64::try_from(missing.count()).unwrap();
        let quarantined = quarantined(env).saturating_sub(self.quarantined);
        if missing > quarantined {
            return Outcome::Lost;
        }
        match found.values().map(|count| count - 1).sum() {
            0 => {}
            1 => return Outcome::Repeated,
            2.. => return Outcome::ManyRepeated,
        }
        if quarantined > 0 { Outcome::Quarantined } else { Outcome::Harmless }
    }
}

/// Returns how many entries are in quarantine; 0 if the ledger cannot be read.
fn quarantined(env: &TestEnv) -> u64 {
    let output = env.run("status --json");
    if output.code != 0 {
        return 0;
    }
    let status = output.json();
    let sources = status["sources"].as_array().unwrap();
    sources.iter().map(|source| source["quarantined"].as_u64().unwrap()).sum()
}

/// Does what the help of the error names, and reports whether `check` finds no damage after that.
fn repair(env: &TestEnv) -> bool {
    let damaged = std::fs::read(env.path(LEDGER)).unwrap();
    if env.run("outbox repair").code != 0 {
        return false;
    }
    assert_eq!(std::fs::read(env.path("collective-insights.db.damaged")).unwrap(), damaged);
    env.run("check --offline crowdstrike").code == 0
}

/// Flips this many random bits one by one, half of them in a large file, and prints how often each
/// outcome was found.
fn flip_random_bits(count: usize) {
    let mut random = fastrand::Rng::with_seed(20_261_122);
    let mut counts = BTreeMap::<(bool, Outcome), usize>::new();
    for large in [false, true] {
        let test = FlipTest::new(large);
        for _ in 0..count / 2 {
            let bit = random.usize(..test.length * 8);
            let (outcome, message) = test.flip(bit);
            *counts.entry((large, outcome)).or_default() += 1;
            let flip = format!("large {large}, byte {} bit {}", bit / 8, bit % 8);
            if outcome > Outcome::RefusedAndRepaired {
                println!("{flip}: {outcome:?} {message}");
            }
            assert_ne!(outcome, Outcome::Lost, "{flip}");
            assert_ne!(outcome, Outcome::ManyRepeated, "{flip}");
        }
    }
    for ((large, outcome), count) in counts {
        println!("{}: {outcome:?} {count}", if large { "large" } else { "small" });
    }
}

#[test]
fn a_flipped_bit_neither_loses_nor_repeats_a_submission() {
    flip_random_bits(24);
}

#[test]
#[ignore = "takes minutes"]
fn each_of_400_flipped_bits_neither_loses_nor_repeats_a_submission() {
    flip_random_bits(400);
}
