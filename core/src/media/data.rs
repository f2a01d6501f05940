//! Messages of data channels, and the plans about them (RFC 8831, RFC 8832).
//!
//! A message crosses rings as a whole value. It is of the class *state*: it is never lost between a
//! shard and a plugin, or between two shards. What bounds it is credit: each direction has so many
//! bytes under way, and who took some says so; without credit the sender's SCTP window closes.

use super::{PeerId, SinkId, SourceId};

/// The label of the channel that is meant when none is named (webrtc-behaviour §10).
pub const DEFAULT_LABEL: &str = "JanusDataChannel";

/// What we accept at most from a peer that allows as much itself: `a=max-message-size`.
pub const MAX_MESSAGE: u32 = 1 << 20;

/// What we state to a peer that allows less, or says nothing: Chromium's own limit.
pub const COMMON_MAX_MESSAGE: u32 = 262_144;

/// What a peer takes that does not say (RFC 8841 §6.1).
pub const DEFAULT_PEER_MAX_MESSAGE: u32 = 65_536;

/// Bytes of messages under way from a plugin to one peer, past which more are refused until the
/// peer has taken some. One message more may be under way.
pub const SEND_CREDIT: usize = 4 << 20;

/// Bytes of messages under way from one shard to plugins, past which its peers wait.
pub const RECEIVE_CREDIT: usize = 8 << 20;

/// Bytes of messages under way from one source to one other shard.
pub const HANDOFF_CREDIT: usize = 2 << 20;

/// Whether a message is text or binary; kept all the way, the empty ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataKind {
    /// UTF-8, as far as the sender is to be trusted.
    Text,
    /// Bytes.
    Binary,
}

/// One message, with the channel it came by or shall leave by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataMessage {
    /// The channel's label. The first open channel with that label is meant; if there is none, one
    /// is opened, reliable and ordered.
    pub label: Box<str>,
    /// The channel's protocol; used only when a channel is opened.
    pub protocol: Box<str>,
    /// Text or binary.
    pub kind: DataKind,
    /// The content, at most [`MAX_MESSAGE`] bytes.
    pub bytes: Box<[u8]>,
}

impl DataMessage {
    /// A text for the default channel.
    pub fn text(text: impl Into<String>) -> Self {
        DataMessage {
            label: DEFAULT_LABEL.into(),
            protocol: "".into(),
            kind: DataKind::Text,
            bytes: text.into().into_bytes().into_boxed_slice(),
        }
    }

    /// What it weighs in credit: its bytes and its names, and something for the rest.
    pub fn weight(&self) -> usize {
        self.bytes.len() + self.label.len() + self.protocol.len() + 64
    }
}

/// What a data line was negotiated to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataLine {
    /// The peer's SCTP port; ours is 5000.
    pub remote_port: u16,
    /// The longest message the peer takes, in bytes; at least 1.
    pub max_send: u32,
    /// The longest message we said we take.
    pub max_receive: u32,
}

/// What a plugin may ask about data between peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataPlan {
    /// Messages of `source` go to `sink` as well. A data sink may have any number of sources; a
    /// source that is there already only changes the label. A peer is sent nothing before it has
    /// opened a channel of its own, and what came before is not kept for it
    /// ([`super::MessageRule::keep_last`] excepted).
    Route {
        /// Where they come from: a peer's data line, or a data ingest.
        source: SourceId,
        /// Where they go: a peer's data line, or a data forwarder.
        sink: SinkId,
        /// The label they arrive under; `None` keeps the sender's, which for an ingest is
        /// [`DEFAULT_LABEL`].
        label: Option<Box<str>>,
    },
    /// Ends that.
    Unroute {
        /// Where they came from.
        source: SourceId,
        /// Where they went.
        sink: SinkId,
    },
    /// Whether the plugin sees the messages of `source` itself; it does until told otherwise.
    Deliver {
        /// Whose messages.
        source: SourceId,
        /// On or off.
        on: bool,
    },
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataRefusal {
    /// The handle has no PeerConnection with a data line that is up.
    NotReady,
    /// Longer than the peer takes.
    TooLong,
    /// Too much is under way; `data_ready` tells when there is room again.
    Full,
}

/// Control to shard, about data.
#[derive(Clone, Debug)]
pub enum DataCommand {
    /// Sends a message.
    Send {
        /// To whom.
        peer: PeerId,
        /// What.
        message: Box<DataMessage>,
    },
    /// A plan: routes go to the sink's shard, the rest to the source's.
    Plan(DataPlan),
    /// Sent to a source's shard: another shard has sinks for its messages, or no more.
    Export {
        /// The source.
        source: SourceId,
        /// The other shard.
        shard: u8,
        /// Wants, or no longer.
        on: bool,
    },
    /// Plugins have taken messages of this weight.
    Taken {
        /// In bytes.
        weight: usize,
    },
}

/// Shard to control, about data.
#[derive(Clone, Debug)]
pub enum DataEvent {
    /// The peer's association is up: messages may be sent.
    Ready {
        /// Whose.
        peer: PeerId,
    },
    /// A message for the plugin; its weight comes back with [`DataCommand::Taken`].
    Message {
        /// From whom.
        peer: PeerId,
        /// What.
        message: Box<DataMessage>,
    },
    /// Messages of this weight were taken by the peer's association.
    Sent {
        /// Whose.
        peer: PeerId,
        /// In bytes.
        weight: usize,
        /// Nothing waits in the association any more.
        drained: bool,
    },
    /// The association has ended; the PeerConnection goes on without data.
    Lost {
        /// Whose.
        peer: PeerId,
        /// Why.
        end: DataEnd,
    },
}

/// Why an association ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataEnd {
    /// The peer ended it (ABORT, SHUTDOWN).
    ByPeer,
    /// What the peer sent was refused: a message longer than our SDP allows, or no SCTP. The peer is
    /// told by an ABORT (RFC 9260 §3.3.7).
    Refused,
    /// The peer does not answer.
    Silent,
    /// A renegotiation took the line away.
    LineGone,
}

impl DataEnd {
    /// For the log, and for the peer.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            DataEnd::ByPeer => "ended by the peer",
            DataEnd::Refused => "message longer than allowed, or malformed",
            DataEnd::Silent => "no answer",
            DataEnd::LineGone => "the line was taken away",
        }
    }
}
