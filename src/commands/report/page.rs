//! The page around the sections.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Days;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::data::Data;
use super::html::{date, instant, text};
use super::{attack, health, indicators, left_out, outcomes, overview, shared};
use crate::version;

const STYLE: &str = include_str!("style.css");

/// Returns the page. Alert ids and free text are in it only `with_details`.
pub(super) fn page(data: &Data, with_details: bool) -> Markup {
    let last = data.since + Days::new(u64::from(data.days.saturating_sub(1)));
    let health = health::tenants(data);
    let title = "Collective Insights report";
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) ", " (data.since) " to " (last) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    h1 { (title) }
                    p {
                        (date(data.since)) " to " (date(last)) " (" (data.days)
                        @if data.days == 1 { " day" } @else { " days" } ", UTC)"
                        (scope(data))
                    }
                    nav aria-label="Sections" {
                        a href="#health" { "Health" } a href="#shared" { "Shared" }
                        a href="#outcomes" { "From alerts to indicators" } a href="#attack" { "ATT&CK" }
                        a href="#indicators" { "Indicators" } a href="#left-out" { "Left out" }
                    }
                }
                main #main {
                    (overview::section(data, &health))
                    (health::section(data, &health, with_details))
                    (shared::section(data))
                    (outcomes::section(data))
                    (attack::section(data))
                    (indicators::section(data, with_details))
                    (left_out::section(data, with_details))
                }
                footer {
                    p {
                        "Written " (instant(data.now)) " UTC by collective-insights " (version::VERSION)
                        " from the ledger of this machine. The page loads nothing and runs no script."
                        @if with_details { " It contains alert ids, messages and samples of internal names: treat it like the alerts themselves." }
                    }
                }
            }
        }
    }
}

/// Returns which tenants the page is limited to.
fn scope(data: &Data) -> Markup {
    html! {
        @if let Some(name) = &data.filter.name { ", tenant " (text(name)) }
        @if let Some(source) = &data.filter.source { ", source " (text(source)) }
    }
}

/// Returns the content security policy: it allows only the style sheet in the page.
fn policy() -> String {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'")
}
