//! Measures: whole, absolute snapshots; the latest one wins.

use super::{MediaKind, Mindex};

/// One direction of one stream (one simulcast layer, where there are several).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LayerStatistics {
    /// SSRC on the wire; 0 = not known yet.
    pub ssrc: u32,
    /// RTP packets.
    pub packets: u64,
    /// RTP bytes, headers included.
    pub bytes: u64,
    /// Lost packets: receiving, by our count; sending, by the peer's reports.
    pub lost: i64,
    /// Interarrival jitter in ms.
    pub jitter_ms: u32,
    /// Packets that were asked for again (NACK entries): sent by us when receiving, by the peer
    /// when sending.
    pub nacks: u64,
    /// Retransmissions received or sent.
    pub retransmissions: u64,
    /// Keyframe requests sent (receiving) or received (sending).
    pub keyframe_requests: u64,
    /// Packets thrown away: replayed, unreadable, too large, or shed.
    pub dropped: u64,
}

/// One m-line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LineStatistics {
    /// Its index.
    pub mindex: Mindex,
    /// What it carries.
    pub kind: Option<MediaKind>,
    /// What we receive, per substream.
    pub received: Vec<LayerStatistics>,
    /// What we send.
    pub sent: LayerStatistics,
}

/// One peer, as of when it was asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerStatistics {
    /// Round trip in ms from receiver reports; 0 = unknown.
    pub rtt_ms: u32,
    /// The SRTP profile's name, once keys are there.
    pub profile: Option<&'static str>,
    /// Datagrams that could not be opened: not yet keyed, replayed or forged.
    pub unopened: u64,
    /// Its lines.
    pub lines: Vec<LineStatistics>,
}

/// A shard's own counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardCounters {
    /// Peers it holds.
    pub peers: u32,
    /// Datagrams received.
    pub received: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// RTP packets forwarded (one count per sink).
    pub forwarded: u64,
    /// Datagrams from unknown addresses, or of no known protocol.
    pub stray: u64,
    /// Packets that did not fit a queue or socket and were let go.
    pub shed: u64,
    /// RTP that opened but belonged to no line.
    pub unmatched: u64,
    /// Events that had to wait because control's ring was full.
    pub events_waited: u64,
}

impl ShardCounters {
    /// Sums two shards' counters.
    pub fn plus(self, other: Self) -> Self {
        ShardCounters {
            peers: self.peers + other.peers,
            received: self.received + other.received,
            sent: self.sent + other.sent,
            forwarded: self.forwarded + other.forwarded,
            stray: self.stray + other.stray,
            shed: self.shed + other.shed,
            unmatched: self.unmatched + other.unmatched,
            events_waited: self.events_waited + other.events_waited,
        }
    }
}
