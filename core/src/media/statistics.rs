//! Measures: whole, absolute snapshots; the latest one wins.

use super::{MediaKind, Mindex};
use crate::ice::{IceState, SelectedPair};
use crate::rtcp::Quality;
use std::time::Instant;

/// One direction of one stream (one simulcast layer, where there are several).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LayerStatistics {
    /// SSRC on the wire; 0 = not known yet.
    pub ssrc: u32,
    /// RTP packets.
    pub packets: u64,
    /// RTP bytes, headers included.
    pub bytes: u64,
    /// Bytes of the last full second between two reports.
    pub bytes_last_second: u64,
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
    /// Quality of the link, as if nothing were repaired by retransmission (webrtc-behaviour §7.2).
    pub link: Quality,
    /// Quality of the media after repair.
    pub media: Quality,
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

/// What the last round trip was calculated from (RFC 3550 §6.4.1), each the middle 32 bits of an
/// NTP time or a span in 1/65536 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTrip {
    /// When the receiver report came.
    pub ntp: u32,
    /// The sender report it answers.
    pub lsr: u32,
    /// How long the peer had held that.
    pub dlsr: u32,
}

/// One peer, as of when it was asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerStatistics {
    /// Round trip in ms from receiver reports; 0 = unknown.
    pub rtt_ms: u32,
    /// What that was calculated from, once there is one.
    pub round_trip: Option<RoundTrip>,
    /// The peer's last bandwidth estimate (REMB) in bit/s; 0 = none.
    pub remb_bps: u64,
    /// The SRTP profile's name, once keys are there.
    pub profile: Option<&'static str>,
    /// Datagrams that could not be opened: not yet keyed, replayed or forged.
    pub unopened: u64,
    /// The way to the peer.
    pub way: WayStatistics,
    /// How long sent packets are kept for retransmission, in ms.
    pub nack_queue_ms: u32,
    /// Its lines.
    pub lines: Vec<LineStatistics>,
}

/// Packets and bytes in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Datagrams.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Flow {
    /// Counts one datagram of `len` bytes.
    pub fn count(&mut self, len: usize) {
        self.packets += 1;
        self.bytes += len as u64;
    }
}

/// How a peer is reached: ICE and DTLS.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WayStatistics {
    /// Where connectivity stands.
    pub ice: IceState,
    /// The pair media take.
    pub selected: Option<SelectedPair>,
    /// When a pair worked for the first time.
    pub connected: Option<Instant>,
    /// When connectivity failed last; `None` while it holds.
    pub failed: Option<Instant>,
    /// When the handshake began.
    pub handshake_began: Option<Instant>,
    /// When it was done.
    pub handshake_done: Option<Instant>,
    /// Flights of the handshake that we sent again.
    pub handshake_repeats: u32,
    /// DTLS records received, of the handshake and after.
    pub dtls_received: Flow,
    /// DTLS records sent.
    pub dtls_sent: Flow,
    /// Packets that waited to leave when this was told.
    pub queued: u32,
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
    /// Packets that did not fit a queue, the ring to another shard or a socket and were let go.
    pub shed: u64,
    /// Feedback for another shard that did not fit and was let go.
    pub feedback_lost: u64,
    /// RTP that opened but belonged to no line.
    pub unmatched: u64,
    /// Events that had to wait because control's ring was full.
    pub events_waited: u64,
    /// What went around the kernel's sockets.
    pub bypass: BypassCounters,
}

/// What a shard sent by packet rings (`tx = "packet-ring"`), in frames and the datagrams they held,
/// and how many trains left by UDP sockets instead, by cause. All zero where that is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BypassCounters {
    /// Frames that drivers took.
    pub frames: u64,
    /// Datagrams in them.
    pub datagrams: u64,
    /// Trains whose way was not known: just asked for, or the neighbour does not answer.
    pub unresolved: u64,
    /// Trains that can have no frame: to ourselves, by a tunnel, by a device without a ring.
    pub unfit: u64,
    /// Trains that had the kernel confirm a neighbour.
    pub refreshed: u64,
    /// Trains with datagrams longer than the path takes.
    pub too_long: u64,
    /// Trains that found the ring full.
    pub full: u64,
}

impl BypassCounters {
    /// Sums two shards' counters.
    pub fn plus(self, other: Self) -> Self {
        BypassCounters {
            frames: self.frames + other.frames,
            datagrams: self.datagrams + other.datagrams,
            unresolved: self.unresolved + other.unresolved,
            unfit: self.unfit + other.unfit,
            refreshed: self.refreshed + other.refreshed,
            too_long: self.too_long + other.too_long,
            full: self.full + other.full,
        }
    }
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
            feedback_lost: self.feedback_lost + other.feedback_lost,
            unmatched: self.unmatched + other.unmatched,
            events_waited: self.events_waited + other.events_waited,
            bypass: self.bypass.plus(other.bypass),
        }
    }
}
