//! The body of an answer: whole, slow, or cut in its middle.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Sleep, sleep};

use crate::handler::{CUT_AFTER, HangUp};
use crate::record::Flight;

/// Large bodies go out in pieces of that size: hyper asks for the next one when the ones before have
/// left for the socket, so "sent to its end" is close to the truth.
const PIECE: usize = 64 * 1024;

/// A body, and with it the note that its request is under way.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pieces: VecDeque<Bytes>,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    cut: bool,
    flight: Flight,
}

impl Outgoing {
    pub(crate) fn whole(body: Bytes, flight: Flight) -> Self {
        Self::new(split(body, PIECE), Duration::ZERO, false, flight)
    }

    /// In that many pieces, spread over that time.
    pub(crate) fn slow(body: Bytes, pieces: usize, time: Duration, flight: Flight) -> Self {
        let size = body.len().div_ceil(pieces).max(1);
        Self::new(split(body, size), time / u32::try_from(pieces).unwrap_or(1), false, flight)
    }

    /// The first half, then the end of the connection.
    pub(crate) fn cut(body: Bytes, flight: Flight) -> Self {
        let half = body.slice(..body.len() / 2);
        Self::new(split(half, PIECE), CUT_AFTER, true, flight)
    }

    fn new(pieces: VecDeque<Bytes>, pause: Duration, cut: bool, mut flight: Flight) -> Self {
        if pieces.is_empty() && !cut {
            flight.complete();
        }
        Self { pieces, pause, waiting: None, cut, flight }
    }
}

fn split(body: Bytes, size: usize) -> VecDeque<Bytes> {
    let starts = (0..body.len()).step_by(size);
    starts.map(|at| body.slice(at..body.len().min(at + size))).collect()
}

// The size hint stays unknown on purpose: the head carries its own Content-Length,
// which for a cut body is not the length of what follows.
impl Body for Outgoing {
    type Data = Bytes;
    type Error = HangUp;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HangUp>>> {
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
        }
        let Some(piece) = self.pieces.pop_front() else {
            return Poll::Ready(self.cut.then_some(Err(HangUp)));
        };
        self.flight.sent(piece.len());
        let last = self.pieces.is_empty();
        if last && !self.cut {
            self.flight.complete();
        } else if !self.pause.is_zero() && (last || !self.cut) {
            self.waiting = Some(Box::pin(sleep(self.pause)));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && !self.cut
    }
}
