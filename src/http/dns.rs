//! Host name resolution by the system, with an error type of its own.

use std::io;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves host names with the system's resolver, like the client's default.
pub(super) struct SystemResolver;

/// A host name that could not be resolved.
#[derive(Debug, thiserror::Error)]
#[error("failed to look up {name}")]
pub(super) struct ResolveError {
    name: String,
    source: io::Error,
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The client replaces port 0.
            let addresses = tokio::net::lookup_host((name.as_str(), 0))
                .await
                .map_err(|source| ResolveError { name: name.as_str().to_owned(), source })?;
            let addresses: Addrs = Box::new(addresses.collect::<Vec<_>>().into_iter());
            Ok(addresses)
        })
    }
}
