//! Where requests go: which addresses are taken, and which host each of them means.

use crate::support::{Ran, Stage};
use sandbox::World;

fn stage() -> Stage {
    Stage::new(World::default())
}

#[test]
fn plain_http_is_for_loopback_only() {
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
            let stage = stage();
            let ran = Ran::of(stage.command(vendor).args([flag, url])).ended(2);
            ran.says(&[flag, "is not valid", "for example"]);
            assert!(!ran.stderr.contains("pa55word"), "{}", ran.stderr);
            assert_eq!(stage.sandbox.requests().len(), 0, "{url}");
        }
    }
    let stage = stage();
    let port = stage.sandbox.port();
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{port}/");
        Ran::of(stage.command("carbonblack").args(["--hostname", &url, "--rf-api-url", &url]))
            .ended(0);
    }
}

#[test]
fn an_organization_key_is_no_path() {
    let stage = stage();
    for org in ["../x", "a/b", "a?b", "a b", "ä"] {
        let ran = Ran::of(stage.command("carbonblack").args(["--org-id", org])).ended(2);
        ran.says(&["--org-id (CB_ORG_ID)"]);
    }
    assert_eq!(stage.sandbox.requests().len(), 0);
}

#[test]
fn each_cloud_is_its_own_host() {
    // The sandbox as the proxy: what is asked of it tells where the tool wants to go.
    for (flag, host) in [
        ("", "api.crowdstrike.com"),
        ("--cloud us-1", "api.crowdstrike.com"),
        ("--cloud US-2", "api.us-2.crowdstrike.com"),
        ("--cloud us-3", "api.us-3.crowdstrike.com"),
        ("--cloud eu-1", "api.eu-1.crowdstrike.com"),
        ("--cloud us-gov-1", "api.laggar.gcw.crowdstrike.com"),
        ("--cloud us-gov-2", "api.us-gov-2.crowdstrike.mil"),
    ] {
        let stage = stage();
        let mut command = stage.command(&format!("crowdstrike {flag}"));
        command.env("HTTPS_PROXY", stage.sandbox.url());
        if flag.is_empty() {
            command.env_remove("CS_BASE_URL");
        }
        Ran::of(&mut command).ended(5).says(&[host]);
        let asked = stage.sandbox.requests();
        assert!(!asked.is_empty());
        for asked in asked {
            assert_eq!((asked.method.as_str(), asked.path), ("CONNECT", format!("{host}:443")));
        }
    }
}

#[test]
fn a_bare_host_name_is_asked_over_https() {
    let stage = stage();
    for host in ["defense.example.com", "https://defense.example.com/", " defense.example.com/ "] {
        let mut command = stage.command("carbonblack");
        command.env("HTTPS_PROXY", stage.sandbox.url()).env("CB_HOSTNAME", host);
        Ran::of(&mut command).ended(5);
        let last = stage.sandbox.requests().pop().unwrap();
        assert_eq!(last.path, "defense.example.com:443", "{host}");
    }
}
