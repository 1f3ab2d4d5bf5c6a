//! The transports of the services: HTTP/1.1 or HTTP/2, with or without compression.

use std::cell::Cell;

use sandbox::World;

/// A way to reach the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Unencrypted HTTP/1.1 with gzip.
    Default,
    Http1WithoutGzip,
    /// HTTP/2 over TLS, with gzip.
    Http2,
    Http2WithoutGzip,
}

thread_local! {
    static CURRENT: Cell<Transport> = const { Cell::new(Transport::Default) };
}

impl Transport {
    pub const ALL: [Self; 4] =
        [Self::Default, Self::Http1WithoutGzip, Self::Http2, Self::Http2WithoutGzip];

    /// Changes a world to use this transport.
    pub fn apply(self, world: World) -> World {
        match self {
            Self::Default => world,
            Self::Http1WithoutGzip => world.no_gzip(),
            Self::Http2 => world.tls(),
            Self::Http2WithoutGzip => world.tls().no_gzip(),
        }
    }

    /// Uses this transport for all test environments of this thread. Each test has its own thread.
    pub fn set(self) {
        CURRENT.set(self);
    }

    /// Returns the transport of this thread.
    pub fn current() -> Self {
        CURRENT.get()
    }
}

/// Declares tests of the surrounding module again, once per other transport.
macro_rules! over_all_transports {
    ($($test:ident),* $(,)?) => {
        mod http1_without_gzip {
            $(#[test] fn $test() {
                $crate::support::transport::Transport::Http1WithoutGzip.set();
                super::$test();
            })*
        }
        mod http2 {
            $(#[test] fn $test() {
                $crate::support::transport::Transport::Http2.set();
                super::$test();
            })*
        }
        mod http2_without_gzip {
            $(#[test] fn $test() {
                $crate::support::transport::Transport::Http2WithoutGzip.set();
                super::$test();
            })*
        }
    };
}
pub(crate) use over_all_transports;
