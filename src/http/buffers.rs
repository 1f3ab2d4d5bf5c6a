//! The memory for answers: how many may be in it at the same time, and buffers that are used again.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many answers are read into memory at the same time, however many requests are under way: what
/// bounds the memory of a run.
const ANSWERS: usize = 2;
/// A buffer of more bytes than this is given back to the system: several times the largest real page.
const MAX_POOLED_BYTES: usize = 16 * 1024 * 1024;

/// Where answers are read into.
///
/// The buffers stay: giving each page's 4 MB back to the system and asking for them again costs page
/// faults, and with it the peak of memory differed from run to run.
#[derive(Debug)]
pub(super) struct BodyBuffers {
    places: Arc<Semaphore>,
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// An answer's body, decompressed. While it lives it takes one of the places.
#[derive(Default)]
pub struct Body {
    bytes: Vec<u8>,
    place: Option<Slot>,
}

#[derive(Debug)]
struct Slot {
    room: Arc<BodyBuffers>,
    _permit: OwnedSemaphorePermit,
}

impl BodyBuffers {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { places: Arc::new(Semaphore::new(ANSWERS)), buffers: Mutex::default() })
    }

    /// PendingWaits for a place, and gives an empty body that has it.
    pub async fn body(self: &Arc<Self>) -> Body {
        // It is never closed, which would be the only error.
        let permit = Arc::clone(&self.places).acquire_owned().await.ok();
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        Body {
            bytes: buffers.pop().unwrap_or_default(),
            place: permit.map(|permit| Slot { room: Arc::clone(self), _permit: permit }),
        }
    }
}

impl Body {
    /// Prepares for so many bytes.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// Adds what came.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Lets another answer into memory, and goes on with a copy of its own.
    pub(super) fn release_early(&mut self) {
        if let Some(place) = self.place.take() {
            let copy = self.bytes.as_slice().to_vec();
            place.leave(std::mem::replace(&mut self.bytes, copy));
        }
    }
}

impl Slot {
    /// Gives place and buffer to the next response.
    fn leave(self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= MAX_POOLED_BYTES {
            buffer.clear();
            let buffers = self.room.buffers.lock();
            buffers.unwrap_or_else(PoisonError::into_inner).push(buffer);
        }
    }
}

/// Its length alone: a sign-in's answer holds a token.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.bytes.len())
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            place.leave(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn places_are_limited_and_buffers_used_again() {
        let room = BodyBuffers::new();
        let mut first = room.body().await;
        first.extend(b"a long answer");
        let second = room.body().await;
        let third = tokio::time::timeout(Duration::from_secs(1), room.body()).await;
        assert!(third.is_err());

        let buffer = first.as_ptr();
        drop(first);
        let third = room.body().await;
        assert!(third.is_empty());
        assert_eq!(third.as_ptr(), buffer);
        drop((second, third));
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_keeps_the_words() {
        let room = BodyBuffers::new();
        let mut refusals = Vec::new();
        for _ in 0..=ANSWERS {
            let mut refusal = room.body().await;
            refusal.extend(b"no");
            refusal.release_early();
            refusals.push(refusal);
        }
        assert!(refusals.iter().all(|refusal| **refusal == *b"no"));
    }
}
