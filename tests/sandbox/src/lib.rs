//! A strict local simulation of three web services: CrowdStrike Falcon's alerts, Carbon Black
//! Cloud's alerts, and Recorded Future Collective Insights. Real HTTP on 127.0.0.1,
//! without or with TLS, HTTP/1.1 or HTTP/2, generated data.
//!
//! It is as strict as the documentation of the services: it rejects what they reject, with their
//! messages. Where the documentation is silent, it is strict, and a comment says so.
//!
//! A [`Service`] is one of the five endpoints of these services: faults are queued, and requests
//! are counted, per endpoint.
//!
//! A test sets up a [`World`] (accounts, alerts, behavior), starts a [`Sandbox`] with it, injects
//! [`Fault`]s into requests (an error status, a closed connection, a wrong page), and asserts on
//! the record of the requests and of the stored items.
//!
//! | module | contents |
//! |---|---|
//! | [`world`] | accounts, alerts and behavior of each service: what a test sets up |
//! | [`alert_store`] | storage of alerts: the raw text and the fields that a search needs |
//! | [`seed`] | generated alerts, and loading of recorded ones |
//! | [`faults`] | faults that a test can inject into requests |
//! | [`record`] | requests and stored items: what a test asserts on |
//! | [`falcon`], [`fql`] | sign-in, pages of alerts, and the filter language |
//! | [`carbon_black`] | the alert search |
//! | [`recorded_future`], `submission`, `indicator` | submissions: validation, search |
//! | `server`, `handler`, `response_body` | the server thread, one request, its response body |
//! | [`tls`], `goaway` | certificates, and the abrupt end of an HTTP/2 connection |
//! | [`time`], `body_check` | timestamps, and checks of JSON values |
//!
//! ```
//! let sandbox = sandbox::Sandbox::start(sandbox::World::default());
//! assert!(sandbox.url().starts_with("http://127.0.0.1:"));
//! sandbox.finish();
//! ```

#![warn(missing_docs)]

pub mod alert_store;
mod body_check;
pub mod carbon_black;
pub mod falcon;
pub mod faults;
pub mod fql;
mod goaway;
mod handler;
mod indicator;
pub mod record;
pub mod recorded_future;
mod response_body;
pub mod seed;
mod server;
mod submission;
pub mod time;
pub mod tls;
pub mod world;

use std::sync::{Arc, Mutex};

pub use faults::{Fault, NOT_RECEIPTS, Service};
pub use record::{RecordedRequest, ServedAlerts, StoredItem};
pub use world::{
    CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, DateHeader, RF_TOKEN, World,
};

use handler::{SharedState, lock};
use server::Server;

/// The three running services. They stop when this is dropped.
///
/// If a handler panicked, `drop` and [`finish`](Self::finish) panic with its message, unless the
/// test panics already.
#[derive(Debug)]
pub struct Sandbox {
    server: Server,
    tls: Option<world::Tls>,
    shared: SharedState,
}

impl Sandbox {
    /// Starts on a free port of 127.0.0.1, in its own thread.
    ///
    /// # Panics
    /// If no port is free.
    pub fn start(world: World) -> Self {
        Self::start_on(0, world).expect("a free port on 127.0.0.1")
    }

    /// Starts on this port.
    pub fn start_on(port: u16, world: World) -> std::io::Result<Self> {
        let (tls, http2) = (world.tls.clone(), world.http2);
        let shared = SharedState {
            world: Arc::new(Mutex::new(world)),
            faults: Arc::default(),
            services: Arc::default(),
            recorder: record::Recorder::default(),
        };
        let server = Server::start(port, tls.as_ref(), http2, shared.clone())?;
        Ok(Self { server, tls, shared })
    }

    /// Returns `http://127.0.0.1:PORT`, or `https:` with TLS, the base URL of all three services.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.server.address)
    }

    /// Returns the certificate of the authority as PEM, if the sandbox uses TLS.
    pub fn ca_pem(&self) -> Option<String> {
        self.tls.as_ref().map(|tls| tls.authority.pem())
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    /// Changes the world. The change applies from the next request on.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut lock(&self.shared.world))
    }

    /// Adds faults to the queue of a service. Each request takes one; [`Fault::None`] has no
    /// effect.
    pub fn queue_faults(&self, service: Service, faults: Vec<Fault>) {
        lock(&self.shared.faults).queue(service, faults);
    }

    /// Sets the fault of every request to a service once its queue is empty. `None` removes it.
    pub fn always(&self, service: Service, fault: Option<Fault>) {
        lock(&self.shared.faults).always(service, fault);
    }

    /// Removes all faults of a service.
    pub fn clear_faults(&self, service: Service) {
        lock(&self.shared.faults).clear(service);
    }

    /// Returns the number of faults in the queue of a service.
    pub fn faults_left(&self, service: Service) -> usize {
        lock(&self.shared.faults).remaining(service)
    }

    /// Refuses new connections, and closes the open ones. A client with a kept-alive connection
    /// first sees that one break; then a new one is refused.
    pub fn pause_listening(&self) {
        self.server.pause();
    }

    /// Listens again on the same port.
    ///
    /// # Panics
    /// If the port is in use by now.
    pub fn resume_listening(&self) {
        self.server.resume().expect("the port is still free");
    }

    /// Returns what Recorded Future stored, in the order of arrival.
    pub fn stored(&self) -> Vec<StoredItem> {
        self.shared.recorder.lock().stored.clone()
    }

    /// Returns all requests so far, in the order in which they started.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.recorder.lock().requests.clone()
    }

    /// Returns all requests to one service.
    pub fn requests_to(&self, service: Service) -> Vec<RecordedRequest> {
        let records = self.shared.recorder.lock();
        let requests = records.requests.iter().filter(|request| request.service == Some(service));
        requests.cloned().collect()
    }

    /// Returns the ids of the alerts in successful responses that were sent in full.
    pub fn served_alerts(&self) -> ServedAlerts {
        self.shared.recorder.lock().served_alerts.clone()
    }

    /// Reports whether two submissions to Recorded Future were ever in flight at the same time.
    pub fn overlapping_posts(&self) -> bool {
        self.shared.recorder.lock().overlapping_posts
    }

    /// Stops. Panics if a handler panicked.
    pub fn finish(self) {}

    /// Serves until the process ends. With `keeps_contents`, Recorded Future's search finds what
    /// was submitted. Without it nothing reads the contents of earlier requests any more, so they
    /// are discarded, and memory does not grow with them.
    pub fn serve_forever(self, keeps_contents: bool) -> ! {
        self.shared.recorder.lock().discards_contents = !keeps_contents;
        loop {
            std::thread::park();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server.stop();
        let panics = std::mem::take(&mut self.shared.recorder.lock().panics);
        if !panics.is_empty() && !std::thread::panicking() {
            panic!("the sandbox panicked while it handled a request: {}", panics.join("; "));
        }
    }
}
