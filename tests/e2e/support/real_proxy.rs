//! Real forward proxies, where they are installed: tinyproxy and squid.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The only user; tinyproxy allows letters and digits only.
pub const USER: &str = "batch";
pub const PASSWORD: &str = "pr0xyN3verSeen42";

const TIMEOUT: Duration = Duration::from_secs(30);

/// A proxy program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProgram {
    Tinyproxy,
    Squid,
}

/// A running proxy that requires [`USER`] and [`PASSWORD`]. It is killed when this is dropped.
pub struct RealProxy {
    pub port: u16,
    log: PathBuf,
    process: Child,
    _folder: TempDir,
}

impl ProxyProgram {
    /// Returns the installed programs. If there are none, the test is skipped and must print so.
    pub fn installed() -> Vec<Self> {
        let mut found = vec![Self::Tinyproxy, Self::Squid];
        found.retain(|program| program.path().is_some());
        found
    }

    fn path(self) -> Option<PathBuf> {
        let name = match self {
            Self::Tinyproxy => "tinyproxy",
            Self::Squid => "squid",
        };
        // Debian installs to folders that are not all in the PATH of a normal user.
        ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"]
            .into_iter()
            .map(|folder| Path::new(folder).join(name))
            .find(|path| path.exists())
    }

    /// Starts the proxy on a free port.
    pub fn start(self) -> RealProxy {
        let folder = TempDir::new().unwrap();
        // Squid drops root's privileges and still has to write here.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = folder.path().join("log");
        let file = folder.path().join("configuration");
        let mut command = Command::new(self.path().unwrap());
        match self {
            Self::Tinyproxy => {
                std::fs::write(&file, tinyproxy(port, &log)).unwrap();
                command.args(["-d", "-c"]).arg(&file);
            }
            Self::Squid => {
                std::fs::write(&file, squid(port, &log, folder.path())).unwrap();
                command.args(["-N", "-f"]).arg(&file);
            }
        }
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut proxy = RealProxy { port, log, process, _folder: folder };
        proxy.wait_until_listening();
        proxy
    }
}

fn tinyproxy(port: u16, log: &Path) -> String {
    format!(
        "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nBasicAuth {USER} {PASSWORD}\nLogLevel Connect\nLogFile \"{}\"\n",
        log.display()
    )
}

fn squid(port: u16, log: &Path, folder: &Path) -> String {
    let helper = folder.join("auth");
    std::fs::write(
        &helper,
        format!(
            "#!/bin/sh\nwhile read -r user password; do\nif [ \"$user $password\" = \"{USER} {PASSWORD}\" ]; then echo OK; else echo ERR; fi\ndone\n"
        ),
    )
    .unwrap();
    std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
    format!(
        "http_port 127.0.0.1:{port}\nauth_param basic program {}\nacl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all\ncache deny all\npid_filename none\naccess_log stdio:{}\ncache_log /dev/null\ncoredump_dir {}\nshutdown_lifetime 0 seconds\n",
        helper.display(),
        log.display(),
        folder.display()
    )
}

impl RealProxy {
    /// Returns its URL with these credentials (`USER:PASSWORD@` or empty), for `HTTPS_PROXY`.
    pub fn url(&self, credentials: &str) -> String {
        format!("http://{credentials}127.0.0.1:{}", self.port)
    }

    /// Returns its own log, which contains the requests.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn wait_until_listening(&mut self) {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let status = self.process.try_wait().unwrap();
            assert_eq!(status, None, "the proxy exited: {}", self.log());
            assert!(started.elapsed() < TIMEOUT, "the proxy does not listen in time");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for RealProxy {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
