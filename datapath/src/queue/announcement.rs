//! The word that says whether a thread sleeps, and the handshake around it. Kept apart from the
//! eventfd so that the model checker can run it (`tests/doorbell_model.rs`).

use super::sync::{AtomicBool, Ordering, fence};

/// True from a thread's announcement that it will sleep until somebody calls it, or it thinks
/// better of it.
///
/// Every change is a swap: each then sees the change before it, so an answer to one announcement
/// cannot pass for an answer to the next. It costs two locked operations a sleep, which itself
/// costs a hundred times that.
#[derive(Debug)]
pub(crate) struct Announcement {
    sleeping: AtomicBool,
}

impl Announcement {
    pub(crate) fn new() -> Self {
        Self { sleeping: AtomicBool::new(false) }
    }

    /// Announces sleep, then looks whether there is cause to stay; true: sleep.
    pub(crate) fn make(&self, idle: impl FnOnce() -> bool) -> bool {
        self.sleeping.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        let sleep = idle();
        if !sleep {
            self.withdraw();
        }
        sleep
    }

    /// The thread runs.
    pub(crate) fn withdraw(&self) {
        self.sleeping.swap(false, Ordering::AcqRel);
    }

    /// Called after a value was published; true: the thread sleeps, and it is this caller who
    /// has to wake it.
    pub(crate) fn answer(&self) -> bool {
        fence(Ordering::SeqCst);
        self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel)
    }
}
