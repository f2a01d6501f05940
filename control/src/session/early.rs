//! Candidates that a client sent before the offer/answer exchange was complete (core-api §3.11).

use bifrons_core::api::{Style, Trickle, json};
use std::collections::VecDeque;
use std::time::Instant;

/// Most `trickle` requests kept for a handle.
pub const MAX_EARLY: usize = 128;

/// Most bytes of them, as they came.
pub const MAX_EARLY_BYTES: usize = 64 * 1024;

/// One request, unread.
#[derive(Debug)]
struct Early {
    since: Instant,
    trickle: Trickle,
    bytes: usize,
}

/// The requests of one handle, oldest first.
#[derive(Debug, Default)]
pub struct EarlyCandidates {
    waiting: VecDeque<Early>,
    bytes: usize,
}

impl EarlyCandidates {
    /// How many requests wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Keeps a request. Older ones give way where there is no room; how many did (or 1, when the
    /// request alone is too large) is returned.
    pub fn push(&mut self, now: Instant, trickle: Trickle) -> u64 {
        let (Trickle::One(value) | Trickle::Many(value)) = &trickle;
        let bytes = json::write(value, Style::Compact).len();
        if bytes > MAX_EARLY_BYTES {
            return 1;
        }
        let mut dropped = 0;
        while self.waiting.len() >= MAX_EARLY || self.bytes + bytes > MAX_EARLY_BYTES {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.bytes -= oldest.bytes;
            dropped += 1;
        }
        self.bytes += bytes;
        self.waiting.push_back(Early { since: now, trickle, bytes });
        dropped
    }

    /// Takes all, with their times of arrival.
    pub fn take(&mut self) -> impl Iterator<Item = (Instant, Trickle)> + use<> {
        self.bytes = 0;
        std::mem::take(&mut self.waiting).into_iter().map(|early| (early.since, early.trickle))
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn of(bytes: usize) -> Trickle {
        Trickle::One(Value::from("x".repeat(bytes - 2)))
    }

    #[test]
    fn the_oldest_give_way() {
        let now = Instant::now();
        let mut early = EarlyCandidates::default();
        for _ in 0..MAX_EARLY {
            assert_eq!(early.push(now, of(10)), 0);
        }
        assert_eq!(early.push(now, of(10)), 1);
        assert_eq!(early.take().count(), MAX_EARLY);
        assert_eq!(early.push(now, of(MAX_EARLY_BYTES / 2)), 0);
        assert_eq!(early.push(now, of(MAX_EARLY_BYTES / 2)), 0);
        assert_eq!(early.push(now, of(MAX_EARLY_BYTES / 2 + 1)), 2);
        assert_eq!(early.push(now, of(MAX_EARLY_BYTES + 1)), 1);
        assert_eq!(early.take().count(), 1);
    }
}
