//! The virtual network: datagrams under way, and what happens to them there.

use super::rng::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

/// What one direction does to datagrams.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Conditions {
    /// Lost, per mille.
    pub(crate) loss: u32,
    /// Delivered twice, per mille.
    pub(crate) duplicated: u32,
    /// One way, in microseconds.
    pub(crate) delay_us: u64,
    /// Added at random, in microseconds: what reorders.
    pub(crate) jitter_us: u64,
}

/// A datagram.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Datagram {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// See the module. Loss and jitter begin where `gentle_until_us` ends, if a test wants its peers
/// connected first.
#[derive(Debug)]
pub(crate) struct Net {
    rng: Rng,
    /// Towards the shards.
    pub(crate) up: Conditions,
    /// Towards the clients.
    pub(crate) down: Conditions,
    /// Addresses nothing reaches and nothing comes from.
    pub(crate) cut: Vec<SocketAddr>,
    /// Whether datagrams to the shards are kept, for tests to damage and replay.
    pub(crate) record: bool,
    kept: Vec<Vec<u8>>,
    under_way: BinaryHeap<Reverse<(u64, u64, Datagram)>>,
    sent: u64,
}

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        let calm = Conditions { delay_us: 5_000, ..Conditions::default() };
        Net {
            rng: Rng::new(seed.rotate_left(7)),
            up: calm,
            down: calm,
            cut: Vec::new(),
            record: false,
            kept: Vec::new(),
            under_way: BinaryHeap::new(),
            sent: 0,
        }
    }

    /// Takes a datagram at `now_us`.
    pub(crate) fn send(&mut self, now_us: u64, up: bool, datagram: Datagram) {
        if self.record && up && self.kept.len() < 4096 {
            self.kept.push(datagram.bytes.clone());
        }
        let conditions = if up { self.up } else { self.down };
        if self.cut.contains(&datagram.from) || self.cut.contains(&datagram.to) {
            return;
        }
        if self.rng.chance(conditions.loss) {
            return;
        }
        let twice = self.rng.chance(conditions.duplicated);
        for _ in 0..=usize::from(twice) {
            let at_us = now_us + conditions.delay_us + self.rng.below(conditions.jitter_us + 1);
            self.sent += 1;
            self.under_way.push(Reverse((at_us, self.sent, datagram.clone())));
        }
    }

    /// One that was recorded.
    pub(crate) fn recorded(&self, rng: &mut Rng) -> Option<Vec<u8>> {
        self.kept.get(rng.below(self.kept.len() as u64) as usize).cloned()
    }

    /// When the next one arrives.
    pub(crate) fn next_us(&self) -> Option<u64> {
        self.under_way.peek().map(|Reverse((at_us, ..))| *at_us)
    }

    /// One that has arrived by `now_us`.
    pub(crate) fn arrived(&mut self, now_us: u64) -> Option<Datagram> {
        self.next_us().filter(|&at_us| at_us <= now_us)?;
        self.under_way.pop().map(|Reverse((_, _, datagram))| datagram)
    }
}
