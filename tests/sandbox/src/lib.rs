//! A strict loopback stand-in for three web services: CrowdStrike Falcon's alerts, Carbon Black Cloud's
//! alerts, and Recorded Future's Collective Insights. Real HTTP on 127.0.0.1, no TLS, made data.
//!
//! It is as strict as the services are documented to be: what they would refuse is refused here, with
//! their words. Where nothing is documented it takes the narrow reading, and says so on the spot.
//!
//! | module | what is in it |
//! |---|---|
//! | [`world`] | accounts, alerts, and each service's habits: what a test sets up |
//! | [`alert_store`] | how alerts are kept: raw text beside the fields that a search needs |
//! | [`seed`] | made alerts of any number, and the reading of recorded ones |
//! | [`faults`] | what can be made to go wrong |
//! | [`record`] | what was asked and stored: what a test looks at |
//! | [`falcon`], [`fql`] | sign-in, pages of alerts, and their filter language |
//! | [`carbon_black`] | the search of alerts |
//! | [`recorded_future`], `submission`, `indicator` | what is submitted, and every rule it must keep |
//! | `server`, `handler`, `response_body` | the thread, one request and its answer, the body on its way |
//!
//! ```
//! let sandbox = sandbox::Sandbox::start(sandbox::World::default());
//! assert!(sandbox.url().starts_with("http://127.0.0.1:"));
//! sandbox.finish();
//! ```

#![warn(missing_docs)]

pub mod alert_store;
pub mod carbon_black;
pub mod falcon;
pub mod faults;
pub mod fql;
mod handler;
mod indicator;
pub mod record;
pub mod recorded_future;
mod response_body;
pub mod seed;
mod server;
mod submission;
pub mod time;
pub mod world;

use std::sync::{Arc, Mutex};

pub use faults::{Fault, Service};
pub use record::{Asked, HandedOut, Stored};
pub use world::{CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, World};

use handler::{Shared, lock};
use server::Server;

/// The three services, running. They stop when this is dropped.
///
/// A panic inside a handler is remembered, and `drop` and [`finish`](Self::finish) panic with it.
#[derive(Debug)]
pub struct Sandbox {
    server: Server,
    shared: Shared,
}

impl Sandbox {
    /// Starts on a free port of 127.0.0.1, on a thread of its own.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn start(world: World) -> Self {
        Self::start_on(0, world).expect("a free port on 127.0.0.1")
    }

    /// Starts on that port.
    pub fn start_on(port: u16, world: World) -> std::io::Result<Self> {
        let shared = Shared {
            world: Arc::new(Mutex::new(world)),
            script: Arc::default(),
            memory: Arc::default(),
            record: record::Record::default(),
        };
        let server = Server::start(port, shared.clone())?;
        Ok(Self { server, shared })
    }

    /// `http://127.0.0.1:PORT`, the base URL of all three services.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// The port alone.
    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    /// Changes the world; the next request sees it.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut lock(&self.shared.world))
    }

    /// Adds faults to a service's queue. Each request to it takes one; [`Fault::None`] lets one pass.
    pub fn script(&self, service: Service, faults: Vec<Fault>) {
        lock(&self.shared.script).queue(service, faults);
    }

    /// The fault of every request to a service once its queue is empty; `None` ends it.
    pub fn always(&self, service: Service, fault: Option<Fault>) {
        lock(&self.shared.script).always(service, fault);
    }

    /// Forgets all faults of a service: from here on it is well.
    pub fn end_faults(&self, service: Service) {
        lock(&self.shared.script).end(service);
    }

    /// How many scripted faults of a service have not been taken yet.
    pub fn faults_left(&self, service: Service) -> usize {
        lock(&self.shared.script).left(service)
    }

    /// From here on connections are refused; open ones are closed, whatever they were doing.
    /// A client that kept one open sees that one break before it is refused.
    pub fn pause_listening(&self) {
        self.server.pause();
    }

    /// Listens again on the same port.
    ///
    /// # Panics
    /// When the port was taken meanwhile.
    pub fn resume_listening(&self) {
        self.server.resume().expect("the same port again");
    }

    /// What Recorded Future keeps, in the order in which it came.
    pub fn stored(&self) -> Vec<Stored> {
        self.shared.record.open().stored.clone()
    }

    /// Every request so far, in the order in which they began.
    pub fn requests(&self) -> Vec<Asked> {
        self.shared.record.open().requests.clone()
    }

    /// Every request to one service.
    pub fn requests_to(&self, service: Service) -> Vec<Asked> {
        let pages = self.shared.record.open();
        let to = pages.requests.iter().filter(|asked| asked.service == Some(service));
        to.cloned().collect()
    }

    /// The ids of alerts in answers that were successful and sent to their end.
    pub fn handed_out(&self) -> HandedOut {
        self.shared.record.open().handed_out.clone()
    }

    /// Whether two submissions to Recorded Future were ever under way at once.
    pub fn overlapping_posts(&self) -> bool {
        self.shared.record.open().overlapping_posts
    }

    /// Stops, and panics when a handler panicked.
    pub fn finish(self) {}

    /// Serves until the process ends.
    pub fn serve_forever(self) -> ! {
        loop {
            std::thread::park();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server.stop();
        let panics = std::mem::take(&mut self.shared.record.open().panics);
        if !panics.is_empty() && !std::thread::panicking() {
            panic!("the sandbox panicked while it answered: {}", panics.join("; "));
        }
    }
}
