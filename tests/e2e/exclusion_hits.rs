//! Tests that hits of exclusion rules are counted in the ledger, and that `check` shows the rules
//! without a hit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rusqlite::Connection;
use sandbox::World;

use crate::support::alerts::{falcon, sha256};
use crate::support::{NOW, RunOutput, TestEnv};

/// The arguments of the runs.
const RUN: &str = "crowdstrike --json --exclusion-file list.txt";

/// A time shortly after the first run.
const LATER: &str = "2026-11-22T00:30:00Z";

/// The exclusion file. The rule in its second line has no hit.
const LIST: &str = "# ours\nunused.example\n.good.example\n\n8.8.0.0/16\n";

/// Returns an environment with five indicators, of which [`LIST`] excludes four.
fn env() -> TestEnv {
    let env = TestEnv::falcon(&[
        falcon("1", "domain", "a.b.good.example,good.example"),
        falcon("2", "url", "http://8.8.4.4/x"),
        falcon("3", "ip", "8.8.4.4"),
        falcon("4", "domain", "evil.example"),
    ]);
    env.write("list.txt", LIST);
    env
}

/// Returns the rules that the ledger counts, with their hits.
fn hits(env: &TestEnv) -> BTreeMap<String, u64> {
    let db = Connection::open(env.path("collective-insights.db")).unwrap();
    let mut select = db.prepare("SELECT rule, sum(hits) FROM exclusion_hit GROUP BY rule").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, u32>(1)?.into()))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn live_runs_count_hits_under_the_text_of_the_rule() {
    let env = env();
    for mode in ["--dry-run", "--debug", "--no-ledger"] {
        env.run(&format!("{RUN} {mode}")).assert_code(0);
        assert!(!env.path("collective-insights.db").exists());
    }
    let expected = |times: u64| {
        let rules = [(".good.example", 2 * times), ("8.8.0.0/16", 2 * times)];
        BTreeMap::from(rules.map(|(rule, hits)| (rule.to_owned(), hits)))
    };
    env.run(RUN).assert_code(0);
    assert_eq!(hits(&env), expected(1));
    env.run(&format!("{RUN} --dry-run")).assert_code(0);
    assert_eq!(hits(&env), expected(1));
    // These are the same rules in another order and spelling.
    env.write("list.txt", "8.8.4.4/16,DNS\n.GOOD.example\n");
    let output = env.run(RUN).assert_code(0);
    assert_eq!(output.count("indicators_excluded"), 4);
    assert_eq!(hits(&env), expected(2));
}

/// Runs `check` of a source at this time.
fn check(env: &TestEnv, now: &str, source: &str) -> RunOutput {
    let run = format!("check {source} --offline --exclusion-file list.txt");
    env.run_at(now, &run).assert_code(0)
}

#[test]
fn check_shows_which_rules_had_no_hit() {
    let env = env();
    let assert_shown = |now: &str, source: &str, text: &str| {
        let output = check(&env, now, source);
        let found = output.stdout.lines().find(|line| line.contains("exclusions: ")).unwrap();
        assert_eq!(found, format!("  ✓ exclusions: {text}"));
    };
    // Before the first run nothing is known.
    assert_shown(NOW, "crowdstrike", "3 in list.txt");
    env.run_at(NOW, RUN).assert_code(0);
    let unused = "line 2 (unused.example)";
    let since_first_run = format!("3 in list.txt; 1 had no hit since 2026-11-22: {unused}");
    assert_shown(LATER, "crowdstrike", &since_first_run);
    // The other source shares the file.
    assert_shown(LATER, "carbonblack", &since_first_run);
    assert_shown("2027-02-20T00:00:00Z", "crowdstrike", &since_first_run);
    env.write("list.txt", format!("{LIST}.other.example\n"));
    let document =
        env.run_at(LATER, "check crowdstrike --offline --json --exclusion-file list.txt");
    let checks = document.assert_code(0).json()["checks"].clone();
    let shown = checks.as_array().unwrap().iter().find(|check| check["check"] == "exclusions");
    let message =
        format!("4 in list.txt; 2 had no hit since 2026-11-22: {unused}, line 6 (.other.example)");
    assert_eq!(shown.unwrap()["message"], message);
    env.write("list.txt", ".good.example\n");
    assert_shown(LATER, "crowdstrike", "1 in list.txt; each had a hit since 2026-11-22");
    let after_90_days = "2027-02-20T00:30:00Z";
    assert_shown(
        after_90_days,
        "crowdstrike",
        "1 in list.txt; 1 had no hit in 90 days: line 1 (.good.example)",
    );
    env.write("list.txt", "");
    assert_shown(LATER, "crowdstrike", "0 in list.txt");
}

#[test]
fn check_shows_twenty_rules_of_many_in_the_order_of_the_file() {
    let env = TestEnv::new(World::default());
    env.run("crowdstrike").assert_code(0);
    let mut list = "z.example\n10.0.0.0/8\n".to_owned();
    for number in 0..50_000 {
        writeln!(list, "{}", sha256(number)).unwrap();
    }
    env.write("list.txt", list);
    let output = check(&env, LATER, "crowdstrike");
    let shown: Vec<String> =
        (0..18).map(|number| format!("line {} ({})", number + 3, sha256(number))).collect();
    let expected = format!(
        "50002 in list.txt; 50002 had no hit since 2026-11-22, for example: line 1 (z.example), line 2 (10.0.0.0/8), {}\n",
        shown.join(", ")
    );
    assert!(output.stdout.contains(&expected), "{}", output.stdout);
}

#[test]
fn a_damaged_ledger_is_reported_and_the_exclusions_are_still_checked() {
    let env = env();
    env.write("collective-insights.db", "Dear diary");
    let output = env.run("check crowdstrike --offline --exclusion-file list.txt").assert_code(6);
    let message = "✓ exclusions: 3 in list.txt; their hits cannot be read: ";
    assert!(output.stdout.contains(message) && output.stdout.contains("✗ ledger"), "{output:?}");
}
