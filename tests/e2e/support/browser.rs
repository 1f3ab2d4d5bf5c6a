//! A real browser, where it is installed: a headless Chromium, controlled over two pipes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_mins(1);
/// The time after loading in which a page is watched for requests and problems.
const SETTLE_TIME: Duration = Duration::from_millis(500);

const FLAGS: [&str; 11] = [
    "--headless",
    // Chromium's own sandbox does not work as root. It opens only pages that a test wrote.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--remote-debugging-pipe",
];

/// The events that report a problem.
const PROBLEMS: [&str; 4] =
    ["Audits.issueAdded", "Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"];

/// A running browser with one tab. It is killed when this is dropped.
pub struct Browser {
    process: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    last_id: u64,
    events: Vec<Value>,
    /// Receives the first line of each request that reached the proxy.
    proxied: Receiver<String>,
    _profile: TempDir,
}

/// The requests and messages of a page.
#[derive(Debug)]
pub struct Visit {
    /// The URLs that were requested, without that of the page.
    pub requests: Vec<String>,
    /// The first lines of the requests that reached the network.
    pub network_requests: Vec<String>,
    /// Messages on the console, exceptions, and issues such as a violated content security policy.
    pub problems: Vec<String>,
}

impl Browser {
    /// Starts the browser. What a page requests goes to a proxy that records it. Returns `None` if
    /// no browser is installed; the test is skipped then and must print so.
    pub fn start() -> Option<Self> {
        let program = ["chromium", "chromium-browser", "google-chrome"]
            .into_iter()
            .map(|name| Path::new("/usr/bin").join(name))
            .find(|path| path.exists())?;
        let profile = TempDir::new().unwrap();
        let (port, proxied) = record_requests();
        // The browser reads commands from descriptor 3 and writes messages to 4.
        let script = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;
        let mut process = Command::new("sh")
            .args(["-c", script])
            .arg(program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            // What the browser requests on its own goes nowhere: nobody listens on this port.
            .arg("--proxy-server=127.0.0.1:9")
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = process.stdin.take().unwrap();
        let messages = read_messages(process.stdout.take().unwrap());
        let mut browser = Self {
            process,
            commands,
            messages,
            session: None,
            last_id: 0,
            events: Vec::new(),
            proxied,
            _profile: profile,
        };
        // The tab has a profile of its own, so that the proxy receives only the requests of the
        // tab, also those to this machine.
        let proxy = format!("127.0.0.1:{port}");
        let profile = json!({"proxyServer": proxy, "proxyBypassList": "<-loopback>"});
        let profile = browser.call("Target.createBrowserContext", &profile);
        let tab = json!({"url": "about:blank", "browserContextId": profile["browserContextId"]});
        let tab = browser.call("Target.createTarget", &tab);
        let target = json!({"targetId": tab["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", &target);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Network", "Log", "Runtime", "Audits"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Sends a command, waits for its response, and returns its result.
    #[track_caller]
    pub fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last_id += 1;
        let mut command = json!({"id": self.last_id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let message = self.messages.recv_timeout(TIMEOUT);
            let mut message = message.unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == self.last_id {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    /// Returns the value of a JavaScript expression.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true});
        self.call("Runtime.evaluate", &parameters)["result"]["value"].take()
    }

    /// Shows pages as a phone of this width does, in CSS pixels.
    pub fn set_phone_width(&mut self, width: u32) {
        let metrics =
            json!({"width": width, "height": 780, "deviceScaleFactor": 2, "mobile": true});
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Sets what `prefers-color-scheme` is: `light` or `dark`.
    pub fn set_color_scheme(&mut self, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.call("Emulation.setEmulatedMedia", &json!({"features": [feature]}));
    }

    /// Opens a file, and waits until all of it is loaded.
    #[track_caller]
    pub fn open(&mut self, file: &Path) -> Visit {
        self.events.clear();
        let _ = self.proxied.try_iter().count();
        let url = format!("file://{}", file.display());
        self.call("Page.navigate", &json!({"url": url}));
        let started = Instant::now();
        while self.evaluate("document.readyState + location.protocol") != "completefile:" {
            assert!(started.elapsed() < TIMEOUT, "the page is not loaded in time");
            sleep(Duration::from_millis(20));
        }
        sleep(SETTLE_TIME);
        // The events up to here come before this response.
        self.evaluate("0");
        let events = std::mem::take(&mut self.events);
        let requests = events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent")
            .filter_map(|event| event["params"]["request"]["url"].as_str())
            .filter(|requested| *requested != url)
            .map(str::to_owned)
            .collect();
        let is_problem = |event: &&Value| {
            let method = event["method"].as_str().unwrap_or_default();
            PROBLEMS.contains(&method)
        };
        let problems = events.iter().filter(is_problem).map(Value::to_string).collect();
        Visit { requests, network_requests: self.proxied.try_iter().collect(), problems }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads messages until the browser exits.
fn read_messages(from: ChildStdout) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for message in BufReader::new(from).split(0) {
            let message = message.ok().and_then(|message| serde_json::from_slice(&message).ok());
            if message.is_none_or(|message| sender.send(message).is_err()) {
                return;
            }
        }
    });
    receiver
}

/// Starts a proxy that serves nothing. Returns its port, and the receiver of the first line of each
/// request.
fn record_requests() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(connection) = connection else { return };
            // It may be closed without a request, and that counts too.
            if sender.send(first_line(connection).unwrap_or_default()).is_err() {
                return;
            }
        }
    });
    (port, receiver)
}

fn first_line(connection: TcpStream) -> std::io::Result<String> {
    connection.set_read_timeout(Some(SETTLE_TIME / 5))?;
    let mut line = String::new();
    BufReader::new(connection).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// Writes a page to a file in a folder.
pub fn write_page(folder: &TempDir, html: &str) -> PathBuf {
    let path = folder.path().join("page.html");
    std::fs::write(&path, html).unwrap();
    path
}
