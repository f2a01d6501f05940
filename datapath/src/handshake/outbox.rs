//! What a lane has to say, until its shard's ring takes it.

use std::collections::VecDeque;

use super::message::{Datagram, FromLane};

/// Empty boxes kept for the next datagram.
const MAX_SPARE: usize = 256;

/// An ordered queue with two classes: state always fits, datagrams up to a bound.
#[derive(Debug)]
pub struct Outbox {
    queue: VecDeque<FromLane>,
    datagrams: usize,
    bound: usize,
    refused: u64,
    #[allow(clippy::vec_box, reason = "the box is what goes round")]
    spare: Vec<Box<Datagram>>,
}

impl Outbox {
    /// One that holds at most `datagrams` records and data messages.
    pub fn new(datagrams: usize) -> Outbox {
        Outbox {
            queue: VecDeque::new(),
            datagrams: 0,
            bound: datagrams,
            refused: 0,
            spare: Vec::new(),
        }
    }

    /// The oldest message.
    pub fn pop(&mut self) -> Option<FromLane> {
        let message = self.queue.pop_front()?;
        self.datagrams -= usize::from(is_datagram(&message));
        Some(message)
    }

    /// Puts a popped message back in front, because the ring was full.
    pub fn put_back(&mut self, message: FromLane) {
        self.datagrams += usize::from(is_datagram(&message));
        self.queue.push_front(message);
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Datagrams refused because the bound was reached.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Queues a message; a datagram beyond the bound is dropped and counted.
    pub(super) fn push(&mut self, message: FromLane) {
        if !is_datagram(&message) {
            return self.queue.push_back(message);
        }
        if self.datagrams < self.bound {
            self.datagrams += 1;
            self.queue.push_back(message);
        } else {
            self.refused += 1;
        }
    }

    /// A box to fill: a used one if there is one.
    pub(super) fn empty(&mut self) -> Box<Datagram> {
        self.spare.pop().unwrap_or_else(Datagram::boxed)
    }

    /// Takes a box back.
    pub(super) fn reclaim(&mut self, datagram: Box<Datagram>) {
        if self.spare.len() < MAX_SPARE {
            self.spare.push(datagram);
        }
    }
}

fn is_datagram(message: &FromLane) -> bool {
    matches!(message, FromLane::Record { .. } | FromLane::Data { .. })
}
