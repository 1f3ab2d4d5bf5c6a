//! Bisection: splits a rejected batch until the rejected items are isolated, while all others are
//! delivered. For k rejected items of n it takes at most 2·k·log2(n) further requests.

/// The parts of a batch that have to be sent, in order.
#[derive(Debug)]
pub(crate) struct Bisection<T> {
    parts: Vec<Part<T>>,
}

/// A part of the batch that is sent by itself.
#[derive(Debug)]
pub(crate) struct Part<T> {
    /// At least one.
    pub items: Vec<T>,
    /// Whether an earlier attempt may have stored them although no response said so.
    pub may_be_stored: bool,
}

impl<T> Bisection<T> {
    /// Starts with the whole batch.
    pub(crate) fn new(batch: Vec<T>) -> Self {
        let whole = Part { items: batch, may_be_stored: false };
        Self { parts: if whole.items.is_empty() { Vec::new() } else { vec![whole] } }
    }

    /// Returns the next part to send.
    pub(crate) fn next_part(&mut self) -> Option<Part<T>> {
        self.parts.pop()
    }

    /// Splits a rejected part into two halves, which are sent next. A part of one item is not
    /// split: returns that item.
    pub(crate) fn split(&mut self, part: Part<T>) -> Option<T> {
        let Part { mut items, may_be_stored } = part;
        if items.len() <= 1 {
            return items.pop();
        }
        let second = items.split_off(items.len().div_ceil(2));
        self.parts.push(Part { items: second, may_be_stored });
        self.parts.push(Part { items, may_be_stored });
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sends a batch of `n` items of which `bad` are rejected; returns the number of requests, the
    /// delivered and the rejected items.
    fn send(n: usize, bad: &[usize]) -> (usize, Vec<usize>, Vec<usize>) {
        let mut bisection = Bisection::new((0..n).collect());
        let (mut requests, mut delivered, mut rejected) = (0, Vec::new(), Vec::new());
        while let Some(part) = bisection.next_part() {
            requests += 1;
            if part.items.iter().any(|item| bad.contains(item)) {
                rejected.extend(bisection.split(part));
            } else {
                delivered.extend(part.items);
            }
        }
        (requests, delivered, rejected)
    }

    proptest! {
        #[test]
        fn only_the_bad_items_are_rejected_and_the_requests_are_bounded(
            n in 1_usize..1500,
            picks in prop::collection::btree_set(0_usize..1500, 0..6),
        ) {
            let bad: Vec<usize> = picks.into_iter().filter(|pick| *pick < n).collect();
            let (requests, delivered, rejected) = send(n, &bad);
            prop_assert_eq!(&rejected, &bad);
            let good: Vec<usize> = (0..n).filter(|item| !bad.contains(item)).collect();
            prop_assert_eq!(delivered, good);
            let steps = usize::try_from(n.next_power_of_two().ilog2()).unwrap();
            prop_assert!(requests <= 1 + 2 * bad.len() * steps, "{} requests", requests);
        }
    }
}
