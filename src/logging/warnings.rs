//! Prints the warnings of a command that has no log.

use std::sync::{Mutex, PoisonError};

use tracing::{Event, Level, Metadata, Subscriber, span};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::fields::Fields;
use super::tenant_span::SpanTenant;
use crate::report;

/// The warnings about tenants, each with the tenant's name, until they are printed.
static TENANT_WARNINGS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Sends the warnings of this process to stderr, except those about a tenant, which
/// [`print_tenant_warnings`] prints. For commands without a log.
pub(crate) fn warn_on_stderr() {
    // Fails if a log is set up already: then the warnings are in it.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Warnings));
}

/// Prints the warnings about tenants, each once: many tenants can have the same one.
pub(crate) fn print_tenant_warnings() {
    let warnings =
        std::mem::take(&mut *TENANT_WARNINGS.lock().unwrap_or_else(PoisonError::into_inner));
    let warnings = warnings.iter().map(|(warning, tenant)| (warning, tenant.as_str()));
    for (warning, tenants) in report::tenants_by_value(warnings) {
        report::warn(&format!("{}: {warning}", report::names(&tenants)));
    }
}

struct Warnings;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
            && (metadata.is_span() || *metadata.level() == Level::WARN)
    }

    fn on_new_span(
        &self,
        attributes: &span::Attributes<'_>,
        id: &span::Id,
        context: Context<'_, S>,
    ) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanTenant::of(attributes));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let warning = fields.to_text();
        match SpanTenant::find(event, &context) {
            None => report::warn(&warning),
            Some(tenant) => {
                let mut warnings = TENANT_WARNINGS.lock().unwrap_or_else(PoisonError::into_inner);
                warnings.push((warning, tenant));
            }
        }
    }
}
