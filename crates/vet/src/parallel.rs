//! Work on several threads whose result does not depend on their number.
//!
//! Invariants
//! - V5: an item's result depends on the item alone, and results come in the order of items.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many threads may work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads(NonZero<usize>);

impl Threads {
    /// Most threads.
    pub const MAX: usize = 256;

    /// `count`, at least 1 and at most [`Threads::MAX`].
    pub fn new(count: usize) -> Self {
        Self(NonZero::new(count.min(Self::MAX)).unwrap_or(NonZero::<usize>::MIN))
    }

    /// As many as the system says are worth it.
    pub fn available() -> Self {
        Self::new(thread::available_parallelism().map_or(1, NonZero::get))
    }

    /// `act` on each of `0..n`, in order of the items.
    pub fn map<T: Send>(self, n: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let n_threads = self.0.get().min(n);
        if n_threads <= 1 {
            return (0..n).map(act).collect();
        }
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(n));
        thread::scope(|scope| {
            for _ in 0..n_threads {
                scope.spawn(|| {
                    loop {
                        let item = next.fetch_add(1, Ordering::Relaxed);
                        if n <= item {
                            return;
                        }
                        let result = act(item);
                        done.lock().unwrap_or_else(PoisonError::into_inner).push((item, result));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(item, _)| *item);
        done.into_iter().map(|(_, result)| result).collect()
    }

    /// `act` on the ranges that cut `0..n` into pieces of `len`, in order.
    pub fn map_ranges<T: Send>(
        self,
        n: usize,
        len: usize,
        act: impl Fn(std::ops::Range<usize>) -> T + Sync,
    ) -> Vec<T> {
        let len = len.max(1);
        self.map(n.div_ceil(len), |piece| act(piece * len..((piece + 1) * len).min(n)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// V5.
    #[test]
    fn results_come_in_order_on_any_number_of_threads() {
        let one = Threads::new(0).map(100, |item| item * item);
        for count in [2, 3, 64] {
            assert_eq!(Threads::new(count).map(100, |item| item * item), one);
        }
        let ranges = Threads::new(2).map_ranges(10, 4, |range| range);
        assert_eq!(ranges, [0..4, 4..8, 8..10]);
        assert!(Threads::available().map(0, |item| item).is_empty());
    }
}
