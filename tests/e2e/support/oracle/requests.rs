//! What a recorded request to Recorded Future shows.

use sandbox::{Fault, RecordedRequest, Service};
use serde_json::Value;

use super::Mention;

/// Reports whether the program may not have received the receipt of a batch, which may be stored.
/// It has the form that [`Oracle::check`](super::Oracle::check) takes, with the request's number.
pub fn response_lost(_: usize, request: &RecordedRequest) -> bool {
    matches!(
        request.fault,
        Fault::ResetAfterProcessing
            | Fault::Truncate
            | Fault::HtmlAfterProcessing
            | Fault::StatusAfterProcessing(..)
    ) || request.status.is_none()
        || !request.complete
}

/// Reports whether a batch with only this indicator was rejected. Its item may be that of any alert
/// that names the indicator.
pub(super) fn is_rejected_alone(requests: &[RecordedRequest], value: &str) -> bool {
    let mut rejected = requests.iter().filter_map(only_item_if_rejected);
    rejected.any(|item| item["ioc"]["value"] == value)
}

/// Returns the item of a rejected batch with only one.
pub(super) fn only_item_if_rejected(request: &RecordedRequest) -> Option<Value> {
    if !matches!(request.status, Some(400 | 413 | 422)) {
        return None;
    }
    match request.json()?["data"].as_array().map(Vec::as_slice) {
        Some([item]) => Some(item.clone()),
        _ => None,
    }
}

/// Reports whether a request submits the item of a mention.
pub(super) fn submits(request: &RecordedRequest, mention: &Mention) -> bool {
    let body = (request.service == Some(Service::RecordedFuture)).then(|| request.json()).flatten();
    let items = body.as_ref().and_then(|body| body["data"].as_array());
    items.is_some_and(|items| items.iter().any(|item| Mention::of(item) == *mention))
}
