//! Whose certificates are trusted, and what is said of those that are not.

use std::path::Path;

use sandbox::Service;

use crate::support::Ran;
use crate::support::failures::world;
use crate::support::https_env::Internet;
use crate::support::tls::{Authority, Flaw, Front};
use crate::support::vendor::Vendor;

const BOTH: [&str; 2] = ["h2", "http/1.1"];

/// A run that met a certificate it must not trust: final, said once, nothing asked.
#[track_caller]
fn refused(internet: &Internet, ran: Ran, words: &[&str]) {
    let ran = ran.ended(2);
    ran.says(&["error: ", "was rejected", "--ca-cert"]);
    ran.says(words);
    assert_eq!(internet.asked(), [""; 0]);
    assert_eq!(internet.proxy.wanted().len(), 1, "it is not tried again");
}

#[test]
fn an_unknown_issuer_is_refused_and_named() {
    for (vendor, host) in
        [(Vendor::CrowdStrike, "api.crowdstrike.com"), (Vendor::CarbonBlack, "defense.example.com")]
    {
        let internet = Internet::new(world());
        let ran = Ran::of(&mut internet.command(vendor.command()));
        let words = [
            &format!("the certificate of {host} was rejected"),
            "its issuer is not trusted",
            &format!("its subject is \"CN={host}\""),
            "its issuer \"CN=Inspecting Proxy CA\"",
            "--ca-cert <FILE>",
        ];
        refused(&internet, ran, &words);
    }
}

#[test]
fn a_certificate_that_names_its_issuer_is_trusted_with_it() {
    for vendor in Vendor::BOTH {
        let internet = Internet::new(world());
        internet.run(vendor.command()).ended(0);
        assert_eq!(internet.stage.items().len(), 1);
    }
}

#[test]
fn http_2_is_spoken_where_it_is_offered_and_http_1_elsewhere() {
    for (protocols, second) in [(&BOTH[..], true), (&BOTH[1..], false), (&[], false)] {
        let internet = Internet::with(world(), protocols, |_| Flaw::None);
        internet.run("crowdstrike").ended(0);
        assert_eq!(internet.stage.items().len(), 1);
        for asked in internet.stage.sandbox.requests() {
            // Only HTTP/2 puts the host into the path.
            assert_eq!(asked.path.starts_with("https://"), second, "{protocols:?}");
        }
    }
}

#[test]
fn the_systems_certificates_stay_trusted() {
    let internet = Internet::new(world());
    // What was the given authority is the system's here, and the given file names another.
    internet.stage.write("other.pem", Authority::new("Other CA").pem());
    let mut command = internet.command("crowdstrike");
    let ran = Ran::of(
        command
            .env("SSL_CERT_FILE", internet.stage.path("ca.pem"))
            .args(["--ca-cert", "other.pem"]),
    );
    ran.ended(0);
    assert_eq!(internet.stage.items().len(), 1);
}

#[test]
fn each_certificate_of_the_file_counts() {
    for first in [true, false] {
        let internet = Internet::new(world());
        let (ours, other) = (internet.authority.pem(), Authority::new("Other CA").pem());
        let (one, two) = if first { (ours, other) } else { (other, ours) };
        // As tools write them: with words between, and Windows' line ends.
        let bundle = format!("# Corporate\n{one}\nsubject=CN = made\n{two}").replace('\n', "\r\n");
        internet.stage.write("bundle.pem", bundle);
        let ran = Ran::of(internet.command("crowdstrike").args(["--ca-cert", "bundle.pem"]));
        ran.ended(0);
        assert_eq!(internet.stage.items().len(), 1);
    }
}

#[test]
fn what_is_wrong_with_a_certificate_is_told_apart_and_no_file_helps() {
    for (flaw, words) in [
        (Flaw::Expired, &["it expired on 2020-02-01", "clock", "renew"][..]),
        (Flaw::NotYetValid, &["it is not valid before 2999-02-01", "clock"]),
        (
            Flaw::WrongName,
            &["it is valid for other names: ", "other.example", "another.example", "host's name"],
        ),
    ] {
        let internet = Internet::with(world(), &BOTH, move |_| flaw);
        let ran = internet.run("crowdstrike");
        ran.says(&["does not help against that"]);
        assert!(!ran.stderr.contains("its issuer is not trusted"), "{flaw:?}");
        refused(&internet, ran, words);
    }
}

#[test]
fn the_receivers_certificate_is_checked_too_and_what_was_read_waits() {
    let receiver = |host: &str| match host {
        "api.recordedfuture.com" => Flaw::Expired,
        _ => Flaw::None,
    };
    let internet = Internet::with(world(), &BOTH, receiver);
    let ran = internet.run("crowdstrike --json").ended(2);
    ran.says(&["the certificate of api.recordedfuture.com was rejected", "cause: it expired"]);
    assert_eq!(ran.adds_up().count("waiting"), 1);
    assert_eq!(internet.stage.asked(Service::RecordedFuture), 0);
}

#[test]
fn a_file_that_is_no_certificate_ends_the_run_before_it_begins() {
    let good = Authority::new("A CA");
    let pem = good.pem();
    let half = &pem[..pem.len() / 2];
    let damaged = pem.replace("MII", "M!!");
    let no_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let contents: [(&[u8], &str); 8] = [
        (b"", "contains no certificate"),
        (b"\n\n", "contains no certificate"),
        (b"not a certificate", "contains no certificate"),
        (&good.der(), "contains no certificate"),
        (key.as_bytes(), "contains no certificate"),
        (half.as_bytes(), "certificate 1 is damaged"),
        (damaged.as_bytes(), "certificate 1 is damaged"),
        (&[pem.as_bytes(), no_x509.as_bytes()].concat(), "certificate 2 is not an X.509"),
    ];
    for (content, words) in contents {
        let internet = Internet::new(world());
        internet.stage.write("bad.pem", content);
        unusable(&internet, Path::new("bad.pem"), words);
    }
    let internet = Internet::new(world());
    unusable(&internet, Path::new("missing.pem"), "No such file");
    unusable(&internet, internet.stage.folder(), "directory");
}

#[track_caller]
fn unusable(internet: &Internet, path: &Path, words: &str) {
    for vendor in Vendor::BOTH {
        let mut command = internet.command(vendor.command());
        let ran = Ran::of(command.arg("--ca-cert").arg(path)).ended(2);
        ran.says(&["(--ca-cert) cannot be used", &path.display().to_string(), words]);
        assert_eq!(internet.proxy.wanted(), [""; 0]);
        assert!(!internet.stage.path("collective-insights.db").exists());
    }
    // And `check` says so among its other findings, without asking anybody.
    let mut command = internet.command("check crowdstrike");
    let ran = Ran::of(command.arg("--ca-cert").arg(path)).ended(2);
    assert!(ran.stdout.contains("✗ TLS and proxy: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("✓ ledger: "), "{}", ran.stdout);
    assert_eq!(internet.proxy.wanted(), [""; 0]);
}

#[test]
fn check_goes_the_same_way_as_a_run() {
    let internet = Internet::new(world());
    let mut command = internet.command("check crowdstrike --ca-cert ca.pem");
    // The services' clocks are right.
    let ran = Ran::of(command.env_remove("COLLECTIVE_INSIGHTS_TEST_NOW")).ended(0);
    for words in [
        "system CA store and 1 from ca.pem",
        &format!("; proxy 127.0.0.1:{} (HTTPS_PROXY)", internet.proxy.port),
        &format!(
            "api.crowdstrike.com responds through the proxy 127.0.0.1:{}, its certificate is trusted",
            internet.proxy.port
        ),
    ] {
        assert!(ran.stdout.contains(words), "no {words:?} in {}", ran.stdout);
    }
    let ran = Ran::of(&mut internet.command("check crowdstrike")).ended(2);
    for words in ["✗ TLS: ", "Inspecting Proxy CA", "--ca-cert <FILE>"] {
        assert!(ran.stdout.contains(words), "no {words:?} in {}", ran.stdout);
    }
}

#[test]
fn what_a_certificate_says_of_itself_is_quoted_in_short_and_acts_on_nothing() {
    let name = format!("x\u{1b}[31m{}", "y".repeat(5000));
    let internet = Internet::new(world());
    let (authority, behind) = (Authority::new(&name), internet.stage.sandbox.port());
    let front = Front::new(behind, &BOTH, move |host| authority.certificate(host, Flaw::None));
    let mut command = internet.command("crowdstrike");
    let ran = Ran::of(command.env_remove("HTTPS_PROXY").env("CS_BASE_URL", front.url())).ended(2);
    ran.says(&["its issuer is not trusted", "yyyy"]);
    assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
    assert!(ran.stderr.len() < 1500, "{}", ran.stderr.len());
}
