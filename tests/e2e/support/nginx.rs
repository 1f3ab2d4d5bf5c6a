//! A real nginx in front of a sandbox, where it is installed.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::tls::CertificateAuthority;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A running nginx: a reverse proxy with TLS, HTTP/2 and gzip. It is killed when this is dropped.
pub struct Nginx {
    port: u16,
    process: Child,
    folder: TempDir,
}

impl Nginx {
    /// Starts nginx on a free port, in front of a port without TLS. Returns `None` if it is not
    /// installed; the test is skipped then and must print so.
    pub fn start(to_port: u16, ca: &CertificateAuthority) -> Option<Self> {
        let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"]
            .into_iter()
            .find(|path| Path::new(path).exists())?;
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (certificate, key) = ca.certificate_pem("127.0.0.1");
        for (name, content) in [
            ("certificate.pem", certificate),
            ("key.pem", key),
            ("nginx.conf", configuration(port, to_port)),
        ] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let process = Command::new(program)
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut nginx = Self { port, process, folder };
        nginx.wait_until_listening();
        Some(nginx)
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Returns one line per request: its protocol, the status, and the compression ratio or `-`.
    pub fn access_log(&self) -> String {
        self.read("access.log")
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    fn wait_until_listening(&mut self) {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let status = self.process.try_wait().unwrap();
            assert_eq!(status, None, "nginx exited: {}", self.read("error.log"));
            assert!(started.elapsed() < TIMEOUT, "nginx does not listen in time");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Returns a configuration in which all paths are relative to the folder.
fn configuration(port: u16, to_port: u16) -> String {
    // One process, as the current user: with a master process, workers would run as another user.
    format!(
        "daemon off;
master_process off;
pid nginx.pid;
events {{}}
http {{
    log_format short '$server_protocol $status $gzip_ratio';
    access_log access.log short;
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    gzip on;
    gzip_types application/json;
    client_max_body_size 100m;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate certificate.pem;
        ssl_certificate_key key.pem;
        location / {{
            proxy_pass http://127.0.0.1:{to_port};
            proxy_http_version 1.1;
            proxy_pass_header Date;
            proxy_set_header Accept-Encoding '';
        }}
    }}
}}
"
    )
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
