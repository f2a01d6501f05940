//! What waits to be sent to one connection.

use crate::dispatch::ConnectionId;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use tokio::sync::Notify;

/// Most messages that may wait.
pub const MAX_QUEUED: usize = 8192;

/// Most bytes that may wait.
pub const MAX_QUEUED_BYTES: usize = 8 << 20;

/// Why a connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It is not.
    Open,
    /// What waits is sent first.
    Closing,
    /// Too much waited: nothing more is sent.
    Overflowed,
}

/// The queue between the dispatcher and a connection's task.
#[derive(Debug)]
pub struct Link {
    /// Whose.
    pub connection: ConnectionId,
    queue: RefCell<VecDeque<String>>,
    bytes: Cell<usize>,
    state: Cell<LinkState>,
    changed: Notify,
}

impl Link {
    /// An open link with nothing in it.
    pub fn new(connection: ConnectionId) -> Self {
        Link {
            connection,
            queue: RefCell::default(),
            bytes: Cell::new(0),
            state: Cell::new(LinkState::Open),
            changed: Notify::new(),
        }
    }

    /// Queues a message. Past a bound everything queued is dropped, and the connection ends: a
    /// client that misses messages has to be told so, and a closed socket does.
    pub fn push(&self, message: String) {
        if self.state.get() != LinkState::Open {
            return;
        }
        let mut queue = self.queue.borrow_mut();
        let bytes = self.bytes.get() + message.len();
        if queue.len() >= MAX_QUEUED || bytes > MAX_QUEUED_BYTES {
            queue.clear();
            self.bytes.set(0);
            self.state.set(LinkState::Overflowed);
        } else {
            queue.push_back(message);
            self.bytes.set(bytes);
        }
        self.changed.notify_one();
    }

    /// The next message.
    pub fn pop(&self) -> Option<String> {
        let message = self.queue.borrow_mut().pop_front()?;
        self.bytes.set(self.bytes.get() - message.len());
        Some(message)
    }

    /// Ends the connection once what waits is sent.
    pub fn close(&self) {
        if self.state.get() == LinkState::Open {
            self.state.set(LinkState::Closing);
        }
        self.changed.notify_one();
    }

    /// Where it stands.
    pub fn state(&self) -> LinkState {
        self.state.get()
    }

    /// Waits until something was queued, or the state changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Waits until the link has overflowed.
    pub async fn overflow(&self) {
        while self.state.get() != LinkState::Overflowed {
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_link_drops_everything_and_says_so() {
        let link = Link::new(ConnectionId(1));
        let big = "x".repeat(MAX_QUEUED_BYTES / 2);
        link.push(big.clone());
        link.push(big.clone());
        assert_eq!(link.state(), LinkState::Open);
        assert_eq!(link.pop().map(|m| m.len()), Some(big.len()));
        link.push(big.clone());
        link.push("one more".to_owned());
        assert_eq!(link.state(), LinkState::Overflowed);
        assert_eq!(link.pop(), None);
        link.push("late".to_owned());
        assert_eq!(link.pop(), None);
    }

    #[test]
    fn closing_keeps_what_waits() {
        let link = Link::new(ConnectionId(1));
        link.push("last".to_owned());
        link.close();
        link.push("too late".to_owned());
        assert_eq!(link.state(), LinkState::Closing);
        assert_eq!((link.pop(), link.pop()), (Some("last".to_owned()), None));
    }
}
