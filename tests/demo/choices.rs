//! Compares, for each source, what the rule of the Python scripts shares and what the recommended
//! options share. Indicators are counted by how the vendor and the analysts judge them.

#![allow(clippy::indexing_slicing, reason = "a missing key of a JSON value is null")]

use std::collections::{BTreeMap, BTreeSet};

use sandbox::seed::{Recipe, carbon_black_alerts, falcon_alerts};
use serde_json::Value;

use crate::{DemoEnv, PROGRAM, Result, check, print};

/// A source, its alerts, and what is counted.
pub(crate) struct Source {
    pub(crate) name: &'static str,
    title: &'static str,
    /// The options that are recommended; without any, the rule of the scripts applies.
    pub(crate) recommended: &'static str,
    id_field: &'static str,
    alerts: Vec<Value>,
    /// Each shared indicator is of one of these classes.
    classes: &'static [Class],
    is_dismissed: fn(&Value) -> bool,
    /// The SHA-256 hashes that the scripts' rule must share because of an alert, and those that the
    /// recommended options must share. Both can share others too.
    hashes: [fn(&Value) -> Vec<String>; 2],
}

/// A class of indicators, by the judgement on them.
struct Class {
    name: &'static str,
    /// Whether an indicator that is in this field of an alert is of this class.
    contains: fn(alert: &Value, field: &str) -> bool,
    /// Whether the recommended options share such indicators.
    is_recommended: bool,
}

/// Returns Carbon Black with its generated alerts.
pub(crate) fn carbon_black(recipe: &Recipe) -> Source {
    Source {
        name: "carbonblack",
        title: "Carbon Black Cloud",
        recommended: "--indicator malicious --skip-dismissed",
        id_field: "id",
        alerts: carbon_black_alerts(recipe),
        classes: &[
            Class {
                name: "files that Carbon Black trusts",
                contains: |alert, field| has_reputation(alert, field, &TRUSTED),
                is_recommended: false,
            },
            Class {
                name: "files that it has not judged",
                contains: |alert, field| {
                    let known = [TRUSTED, BAD].concat();
                    field != "ioc_hit" && !has_reputation(alert, field, &known)
                },
                is_recommended: false,
            },
            Class {
                name: "files that it judges malicious",
                contains: |alert, field| has_reputation(alert, field, &BAD),
                is_recommended: true,
            },
            Class {
                name: "IOCs that a watchlist hit",
                contains: |_, field| field == "ioc_hit",
                is_recommended: true,
            },
        ],
        is_dismissed: |alert| alert["determination"]["value"] == "FALSE_POSITIVE",
        hashes: [
            |alert| {
                let wanted = ["blocked_sha256", "blocked_md5", "ioc_hit"];
                let is_shared = wanted.iter().any(|field| !text(alert, field).is_empty());
                is_shared.then(|| hash(alert, "process_sha256")).flatten().into_iter().collect()
            },
            |alert| {
                let bad = |field: &&str| has_reputation(alert, field, &BAD);
                ["process_sha256", "blocked_sha256"]
                    .into_iter()
                    .filter(bad)
                    .filter_map(|field| hash(alert, field))
                    .collect()
            },
        ],
    }
}

/// Returns CrowdStrike with its generated alerts.
pub(crate) fn crowdstrike(recipe: &Recipe) -> Source {
    Source {
        name: "crowdstrike",
        title: "CrowdStrike Falcon",
        recommended: "--indicator both --skip-dismissed",
        id_field: "composite_id",
        alerts: falcon_alerts(recipe),
        classes: &[
            Class {
                name: "indicators of compromise that an alert names",
                contains: |_, field| field.starts_with("ioc"),
                is_recommended: true,
            },
            Class {
                name: "files that Falcon stopped or a scan found",
                contains: |_, field| field.ends_with("sha256"),
                is_recommended: true,
            },
        ],
        is_dismissed: |alert| {
            let tags = alert["tags"].as_array().into_iter().flatten();
            tags.into_iter().any(|tag| tag == "false_positive" || tag == "ignored")
        },
        hashes: [named_hash, |alert| {
            let details = &alert["pattern_disposition_details"];
            let is_stopped = details["process_blocked"] == true
                || details["quarantine_file"] == true
                || alert["type"] == "ods";
            let file = is_stopped.then(|| hash(alert, "sha256")).flatten();
            named_hash(alert).into_iter().chain(file).collect()
        }],
    }
}

/// Returns the hash that a Falcon alert names as an indicator of compromise.
fn named_hash(alert: &Value) -> Vec<String> {
    let is_hash = alert["ioc_type"] == "hash_sha256" && alert["product"] == "epp";
    is_hash.then(|| hash(alert, "ioc_value")).flatten().into_iter().collect()
}

const TRUSTED: [&str; 6] = [
    "TRUSTED_WHITE_LIST",
    "LOCAL_WHITE",
    "ADAPTIVE_WHITE_LIST",
    "COMMON_WHITE_LIST",
    "COMPANY_WHITE_LIST",
    "COMPANY_WHITE_LIST_CERT",
];
const BAD: [&str; 6] =
    ["KNOWN_MALWARE", "SUSPECT_MALWARE", "HEURISTIC", "PUP", "ADWARE", "COMPANY_BLACK_LIST"];

/// Whether the reputation of the file in a field such as `process_sha256` is one of these.
fn has_reputation(alert: &Value, field: &str, reputations: &[&str]) -> bool {
    let role = field.split('_').next().unwrap_or_default();
    let name = text(alert, &format!("{role}_effective_reputation")).to_uppercase();
    field != "ioc_hit" && reputations.contains(&name.as_str())
}

fn text<'a>(alert: &'a Value, field: &str) -> &'a str {
    alert[field].as_str().unwrap_or_default()
}

/// Returns a well-formed SHA-256.
fn hash(alert: &Value, field: &str) -> Option<String> {
    let hash = text(alert, field).to_lowercase();
    let is_valid = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_valid.then_some(hash)
}

/// How many indicators one choice shares.
#[derive(Default)]
struct Shared {
    total: usize,
    by_class: Vec<usize>,
    from_dismissed: usize,
}

impl Source {
    /// Runs both choices as dry runs, and prints their numbers in two columns.
    pub(crate) fn compare(&self, env: &DemoEnv, options: &str) -> Result<()> {
        let commands = ["", self.recommended].map(|choice| {
            let words = [self.name, choice, options, "--dry-run --json"];
            words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
        });
        let [scripts, recommended] = &commands;
        let hashes = |alert: &Value| (self.hashes[0])(alert);
        let scripts = self.shared(env, scripts, &mut self.alerts.iter().flat_map(hashes))?;
        let kept = self.alerts.iter().filter(|alert| !(self.is_dismissed)(alert));
        let hashes = |alert: &Value| (self.hashes[1])(alert);
        let recommended = self.shared(env, recommended, &mut kept.flat_map(hashes))?;
        check("indicators from dismissed alerts", recommended.from_dismissed, 0)?;

        let mut lines: Vec<(&str, usize, usize)> = Vec::new();
        for (at, class) in self.classes.iter().enumerate() {
            lines.push((class.name, scripts.by_class[at], recommended.by_class[at]));
            if !class.is_recommended {
                check(class.name, recommended.by_class[at], 0)?;
            }
        }
        lines.push(("shared in all", scripts.total, recommended.total));
        let dismissed = "of these, from alerts that an analyst dismissed";
        lines.push((dismissed, scripts.from_dismissed, recommended.from_dismissed));
        for command in &commands {
            print(&format!("$ {PROGRAM} {command}\n"));
        }
        print(&format!("{:<50}{:>13}{:>13}\n", self.title, "scripts' rule", "recommended"));
        for (what, scripts, recommended) in lines {
            print(&format!("  {what:<48}{scripts:>13}{recommended:>13}\n"));
        }
        print("\n");
        Ok(())
    }

    /// Counts what a run would share, as a dry run lists it, and checks that all of these hashes
    /// are in it.
    fn shared(
        &self,
        env: &DemoEnv,
        command: &str,
        expected: &mut dyn Iterator<Item = String>,
    ) -> Result<Shared> {
        let document: Value = serde_json::from_str(&env.output(command)?.text)?;
        let items = document["items"].as_array().ok_or("a dry run lists no items")?;
        let count = document["counts"]["would_submit"].as_u64().unwrap_or_default();
        check("items of the dry run", items.len(), usize::try_from(count)?)?;
        let values: BTreeSet<&str> =
            items.iter().filter_map(|item| item["ioc"]["value"].as_str()).collect();
        check("different indicators", values.len(), items.len())?;
        let missing = expected.filter(|hash| !values.contains(hash.as_str()));
        check("hashes that are not shared", missing.count(), 0)?;

        let alerts: BTreeMap<&str, &Value> =
            self.alerts.iter().map(|alert| (text(alert, self.id_field), alert)).collect();
        let mut shared = Shared { by_class: vec![0; self.classes.len()], ..Shared::default() };
        for item in items {
            let alert = alerts.get(text(&item["detection"], "id")).ok_or("an unknown alert")?;
            let field = text(&item["ioc"], "field");
            for (count, class) in shared.by_class.iter_mut().zip(self.classes) {
                *count += usize::from((class.contains)(alert, field));
            }
            shared.total += 1;
            shared.from_dismissed += usize::from((self.is_dismissed)(alert));
        }
        check("the sum of the classes", shared.by_class.iter().sum(), shared.total)?;
        Ok(shared)
    }
}
