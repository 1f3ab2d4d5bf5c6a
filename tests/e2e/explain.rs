//! Tests `explain`, which shows what became of one indicator, or of the indicators of one alert.

use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{carbonblack, falcon, sha256, with};
use crate::support::safe_text::{assert_safe, is_unsafe};
use crate::support::tenants_env::{TenantServices, TenantsEnv};
use crate::support::vendor::Vendor;
use crate::support::{RunOutput, TestEnv};

/// The time at which `explain` is run.
const LATER: &str = "2026-11-22T09:00:00Z";

#[test]
fn what_follows_two_hyphens_is_not_an_option() {
    let env = TestEnv::new(World::default());
    env.run("crowdstrike").assert_code(0);
    let output = explain(&env, "-- unknown.example").assert_code(0);
    assert!(output.stdout.starts_with("unknown.example (domain): never seen here"), "{output:?}");
    let output = explain(&env, "-- --json").assert_code(0);
    assert!(output.stdout.starts_with("--json: never seen here"), "{output:?}");
}

/// Runs `explain` with an indicator or the id of an alert, and perhaps options.
fn explain(env: &TestEnv, arguments: &str) -> RunOutput {
    env.run_at(LATER, &format!("explain {arguments}"))
}

/// Returns what is printed, with `00` for the seconds of the runs, which take some time.
fn printed(env: &TestEnv, arguments: &str) -> String {
    const START: &str = "T00:15:";
    let text = explain(env, arguments).assert_code(0).stdout;
    let mut parts = text.split(START);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + START + "00" + &part[2..])
}

/// Returns what is printed as JSON.
fn answer(env: &TestEnv, question: &str) -> Value {
    let requests = env.sandbox.requests().len();
    let answer = explain(env, &format!("{question} --json")).assert_code(0).json();
    assert_eq!(env.sandbox.requests().len(), requests, "`explain` makes no request");
    answer
}

/// Returns the part of the answer about the only tenant.
fn answer_of_tenant(env: &TestEnv, question: &str) -> Value {
    let answer = answer(env, question);
    assert_eq!(answer["tenants"].as_array().unwrap().len(), 1, "{answer}");
    answer["tenants"][0].clone()
}

/// Returns the state of the only entry in the answer, and the entry.
fn only_entry(env: &TestEnv, question: &str) -> (String, Value) {
    let tenant = answer_of_tenant(env, question);
    let entries = tenant["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{tenant}");
    (entries[0]["state"].as_str().unwrap().to_owned(), entries[0].clone())
}

/// Returns the mentions that were left out, each with its reason and its value.
fn left_out(env: &TestEnv, question: &str) -> Vec<(String, String)> {
    let tenant = answer_of_tenant(env, question);
    let text = |mention: &Value, key: &str| mention[key].as_str().unwrap().to_owned();
    let mentions = tenant["left_out"].as_array().unwrap().iter();
    mentions.map(|mention| (text(mention, "reason"), text(mention, "value"))).collect()
}

/// Returns what [`left_out`] returns for a single mention.
fn one_left_out(reason: &str, value: &str) -> Vec<(String, String)> {
    vec![(reason.to_owned(), value.to_owned())]
}

#[test]
fn a_delivered_indicator_has_its_batch_and_its_alerts() {
    let env = TestEnv::falcon(&[
        falcon("cid:ind:1", "domain", "evil.example.com"),
        falcon("cid:ind:2", "domain", "other.example.com"),
        falcon("cid:ind:3", "domain", "evil.example.com"),
    ]);
    env.run("crowdstrike").assert_code(0);
    for question in ["evil.example.com", "EVIL[.]example[.]com.", "evil(dot)example(dot)com"] {
        let tenant = answer_of_tenant(&env, question);
        assert_eq!(tenant["alerts"], 2);
        let alert = |index: usize| tenant["newest_alerts"][index]["id"].clone();
        assert_eq!([alert(0), alert(1)], [json!("cid:ind:3"), json!("cid:ind:1")]);
        let entry = &tenant["entries"][0];
        assert_eq!(entry["state"], "delivered");
        assert_eq!((&entry["batch"], &entry["detections"]), (&json!("1"), &json!(2)));
        assert_eq!((&entry["severity"], &entry["field"]), (&json!(70), &json!("ioc_value")));
        assert_eq!(entry["mitre_codes"], json!(["T1204", "TA0002"]));
        assert_eq!(tenant["left_out"], json!([]));
    }
    let text = printed(&env, "evil.example.com");
    assert_eq!(
        text,
        "evil.example.com (domain)\n\
         \n\
         crowdstrike (crowdstrike)\n  \
         named by       2 alerts, created 2026-11-21T08:01:00Z\n  \
         delivered      2026-11-22T00:15:00Z in batch 1, for 2 alerts, severity 70, ioc_value, T1204 TA0002 (entry 1)\n  \
         alert          2026-11-21T08:01:00Z  cid:ind:3\n  \
         alert          2026-11-21T08:01:00Z  cid:ind:1\n\
         \n  \
         not known      whether it is excluded now: no exclusion file is set here (--exclusion-file)\n"
    );
}

#[test]
fn more_than_ten_alerts_are_counted() {
    let alerts: Vec<Value> = (10..25)
        .map(|number| falcon(&format!("cid:ind:{number}"), "domain", "evil.example.com"))
        .collect();
    let env = TestEnv::falcon(&alerts);
    env.run("crowdstrike").assert_code(0);
    let text = printed(&env, "evil.example.com");
    assert_eq!(text.matches("  cid:ind:").count(), 10, "{text}");
    assert!(text.contains("and 5 more\n"), "{text}");
    assert_eq!(
        answer_of_tenant(&env, "evil.example.com")["newest_alerts"].as_array().unwrap().len(),
        15
    );
}

#[test]
fn a_queued_and_a_quarantined_indicator_have_their_reason() {
    let alerts = [falcon("1", "domain", "a.example.com"), falcon("2", "domain", "b.example.com")];
    let world = World::default().falcon_alerts(&alerts).reject_value("a.example.com", 422);
    let env = TestEnv::new(world);
    env.run("crowdstrike --daily-limit 1").assert_code(3);
    let (state, entry) = only_entry(&env, "a.example.com");
    assert_eq!((state.as_str(), &entry["status"]), ("quarantined", &json!(422)));
    assert!(entry["words"].as_str().is_some_and(|words| !words.is_empty()), "{entry}");
    let text = printed(&env, "a.example.com");
    assert!(text.contains("  quarantined    since 2026-11-22T00:15:00Z: 422 "), "{text}");
    env.run("outbox drop --yes").assert_code(0);
    assert_eq!(only_entry(&env, "a.example.com").0, "dropped");
    let text = printed(&env, "a.example.com");
    assert!(text.contains("  dropped  ") && text.contains(" with `outbox drop`"), "{text}");
}

#[test]
fn what_the_daily_limit_does_not_allow_is_queued() {
    let env =
        TestEnv::falcon(&[falcon("1", "ip", "8.8.4.4"), falcon("2", "domain", "b.example.com")]);
    env.run("crowdstrike --daily-limit 1").assert_code(0);
    assert_eq!(only_entry(&env, "8.8.4.4").0, "delivered");
    let (state, entry) = only_entry(&env, "b[.]example.com");
    assert_eq!(state, "waiting");
    assert!(entry["since"].as_str().unwrap().starts_with("2026-11-22T00:15:0"), "{entry}");
    assert_eq!(entry["field"], "ioc_value");
    let text = printed(&env, "b.example.com");
    let expected =
        "  queued         stored 2026-11-22T00:15:00Z; a later run sends it, for 1 alert";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_batch_without_a_response_is_in_doubt() {
    let env = TestEnv::falcon(&[falcon("1", "domain", "a.example.com")]);
    let faults = vec![Fault::ResetAfterProcessing; 5];
    env.sandbox.queue_faults(Service::RecordedFuture, faults);
    env.run("crowdstrike").assert_code(5);
    let (state, entry) = only_entry(&env, "a.example.com");
    assert_eq!((state.as_str(), &entry["batch"]), ("in_doubt", &json!("1")));
    assert_eq!(entry["tries"], 1);
    let text = printed(&env, "a.example.com");
    assert!(text.contains("  in doubt       since 2026-11-22T00:15:"), "{text}");
}

/// Returns an environment after a run that left out a mention for each reason that CrowdStrike has.
fn env_with_left_out() -> TestEnv {
    let dismissed =
        with(falcon("5", "domain", "dismissed.example.com"), "tags", json!(["false_positive"]));
    // The severity is below the threshold, but the service returns it as if it were not.
    let search_as = falcon("6", "domain", "low.example.com");
    let low = with(search_as.clone(), "severity", json!(39));
    let world = World::default().falcon_alerts(&[
        falcon("1", "domain", "a.good.example"),
        falcon("2", "ip", "10.1.2.3"),
        falcon("3", "domain", "not a domain"),
        falcon("4", "registry_key", "HKLM\\Run"),
        dismissed,
    ]);
    let env = TestEnv::new(world.falcon_raw(low.to_string(), &search_as));
    env.write("list.txt", "# ours\n.good.example\n");
    env.run("crowdstrike --exclusion-file list.txt --min-severity 40 --skip-dismissed")
        .assert_code(0);
    env
}

#[test]
fn what_was_left_out_has_its_reason() {
    let env = env_with_left_out();
    for (question, reason, value) in [
        ("a.good.example", "excluded", "a.good.example"),
        ("10[.]1[.]2[.]3", "internal", "10.1.2.3"),
        ("HKLM\\Run", "unsupported", "HKLM\\Run"),
        ("dismissed.example.com", "dismissed", "dismissed.example.com"),
        ("low.example.com", "below threshold", "low.example.com"),
        // By the id of the alert.
        ("3", "invalid", "not a domain"),
        ("6", "below threshold", "low.example.com"),
    ] {
        assert_eq!(left_out(&env, question), one_left_out(reason, value), "{question}");
    }
    let text = printed(&env, "low.example.com");
    let expected =
        "  left out       below threshold: 1 mention, last 2026-11-22T00:15:00Z, alert 6\n";
    assert!(text.contains(expected), "{text}");
    let trusted = carbonblack("a1", &sha256(1));
    let trusted = with(trusted, "process_effective_reputation", json!("TRUSTED_WHITE_LIST"));
    let env = TestEnv::carbonblack(&[trusted]);
    env.run("carbonblack --skip-trusted").assert_code(0);
    assert_eq!(left_out(&env, &sha256(1).to_uppercase()), one_left_out("trusted", &sha256(1)));
}

#[test]
fn modes_that_store_nothing_do_not_count_mentions() {
    let env = TestEnv::falcon(&[falcon("2", "ip", "10.1.2.3"), falcon("3", "ip", "8.8.4.4")]);
    env.run("crowdstrike").assert_code(0);
    let mentions = || answer_of_tenant(&env, "10.1.2.3")["left_out"][0]["mentions"].clone();
    for mode in ["--dry-run", "--debug", "--no-ledger"] {
        env.run(&format!("crowdstrike {mode}")).assert_code(0);
        assert_eq!(mentions(), 1, "{mode}");
    }
    env.run_at(LATER, "crowdstrike --hours 48").assert_code(0);
    assert_eq!(mentions(), 2, "an alert that is read again counts again");
}

#[test]
fn internal_names_and_addresses_are_never_sent() {
    let env = TestEnv::falcon(&[]);
    env.run("crowdstrike").assert_code(0);
    for question in ["10[.]9[.]9[.]9", "hxxp://wiki[.]corp/x", "localhost"] {
        let answer = answer(&env, question);
        assert_eq!((&answer["seen"], &answer["indicator"]), (&json!(false), &Value::Null));
        assert_eq!(answer["not_sent"], "a name or address of a private network");
        let text = printed(&env, question);
        assert!(text.contains("  never sent     internal names and addresses"), "{text}");
    }
    let text = printed(&env, "d41d8cd98f00b204e9800998ecf8427e");
    assert!(text.contains("  never sent     placeholders, and hashes of an empty file"), "{text}");
}

#[test]
fn for_an_indicator_that_was_never_seen_the_possible_reasons_are_shown() {
    let env = TestEnv::falcon(&[falcon("1", "domain", "a.example.com")]);
    env.run("crowdstrike").assert_code(0);
    let answer = answer(&env, "never.example.com");
    assert_eq!(answer["seen"], false);
    assert_eq!(answer["indicator"], json!({"type": "domain", "value": "never.example.com"}));
    let from = answer["tenants"][0]["read_from"].as_str().unwrap();
    assert!(from.starts_with("2026-11-21T00:15:0"), "{from}");
    let text = printed(&env, "hxxp://never[.]example[.]com");
    for expected in [
        "http://never.example.com/ (url): never seen here\n",
        "- crowdstrike: the alert was created outside of what was read, 2026-11-21T00:15:00Z to 2026-11-22T00:15:00Z.\n",
        "--log-level debug",
        "more than 90 days ago",
        "collective-insights.db (--ledger)",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let text = printed(&env, "ldt:0123:4567");
    let expected = "ldt:0123:4567: never seen here\n  understood     as an alert id ";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("an alert that names no indicator"), "{text}");
}

#[test]
fn what_was_not_read_is_shown() {
    let env = TestEnv::falcon(&[falcon("1", "domain", "a.example.com")]);
    // A first run that fails reads no window completely.
    env.sandbox.always(Service::FalconAlerts, Some(Fault::status(403, "")));
    env.run("crowdstrike").assert_code(4);
    env.sandbox.clear_faults(Service::FalconAlerts);
    let text = printed(&env, "never.example.com");
    assert!(text.contains("- crowdstrike: no window was read completely yet.\n"), "{text}");
    // A run 60 days later leaves a gap.
    let env = TestEnv::falcon(&[falcon("1", "domain", "a.example.com")]);
    env.run("crowdstrike").assert_code(0);
    env.run_at("2027-01-21T00:15:00Z", "crowdstrike").assert_code(3);
    let text = printed(&env, "never.example.com");
    assert!(text.contains("; not read: 2026-11-21T22:15:00Z to 2026-12-22T00:15:00Z."), "{text}");
    assert_eq!(
        answer(&env, "never.example.com")["tenants"][0]["gaps"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn a_password_in_the_question_is_not_shown() {
    let env = TestEnv::falcon(&[]);
    env.run("crowdstrike").assert_code(0);
    let question = "https://me:s3cret@wiki.corp/x";
    for output in [printed(&env, question), answer(&env, question).to_string()] {
        assert!(output.contains("wiki.corp") && !output.contains("s3cret"), "{output}");
    }
}

#[test]
fn the_rule_of_the_current_exclusion_file_is_shown() {
    let env = TestEnv::falcon(&[falcon("1", "url", "http://a.example.com/x")]);
    env.run("crowdstrike").assert_code(0);
    env.write("list.txt", "# ours\nunused.example\n.Example.com\n");
    let question = "http://a.example.com/x --exclusion-file list.txt";
    let tenant = answer_of_tenant(&env, question);
    assert_eq!(tenant["excluded_by"], json!({"line": 3, "rule": ".example.com"}));
    assert_eq!(tenant["exclusion_file"], "list.txt");
    let text = printed(&env, question);
    let expected = "  excluded       by line 3 of list.txt (.example.com): runs skip it\n";
    assert!(text.ends_with(expected), "{text}");
    let mut command = env.command_at(LATER, "explain 8.8.8.8");
    command.env("COLLECTIVE_INSIGHTS_EXCLUSION_FILE", "list.txt");
    let text = RunOutput::capture(&mut command).assert_code(0).stdout;
    assert!(text.ends_with("  not excluded   by list.txt\n"), "{text}");
    explain(&env, "8.8.8.8 --exclusion-file absent.txt")
        .assert_code(2)
        .assert_stderr(&["absent.txt: the exclusion file cannot be read"]);
    // If only a variable names the unreadable file, that is a warning: the ledger is still shown.
    let mut command = env.command_at(LATER, "explain http://a.example.com/x");
    command.env("COLLECTIVE_INSIGHTS_EXCLUSION_FILE", "absent.txt");
    let output = RunOutput::capture(&mut command).assert_code(0);
    output.assert_stderr(&["warning:", "absent.txt", "is not known"]);
    assert!(output.stdout.contains("  delivered  "), "{}", output.stdout);
}

#[test]
fn an_alert_has_the_fate_of_each_of_its_indicators() {
    let env = TestEnv::falcon(&[
        falcon("cid:ind:1", "domain", "a.example.com,b.example.com,host.corp.local"),
        falcon("cid:ind:2", "domain", "c.example.com"),
    ]);
    env.run("crowdstrike").assert_code(0);
    let tenant = answer_of_tenant(&env, "cid:ind:1");
    assert_eq!(tenant["alert_created"], "2026-11-21T08:01:00.123Z");
    let values: Vec<&str> = tenant["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["value"].as_str().unwrap())
        .collect();
    assert_eq!(values, ["b.example.com", "a.example.com"]);
    assert_eq!(tenant["left_out"][0]["value"], "host.corp.local");
    let text = printed(&env, "cid:ind:1");
    assert_eq!(
        text,
        "cid:ind:1 (alert)\n\
         \n\
         crowdstrike (crowdstrike)\n  \
         alert created  2026-11-21T08:01:00Z\n  \
         delivered      2026-11-22T00:15:00Z  domain  b.example.com\n  \
         delivered      2026-11-22T00:15:00Z  domain  a.example.com\n  \
         left out       host.corp.local, internal: 1 mention, last 2026-11-22T00:15:00Z, alert cid:ind:1\n"
    );
}

/// Returns two tenants that both sent an indicator; `beta` excludes it now.
fn two_tenants() -> TenantsEnv {
    let acme = [falcon("1", "domain", "a.example.com")];
    let acme =
        TenantServices::new("acme", Vendor::CrowdStrike, World::default().falcon_alerts(&acme));
    let beta = [falcon("2", "domain", "a.example.com")];
    let beta =
        TenantServices::new("beta", Vendor::CrowdStrike, World::default().falcon_alerts(&beta));
    let env = TenantsEnv::new(vec![acme, beta.setting("exclusion-file = \"list.txt\"")]);
    env.home.write("list.txt", "");
    env.run("run").assert_code(0);
    env.home.write("list.txt", "a.example.com\n");
    env
}

#[test]
fn each_tenant_is_shown_by_itself_with_its_exclusion_file() {
    let env = two_tenants();
    let explain = |arguments: &str| {
        let command = format!("explain a.example.com {arguments}");
        RunOutput::capture(&mut env.command_at(LATER, &command)).assert_code(0)
    };
    let document = explain("--json").json();
    let tenants = document["tenants"].as_array().unwrap();
    let field = |key: &str| tenants.iter().map(|tenant| &tenant[key]).collect::<Vec<_>>();
    assert_eq!(field("tenant"), ["acme", "beta"]);
    assert_eq!(field("alerts"), [1, 1]);
    assert_eq!(field("excluded_by"), [&Value::Null, &json!({"line": 1, "rule": "a.example.com"})]);
    let text = explain("").stdout;
    for expected in [
        "\nacme (crowdstrike)\n",
        "\nbeta (crowdstrike)\n",
        "no exclusion file is set here (--exclusion-file), for acme\n",
        "list.txt (a.example.com): runs skip it, for beta\n",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let document = explain("--json --tenant beta").json();
    assert_eq!(document["tenants"].as_array().unwrap().len(), 1);
    // A variable does not replace the exclusion file in the table of a tenant.
    let mut command = env.command_at(LATER, "explain a.example.com --json");
    env.home.write("other.txt", "# nothing\n\na.example.com\n");
    command.env("COLLECTIVE_INSIGHTS_EXCLUSION_FILE", "other.txt");
    let document = RunOutput::capture(&mut command).assert_code(0).json();
    let lines =
        [0, 1].map(|tenant: usize| document["tenants"][tenant]["excluded_by"]["line"].clone());
    assert_eq!(lines, [json!(3), json!(1)]);
}

#[test]
fn hostile_questions_and_values_are_safe() {
    let hostile = "x\u{1b}[31m\u{202e}y\r\n\u{9b}1m.example";
    let alert_id = format!("id{hostile}");
    let env = TestEnv::falcon(&[
        falcon(&alert_id, "domain", hostile),
        falcon("2", "domain", "evil.example.com"),
        with(
            falcon("3", "domain", "evil.example.com"),
            "composite_id",
            json!(alert_id.clone() + "3"),
        ),
    ]);
    env.run("crowdstrike").assert_code(0);
    let explain = |question: &str, json: &[&str]| {
        let mut command = env.command_at(LATER, "explain");
        command.arg(question).args(json);
        let output = RunOutput::capture(&mut command).assert_code(0);
        assert!(!output.stdout.replace('\n', "").contains(is_unsafe), "{}", output.stdout);
        assert_safe(&env, &output);
        output
    };
    for question in [hostile, &alert_id, "evil.example.com", "\u{1b}[2J", "\u{202e}", "[.]"] {
        explain(question, &[]);
        explain(question, &["--json"]).json();
    }
    assert_eq!(
        explain(hostile, &["--json"]).json()["tenants"][0]["left_out"][0]["reason"],
        "invalid"
    );
    let huge = "[.]é".repeat(20_000);
    let output = explain(&huge, &[]);
    assert!(output.stdout.len() < 3000, "{}", output.stdout.len());
    let output = explain(&huge, &["--json"]);
    assert!(output.stdout.len() < 3000, "{}", output.stdout.len());
    let mut command = env.command_at(LATER, "explain");
    command.arg("");
    RunOutput::capture(&mut command).assert_code(2);
}

#[test]
fn a_missing_or_damaged_ledger_is_an_error() {
    let env = TestEnv::falcon(&[falcon("1", "domain", "a.example.com")]);
    explain(&env, "a.example.com").assert_code(6).assert_stderr(&["there is no ledger at"]);
    env.run("crowdstrike").assert_code(0);
    let ledger = env.path("collective-insights.db");
    let mut bytes = std::fs::read(&ledger).unwrap();
    let length = bytes.len();
    bytes[4096..length].fill(0x5A);
    std::fs::write(&ledger, &bytes).unwrap();
    explain(&env, "a.example.com").assert_code(6).assert_stderr(&["is damaged: "]);
    assert!(std::fs::read(&ledger).unwrap() == bytes);
}

#[test]
fn an_unknown_tenant_is_an_error() {
    let env = TestEnv::falcon(&[]);
    env.run("crowdstrike").assert_code(0);
    explain(&env, "a.example.com --tenant acme").assert_code(2).assert_stderr(&["no tenant acme"]);
}
