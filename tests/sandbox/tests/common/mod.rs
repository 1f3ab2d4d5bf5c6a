//! A small blocking HTTP client that does not repair, retry or hide anything, and functions that
//! send the requests of each service with it.

#![allow(dead_code, reason = "no test file uses all of it")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use sandbox::{CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, Sandbox};
use serde_json::{Value, json};

/// A response, possibly incomplete.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Reports whether the body is as long as its `Content-Length`.
    pub fn is_complete(&self) -> bool {
        self.header("content-length").and_then(|length| length.parse().ok())
            == Some(self.body.len())
    }
}

/// Sends one request. Returns `None` if the connection is refused, or closed before the head is
/// complete.
pub fn send(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Response> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut response = Vec::new();
    // A reset ends the response just like a regular close; a service that hangs is a failed test.
    if let Err(error) = stream.read_to_end(&mut response) {
        assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    }
    let split = response.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&response[..split]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Response { status, head, body: response[split + 4..].to_vec() })
}

pub const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
pub const JSON: (&str, &str) = ("Content-Type", "application/json");

pub fn sign_in_with(sandbox: &Sandbox, form: &str) -> Response {
    send(sandbox.port(), "POST", "/oauth2/token", &[FORM], form.as_bytes()).expect("a response")
}

pub fn sign_in(sandbox: &Sandbox) -> String {
    let response =
        sign_in_with(sandbox, &format!("client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}"));
    assert_eq!(response.status, 201, "{}", response.text());
    response.json()["access_token"].as_str().expect("a token").to_owned()
}

pub fn falcon(sandbox: &Sandbox, token: &str, body: &Value) -> Response {
    let bearer = format!("Bearer {token}");
    let headers = [JSON, ("Authorization", bearer.as_str())];
    send(
        sandbox.port(),
        "POST",
        "/alerts/combined/alerts/v1",
        &headers,
        body.to_string().as_bytes(),
    )
    .expect("a response")
}

/// Reads all pages. Returns the ids and the number of requests.
pub fn falcon_pages(sandbox: &Sandbox, query: &Value) -> (Vec<String>, usize) {
    let token = sign_in(sandbox);
    let (mut ids, mut pages, mut query) = (Vec::new(), 0, query.clone());
    loop {
        let response = falcon(sandbox, &token, &query);
        assert_eq!(response.status, 200, "{}", response.text());
        pages += 1;
        let page = response.json();
        let resources = page["resources"].as_array().cloned().unwrap_or_default();
        ids.extend(
            resources.iter().map(|alert| alert["composite_id"].as_str().unwrap_or("?").to_owned()),
        );
        match page["meta"]["pagination"]["after"].as_str() {
            Some(after) if !after.is_empty() && !resources.is_empty() => {
                query["after"] = after.into()
            }
            _ => return (ids, pages),
        }
    }
}

pub fn carbon_black_with(sandbox: &Sandbox, org: &str, auth: &str, body: &Value) -> Response {
    let path = format!("/api/alerts/v7/orgs/{org}/alerts/_search");
    let headers = [JSON, ("X-Auth-Token", auth)];
    send(sandbox.port(), "POST", &path, &headers, body.to_string().as_bytes()).expect("a response")
}

pub fn carbon_black(sandbox: &Sandbox, body: &Value) -> Response {
    carbon_black_with(sandbox, CB_ORG, &format!("{CB_SECRET}/{CB_API_ID}"), body)
}

pub fn rf_headers(token: &str) -> Vec<(&str, &str)> {
    vec![
        JSON,
        ("Accept", "application/json"),
        ("User-Agent", "collective-insights/0.0.0 (test)"),
        ("X-RFToken", token),
    ]
}

/// Returns `None` if the connection was closed without a response.
pub fn try_submit(sandbox: &Sandbox, body: &Value) -> Option<Response> {
    let headers = rf_headers(RF_TOKEN);
    send(
        sandbox.port(),
        "POST",
        "/collective-insights/detections",
        &headers,
        body.to_string().as_bytes(),
    )
}

pub fn submit(sandbox: &Sandbox, body: &Value) -> Response {
    try_submit(sandbox, body).expect("a response")
}

pub fn item(kind: &str, value: &str) -> Value {
    json!({
        "timestamp": "2026-11-21T08:00:00.000Z",
        "ioc": {"type": kind, "value": value, "source_type": "crowdstrike:falcon", "field": "ioc_value"},
        "detection": {"type": "correlation", "id": "made-up:1", "name": "made up"},
    })
}

pub fn batch(items: &[Value]) -> Value {
    json!({"options": {"debug": false, "summary": true}, "data": items})
}
