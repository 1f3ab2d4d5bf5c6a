//! Forwarding proxies as they are deployed, where they are installed: tinyproxy and squid.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Who may use it; tinyproxy takes nothing but letters and digits.
pub const USER: &str = "batch";
pub const PASSWORD: &str = "pr0xyN3verSeen42";

const PATIENCE: Duration = Duration::from_secs(30);

/// One of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Tinyproxy,
    Squid,
}

/// A proxy that runs, and lets only [`USER`] pass. It ends when this is dropped.
pub struct RealProxy {
    pub port: u16,
    log: PathBuf,
    process: Child,
    _folder: TempDir,
}

impl Program {
    /// Those that are installed. Where there is none the test has to say so, and is skipped.
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
        // Debian's folders, where a path for ordinary users leaves some of them out.
        ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"]
            .into_iter()
            .map(|folder| Path::new(folder).join(name))
            .find(|path| path.exists())
    }

    /// Starts it.
    pub fn start(self) -> RealProxy {
        let folder = TempDir::new().unwrap();
        // Squid leaves root's rights and has to write here all the same.
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
        proxy.until_it_listens();
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
    /// Its address with these credentials, for `HTTPS_PROXY`.
    pub fn url(&self, credentials: &str) -> String {
        format!("http://{credentials}127.0.0.1:{}", self.port)
    }

    /// Its own log: what it was asked for.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn until_it_listens(&mut self) {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.process.try_wait().unwrap();
            assert_eq!(ended, None, "the proxy ended: {}", self.log());
            assert!(begun.elapsed() < PATIENCE, "the proxy never listens");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for RealProxy {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
