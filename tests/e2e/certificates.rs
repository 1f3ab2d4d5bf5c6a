//! Tests which certificates are trusted, and the errors for those that are not.

use std::path::Path;

use sandbox::Service;

use crate::support::RunOutput;
use crate::support::failures::one_alert_per_vendor;
use crate::support::https_env::HttpsEnv;
use crate::support::tls::{CertificateAuthority, Flaw, TlsTerminator};
use crate::support::vendor::Vendor;

/// The protocols that the services offer: HTTP/2 and HTTP/1.1.
const PROTOCOLS: [&str; 2] = ["h2", "http/1.1"];

/// Asserts that a run rejected the certificate with these texts in the error, and did not retry.
#[track_caller]
fn assert_rejected(https: &HttpsEnv, output: RunOutput, texts: &[&str]) {
    let output = output.assert_code(2);
    output.assert_stderr(&["error: ", "was rejected", "--ca-cert"]);
    output.assert_stderr(texts);
    assert_eq!(https.requested(), [""; 0]);
    assert_eq!(https.proxy.targets().len(), 1, "the connection is not tried again");
}

#[test]
fn a_certificate_of_an_unknown_issuer_is_rejected_and_described() {
    for (vendor, host) in
        [(Vendor::CrowdStrike, "api.crowdstrike.com"), (Vendor::CarbonBlack, "defense.example.com")]
    {
        let https = HttpsEnv::new(one_alert_per_vendor());
        let output = RunOutput::capture(&mut https.command(vendor.command()));
        let texts = [
            &format!("the certificate of {host} was rejected"),
            "its issuer is not trusted",
            &format!("its subject is \"CN={host}\""),
            "its issuer \"CN=Inspecting Proxy CA\"",
            "--ca-cert <FILE>",
        ];
        assert_rejected(&https, output, &texts);
    }
}

#[test]
fn the_certificates_of_a_ca_cert_file_are_trusted() {
    for vendor in Vendor::ALL {
        let https = HttpsEnv::new(one_alert_per_vendor());
        https.run(vendor.command()).assert_code(0);
        assert_eq!(https.env.items().len(), 1);
    }
}

#[test]
fn http_2_is_used_if_it_is_offered_and_http_1_otherwise() {
    for (protocols, is_http_2) in [(&PROTOCOLS[..], true), (&PROTOCOLS[1..], false), (&[], false)] {
        let https = HttpsEnv::with(one_alert_per_vendor(), protocols, |_| Flaw::None);
        https.run("crowdstrike").assert_code(0);
        assert_eq!(https.env.items().len(), 1);
        for request in https.env.sandbox.requests() {
            // Only HTTP/2 requests have the host in the path.
            assert_eq!(request.path.starts_with("https://"), is_http_2, "{protocols:?}");
        }
    }
}

#[test]
fn with_ca_cert_the_system_certificates_are_still_trusted() {
    let https = HttpsEnv::new(one_alert_per_vendor());
    // Here the system trusts the CA of the services, and --ca-cert names another one.
    https.env.write("other.pem", CertificateAuthority::new("Other CA").pem());
    let mut command = https.command("crowdstrike");
    let output = RunOutput::capture(
        command.env("SSL_CERT_FILE", https.env.path("ca.pem")).args(["--ca-cert", "other.pem"]),
    );
    output.assert_code(0);
    assert_eq!(https.env.items().len(), 1);
}

#[test]
fn all_certificates_of_a_ca_cert_file_are_trusted() {
    for ca_is_first in [true, false] {
        let https = HttpsEnv::new(one_alert_per_vendor());
        let (ca, other) = (https.ca.pem(), CertificateAuthority::new("Other CA").pem());
        let (first, second) = if ca_is_first { (ca, other) } else { (other, ca) };
        // Other tools write text between the certificates, and Windows line endings.
        let bundle = format!("# Corporate\n{first}\nsubject=CN = made\n{second}");
        let bundle = bundle.replace('\n', "\r\n");
        https.env.write("bundle.pem", bundle);
        let output =
            RunOutput::capture(https.command("crowdstrike").args(["--ca-cert", "bundle.pem"]));
        output.assert_code(0);
        assert_eq!(https.env.items().len(), 1);
    }
}

#[test]
fn the_error_names_the_flaw_and_that_ca_cert_does_not_help() {
    for (flaw, texts) in [
        (Flaw::Expired, &["it expired on 2020-02-01", "clock", "renew"][..]),
        (Flaw::NotYetValid, &["it is not valid before 2999-02-01", "clock"]),
        (
            Flaw::WrongName,
            &["it is valid for other names: ", "other.example", "another.example", "host's name"],
        ),
    ] {
        let https = HttpsEnv::with(one_alert_per_vendor(), &PROTOCOLS, move |_| flaw);
        let output = https.run("crowdstrike");
        output.assert_stderr(&["does not help against that"]);
        assert!(!output.stderr.contains("its issuer is not trusted"), "{flaw:?}");
        assert_rejected(&https, output, texts);
    }
}

#[test]
fn a_server_with_a_ca_certificate_is_rejected_in_plain_words() {
    let https = HttpsEnv::with(one_alert_per_vendor(), &PROTOCOLS, |_| Flaw::IsAuthority);
    let output = https.run("crowdstrike");
    // Names in the code of the TLS library.
    for name in ["CaUsedAsEndEntity", "OtherError", "Other("] {
        assert!(!output.stderr.contains(name) && !https.env.log().contains(name), "{output:?}");
    }
    let texts = ["it is a CA certificate, not a server certificate", "issued for this host"];
    assert_rejected(&https, output, &texts);
}

#[test]
fn a_rejected_certificate_of_recorded_future_leaves_the_submissions_queued() {
    let flaw_of_host = |host: &str| match host {
        "api.recordedfuture.com" => Flaw::Expired,
        _ => Flaw::None,
    };
    let https = HttpsEnv::with(one_alert_per_vendor(), &PROTOCOLS, flaw_of_host);
    let output = https.run("crowdstrike --json").assert_code(2);
    output.assert_stderr(&[
        "the certificate of api.recordedfuture.com was rejected",
        "cause: it expired",
    ]);
    assert_eq!(output.assert_counts_add_up().count("waiting"), 1);
    assert_eq!(https.env.request_count(Service::RecordedFuture), 0);
}

#[test]
fn an_invalid_ca_cert_ends_the_run_before_any_request() {
    let ca = CertificateAuthority::new("A CA");
    let pem = ca.pem();
    let truncated = &pem[..pem.len() / 2];
    let damaged = pem.replace("MII", "M!!");
    let not_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let contents: [(&[u8], &str); 8] = [
        (b"", "contains no certificate"),
        (b"\n\n", "contains no certificate"),
        (b"not a certificate", "contains no certificate"),
        (&ca.der(), "contains no certificate"),
        (key.as_bytes(), "contains no certificate"),
        (truncated.as_bytes(), "certificate 1 is damaged"),
        (damaged.as_bytes(), "certificate 1 is damaged"),
        (&[pem.as_bytes(), not_x509.as_bytes()].concat(), "certificate 2 is not an X.509"),
    ];
    for (content, text) in contents {
        let https = HttpsEnv::new(one_alert_per_vendor());
        https.env.write("bad.pem", content);
        assert_invalid_ca_cert(&https, Path::new("bad.pem"), text);
    }
    let https = HttpsEnv::new(one_alert_per_vendor());
    assert_invalid_ca_cert(&https, Path::new("missing.pem"), "No such file");
    assert_invalid_ca_cert(&https, https.env.folder(), "directory");
}

/// Asserts that no command accepts this file for `--ca-cert`, and that the error has this text.
#[track_caller]
fn assert_invalid_ca_cert(https: &HttpsEnv, path: &Path, text: &str) {
    for vendor in Vendor::ALL {
        let mut command = https.command(vendor.command());
        let output = RunOutput::capture(command.arg("--ca-cert").arg(path)).assert_code(2);
        output.assert_stderr(&["(--ca-cert) cannot be used", &path.display().to_string(), text]);
        assert_eq!(https.proxy.targets(), [""; 0]);
        assert!(!https.env.path("collective-insights.db").exists());
    }
    // `check` reports the file among its other results, without a request.
    let mut command = https.command("check crowdstrike");
    let output = RunOutput::capture(command.arg("--ca-cert").arg(path)).assert_code(2);
    assert!(output.stdout.contains("✗ TLS and proxy: "), "{}", output.stdout);
    assert!(output.stdout.contains("✓ ledger: "), "{}", output.stdout);
    assert_eq!(https.proxy.targets(), [""; 0]);
}

#[test]
fn check_uses_the_same_certificates_and_proxy_as_a_run() {
    let https = HttpsEnv::new(one_alert_per_vendor());
    let mut command = https.command("check crowdstrike --ca-cert ca.pem");
    let output = RunOutput::capture(&mut command).assert_code(0);
    for text in [
        "system CA store and 1 from ca.pem",
        &format!("; proxy 127.0.0.1:{} (HTTPS_PROXY)", https.proxy.port),
        &format!(
            "api.crowdstrike.com responds through the proxy 127.0.0.1:{}, its certificate is trusted",
            https.proxy.port
        ),
    ] {
        assert!(output.stdout.contains(text), "no {text:?} in {}", output.stdout);
    }
    let output = RunOutput::capture(&mut https.command("check crowdstrike")).assert_code(2);
    for text in ["✗ TLS: ", "Inspecting Proxy CA", "--ca-cert <FILE>"] {
        assert!(output.stdout.contains(text), "no {text:?} in {}", output.stdout);
    }
}

#[test]
fn names_in_a_certificate_are_shortened_and_sanitized() {
    let name = format!("x\u{1b}[31m{}", "y".repeat(5000));
    let https = HttpsEnv::new(one_alert_per_vendor());
    let ca = CertificateAuthority::new(&name);
    let certificate = move |host: &str| ca.certificate(host, Flaw::None);
    let terminator = TlsTerminator::new(https.env.sandbox.port(), &PROTOCOLS, certificate);
    let mut command = https.command("crowdstrike");
    let output =
        RunOutput::capture(command.env_remove("HTTPS_PROXY").env("CS_BASE_URL", terminator.url()))
            .assert_code(2);
    output.assert_stderr(&["its issuer is not trusted", "yyyy"]);
    assert!(!output.stderr.contains('\u{1b}'), "{}", output.stderr);
    assert!(output.stderr.len() < 1500, "{}", output.stderr.len());
}
