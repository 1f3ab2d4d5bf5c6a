//! The services at their real addresses: a proxy leads every host name to a sandbox behind TLS, and
//! writes down who wanted to go where.

use std::process::Command;
use std::sync::{Arc, Mutex};

use sandbox::{Asked, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;

use super::tls::{Authority, Flaw, Front, Server};
use super::{Ran, Stage};

/// A proxy for HTTPS that knows the way to one port only, whatever host is asked for.
pub struct Proxy {
    pub port: u16,
    wanted: Arc<Mutex<Vec<String>>>,
    _server: Server,
}

impl Proxy {
    /// A proxy that lets everybody pass.
    pub fn open(to: u16) -> Self {
        Self::new(to, |_| None)
    }

    /// A proxy that looks at each request's head; what `refuse` gives is its whole answer.
    pub fn new(
        to: u16,
        refuse: impl Fn(&str) -> Option<String> + Clone + Send + Sync + 'static,
    ) -> Self {
        let wanted = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&wanted);
        let (port, server) = Server::start(move |client| {
            let (list, refuse) = (Arc::clone(&list), refuse.clone());
            async move { pass(client, to, &list, refuse).await }
        });
        Self { port, wanted, _server: server }
    }

    /// Its address, for `HTTPS_PROXY`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `host:port` of each connection that was asked for, in that order.
    pub fn wanted(&self) -> Vec<String> {
        self.wanted.lock().unwrap().clone()
    }
}

async fn pass(
    mut client: TcpStream,
    to: u16,
    wanted: &Mutex<Vec<String>>,
    refuse: impl Fn(&str) -> Option<String>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let place = head.split(' ').nth(1).unwrap_or_default();
    wanted.lock().unwrap().push(place.to_owned());
    let refusal = if head.starts_with("CONNECT ") {
        refuse(&head)
    } else {
        Some("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n".to_owned())
    };
    if let Some(answer) = refusal {
        let _ = client.write_all(answer.as_bytes()).await;
        return;
    }
    let mut service = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let _ = copy_bidirectional(&mut client, &mut service).await;
}

/// A stage whose services are at their real addresses, behind certificates of this authority.
pub struct Internet {
    pub stage: Stage,
    pub authority: Authority,
    pub front: Front,
    pub proxy: Proxy,
}

impl Internet {
    /// Every host speaks HTTP/2 and HTTP/1.1 and has a good certificate.
    pub fn new(world: World) -> Self {
        Self::with(world, &["h2", "http/1.1"], |_| Flaw::None)
    }

    /// Hosts speak these protocols, and their certificates have these flaws.
    pub fn with(
        world: World,
        protocols: &[&str],
        flaw: impl Fn(&str) -> Flaw + Send + Sync + 'static,
    ) -> Self {
        let stage = Stage::new(world);
        let authority = Authority::new("Inspecting Proxy CA");
        // What the machine trusts by itself, and a file that names the authority beside it.
        stage.write("system.pem", Authority::new("System CA").pem());
        stage.write("ca.pem", authority.pem());
        let issuer = authority.clone();
        let front = Front::new(stage.sandbox.port(), protocols, move |host| {
            issuer.certificate(host, flaw(host))
        });
        let proxy = Proxy::open(front.port);
        Self { stage, authority, front, proxy }
    }

    /// The binary with these arguments, no address given, and this way to the world.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = self.stage.command(arguments);
        command
            .env_remove("CS_BASE_URL")
            .env_remove("RF_API_URL")
            .env("CB_HOSTNAME", "defense.example.com")
            .env("SSL_CERT_FILE", self.stage.path("system.pem"))
            .env("HTTPS_PROXY", self.proxy.url());
        command
    }

    /// Runs the binary, which trusts the authority.
    pub fn run(&self, arguments: &str) -> Ran {
        Ran::of(self.command(arguments).args(["--ca-cert", "ca.pem"]))
    }

    /// `host/path` of every request that came, in that order.
    pub fn asked(&self) -> Vec<String> {
        self.stage.sandbox.requests().iter().map(place).collect()
    }

    /// The hosts to which somebody wanted to go, each once.
    pub fn hosts(&self) -> Vec<String> {
        let mut hosts = self.proxy.wanted();
        hosts.sort();
        hosts.dedup();
        hosts
    }
}

/// `host/path` of a request, over HTTP/1.1 or HTTP/2.
pub fn place(asked: &Asked) -> String {
    match asked.path.strip_prefix("https://") {
        Some(place) => place.to_owned(),
        None => format!("{}{}", asked.header("host").unwrap_or_default(), asked.path),
    }
}
