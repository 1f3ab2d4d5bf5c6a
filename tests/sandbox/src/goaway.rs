//! The abrupt end of an HTTP/2 connection. hyper only offers a graceful one, so the frame is
//! written to the stream that hyper uses.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::handler::lock;

/// GOAWAY with INTERNAL_ERROR. Its last stream is the highest number that there is: it does not say
/// which requests were processed.
const FRAME: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 2];

/// A stream with several owners, only one of which uses it at a time.
#[derive(Debug)]
pub(crate) struct SharedStream<S>(Arc<Mutex<S>>);

impl<S> SharedStream<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }
}

impl<S: AsyncWrite + Unpin> SharedStream<S> {
    /// Sends GOAWAY with an error, and closes the stream. The owner that is hyper must not be
    /// polled any more; between two polls it has sent whole frames, unless the client reads slowly.
    pub(crate) async fn send_goaway(mut self) {
        // An error here is a client that has disconnected.
        if self.write_all(&FRAME).await.is_ok() {
            let _ = self.shutdown().await;
        }
    }
}

impl<S> Clone for SharedStream<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SharedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        pin(&mut lock(&self.0)).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SharedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        pin(&mut lock(&self.0)).poll_write(cx, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin(&mut lock(&self.0)).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin(&mut lock(&self.0)).poll_shutdown(cx)
    }
}

fn pin<'a, S: Unpin>(guard: &'a mut MutexGuard<'_, S>) -> Pin<&'a mut S> {
    Pin::new(&mut **guard)
}
