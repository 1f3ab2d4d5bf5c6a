//! Tenants: runs with another account, token or organizations share a ledger file but not its
//! content.

use sandbox::world::FalconAccount;
use sandbox::{Fault, Service, World};

use crate::support::alerts::falcon_at;
use crate::support::{RunOutput, TestEnv};

const RUN: &str = "crowdstrike --json";

#[test]
fn tenants_are_separate() {
    const OTHER: &str = "0therrft0kenneverseen123456789ab";
    let world =
        World::default().falcon_alerts(&[falcon_at(1, "2026-11-21T08:00:00Z")]).with(|world| {
            let mut account = world.recorded_future.accounts[0].clone();
            account.token = OTHER.into();
            world.recorded_future.accounts.push(account);
            world.falcon.accounts.push(FalconAccount::new("c2", "s2"));
        });
    let env = TestEnv::new(world);
    let run = |minute: u32, extra: &str, variables: &[(&str, &str)]| {
        let now = format!("2026-11-22T00:{minute}:00Z");
        let mut command = env.command_at(&now, &format!("{RUN} {extra}"));
        RunOutput::capture(command.envs(variables.iter().copied()))
    };
    // What is queued for one tenant is not sent by another, and each sends its own once.
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::status(401, "")]);
    assert_eq!(run(15, "", &[]).assert_code(4).count("waiting"), 1);
    let tenants: [(&str, &[(&str, &str)]); 4] = [
        ("", &[("RF_API_KEY", OTHER)]),
        ("", &[("CS_CLIENT_ID", "c2"), ("CS_CLIENT_SECRET", "s2")]),
        ("--organization-id uhash:a", &[]),
        ("--organization-id uhash:b --organization-id uhash:a", &[]),
    ];
    for (minute, (extra, variables)) in (16..).zip(tenants) {
        let output = run(minute, extra, variables).assert_code(0);
        output.assert_sums();
        assert_eq!(
            (output.count("carried_in"), output.count("processed")),
            (0, 1),
            "{extra} {variables:?}"
        );
    }
    let again = run(30, "--organization-id uhash:a --organization-id uhash:b", &[]).assert_code(0);
    assert_eq!(again.count("already_delivered"), 1, "the order of organizations does not matter");
    assert_eq!(run(31, "", &[]).assert_code(0).count("carried_in"), 1);
    assert_eq!(env.sandbox.stored().len(), 5);
}
