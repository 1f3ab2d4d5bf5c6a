//! The thread that listens: its runtime, its connections, and its way to stop listening for a while.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;
use std::{io, sync::mpsc as reply};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use crate::handler::Shared;
use crate::record::Record;

/// Threads that answer. Two, as the tool under test waits for nearly all it asks.
const WORKERS: usize = 2;
const BACKLOG: u32 = 1024;

enum Order {
    Pause(reply::Sender<()>),
    Resume(reply::Sender<io::Result<()>>),
    Stop,
}

/// The running server. It stops, and its thread is waited for, when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    orders: mpsc::UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on 127.0.0.1 at that port, or at any free one for 0.
    pub(crate) fn start(port: u16, shared: Shared) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?
        };
        let address = listener.local_addr()?;
        let (orders, inbox) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("sandbox".into())
            .spawn(move || runtime.block_on(serve(listener, address, shared, inbox)))?;
        Ok(Self { address, orders, thread: Some(thread) })
    }

    /// From here on connections are refused; those that are open are closed.
    pub(crate) fn pause(&self) {
        let (done, wait) = reply::channel();
        self.orders.send(Order::Pause(done)).expect("the sandbox runs");
        wait.recv().expect("the sandbox runs");
    }

    /// Listens again on the same port.
    pub(crate) fn resume(&self) -> io::Result<()> {
        let (done, wait) = reply::channel();
        self.orders.send(Order::Resume(done)).expect("the sandbox runs");
        wait.recv().expect("the sandbox runs")
    }

    /// Stops, and returns when nothing runs any more.
    pub(crate) fn stop(&mut self) {
        // Both fail only when the thread is gone already, and then there is nothing to stop.
        let _ = self.orders.send(Order::Stop);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    reserve(address)?.listen(BACKLOG)
}

/// Takes a port without listening: connections to it are refused, and no other sandbox gets it meanwhile,
/// which would answer in this one's place.
fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // The port has connections in TIME_WAIT when it is taken again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    shared: Shared,
    mut inbox: mpsc::UnboundedReceiver<Order>,
) {
    let mut listener = Some(listener);
    let mut reserved = None;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            order = inbox.recv() => match order {
                Some(Order::Pause(done)) => {
                    if listener.take().is_some() {
                        reserved = reserve(address).ok();
                    }
                    end(&mut connections, &shared.record).await;
                    let _ = done.send(());
                }
                Some(Order::Resume(done)) => {
                    let again = match (&listener, reserved.take()) {
                        (Some(_), _) => Ok(()),
                        (None, Some(socket)) => socket.listen(BACKLOG).map(|new| listener = Some(new)),
                        (None, None) => listen(address).map(|new| listener = Some(new)),
                    };
                    let _ = done.send(again);
                }
                Some(Order::Stop) | None => break,
            },
            Ok(stream) = accept(listener.as_ref()) => {
                connections.spawn(connection(stream, shared.clone()));
            }
            Some(ended) = connections.join_next() => note_panic(ended, &shared.record),
        }
    }
    end(&mut connections, &shared.record).await;
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

async fn connection(stream: TcpStream, shared: Shared) {
    // Small answers must not wait for more to come.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| shared.clone().handle(request));
    // An error here is a client that went away, or one of our own hang-ups.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn end(connections: &mut JoinSet<()>, record: &Record) {
    connections.abort_all();
    while let Some(ended) = connections.join_next().await {
        note_panic(ended, record);
    }
}

/// A panic in a handler closes its connection; here it is remembered, for the test to fail by.
fn note_panic(ended: Result<(), JoinError>, record: &Record) {
    let Err(error) = ended else { return };
    if !error.is_panic() {
        return;
    }
    let panic = error.into_panic();
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    record.open().panics.push(text.unwrap_or_else(|| "a panic without a text".into()));
}
