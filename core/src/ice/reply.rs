//! Answers that wait to be sent, as values; the bytes are made when the owner has a buffer.

use super::agent::{AddressPair, Transmit};
use super::local_key::{Generation, LocalKeys};
use super::stun::{ErrorCode, TransactionId, write_error, write_success};

/// Most answers that wait at a time. The owner polls after each packet, so one is usual.
const MAX_REPLIES: usize = 8;

#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// The check arrived; signed.
    Success,
    /// Refused, signed: the sender had proved itself.
    Refusal(ErrorCode),
    /// Refused, unsigned (RFC 8489 §9.1.3).
    Unauthenticated(ErrorCode),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) transaction: TransactionId,
    pub(super) pair: AddressPair,
    pub(super) generation: Generation,
}

impl Reply {
    /// `None` if `out` is too short.
    pub(super) fn write(&self, keys: &LocalKeys, out: &mut [u8]) -> Option<Transmit> {
        let key = keys.key(self.generation)?;
        let len = match self.answer {
            Answer::Success => write_success(out, self.transaction, self.pair.remote, key),
            Answer::Refusal(error) => write_error(out, self.transaction, error, Some(key)),
            Answer::Unauthenticated(error) => write_error(out, self.transaction, error, None),
        }?;
        Some(Transmit { pair: self.pair, len })
    }
}

/// First in, first out; a newcomer to a full queue is refused (its sender repeats the check).
#[derive(Debug, Default)]
pub(super) struct Replies {
    ring: [Option<Reply>; MAX_REPLIES],
    first: usize,
    len: usize,
}

impl Replies {
    pub(super) fn push(&mut self, reply: Reply) -> bool {
        if self.len == MAX_REPLIES {
            return false;
        }
        self.ring[(self.first + self.len) % MAX_REPLIES] = Some(reply);
        self.len += 1;
        true
    }

    pub(super) fn pop(&mut self) -> Option<Reply> {
        let reply = self.ring[self.first].take()?;
        self.first = (self.first + 1) % MAX_REPLIES;
        self.len -= 1;
        Some(reply)
    }
}
