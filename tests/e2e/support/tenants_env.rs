//! The test environment of several tenants, each with services and secrets of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{DateTime, Utc};
use sandbox::world::{CarbonBlackAccount, FalconAccount, RecordedFutureAccount};
use sandbox::{Sandbox, World};
use serde_json::Value;
use tempfile::TempDir;

use super::alerts::{carbonblack, falcon, sha256};
use super::oracle::Tenant;
use super::vendor::Vendor;
use super::{NOW, RunOutput, TestEnv};

/// The settings file, in the working folder.
pub const SETTINGS: &str = "settings.toml";

/// Several tenants in one settings file.
pub struct TenantsEnv {
    /// The working folder, and a Recorded Future for tenants that share one.
    pub home: TestEnv,
    tenants: Vec<TenantServices>,
    /// The files of the secrets, apart from what the program writes.
    secrets: TempDir,
}

/// A tenant and its services.
pub struct TenantServices {
    pub name: String,
    pub vendor: Vendor,
    pub sandbox: Sandbox,
    /// Further lines of its table in the settings file.
    pub settings: String,
    /// The tenant whose Recorded Future key it uses, if not its own.
    pub key_of: Option<String>,
    /// The address of its vendor, if that is not its own sandbox.
    pub vendor_url: Option<String>,
}

impl TenantServices {
    /// Starts the services of a tenant, which accept only its own secrets.
    pub fn new(name: &str, vendor: Vendor, world: World) -> Self {
        let world = world.with(|world| {
            let [id, secret, token] = secrets(name);
            world.date = world.date.or_else(|| NOW.parse().ok());
            world.falcon.accounts = vec![FalconAccount::new(&id, &secret)];
            world.carbon_black.accounts = vec![CarbonBlackAccount {
                org_key: organization(name),
                api_id: id,
                secret,
                alerts_read: true,
            }];
            world.recorded_future.accounts = vec![account(token)];
        });
        let sandbox = Sandbox::start(world);
        let settings = format!("rf-api-url = \"{}\"\n", sandbox.url());
        Self { name: name.to_owned(), vendor, sandbox, settings, key_of: None, vendor_url: None }
    }

    /// Adds a line to its table in the settings file.
    pub fn setting(mut self, line: &str) -> Self {
        let _ = writeln!(self.settings, "{line}");
        self
    }

    /// Gives it the Recorded Future key of the tenant with this name.
    pub fn with_key_of(self, name: &str) -> Self {
        Self { key_of: Some(name.to_owned()), ..self }
    }

    /// Returns its id and its secret at the vendor, and its Recorded Future key.
    pub fn secrets(&self) -> [String; 3] {
        let [id, secret, own] = secrets(&self.name);
        let token = self.key_of.as_deref().map(|name| {
            let [_, _, token] = secrets(name);
            token
        });
        [id, secret, token.unwrap_or(own)]
    }

    /// Returns its table in the settings file; its secrets are in this folder.
    fn table(&self, folder: &Path) -> String {
        let Self { name, vendor, settings, .. } = self;
        let url = self.vendor_url.clone().unwrap_or_else(|| self.sandbox.url());
        let file = |kind| folder.join(format!("{name}.{kind}")).display().to_string();
        let (id, secret, token) = (file("id"), file("secret"), file("rf"));
        let (source, organization) = (vendor.command(), organization(name));
        let credentials = match vendor {
            Vendor::CrowdStrike => format!(
                "base-url = \"{url}\"\nclient-id-file = \"{id}\"\nclient-secret-file = \"{secret}\""
            ),
            Vendor::CarbonBlack => format!(
                "hostname = \"{url}\"\norg-id = \"{organization}\"\napi-id-file = \"{id}\"\nsecret-file = \"{secret}\""
            ),
        };
        format!(
            "[[tenant]]\nname = \"{name}\"\nsource = \"{source}\"\nrf-api-key-file = \"{token}\"\n{credentials}\n{settings}\n"
        )
    }
}

/// Returns the id and the secret at the vendor, and the Recorded Future token.
fn secrets(name: &str) -> [String; 3] {
    ["id", "secret", "token"].map(|kind| format!("{name}-{kind}-never-seen-0123456789"))
}

fn organization(name: &str) -> String {
    format!("ORG{}", name.to_uppercase())
}

fn account(token: String) -> RecordedFutureAccount {
    RecordedFutureAccount { token, collective_insights: true }
}

impl TenantsEnv {
    /// Returns tenants that share nothing but the settings file.
    pub fn new(tenants: Vec<TenantServices>) -> Self {
        Self::with_files(TestEnv::new(World::default()), tenants)
    }

    /// Returns tenants that send to one Recorded Future, that of `home`.
    pub fn with_shared_recorded_future(mut tenants: Vec<TenantServices>) -> Self {
        let home = TestEnv::new(World::default());
        for tenant in &mut tenants {
            tenant.settings = tenant.settings.replace(&tenant.sandbox.url(), &home.sandbox.url());
            let [_, _, token] = tenant.secrets();
            home.sandbox.change(|world| world.recorded_future.accounts.push(account(token)));
        }
        Self::with_files(home, tenants)
    }

    /// Returns CrowdStrike tenants that read the alerts of one Falcon, that of `home`.
    pub fn with_shared_falcon(home: TestEnv, mut tenants: Vec<TenantServices>) -> Self {
        for tenant in &mut tenants {
            tenant.vendor_url = Some(home.sandbox.url());
            let [id, secret, _] = tenant.secrets();
            home.sandbox
                .change(|world| world.falcon.accounts.push(FalconAccount::new(&id, &secret)));
        }
        Self::with_files(home, tenants)
    }

    /// Writes the settings file and the files of the secrets.
    fn with_files(home: TestEnv, tenants: Vec<TenantServices>) -> Self {
        let env = Self { home, tenants, secrets: TempDir::new().unwrap() };
        let folder = env.secrets.path();
        for tenant in &env.tenants {
            for (kind, secret) in ["id", "secret", "rf"].into_iter().zip(tenant.secrets()) {
                let path = folder.join(format!("{}.{kind}", tenant.name));
                std::fs::write(&path, secret).unwrap();
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
            }
        }
        let tables: String = env.tenants.iter().map(|tenant| tenant.table(folder)).collect();
        env.home.write(SETTINGS, tables);
        env
    }

    /// Returns a tenant by its name.
    #[track_caller]
    pub fn services(&self, name: &str) -> &TenantServices {
        self.tenants.iter().find(|tenant| tenant.name == name).expect("there is such a tenant")
    }

    /// Returns the file of one of a tenant's secrets: `id`, `secret` or `rf`.
    pub fn secret_file(&self, name: &str, kind: &str) -> PathBuf {
        self.secrets.path().join(format!("{name}.{kind}"))
    }

    /// Returns the tenant with this name, with its sandbox and its ledger, for the oracle's checks.
    pub fn tenant<'a>(&'a self, name: &'a str) -> Tenant<'a> {
        Tenant { sandbox: &self.services(name).sandbox, ..self.home.tenant(name) }
    }

    /// Returns a command at this time, which is also that of all services from now on. It has the
    /// secrets of other services as variables, which no tenant may use.
    pub fn command_at(&self, now: &str, arguments: &str) -> Command {
        let time: DateTime<Utc> = now.parse().unwrap();
        for tenant in &self.tenants {
            tenant.sandbox.change(|world| world.date = Some(time));
        }
        self.home.command_at(now, &format!("{arguments} --config {SETTINGS}"))
    }

    /// Runs the binary.
    pub fn run(&self, arguments: &str) -> RunOutput {
        RunOutput::capture(&mut self.command_at(NOW, arguments))
    }
}

/// Returns the document of each tenant as the output of a run of its own.
#[track_caller]
pub fn by_tenant(output: &RunOutput) -> BTreeMap<String, RunOutput> {
    let document = output.json();
    let tenants = document["tenants"].as_array().unwrap_or_else(|| panic!("none in {document}"));
    let tenants = tenants.iter().map(|tenant| {
        let code = tenant["exit_code"].as_i64().and_then(|code| i32::try_from(code).ok());
        let output = RunOutput {
            code: code.unwrap_or_else(|| panic!("no exit code in {tenant}")),
            stdout: tenant.to_string(),
            stderr: String::new(),
        };
        (tenant["tenant"].as_str().unwrap().to_owned(), output)
    });
    tenants.collect()
}

/// Returns a CrowdStrike tenant with two indicators.
pub fn acme() -> TenantServices {
    let alerts = [falcon("1", "domain", "a.example.com"), falcon("2", "ip", "8.8.4.4")];
    TenantServices::new("acme", Vendor::CrowdStrike, World::default().falcon_alerts(&alerts))
}

/// Returns a Carbon Black tenant with three indicators.
pub fn beta() -> TenantServices {
    let alerts: Vec<Value> =
        (1..=3).map(|number| carbonblack(&format!("b{number}"), &sha256(number))).collect();
    TenantServices::new("beta", Vendor::CarbonBlack, World::default().carbon_black_alerts(&alerts))
}
