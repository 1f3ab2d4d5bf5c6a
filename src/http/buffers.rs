//! Buffers for response bodies: how many are in memory at once, and their reuse.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The maximum number of bodies in memory, regardless of the requests in flight. It limits the
/// memory of a run.
const MAX_BODIES_IN_MEMORY: usize = 2;
/// Larger buffers, in bytes, are freed instead of reused: several times the largest real page.
const MAX_POOLED_BYTES: usize = 16 * 1024 * 1024;

/// A pool of body buffers.
///
/// Buffers are reused because freeing and allocating 4 MB per page costs page faults, and made the
/// peak memory differ from run to run.
#[derive(Debug)]
pub(super) struct BodyBuffers {
    slots: Arc<Semaphore>,
    free: Mutex<Vec<Vec<u8>>>,
}

/// A response body, decompressed. It occupies a slot of the pool until it is dropped.
#[derive(Default)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    slot: Option<Slot>,
}

#[derive(Debug)]
struct Slot {
    buffers: Arc<BodyBuffers>,
    _permit: OwnedSemaphorePermit,
}

impl BodyBuffers {
    pub(super) fn new() -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(MAX_BODIES_IN_MEMORY));
        Arc::new(Self { slots, free: Mutex::default() })
    }

    /// Waits for a free slot and returns an empty body that occupies it.
    pub(super) async fn acquire(self: &Arc<Self>) -> Body {
        // The only error is a closed semaphore, and this one is never closed.
        let permit = Arc::clone(&self.slots).acquire_owned().await.ok();
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        Body {
            bytes: free.pop().unwrap_or_default(),
            slot: permit.map(|permit| Slot { buffers: Arc::clone(self), _permit: permit }),
        }
    }
}

impl Body {
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve_exact(bytes);
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Frees the slot and keeps the bytes in a buffer outside the pool.
    pub(super) fn release_early(&mut self) {
        if let Some(slot) = self.slot.take() {
            let copy = self.bytes.as_slice().to_vec();
            slot.release(std::mem::replace(&mut self.bytes, copy));
        }
    }
}

impl Slot {
    /// Returns the buffer to the pool and frees the slot.
    fn release(self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= MAX_POOLED_BYTES {
            buffer.clear();
            let free = self.buffers.free.lock();
            free.unwrap_or_else(PoisonError::into_inner).push(buffer);
        }
    }
}

/// Prints the length only, because the body of a sign-in contains a token.
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
        if let Some(slot) = self.slot.take() {
            slot.release(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn slots_are_limited_and_buffers_are_reused() {
        let buffers = BodyBuffers::new();
        let mut first = buffers.acquire().await;
        first.extend(b"a long response");
        let second = buffers.acquire().await;
        let third = tokio::time::timeout(Duration::from_secs(1), buffers.acquire()).await;
        assert!(third.is_err());

        let buffer = first.as_ptr();
        drop(first);
        let third = buffers.acquire().await;
        assert!(third.is_empty());
        assert_eq!(third.as_ptr(), buffer);
        drop((second, third));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_released_early_keeps_its_bytes() {
        let buffers = BodyBuffers::new();
        let mut bodies = Vec::new();
        for _ in 0..=MAX_BODIES_IN_MEMORY {
            let mut body = buffers.acquire().await;
            body.extend(b"no");
            body.release_early();
            bodies.push(body);
        }
        assert!(bodies.iter().all(|body| **body == *b"no"));
    }
}
