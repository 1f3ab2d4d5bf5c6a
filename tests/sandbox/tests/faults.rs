//! What goes wrong on purpose, and what the record says of it.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::*;
use sandbox::{Fault, RF_TOKEN, Sandbox, Service, World};
use serde_json::{Value, json};

const HASH: &str = "00112233445566778899aabbccddeeff";

fn one() -> Value {
    batch(&[item("hash", HASH)])
}

/// Submits under one fault; gives the answer and how many items are stored after it.
fn under(fault: Fault) -> (Option<Reply>, usize) {
    let sandbox = Sandbox::start(World::default());
    sandbox.script(Service::RecordedFuture, vec![fault]);
    let reply = try_submit(&sandbox, &one());
    assert_eq!(sandbox.faults_left(Service::RecordedFuture), 0);
    assert!(!sandbox.overlapping_posts());
    let stored = sandbox.stored().len();
    sandbox.finish();
    (reply, stored)
}

#[test]
fn a_status_is_answered_without_the_work() {
    let (reply, stored) = under(Fault::retry_after(503, "7"));
    let reply = reply.expect("an answer");
    assert_eq!((reply.status, reply.header("retry-after"), stored), (503, Some("7"), 0));
    assert_eq!(under(Fault::status(500, "words")).0.expect("an answer").text(), "words");
}

#[test]
fn connections_close_before_or_after_the_work() {
    let wait = Duration::from_millis(80);
    for (fault, kept) in
        [(Fault::ResetBefore, 0), (Fault::ResetAfter, 1), (Fault::HangThenClose(wait), 0)]
    {
        let (reply, stored) = under(fault.clone());
        assert!(reply.is_none(), "{fault:?}");
        assert_eq!(stored, kept, "{fault:?}");
    }
}

#[test]
fn a_hang_ends_in_an_answer() {
    let begun = Instant::now();
    let (reply, stored) = under(Fault::HangThenAnswer(Duration::from_millis(120)));
    assert_eq!((reply.expect("an answer").status, stored), (200, 1));
    assert!(begun.elapsed() >= Duration::from_millis(120));
}

#[test]
fn bodies_are_garbage_empty_or_cut() {
    for (fault, kept) in [(Fault::Garbage, 0), (Fault::GarbageAfter, 1)] {
        let (reply, stored) = under(fault);
        let reply = reply.expect("an answer");
        assert!(reply.status == 200 && reply.text().starts_with("<!DOCTYPE html>"));
        assert_eq!(stored, kept);
    }
    let (reply, stored) = under(Fault::Empty200);
    assert!(reply.is_some_and(|reply| reply.status == 200 && reply.body.is_empty()));
    assert_eq!(stored, 0);
    let (reply, stored) = under(Fault::Truncate);
    let reply = reply.expect("a head and half a body");
    let length: usize =
        reply.header("content-length").and_then(|text| text.parse().ok()).expect("a length");
    assert_eq!((reply.status, reply.body.len(), stored), (200, length / 2, 1));
}

#[test]
fn a_slow_body_arrives_whole() {
    let begun = Instant::now();
    let (reply, _) = under(Fault::SlowBody(Duration::from_millis(200)));
    assert!(reply.expect("an answer").is_whole());
    assert!(begun.elapsed() >= Duration::from_millis(150));
}

#[test]
fn only_alerts_that_were_sent_to_the_end_count_as_handed_out() {
    let alerts = [json!({"composite_id": "a"}), json!({"composite_id": "b"})];
    let sandbox = Sandbox::start(World::default().falcon_alerts(&alerts));
    let token = sign_in(&sandbox);
    for fault in [Fault::Truncate, Fault::GarbageAfter, Fault::Empty200] {
        sandbox.script(Service::FalconAlerts, vec![fault]);
        falcon(&sandbox, &token, &json!({}));
    }
    assert!(sandbox.handed_out().falcon.is_empty());
    let asked = sandbox.requests_to(Service::FalconAlerts);
    assert_eq!((asked[0].complete, asked[0].status), (false, Some(200)));
    falcon(&sandbox, &token, &json!({}));
    assert_eq!(sandbox.handed_out().falcon, ["a", "b"]);
}

#[test]
fn the_queue_goes_first_and_always_stays() {
    let sandbox = Sandbox::start(World::default());
    sandbox.script(Service::RecordedFuture, vec![Fault::None, Fault::status(502, "")]);
    sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    let status = || submit(&sandbox, &one()).status;
    assert_eq!([status(), status(), status(), status()], [200, 502, 503, 503]);
    sandbox.always(Service::RecordedFuture, None);
    assert_eq!(status(), 200);
    assert_eq!(sign_in_with(&sandbox, "").status, 403, "other services are untouched");
}

#[test]
fn listening_can_pause() {
    let sandbox = Sandbox::start(World::default());
    assert_eq!(submit(&sandbox, &one()).status, 200);
    sandbox.pause_listening();
    assert!(try_submit(&sandbox, &one()).is_none());
    sandbox.resume_listening();
    assert_eq!(submit(&sandbox, &one()).status, 200);
    assert_eq!(sandbox.requests().len(), 2);
}

#[test]
fn requests_are_written_down() {
    let sandbox = Sandbox::start(World::default().latency(Duration::from_millis(30)));
    let reply = submit(&sandbox, &one());
    let asked = sandbox.requests().remove(0);
    assert_eq!((asked.service, asked.method.as_str()), (Some(Service::RecordedFuture), "POST"));
    assert_eq!((asked.path.as_str(), asked.status), ("/collective-insights/detections", Some(200)));
    assert_eq!((asked.json(), asked.header("x-rftoken")), (Some(one()), Some(RF_TOKEN)));
    assert_eq!((asked.bytes_out, asked.complete), (reply.body.len() as u64, true));
    assert!(asked.ended.is_some_and(|ended| ended - asked.started >= Duration::from_millis(30)));
}

#[test]
fn overlapping_posts_are_seen() {
    let sandbox = Sandbox::start(World::default());
    sandbox
        .always(Service::RecordedFuture, Some(Fault::HangThenAnswer(Duration::from_millis(200))));
    submit(&sandbox, &one());
    assert!(!sandbox.overlapping_posts());
    std::thread::scope(|scope| {
        scope.spawn(|| submit(&sandbox, &one()));
        scope.spawn(|| submit(&sandbox, &one()));
    });
    assert!(sandbox.overlapping_posts());
}

#[test]
fn a_client_that_gave_up_leaves_nothing_under_way() {
    let sandbox = Sandbox::start(World::default());
    let hang = Fault::HangThenAnswer(Duration::from_secs(30));
    sandbox.script(Service::RecordedFuture, vec![hang]);
    give_up_after(&sandbox, Duration::from_millis(100));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(submit(&sandbox, &one()).status, 200);
    assert!(!sandbox.overlapping_posts());
    assert_eq!(sandbox.stored().len(), 1, "the work of a hang is not done for nobody");
}

/// Submits, and closes the connection before the answer comes.
fn give_up_after(sandbox: &Sandbox, patience: Duration) {
    let mut stream = TcpStream::connect(("127.0.0.1", sandbox.port())).expect("a connection");
    let body = one().to_string();
    let mut head = "POST /collective-insights/detections HTTP/1.1\r\nHost: sandbox\r\n".to_owned();
    for (name, value) in rf_headers(RF_TOKEN) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes()).expect("a request goes out");
    std::thread::sleep(patience);
}

#[test]
fn clients_that_accept_gzip_get_it() {
    let alerts: Vec<_> = (0..50).map(|n| json!({"composite_id": format!("id:{n}")})).collect();
    let sandbox = Sandbox::start(World::default().falcon_alerts(&alerts));
    let bearer = format!("Bearer {}", sign_in(&sandbox));
    let page = |coding: &str| {
        let headers = [JSON, ("Authorization", bearer.as_str()), ("Accept-Encoding", coding)];
        send(sandbox.port(), "POST", "/alerts/combined/alerts/v1", &headers, b"{}")
            .expect("an answer")
    };
    let packed = page("gzip, deflate");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_string(&mut text).expect("gzip");
    let count = |text: &str| {
        serde_json::from_str::<Value>(text).expect("JSON")["resources"].as_array().map(Vec::len)
    };
    assert_eq!(count(&text), Some(50));
    assert_eq!(count(&page("identity").text()), Some(50));
    sandbox.change(|world| world.gzip = false);
    assert_eq!(page("gzip").header("content-encoding"), None);
}

#[test]
#[should_panic(expected = "the sandbox panicked while it answered")]
fn a_panic_in_a_handler_fails_the_test() {
    let sandbox = Sandbox::start(World::default());
    // No answer can have such a status, so the handler panics.
    sandbox.script(Service::RecordedFuture, vec![Fault::status(7, "")]);
    assert!(try_submit(&sandbox, &one()).is_none());
    sandbox.finish();
}
