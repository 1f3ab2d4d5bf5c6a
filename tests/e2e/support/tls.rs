//! TLS in front of a sandbox.

use std::future::Future;
use std::sync::Arc;
use std::thread::JoinHandle;

use sandbox::tls;
pub use sandbox::tls::{CertificateAuthority, Flaw};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::rustls::sign::CertifiedKey;

/// A port that accepts TLS for every host, and forwards unencrypted to another local port.
pub struct TlsTerminator {
    pub port: u16,
    _server: TcpServer,
}

impl TlsTerminator {
    /// Starts with these protocols (`h2`, `http/1.1`), and with the certificate that `certificate`
    /// returns for a host.
    pub fn new(
        to_port: u16,
        protocols: &[&str],
        certificate: impl Fn(&str) -> Arc<CertifiedKey> + Send + Sync + 'static,
    ) -> Self {
        let acceptor = tls::acceptor(protocols, certificate);
        let (port, server) = TcpServer::start(move |client| {
            let acceptor = acceptor.clone();
            async move {
                // A client that does not trust the certificate disconnects.
                let Ok(mut client) = acceptor.accept(client).await else {
                    return;
                };
                let mut service = TcpStream::connect(("127.0.0.1", to_port)).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut service).await;
            }
        });
        Self { port, _server: server }
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }
}

/// A thread that handles connections. Dropping this stops and joins it.
pub struct TcpServer {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TcpServer {
    /// Calls `handle` with each connection to a free port. Returns the port too.
    pub fn start<F: Future<Output = ()> + Send + 'static>(
        handle: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> (u16, Self) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let accept_all = async {
                    loop {
                        let (client, _) = listener.accept().await.unwrap();
                        tokio::spawn(handle(client));
                    }
                };
                tokio::select! {
                    () = accept_all => {}
                    _ = stopped => {}
                }
            });
        });
        let server = Self { stop: Some(stop), thread: Some(thread) };
        (port, server)
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        // The thread may have panicked; the test then fails because of a missing response.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
