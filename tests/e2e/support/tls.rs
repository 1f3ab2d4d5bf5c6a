//! TLS in front of a sandbox, with certificates that are generated for the test.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, version};

/// A certificate authority.
#[derive(Clone)]
pub struct CertificateAuthority(Arc<CertifiedIssuer<'static, KeyPair>>);

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    Expired,
    NotYetValid,
    WrongName,
}

impl CertificateAuthority {
    /// Creates an authority with this name.
    pub fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(Arc::new(CertifiedIssuer::self_signed(params, key).unwrap()))
    }

    /// Returns its own certificate as PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Returns its own certificate as DER.
    pub fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    /// Issues a certificate for a host.
    pub fn certificate(&self, host: &str, flaw: Flaw) -> Arc<CertifiedKey> {
        let other_names = ["other.example", "another.example"];
        let mut params = match flaw {
            Flaw::WrongName => params(other_names[0], &other_names),
            _ => params(host, &[host]),
        };
        match flaw {
            Flaw::Expired => params.not_after = date_time_ymd(2020, 2, 1),
            Flaw::NotYetValid => params.not_before = date_time_ymd(2999, 2, 1),
            Flaw::None | Flaw::WrongName => {}
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key))
    }
}

fn params(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Returns the certificate of a host.
type CertificateForHost = dyn Fn(&str) -> Arc<CertifiedKey> + Send + Sync;

struct HostResolver(Box<CertificateForHost>);

impl fmt::Debug for HostResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostResolver")
    }
}

impl ResolvesServerCert for HostResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A client sends no server name for an IP address.
        Some(self.0(hello.server_name().unwrap_or("127.0.0.1")))
    }
}

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
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(HostResolver(Box::new(certificate))));
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
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
