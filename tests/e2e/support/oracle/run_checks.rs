//! Checks of one run, directly after it.

use std::time::Duration;

use sandbox::{Fault, RecordedRequest, Service};

use super::super::RunOutput;
use super::Tenant;
use super::ledger::sightings;
use super::requests::{only_item_if_rejected, response_lost};

/// A run stops sending after this many rejections of single items in a row.
const MAX_REJECTIONS: usize = 20;

/// Checks the counts of a run against each other, against what the sandbox stored since
/// `first_request`, and against `queued_before`, the submissions that the previous run left queued.
#[track_caller]
pub fn check_counts(
    tenant: &Tenant<'_>,
    output: &RunOutput,
    first_request: usize,
    queued_before: u64,
) {
    let document = output.json();
    assert_eq!(document["exit_code"], output.code, "{document}");
    if document["window"].is_null() {
        assert_eq!(tenant.sandbox.requests().len(), first_request, "{document}");
        return;
    }
    output.assert_counts_add_up();
    assert_eq!(output.count("carried_in"), queued_before, "{document}");
    let requests = tenant.sandbox.requests();
    check_pauses(&requests[first_request..]);
    check_rejections(&requests[first_request..]);
    let confirmed = tenant.sandbox.stored().into_iter().filter(|stored| {
        stored.request >= first_request && !response_lost(stored.request, &requests[stored.request])
    });
    let confirmed = confirmed.count();
    assert_eq!(usize::try_from(output.count("submitted")).unwrap(), confirmed, "{document}");
    // One queued submission can represent several detections, so the numbers can differ.
    let is_any_queued = sightings(tenant).values().any(|sighting| sighting.state == "waiting");
    assert_eq!(output.count("waiting") > 0, is_any_queued, "{document}");
}

/// Checks that after a 429 with a long wait no request to the same service started before the pause
/// was over.
fn check_pauses(requests: &[RecordedRequest]) {
    // Waits are divided by 1000, and none is longer than five minutes.
    const PAUSE: Duration = Duration::from_millis(300);
    // Requests that start this soon are ignored: the program may not have read the response yet.
    const READ_TIME: Duration = Duration::from_millis(150);
    for limited in
        requests.iter().filter(|request| request.fault == Fault::retry_after(429, "3600"))
    {
        let Some(ended) = limited.ended else { continue };
        let during = requests.iter().find(|request| {
            let pause = ended + READ_TIME..ended + PAUSE;
            request.service == limited.service && pause.contains(&request.started)
        });
        assert!(
            during.is_none(),
            "a request started during the pause after {limited:?}: {during:?}"
        );
    }
}

/// Checks that a run sends nothing after [`MAX_REJECTIONS`].
fn check_rejections(requests: &[RecordedRequest]) {
    let mut in_a_row = 0;
    for request in
        requests.iter().filter(|request| request.service == Some(Service::RecordedFuture))
    {
        assert!(
            in_a_row < MAX_REJECTIONS,
            "sent after {in_a_row} rejections in a row: {request:?}"
        );
        if only_item_if_rejected(request).is_some() {
            in_a_row += 1;
        } else if request.status == Some(200) {
            // If the run did not receive this response, it goes on counting, and this check is more
            // lenient than it has to be.
            in_a_row = 0;
        }
    }
}
