//! The body of a response: complete, slow or truncated.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Sleep, sleep};

use crate::handler::Disconnect;
use crate::record::InFlight;

/// The size of the chunks of a body in bytes. hyper polls for the next chunk while less than about
/// 400 KB are not yet in the socket, so when [`InFlight::complete`] is called, up to that and one
/// chunk may be unsent.
const CHUNK_BYTES: usize = 64 * 1024;
/// The number of chunks of a slow body.
const SLOW_CHUNKS: u32 = 20;
/// The delay before a truncated body closes the connection, so that its first half is sent.
const TRUNCATE_PAUSE: Duration = Duration::from_millis(30);

/// A body, and the record of the request that it answers.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    chunks: VecDeque<Bytes>,
    pause: Duration,
    pausing: Option<Pin<Box<Sleep>>>,
    truncated: bool,
    in_flight: InFlight,
}

impl ResponseBody {
    pub(crate) fn complete(body: Bytes, in_flight: InFlight) -> Self {
        Self::new(split(body, CHUNK_BYTES), Duration::ZERO, false, in_flight)
    }

    /// Sends the body in up to [`SLOW_CHUNKS`] chunks, spread over up to this time.
    pub(crate) fn slow(body: Bytes, time: Duration, in_flight: InFlight) -> Self {
        let chunks = usize::try_from(SLOW_CHUNKS).unwrap_or(1);
        let size = body.len().div_ceil(chunks).max(1);
        Self::new(split(body, size), time / SLOW_CHUNKS, false, in_flight)
    }

    /// Sends the first half, then closes the connection.
    pub(crate) fn truncated(body: Bytes, in_flight: InFlight) -> Self {
        let half = body.slice(..body.len() / 2);
        Self::new(split(half, CHUNK_BYTES), TRUNCATE_PAUSE, true, in_flight)
    }

    fn new(
        chunks: VecDeque<Bytes>,
        pause: Duration,
        truncated: bool,
        mut in_flight: InFlight,
    ) -> Self {
        if chunks.is_empty() && !truncated {
            in_flight.complete();
        }
        Self { chunks, pause, pausing: None, truncated, in_flight }
    }
}

fn split(body: Bytes, size: usize) -> VecDeque<Bytes> {
    let starts = (0..body.len()).step_by(size);
    starts.map(|at| body.slice(at..body.len().min(at + size))).collect()
}

// The size hint stays unknown on purpose: the head has its own Content-Length,
// which is not the length that a truncated body sends.
impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Disconnect;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Disconnect>>> {
        if let Some(pausing) = &mut self.pausing {
            ready!(pausing.as_mut().poll(cx));
            self.pausing = None;
        }
        let Some(chunk) = self.chunks.pop_front() else {
            return Poll::Ready(self.truncated.then_some(Err(Disconnect::Reset)));
        };
        self.in_flight.add_sent(chunk.len());
        let last = self.chunks.is_empty();
        if last && !self.truncated {
            self.in_flight.complete();
        } else if !self.pause.is_zero() && (last || !self.truncated) {
            self.pausing = Some(Box::pin(sleep(self.pause)));
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty() && !self.truncated
    }
}
