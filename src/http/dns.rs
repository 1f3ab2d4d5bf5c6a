//! Host name resolution by the system, with an error type that can be told apart.

use std::io;
use std::net::SocketAddr;

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
            match tokio::net::lookup_host((name.as_str(), 0)).await {
                Ok(found) => {
                    let found: Vec<SocketAddr> = found.collect();
                    let found: Addrs = Box::new(found.into_iter());
                    Ok(found)
                }
                Err(source) => Err(ResolveError { name: name.as_str().to_owned(), source }.into()),
            }
        })
    }
}
