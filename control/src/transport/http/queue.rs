//! A session's events, until a long poll fetches them (transports-auth §2.5).

use std::cell::RefCell;
use std::collections::VecDeque;
use tokio::sync::Notify;

/// Most events that wait for a poll; then the oldest are dropped.
pub const MAX_EVENTS: usize = 8192;

/// Most bytes of them.
pub const MAX_EVENT_BYTES: usize = 4 << 20;

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<String>,
    bytes: usize,
}

/// The queue of one session; events are kept as the text they leave as.
#[derive(Debug, Default)]
pub struct EventQueue {
    waiting: RefCell<Waiting>,
    arrived: Notify,
}

impl EventQueue {
    /// Queues an event and wakes all polls. How many older ones had to go is returned; the new one
    /// always stays.
    pub fn push(&self, event: String) -> u64 {
        let mut waiting = self.waiting.borrow_mut();
        let mut dropped = 0;
        waiting.bytes += event.len();
        waiting.events.push_back(event);
        while waiting.events.len() > MAX_EVENTS
            || (waiting.bytes > MAX_EVENT_BYTES && waiting.events.len() > 1)
        {
            let Some(oldest) = waiting.events.pop_front() else { break };
            waiting.bytes -= oldest.len();
            dropped += 1;
        }
        self.arrived.notify_waiters();
        dropped
    }

    /// Takes at most `max` events, oldest first.
    pub fn take(&self, max: usize) -> Vec<String> {
        let mut waiting = self.waiting.borrow_mut();
        let count = waiting.events.len().min(max);
        let taken: Vec<String> = waiting.events.drain(..count).collect();
        waiting.bytes -= taken.iter().map(String::len).sum::<usize>();
        taken
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
            assert_eq!(queue.push(n.to_string()), 0);
        }
        assert_eq!(queue.take(2), ["0", "1"]);
        assert_eq!(queue.take(2), ["2"]);
        assert!(queue.take(2).is_empty());
    }

    #[test]
    fn a_full_queue_loses_its_oldest() {
        let queue = EventQueue::default();
        for n in 0..MAX_EVENTS {
            assert_eq!(queue.push(n.to_string()), 0);
        }
        assert_eq!(queue.push("last".to_owned()), 1);
        let all = queue.take(usize::MAX);
        assert_eq!(all.len(), MAX_EVENTS);
        assert_eq!((all[0].as_str(), all[MAX_EVENTS - 1].as_str()), ("1", "last"));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let queue = EventQueue::default();
        let half = "x".repeat(MAX_EVENT_BYTES / 2);
        assert_eq!((queue.push(half.clone()), queue.push(half.clone())), (0, 0));
        assert_eq!(queue.push("y".to_owned()), 1);
        assert_eq!(queue.push("z".repeat(2 * MAX_EVENT_BYTES)), 2, "a huge one stays alone");
        assert_eq!(queue.take(9).len(), 1);
        assert_eq!((queue.push(half.clone()), queue.push(half)), (0, 0));
    }
}
