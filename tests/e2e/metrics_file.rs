//! Tests how the file of `--metrics-file` is written, and the warning if it cannot be written. The
//! textfile collector of Prometheus reads the file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::falcon_run::{LATER, env_with_alerts, in_shell};
use crate::support::metrics_runs::{METRICS_FILE, RUN_WITH_METRICS, read_metrics};
use crate::support::small_disk::SmallDisk;
use crate::support::{RunOutput, TestEnv};

/// Returns the names of the files of a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Runs with this metrics file, and returns the warnings. Asserts that everything was sent, and
/// that each warning is a note of the JSON document too.
#[track_caller]
fn warnings(env: &TestEnv, file: &str) -> String {
    let run = format!("crowdstrike --json --resend --metrics-file {file}");
    let output = env.run_at(LATER, &run).assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("processed"), 3, "{}", output.stdout);
    let notes = output.notes().join(" ");
    let count = output.stderr.matches("warning: ").count();
    let warnings = output.stderr.lines().filter_map(|line| line.strip_prefix("warning: "));
    assert_eq!(warnings.filter(|warning| notes.contains(warning)).count(), count);
    output.stderr
}

#[test]
fn all_users_can_read_the_file_and_nothing_else_is_left() {
    let env = env_with_alerts(3);
    fs::create_dir(env.path("metrics")).unwrap();
    let mut shell = in_shell(&env, "umask 077");
    shell.env("COLLECTIVE_INSIGHTS_METRICS_FILE", "metrics/x.prom");
    let output = RunOutput::capture(&mut shell).assert_code(0);
    assert_eq!(output.stderr, "");
    assert_eq!(names(&env.path("metrics")), ["x.prom"]);
    let mode = fs::metadata(env.path("metrics/x.prom")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
}

#[test]
fn the_file_is_replaced_and_never_written_in_place() {
    let env = env_with_alerts(3);
    env.run(RUN_WITH_METRICS).assert_code(0);
    let before = read_metrics(&env).text;
    let open = fs::File::open(env.path(METRICS_FILE)).unwrap();
    env.run_at(LATER, RUN_WITH_METRICS).assert_code(0);
    // A collector that has opened the old file before can still read it to its end.
    assert_eq!(std::io::read_to_string(open).unwrap(), before);
    assert_ne!(read_metrics(&env).text, before);
    // An empty file that was created in advance is replaced too.
    env.write(METRICS_FILE, "");
    env.run_at(LATER, RUN_WITH_METRICS).assert_code(0);
    read_metrics(&env);
}

#[test]
fn a_file_that_cannot_be_written_is_a_warning() {
    let env = env_with_alerts(3);
    fs::create_dir(env.path("folder.prom")).unwrap();
    symlink(env.path("target"), env.path("link.prom")).unwrap();
    for (file, reason) in [
        ("missing/x.prom", "No such file or directory"),
        ("folder.prom", "it is a directory"),
        ("link.prom", "it is a symbolic link"),
        ("/dev/null", "it is not a regular file"),
    ] {
        let warnings = warnings(&env, file);
        assert!(warnings.contains(&format!("the metrics file {file} cannot be written (")));
        assert!(warnings.contains(reason), "{file}: {warnings}");
        assert!(warnings.contains("COLLECTIVE_INSIGHTS_METRICS_FILE"), "{warnings}");
        let check = format!("check crowdstrike --offline --json --metrics-file {file}");
        let check = env.run(&check).assert_code(2);
        assert!(check.stdout.contains(reason), "{}", check.stdout);
    }
    assert!(!env.path("target").exists());
}

#[test]
fn no_other_file_is_replaced() {
    let env = env_with_alerts(3);
    env.run("crowdstrike").assert_code(0);
    env.write("notes.prom", "# HELP of another program\n");
    for file in [
        "collective-insights.db",
        "collective-insights.db.lock",
        "collective-insights.log",
        "notes.prom",
    ] {
        let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
        let before = inode(&env.path(file));
        let warnings = warnings(&env, file);
        assert!(warnings.contains("it is not a metrics file of this program"), "{warnings}");
        assert_eq!(inode(&env.path(file)), before, "{file}");
    }
    env.run("status").assert_code(0);
}

#[test]
fn a_name_that_the_collector_does_not_read_is_a_warning() {
    let env = env_with_alerts(3);
    let warnings = warnings(&env, "metrics.txt");
    assert!(warnings.contains("does not end in .prom"), "{warnings}");
    assert!(env.path("metrics.txt").exists());
    let check = "check crowdstrike --offline --metrics-file";
    let passed = env.run(&format!("{check} metrics.txt")).assert_code(0).stdout;
    assert!(passed.contains("metrics.txt is writable, but the textfile collector"), "{passed}");
    let passed = env.run(&format!("{check} x.prom")).assert_code(0).stdout;
    assert!(passed.contains("metrics: x.prom is writable\n"), "{passed}");
    assert!(!env.path("x.prom").exists(), "a check writes nothing");
}

#[test]
fn a_full_disk_leaves_the_file_as_it_was() {
    let env = env_with_alerts(3);
    let path = env.path("disk");
    let Some(disk) = SmallDisk::mount(&path, "64k") else {
        eprintln!("skipped: this user cannot mount a file system");
        return;
    };
    env.run("crowdstrike --metrics-file disk/x.prom").assert_code(0);
    let before = fs::read(path.join("x.prom")).unwrap();
    disk.fill(0);
    let warnings = warnings(&env, "disk/x.prom");
    assert!(warnings.contains("No space left on device"), "{warnings}");
    assert_eq!(fs::read(path.join("x.prom")).unwrap(), before);
    assert_eq!(names(&path), ["filler", "x.prom"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_a_warning() {
    let env = env_with_alerts(3);
    let path = env.path("disk");
    let Some(_disk) = SmallDisk::mount(&path, "64k") else {
        eprintln!("skipped: this user cannot mount a file system");
        return;
    };
    let remount = ["-o", "remount,ro"];
    assert!(
        std::process::Command::new("mount").args(remount).arg(&path).status().unwrap().success()
    );
    let warnings = warnings(&env, "disk/x.prom");
    assert!(warnings.contains("Read-only file system"), "{warnings}");
}

#[test]
fn a_warning_of_all_tenants_is_printed_once() {
    use crate::support::tenants_env::{acme, beta};
    let env = crate::support::tenants_env::TenantsEnv::new(vec![acme(), beta()]);
    let output = env.run("run --json --metrics-file missing/x.prom").assert_code(0);
    assert_eq!(output.stderr.matches("the metrics file").count(), 1, "{}", output.stderr);
    let lock = fs::File::open(env.home.path("collective-insights.db.lock")).unwrap();
    lock.lock().unwrap();
    let output = env.run("run --json --metrics-file missing/x.prom").assert_code(7);
    assert_eq!(output.stderr.matches("the metrics file").count(), 1, "{}", output.stderr);
}
