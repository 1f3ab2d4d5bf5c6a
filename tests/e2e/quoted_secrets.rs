//! Tests of secrets in quotation marks, which some env files leave around a value.

use sandbox::{CB_API_ID, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN};

use crate::support::failures::one_alert_per_vendor;
use crate::support::secret_scan::assert_no_secrets;
use crate::support::{RunOutput, TestEnv};

/// Returns the part of the log that warns about quotation marks.
fn quotation_warnings(env: &TestEnv) -> Vec<String> {
    let log = env.log();
    let warnings = log.lines().filter(|line| line.contains("quotation mark"));
    warnings.map(str::to_owned).collect()
}

#[test]
fn a_secret_in_quotation_marks_is_used_as_it_is_with_a_warning() {
    for (source, variable, flag, secret) in [
        ("crowdstrike", "CS_CLIENT_ID", "--client-id", CLIENT_ID),
        ("crowdstrike", "CS_CLIENT_SECRET", "--client-secret", CLIENT_SECRET),
        ("carbonblack", "CB_SECRET", "--secret", CB_SECRET),
        ("carbonblack", "CB_API_ID", "--api-id", CB_API_ID),
        ("carbonblack", "RF_API_KEY", "--rf-api-key", RF_TOKEN),
    ] {
        for mark in ['"', '\''] {
            let quoted = format!("{mark}{secret}{mark}");
            for origin in ["argument", "variable", "file"] {
                let env = TestEnv::new(one_alert_per_vendor());
                let mut command = env.command(source);
                command.env_remove(variable);
                match origin {
                    "argument" => command.args([flag, &quoted]),
                    "variable" => command.env(variable, &quoted),
                    _ => {
                        let file = env.write("quoted", format!("{quoted}\n"));
                        command.env(format!("{variable}_FILE"), file)
                    }
                };
                // The service does not know the value with its quotation marks.
                let output = RunOutput::capture(&mut command).assert_code(4);
                let warnings = quotation_warnings(&env);
                assert_eq!(warnings.len(), 1, "{origin}: {warnings:?}");
                let text = format!(
                    "the value of {flag} ({variable}) begins and ends with a quotation mark"
                );
                assert!(warnings[0].contains(&text), "{warnings:?}");
                if origin == "file" {
                    std::fs::remove_file(env.path("quoted")).unwrap();
                }
                assert_no_secrets(&env, &output, &[secret]);
            }
        }
    }
}

#[test]
fn a_secret_without_the_same_quotation_mark_at_both_ends_causes_no_warning() {
    for key in [format!("\"{RF_TOKEN}"), format!("{RF_TOKEN}'"), format!("\"{RF_TOKEN}'")] {
        let env = TestEnv::new(one_alert_per_vendor());
        env.sandbox.change(|world| world.recorded_future.accounts[0].token.clone_from(&key));
        let mut command = env.command("crowdstrike");
        RunOutput::capture(command.env("RF_API_KEY", &key)).assert_code(0);
        assert_eq!(quotation_warnings(&env), [""; 0], "{key}");
    }
}

#[test]
fn quotation_marks_that_belong_to_a_secret_do_not_prevent_its_use() {
    let key = format!("\"{RF_TOKEN}\"");
    let env = TestEnv::new(one_alert_per_vendor());
    env.sandbox.change(|world| world.recorded_future.accounts[0].token.clone_from(&key));
    let mut command = env.command("crowdstrike");
    RunOutput::capture(command.env("RF_API_KEY", &key)).assert_code(0);
    assert_eq!(quotation_warnings(&env).len(), 1);
    let output = RunOutput::capture(env.command("check crowdstrike").env("RF_API_KEY", &key));
    output.assert_code(0).assert_stderr(&["--rf-api-key (RF_API_KEY) begins and ends with"]);
}
