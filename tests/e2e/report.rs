//! Tests of `report`, which writes the history as one HTML page.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::Connection;
use sandbox::{Fault, Service, World};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::alerts::{carbonblack, falcon, sha256, with};
use crate::support::quarter;
use crate::support::report_page::ReportPage;
use crate::support::safe_text::is_unsafe;
use crate::support::{NOW, RunOutput, TestEnv};

// Labels of tables on the page.
const BY_SOURCE: &str = "Indicators shared per day, by source";
const ALERTS: &str = "Alerts of the period";
const MENTIONS: &str = "Mentions of indicators in these alerts";
const TECHNIQUES: &str = "techniques, and the period before";

/// Runs `report` at this time with these arguments, and reads the page.
#[track_caller]
fn page_at(env: &TestEnv, now: &str, arguments: &str) -> ReportPage {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("page.html");
    let output = env.run_at(now, &format!("report --html {} {arguments}", path.display()));
    assert!(output.assert_code(0).stdout.starts_with("wrote the report of "));
    ReportPage::read(&path)
}

#[track_caller]
fn page(env: &TestEnv, arguments: &str) -> ReportPage {
    page_at(env, NOW, arguments)
}

/// Returns the sum of a number over the days of `history --json`, which are its `nights`.
fn sum(history: &Value, name: &str) -> u64 {
    let days = history["nights"].as_array().unwrap();
    days.iter().map(|day| day[name].as_u64().unwrap()).sum()
}

#[test]
fn the_numbers_of_a_quarter_are_those_of_history() {
    let env = quarter::shared();
    for days in [1, 7, 30, 90] {
        let page = page_at(env, quarter::END, &format!("--days {days}"));
        let history = env.run_at(quarter::END, &format!("history --json --days {days}")).json();
        let mut sent: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for day in history["nights"].as_array().unwrap() {
            let key = (day["date"].as_str().unwrap(), day["source"].as_str().unwrap());
            *sent.entry(key).or_default() += day["sent"].as_u64().unwrap();
        }
        for (column, source) in [(1, "carbonblack"), (2, "crowdstrike")] {
            let shown = page.numbers(BY_SOURCE, column);
            assert_eq!(shown.len(), days, "a row for each day");
            for (date, number) in shown {
                let expected = sent.get(&(date.as_str(), source)).copied().unwrap_or_default();
                assert_eq!(number, expected, "{date} {source}");
            }
        }
        assert_eq!(page.tile("indicators shared"), sum(&history, "sent"));
        assert_eq!(page.tile("alerts read"), sum(&history, "fetched"));
        let (alerts, mentions) = (page.numbers(ALERTS, 2), outcomes(&page));
        assert_eq!(alerts["all"], sum(&history, "fetched"));
        assert_eq!(alerts.values().sum::<u64>(), 2 * alerts["all"], "the other rows add up to it");
        assert_eq!(mentions["sent"], sum(&history, "sent"));
        assert_eq!(mentions["quarantined"], sum(&history, "quarantined"));
        let techniques = page.numbers(TECHNIQUES, 1);
        for technique in history["techniques"].as_array().unwrap() {
            let code = technique["code"].as_str().unwrap();
            let (_, shown) =
                techniques.iter().find(|(name, _)| name.split(' ').next() == Some(code)).unwrap();
            assert_eq!(*shown, technique["submissions"].as_u64().unwrap(), "{code}");
        }
        let shown = page.numbers("Named by most alerts", 2);
        let top = history["indicators"].as_array().unwrap();
        let largest = |numbers: Vec<u64>| {
            let mut numbers = numbers;
            numbers.sort_unstable();
            numbers.into_iter().rev().take(10).collect::<Vec<_>>()
        };
        assert_eq!(
            largest(shown.values().copied().collect()),
            largest(top.iter().map(|one| one["detections"].as_u64().unwrap()).collect())
        );
        for one in top {
            if let Some(detections) = shown.get(one["value"].as_str().unwrap()) {
                assert_eq!(*detections, one["detections"].as_u64().unwrap());
            }
        }
    }
}

/// Returns the number of mentions by what became of them. On the page, the first cell of a row also
/// explains it.
fn outcomes(page: &ReportPage) -> BTreeMap<String, u64> {
    let names = ["all", "sent", "repeated", "trusted", "excluded", "unsupported", "invalid"];
    let names = names.iter().chain(&["internal", "queued", "quarantined", "not stored"]);
    let rows = page.numbers(MENTIONS, 2);
    let outcomes: BTreeMap<String, u64> = names
        .map(|name| {
            let (_, number) = rows.iter().find(|(row, _)| row.starts_with(name)).unwrap();
            ((*name).to_owned(), *number)
        })
        .collect();
    assert_eq!(outcomes.len(), rows.len());
    outcomes
}

#[test]
fn every_mention_of_a_quarter_is_in_one_row() {
    let env = quarter::shared();
    let page = page_at(env, quarter::END, "--days 90");
    let outcomes = outcomes(&page);
    let parts: u64 =
        outcomes.iter().filter(|(name, _)| *name != "all").map(|(_, count)| count).sum();
    assert_eq!(outcomes["all"], parts, "{outcomes:?}");
    let recorded = |name: &str| recorded(env, name);
    for (outcome, name) in [
        ("trusted", "indicators_trusted"),
        ("excluded", "indicators_excluded"),
        ("unsupported", "indicators_unsupported"),
        ("invalid", "indicators_invalid"),
        ("internal", "indicators_private"),
        ("sent", "submitted"),
        ("quarantined", "quarantined"),
    ] {
        assert_eq!(outcomes[outcome], recorded(name), "{outcome}");
    }
    assert_eq!(
        outcomes["repeated"],
        recorded("indicators_repeated") + recorded("already_delivered")
    );
    assert_eq!(outcomes["all"], recorded("indicators_found"));
    let alerts = page.numbers(ALERTS, 2);
    for (row, name) in [
        ("all", "alerts_fetched"),
        ("below threshold", "alerts_below_threshold"),
        ("dismissed by an analyst", "alerts_dismissed"),
        ("unreadable", "alerts_unreadable"),
        ("without an indicator", "alerts_without_indicator"),
    ] {
        assert_eq!(alerts[row], recorded(name), "{row}");
    }
    assert_eq!(outcomes["queued"], page.tile("queued now"));
    let per_day = page.rows("Mentions per day, by what became of them");
    assert_eq!(per_day.len(), 90);
    for name in ["trusted", "excluded", "unsupported", "invalid", "internal"] {
        assert!(outcomes[name] > 0, "{name}");
    }
    assert!(page.0.contains("were never read"), "the gap");
    assert!(page.0.contains("did not end: it was killed"));
}

/// Returns the sum of a number over all runs that deliver.
fn recorded(env: &TestEnv, name: &str) -> u64 {
    let ledger = Connection::open(env.path("collective-insights.db")).unwrap();
    let select = "SELECT sum(counts ->> ?1) FROM run WHERE mode = 'live'";
    let sum: i64 = ledger.query_row(select, [format!("$.{name}")], |row| row.get(0)).unwrap();
    sum.try_into().unwrap()
}

#[test]
fn samples_of_what_was_left_out_are_shown_only_with_details() {
    let env = quarter::shared();
    let ledger = Connection::open(env.path("collective-insights.db")).unwrap();
    let select = "SELECT value FROM left_out WHERE reason = 'unsupported' ORDER BY mentions DESC";
    let value: String = ledger.query_row(select, [], |row| row.get(0)).unwrap();
    for (details, is_shown) in [("", false), ("--with-details", true)] {
        let page = page_at(env, quarter::END, &format!("--days 90 {details}"));
        assert_eq!(page.0.contains(&value), is_shown, "{value}");
        assert_eq!(page.0.contains("Samples of what was left out"), is_shown);
    }
}

#[test]
fn a_tenant_that_stopped_long_ago_has_days_without_success() {
    let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
    env.run("crowdstrike").assert_code(0);
    let page = page_at(&env, "2027-01-31T09:00:00Z", "");
    assert_eq!(page.tile("days without success"), 29, "today's run may be yet to come");
    let row = &page.rows("Health of each tenant")[0];
    // Days that succeeded, that failed, and without a run; the longest time without success.
    assert_eq!(row[2..6], ["0", "0", "29", "29 d 9 h"], "{row:?}");
}

#[test]
fn a_tenant_that_is_not_in_the_settings_file_has_no_missing_runs() {
    let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
    env.run("crowdstrike").assert_code(0);
    let config =
        env.write("config.toml", "[[tenant]]\nname = \"other\"\nsource = \"carbonblack\"\n");
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = env.command_at("2026-11-30T09:00:00Z", "report --html page.html");
    RunOutput::capture(command.env("COLLECTIVE_INSIGHTS_CONFIG", &config)).assert_code(0);
    let page = ReportPage::read(&env.path("page.html"));
    assert_eq!(page.tile("days without success"), 0);
    let row = &page.rows("Health of each tenant")[0];
    assert_eq!(row[0], "crowdstrike (not in the settings file)");
    assert!(page.0.contains("never ran: other."));
}

#[test]
fn a_new_tenant_is_not_compared_with_the_time_before_it() {
    let env = TestEnv::new(
        World::default()
            .falcon_alerts(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))])
            .carbon_black_alerts(&[carbonblack("a1", &sha256(2))]),
    );
    env.run_at("2026-09-01T00:15:00Z", "crowdstrike").assert_code(0);
    env.run_at(NOW, "carbonblack").assert_code(0);
    let is_compared = |page: &ReportPage| !page.0.contains("Not compared with");
    assert!(is_compared(&page(&env, "--tenant crowdstrike")));
    assert!(is_compared(&page(&env, "")));
    assert!(!is_compared(&page(&env, "--tenant carbonblack")));
    let by_source = page(&env, "--tenant carbonblack").rows(BY_SOURCE);
    assert_eq!(by_source.last().unwrap().last().unwrap(), "-", "no mean");
    // A dry run does not count.
    let env = TestEnv::falcon(&[]);
    env.run_at("2026-09-01T00:15:00Z", "crowdstrike --dry-run").assert_code(0);
    env.run_at(NOW, "crowdstrike").assert_code(0);
    assert!(!is_compared(&page(&env, "")));
}

#[test]
fn a_mean_is_of_days_whose_deliveries_are_still_known() {
    let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
    env.run_at("2026-08-20T00:15:00Z", "crowdstrike").assert_code(0);
    // It leaves a gap: nothing was read for three months.
    env.run_at(NOW, "crowdstrike").assert_code(3);
    let page = page_at(&env, "2026-11-28T09:00:00Z", "--days 90");
    let means = |chart: &str| -> Vec<String> {
        page.rows(chart).iter().map(|row| row.last().unwrap().clone()).collect()
    };
    assert_eq!(means(BY_SOURCE)[0], "0.0");
    // Deliveries are known since 2026-08-31, the first day of the period. The mean is that of seven
    // days.
    let by_type = means("Indicators shared per day, by type");
    assert_eq!(by_type[..7], ["-", "-", "-", "-", "-", "-", "0.0"]);
}

#[test]
fn a_run_that_was_killed_hides_no_queue_and_one_that_runs_has_not_failed() {
    let env = TestEnv::falcon(&[
        falcon("cid:ind:1", "hash_sha256", &sha256(1)),
        falcon("cid:ind:2", "hash_sha256", &sha256(2)),
    ]);
    let quota = Fault::status(429, r#"{"message":"Daily quota exceeded"}"#);
    env.sandbox.always(Service::RecordedFuture, Some(quota));
    env.run("crowdstrike").assert_code(0);
    // Crash point 3: the run is recorded as started, and has not read or sent anything yet.
    let mut killed = env.command_at("2026-11-23T00:15:00Z", "crowdstrike");
    killed.env("COLLECTIVE_INSIGHTS_TEST_KILL_AT", "3");
    RunOutput::capture(&mut killed).assert_code(-1);
    // A run that started more than 3 hours ago and did not end was killed.
    for (now, failed) in [("2026-11-23T02:00:00Z", 0), ("2026-11-23T06:30:00Z", 1)] {
        let page = page_at(&env, now, "");
        assert_eq!(outcomes(&page)["queued"], 2);
        assert_eq!(page.tile("queued now"), 2);
        assert_eq!(page.tile("days without success"), failed, "{now}");
        assert_eq!(page.0.contains("did not end: it was killed"), failed == 1);
    }
}

#[test]
fn a_run_that_started_yesterday_and_still_runs_has_not_failed() {
    let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
    let mut killed = env.command_at("2026-11-22T23:50:00Z", "crowdstrike");
    killed.env("COLLECTIVE_INSIGHTS_TEST_KILL_AT", "3");
    RunOutput::capture(&mut killed).assert_code(-1);
    for (now, failed) in [("2026-11-23T00:10:00Z", 0), ("2026-11-23T03:00:00Z", 1)] {
        let page = page_at(&env, now, "");
        assert_eq!(page.tile("days without success"), failed, "{now}");
        assert_eq!(page.0.contains("did not end: it was killed"), failed == 1);
        let history = env.run_at(now, "history").assert_code(0).stdout;
        assert_eq!(history.contains('!'), failed == 1, "{now}: {history}");
    }
}

#[test]
fn damaged_numbers_do_not_stop_the_report() {
    let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
    env.run("crowdstrike").assert_code(0);
    let ledger = Connection::open(env.path("collective-insights.db")).unwrap();
    for number in ["18446744073709551615", "5000000000000000000", "-1", "\"many\""] {
        let change =
            format!("UPDATE run SET counts = json_set(counts, '$.submitted', json('{number}'))");
        ledger.execute(&change, []).unwrap();
        // The table of the entries that were sent.
        ledger.execute("UPDATE settled SET severity = 300", []).unwrap();
        assert_eq!(page(&env, "").tile("indicators shared"), 0, "{number}");
    }
}

#[test]
fn a_small_world_has_the_expected_numbers() {
    let env = TestEnv::new(
        World::default()
            .falcon_alerts(&[
                falcon("cid:ind:1", "hash_sha256", &sha256(1)),
                falcon("cid:ind:2", "hash_sha256", &sha256(1)),
                falcon("cid:ind:3", "domain", "a.example.com"),
            ])
            .carbon_black_alerts(&[carbonblack("a1", &sha256(1)), carbonblack("a2", &sha256(2))]),
    );
    env.run("crowdstrike").assert_code(0);
    env.run("carbonblack").assert_code(0);
    let page = page(&env, "");
    assert_eq!(page.tile("indicators shared"), 4);
    assert_eq!(page.tile("unique indicators"), 3);
    assert_eq!(page.tile("alerts read"), 5);
    assert_eq!(page.tile("days without success"), 0);
    let top = page.rows("Named by most alerts");
    assert_eq!(top[0][..5], [&sha256(1), "hash", "3", "70", "carbonblack, crowdstrike"]);
    assert_eq!(top.len(), 3);
    let both = page.rows("Seen by more than one source");
    assert_eq!(both.len(), 1);
    assert_eq!(both[0][0], sha256(1));
    let by_type = page.rows("Indicators shared per day, by type");
    assert_eq!(by_type.last().unwrap()[1..6], ["3", "1", "0", "0", "4"]);
    // The page of one tenant.
    let falcon = self::page(&env, "--tenant crowdstrike");
    assert_eq!(falcon.tile("indicators shared"), 2);
    assert_eq!(falcon.tile("unique indicators"), 2);
    assert!(falcon.0.contains(", tenant crowdstrike"));
    assert!(!falcon.0.contains("carbonblack"), "{}", falcon.0);
    assert!(!falcon.0.contains("more than one source"), "nothing is known of the others");
    let of_source = self::page(&env, "--source carbonblack");
    assert_eq!(of_source.tile("indicators shared"), 2);
}

#[test]
fn an_indicator_of_earlier_days_is_not_new() {
    let env = TestEnv::falcon(&[
        falcon("cid:ind:1", "hash_sha256", &sha256(1)),
        days_later(2, falcon("cid:ind:2", "hash_sha256", &sha256(1))),
        days_later(2, falcon("cid:ind:3", "hash_sha256", &sha256(2))),
    ]);
    env.run("crowdstrike").assert_code(0);
    env.run_at("2026-11-24T00:15:00Z", "crowdstrike").assert_code(0);
    let page = page_at(&env, "2026-11-24T09:00:00Z", "--days 1");
    let new = page.rows("New in this period");
    assert_eq!(new.len(), 1);
    assert_eq!(new[0][0], sha256(2));
    // The first alert is from before the period.
    let top = page.rows("Named by most alerts");
    let row = top.iter().find(|row| row[0] == sha256(1)).unwrap();
    assert!(row[5].starts_with("2026-11-21 "), "{row:?}");
    assert!(row[6].starts_with("2026-11-23 "), "{row:?}");
    let all = page_at(&env, "2026-11-24T09:00:00Z", "");
    assert!(all.0.contains("the ledger has no delivery before the period"));
    assert!(
        page.0.contains("</data> days before the period; older deliveries are not in the ledger")
    );
}

/// Moves an alert by this many days.
fn days_later(days: i64, alert: Value) -> Value {
    let time = |text: &str| {
        let time: chrono::DateTime<chrono::Utc> = text.parse().unwrap();
        json!((time + chrono::TimeDelta::days(days)).to_rfc3339())
    };
    let alert = with(alert, "timestamp", time("2026-11-21T08:00:00.123Z"));
    with(alert, "created_timestamp", time("2026-11-21T08:01:00.123456789Z"))
}

/// Text that breaks out of an element or an attribute, and characters that hide or reverse text.
const HOSTILE: &str =
    "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&lt;\u{1b}[31m\u{202e}\u{0}\u{85}";

/// Returns an environment whose ledger has hostile text in ids, a URL and error messages.
fn hostile_env() -> TestEnv {
    let id = |number: u8| format!("cid:ind:{number}{HOSTILE}");
    let url = "http://a.example.com/<script>?'\"`onload=";
    let env = TestEnv::new(World::default().falcon_alerts(&[
        falcon(&id(1), "hash_sha256", &sha256(1)),
        falcon(&id(2), "url", url),
        falcon(&id(3), "domain", "rejected.example.com"),
    ]));
    let body = json!({"error": HOSTILE, "message": HOSTILE}).to_string();
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(400, &body)));
    env.run("crowdstrike").assert_code(3);
    env.sandbox.clear_faults(Service::RecordedFuture);
    env.run("outbox retry").assert_code(0);
    env.sandbox.always(Service::FalconAlerts, Some(Fault::status(403, &body)));
    env.run("crowdstrike").assert_code(4);
    env
}

#[test]
fn hostile_text_is_only_text() {
    let env = hostile_env();
    for details in ["", "--with-details"] {
        let page = page(&env, details);
        assert_static(&page);
        assert_eq!(page.0.contains("onerror=alert"), details == "--with-details", "{details}");
        assert_eq!(page.0.contains("cid:ind:1"), details == "--with-details");
        assert!(page.0.contains("http://a.example.com/%3Cscript%3E?%27%22`onload="));
    }
}

/// Asserts that the page runs nothing, loads nothing and links to no other page.
#[track_caller]
fn assert_static(page: &ReportPage) {
    assert_eq!(page.0.chars().find(|char| is_unsafe(*char) && *char != '\n'), None);
    for forbidden in ["<script", "<img", "<link", "<iframe", "<object", "<embed", "<form", "<base"]
    {
        assert!(!page.0.contains(forbidden), "{forbidden}");
    }
    let tags = page.0.split('<').skip(1).map(|rest| rest.split('>').next().unwrap());
    for tag in tags {
        let name = tag.split([' ', '/']).find(|name| !name.is_empty()).unwrap();
        // Text between quotes is not markup.
        let attributes: String = tag.split('"').step_by(2).collect();
        assert!(!attributes.contains(" on") && !attributes.contains("style="), "{tag}");
        assert!(!attributes.contains("src=") && !attributes.contains("xlink"), "{tag}");
        assert!(name == "a" || !attributes.contains("href="), "{tag}");
    }
    assert!(page.attributes("href").iter().all(|target| target.starts_with('#')));
    let [style] = page.elements("style")[..] else { panic!("one style sheet") };
    assert!(!style.contains("url(") && !style.contains("@import"), "{style}");
    let digest = STANDARD.encode(Sha256::digest(style));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    );
    assert!(page.0.contains(&policy));
}

#[test]
fn every_chart_has_a_title_a_unit_and_a_text() {
    let page = page_at(quarter::shared(), quarter::END, "--days 30");
    assert_static(&page);
    let figures = page.elements("figure");
    assert!(figures.len() >= 8, "{}", figures.len());
    for figure in figures {
        assert!(figure.contains("<h3>") && figure.contains("Unit: "), "{figure:.200}");
    }
    let ids = page.attributes("id");
    let unique: BTreeSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
    for label in page.attributes("aria-labelledby") {
        assert!(label.split(' ').all(|id| unique.contains(&id.to_owned())), "{label}");
    }
    for target in page.attributes("href") {
        assert!(unique.contains(&target[1..].to_owned()), "{target}");
    }
    for picture in page.elements("svg") {
        let attributes = picture.split('>').next().unwrap();
        let is_described = attributes.contains("role=\"img\"")
            && (attributes.contains("aria-label=") || attributes.contains("aria-labelledby="));
        assert!(is_described || attributes.contains("aria-hidden=\"true\""), "{attributes}");
    }
}

#[test]
fn a_ledger_without_deliveries_has_a_page() {
    let env = TestEnv::falcon(&[]);
    env.sandbox.always(Service::FalconAlerts, Some(Fault::status(503, "")));
    env.run("crowdstrike --deadline 1").assert_code(5);
    for arguments in ["", "--days 1", "--days 90 --with-details"] {
        let page = page(&env, arguments);
        assert_static(&page);
        assert_eq!(page.tile("indicators shared"), 0);
        assert_eq!(page.tile("days without success"), 1);
        assert_eq!(page.rows("Runs that failed, by result")[0][1], "1");
    }
}

#[test]
fn a_page_that_is_replaced_keeps_its_permissions() {
    let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
    env.run("crowdstrike").assert_code(0);
    let path = env.path("page.html");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    env.run("report --html page.html").assert_code(0);
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    // Only root can give a file any group.
    let group = std::os::unix::fs::chown(&path, None, Some(12_345)).map(|()| 12_345);
    env.run("report --html page.html").assert_code(0);
    assert_eq!(mode(), 0o640);
    match group {
        Ok(group) => assert_eq!(std::fs::metadata(&path).unwrap().gid(), group),
        Err(error) => eprintln!("skipped: the group of the file cannot be changed: {error}"),
    }
    let files: Vec<_> = std::fs::read_dir(env.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("page"))
        .collect();
    assert_eq!(files, ["page.html"]);
}

#[test]
fn a_page_that_cannot_be_written_is_an_error() {
    let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
    let fails = |arguments: &str, texts: &[&str]| -> RunOutput {
        let output = env.run(&format!("report {arguments}"));
        output.assert_stderr(texts);
        output
    };
    fails("--html page.html", &["there is no ledger at"]).assert_code(6);
    env.run("crowdstrike").assert_code(0);
    let ledger: PathBuf = env.path("collective-insights.db");
    let before = std::fs::read(&ledger).unwrap();
    for (file, cause) in [
        ("missing/page.html", "No such file"),
        (".", "not a regular file"),
        ("collective-insights.db", "it is the ledger"),
    ] {
        fails(&format!("--html {file}"), &["cannot be written", cause, "--html <FILE>"])
            .assert_code(2);
    }
    assert_eq!(std::fs::read(&ledger).unwrap(), before);
    fails("", &["--html"]).assert_code(2);
    fails("--html page.html --tenant nobody", &["the ledger has no tenant nobody"]).assert_code(2);
    assert!(!env.path("page.html").exists());
}
