//! A session's events, until a long poll fetches them (transports-auth §2.5).

use serde_json::Value;
use std::cell::RefCell;
use std::collections::VecDeque;
use tokio::sync::Notify;

/// Most events that wait for a poll; then the oldest are dropped.
pub const MAX_EVENTS: usize = 8192;

/// The queue of one session.
#[derive(Debug, Default)]
pub struct EventQueue {
    events: RefCell<VecDeque<Value>>,
    arrived: Notify,
}

impl EventQueue {
    /// Queues an event and wakes all polls; false if an older one had to go.
    pub fn push(&self, event: Value) -> bool {
        let mut events = self.events.borrow_mut();
        let full = events.len() >= MAX_EVENTS;
        if full {
            events.pop_front();
        }
        events.push_back(event);
        self.arrived.notify_waiters();
        !full
    }

    /// Takes at most `max` events, oldest first.
    pub fn take(&self, max: usize) -> Vec<Value> {
        let mut events = self.events.borrow_mut();
        let count = events.len().min(max);
        events.drain(..count).collect()
    }

    /// Waits until one more event arrives. All who wait wake; the first to [`EventQueue::take`]
    /// has the events.
    pub async fn arrival(&self) {
        self.arrived.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_once_and_in_order() {
        let queue = EventQueue::default();
        for n in 0..3 {
            assert!(queue.push(Value::from(n)));
        }
        assert_eq!(queue.take(2), [Value::from(0), Value::from(1)]);
        assert_eq!(queue.take(2), [Value::from(2)]);
        assert!(queue.take(2).is_empty());
    }

    #[test]
    fn a_full_queue_loses_its_oldest() {
        let queue = EventQueue::default();
        for n in 0..MAX_EVENTS {
            assert!(queue.push(Value::from(n)));
        }
        assert!(!queue.push(Value::from("last")));
        let all = queue.take(usize::MAX);
        assert_eq!(all.len(), MAX_EVENTS);
        assert_eq!((all.first(), all.last()), (Some(&Value::from(1)), Some(&Value::from("last"))));
    }
}
