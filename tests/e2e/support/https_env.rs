//! A test environment in which the services have their real host names: a proxy forwards every host
//! to a sandbox behind TLS, and records the hosts.

use std::process::Command;
use std::sync::{Arc, Mutex};

use sandbox::{RecordedRequest, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;

use super::tls::{CertificateAuthority, Flaw, TcpServer, TlsTerminator};
use super::{RunOutput, TestEnv};

/// A proxy for HTTPS (`CONNECT`) that forwards all hosts to one local port.
pub struct ConnectProxy {
    pub port: u16,
    targets: Arc<Mutex<Vec<String>>>,
    _server: TcpServer,
}

impl ConnectProxy {
    /// Starts a proxy that allows every request.
    pub fn allow_all(to_port: u16) -> Self {
        Self::with_rejections(to_port, |_| None)
    }

    /// Starts a proxy that calls `reject` with the head of each request. If that returns a text,
    /// the proxy sends it as the response and closes the connection.
    pub fn with_rejections(
        to_port: u16,
        reject: impl Fn(&str) -> Option<String> + Clone + Send + Sync + 'static,
    ) -> Self {
        let targets = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&targets);
        let (port, server) = TcpServer::start(move |client| {
            let (list, reject) = (Arc::clone(&list), reject.clone());
            async move { forward(client, to_port, &list, reject).await }
        });
        Self { port, targets, _server: server }
    }

    /// Returns its URL, for `HTTPS_PROXY`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the `HOST:PORT` of each request, in order.
    pub fn targets(&self) -> Vec<String> {
        self.targets.lock().unwrap().clone()
    }
}

async fn forward(
    mut client: TcpStream,
    to_port: u16,
    targets: &Mutex<Vec<String>>,
    reject: impl Fn(&str) -> Option<String>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap_or_default();
    targets.lock().unwrap().push(target.to_owned());
    let rejection = if head.starts_with("CONNECT ") {
        reject(&head)
    } else {
        Some("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n".to_owned())
    };
    if let Some(response) = rejection {
        let _ = client.write_all(response.as_bytes()).await;
        return;
    }
    let mut service = TcpStream::connect(("127.0.0.1", to_port)).await.unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let _ = copy_bidirectional(&mut client, &mut service).await;
}

/// A test environment whose services have their real host names, and certificates of `ca`.
pub struct HttpsEnv {
    pub env: TestEnv,
    pub ca: CertificateAuthority,
    pub terminator: TlsTerminator,
    pub proxy: ConnectProxy,
}

impl HttpsEnv {
    /// Starts with HTTP/2, HTTP/1.1 and valid certificates for all hosts.
    pub fn new(world: World) -> Self {
        Self::with(world, &["h2", "http/1.1"], |_| Flaw::None)
    }

    /// Starts with these protocols, and with a flaw in the certificate of each host.
    pub fn with(
        world: World,
        protocols: &[&str],
        flaw: impl Fn(&str) -> Flaw + Send + Sync + 'static,
    ) -> Self {
        let env = TestEnv::new(world);
        let ca = CertificateAuthority::new("Inspecting Proxy CA");
        // What the system trusts, and a file with the CA of the services.
        env.write("system.pem", CertificateAuthority::new("System CA").pem());
        env.write("ca.pem", ca.pem());
        let issuer = ca.clone();
        let terminator = TlsTerminator::new(env.sandbox.port(), protocols, move |host| {
            issuer.certificate(host, flaw(host))
        });
        let proxy = ConnectProxy::allow_all(terminator.port);
        Self { env, ca, terminator, proxy }
    }

    /// Returns a command for the binary with these arguments, the default base URLs, and the proxy.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = self.env.command(arguments);
        command
            .env_remove("CS_BASE_URL")
            .env_remove("RF_API_URL")
            .env("CB_HOSTNAME", "defense.example.com")
            .env("SSL_CERT_FILE", self.env.path("system.pem"))
            .env("HTTPS_PROXY", self.proxy.url());
        command
    }

    /// Runs the binary with `--ca-cert ca.pem`.
    pub fn run(&self, arguments: &str) -> RunOutput {
        RunOutput::capture(self.command(arguments).args(["--ca-cert", "ca.pem"]))
    }

    /// Returns `HOST/PATH` of every request, in order.
    pub fn requested(&self) -> Vec<String> {
        self.env.sandbox.requests().iter().map(host_and_path).collect()
    }

    /// Returns the `HOST:PORT`s that were connected to, sorted, each once.
    pub fn connected_hosts(&self) -> Vec<String> {
        let mut hosts = self.proxy.targets();
        hosts.sort();
        hosts.dedup();
        hosts
    }
}

/// Returns `HOST/PATH` of a request, over HTTP/1.1 or HTTP/2.
pub fn host_and_path(request: &RecordedRequest) -> String {
    match request.path.strip_prefix("https://") {
        Some(host_and_path) => host_and_path.to_owned(),
        None => format!("{}{}", request.header("host").unwrap_or_default(), request.path),
    }
}
