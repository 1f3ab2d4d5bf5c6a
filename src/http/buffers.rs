//! Buffers for response bodies: how many are in memory at once, and their reuse.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The maximum number of bodies of a client in memory, regardless of the requests in flight. A
/// client is that of one service in one run, so this limits the memory of a run.
const MAX_BODIES_IN_MEMORY: usize = 2;
/// The number of bodies of a client in memory from which on a further one waits, at most for
/// [`MAX_WAIT_FOR_OTHERS`]. On a fast network there is one at a time, which needs less memory and
/// takes no longer.
const FEW_BODIES_PER_CLIENT: usize = 1;
/// The same for the bodies of all clients. It limits the memory of a process with many runs.
const FEW_BODIES: usize = 3;
/// The maximum wait for the other bodies of the client, and then again for those of all clients:
/// usually until one is read. Not longer, because a response that is slow must not hold up others,
/// or the runs of other tenants.
const MAX_WAIT_FOR_OTHERS: Duration = Duration::from_millis(250);
/// Larger buffers, in bytes, are freed instead of reused: several times the largest real page.
const MAX_POOLED_BYTES: usize = 16 * 1024 * 1024;

/// The body buffers of a client.
#[derive(Debug)]
pub(super) struct BodyBuffers {
    slots: Arc<Semaphore>,
    few: Arc<Semaphore>,
    pool: Arc<Pool>,
}

/// The body buffers of all clients.
///
/// Buffers are reused because freeing and allocating 4 MB per page costs page faults, and made the
/// peak memory differ from run to run. A reused one is empty.
#[derive(Debug)]
struct Pool {
    few: Arc<Semaphore>,
    free: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    fn new() -> Self {
        Self { few: Arc::new(Semaphore::new(FEW_BODIES)), free: Mutex::default() }
    }
}

/// A response body, decompressed. It occupies a slot of its client until it is dropped or released.
#[derive(Default)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    slot: Option<Slot>,
}

#[derive(Debug)]
struct Slot {
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
    /// `None` where the body waited too long for it.
    _few_permits: [Option<OwnedSemaphorePermit>; 2],
}

impl BodyBuffers {
    pub(super) fn new() -> Arc<Self> {
        static POOL: LazyLock<Arc<Pool>> = LazyLock::new(|| Arc::new(Pool::new()));
        Self::with_pool(&POOL)
    }

    fn with_pool(pool: &Arc<Pool>) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(MAX_BODIES_IN_MEMORY));
        let few = Arc::new(Semaphore::new(FEW_BODIES_PER_CLIENT));
        Arc::new(Self { slots, few, pool: Arc::clone(pool) })
    }

    /// Waits for a free slot and returns an empty body that occupies it.
    pub(super) async fn acquire(self: &Arc<Self>) -> Body {
        // The only error is a closed semaphore, and this one is never closed.
        let permit = Arc::clone(&self.slots).acquire_owned().await.ok();
        let few_permits = [acquire_soon(&self.few).await, acquire_soon(&self.pool.few).await];
        let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        Body {
            bytes: free.pop().unwrap_or_default(),
            slot: permit.map(|permit| Slot {
                pool: Arc::clone(&self.pool),
                _permit: permit,
                _few_permits: few_permits,
            }),
        }
    }
}

/// Waits for a permit, but not for long.
async fn acquire_soon(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    let permit = Arc::clone(semaphore).acquire_owned();
    timeout(MAX_WAIT_FOR_OTHERS, permit).await.ok()?.ok()
}

impl Body {
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve_exact(bytes);
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Frees the slot and keeps the bytes in a buffer outside the pool, for the short body of an
    /// error, which may outlive a long wait.
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
            let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
            if free.len() < FEW_BODIES {
                free.push(buffer);
            }
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
    use super::*;

    fn buffers() -> Arc<BodyBuffers> {
        BodyBuffers::with_pool(&Arc::new(Pool::new()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_does_not_wait_long_for_those_of_other_clients() {
        let pool = Arc::new(Pool::new());
        let mut bodies = Vec::new();
        for _ in 0..FEW_BODIES {
            bodies.push(BodyBuffers::with_pool(&pool).acquire().await);
        }
        let started = tokio::time::Instant::now();
        bodies.push(BodyBuffers::with_pool(&pool).acquire().await);
        assert!((MAX_WAIT_FOR_OTHERS..MAX_WAIT_FOR_OTHERS * 2).contains(&started.elapsed()));
        // Those that are free are kept, but not more than are usually needed.
        drop(bodies);
        assert_eq!(pool.free.lock().unwrap().len(), FEW_BODIES);
        let started = tokio::time::Instant::now();
        drop(BodyBuffers::with_pool(&pool).acquire().await);
        assert!(started.elapsed().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn slots_are_limited_and_buffers_are_reused() {
        let buffers = buffers();
        let mut first = buffers.acquire().await;
        first.extend(b"a long response");
        let started = tokio::time::Instant::now();
        let second = buffers.acquire().await;
        assert!(started.elapsed() >= MAX_WAIT_FOR_OTHERS, "one at a time where it is read soon");
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
        let buffers = buffers();
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
