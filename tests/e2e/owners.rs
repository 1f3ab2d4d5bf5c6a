//! Tests files that belong to another user, such as those that a run with sudo leaves behind.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::falcon_run::{LATER, RUN, env_with_alerts};
use crate::support::{RunOutput, TestEnv};

/// The id of a user who owns nothing.
const NOBODY: u32 = 65_534;

/// Returns an environment after a run of root, in a folder of [`NOBODY`]. `None` if these tests
/// cannot become another user.
fn env_of_root() -> Option<TestEnv> {
    let env = env_with_alerts(1);
    env.run(RUN).assert_code(0);
    chown(env.folder(), Some(NOBODY), Some(NOBODY)).ok()?;
    let program = env.path("program");
    std::fs::copy(env.command("").get_program(), &program).unwrap();
    let all_may_run = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&program, all_may_run).unwrap();
    let runs = Command::new(&program).arg("--version").uid(NOBODY).output();
    if !runs.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this user cannot run a program as another one");
        return None;
    }
    Some(env)
}

/// Runs the binary as [`NOBODY`].
fn run_as_nobody(env: &TestEnv, arguments: &str) -> RunOutput {
    let command = env.command_at(LATER, arguments);
    let mut other = Command::new(env.path("program"));
    other.args(command.get_args()).current_dir(env.folder()).env_clear().uid(NOBODY);
    other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    RunOutput::capture(&mut other)
}

/// Returns the part of an error about a file of root.
fn owned_by_root(path: &Path) -> String {
    format!("{} is owned by root, for example because a run was started with sudo", path.display())
}

#[test]
fn a_ledger_that_may_not_be_read_names_its_owner() {
    let Some(env) = env_of_root() else { return };
    let ledger = env.path("collective-insights.db");
    for command in ["status", "history", "outbox list", "outbox retry", RUN, "crowdstrike -n"] {
        let output = run_as_nobody(&env, command).assert_code(6);
        let message = format!("the ledger {} cannot be read: ", ledger.display());
        output.assert_stderr(&[&message, &owned_by_root(&ledger), "sudo chown <USER>"]);
    }
    // In a folder that this user cannot look into, the owner of the folder is named.
    let closed = env.path("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::copy(&ledger, closed.join("a.db")).unwrap();
    let output = run_as_nobody(&env, "status --ledger closed/a.db").assert_code(6);
    let folder = format!("the folder {} is owned by root", closed.display());
    output.assert_stderr(&["the ledger closed/a.db cannot be read: ", &folder]);
}

/// The tests of the packages cover the settings file of the machine, which only a service may read.
#[test]
fn a_settings_file_of_the_user_that_may_not_be_read_is_an_error() {
    let Some(env) = env_of_root() else { return };
    let folder = env.path("config/collective-insights");
    let file = folder.join("config.toml");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(&file, "").unwrap();
    for (folder_mode, file_mode) in [(0o700, 0o644), (0o755, 0o600)] {
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(folder_mode)).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(file_mode)).unwrap();
        let mut other = Command::new(env.path("program"));
        other.args(["generate", "cron"]).env_clear().uid(NOBODY);
        let output = RunOutput::capture(other.env("XDG_CONFIG_HOME", env.path("config")));
        output.assert_code(2).assert_stderr(&["config.toml cannot be read"]);
    }
}

#[test]
fn a_ledger_that_may_only_be_read_is_shown_and_cannot_be_written() {
    let Some(env) = env_of_root() else { return };
    let ledger = env.path("collective-insights.db");
    std::fs::set_permissions(&ledger, std::fs::Permissions::from_mode(0o644)).unwrap();
    run_as_nobody(&env, "status").assert_code(0);
    let output = run_as_nobody(&env, RUN).assert_code(6);
    let message = format!("the ledger {} cannot be written: ", ledger.display());
    output.assert_stderr(&[&message, &owned_by_root(&ledger)]);
    // Now only the lock file belongs to root.
    chown(&ledger, Some(NOBODY), None).unwrap();
    let output = run_as_nobody(&env, RUN).assert_code(6);
    let lock = env.path("collective-insights.db.lock");
    output.assert_stderr(&[&message, &owned_by_root(&lock)]);
}

#[test]
fn a_log_of_root_is_explained_and_the_run_continues() {
    let Some(env) = env_of_root() else { return };
    let log = env.log();
    let output = run_as_nobody(&env, "crowdstrike --json --ledger own.db").assert_code(0);
    assert_eq!(output.count("processed"), 1);
    output.assert_stderr(&[
        "warning: the log file collective-insights.log cannot be written (Permission denied",
        &owned_by_root(&env.path("collective-insights.log")),
        "the run continues without it",
        "sudo chown",
    ]);
    assert_eq!(env.log(), log);
}

#[test]
fn the_owner_of_what_keeps_a_metrics_file_from_being_written_is_named() {
    let Some(env) = env_of_root() else { return };
    let mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let folder = env.path("theirs");
    std::fs::create_dir(&folder).unwrap();
    mode(&folder, 0o755);
    let run = "crowdstrike --json --ledger own.db --log-file none --metrics-file theirs/x.prom";
    let message = "theirs/x.prom cannot be written (";
    let owned = format!("; the folder {} is owned by root", folder.display());
    let output = run_as_nobody(&env, run).assert_code(0);
    assert_eq!(output.count("processed"), 1);
    output.assert_stderr(&[message, &owned]);
    // With a file of root in it, the folder is still the cause: to replace the file, this user must
    // be able to write to the folder.
    let file = folder.join("x.prom");
    std::fs::write(&file, "").unwrap();
    mode(&file, 0o644);
    let output = run_as_nobody(&env, run).assert_code(0);
    output.assert_stderr(&[message, &owned]);
    assert!(!output.stderr.contains("sudo"), "{}", output.stderr);
    // In a folder with the sticky bit, such as /tmp, only its owner can replace a file.
    mode(&folder, 0o1777);
    let of_file = format!("; {}", owned_by_root(&file));
    run_as_nobody(&env, run).assert_code(0).assert_stderr(&[message, &of_file]);
    // In a folder that this user can write to, it only matters whether the file can be read.
    mode(&folder, 0o777);
    mode(&file, 0o600);
    run_as_nobody(&env, run).assert_code(0).assert_stderr(&[message, &of_file]);
    mode(&file, 0o644);
    assert_eq!(run_as_nobody(&env, run).assert_code(0).stderr, "");
}
