//! Tests with random faults of several tenants at once, in one process with one ledger. Each tenant
//! is checked by its own oracle, as if it ran alone; half of its alerts have the ids of other
//! tenants' alerts, and their indicators where the vendor is the same.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::random_faults::{
    DayFaults, cases, check_cases, clear_faults, day_faults, recoverable_day_faults,
};
use crate::support::RunOutput;
use crate::support::oracle::{Oracle, PastRun, check_counts, response_lost, run_time};
use crate::support::tenants_env::{TenantServices, TenantsEnv, by_tenant};
use crate::support::vendor::Vendor;

const DAYS: u32 = 3;
const NAMES: [&str; 3] = ["one", "two", "three"];

/// The faults of one tenant.
#[derive(Debug, Clone)]
struct TenantScenario {
    vendor: Vendor,
    max_page_size: usize,
    rejected_values: Vec<prop::sample::Index>,
    days: Vec<DayFaults>,
}

/// One generated case.
#[derive(Debug, Clone)]
struct Scenario {
    jobs: u8,
    batch_size: u32,
    tenants: Vec<TenantScenario>,
}

fn tenant() -> impl Strategy<Value = TenantScenario> {
    let parts = (
        prop_oneof![Just(Vendor::CrowdStrike), Just(Vendor::CarbonBlack)],
        prop_oneof![Just(5_usize), Just(1000)],
        prop::collection::vec(any::<prop::sample::Index>(), 0..2),
        // Some tenants have faults on days on which others have none.
        prop::collection::vec(prop_oneof![day_faults(), recoverable_day_faults()], 3),
    );
    parts.prop_map(|(vendor, max_page_size, rejected_values, days)| TenantScenario {
        vendor,
        max_page_size,
        rejected_values,
        days,
    })
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let parts = (
        prop_oneof![Just(1_u8), Just(2), Just(4)],
        prop_oneof![Just(1_u32), Just(7), Just(1000)],
        prop::collection::vec(tenant(), NAMES.len()),
    );
    parts.prop_map(|(jobs, batch_size, tenants)| Scenario { jobs, batch_size, tenants })
}

/// The tenants of a case, and the oracles with what must become of their alerts.
struct Case {
    env: TenantsEnv,
    oracles: BTreeMap<&'static str, Oracle>,
    /// How many submissions of each tenant are queued.
    waiting: BTreeMap<&'static str, u64>,
    runs: BTreeMap<&'static str, Vec<PastRun>>,
    arguments: String,
}

impl Case {
    fn new(scenario: &Scenario) -> Self {
        let Scenario { jobs, batch_size, .. } = scenario;
        let mut oracles = BTreeMap::new();
        let mut services = Vec::new();
        for ((number, name), tenant) in (1..).zip(NAMES).zip(&scenario.tenants) {
            let (oracle, world) =
                Oracle::generate_for_tenant(number, tenant.vendor, DAYS + 1, 12, 10);
            let values = oracle.values();
            let world = world.with(|world| {
                world.falcon.max_page_size = tenant.max_page_size;
                world.carbon_black.max_page_size = tenant.max_page_size;
                let rejected = tenant.rejected_values.iter();
                world.recorded_future.rejected_values =
                    rejected.map(|index| (index.get(&values).clone(), 400)).collect();
            });
            let services_of = TenantServices::new(name, tenant.vendor, world);
            services.push(services_of.setting(&format!("batch-size = {batch_size}")));
            oracles.insert(name, oracle);
        }
        Self {
            env: TenantsEnv::new(services),
            oracles,
            waiting: NAMES.map(|name| (name, 0)).into(),
            runs: NAMES.map(|name| (name, Vec::new())).into(),
            arguments: format!("run --json --jobs {jobs}"),
        }
    }

    /// Runs all tenants at this time, and checks each of them. Returns their exit codes.
    fn run(&mut self, now: &str) -> BTreeMap<&'static str, i32> {
        let before = NAMES.map(|name| {
            let sandbox = &self.env.services(name).sandbox;
            let served = self.oracles[name].vendor.served_alerts(sandbox).len();
            (name, sandbox.requests().len(), served)
        });
        let output = RunOutput::capture(&mut self.env.command_at(now, &self.arguments));
        let outputs = by_tenant(&output);
        assert!(outputs.values().any(|one| one.code == output.code), "{output:?}");
        let mut codes = BTreeMap::new();
        for (name, first_request, first_served) in before {
            let (one, tenant) = (&outputs[name], self.env.tenant(name));
            let now = now.parse().unwrap();
            self.runs.get_mut(name).unwrap().push(PastRun::new(first_request, now));
            assert!((0..=5).contains(&one.code), "{output:?}");
            check_counts(&tenant, one, first_request, self.waiting[name]);
            let oracle = &self.oracles[name];
            oracle.check_fetched(tenant.sandbox, one, first_served, now);
            if !one.json()["window"].is_null() {
                self.waiting.insert(name, one.count("waiting"));
            }
            codes.insert(name, one.code);
        }
        codes
    }

    fn check(scenario: &Scenario) {
        let mut case = Self::new(scenario);
        for day in 1..=DAYS {
            let index = usize::try_from(day - 1).unwrap();
            for (name, tenant) in NAMES.into_iter().zip(&scenario.tenants) {
                let sandbox = &case.env.services(name).sandbox;
                tenant.days[index].queue(tenant.vendor, sandbox, &case.oracles[name]);
            }
            let codes = case.run(&run_time(day));
            for (name, tenant) in NAMES.into_iter().zip(&scenario.tenants) {
                let faults = &tenant.days[index];
                assert!(!faults.recoverable || [0, 3].contains(&codes[name]), "{name}: {codes:?}");
                if faults.refuse_connections {
                    case.env.services(name).sandbox.resume_listening();
                }
            }
        }
        for (name, tenant) in NAMES.into_iter().zip(&scenario.tenants) {
            clear_faults(tenant.vendor, &case.env.services(name).sandbox);
        }
        let codes = case.run(&run_time(DAYS + 1));
        for name in NAMES {
            assert!([0, 3].contains(&codes[name]), "{name}: {codes:?}");
            let counts =
                case.oracles[name].check(&case.env.tenant(name), &case.runs[name], response_lost);
            assert_eq!(counts.queued, 0, "{name}");
        }
    }
}

#[test]
fn every_indicator_of_every_tenant_is_accounted_for_after_random_faults() {
    check_cases(cases(5), &scenario(), Case::check);
}

#[test]
#[ignore = "long form: takes minutes"]
fn every_indicator_of_every_tenant_is_accounted_for_in_100_cases() {
    check_cases(cases(100), &scenario(), Case::check);
}
