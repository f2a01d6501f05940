//! Between shards: one ring for packets and one for feedback, each way, for each pair
//! (design §3.4). Neither passes control.
//!
//! A packet crosses once per shard that has sinks for its source, as a value: the opened bytes and
//! what is known about them. Packets may be dropped when the other shard is behind, and feedback
//! too, since it repeats itself or is merged at its end; the shard that could not get rid of them
//! counts both. Messages of data channels have a ring of their own, in which nothing is dropped.

use crate::data::DataPost;
use crate::forward::Standing;
use crate::queue::{Doorbell, Rx, Tx, link};
use crate::retransmit::{Meta, SLOT_BYTES};
use bifrons_core::media::{IngestId, SourceId};

/// Packets that a ring between two shards holds: 12 ms of a 40 kpps stream, 0.8 MiB.
pub const PACKETS: usize = 512;
/// Feedback messages that a ring between two shards holds, 0.15 MiB.
pub const FEEDBACK: usize = 1024;
/// Messages of data channels that a ring between two shards holds; more wait with their sender.
pub const DATA: usize = 1024;

/// One opened packet on its way to another shard.
#[derive(Debug)]
pub struct Parcel {
    /// Whose packet.
    pub source: SourceId,
    /// What is known about it; `len` bytes of `bytes` count.
    pub meta: Meta,
    /// Whether the source was muted until now: sequence numbers go on without a gap.
    pub resumes: bool,
    /// What else its image has to know.
    pub standing: Standing,
    /// The packet.
    pub bytes: [u8; SLOT_BYTES],
}

/// Longest body of an RTCP part that crosses. What is passed on (picture loss indications of other
/// kinds, APP) is a few words long.
pub const RELAYED: usize = 120;

/// One part of an RTCP compound on its way to the sender of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayedPart {
    /// Its packet type (RFC 3550 §6).
    pub packet_type: u8,
    /// Its count or format.
    pub count: u8,
    /// Whether its second word is a media SSRC (RFC 4585 §6.1); an APP has a name there.
    pub about_media: bool,
    /// Bytes of `body` that count.
    pub len: u8,
    /// What follows its first word.
    pub body: [u8; RELAYED],
}

/// What the shard of a sink tells the shard of its source (and one thing the other way round).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// A sink needs a keyframe.
    Keyframe(SourceId),
    /// A sink's peer said something that its route passes on to the source's sender.
    Relay(SourceId, RelayedPart),
    /// A viewer of the ingest can take so many bit/s.
    Remb(IngestId, u64),
    /// The other way: what is kept of the source for new viewers belongs to the past.
    Forget(SourceId),
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
    /// Data messages to it.
    pub data_out: Tx<DataPost>,
    /// Data messages from it.
    pub data_in: Rx<DataPost>,
}

/// The rings between every two shards; `[a][b]` are a's ends of the rings it shares with b.
pub fn link_shards(bells: &[Doorbell]) -> Vec<Vec<Option<Neighbour>>> {
    let count = bells.len();
    let mut all: Vec<Vec<Option<Neighbour>>> =
        (0..count).map(|_| (0..count).map(|_| None).collect()).collect();
    for a in 0..count {
        for b in a + 1..count {
            let (packets_ab, packets_b) = link(PACKETS, &bells[b]);
            let (packets_ba, packets_a) = link(PACKETS, &bells[a]);
            let (empties_ab, empties_b) = link(PACKETS, &bells[b]);
            let (empties_ba, empties_a) = link(PACKETS, &bells[a]);
            let (feedback_ab, feedback_b) = link(FEEDBACK, &bells[b]);
            let (feedback_ba, feedback_a) = link(FEEDBACK, &bells[a]);
            let (data_ab, data_b) = link(DATA, &bells[b]);
            let (data_ba, data_a) = link(DATA, &bells[a]);
            all[a][b] = Some(Neighbour {
                packets_out: packets_ab,
                packets_in: packets_a,
                empties_in: empties_a,
                empties_out: empties_ab,
                feedback_out: feedback_ab,
                feedback_in: feedback_a,
                data_out: data_ab,
                data_in: data_a,
            });
            all[b][a] = Some(Neighbour {
                packets_out: packets_ba,
                packets_in: packets_b,
                empties_in: empties_b,
                empties_out: empties_ba,
                feedback_out: feedback_ba,
                feedback_in: feedback_b,
                data_out: data_ba,
                data_in: data_b,
            });
        }
    }
    all
}
