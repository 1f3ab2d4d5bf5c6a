//! Tests which base URLs are accepted, and to which host the requests go.

use crate::support::{RunOutput, TestEnv};
use sandbox::World;

fn test_env() -> TestEnv {
    TestEnv::new(World::default())
}

#[test]
fn plain_http_is_allowed_for_loopback_only() {
    for (vendor, flag) in [
        ("crowdstrike", "--base-url"),
        ("crowdstrike", "--rf-api-url"),
        ("carbonblack", "--hostname"),
    ] {
        for url in [
            "http://example.com",
            "http://10.0.0.1",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://[2606:4700::1]",
            "ftp://example.com",
            "https://user:pa55word@example.com",
            "https://example.com/path",
            "https://example.com/?x=1",
            "https://",
        ] {
            let env = test_env();
            let output = RunOutput::capture(env.command(vendor).args([flag, url])).assert_code(2);
            output.assert_stderr(&[flag, "is not valid", "for example"]);
            assert!(!output.stderr.contains("pa55word"), "{}", output.stderr);
            assert_eq!(env.sandbox.requests().len(), 0, "{url}");
        }
    }
    let env = test_env();
    let port = env.sandbox.port();
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{port}/");
        RunOutput::capture(
            env.command("carbonblack").args(["--hostname", &url, "--rf-api-url", &url]),
        )
        .assert_code(0);
    }
}

#[test]
fn an_organization_key_with_path_characters_is_rejected() {
    let env = test_env();
    for org in ["../x", "a/b", "a?b", "a b", "ä"] {
        let output =
            RunOutput::capture(env.command("carbonblack").args(["--org-id", org])).assert_code(2);
        output.assert_stderr(&["--org-id (CB_ORG_ID)"]);
    }
    assert_eq!(env.sandbox.requests().len(), 0);
}

#[test]
fn each_cloud_has_its_own_host() {
    // The sandbox is the proxy. It opens no tunnel, but records the host of the request.
    for (flag, host) in [
        ("", "api.crowdstrike.com"),
        ("--cloud us-1", "api.crowdstrike.com"),
        ("--cloud US-2", "api.us-2.crowdstrike.com"),
        ("--cloud us-3", "api.us-3.crowdstrike.com"),
        ("--cloud eu-1", "api.eu-1.crowdstrike.com"),
        ("--cloud us-gov-1", "api.laggar.gcw.crowdstrike.com"),
        ("--cloud us-gov-2", "api.us-gov-2.crowdstrike.mil"),
    ] {
        let env = test_env();
        let mut command = env.command(&format!("crowdstrike {flag}"));
        command.env("HTTPS_PROXY", env.sandbox.url());
        if flag.is_empty() {
            command.env_remove("CS_BASE_URL");
        }
        RunOutput::capture(&mut command).assert_code(5).assert_stderr(&[host]);
        let requests = env.sandbox.requests();
        assert!(!requests.is_empty());
        for request in requests {
            assert_eq!((request.method.as_str(), request.path), ("CONNECT", format!("{host}:443")));
        }
    }
}

#[test]
fn a_host_name_without_a_scheme_means_https() {
    let env = test_env();
    for host in ["defense.example.com", "https://defense.example.com/", " defense.example.com/ "] {
        let mut command = env.command("carbonblack");
        command.env("HTTPS_PROXY", env.sandbox.url()).env("CB_HOSTNAME", host);
        RunOutput::capture(&mut command).assert_code(5);
        let last = env.sandbox.requests().pop().unwrap();
        assert_eq!(last.path, "defense.example.com:443", "{host}");
    }
}
