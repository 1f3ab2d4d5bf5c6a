//! Proxies from the environment: with credentials, without, wrong ones, and none at all.

use std::net::TcpListener;
use std::process::Command;

use sandbox::{Fault, Service};

use crate::support::Ran;
use crate::support::failures::world;
use crate::support::https_env::{Internet, Proxy};
use crate::support::real_proxy::{PASSWORD, Program, USER};
use crate::support::secret_scan::nothing_shows;
use crate::support::vendor::Vendor;

/// A password as administrators like them.
const AWKWARD: &str = "p@ss:w/rd %42#?";
const AWKWARD_IN_A_URL: &str = "p%40ss%3Aw%2Frd%20%2542%23%3F";
/// `batch:` and the password, as RFC 7617 has it.
const AWKWARD_AS_SENT: &str = "Basic YmF0Y2g6cEBzczp3L3JkICU0MiM/";

/// A command whose services are all behind the front, at its address, and which trusts it.
fn behind_the_front(internet: &Internet, arguments: &str) -> Command {
    let mut command = internet.command(arguments);
    let url = internet.front.url();
    command
        .args(["--ca-cert", "ca.pem"])
        .env_remove("HTTPS_PROXY")
        .env("CS_BASE_URL", &url)
        .env("CB_HOSTNAME", &url)
        .env("RF_API_URL", &url);
    command
}

#[test]
fn a_real_proxy_carries_a_run() {
    let installed = Program::installed();
    if installed.is_empty() {
        println!("skipped: neither tinyproxy nor squid is installed");
    }
    for program in installed {
        for (vendor, asked) in [(Vendor::CrowdStrike, 3), (Vendor::CarbonBlack, 2)] {
            let proxy = program.start();
            let internet = Internet::new(world());
            let mut command = behind_the_front(&internet, vendor.command());
            let credentials = format!("{USER}:{PASSWORD}@");
            command.arg("--debug").env("HTTPS_PROXY", proxy.url(&credentials));
            let ran = Ran::of(&mut command).ended(0);
            assert_eq!(internet.stage.sandbox.requests().len(), asked, "{program:?}");
            let way = format!("CONNECT 127.0.0.1:{}", internet.front.port);
            assert!(proxy.log().contains(&way), "{program:?}: {}", proxy.log());
            // It says which proxy it goes through, and nobody sees the password.
            let told = format!("using proxy 127.0.0.1:{} (HTTPS_PROXY)", proxy.port);
            ran.says(&[&told]);
            nothing_shows(&internet.stage, &ran, &[PASSWORD]);
        }
    }
}

#[test]
fn a_real_proxy_that_does_not_know_us_says_so() {
    const WRONG: &str = "wr0ngPr0xyS3cret";
    let installed = Program::installed();
    if installed.is_empty() {
        println!("skipped: neither tinyproxy nor squid is installed");
    }
    for program in installed {
        let proxy = program.start();
        for credentials in [String::new(), format!("{USER}:{WRONG}@")] {
            let internet = Internet::new(world());
            let mut command = behind_the_front(&internet, "crowdstrike --debug");
            command.env("HTTPS_PROXY", proxy.url(&credentials));
            let ran = Ran::of(&mut command);
            let name = format!("proxy 127.0.0.1:{}", proxy.port);
            ran.says(&["error: ", "127.0.0.1", &name, "HTTPS_PROXY", "password"]);
            // tinyproxy takes a wrong password for the host's matter, and answers 401.
            let vague = program == Program::Tinyproxy && !credentials.is_empty();
            let ran = ran.ended(if vague { 5 } else { 4 });
            assert_eq!(ran.stderr.contains("(407)"), !vague, "{program:?}");
            assert_eq!(internet.asked(), [""; 0]);
            nothing_shows(&internet.stage, &ran, &[WRONG]);
        }
    }
}

#[test]
fn a_real_proxy_carries_plain_http_too() {
    let installed = Program::installed();
    if installed.is_empty() {
        println!("skipped: neither tinyproxy nor squid is installed");
    }
    for program in installed {
        let proxy = program.start();
        let internet = Internet::new(world());
        let url = internet.stage.sandbox.url();
        let run = |credentials: &str| {
            let mut command = behind_the_front(&internet, "crowdstrike --debug");
            command
                .env("CS_BASE_URL", &url)
                .env("RF_API_URL", &url)
                .env("HTTP_PROXY", proxy.url(credentials));
            Ran::of(&mut command)
        };
        let ran = run("").ended(4);
        ran.says(&["requires a user name and a password", "(407)"]);
        assert_eq!(internet.asked(), [""; 0]);
        let ran = run(&format!("{USER}:{PASSWORD}@")).ended(0);
        assert_eq!(internet.asked().len(), 3);
        nothing_shows(&internet.stage, &ran, &[PASSWORD]);
    }
}

/// What a proxy says that wants credentials.
fn who_are_you(head: &str) -> Option<String> {
    let known = head
        .lines()
        .any(|line| line.eq_ignore_ascii_case(&format!("Proxy-Authorization: {AWKWARD_AS_SENT}")));
    // A careless one repeats what it was asked with.
    (!known).then(|| {
        let body = format!("no: {head}");
        let length = body.len();
        format!("HTTP/1.1 407 {head:?}\r\nProxy-Authenticate: Basic realm=\"{AWKWARD}\"\r\nContent-Length: {length}\r\n\r\n{body}")
    })
}

#[test]
fn credentials_are_taken_from_the_url_in_each_variable() {
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let internet = Internet::new(world());
        let proxy = Proxy::new(internet.front.port, who_are_you);
        let url = |password: &str| format!("http://batch:{password}@127.0.0.1:{}", proxy.port);
        let mut command = internet.command("crowdstrike --debug --ca-cert ca.pem");
        command.env_remove("HTTPS_PROXY").env(name, url(AWKWARD_IN_A_URL));
        let ran = Ran::of(&mut command).ended(0);
        assert!(proxy.wanted().contains(&"api.crowdstrike.com:443".to_owned()));
        assert_eq!(internet.asked().len(), 3);
        ran.says(&[&format!("({name})")]);
        nothing_shows(&internet.stage, &ran, &[AWKWARD, AWKWARD_AS_SENT]);
    }
}

#[test]
fn a_407_is_final_and_shows_nothing() {
    for (credentials, secret) in [
        ("", "no credentials at all"),
        ("batch@", "no password at all"),
        ("batch:wr0ng-pr0xy-s3cret@", "wr0ng-pr0xy-s3cret"),
        ("batch:wr0ng%2Bpr0xy%40s3cret@", "wr0ng+pr0xy@s3cret"),
    ] {
        for arguments in ["crowdstrike --debug", "carbonblack --json", "check crowdstrike"] {
            let internet = Internet::new(world());
            let proxy = Proxy::new(internet.front.port, who_are_you);
            let mut command = internet.command(&format!("{arguments} --ca-cert ca.pem"));
            let url = format!("http://{credentials}127.0.0.1:{}", proxy.port);
            command.env("HTTPS_PROXY", url).env_remove("COLLECTIVE_INSIGHTS_TEST_NOW");
            let ran = Ran::of(&mut command).ended(4);
            let all = format!("{}{}", ran.stdout, ran.stderr);
            for words in [
                &format!("the proxy 127.0.0.1:{}", proxy.port),
                "requires a user name and a password",
                "http://USER:PASSWORD@HOST:PORT",
            ] {
                assert!(all.contains(words), "no {words:?} in {all}");
            }
            // A check asks each of its two services once.
            let tries = if arguments.starts_with("check") { 2 } else { 1 };
            assert_eq!(proxy.wanted().len(), tries, "it is not tried again");
            assert_eq!(internet.asked(), [""; 0]);
            nothing_shows(&internet.stage, &ran, &[secret]);
        }
    }
}

#[test]
fn a_407_in_a_services_place_is_the_proxys() {
    // Over plain HTTP a proxy answers in the service's place.
    let internet = Internet::new(world());
    let sandbox = &internet.stage.sandbox;
    let echo = Fault::status(407, "batch:pr0xy-s3cret-t00");
    sandbox.always(Service::FalconToken, Some(echo));
    let mut command = internet.stage.command("crowdstrike --debug");
    let url = format!("http://batch:pr0xy-s3cret-t00@127.0.0.1:{}", sandbox.port());
    let ran = Ran::of(command.env("HTTP_PROXY", url)).ended(4);
    ran.says(&["requires a user name and a password"]);
    assert_eq!(internet.stage.asked(Service::FalconToken), 1);
    nothing_shows(&internet.stage, &ran, &["pr0xy-s3cret-t00"]);
}

#[test]
fn a_proxy_that_repeats_its_password_is_not_quoted_with_it() {
    for said in [AWKWARD, AWKWARD_IN_A_URL, AWKWARD_AS_SENT] {
        for code in [400, 403, 503] {
            let internet = Internet::new(world());
            let sandbox = &internet.stage.sandbox;
            let echo = Fault::status(code, format!("I was told {said}!"));
            sandbox.always(Service::FalconToken, Some(echo));
            let mut command = internet.stage.command("crowdstrike --debug");
            let port = sandbox.port();
            let url = format!("http://batch:{AWKWARD_IN_A_URL}@127.0.0.1:{port}");
            let ran = Ran::of(command.env("HTTP_PROXY", url));
            assert_ne!(ran.code, 0);
            ran.says(&["I was told ", "[secret]!"]);
            nothing_shows(&internet.stage, &ran, &[AWKWARD, AWKWARD_AS_SENT]);
        }
    }
}

#[test]
fn hosts_in_no_proxy_are_reached_without_it() {
    for (host, name, value, through) in [
        ("127.0.0.1", "NO_PROXY", "127.0.0.1", false),
        ("127.0.0.1", "no_proxy", "example.com, 127.0.0.0/8", false),
        ("localhost", "NO_PROXY", "example.com,localhost", false),
        ("localhost", "NO_PROXY", "*", false),
        ("127.0.0.1", "NO_PROXY", "example.com", true),
        ("localhost", "NO_PROXY", "host,127.0.0.1", true),
        ("127.0.0.1", "NO_PROXY", "", true),
    ] {
        let internet = Internet::new(world());
        let url = format!("https://{host}:{}", internet.front.port);
        let mut command = behind_the_front(&internet, "crowdstrike");
        command
            .env("CS_BASE_URL", &url)
            .env("RF_API_URL", &url)
            .env("HTTPS_PROXY", internet.proxy.url())
            .env(name, value);
        Ran::of(&mut command).ended(0);
        assert_eq!(internet.stage.items().len(), 1);
        let went_through = !internet.proxy.wanted().is_empty();
        assert_eq!(went_through, through, "{host} with {name}={value}");
    }
}

#[test]
fn a_proxy_that_cannot_be_used_ends_the_run_before_it_begins() {
    for (name, value, words) in [
        // As typed, not percent-encoded: half of the password would be a host to look up.
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
            let internet = Internet::new(world());
            let mut command = behind_the_front(&internet, arguments);
            let ran = Ran::of(command.env(name, value)).ended(2);
            let all = format!("{}{}", ran.stdout, ran.stderr);
            for words in [name, words, "http://HOST:PORT"] {
                assert!(all.contains(words), "no {words:?} in {all}");
            }
            assert!(!all.contains(value), "{all}");
            assert_eq!(internet.stage.sandbox.requests().len(), 0);
            assert!(!internet.stage.path("collective-insights.db").exists());
            nothing_shows(&internet.stage, &ran, &["w0rd-never-seen"]);
        }
    }
}

#[test]
fn an_unused_proxy_for_all_does_no_harm() {
    let internet = Internet::new(world());
    let mut command = internet.command("crowdstrike --ca-cert ca.pem");
    Ran::of(command.env("ALL_PROXY", "socks5://127.0.0.1:1")).ended(0);
    assert_eq!(internet.stage.items().len(), 1);
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let internet = Internet::new(world());
    let mut command = internet.command("crowdstrike");
    let url = format!("http://batch:pr0xy-s3cret@127.0.0.1:{port}");
    let ran = Ran::of(command.env("HTTPS_PROXY", url)).ended(5);
    let words =
        format!("could not connect to api.crowdstrike.com through the proxy 127.0.0.1:{port}");
    ran.says(&[&words, "HTTPS_PROXY", "NO_PROXY"]);
    nothing_shows(&internet.stage, &ran, &["pr0xy-s3cret"]);
}

#[test]
fn a_proxy_that_lets_nobody_pass_is_named() {
    let internet = Internet::new(world());
    let proxy = Proxy::new(internet.front.port, |_| {
        Some("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".into())
    });
    let ran = Ran::of(internet.command("crowdstrike").env("HTTPS_PROXY", proxy.url())).ended(5);
    ran.says(&["through the proxy", "allows this host"]);
}
