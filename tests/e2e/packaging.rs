//! Tests that the files of the packages and of the container image fit what `generate` prints, and
//! that what the help says about packages and backups is right. `.ci/package` builds the packages
//! and tests them where they are installed.

use std::process::Command;

use sandbox::World;

use crate::support::alerts::{falcon, sha256};
use crate::support::generate::generate;
use crate::support::markdown::topic;
use crate::support::markdown::{code, section, terms};
use crate::support::tool::{run_tool, tool};
use crate::support::{RunOutput, TestEnv};

const SYSUSERS: &str = include_str!("../../.packaging/sysusers.conf");
const TMPFILES: &str = include_str!("../../.packaging/tmpfiles.conf");
const CONTAINERFILE: &str = include_str!("../../.packaging/Containerfile");
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.packaging");

/// Returns the lines of the shell commands under a heading of the topic `operations`.
fn commands(heading: &str) -> String {
    let text = section(topic("operations"), heading).join("\n");
    code(&text, "sh").concat()
}

#[test]
fn the_packages_have_the_user_and_the_folders_of_the_units() {
    let units = generate("systemd").assert_code(0).stdout;
    for line in ["User=collective-insights", "Group=collective-insights"] {
        assert!(units.lines().any(|found| found == line), "{units}");
    }
    assert!(SYSUSERS.contains("\nu collective-insights - "), "{SYSUSERS}");
    let folder = "\nd /var/lib/collective-insights 0700 collective-insights collective-insights -";
    assert!(TMPFILES.contains(folder), "{TMPFILES}");
    for line in ["StateDirectory=collective-insights", "StateDirectoryMode=0700"] {
        assert!(units.contains(line), "{units}");
    }
}

#[test]
fn the_image_has_the_user_and_the_folder_of_the_kubernetes_job() {
    let job = generate("kubernetes").assert_code(0).stdout;
    let user = CONTAINERFILE.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    let (user, group) = user.split_once(':').unwrap();
    assert!(job.contains(&format!("runAsUser: {user}\n")), "{job}");
    assert!(job.contains(&format!("runAsGroup: {group}\n")), "{job}");
    let folder = CONTAINERFILE.lines().find_map(|line| line.strip_prefix("VOLUME ")).unwrap();
    assert!(job.contains(&format!("mountPath: \"{folder}\"\n")), "{job}");
}

#[test]
fn the_package_scripts_and_the_example_of_a_notification_are_valid() {
    for script in ["postinst", "prerm", "postrm"] {
        run_tool(Command::new("sh").args(["-n", &format!("{FOLDER}/scripts/{script}")]));
    }
    let Some(mut analyze) = tool("systemd-analyze") else { return };
    let unit = format!("{FOLDER}/collective-insights-failed@.service");
    run_tool(analyze.args(["verify", &unit]));
}

#[test]
fn the_packages_have_the_files_that_the_help_names() {
    let tests = include_str!("../../.ci/package-tests.sh");
    let tests = tests.replace("$name", "collective-insights");
    for term in terms(topic("operations"), "Packages") {
        let path = term.trim_matches('`');
        let paths = [format!("{path}\n"), format!("{path}/"), format!("{path}\"")];
        assert!(paths.iter().any(|path| tests.contains(path)), "{path}");
    }
    let start = commands("Packages");
    assert!(start.contains("enable --now collective-insights-run.timer"), "{start}");
}

#[test]
fn a_backup_can_be_restored() {
    let Some(mut shell) = tool("sh").filter(|_| tool("sqlite3").is_some()) else { return };
    let env = TestEnv::new(World::default().falcon_alerts(&[
        falcon("cid:ind:1", "hash_sha256", &sha256(1)),
        falcon("cid:ind:2", "hash_sha256", &sha256(2)),
    ]));
    env.run("crowdstrike").assert_code(0);
    let ledger = env.path("collective-insights.db");
    let commands = commands("Backup")
        .replace("cd /var/lib && sudo -u collective-insights ", "")
        .replace("/var/lib/collective-insights", env.folder().to_str().unwrap());
    RunOutput::capture(shell.args(["-eu", "-c", &commands])).assert_code(0);

    // The ledger is damaged, and then replaced by the backup.
    std::fs::write(&ledger, b"damaged").unwrap();
    env.run("crowdstrike").assert_code(6);
    std::fs::copy(env.path("backup.db"), &ledger).unwrap();
    env.run("crowdstrike").assert_code(0);
    assert_eq!(env.stored_values(), [sha256(1), sha256(2)], "nothing is sent twice");
}
