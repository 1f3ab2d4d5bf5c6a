//! Tests the metrics and the alert rules in the help: they are compared with the metrics file of
//! a run, and checked by `promtool`, Prometheus' own tool. Without it, these checks are skipped.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use crate::support::RunOutput;
use crate::support::markdown::topic;
use crate::support::markdown::{code, in_backticks, table};
use crate::support::metrics::PREFIX;
use crate::support::metrics_runs::{MIXED_RUN, env_for_mixed_run, read_metrics};
use crate::support::tool::tool;

/// Runs `promtool` with this input. `None` if it is not installed.
fn promtool(arguments: &[&str], input: &str) -> Option<RunOutput> {
    let mut command = tool("promtool")?;
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap().into())
}

/// Returns the alert rules of the help.
fn rules() -> &'static str {
    let rules = code(topic("operations"), "yaml");
    assert_eq!(rules.len(), 1);
    rules[0]
}

#[test]
fn promtool_accepts_the_names_and_the_format() {
    let env = env_for_mixed_run();
    env.run(MIXED_RUN).assert_code(3);
    let text = read_metrics(&env).text;
    let Some(output) = promtool(&["check", "metrics"], &text) else { return };
    assert_eq!((output.code, output.stdout + &output.stderr), (0, String::new()), "{text}");
    // `promtool` rejects a wrong name.
    let wrong = text.replace("last_run_alerts", "last_run_alerts_total");
    assert_ne!(promtool(&["check", "metrics"], &wrong).unwrap().code, 0);
}

#[test]
fn the_table_of_the_help_has_each_metric() {
    let env = env_for_mixed_run();
    env.run(MIXED_RUN).assert_code(3);
    let metrics = read_metrics(&env);
    let rows = table(topic("operations"), "Monitoring");
    let documented: Vec<String> = rows.iter().flat_map(|row| in_backticks(row[0])).collect();
    assert_eq!(documented, metrics.names());
    for row in rows {
        let unit = match in_backticks(row[0])[0].rsplit('_').next().unwrap() {
            "indicators" => "indicators",
            "alerts" => "alerts",
            "seconds" if row[0].contains("timestamp") => "Unix time",
            "seconds" => "seconds",
            _ => "",
        };
        assert_eq!(row[1], unit, "{row:?}");
    }
    let words = rules().split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let used: Vec<&str> = words.filter_map(|word| word.strip_prefix(PREFIX)).collect();
    assert!(used.len() >= 5, "{used:?}");
    for name in used {
        assert!(metrics.names().contains(&name), "{name}");
    }
}

/// When a test evaluates the rules, in minutes after the first sample: a little more than two days.
const MINUTES: i64 = 2881;

/// Returns a test of the rules for `promtool`: which alerts fire when a metric has had this value
/// for two days.
fn rule_test(metric: &str, value: i64, expected: &[&str]) -> String {
    let mut test = format!(
        "rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: '{PREFIX}{metric}{{tenant=\"a\",source=\"s\"}}'
        values: '{value}x3000'
    alert_rule_test:
"
    );
    for name in ["NoSuccess", "NeedsAttention", "QueueTooOld"] {
        let alerts =
            if expected.contains(&name) { "[{exp_labels: {tenant: a, source: s}}]" } else { "[]" };
        let _ = writeln!(
            test,
            "      - {{eval_time: {MINUTES}m, alertname: CollectiveInsights{name}, exp_alerts: {alerts}}}"
        );
    }
    test
}

/// Writes the rules to a folder without their annotations, which a test would have to repeat.
fn write_rules(folder: &Path) {
    let mut text = String::new();
    for line in rules().lines() {
        if !line.contains("annotations:") && !line.contains("summary:") {
            let _ = writeln!(text, "{line}");
        }
    }
    std::fs::write(folder.join("rules.yml"), text).unwrap();
}

#[test]
fn the_alert_rules_are_valid_and_fire_when_they_should() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(file("all.yml"), rules()).unwrap();
    let Some(output) = promtool(&["check", "rules", &file("all.yml")], "") else { return };
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("SUCCESS: 3 rules found"), "{output:?}");
    write_rules(folder.path());
    let ago = |hours: i64| MINUTES * 60 - hours * 3600;
    for (metric, value, alerts) in [
        ("last_success_timestamp_seconds", ago(25), &[][..]),
        ("last_success_timestamp_seconds", ago(27), &["NoSuccess"]),
        ("last_success_timestamp_seconds", 0, &["NoSuccess"]),
        ("last_run_exit_code", 0, &[]),
        ("last_run_exit_code", 1, &["NeedsAttention"]),
        ("last_run_exit_code", 4, &["NeedsAttention"]),
        ("last_run_exit_code", 5, &[]),
        ("last_run_exit_code", 6, &["NeedsAttention"]),
        ("last_run_exit_code", 7, &[]),
        ("last_run_exit_code", 143, &[]),
        ("quarantined_indicators", 0, &[]),
        ("quarantined_indicators", 2, &["NeedsAttention"]),
        ("oldest_queued_timestamp_seconds", ago(47), &[]),
        ("oldest_queued_timestamp_seconds", 0, &["QueueTooOld"]),
    ] {
        std::fs::write(file("test.yml"), rule_test(metric, value, alerts)).unwrap();
        let output = promtool(&["test", "rules", &file("test.yml")], "").unwrap();
        assert_eq!(output.code, 0, "{metric} {value}: {output:?}");
    }
}
