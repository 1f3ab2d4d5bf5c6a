//! TLS before a sandbox, with certificates that are made for the test.

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

/// Who issues certificates.
#[derive(Clone)]
pub struct Authority(Arc<CertifiedIssuer<'static, KeyPair>>);

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    Expired,
    NotYetValid,
    WrongName,
}

impl Authority {
    /// An authority of that name.
    pub fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(Arc::new(CertifiedIssuer::self_signed(params, key).unwrap()))
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// The same in binary form.
    pub fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    /// A certificate for a host.
    pub fn certificate(&self, host: &str, flaw: Flaw) -> Arc<CertifiedKey> {
        let other = ["other.example", "another.example"];
        let mut params = match flaw {
            Flaw::WrongName => params(other[0], &other),
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

/// Which certificate a host shows.
type Shown = dyn Fn(&str) -> Arc<CertifiedKey> + Send + Sync;

struct ByName(Box<Shown>);

impl fmt::Debug for ByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByName")
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Nobody names an address in the hello.
        Some(self.0(hello.server_name().unwrap_or("127.0.0.1")))
    }
}

/// A port on which every host is served over TLS, by what listens in the clear on another port.
pub struct Front {
    pub port: u16,
    _server: Server,
}

impl Front {
    /// Speaks those protocols (`h2`, `http/1.1`), and shows the certificates that `shown` gives.
    pub fn new(
        behind: u16,
        protocols: &[&str],
        shown: impl Fn(&str) -> Arc<CertifiedKey> + Send + Sync + 'static,
    ) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ByName(Box::new(shown))));
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (port, server) = Server::start(move |client| {
            let acceptor = acceptor.clone();
            async move {
                // A client that does not like the certificate goes away.
                let Ok(mut client) = acceptor.accept(client).await else {
                    return;
                };
                let mut service = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut service).await;
            }
        });
        Self { port, _server: server }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }
}

/// A thread that serves connections. It ends, and is waited for, when this is dropped.
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves each connection to a free port, which is given too.
    pub fn start<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream) -> F + Send + 'static,
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
                let serving = async {
                    loop {
                        let (client, _) = listener.accept().await.unwrap();
                        tokio::spawn(serve(client));
                    }
                };
                tokio::select! {
                    () = serving => {}
                    _ = stopped => {}
                }
            });
        });
        let server = Self { stop: Some(stop), thread: Some(thread) };
        (port, server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The thread may have ended by a panic, which the test meets as an answer that never came.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
