//! Tenants: account, token and organizations keep ledgers apart that share a file.

use sandbox::world::FalconAccount;
use sandbox::{Fault, Service, World};

use crate::support::alerts::at;
use crate::support::{Ran, Stage};

const RUN: &str = "crowdstrike --json";

#[test]
fn tenants_never_mix() {
    const OTHER: &str = "0therrft0kenneverseen123456789ab";
    let world = World::default().falcon_alerts(&[at(1, "2026-11-21T08:00:00Z")]).with(|world| {
        let mut account = world.recorded_future.accounts[0].clone();
        account.token = OTHER.into();
        world.recorded_future.accounts.push(account);
        world.falcon.accounts.push(FalconAccount::new("c2", "s2"));
    });
    let stage = Stage::new(world);
    let run = |minute: u32, extra: &str, variables: &[(&str, &str)]| {
        let mut command = stage.command(&format!("{RUN} {extra}"));
        command.envs(variables.iter().copied());
        command.env("COLLECTIVE_INSIGHTS_TEST_NOW", format!("2026-11-22T00:{minute}:00Z"));
        Ran::of(&mut command)
    };
    // What waits for one tenant is not sent by another, and each sends its own once.
    stage.sandbox.script(Service::RecordedFuture, vec![Fault::status(401, "")]);
    assert_eq!(run(15, "", &[]).ended(4).count("waiting"), 1);
    let tenants: [(&str, &[(&str, &str)]); 4] = [
        ("", &[("RF_API_KEY", OTHER)]),
        ("", &[("CS_CLIENT_ID", "c2"), ("CS_CLIENT_SECRET", "s2")]),
        ("--organization-id uhash:a", &[]),
        ("--organization-id uhash:b --organization-id uhash:a", &[]),
    ];
    for (minute, (extra, variables)) in (16..).zip(tenants) {
        let ran = run(minute, extra, variables).ended(0);
        ran.adds_up();
        assert_eq!(
            (ran.count("carried_in"), ran.count("processed")),
            (0, 1),
            "{extra} {variables:?}"
        );
    }
    let again = run(30, "--organization-id uhash:a --organization-id uhash:b", &[]).ended(0);
    assert_eq!(again.count("already_delivered"), 1, "the order of organizations is no difference");
    assert_eq!(run(31, "", &[]).ended(0).count("carried_in"), 1);
    assert_eq!(stage.sandbox.stored().len(), 5);
}
