//! What a shard has for the carrier, within one turn.

use super::{Carried, RING};
use crate::handshake::Datagram;
use bifrons_core::media::PeerId;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Used boxes kept for the next datagrams.
const SPARE: usize = 256;

/// Datagrams on their way out, at most [`RING`], and the boxes to make more of.
#[derive(Debug, Default)]
pub struct Outward {
    waiting: VecDeque<Carried>,
    #[allow(clippy::vec_box, reason = "the boxes travel; only their addresses move")]
    spare: Vec<Box<Datagram>>,
    room: Vec<u8>,
    refused: u64,
}

impl Outward {
    /// Queues a copy of a datagram; false, and counted, where there is no room for it.
    pub fn push(&mut self, peer: PeerId, remote: SocketAddr, bytes: &[u8]) -> bool {
        let mut datagram = self.spare.pop().unwrap_or_else(Datagram::boxed);
        let fits = self.waiting.len() < RING && datagram.fill(bytes);
        if fits {
            self.waiting.push_back(Carried { peer, remote, datagram });
        } else {
            self.refused += 1;
            self.reuse(datagram);
        }
        fits
    }

    /// The oldest that waits.
    pub fn pop(&mut self) -> Option<Carried> {
        self.waiting.pop_front()
    }

    /// Counts one that was lost on the way.
    pub fn lose(&mut self, carried: Carried) {
        self.refused += 1;
        self.reuse(carried.datagram);
    }

    /// Takes back a box whose content is not needed any more.
    pub fn reuse(&mut self, datagram: Box<Datagram>) {
        if self.spare.len() < SPARE {
            self.spare.push(datagram);
        }
    }

    /// Memory to build datagrams in, at least `len` bytes; taken at first use, then kept.
    pub fn take_room(&mut self, len: usize) -> Vec<u8> {
        let mut room = std::mem::take(&mut self.room);
        if room.len() < len {
            room.resize(len, 0);
        }
        room
    }

    /// Gives that memory back.
    pub fn return_room(&mut self, room: Vec<u8>) {
        self.room = room;
    }

    /// Datagrams that found no room.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId { shard: 0, slot: 1, generation: 1 };

    #[test]
    fn what_goes_in_comes_out_in_order_and_the_rest_is_counted() {
        let mut outward = Outward::default();
        let remote = SocketAddr::from(([192, 0, 2, 1], 9));
        assert!(outward.push(PEER, remote, b"one") && outward.push(PEER, remote, b"two"));
        assert!(!outward.push(PEER, remote, &[0; 4096]), "no datagram is that long");
        let first = outward.pop().expect("one");
        assert_eq!((first.remote, first.datagram.bytes()), (remote, &b"one"[..]));
        outward.lose(first);
        assert_eq!(outward.refused(), 2);
        assert_eq!(outward.pop().map(|two| two.datagram.bytes().to_vec()), Some(b"two".to_vec()));
        for _ in 0..RING {
            assert!(outward.push(PEER, remote, b"x"));
        }
        assert!(!outward.push(PEER, remote, b"x"));
    }
}
