//! Recorded Future: `POST /collective-insights/detections`

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::faults::Fault;
use crate::handler::{Answer, Asked};
use crate::record::{Record, Stored};
use crate::submission::{IOC_TYPES, Submission};
use crate::world::RecordedFutureWorld;

/// What the tool calls itself. The service does not care; a stand-in that does finds the request that forgot.
const USER_AGENT: &str = "collective-insights/";

type Refusal = (u16, String);

/// The answer for a path it does not know.
pub(crate) fn not_found() -> Answer {
    refused(404, "Not Found")
}

fn refused(status: u16, message: &str) -> Answer {
    // Any text will do for an id of ours; it has only to be there, to be logged.
    static REFUSALS: AtomicU64 = AtomicU64::new(1);
    let trace = format!("sandbox-{}", REFUSALS.fetch_add(1, Ordering::Relaxed));
    Answer::json(
        status,
        json!({"message": message, "status_code": status, "trace_id": trace}).to_string(),
    )
}

/// Checks a batch, stores it, and says how many of each type it held.
pub(crate) fn submit(
    world: &RecordedFutureWorld,
    quota: &mut HashMap<String, u64>,
    record: &Record,
    asked: &Asked<'_>,
    fault: &Fault,
) -> Answer {
    let checked = check_head(world, asked).and_then(|token| Ok((token, check_body(world, asked)?)));
    let checked = checked.and_then(|(token, batch)| check_quota(world, quota, token, batch));
    match checked {
        Ok(batch) => accept(world, record, asked, batch, fault),
        Err((status, message)) => refused(status, &message),
    }
}

/// The order of the checks is that of a gateway: who, then what form.
fn check_head<'a>(world: &RecordedFutureWorld, asked: &'a Asked<'_>) -> Result<&'a str, Refusal> {
    if asked.method != "POST" {
        return Err((405, "Method Not Allowed".into()));
    }
    let token = asked.header("x-rftoken").unwrap_or_default();
    let Some(account) = world.accounts.iter().find(|account| account.token == token) else {
        return Err((401, "Unauthorized: the API token is not valid".into()));
    };
    if !account.collective_insights {
        return Err((
            403,
            "Forbidden: the API token lacks the Collective Insights permission".into(),
        ));
    }
    if !asked.header("user-agent").is_some_and(|agent| agent.starts_with(USER_AGENT)) {
        return Err((400, format!("User-Agent must start with {USER_AGENT}")));
    }
    if !asked.is_content_type("application/json") {
        return Err((415, "Content-Type must be application/json".into()));
    }
    if !asked.header("accept").is_some_and(|accept| accept.contains("application/json")) {
        return Err((406, "Accept must name application/json".into()));
    }
    Ok(token)
}

fn check_body(world: &RecordedFutureWorld, asked: &Asked<'_>) -> Result<Submission, Refusal> {
    if asked.body.len() > world.max_bytes {
        return Err((413, format!("Payload Too Large: {} bytes", asked.body.len())));
    }
    let body: Value = serde_json::from_slice(asked.body)
        .map_err(|error| (400, format!("invalid JSON: {error}")))?;
    let batch = Submission::check(body).map_err(|message| (400, message))?;
    if batch.data.len() > world.max_items {
        return Err((413, format!("Payload Too Large: {} items", batch.data.len())));
    }
    for (at, item) in batch.data.iter().enumerate() {
        let value = &item["ioc"]["value"];
        if let Some((_, status)) = world.poison.iter().find(|(poison, _)| value == poison.as_str())
        {
            return Err((*status, format!("data[{at}].ioc.value is not accepted")));
        }
    }
    Ok(batch)
}

fn check_quota(
    world: &RecordedFutureWorld,
    quota: &mut HashMap<String, u64>,
    token: &str,
    batch: Submission,
) -> Result<Submission, Refusal> {
    if batch.debug {
        return Ok(batch);
    }
    let used = quota.entry(token.to_owned()).or_default();
    let after = *used + batch.data.len() as u64;
    match world.daily_limit {
        Some(limit) if after > limit => {
            Err((429, format!("Daily quota exceeded: {used} of {limit} submissions used")))
        }
        _ => {
            *used = after;
            Ok(batch)
        }
    }
}

fn accept(
    world: &RecordedFutureWorld,
    record: &Record,
    asked: &Asked<'_>,
    batch: Submission,
    fault: &Fault,
) -> Answer {
    let wrong_echo = *fault == Fault::WrongDebugEcho;
    let debug = batch.debug != wrong_echo;
    let mut result = json!({"status": world.status, "debug": debug});
    if world.summary {
        result["summary"] = json!({"processed": processed(&batch, fault)});
    }
    if !batch.debug && !wrong_echo {
        let at = Instant::now();
        let Submission { data, organization_ids, .. } = batch;
        let stored = data.into_iter().map(|item| Stored {
            item,
            organization_ids: organization_ids.clone(),
            request: asked.index,
            at,
        });
        record.open().stored.extend(stored);
    }
    Answer::json(200, json!({"result": result}).to_string())
}

fn processed(batch: &Submission, fault: &Fault) -> Value {
    let mut short = match fault {
        Fault::ShortProcessed(short) => *short,
        _ => 0,
    };
    let mut counts = serde_json::Map::new();
    for kind in IOC_TYPES {
        let count = batch.data.iter().filter(|item| item["ioc"]["type"] == kind).count() as u64;
        let kept = count.saturating_sub(short);
        short -= count - kept;
        counts.insert(kind.into(), kept.into());
    }
    counts.into()
}
