//! Asking side by side: a queue of things to ask, and so many of them under way.

use std::collections::VecDeque;

use tokio::task::JoinSet;

use crate::failure::{Failure, FailureKind};

/// Things to ask (`Q`), of which a limited number is under way, each becoming an answer (`A`).
///
/// Dropping it ends what is under way.
#[derive(Debug)]
pub(super) struct RequestQueue<Q, A> {
    most: usize,
    queue: VecDeque<Q>,
    under_way: JoinSet<A>,
}

impl<Q, A: Send + 'static> RequestQueue<Q, A> {
    /// No more than `most` side by side, at least one.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), queue: VecDeque::new(), under_way: JoinSet::new() }
    }

    /// Puts something at the end of the queue.
    pub fn push(&mut self, question: Q) {
        self.queue.push_back(question);
    }

    /// How many more could be under way than there is to ask.
    pub fn idle(&self) -> usize {
        self.most.saturating_sub(self.queue.len() + self.under_way.len())
    }

    /// Whether there is nothing to ask and nothing under way.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.under_way.is_empty()
    }

    /// Begins what may begin, and waits for the next response; `None` when nothing is left.
    pub async fn next<F>(&mut self, ask: impl Fn(Q) -> F) -> Result<Option<A>, Failure>
    where
        F: Future<Output = A> + Send + 'static,
    {
        while self.under_way.len() < self.most {
            let Some(question) = self.queue.pop_front() else {
                break;
            };
            self.under_way.spawn(ask(question));
        }
        match self.under_way.join_next().await {
            None => Ok(None),
            Some(Ok(response)) => Ok(Some(response)),
            Some(Err(error)) => Err(Failure::new(
                FailureKind::Unexpected,
                format!("reading alerts met a fault of the program's own: {error}"),
                "What was read before it is kept. Run again, and report this with the log.",
            )),
        }
    }
}
