//! What crosses the rings between control and a shard.
//!
//! Commands and state events are never lost: when a ring is full they wait in the sender's own
//! bounded queue. Statistics are measures: latest wins.

use super::{
    DataCommand, DataEvent, DownReason, Fact, IngestId, PeerId, PeerSetup, PeerStatistics,
    PeerUpdate, Plan, PortId, PortSocket, ShardCounters, SourceId,
};
use crate::ice::Candidate;
use crate::srtp::{MasterKey, SrtpProfile};
use std::net::SocketAddr;

/// Ties a statistics answer to its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueryTicket(pub u64);

/// Settings of all shards that an operator may change while they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Least time that sent packets are kept for retransmission, in ms, at most 1000.
    pub min_nack_queue_ms: u32,
    /// Silence after which a line counts as not receiving, in s; 0 = off.
    pub no_media_timer_s: u32,
    /// Losses in a second that make a slow link; 0 = off.
    pub slow_link_losses: u32,
}

/// A capture, for the life of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TapId(pub u64);

/// What a capture wants of a peer's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Which capture.
    pub id: TapId,
    /// Bytes kept of each packet; 0 = all.
    pub truncate_bytes: u16,
}

/// Control to shard.
#[derive(Clone, Debug)]
pub enum ShardCommand {
    /// Brings a peer up.
    Open(Box<PeerSetup>),
    /// Renegotiates it.
    Update {
        /// Which peer.
        peer: PeerId,
        /// What changes.
        update: Box<PeerUpdate>,
    },
    /// A trickled candidate of the peer.
    Candidate {
        /// Which peer.
        peer: PeerId,
        /// The candidate.
        candidate: Box<Candidate>,
    },
    /// The peer can also be reached through a relay that was allocated for it; once a peer.
    Relay {
        /// Which peer.
        peer: PeerId,
        /// Our address on the relay (RFC 8656 §2, relayed transport address).
        relayed: SocketAddr,
    },
    /// The peer will trickle no more.
    EndOfCandidates {
        /// Which peer.
        peer: PeerId,
    },
    /// Ends a peer: close alert, keys gone, slot free after [`ShardEvent::Closed`].
    Close {
        /// Which peer.
        peer: PeerId,
    },
    /// Takes a bound port over.
    OpenPort {
        /// Its name; number 0 and 1 are the ports that forwarders share, for IPv4 and IPv6.
        port: PortId,
        /// The socket.
        socket: PortSocket,
        /// Opens what arrives (SRTP).
        open: Option<MasterKey>,
    },
    /// Closes a port; what it fed stays, without it. [`ShardEvent::PortClosed`] answers.
    ClosePort {
        /// Which.
        port: PortId,
    },
    /// A plugin's plan, sent to the shard of its sink (routes) or source (the rest).
    Plan(Plan),
    /// Sent to a source's shard: another shard has sinks for it (or has no more of them).
    Export {
        /// The source.
        source: SourceId,
        /// The shard that wants one copy of each packet.
        shard: u8,
        /// Wants, or no longer.
        on: bool,
    },
    /// About data channels.
    Data(DataCommand),
    /// Asks for a peer's statistics.
    Query {
        /// Repeated in the answer.
        ticket: QueryTicket,
        /// Which peer.
        peer: PeerId,
    },
    /// Changes settings for all peers, those that are up included.
    Tune(Tuning),
    /// Captures a peer's RTP and RTCP in clear, or no longer.
    Tap {
        /// Which peer.
        peer: PeerId,
        /// For which capture; `None` = no longer.
        tap: Option<Tap>,
    },
    /// Asks for the shard's counters.
    Count,
    /// Ends every peer with a close alert, then the shard.
    Stop,
}

/// Shard to control.
#[derive(Clone, Debug)]
pub enum ShardEvent {
    /// DTLS is done and keys are in place: `webrtcup`.
    Up {
        /// Which peer.
        peer: PeerId,
        /// The SRTP profile that was agreed on; `None` with data channels alone and no SRTP.
        profile: Option<SrtpProfile>,
    },
    /// The peer ended by itself. Control answers with [`ShardCommand::Close`].
    Down {
        /// Which peer.
        peer: PeerId,
        /// Why.
        reason: DownReason,
    },
    /// Nothing of the peer is left; its slot may be given away.
    Closed {
        /// Which peer.
        peer: PeerId,
    },
    /// The kernel has let go of a port that was closed: its number may be bound again.
    PortClosed {
        /// Which port.
        port: PortId,
    },
    /// Something worth telling about a peer.
    Fact {
        /// Which peer.
        peer: PeerId,
        /// What.
        fact: Fact,
    },
    /// Something worth telling about an ingest; its `mindex` is 0.
    IngestFact {
        /// Which ingest.
        ingest: IngestId,
        /// What.
        fact: Fact,
    },
    /// About data channels.
    Data(DataEvent),
    /// Answer to [`ShardCommand::Query`]; `None` when there is no such peer.
    Statistics {
        /// From the question.
        ticket: QueryTicket,
        /// The snapshot.
        statistics: Option<Box<PeerStatistics>>,
    },
    /// Answer to [`ShardCommand::Count`].
    Counters {
        /// Which shard.
        shard: u8,
        /// Its counters.
        counters: ShardCounters,
    },
    /// The shard's loop ended; with a text if it was not asked to.
    Stopped {
        /// Which shard.
        shard: u8,
        /// What went wrong, if anything.
        failure: Option<Box<str>>,
    },
}
