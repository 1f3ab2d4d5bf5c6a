//! A queue of requests that are sent concurrently.

use std::collections::VecDeque;

use tokio::task::JoinSet;

use crate::failure::{Failure, FailureKind, REPORT_BUG};

/// Requests in the order of their `Priority`, the lowest first, with a limited number in flight.
///
/// Dropping the queue aborts the requests in flight.
#[derive(Debug)]
pub(super) struct RequestQueue<Request, Priority, Response> {
    limit: usize,
    priority: fn(&Request) -> Priority,
    queue: VecDeque<Request>,
    in_flight: JoinSet<Response>,
}

impl<Request, Priority: Ord, Response: Send + 'static> RequestQueue<Request, Priority, Response> {
    /// Creates an empty queue that sends at most `limit` requests at the same time, at least one.
    pub(super) fn new(limit: usize, priority: fn(&Request) -> Priority) -> Self {
        Self { limit: limit.max(1), priority, queue: VecDeque::new(), in_flight: JoinSet::new() }
    }

    /// Adds a request, after those of the same priority.
    pub(super) fn push(&mut self, request: Request) {
        let priority = (self.priority)(&request);
        let place = self.queue.partition_point(|queued| (self.priority)(queued) <= priority);
        self.queue.insert(place, request);
    }

    /// Removes all requests that were not sent.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    /// Returns the unused capacity: how many more requests could be in flight than there are.
    pub(super) fn spare(&self) -> usize {
        self.limit.saturating_sub(self.queue.len() + self.in_flight.len())
    }

    /// Whether no request is queued or in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.in_flight.is_empty()
    }

    /// Sends as many requests as the limit allows and waits for the next response; `None` when
    /// no request is left.
    ///
    /// # Errors
    /// When a task panicked.
    pub(super) async fn next<F>(
        &mut self,
        send: impl Fn(Request) -> F,
    ) -> Result<Option<Response>, Failure>
    where
        F: Future<Output = Response> + Send + 'static,
    {
        while self.in_flight.len() < self.limit {
            let Some(request) = self.queue.pop_front() else {
                break;
            };
            self.in_flight.spawn(send(request));
        }
        match self.in_flight.join_next().await {
            None => Ok(None),
            Some(Ok(response)) => Ok(Some(response)),
            Some(Err(error)) => Err(Failure::new(
                FailureKind::Unexpected,
                "internal error while fetching alerts",
                format!("The alerts fetched before are kept. {REPORT_BUG}"),
            )
            .with_cause(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_are_sent_in_the_order_of_their_priority() {
        let mut queue = RequestQueue::new(1, |request: &(u8, &str)| request.0);
        for request in [(2, "c"), (1, "a"), (2, "d"), (1, "b")] {
            queue.push(request);
        }
        let mut sent = String::new();
        while let Some((_, name)) = queue.next(|request| async move { request }).await.unwrap() {
            sent += name;
        }
        assert_eq!(sent, "abcd");
        assert!(queue.is_empty());
    }

    #[tokio::test]
    async fn spare_capacity_counts_queued_and_sent_requests() {
        let mut queue = RequestQueue::new(3, |request: &u8| *request);
        assert_eq!(queue.spare(), 3);
        queue.push(1);
        queue.push(2);
        assert_eq!(queue.spare(), 1);
        queue.next(|request| async move { request }).await.unwrap();
        assert_eq!(queue.spare(), 2);
        queue.push(3);
        queue.push(4);
        queue.push(5);
        assert_eq!(queue.spare(), 0);
    }
}
