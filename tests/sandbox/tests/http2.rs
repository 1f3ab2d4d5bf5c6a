//! Tests of the sandbox's faults for HTTP/2: a refused stream, GOAWAY with an error, and a panic.

mod common;

use std::time::Duration;

use common::*;
use h2::Reason;
use sandbox::{Fault, RF_TOKEN, Sandbox, Service, World};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

fn one_item() -> Value {
    batch(&[item("hash", "00112233445566778899aabbccddeeff")])
}

/// The outcome of two requests: a status or an error.
type Outcomes = [Result<u16, h2::Error>; 2];

/// Submits twice at the same time over one HTTP/2 connection, with these faults. Returns the
/// outcomes, and the task that ends with the connection.
async fn submit_twice(
    sandbox: &Sandbox,
    faults: Vec<Fault>,
) -> (Outcomes, JoinHandle<Result<(), h2::Error>>) {
    sandbox.queue_faults(Service::RecordedFuture, faults);
    let stream = TcpStream::connect(("127.0.0.1", sandbox.port())).await.expect("a connection");
    let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let mut responses = Vec::new();
    for _ in 0..2 {
        let mut request = hyper::Request::post("http://sandbox/collective-insights/detections");
        for (name, value) in rf_headers(RF_TOKEN) {
            request = request.header(name, value);
        }
        client = client.ready().await.expect("a client that can send");
        let request = request.body(()).expect("a valid request");
        let (response, mut body) = client.send_request(request, false).expect("a request");
        body.send_data(one_item().to_string().into(), true).expect("the body is sent");
        responses.push(response);
    }
    let [first, second] = responses.try_into().expect("two responses");
    let outcomes = [first.await, second.await];
    (outcomes.map(|outcome| outcome.map(|response| response.status().as_u16())), connection)
}

#[tokio::test]
async fn a_refused_stream_leaves_the_other_requests() {
    let sandbox = Sandbox::start(World::default());
    let ([first, second], _) = submit_twice(&sandbox, vec![Fault::RefuseStream]).await;
    // Either request can be the first.
    let (error, status) = match (first, second) {
        (Err(error), Ok(status)) | (Ok(status), Err(error)) => (error, status),
        other => panic!("one request is refused: {other:?}"),
    };
    assert!(error.is_reset() && error.is_remote(), "{error}");
    assert_eq!((error.reason(), status), (Some(Reason::REFUSED_STREAM), 200));
    assert_eq!(sandbox.stored().len(), 1);
}

#[tokio::test]
async fn an_abrupt_goaway_ends_all_requests() {
    let sandbox = Sandbox::start(World::default());
    let hang = Fault::HangThenRespond(Duration::from_mins(1));
    let (outcomes, connection) = submit_twice(&sandbox, vec![hang, Fault::GoAwayWithError]).await;
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
    let error = connection.await.expect("no panic").expect_err("an error");
    assert!(error.is_go_away() && error.is_remote(), "{error}");
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    assert_eq!(sandbox.stored().len(), 0);
}

#[test]
fn over_http1_a_refused_stream_and_an_abrupt_goaway_close_the_connection() {
    for fault in [Fault::RefuseStream, Fault::GoAwayWithError] {
        let sandbox = Sandbox::start(World::default());
        sandbox.queue_faults(Service::RecordedFuture, vec![fault]);
        assert!(try_submit(&sandbox, &one_item()).is_none());
        assert_eq!(submit(&sandbox, &one_item()).status, 200);
        assert_eq!(sandbox.stored().len(), 1);
    }
}

#[tokio::test]
#[should_panic(expected = "the sandbox panicked while it handled a request")]
async fn a_panic_in_a_handler_fails_the_test_over_http2_too() {
    let sandbox = Sandbox::start(World::default());
    // This status is invalid, so the handler panics.
    let (outcomes, _) = submit_twice(&sandbox, vec![Fault::status(1, "")]).await;
    assert!(outcomes.iter().any(Result::is_err));
    sandbox.finish();
}
