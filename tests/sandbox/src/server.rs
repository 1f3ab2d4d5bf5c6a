//! The server thread: its runtime, its connections, and how it pauses listening.

use std::any::Any;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::{io, sync::mpsc as std_mpsc};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::goaway::SharedStream;
use crate::handler::SharedState;
use crate::record::Recorder;
use crate::tls::{self, Flaw};
use crate::world::{Http2Limits, Tls};

/// Two worker threads: the program under test spends most of its time waiting for responses.
const WORKERS: usize = 2;
/// The number of connections that can wait to be accepted.
const BACKLOG: u32 = 1024;

/// A command to the server thread, with the channel for its completion.
enum Command {
    Pause(std_mpsc::Sender<()>),
    Resume(std_mpsc::Sender<io::Result<()>>),
    Stop,
}

/// The effect of a [`Fault`](crate::Fault) on the connection of its request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ConnectionFault {
    Close,
    GoAway,
    GoAwayWithError,
    StopServing,
}

/// The running server. [`stop`](Self::stop) ends it and joins its thread.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    commands: mpsc::UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on this port of 127.0.0.1; 0 is any free port.
    pub(crate) fn start(
        port: u16,
        tls: Option<&Tls>,
        http2: Http2Limits,
        shared: SharedState,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build()?;
        let listener = {
            let _guard = runtime.enter();
            listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?
        };
        let address = listener.local_addr()?;
        let connection_handler = ConnectionHandler { tls: tls.map(acceptor), http2, shared };
        let (commands, inbox) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("sandbox".into())
            .spawn(move || runtime.block_on(serve(listener, address, connection_handler, inbox)))?;
        Ok(Self { address, commands, thread: Some(thread) })
    }

    /// Refuses new connections, and closes the open ones.
    pub(crate) fn pause(&self) {
        let (done, wait) = std_mpsc::channel();
        self.commands.send(Command::Pause(done)).expect("the sandbox is running");
        wait.recv().expect("the sandbox is running");
    }

    /// Listens again on the same port.
    pub(crate) fn resume(&self) -> io::Result<()> {
        let (done, wait) = std_mpsc::channel();
        self.commands.send(Command::Resume(done)).expect("the sandbox is running");
        wait.recv().expect("the sandbox is running")
    }

    /// Stops, and waits for the thread.
    pub(crate) fn stop(&mut self) {
        // Both fail only if the thread has ended already.
        let _ = self.commands.send(Command::Stop);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    reserve(address)?.listen(BACKLOG)
}

/// Binds a port without listening: connections are refused, and no other sandbox gets it as a free
/// port and responds instead of this one.
fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // When it is bound again, the port still has connections in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    connection_handler: ConnectionHandler,
    mut inbox: mpsc::UnboundedReceiver<Command>,
) {
    let recorder = connection_handler.shared.recorder.clone();
    let mut listener = Some(listener);
    let mut reserved = None;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            command = inbox.recv() => match command {
                Some(Command::Pause(done)) => {
                    if listener.take().is_some() {
                        reserved = reserve(address).ok();
                    }
                    close_all(&mut connections, &recorder).await;
                    let _ = done.send(());
                }
                Some(Command::Resume(done)) => {
                    let resumed = match (&listener, reserved.take()) {
                        (Some(_), _) => Ok(()),
                        (None, Some(socket)) => {
                            socket.listen(BACKLOG).map(|new| listener = Some(new))
                        }
                        (None, None) => listen(address).map(|new| listener = Some(new)),
                    };
                    let _ = done.send(resumed);
                }
                Some(Command::Stop) | None => break,
            },
            Ok(stream) = accept(listener.as_ref()) => {
                connections.spawn(connection_handler.clone().serve(stream));
            }
            Some(ended) = connections.join_next() => record_end(ended, &recorder),
        }
    }
    close_all(&mut connections, &recorder).await;
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

/// Returns the acceptor of TLS connections, with one certificate for 127.0.0.1.
fn acceptor(tls: &Tls) -> TlsAcceptor {
    let certificate = tls.authority.certificate("127.0.0.1", Flaw::None);
    tls::acceptor(tls.protocols, move |_| Arc::clone(&certificate))
}

/// Serves the requests of a connection.
#[derive(Clone)]
struct ConnectionHandler {
    tls: Option<TlsAcceptor>,
    http2: Http2Limits,
    shared: SharedState,
}

impl ConnectionHandler {
    async fn serve(self, stream: TcpStream) {
        // Send small responses at once.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.serve_http(stream).await,
            Some(tls) => {
                // A client that does not trust the certificate disconnects.
                if let Ok(stream) = tls.accept(stream).await {
                    self.serve_http(stream).await;
                }
            }
        }
    }

    /// Serves HTTP/2 if the client begins with it, and HTTP/1.1 otherwise.
    async fn serve_http(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let recorder = self.shared.recorder.clone();
        let (faults, mut inbox) = mpsc::unbounded_channel();
        let service =
            service_fn(move |request| self.shared.clone().handle(request, faults.clone()));
        let mut builder = auto::Builder::new(HandlerTasks(recorder));
        // The handler adds the `Date` header.
        builder.http1().auto_date_header(false);
        let mut http2 = builder.http2();
        http2.auto_date_header(false);
        if let Some(window) = self.http2.window {
            http2.initial_stream_window_size(window).initial_connection_window_size(window);
        }
        if let Some(max) = self.http2.max_streams {
            http2.max_concurrent_streams(max);
        }
        let stream = SharedStream::new(stream);
        let io = TokioIo::new(stream.clone());
        let mut connection = pin!(builder.serve_connection(io, service));
        loop {
            tokio::select! {
                // An error here is a client that disconnected, or an injected fault.
                _ = connection.as_mut() => return,
                Some(fault) = inbox.recv() => match fault {
                    ConnectionFault::Close => return,
                    ConnectionFault::GoAway => connection.as_mut().graceful_shutdown(),
                    ConnectionFault::GoAwayWithError => return stream.send_goaway().await,
                    // Nothing drives the connection any more.
                    ConnectionFault::StopServing => std::future::pending().await,
                },
            }
        }
    }
}

async fn close_all(connections: &mut JoinSet<()>, recorder: &Recorder) {
    connections.abort_all();
    while let Some(ended) = connections.join_next().await {
        record_end(ended, recorder);
    }
}

/// Spawns the tasks in which hyper handles the requests of an HTTP/2 connection, and records their
/// panics.
#[derive(Clone)]
struct HandlerTasks(Recorder);

impl<T> hyper::rt::Executor<T> for HandlerTasks
where
    T: Future + Send + 'static,
    T::Output: Send,
{
    fn execute(&self, task: T) {
        let recorder = self.0.clone();
        let mut task = Box::pin(task);
        tokio::spawn(poll_fn(move |context| {
            let poll = || task.as_mut().poll(context).map(|_| ());
            catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|panic| {
                record_panic(&*panic, &recorder);
                resume_unwind(panic)
            })
        }));
    }
}

/// Records the panic that ended the task of a connection. Over HTTP/1.1 that is the panic of a
/// handler.
fn record_end(ended: Result<(), JoinError>, recorder: &Recorder) {
    if let Err(error) = ended
        && error.is_panic()
    {
        record_panic(&*error.into_panic(), recorder);
    }
}

/// Records a panic, so that the test fails.
fn record_panic(panic: &(dyn Any + Send), recorder: &Recorder) {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    recorder.lock().panics.push(text.unwrap_or_else(|| "a panic without a message".into()));
}
