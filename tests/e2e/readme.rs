//! Tests that the README matches the program: the table of sent fields, commands, the cron lines,
//! the summary of a run, and the links.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use chrono::Utc;
use sandbox::seed::Recipe;
use sandbox::{CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, Service, World};
use serde_json::Value;

use crate::support::alerts::{carbonblack, falcon, sha256};
use crate::support::generate::generate;
use crate::support::markdown::{code, in_backticks, section, table};
use crate::support::vendor::Vendor;
use crate::support::{NO_CONFIG, NOW, RunOutput, TestEnv};

const README: &str = include_str!("../../README.md");
const CI: &str = include_str!("../../.ci/run");

/// The paths of all values in a JSON value, `[]` for each element of a list.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                paths(value, &path, found);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                paths(element, &format!("{path}[]"), found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn the_table_of_sent_fields_matches_what_is_sent() {
    let env = TestEnv::new(
        World::default()
            .falcon_alerts(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))])
            .carbon_black_alerts(&[carbonblack("a1", &sha256(2))]),
    );
    for source in Vendor::ALL.map(Vendor::command) {
        let options = "--organization-id uhash:a";
        env.run(&format!("{source} {options}")).assert_code(0);
    }
    let mut sent = BTreeSet::new();
    for request in env.sandbox.requests_to(Service::RecordedFuture) {
        paths(&request.json().unwrap(), "", &mut sent);
    }
    let rows = table(README, "Data sent to Recorded Future");
    let documented: BTreeSet<String> =
        rows.into_iter().flat_map(|row| in_backticks(row[0])).collect();
    assert_eq!(documented, sent);
}

#[test]
fn ci_runs_the_commands_of_the_readme() {
    let commands: Vec<&str> = code(README, "sh")[0].lines().collect();
    for command in &commands {
        let in_ci = |line: &str| line.replace(" --locked", "").starts_with(command);
        assert!(CI.lines().any(in_ci), "{command}");
    }
    assert_eq!(commands.len(), 2);
}

/// Returns the commands of the first run, with the accounts of the sandbox for the placeholders.
fn first_run_commands(url: &str) -> String {
    let text = section(README, "First run").join("\n");
    let mut commands = code(&text, "sh").concat();
    for (variable, value) in [
        ("RF_API_KEY", RF_TOKEN),
        ("CS_CLIENT_ID", CLIENT_ID),
        ("CS_CLIENT_SECRET", CLIENT_SECRET),
        ("CB_ORG_ID", CB_ORG),
        ("CB_HOSTNAME", url),
        ("CB_SECRET", CB_SECRET),
        ("CB_API_ID", CB_API_ID),
    ] {
        let placeholder = format!("{variable}='...'\n");
        assert!(commands.contains(&placeholder), "{variable}");
        commands = commands.replace(&placeholder, &format!("{variable}='{value}'\n"));
    }
    commands
}

#[test]
fn the_commands_of_the_first_run_work_in_an_empty_home() {
    let recipe = Recipe::new(100, Utc::now());
    let env = TestEnv::new(World::default().seed_falcon(&recipe).seed_carbon_black(&recipe));
    let url = env.sandbox.url();
    // The commands run at the system's time.
    env.sandbox.change(|world| world.date = None);
    let commands = first_run_commands(&url);
    let home = env.path("home");
    std::fs::create_dir(&home).unwrap();
    let program = assert_cmd::cargo::cargo_bin!("collective-insights");
    let folders = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", &commands]).current_dir(env.folder()).env_clear().envs([
        ("HOME", home.to_str().unwrap()),
        // For root, who has another default.
        ("XDG_STATE_HOME", home.join(".local/state").to_str().unwrap()),
        ("PATH", &folders),
        ("RF_API_URL", &url),
        ("CS_BASE_URL", &url),
        NO_CONFIG,
    ]);
    let output = RunOutput::capture(&mut shell).assert_code(0);
    assert_eq!(output.stdout.matches("last success").count(), 2, "{}", output.stdout);
    let stored = env.sandbox.stored();
    for source in ["crowdstrike:falcon", "carbonblack:cloud"] {
        assert!(
            stored.iter().any(|stored| stored.item["ioc"]["source_type"] == source),
            "{source}"
        );
    }
    for name in [
        "collective-insights/collective-insights.env",
        "collective-insights/collective-insights.log",
        ".local/state/collective-insights/collective-insights.db",
    ] {
        assert!(mode(&home.join(name)) == 0o600, "{name}");
    }
    assert_eq!(mode(&home.join("collective-insights")), 0o700);
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_cron_lines_are_those_that_are_generated() {
    let lines = code(README, "text").into_iter().find(|block| block.contains("* * *")).unwrap();
    // Where the packages install it.
    let installed = "/usr/bin/collective-insights";
    let program = assert_cmd::cargo::cargo_bin!("collective-insights");
    let generated = generate("cron").assert_code(0).stdout;
    let generated: Vec<String> = generated
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.replace(program.to_str().unwrap(), installed))
        .collect();
    assert_eq!(lines.lines().collect::<Vec<_>>(), generated);
}

#[test]
fn the_summary_has_the_form_of_a_real_one() {
    let is_summary = |block: &&str| block.contains(" · tenant ");
    let summary = code(README, "text").into_iter().find(is_summary).unwrap();
    let recipe = Recipe::new(3000, NOW.parse().unwrap());
    let env = TestEnv::new(World::default().seed_falcon(&recipe));
    // A run before it creates the ledger: the first run has an additional note about that.
    env.run("carbonblack").assert_code(0);
    let real = env.run("crowdstrike").assert_code(0);
    real.assert_summary(&env);
    assert_eq!(without_values(summary), without_values(&real.stdout));
}

/// The lines of a summary with a 0 for each number, and each part of a time.
fn without_values(summary: &str) -> Vec<String> {
    let zeros = |word: &str| {
        let digits = |char: char| char.is_ascii_digit() || char == ',';
        let ends_with_comma = if word.ends_with(',') { "," } else { "" };
        let mut parts: Vec<&str> = word.split(digits).filter(|part| !part.is_empty()).collect();
        parts.dedup();
        if word.contains(|char: char| char.is_ascii_digit()) {
            format!("0{}{ends_with_comma}", parts.concat())
        } else {
            word.to_owned()
        }
    };
    let line = |line: &str| line.split_whitespace().map(zeros).collect::<Vec<_>>().join(" ");
    summary.lines().map(line).collect()
}

#[test]
fn the_links_lead_to_files() {
    let mut links = 0;
    for link in README.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        if link.starts_with("https://") {
            continue;
        }
        if let Some(anchor) = link.strip_prefix('#') {
            let mut headings = README.lines().filter_map(|line| line.strip_prefix("## "));
            assert!(headings.any(|name| name.to_lowercase().replace(' ', "-") == anchor), "{link}");
            continue;
        }
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "{link}");
        links += 1;
    }
    assert!(links > 8, "{links}");
}

#[test]
fn every_topic_is_linked() {
    for topic in collective_insights::cli::TOPICS {
        let link = format!("[{0}](src/cli/topics/{0}.md)", topic.name);
        assert!(README.contains(&link), "{link}");
    }
}
