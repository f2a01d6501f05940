//! Counters that are written from many places of one thread.

use std::cell::Cell;

/// A block of plain counters behind a shared reference.
#[derive(Debug, Default)]
pub(crate) struct Counted<T: Copy>(Cell<T>);

impl<T: Copy> Counted<T> {
    /// Changes them.
    pub(crate) fn count(&self, change: impl FnOnce(&mut T)) {
        let mut counters = self.0.get();
        change(&mut counters);
        self.0.set(counters);
    }

    /// As they stand.
    pub(crate) fn get(&self) -> T {
        self.0.get()
    }
}
