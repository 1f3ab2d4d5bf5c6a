//! Tests of where the ledger is: in the state folder, which is the same from every working folder.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use tempfile::TempDir;

use crate::support::alerts::{falcon, sha256};
use crate::support::{RunOutput, TestEnv};

const LEDGER: &str = "collective-insights.db";

fn test_env() -> TestEnv {
    TestEnv::falcon(&[falcon("1", "hash_sha256", &sha256(1))])
}

/// Returns a command in a working folder of its own, whose state folder is in `state`.
fn command(env: &TestEnv, arguments: &str, folder: &TempDir, state: &TempDir) -> Command {
    let mut command = env.command(arguments);
    command.current_dir(folder.path()).env_remove("STATE_DIRECTORY");
    command.env("XDG_STATE_HOME", state.path());
    command
}

fn run(env: &TestEnv, arguments: &str, folder: &TempDir, state: &TempDir) -> RunOutput {
    RunOutput::capture(&mut command(env, arguments, folder, state))
}

#[test]
fn runs_in_two_working_folders_share_one_ledger() {
    let env = test_env();
    let (one, two, state) =
        (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let first = run(&env, "crowdstrike", &one, &state).assert_code(0);
    let ledger = state.path().canonicalize().unwrap().join("collective-insights").join(LEDGER);
    assert!(
        first.stdout.contains(&format!("created the ledger {}", ledger.display())),
        "{first:?}"
    );
    let second = run(&env, "crowdstrike --json", &two, &state).assert_code(0);
    assert_eq!(second.count("already_delivered"), 1);
    assert!(!second.stdout.contains("created the ledger"), "{second:?}");
    for folder in [&one, &two] {
        assert!(!folder.path().join(LEDGER).exists());
        assert!(folder.path().join("collective-insights.log").exists());
    }
    let mode = ledger.parent().unwrap().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let status = run(&env, "status --json", &two, &state).assert_code(0).json();
    assert_eq!(status["sources"].as_array().unwrap().len(), 1);
}

#[test]
fn the_first_folder_of_state_directory_is_used() {
    let env = test_env();
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let directories = format!("{}:{}", first.path().display(), second.path().display());
    let mut command = env.command("crowdstrike");
    RunOutput::capture(command.env("STATE_DIRECTORY", directories)).assert_code(0);
    assert!(first.path().join(LEDGER).exists());
    assert!(!second.path().join(LEDGER).exists());
}

#[test]
fn a_dry_run_and_a_check_create_no_state_folder() {
    let env = test_env();
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    run(&env, "crowdstrike --dry-run", &folder, &state).assert_code(0);
    run(&env, "crowdstrike --debug", &folder, &state).assert_code(0);
    run(&env, "check crowdstrike --offline", &folder, &state).assert_code(0);
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
}

#[test]
fn a_check_and_a_run_fail_where_the_state_folder_is_a_link_to_nowhere() {
    let env = test_env();
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let link = state.path().join("collective-insights");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
    for arguments in ["check crowdstrike --offline", "crowdstrike"] {
        let output = run(&env, arguments, &folder, &state).assert_code(6);
        let text = output.stdout + &output.stderr;
        assert!(text.contains("collective-insights\n") && text.contains("--ledger"), "{text}");
    }
}

#[test]
fn a_ledger_in_the_working_folder_is_not_ignored() {
    let env = test_env();
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let named = format!("crowdstrike --ledger {LEDGER}");
    run(&env, &named, &folder, &state).assert_code(0);
    for arguments in ["crowdstrike", "crowdstrike --dry-run", "status", "outbox list"] {
        let output = run(&env, arguments, &folder, &state).assert_code(2);
        output.assert_stderr(&["there is a ledger in the working folder", "mv ", "--ledger"]);
    }
    assert_eq!(env.items().len(), 1);
    run(&env, &named, &folder, &state).assert_code(0);
    // The command that the help names moves the ledger.
    let output = run(&env, "status", &folder, &state).assert_code(2);
    let help = output.stderr.lines().find(|line| line.contains("mkdir")).unwrap();
    let moving = help.split_once("move it: ").unwrap().1.split_once(". Or ").unwrap().0;
    let moved = Command::new("sh").args(["-c", moving]).current_dir(folder.path()).status();
    assert!(moved.unwrap().success());
    let output = run(&env, "crowdstrike --json", &folder, &state).assert_code(0);
    assert_eq!(output.count("already_delivered"), 1);
    assert_eq!(env.items().len(), 1);
}

#[test]
fn commands_that_need_a_ledger_name_the_path_at_which_there_is_none() {
    let env = test_env();
    for command in [
        "status", "status --json", "history", "history --json", "outbox list",
        "outbox list --json", "outbox retry", "outbox export", "outbox drop --yes",
        "outbox repair", "checkpoint reset --yes",
    ] {
        let output = env.run(&format!("{command} --ledger none/none.db"));
        let output = output.assert_code(6);
        if command.contains("--json") {
            assert_eq!(output.json()["error"]["kind"], "ledger", "{command}");
        } else {
            assert_eq!(output.stdout, "", "{command}");
        }
        let path = env.folder().join("none/none.db");
        output.assert_stderr(&["there is no ledger at ", path.to_str().unwrap()]);
        assert!(!env.path("none").exists());
    }
}
