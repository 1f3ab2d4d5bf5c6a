//! Tests several tenants in one process: nothing of one reaches another, and what goes wrong for
//! one changes nothing for the others.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sandbox::{Fault, RecordedRequest, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{carbonblack, falcon, sha256, with};
use crate::support::json::text;
use crate::support::process::{RunningProcess, wait_until};
use crate::support::secret_scan::assert_no_secrets;
use crate::support::tenants_env::{TenantServices, TenantsEnv, by_tenant};
use crate::support::vendor::Vendor;
use crate::support::{NOW, RunOutput, TestEnv};

/// The names of the tenants. Something goes wrong for the last one in some tests.
const NAMES: [&str; 4] = ["alpha", "beta", "gamma", "trouble"];

/// Returns a tenant with alerts of its own, and one whose id and indicator every other tenant of
/// its vendor has too.
fn services(name: &str, vendor: Vendor) -> TenantServices {
    let own = format!("{name}.example.com");
    let world = match vendor {
        Vendor::CrowdStrike => World::default().falcon_alerts(&[
            falcon("shared:1", "domain", "shared.example.com"),
            falcon(&format!("{name}:1"), "domain", &own),
            falcon(&format!("{name}:2"), "domain", "excluded-by-alpha.example.com"),
        ]),
        Vendor::CarbonBlack => World::default().carbon_black_alerts(&[
            carbonblack("shared:1", &sha256(1)),
            carbonblack(&format!("{name}:1"), &sha256(own.len().try_into().unwrap())),
        ]),
    };
    TenantServices::new(name, vendor, world)
        .setting(&format!("organization-id = [\"uhash:{name}\"]"))
}

/// Returns the tenants of [`NAMES`].
fn tenants() -> Vec<TenantServices> {
    vec![
        services("alpha", Vendor::CrowdStrike).setting("exclusion-file = \"alpha.txt\""),
        services("beta", Vendor::CrowdStrike),
        services("gamma", Vendor::CarbonBlack),
        services("trouble", Vendor::CrowdStrike).setting("timeout = 1"),
    ]
}

/// Writes the exclusion file of `alpha`.
fn with_exclusions(env: TenantsEnv) -> TenantsEnv {
    env.home.write("alpha.txt", "excluded-by-alpha.example.com\n");
    env
}

/// Returns the key of a request to Recorded Future.
fn token(request: &RecordedRequest) -> &str {
    request.header("x-rftoken").unwrap()
}

#[test]
fn each_tenant_sends_its_own_alerts_with_its_own_key_to_its_own_organization() {
    let env = with_exclusions(TenantsEnv::with_shared_recorded_future(tenants()));
    let output = env.run("run --json --jobs 4 --log-level DEBUG").assert_code(0);
    let requests = env.home.sandbox.requests();
    let mut seen = BTreeSet::new();
    for stored in env.home.sandbox.stored() {
        let (id, value) = (text(&stored.item, "/detection/id"), text(&stored.item, "/ioc/value"));
        // The third secret of a tenant is its Recorded Future key.
        let token = token(&requests[stored.request]);
        let name = NAMES.into_iter().find(|name| env.services(name).secrets()[2] == token);
        let name = name.unwrap_or_else(|| panic!("no tenant has the key {token}"));
        assert!(id.starts_with(name) || id == "shared:1", "{id} was sent for {name}");
        assert_eq!(stored.organization_ids, Some(vec![format!("uhash:{name}")]));
        seen.insert((name, value));
    }
    // The same alert and indicator of several tenants counts for each of them, and the exclusion of
    // one is not that of another.
    let stored_for = |name| seen.iter().filter(|(tenant, _)| *tenant == name).count();
    assert_eq!(NAMES.map(stored_for), [2, 3, 2, 3], "{seen:?}");
    let outputs = by_tenant(&output);
    let excluded = NAMES.map(|name| outputs[name].count("indicators_excluded"));
    assert_eq!(excluded, [1, 0, 0, 0]);
    assert_eq!(env.home.sandbox.requests().len(), 4, "one request per tenant");

    // No secret of a tenant reaches the services of another one, the output, the log or the ledger.
    let secrets: Vec<String> = NAMES.iter().flat_map(|name| env.services(name).secrets()).collect();
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    assert_no_secrets(&env.home, &output, &secrets);
    for name in NAMES {
        let own = env.services(name).secrets();
        let of_others: Vec<&&str> =
            secrets.iter().filter(|secret| !own.contains(&(**secret).to_owned())).collect();
        for request in env.services(name).sandbox.requests() {
            let sent = format!("{request:?} {}", String::from_utf8_lossy(&request.body));
            let found = of_others.iter().find(|secret| sent.contains(***secret));
            assert_eq!(found, None, "sent to {name}: {sent}");
        }
    }
}

/// Returns the document of a tenant without what differs between runs.
fn comparable(output: &RunOutput) -> Value {
    let mut document = output.json();
    for key in ["run_id", "window"] {
        document.as_object_mut().unwrap().remove(key);
    }
    document
}

/// Returns the JSON documents of all tenants but `trouble`, and what they sent.
fn others(env: &TenantsEnv, output: &RunOutput) -> Vec<(Value, Vec<Value>)> {
    let outputs = by_tenant(output);
    let others = NAMES.into_iter().filter(|name| *name != "trouble");
    others
        .map(|name| {
            let mut items: Vec<Value> =
                env.services(name).sandbox.stored().into_iter().map(|stored| stored.item).collect();
            items.sort_by_key(ToString::to_string);
            (comparable(&outputs[name]), items)
        })
        .collect()
}

#[test]
fn the_trouble_of_one_tenant_changes_nothing_for_the_others() {
    let env = with_exclusions(TenantsEnv::new(tenants()));
    let output = env.run("run --json").assert_code(0);
    let expected = others(&env, &output);
    assert!(expected.iter().all(|(_, items)| items.len() >= 2), "{expected:?}");

    let garbage = "\u{1b}[2J\u{202e}<script>\0".repeat(10_000);
    let hang = Fault::HangThenReset(Duration::from_secs(3));
    let troubles = [
        (Service::FalconAlerts, hang.clone()),
        (Service::FalconToken, hang),
        (Service::FalconToken, Fault::status(401, r#"{"errors":[{"message":"revoked"}]}"#)),
        (Service::FalconAlerts, Fault::status(403, "")),
        (Service::FalconAlerts, Fault::status(200, &garbage)),
        (Service::FalconAlerts, Fault::status(200, "[[[[[[[[[[[[")),
        (Service::FalconAlerts, Fault::Html),
        (Service::RecordedFuture, Fault::status(401, "")),
        (Service::RecordedFuture, Fault::retry_after(429, "3600")),
    ];
    for (index, (service, fault)) in troubles.into_iter().enumerate() {
        // In turn with a thread for each tenant, and with one for all of them.
        let jobs = if index % 2 == 0 { 4 } else { 1 };
        let env = with_exclusions(TenantsEnv::new(tenants()));
        env.services("trouble").sandbox.always(service, Some(fault.clone()));
        let output = env.run(&format!("run --json --jobs {jobs}"));
        let context =
            format!("{service:?} {}", format!("{fault:?}").chars().take(60).collect::<String>());
        assert_eq!(output.code, by_tenant(&output)["trouble"].code, "{context}");
        assert_ne!(output.code, 0, "{context}");
        assert_eq!(others(&env, &output), expected, "{context}");
    }
}

#[test]
fn an_unreadable_alert_is_counted_for_its_tenant_only() {
    let broken = with(falcon("broken", "domain", "x.example.com"), "composite_id", json!(null));
    let mut all = tenants();
    let world =
        World::default().falcon_alerts(&[broken, falcon("fine", "domain", "fine.example.com")]);
    all[3] = TenantServices::new("trouble", Vendor::CrowdStrike, world);
    let env = with_exclusions(TenantsEnv::new(all));
    let output = env.run("run --json").assert_code(3);
    let outputs = by_tenant(&output);
    let unreadable = NAMES.map(|name| outputs[name].count("alerts_unreadable"));
    assert_eq!(unreadable, [0, 0, 0, 1]);
    let log = env.home.log();
    let about = |line: &&str| line.contains("broken");
    assert!(log.lines().filter(about).all(|line| line.contains("tenant=trouble")), "{log}");
}

#[test]
fn a_queue_belongs_to_its_tenant() {
    let env = with_exclusions(TenantsEnv::new(tenants()));
    env.services("beta").sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    let output = env.run("run --json").assert_code(5);
    let waiting = |output: &RunOutput| {
        let outputs = by_tenant(output);
        NAMES.map(|name| outputs[name].count("waiting"))
    };
    assert_eq!(waiting(&output), [0, 3, 0, 0]);
    let listed = env.home.run("outbox list --json").assert_code(0).json();
    let listed = listed["entries"].as_array().unwrap();
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|item| item["tenant"] == "beta"), "{listed:?}");
    env.services("beta").sandbox.always(Service::RecordedFuture, None);
    let output = env.run("run --json").assert_code(0);
    assert_eq!(waiting(&output), [0, 0, 0, 0]);
    assert_eq!(by_tenant(&output)["beta"].count("carried_in"), 3);
}

#[test]
fn tenants_on_one_address_wait_together() {
    let home = TestEnv::falcon(&[falcon("1", "domain", "a.example.com")]);
    let tenants = ["one", "other"]
        .map(|name| TenantServices::new(name, Vendor::CrowdStrike, World::default()));
    let env = TenantsEnv::with_shared_falcon(home, tenants.into());
    // 300 seconds, divided by 1000.
    let limited = Fault::retry_after(429, "300");
    env.home.sandbox.queue_faults(Service::FalconAlerts, vec![limited.clone()]);
    env.run("run --json --jobs 2").assert_code(0);
    let requests = env.home.sandbox.requests();
    let first = requests.iter().find(|request| request.fault == limited).unwrap();
    let resumed = first.ended.unwrap() + Duration::from_millis(300);
    let others = requests.iter().filter(|request| {
        request.service == Some(Service::FalconAlerts) && request.started > first.started
    });
    // The other tenant may have sent a request before the response came.
    let early = others.filter(|request| request.started < resumed).count();
    assert!(early <= 1, "{early} requests during the wait");
    for name in ["one", "other"] {
        assert_eq!(env.services(name).sandbox.stored().len(), 1);
    }
}

#[test]
fn tenants_that_hang_do_not_hold_back_those_after_them() {
    // The first two tenants occupy both threads and make no progress. After 30 seconds, divided by
    // 1000, others run in addition to them.
    let mut all = vec![services("trouble", Vendor::CrowdStrike)];
    all.extend(tenants().into_iter().take(3));
    all.insert(0, services("hanging", Vendor::CrowdStrike));
    let env = with_exclusions(TenantsEnv::new(all));
    let hang = Fault::HangThenReset(Duration::from_secs(15));
    for name in ["trouble", "hanging"] {
        env.services(name).sandbox.queue_faults(Service::FalconAlerts, vec![hang.clone()]);
    }
    let started = Instant::now();
    let mut running = RunningProcess::start(&mut env.command_at(NOW, "run --json --jobs 2"));
    wait_until(|| NAMES[..3].iter().all(|name| env.services(name).sandbox.stored().len() >= 2));
    let took = started.elapsed();
    running.kill();
    assert!(took < Duration::from_secs(12), "{took:?}");
}
