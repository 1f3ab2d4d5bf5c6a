//! Pauses: what one response means for the other requests to the same service.

use sandbox::{Fault, Sandbox, Service, World};

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

fn http() -> Http {
    let options = NetworkOptions { ca_cert: None, connect_timeout: MINUTE, timeout: MINUTE };
    let (_sender, shutdown) = Shutdown::new();
    Http::new(&options, Clock::fixed(Utc::now()), 10 * MINUTE, shutdown).unwrap()
}

/// Sends a request that gets this fault. Returns the pause of the service's other requests after
/// it, in seconds, rounded up.
async fn pause_after(http: &Http, fault: Fault) -> u64 {
    let sandbox = Sandbox::start(World::default());
    sandbox.queue_faults(Service::RecordedFuture, vec![fault]);
    let url = format!("{}/collective-insights/detections", sandbox.url());
    let request = Request::new(Method::POST, url.parse().unwrap(), HeaderMap::new(), Vec::new());
    let reply = http.send(&request, |_| Ok(())).await;
    assert!(matches!(reply, Ok(Reply::Rejected(_)) | Err(HttpError::RetryAfterTooLong { .. })));
    assert_eq!(sandbox.requests().len(), 1);
    let until = http.limit.resumes_at();
    until.map_or(0, |until| (until - tokio::time::Instant::now()).as_secs() + 1)
}

#[tokio::test]
async fn a_429_after_which_a_request_is_not_sent_again_pauses_the_others() {
    let last = || http().without_retries();
    let retry_after = |seconds: &str| Fault::retry_after(429, seconds);
    assert_eq!(pause_after(&last(), retry_after("7")).await, 7);
    assert!((1..=2).contains(&pause_after(&last(), Fault::status(429, "")).await));
    // The pause is bounded, as every wait.
    for too_long in ["301", "3600", &u64::MAX.to_string()] {
        assert_eq!(pause_after(&http(), retry_after(too_long)).await, 300);
        assert_eq!(pause_after(&last(), retry_after(too_long)).await, 300);
    }
    assert_eq!(pause_after(&last(), Fault::retry_after(503, "7")).await, 0);
    assert_eq!(pause_after(&last(), Fault::status(400, "")).await, 0);
}
