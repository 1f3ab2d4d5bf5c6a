//! Tests of the faults that the sandbox injects into requests, and of its record of requests.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use common::*;
use sandbox::{DateHeader, Fault, RF_TOKEN, Sandbox, Service, World};
use serde_json::{Value, json};

const HASH: &str = "00112233445566778899aabbccddeeff";

fn one_item() -> Value {
    batch(&[item("hash", HASH)])
}

/// Submits with one fault. Returns the response and the number of stored items.
fn submit_with(fault: Fault) -> (Option<Response>, usize) {
    let sandbox = Sandbox::start(World::default());
    sandbox.queue_faults(Service::RecordedFuture, vec![fault]);
    let response = try_submit(&sandbox, &one_item());
    assert_eq!(sandbox.faults_left(Service::RecordedFuture), 0);
    assert!(!sandbox.overlapping_posts());
    let stored = sandbox.stored().len();
    sandbox.finish();
    (response, stored)
}

#[test]
fn a_status_is_returned_without_processing() {
    let (response, stored) = submit_with(Fault::retry_after(503, "7"));
    let response = response.expect("a response");
    assert_eq!((response.status, response.header("retry-after"), stored), (503, Some("7"), 0));
    assert_eq!(submit_with(Fault::status(500, "message")).0.expect("a response").text(), "message");
}

#[test]
fn responses_have_the_date_of_the_world() {
    let sandbox = Sandbox::start(World::default());
    let date = || submit(&sandbox, &one_item()).header("date").map(str::to_owned);
    assert!(date().is_some());
    sandbox.change(|world| world.date = sandbox::time::parse_zulu("2026-11-22T00:15:00Z"));
    assert_eq!(date().as_deref(), Some("Sun, 22 Nov 2026 00:15:00 GMT"));
    let other = "Sun, 22 Nov 2026 00:05:00 GMT";
    let headers = vec![("date".to_owned(), other.to_owned())];
    let fault = Fault::Status { code: 429, headers, body: String::new() };
    sandbox.queue_faults(Service::RecordedFuture, vec![fault]);
    assert_eq!(date().as_deref(), Some(other));
}

#[test]
fn each_service_has_a_clock_of_its_own_or_sends_no_date() {
    let sandbox = Sandbox::start(World::default());
    let date = || submit(&sandbox, &one_item()).header("date").map(str::to_owned);
    for (header, expected) in [
        (DateHeader::Skew(TimeDelta::hours(-5)), Some("Sat, 21 Nov 2026 19:15:00 GMT")),
        (DateHeader::Text("soon".into()), Some("soon")),
        (DateHeader::Absent, None),
    ] {
        sandbox.change(|world| {
            world.date = sandbox::time::parse_zulu("2026-11-22T00:15:00Z");
            world.recorded_future.date = header.clone();
        });
        assert_eq!(date().as_deref(), expected);
        sandbox.change(|world| {
            world.recorded_future.date = DateHeader::default();
            world.set_vendor_date(&header);
        });
        assert_eq!(date().as_deref(), Some("Sun, 22 Nov 2026 00:15:00 GMT"));
    }
}

#[test]
fn connections_close_before_or_after_processing() {
    let wait = Duration::from_millis(80);
    for (fault, expected) in
        [(Fault::Reset, 0), (Fault::ResetAfterProcessing, 1), (Fault::HangThenReset(wait), 0)]
    {
        let (response, stored) = submit_with(fault.clone());
        assert!(response.is_none(), "{fault:?}");
        assert_eq!(stored, expected, "{fault:?}");
    }
}

#[test]
fn a_hang_ends_with_a_response() {
    let started = Instant::now();
    let (response, stored) = submit_with(Fault::HangThenRespond(Duration::from_millis(120)));
    assert_eq!((response.expect("a response").status, stored), (200, 1));
    assert!(started.elapsed() >= Duration::from_millis(120));
}

#[test]
fn bodies_are_html_empty_or_truncated() {
    for (fault, expected) in [(Fault::Html, 0), (Fault::HtmlAfterProcessing, 1)] {
        let (response, stored) = submit_with(fault);
        let response = response.expect("a response");
        assert!(response.status == 200 && response.text().starts_with("<!DOCTYPE html>"));
        assert_eq!(stored, expected);
    }
    let (response, stored) = submit_with(Fault::Empty200);
    assert!(response.is_some_and(|response| response.status == 200 && response.body.is_empty()));
    assert_eq!(stored, 0);
    let (response, stored) = submit_with(Fault::StatusAfterProcessing(202, "{}".into()));
    assert!(response.is_some_and(|response| response.status == 202 && response.text() == "{}"));
    assert_eq!(stored, 1);
    let (response, stored) = submit_with(Fault::Truncate);
    let response = response.expect("a head and half a body");
    let length: usize =
        response.header("content-length").and_then(|text| text.parse().ok()).expect("a length");
    assert_eq!((response.status, response.body.len(), stored), (200, length / 2, 1));
}

#[test]
fn a_slow_body_arrives_completely() {
    let started = Instant::now();
    let (response, _) = submit_with(Fault::SlowBody(Duration::from_millis(200)));
    assert!(response.expect("a response").is_complete());
    assert!(started.elapsed() >= Duration::from_millis(150));
}

#[test]
fn alerts_count_as_served_only_if_the_response_was_sent_in_full() {
    let alerts = [json!({"composite_id": "a"}), json!({"composite_id": "b"})];
    let sandbox = Sandbox::start(World::default().falcon_alerts(&alerts));
    let token = sign_in(&sandbox);
    for fault in [Fault::Truncate, Fault::HtmlAfterProcessing, Fault::Empty200] {
        sandbox.queue_faults(Service::FalconAlerts, vec![fault]);
        falcon(&sandbox, &token, &json!({}));
    }
    assert!(sandbox.served_alerts().falcon.is_empty());
    let requests = sandbox.requests_to(Service::FalconAlerts);
    assert_eq!((requests[0].complete, requests[0].status), (false, Some(200)));
    falcon(&sandbox, &token, &json!({}));
    assert_eq!(sandbox.served_alerts().falcon, ["a", "b"]);
}

#[test]
fn queued_faults_come_before_the_permanent_one() {
    let sandbox = Sandbox::start(World::default());
    sandbox.queue_faults(Service::RecordedFuture, vec![Fault::None, Fault::status(502, "")]);
    sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    let status = || submit(&sandbox, &one_item()).status;
    assert_eq!([status(), status(), status(), status()], [200, 502, 503, 503]);
    sandbox.always(Service::RecordedFuture, None);
    assert_eq!(status(), 200);
    assert_eq!(sign_in_with(&sandbox, "").status, 400, "other services are not affected");
}

#[test]
fn listening_can_pause() {
    let sandbox = Sandbox::start(World::default());
    assert_eq!(submit(&sandbox, &one_item()).status, 200);
    sandbox.pause_listening();
    assert!(try_submit(&sandbox, &one_item()).is_none());
    sandbox.resume_listening();
    assert_eq!(submit(&sandbox, &one_item()).status, 200);
    assert_eq!(sandbox.requests().len(), 2);
}

#[test]
fn requests_are_recorded() {
    let sandbox = Sandbox::start(World::default().latency(Duration::from_millis(30)));
    let response = submit(&sandbox, &one_item());
    let request = sandbox.requests().remove(0);
    assert_eq!((request.service, request.method.as_str()), (Some(Service::RecordedFuture), "POST"));
    assert_eq!(
        (request.path.as_str(), request.status),
        ("/collective-insights/detections", Some(200))
    );
    assert_eq!((request.json(), request.header("x-rftoken")), (Some(one_item()), Some(RF_TOKEN)));
    assert_eq!((request.bytes_out, request.complete), (response.body.len() as u64, true));
    assert!(
        request.ended.is_some_and(|ended| ended - request.started >= Duration::from_millis(30))
    );
}

#[test]
fn overlapping_posts_are_detected() {
    let sandbox = Sandbox::start(World::default());
    sandbox
        .always(Service::RecordedFuture, Some(Fault::HangThenRespond(Duration::from_millis(200))));
    submit(&sandbox, &one_item());
    assert!(!sandbox.overlapping_posts());
    std::thread::scope(|scope| {
        scope.spawn(|| submit(&sandbox, &one_item()));
        scope.spawn(|| submit(&sandbox, &one_item()));
    });
    assert!(sandbox.overlapping_posts());
}

#[test]
fn a_request_ends_when_its_client_disconnects() {
    let sandbox = Sandbox::start(World::default());
    let hang = Fault::HangThenRespond(Duration::from_secs(30));
    sandbox.queue_faults(Service::RecordedFuture, vec![hang]);
    submit_and_disconnect_after(&sandbox, Duration::from_millis(100));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(submit(&sandbox, &one_item()).status, 200);
    assert!(!sandbox.overlapping_posts());
    assert_eq!(
        sandbox.stored().len(),
        1,
        "a hanging request is not processed after the disconnect"
    );
}

/// Submits, and closes the connection before the response arrives.
fn submit_and_disconnect_after(sandbox: &Sandbox, delay: Duration) {
    let mut stream = TcpStream::connect(("127.0.0.1", sandbox.port())).expect("a connection");
    let body = one_item().to_string();
    let mut head = "POST /collective-insights/detections HTTP/1.1\r\nHost: sandbox\r\n".to_owned();
    for (name, value) in rf_headers(RF_TOKEN) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes()).expect("the request is sent");
    std::thread::sleep(delay);
}

#[test]
fn responses_are_compressed_for_clients_that_accept_gzip() {
    let alerts: Vec<_> = (0..50).map(|n| json!({"composite_id": format!("id:{n}")})).collect();
    let sandbox = Sandbox::start(World::default().falcon_alerts(&alerts));
    let bearer = format!("Bearer {}", sign_in(&sandbox));
    let page = |coding: &str| {
        let headers = [JSON, ("Authorization", bearer.as_str()), ("Accept-Encoding", coding)];
        send(sandbox.port(), "POST", "/alerts/combined/alerts/v1", &headers, b"{}")
            .expect("a response")
    };
    let compressed = page("gzip, deflate");
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(compressed.body.as_slice())
        .read_to_string(&mut text)
        .expect("gzip");
    let count = |text: &str| {
        serde_json::from_str::<Value>(text).expect("JSON")["resources"].as_array().map(Vec::len)
    };
    assert_eq!(count(&text), Some(50));
    assert_eq!(count(&page("identity").text()), Some(50));
    sandbox.change(|world| world.gzip = false);
    assert_eq!(page("gzip").header("content-encoding"), None);
}

#[test]
#[should_panic(expected = "the sandbox panicked while it handled a request")]
fn a_panic_in_a_handler_fails_the_test() {
    let sandbox = Sandbox::start(World::default());
    // This status is invalid, so the handler panics.
    sandbox.queue_faults(Service::RecordedFuture, vec![Fault::status(7, "")]);
    assert!(try_submit(&sandbox, &one_item()).is_none());
    sandbox.finish();
}
