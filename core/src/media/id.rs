//! Names of things that live on shards. They are values: a name whose peer is gone, or whose slot
//! was given to another peer, simply misses, because the generation differs.

use super::{ForwarderId, IngestId};

/// Index of an m-line in the SDP, from 0. Stable for the life of a PeerConnection.
pub type Mindex = u16;

/// One PeerConnection: where it lives, and which of the slot's successive tenants it is.
///
/// Control allots the slot, the shard owns everything in it. The three numbers are also encoded in
/// our ICE ufrag, so an integrity-checked STUN request finds its peer without a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId {
    /// Index of the shard, 0..=255.
    pub shard: u8,
    /// Index in the shard's peer table, below 2^24.
    pub slot: u32,
    /// Counts the tenants of the slot, wrapping.
    pub generation: u16,
}

impl PeerId {
    /// Slots a shard can have: what the ufrag has room for.
    pub const MAX_SLOTS: u32 = 1 << 24;

    /// The three numbers in one word, for rings and tables: shard, slot, generation.
    pub fn to_bits(self) -> u64 {
        (u64::from(self.shard) << 40) | (u64::from(self.slot) << 16) | u64::from(self.generation)
    }

    /// The inverse of [`PeerId::to_bits`].
    pub fn from_bits(bits: u64) -> Self {
        PeerId {
            shard: (bits >> 40) as u8,
            slot: (bits >> 16) as u32 & (Self::MAX_SLOTS - 1),
            generation: bits as u16,
        }
    }

    /// The peer's line with this index.
    pub fn line(self, mindex: Mindex) -> LineId {
        LineId { peer: self, mindex }
    }
}

/// One m-line of one PeerConnection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineId {
    /// The PeerConnection.
    pub peer: PeerId,
    /// The line's index in its SDP.
    pub mindex: Mindex,
}

/// Something that yields RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceId {
    /// What a peer sends on one of its m-lines, with all its simulcast layers.
    Line(LineId),
    /// What arrives at ports of ours.
    Ingest(IngestId),
}

impl SourceId {
    /// The shard that owns the source.
    pub fn shard(self) -> u8 {
        match self {
            SourceId::Line(line) => line.peer.shard,
            SourceId::Ingest(ingest) => ingest.shard,
        }
    }
}

/// Something that takes RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SinkId {
    /// What a peer receives on one of its m-lines.
    Line(LineId),
    /// What is sent to an address.
    Forwarder(ForwarderId),
}

impl SinkId {
    /// The shard that owns the sink.
    pub fn shard(self) -> u8 {
        match self {
            SinkId::Line(line) => line.peer.shard,
            SinkId::Forwarder(forwarder) => forwarder.shard,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PeerId;

    #[test]
    fn peer_id_survives_its_bits() {
        let id = PeerId { shard: 255, slot: PeerId::MAX_SLOTS - 1, generation: 65535 };
        assert_eq!(PeerId::from_bits(id.to_bits()), id);
        let id = PeerId { shard: 3, slot: 70_000, generation: 9 };
        assert_eq!(PeerId::from_bits(id.to_bits()), id);
    }
}
