//! `report`: a page with charts of what was sent to Recorded Future ("shared"), for a browser or
//! for paper.
//!
//! One HTML file without scripts, which loads nothing. [`data`] reads the ledger; each section of
//! the page has a module that makes it from that data.

mod attack;
mod chart;
mod data;
mod health;
mod html;
mod indicators;
mod left_out;
mod outcomes;
mod overview;
mod page;
mod shared;

use self::data::Data;
use super::open_reader;
use super::output_file::OutputFile;
use super::tenants::{SettingsFileTenants, tenant_filter};
use crate::cli::ReportArgs;
use crate::clock::Clock;
use crate::failure::Failure;
use crate::redact::sanitize;
use crate::report::{Layout, thousands};

/// Writes the page and returns what to print.
pub(crate) fn report(
    args: &ReportArgs,
    file_tenants: SettingsFileTenants<'_>,
    clock: Clock,
) -> Result<String, Failure> {
    let path = args.ledger.path()?;
    let ledger = open_reader(&path)?;
    let filter = tenant_filter(&ledger, &args.tenants, file_tenants)?;
    let create = || OutputFile::create(&args.html, "--html", &path);
    // Reading takes seconds, so first find out whether the file can be written. The temporary file
    // is deleted again: a signal would leave it behind.
    drop(create()?);
    let data = Data::read(&ledger, filter, file_tenants, args.days, clock.now())?;
    // Until then, runs wait before they write to the ledger.
    drop(ledger);
    let page = page::page(&data, args.with_details).into_string();
    let mut output = create()?;
    output.keep_permissions()?;
    output.write(&page)?;
    output.finish()?;
    let size = u64::try_from(page.len().div_ceil(1000)).unwrap_or(u64::MAX);
    let shown = sanitize(&args.html.display().to_string());
    let days = if args.days == 1 { "1 day".to_owned() } else { format!("{} days", args.days) };
    let text = format!("wrote the report of {days} to {shown} ({} kB)", thousands(size));
    Ok(Layout::stdout().paragraph("", &text))
}
