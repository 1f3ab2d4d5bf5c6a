//! Tests of proxies that the environment names: with and without credentials, invalid, unreachable,
//! and bypassed with `NO_PROXY`.

use std::net::TcpListener;
use std::process::Command;

use sandbox::{Fault, Service};

use crate::support::RunOutput;
use crate::support::failures::one_alert_per_vendor;
use crate::support::https_env::{ConnectProxy, HttpsEnv};
use crate::support::real_proxy::{PASSWORD, ProxyProgram, USER};
use crate::support::secret_scan::assert_no_secrets;
use crate::support::vendor::Vendor;

/// A password with characters that a URL must encode.
const SPECIAL_PASSWORD: &str = "p@ss:w/rd %42#?";
const SPECIAL_PASSWORD_IN_URL: &str = "p%40ss%3Aw%2Frd%20%2542%23%3F";
/// The header for the user `batch` and this password (RFC 7617).
const SPECIAL_PASSWORD_HEADER: &str = "Basic YmF0Y2g6cEBzczp3L3JkICU0MiM/";

/// Returns a command that connects to the TLS port in front of the sandbox by its URL instead of
/// the real host names, and trusts its CA.
fn behind_terminator(https: &HttpsEnv, arguments: &str) -> Command {
    let mut command = https.command(arguments);
    let url = https.terminator.url();
    command
        .args(["--ca-cert", "ca.pem"])
        .env_remove("HTTPS_PROXY")
        .env("CS_BASE_URL", &url)
        .env("CB_HOSTNAME", &url)
        .env("RF_API_URL", &url);
    command
}

#[test]
fn a_run_works_through_a_real_proxy() {
    let installed = ProxyProgram::installed();
    if installed.is_empty() {
        println!("skipped: neither tinyproxy nor squid is installed");
    }
    for program in installed {
        for (vendor, requests) in [(Vendor::CrowdStrike, 3), (Vendor::CarbonBlack, 2)] {
            let proxy = program.start();
            let https = HttpsEnv::new(one_alert_per_vendor());
            let mut command = behind_terminator(&https, vendor.command());
            let credentials = format!("{USER}:{PASSWORD}@");
            command.arg("--debug").env("HTTPS_PROXY", proxy.url(&credentials));
            let output = RunOutput::capture(&mut command).assert_code(0);
            assert_eq!(https.env.sandbox.requests().len(), requests, "{program:?}");
            let connect = format!("CONNECT 127.0.0.1:{}", https.terminator.port);
            assert!(proxy.log().contains(&connect), "{program:?}: {}", proxy.log());
            // The log names the proxy, without the password.
            let message = format!("using proxy 127.0.0.1:{} (HTTPS_PROXY)", proxy.port);
            output.assert_stderr(&[&message]);
            assert_no_secrets(&https.env, &output, &[PASSWORD]);
        }
    }
}

#[test]
fn a_real_proxy_that_rejects_the_credentials_is_an_error() {
    const WRONG: &str = "wr0ngPr0xyS3cret";
    let installed = ProxyProgram::installed();
    if installed.is_empty() {
        println!("skipped: neither tinyproxy nor squid is installed");
    }
    for program in installed {
        let proxy = program.start();
        for credentials in [String::new(), format!("{USER}:{WRONG}@")] {
            let https = HttpsEnv::new(one_alert_per_vendor());
            let mut command = behind_terminator(&https, "crowdstrike --debug");
            command.env("HTTPS_PROXY", proxy.url(&credentials));
            let output = RunOutput::capture(&mut command);
            let name = format!("proxy 127.0.0.1:{}", proxy.port);
            output.assert_stderr(&["error: ", "127.0.0.1", &name, "HTTPS_PROXY", "password"]);
            // tinyproxy responds 401 to a wrong password, as if the host had rejected it.
            let responds_401 = program == ProxyProgram::Tinyproxy && !credentials.is_empty();
            let output = output.assert_code(if responds_401 { 5 } else { 4 });
            assert_eq!(output.stderr.contains("(407)"), !responds_401, "{program:?}");
            assert_eq!(https.requested(), [""; 0]);
            assert_no_secrets(&https.env, &output, &[WRONG]);
        }
    }
}

#[test]
fn a_real_proxy_works_for_plain_http_too() {
    let installed = ProxyProgram::installed();
    if installed.is_empty() {
        println!("skipped: neither tinyproxy nor squid is installed");
    }
    for program in installed {
        let proxy = program.start();
        let https = HttpsEnv::new(one_alert_per_vendor());
        let url = https.env.sandbox.url();
        let run = |credentials: &str| {
            let mut command = behind_terminator(&https, "crowdstrike --debug");
            command
                .env("CS_BASE_URL", &url)
                .env("RF_API_URL", &url)
                .env("HTTP_PROXY", proxy.url(credentials));
            RunOutput::capture(&mut command)
        };
        let output = run("").assert_code(4);
        output.assert_stderr(&["requires a user name and a password", "(407)"]);
        assert_eq!(https.requested(), [""; 0]);
        let output = run(&format!("{USER}:{PASSWORD}@")).assert_code(0);
        assert_eq!(https.requested().len(), 3);
        assert_no_secrets(&https.env, &output, &[PASSWORD]);
    }
}

/// Returns the 407 of a proxy that requires credentials, unless the head has the right ones.
fn require_credentials(head: &str) -> Option<String> {
    let authorized = head.lines().any(|line| {
        line.eq_ignore_ascii_case(&format!("Proxy-Authorization: {SPECIAL_PASSWORD_HEADER}"))
    });
    // The response repeats the request, secrets included, as those of some proxies do.
    (!authorized).then(|| {
        let body = format!("no: {head}");
        let length = body.len();
        format!("HTTP/1.1 407 {head:?}\r\nProxy-Authenticate: Basic realm=\"{SPECIAL_PASSWORD}\"\r\nContent-Length: {length}\r\n\r\n{body}")
    })
}

#[test]
fn credentials_are_read_from_the_url_in_each_variable() {
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let https = HttpsEnv::new(one_alert_per_vendor());
        // It forwards every host to the sandbox.
        let proxy = ConnectProxy::with_rejections(https.terminator.port, require_credentials);
        let url = |password: &str| format!("http://batch:{password}@127.0.0.1:{}", proxy.port);
        let mut command = https.command("crowdstrike --debug --ca-cert ca.pem");
        command.env_remove("HTTPS_PROXY").env(name, url(SPECIAL_PASSWORD_IN_URL));
        let output = RunOutput::capture(&mut command).assert_code(0);
        assert!(proxy.targets().contains(&"api.crowdstrike.com:443".to_owned()));
        assert_eq!(https.requested().len(), 3);
        output.assert_stderr(&[&format!("({name})")]);
        assert_no_secrets(&https.env, &output, &[SPECIAL_PASSWORD, SPECIAL_PASSWORD_HEADER]);
    }
}

#[test]
fn a_407_is_not_retried_and_shows_no_secret() {
    for (credentials, secret) in [
        // There is no secret: these texts are in no output.
        ("", "no credentials at all"),
        ("batch@", "no password at all"),
        ("batch:wr0ng-pr0xy-s3cret@", "wr0ng-pr0xy-s3cret"),
        ("batch:wr0ng%2Bpr0xy%40s3cret@", "wr0ng+pr0xy@s3cret"),
    ] {
        for arguments in ["crowdstrike --debug", "carbonblack --json", "check crowdstrike"] {
            let https = HttpsEnv::new(one_alert_per_vendor());
            // It forwards every host to the sandbox.
            let proxy = ConnectProxy::with_rejections(https.terminator.port, require_credentials);
            let mut command = https.command(&format!("{arguments} --ca-cert ca.pem"));
            let url = format!("http://{credentials}127.0.0.1:{}", proxy.port);
            let output = RunOutput::capture(command.env("HTTPS_PROXY", url)).assert_code(4);
            let all = format!("{}{}", output.stdout, output.stderr);
            for text in [
                &format!("the proxy 127.0.0.1:{}", proxy.port),
                "requires a user name and a password",
                "http://USER:PASSWORD@HOST:PORT",
            ] {
                assert!(all.contains(text), "no {text:?} in {all}");
            }
            // `check` connects to each of its two services once.
            let attempts = if arguments.starts_with("check") { 2 } else { 1 };
            assert_eq!(proxy.targets().len(), attempts, "it is not retried");
            assert_eq!(https.requested(), [""; 0]);
            assert_no_secrets(&https.env, &output, &[secret]);
        }
    }
}

#[test]
fn a_407_over_plain_http_is_an_error_of_the_proxy() {
    // Over plain HTTP, the response of the proxy looks like a response of the service.
    let https = HttpsEnv::new(one_alert_per_vendor());
    let sandbox = &https.env.sandbox;
    let echo = Fault::status(407, "batch:pr0xy-s3cret-t00");
    sandbox.always(Service::FalconToken, Some(echo));
    let mut command = https.env.command("crowdstrike --debug");
    let url = format!("http://batch:pr0xy-s3cret-t00@127.0.0.1:{}", sandbox.port());
    let output = RunOutput::capture(command.env("HTTP_PROXY", url)).assert_code(4);
    output.assert_stderr(&["requires a user name and a password"]);
    assert_eq!(https.env.request_count(Service::FalconToken), 1);
    assert_no_secrets(&https.env, &output, &["pr0xy-s3cret-t00"]);
}

#[test]
fn a_password_that_a_proxy_repeats_is_masked() {
    for repeated in [SPECIAL_PASSWORD, SPECIAL_PASSWORD_IN_URL, SPECIAL_PASSWORD_HEADER] {
        for code in [400, 403, 503] {
            let https = HttpsEnv::new(one_alert_per_vendor());
            let sandbox = &https.env.sandbox;
            let echo = Fault::status(code, format!("rejected credentials {repeated}!"));
            sandbox.always(Service::FalconToken, Some(echo));
            let mut command = https.env.command("crowdstrike --debug");
            let port = sandbox.port();
            let url = format!("http://batch:{SPECIAL_PASSWORD_IN_URL}@127.0.0.1:{port}");
            let output = RunOutput::capture(command.env("HTTP_PROXY", url));
            assert_ne!(output.code, 0);
            output.assert_stderr(&["rejected credentials ", "[secret]!"]);
            assert_no_secrets(&https.env, &output, &[SPECIAL_PASSWORD, SPECIAL_PASSWORD_HEADER]);
        }
    }
}

#[test]
fn hosts_in_no_proxy_are_connected_to_directly() {
    for (host, name, value, through_proxy) in [
        ("127.0.0.1", "NO_PROXY", "127.0.0.1", false),
        ("127.0.0.1", "no_proxy", "example.com, 127.0.0.0/8", false),
        ("localhost", "NO_PROXY", "example.com,localhost", false),
        ("localhost", "NO_PROXY", "*", false),
        ("127.0.0.1", "NO_PROXY", "example.com", true),
        ("localhost", "NO_PROXY", "host,127.0.0.1", true),
        ("127.0.0.1", "NO_PROXY", "", true),
    ] {
        let https = HttpsEnv::new(one_alert_per_vendor());
        let url = format!("https://{host}:{}", https.terminator.port);
        let mut command = behind_terminator(&https, "crowdstrike");
        command
            .env("CS_BASE_URL", &url)
            .env("RF_API_URL", &url)
            .env("HTTPS_PROXY", https.proxy.url())
            .env(name, value);
        RunOutput::capture(&mut command).assert_code(0);
        assert_eq!(https.env.items().len(), 1);
        let proxy_used = !https.proxy.targets().is_empty();
        assert_eq!(proxy_used, through_proxy, "{host} with {name}={value}");
    }
}

#[test]
fn an_invalid_proxy_ends_the_run_before_any_request() {
    for (name, value, text) in [
        // Not percent-encoded: a part of the password would be resolved as a host name.
        ("HTTPS_PROXY", "http://batch:p@w0rd-never-seen/x@127.0.0.1:1", "is not a valid proxy URL"),
        ("HTTPS_PROXY", "http://batch:p@w0rd-never-seen@127.0.0.1:1", "is not a valid proxy URL"),
        ("HTTPS_PROXY", "http://w0rd-never-seen:1/p@127.0.0.1:1", "is not a valid proxy URL"),
        ("HTTPS_PROXY", "w0rd-never-seen:1#p@127.0.0.1:1", "is not a valid proxy URL"),
        ("HTTPS_PROXY", "w0rd-never-seen:1?p@127.0.0.1:1", "is not a valid proxy URL"),
        ("HTTPS_PROXY", "not a url", "is not a valid proxy URL"),
        ("HTTPS_PROXY", "http:///", "is not a valid proxy URL"),
        ("https_proxy", "ftp://127.0.0.1:1", "is not a valid proxy URL"),
        ("HTTPS_PROXY", "socks5://batch:w0rd-never-seen@127.0.0.1:1", "SOCKS"),
        ("ALL_PROXY", "socks5h://127.0.0.1:1", "SOCKS"),
    ] {
        for arguments in ["crowdstrike --debug", "carbonblack", "check crowdstrike"] {
            let https = HttpsEnv::new(one_alert_per_vendor());
            let mut command = behind_terminator(&https, arguments);
            let output = RunOutput::capture(command.env(name, value)).assert_code(2);
            let all = format!("{}{}", output.stdout, output.stderr);
            for text in [name, text, "http://HOST:PORT"] {
                assert!(all.contains(text), "no {text:?} in {all}");
            }
            assert!(!all.contains(value), "{all}");
            assert_eq!(https.env.sandbox.requests().len(), 0);
            assert!(!https.env.path("collective-insights.db").exists());
            assert_no_secrets(&https.env, &output, &["w0rd-never-seen"]);
        }
    }
}

#[test]
fn an_unused_all_proxy_is_ignored() {
    let https = HttpsEnv::new(one_alert_per_vendor());
    // The command has `HTTPS_PROXY`, which takes precedence.
    let mut command = https.command("crowdstrike --ca-cert ca.pem");
    RunOutput::capture(command.env("ALL_PROXY", "socks5://127.0.0.1:1")).assert_code(0);
    assert_eq!(https.env.items().len(), 1);
}

#[test]
fn an_unreachable_proxy_is_named_in_the_error() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let https = HttpsEnv::new(one_alert_per_vendor());
    let mut command = https.command("crowdstrike");
    let url = format!("http://batch:pr0xy-s3cret@127.0.0.1:{port}");
    let output = RunOutput::capture(command.env("HTTPS_PROXY", url)).assert_code(5);
    let message =
        format!("cannot connect to api.crowdstrike.com through the proxy 127.0.0.1:{port}");
    output.assert_stderr(&[&message, "HTTPS_PROXY", "NO_PROXY"]);
    assert_no_secrets(&https.env, &output, &["pr0xy-s3cret"]);
}

#[test]
fn a_proxy_that_rejects_the_host_is_named_in_the_error() {
    let https = HttpsEnv::new(one_alert_per_vendor());
    let proxy = ConnectProxy::with_rejections(https.terminator.port, |_| {
        Some("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".into())
    });
    let output = RunOutput::capture(https.command("crowdstrike").env("HTTPS_PROXY", proxy.url()))
        .assert_code(5);
    output.assert_stderr(&["through the proxy", "allows this host"]);
}
