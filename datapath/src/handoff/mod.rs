//! Between shards: one ring for packets and one for feedback, each way, for each pair
//! (design §3.4). Neither passes control.
//!
//! A packet crosses once per shard that has sinks for its source, as a value: the opened bytes and
//! what is known about them. Packets may be dropped when the other shard is behind (counted);
//! feedback is merged at its end and may be dropped too, since it repeats itself.

use crate::queue::{Rx, Tx};
use crate::retransmit::{Meta, SLOT_BYTES};
use bifrons_core::media::SourceId;

/// Packets that a ring between two shards holds: 12 ms of a 40 kpps stream, 0.8 MiB.
pub const PACKETS: usize = 512;
/// Feedback messages that a ring between two shards holds.
pub const FEEDBACK: usize = 1024;

/// One opened packet on its way to another shard.
#[derive(Debug)]
pub struct Parcel {
    /// Whose packet.
    pub source: SourceId,
    /// What is known about it; `len` bytes of `bytes` count.
    pub meta: Meta,
    /// The packet.
    pub bytes: [u8; SLOT_BYTES],
}

/// What the shard of a sink tells the shard of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// A sink needs a keyframe.
    Keyframe(SourceId),
}

/// This shard's ends of the rings it shares with one other shard.
pub struct Neighbour {
    /// Packets to it.
    pub packets_out: Tx<Box<Parcel>>,
    /// Packets from it.
    pub packets_in: Rx<Box<Parcel>>,
    /// Empty boxes that come back from it, so that steady traffic allocates nothing.
    pub empties_in: Rx<Box<Parcel>>,
    /// Empty boxes that go back to it.
    pub empties_out: Tx<Box<Parcel>>,
    /// Feedback to it.
    pub feedback_out: Tx<Feedback>,
    /// Feedback from it.
    pub feedback_in: Rx<Feedback>,
}
