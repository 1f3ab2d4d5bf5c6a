//! Tests of the HTML report in a real browser: it requests nothing, reports no problem, and fits a
//! phone.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::browser::{Browser, write_page};
use crate::support::quarter;

/// The narrowest screen that pages are made for, in CSS pixels.
const NARROW: u32 = 360;

/// Writes the report of a quarter with all details. Its folder is deleted when the first value is
/// dropped.
fn page() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("report.html");
    let arguments = format!("report --html {} --days 90 --with-details", path.display());
    quarter::shared().run_at(quarter::END, &arguments).assert_code(0);
    (folder, path)
}

/// Returns a page with this `head` and `body`.
fn html(head: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>A page</title>{head}</head><body>{body}</body></html>"
    )
}

/// Starts the browser, or prints that the test is skipped.
fn browser() -> Option<Browser> {
    let browser = Browser::start();
    if browser.is_none() {
        println!("skipped: Chromium is not installed");
    }
    browser
}

#[test]
fn the_page_requests_nothing_and_reports_no_problem() {
    let Some(mut browser) = browser() else { return };
    let (_folder, page) = page();
    for scheme in ["light", "dark"] {
        browser.set_color_scheme(scheme);
        let visit = browser.open(&page);
        assert_eq!(visit.requests, Vec::<String>::new());
        assert_eq!(visit.network_requests, Vec::<String>::new());
        assert_eq!(visit.problems, Vec::<String>::new());
    }
}

#[test]
fn the_page_fits_a_phone() {
    let Some(mut browser) = browser() else { return };
    let (_folder, page) = page();
    browser.set_phone_width(NARROW);
    browser.open(&page);
    assert_eq!(browser.evaluate("document.documentElement.scrollWidth"), NARROW);
}

#[test]
fn the_browser_of_these_tests_detects_requests_errors_and_overflow() {
    let Some(mut browser) = browser() else { return };
    let folder = TempDir::new().unwrap();
    let image = "<img alt=\"\" src=\"http://example.com/image.png\">";
    // A request is seen, in the page and on the network.
    let visit = browser.open(&write_page(&folder, &html("", image)));
    assert_eq!(visit.requests, ["http://example.com/image.png"]);
    assert_eq!(visit.network_requests, ["GET http://example.com/image.png HTTP/1.1"]);
    // A content security policy forbids it, and the browser reports that.
    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'\">";
    let visit = browser.open(&write_page(&folder, &html(policy, image)));
    assert_eq!(visit.network_requests, Vec::<String>::new());
    assert!(visit.problems.iter().any(|problem| problem.contains("img-src")), "{visit:?}");
    // The error of a script is reported.
    let visit = browser.open(&write_page(&folder, &html("", "<script>missing()</script>")));
    assert!(visit.problems.iter().any(|problem| problem.contains("ReferenceError")), "{visit:?}");
    // A page that is wider than the screen is detected, and so is one without a viewport.
    browser.set_phone_width(NARROW);
    let wide = html("", "<div style=\"width: 500px\">wide</div>");
    for page in [wide.as_str(), "<!DOCTYPE html><title>A page</title><p>text"] {
        browser.open(&write_page(&folder, page));
        let width = browser.evaluate("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(width > u64::from(NARROW), "{width}: {page}");
    }
    // The color scheme is set.
    for scheme in ["light", "dark"] {
        browser.set_color_scheme(scheme);
        let query = format!("matchMedia('(prefers-color-scheme: {scheme})').matches");
        assert_eq!(browser.evaluate(&query), true);
    }
}
