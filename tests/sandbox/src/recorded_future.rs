//! Recorded Future Collective Insights: submissions (`POST /collective-insights/detections`) and
//! the search for them (`POST /collective-insights/search`).

mod search;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

pub(crate) use self::search::search;

use crate::faults::Fault;
use crate::handler::{Request, Response};
use crate::record::{Recorder, StoredItem};
use crate::submission::{IOC_TYPES, Submission};
use crate::world::RecordedFutureWorld;

/// The start of the program's User-Agent. The real service does not check it; the sandbox does, to
/// find requests without it.
const USER_AGENT: &str = "collective-insights/";

/// The status and the message of an error.
type Rejection = (u16, String);

/// Returns the response to an unknown path.
pub(crate) fn not_found() -> Response {
    error_response(404, "Not Found")
}

fn error_response(status: u16, message: &str) -> Response {
    // Any unique trace id will do; it is only logged.
    static NEXT_TRACE: AtomicU64 = AtomicU64::new(1);
    let trace = format!("sandbox-{}", NEXT_TRACE.fetch_add(1, Ordering::Relaxed));
    Response::json(
        status,
        json!({"message": message, "status_code": status, "trace_id": trace}).to_string(),
    )
}

/// Checks a batch, charges the quota, stores it unless `debug` is set, and responds.
pub(crate) fn submit(
    world: &RecordedFutureWorld,
    quota_used: &mut HashMap<String, u64>,
    recorder: &Recorder,
    now: DateTime<Utc>,
    request: &Request<'_>,
    fault: &Fault,
) -> Response {
    let checked =
        check_head(world, request).and_then(|token| Ok((token, check_body(world, request)?)));
    let charged = checked.and_then(|(token, batch)| {
        charge_quota(world, quota_used, token, &batch)?;
        Ok((token, batch))
    });
    match charged {
        Ok((token, batch)) => {
            let arrival = Arrival { token, now, request: request.index };
            accept(world, recorder, &arrival, batch, fault)
        }
        Err((status, message)) => error_response(status, &message),
    }
}

/// Checks the request line and the headers in the order of a gateway: first the method, then the
/// account, then the format. Returns the token.
fn check_head<'a>(
    world: &RecordedFutureWorld,
    request: &'a Request<'_>,
) -> Result<&'a str, Rejection> {
    if request.method != "POST" {
        return Err((405, "Method Not Allowed".into()));
    }
    let token = request.header("x-rftoken").unwrap_or_default();
    let Some(account) = world.accounts.iter().find(|account| account.token == token) else {
        return Err((401, "Unauthorized: the API token is not valid".into()));
    };
    if !account.collective_insights {
        return Err((
            403,
            "Forbidden: the API token lacks the Collective Insights permission".into(),
        ));
    }
    if !request.header("user-agent").is_some_and(|agent| agent.starts_with(USER_AGENT)) {
        return Err((400, format!("User-Agent must start with {USER_AGENT}")));
    }
    if !request.is_content_type("application/json") {
        return Err((415, "Content-Type must be application/json".into()));
    }
    if !request.header("accept").is_some_and(|accept| accept.contains("application/json")) {
        return Err((406, "Accept must name application/json".into()));
    }
    Ok(token)
}

fn check_body(world: &RecordedFutureWorld, request: &Request<'_>) -> Result<Submission, Rejection> {
    if request.body.len() > world.max_bytes {
        return Err((413, format!("Payload Too Large: {} bytes", request.body.len())));
    }
    let body: Value = serde_json::from_slice(request.body)
        .map_err(|error| (400, format!("invalid JSON: {error}")))?;
    let batch = Submission::check(body).map_err(|message| (400, message))?;
    if batch.data.len() > world.max_items {
        return Err((413, format!("Payload Too Large: {} items", batch.data.len())));
    }
    for (index, item) in batch.data.iter().enumerate() {
        let value = &item["ioc"]["value"];
        if let Some((_, status)) =
            world.rejected_values.iter().find(|(rejected, _)| value == rejected.as_str())
        {
            return Err((*status, format!("data[{index}].ioc.value is not accepted")));
        }
    }
    Ok(batch)
}

/// Charges the items of a batch to the token's quota, except with `debug`.
fn charge_quota(
    world: &RecordedFutureWorld,
    quota_used: &mut HashMap<String, u64>,
    token: &str,
    batch: &Submission,
) -> Result<(), Rejection> {
    if batch.debug {
        return Ok(());
    }
    let used = quota_used.entry(token.to_owned()).or_default();
    let after = *used + batch.data.len() as u64;
    match world.store_limit {
        Some(limit) if after > limit => {
            Err((429, format!("Daily quota exceeded: {used} of {limit} submissions used")))
        }
        _ => {
            *used = after;
            Ok(())
        }
    }
}

/// The sender, time and request of a batch.
struct Arrival<'a> {
    token: &'a str,
    now: DateTime<Utc>,
    request: usize,
}

fn accept(
    world: &RecordedFutureWorld,
    recorder: &Recorder,
    arrival: &Arrival<'_>,
    batch: Submission,
    fault: &Fault,
) -> Response {
    let wrong_echo = *fault == Fault::WrongDebugEcho;
    let debug = batch.debug != wrong_echo;
    let mut result = json!({"status": world.status, "debug": debug});
    if world.summary {
        result["summary"] = json!({"processed": processed(&batch, fault)});
    }
    if !batch.debug && !wrong_echo {
        let at = Instant::now();
        let Submission { data, organization_ids, .. } = batch;
        let stored = data.into_iter().map(|item| StoredItem {
            item,
            organization_ids: organization_ids.clone(),
            token: arrival.token.to_owned(),
            request: arrival.request,
            at,
            stored_at: arrival.now,
        });
        let mut records = recorder.lock();
        // A sandbox that runs on its own without the search does not need the items.
        if !records.discards_contents {
            records.stored.extend(stored);
        }
    }
    Response::json(200, json!({"result": result}).to_string())
}

fn processed(batch: &Submission, fault: &Fault) -> Value {
    let mut missing = match fault {
        Fault::FewerProcessed(missing) => *missing,
        _ => 0,
    };
    let mut counts = serde_json::Map::new();
    for ioc_type in IOC_TYPES {
        let count = batch.data.iter().filter(|item| item["ioc"]["type"] == ioc_type).count() as u64;
        let reported = count.saturating_sub(missing);
        missing -= count - reported;
        counts.insert(ioc_type.into(), reported.into());
    }
    counts.into()
}
