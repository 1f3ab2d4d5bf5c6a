//! Validates the body of a submission by the documented rules. The error names the path of the
//! first violation.

use serde_json::{Map, Value};

use crate::body_check::{Checked, list, object, one_of, text};
use crate::indicator;
use crate::time::is_millis_zulu;

/// The indicator types, in the order of the counts in the response.
pub(crate) const IOC_TYPES: [&str; 5] = ["ip", "domain", "hash", "vulnerability", "url"];
pub(crate) const DETECTION_TYPES: [&str; 4] =
    ["correlation", "playbook", "detection_rule", "sandbox"];

/// A valid batch.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) debug: bool,
    pub(crate) organization_ids: Option<Vec<String>>,
    pub(crate) data: Vec<Value>,
}

impl Submission {
    /// Checks a whole body.
    pub(crate) fn check(mut body: Value) -> Checked<Self> {
        let top = object("body", &body, &["options", "data"], &["organization_ids"])?;
        let options = object("options", &top["options"], &["debug", "summary"], &[])?;
        let debug = options["debug"].as_bool().ok_or("options.debug must be true or false")?;
        if options["summary"] != true {
            return Err("options.summary must be true".into());
        }
        let organization_ids = top.get("organization_ids").map(organizations).transpose()?;
        let data = list("data", &top["data"])?;
        for (at, entry) in data.iter().enumerate() {
            item(&format!("data[{at}]"), entry)?;
        }
        let Value::Array(data) = body["data"].take() else {
            return Err("data must be a list".into());
        };
        Ok(Self { debug, organization_ids, data })
    }
}

fn item(at: &str, value: &Value) -> Checked<()> {
    let item = object(at, value, &["timestamp", "ioc", "detection"], &["incident", "mitre_codes"])?;
    if !is_millis_zulu(text(&format!("{at}.timestamp"), &item["timestamp"])?) {
        return Err(format!("{at}.timestamp must have the form YYYY-MM-DDTHH:MM:SS.mmmZ"));
    }
    ioc(&format!("{at}.ioc"), &item["ioc"])?;
    detection(&format!("{at}.detection"), &item["detection"])?;
    if let Some(value) = item.get("incident") {
        incident(&format!("{at}.incident"), value)?;
    }
    if let Some(value) = item.get("mitre_codes") {
        mitre_codes(&format!("{at}.mitre_codes"), value)?;
    }
    Ok(())
}

fn ioc(at: &str, value: &Value) -> Checked<()> {
    let ioc = object(at, value, &["type", "value", "source_type", "field"], &[])?;
    let kind = one_of(&format!("{at}.type"), &ioc["type"], &IOC_TYPES)?;
    text(&format!("{at}.source_type"), &ioc["source_type"])?;
    text(&format!("{at}.field"), &ioc["field"])?;
    let value = text(&format!("{at}.value"), &ioc["value"])?;
    indicator::check(kind, value).map_err(|reason| format!("{at}.value {reason}"))
}

fn detection(at: &str, value: &Value) -> Checked<()> {
    let detection = object(at, value, &["type"], &["id", "name"])?;
    one_of(&format!("{at}.type"), &detection["type"], &DETECTION_TYPES)?;
    texts(at, detection)
}

fn incident(at: &str, value: &Value) -> Checked<()> {
    let incident = object(at, value, &[], &["id", "name", "type"])?;
    if incident.is_empty() {
        return Err(format!("{at} must not be empty"));
    }
    texts(at, incident)
}

fn mitre_codes(at: &str, value: &Value) -> Checked<()> {
    let codes = list(at, value)?;
    for (index, code) in codes.iter().enumerate() {
        let text = text(&format!("{at}[{index}]"), code)?;
        if !is_mitre_code(text) {
            return Err(format!("{at}[{index}] is not a MITRE technique or tactic"));
        }
        if codes[..index].contains(code) {
            return Err(format!("{at}[{index}] is a duplicate"));
        }
    }
    Ok(())
}

/// Reports whether a code has the form `T1055`, `T1059.001` or `TA0011`.
fn is_mitre_code(code: &str) -> bool {
    let digits =
        |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(tactic) = code.strip_prefix("TA") {
        return digits(tactic, 4);
    }
    let Some(technique) = code.strip_prefix('T') else {
        return false;
    };
    match technique.split_once('.') {
        Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
        None => digits(technique, 4),
    }
}

fn organizations(value: &Value) -> Checked<Vec<String>> {
    let ids = list("organization_ids", value)?.iter().enumerate();
    ids.map(|(at, id)| text(&format!("organization_ids[{at}]"), id).map(str::to_owned)).collect()
}

fn texts(at: &str, object: &Map<String, Value>) -> Checked<()> {
    object.iter().try_for_each(|(key, value)| text(&format!("{at}.{key}"), value).map(drop))
}
