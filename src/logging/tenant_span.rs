//! The tenant that an event is about, in a process with runs of several tenants: a span names the
//! tenant, and each thread that works for a tenant is in its span.

use std::fmt::Debug;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, EnteredSpan};
use tracing::{Event, Span, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::settings::TenantName;

const FIELD: &str = "tenant";

/// Enters the span of a tenant on this thread. Dropping the result leaves it.
pub(crate) fn enter(tenant: &TenantName) -> EnteredSpan {
    // Of the most urgent level, so that no log level leaves it out.
    tracing::error_span!("tenant", { FIELD } = tenant.as_str()).entered()
}

/// Returns `work` for another thread, in the span of this one.
pub(crate) fn in_same_span<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let span = Span::current();
    move || span.in_scope(work)
}

/// The tenant that a span names, if any.
#[derive(Debug, Default)]
pub(super) struct SpanTenant(Option<String>);

impl SpanTenant {
    /// Returns the tenant that a new span names.
    pub(super) fn of(attributes: &Attributes<'_>) -> Self {
        let mut tenant = Self::default();
        attributes.record(&mut tenant);
        tenant
    }

    /// Returns the tenant of the innermost span of an event that names one.
    pub(super) fn find<S>(event: &Event<'_>, context: &Context<'_, S>) -> Option<String>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let named = |span: tracing_subscriber::registry::SpanRef<'_, S>| {
            span.extensions().get::<Self>().and_then(|tenant| tenant.0.clone())
        };
        context.event_scope(event)?.find_map(named)
    }
}

impl Visit for SpanTenant {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == FIELD {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
