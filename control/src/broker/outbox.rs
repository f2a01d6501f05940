//! What waits for a broker.

use super::Gone;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use tokio::sync::Notify;

/// Most messages that wait.
pub const MAX_WAITING: usize = 8192;

/// Most bytes that wait.
pub const MAX_WAITING_BYTES: usize = 16 << 20;

/// Messages sent that the broker has not confirmed yet.
const MAX_UNCONFIRMED: usize = 256;

/// A queue from the dispatcher to the task that talks to a broker. While the broker cannot be
/// reached it fills; past [`MAX_WAITING`] or [`MAX_WAITING_BYTES`] the oldest go and are counted.
#[derive(Debug)]
pub struct Outbox<M> {
    waiting: RefCell<VecDeque<(usize, M)>>,
    bytes: Cell<usize>,
    dropped: Cell<u64>,
    changed: Notify,
}

impl<M> Default for Outbox<M> {
    fn default() -> Self {
        Outbox {
            waiting: RefCell::default(),
            bytes: Cell::new(0),
            dropped: Cell::new(0),
            changed: Notify::new(),
        }
    }
}

impl<M> Outbox<M> {
    /// Queues a message of so many bytes.
    pub fn push(&self, size: usize, message: M) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.push_back((size, message));
        self.bytes.set(self.bytes.get() + size);
        while waiting.len() > MAX_WAITING
            || (waiting.len() > 1 && self.bytes.get() > MAX_WAITING_BYTES)
        {
            let Some((size, _)) = waiting.pop_front() else { break };
            self.bytes.set(self.bytes.get() - size);
            self.dropped.set(self.dropped.get() + 1);
        }
        self.changed.notify_one();
    }

    /// The next message, as soon as there is one. Nothing is lost if the future is dropped.
    pub async fn next(&self) -> M {
        loop {
            if let Some((size, message)) = self.waiting.borrow_mut().pop_front() {
                self.bytes.set(self.bytes.get() - size);
                return message;
            }
            self.changed.notified().await;
        }
    }

    /// Publishes what is queued, in order and for ever, with a bounded number unconfirmed at a time.
    /// `publish` hands one message over and gives back what waits for its confirmation; `lose` is
    /// called for each that is not confirmed.
    pub async fn publish_all<C: Future<Output = Result<(), Gone>>>(
        &self,
        publish: impl AsyncFn(M) -> Result<C, Gone>,
        lose: impl Fn(),
    ) {
        let mut unconfirmed = FuturesOrdered::new();
        loop {
            tokio::select! {
                Some(confirmed) = unconfirmed.next(), if !unconfirmed.is_empty() => {
                    if Result::is_err(&confirmed) {
                        lose();
                    }
                }
                message = self.next(), if unconfirmed.len() < MAX_UNCONFIRMED => {
                    match publish(message).await {
                        Ok(confirm) => unconfirmed.push_back(confirm),
                        Err(Gone) => lose(),
                    }
                }
            }
        }
    }

    /// Messages that were dropped because too many waited.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_go_first_and_are_counted() {
        let outbox = Outbox::default();
        (0..MAX_WAITING + 3).for_each(|number| outbox.push(1, number));
        assert_eq!((outbox.dropped(), outbox.len()), (3, MAX_WAITING));
        assert_eq!(outbox.next().await, 3);
        outbox.push(MAX_WAITING_BYTES, 77);
        assert_eq!((outbox.next().await, outbox.is_empty()), (77, true));
    }
}
