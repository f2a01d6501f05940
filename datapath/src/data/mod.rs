//! Data channels on a shard: what a peer with a data line has besides, and who gets its messages.
//!
//! A peer without a data line has none of this. With one, its DTLS records move from the handshake
//! lane to the shard once the handshake is done, and an association
//! ([`bifrons_core::sctp::DataTransport`]) is fed with them. Messages go to plugins on control, to
//! sinks on this shard, and once to each other shard that has sinks.
//!
//! Media come first: records are only noted as they arrive, and looked at when the turn's packets
//! have left, so many a turn ([`RECORDS`], [`MESSAGES`], [`PACKETS`]); the rest waits for the next.
//! Nothing that was read is lost; what cannot be passed on is not read, so that the sender's SCTP
//! window closes. A sink that stays full for [`STALL_US`] holds nobody up any longer: messages for
//! it are dropped, and counted, until it drains.

use crate::dtls_openssl::RecordLayer;
use crate::handshake::Datagram;
use bifrons_core::media::{
    DataLine, DataMessage, ForwarderId, HANDOFF_CREDIT, LineId, Mindex, PeerId, RECEIVE_CREDIT,
    SourceId,
};
use bifrons_core::sctp::{DataTransport, SEND_BUFFER};
use std::collections::{HashMap, VecDeque};

/// Records looked at in one turn.
pub const RECORDS: usize = 64;
/// Records that may wait; SCTP repeats what is let go.
pub const INBOX: usize = 2048;
/// Messages read from one peer in one turn.
pub const MESSAGES: usize = 64;
/// Packets made in one turn.
pub const PACKETS: usize = 128;
/// Packets made for one peer in one turn.
pub const PACKETS_A_PEER: usize = 32;
/// Peers looked after in one turn.
pub const PEERS: usize = 256;
/// How long a sink may stay full before its sources stop waiting for it.
pub const STALL_US: u64 = 1_000_000;
/// When a peer that could not be read is tried again.
pub const RETRY_US: u64 = 5_000;
/// Records kept while a peer's record layer is on its way from the lane.
const MOVING: usize = 64;

/// Who opens and seals a peer's records.
#[derive(Debug)]
pub enum Pipe {
    /// The handshake lane: before the handshake is done, and for suites that OpenSSL alone knows.
    Lane,
    /// Nobody: the record layer is on its way. What arrives meanwhile waits.
    Moving(#[allow(clippy::vec_box, reason = "the boxes travel")] Vec<Box<Datagram>>),
    /// The shard.
    Here(Box<RecordLayer>),
}

impl Pipe {
    /// Keeps a datagram for later; hands it back when there is no room.
    pub fn keep(&mut self, datagram: Box<Datagram>) -> Result<(), Box<Datagram>> {
        match self {
            Pipe::Moving(kept) if kept.len() < MOVING => {
                kept.push(datagram);
                Ok(())
            }
            _ => Err(datagram),
        }
    }
}

/// What a peer with a data line has.
#[derive(Debug)]
pub struct PeerData {
    /// Its data line.
    pub mindex: Mindex,
    /// As negotiated.
    pub line: DataLine,
    /// Its DTLS records.
    pub pipe: Pipe,
    /// The association, from the end of the handshake.
    pub transport: Option<DataTransport>,
    /// From plugins, not yet taken by the association; control's credit bounds it.
    pub waiting: VecDeque<Box<DataMessage>>,
    /// Since when its association is full.
    pub full_since_us: Option<u64>,
    /// Whether a plugin has sent it something since it last drained: the plugin is told then.
    pub from_plugin: bool,
    /// Whether it is listed in [`DataDesk::busy`].
    pub busy: bool,
    /// Messages for it that were dropped: it stalled, or takes none so long.
    pub dropped: u64,
}

impl PeerData {
    /// Before the handshake.
    pub fn new(mindex: Mindex, line: DataLine) -> Self {
        PeerData {
            mindex,
            line,
            pipe: Pipe::Lane,
            transport: None,
            waiting: VecDeque::new(),
            full_since_us: None,
            from_plugin: false,
            busy: false,
            dropped: 0,
        }
    }

    /// Whether a message may be sent to it now, or need not be waited for.
    pub fn has_room(&mut self, now_us: u64) -> bool {
        let Some(transport) = &mut self.transport else { return true };
        if !transport.is_up() || transport.buffered() < SEND_BUFFER {
            self.full_since_us = None;
            return true;
        }
        let since = *self.full_since_us.get_or_insert(now_us);
        now_us >= since + STALL_US
    }
}

/// One place where messages go.
#[derive(Clone, Debug)]
pub struct DataSink {
    /// The peer's data line.
    pub line: LineId,
    /// The label there; `None` keeps the sender's.
    pub label: Option<Box<str>>,
    /// Whether it was given a message of this source: what is kept is for those that were not.
    pub served: bool,
}

/// What is under way to another shard.
#[derive(Clone, Copy, Debug)]
pub struct Export {
    /// Which shard.
    pub shard: u8,
    /// Bytes it has not taken yet.
    pub under_way: usize,
}

/// Whose messages, and who gets them. On a shard with sinks alone it is the image of a source
/// elsewhere.
#[derive(Debug)]
pub struct DataSource {
    /// Peers on this shard.
    pub sinks: Vec<DataSink>,
    /// Forwarders on this shard.
    pub forwarders: Vec<ForwarderId>,
    /// Other shards with sinks.
    pub exports: Vec<Export>,
    /// Whether the plugin sees the messages.
    pub deliver: bool,
    /// Whether nothing of it goes to anybody but the plugin.
    pub muted: bool,
    /// What it said last, where that is kept for new sinks.
    pub last: Option<Box<DataMessage>>,
    /// Messages that came over, or to a port, and wait for their sinks; and whether to keep each.
    pub arrived: VecDeque<(Box<DataMessage>, bool)>,
    /// Of an ingest: the bytes of those.
    pub arrived_bytes: usize,
}

impl Default for DataSource {
    fn default() -> Self {
        DataSource {
            sinks: Vec::new(),
            forwarders: Vec::new(),
            exports: Vec::new(),
            deliver: true,
            muted: false,
            last: None,
            arrived: VecDeque::new(),
            arrived_bytes: 0,
        }
    }
}

impl DataSource {
    /// Whether nobody here takes its messages.
    pub fn is_idle(&self) -> bool {
        self.sinks.is_empty() && self.forwarders.is_empty()
    }

    /// Whether every other shard may be given one more message.
    pub fn may_export(&self) -> bool {
        self.exports.iter().all(|export| export.under_way < HANDOFF_CREDIT)
    }
}

/// Between shards, in order, never lost.
#[derive(Debug)]
pub enum DataPost {
    /// A message for the sinks there.
    Message {
        /// Whose.
        source: SourceId,
        /// What.
        message: Box<DataMessage>,
        /// Whether to keep it for sinks that come later, until the next.
        keep: bool,
    },
    /// An image was made there; what is kept for new sinks is wanted.
    Image {
        /// Whose.
        source: SourceId,
        /// The shard of the image.
        shard: u8,
    },
    /// The answer: what the source said last.
    Last {
        /// Whose.
        source: SourceId,
        /// What.
        message: Box<DataMessage>,
    },
    /// Messages of this weight found their sinks.
    Taken {
        /// Whose.
        source: SourceId,
        /// The shard that took them.
        shard: u8,
        /// In bytes.
        weight: usize,
    },
}

/// A shard's data channels as a whole.
#[derive(Debug)]
pub struct DataDesk {
    /// Records that wait for the end of the turn, at most [`INBOX`].
    pub inbox: VecDeque<(PeerId, Box<Datagram>)>,
    /// Slots of peers that want looking after, each once.
    pub busy: VecDeque<u32>,
    /// Sources with sinks or wishes.
    pub sources: HashMap<SourceId, DataSource>,
    /// Images and ingests with messages that wait, each once.
    pub arrivals: VecDeque<SourceId>,
    /// Some of those could go at once, had the turn not done its share.
    pub pressing: bool,
    /// Bytes that plugins may still be given; below 0 nothing is read for them.
    pub credit: i64,
    /// For other shards; waits here while a ring is full.
    pub posts: VecDeque<(u8, DataPost)>,
}

impl Default for DataDesk {
    fn default() -> Self {
        DataDesk {
            inbox: VecDeque::new(),
            busy: VecDeque::new(),
            sources: HashMap::new(),
            arrivals: VecDeque::new(),
            pressing: false,
            credit: RECEIVE_CREDIT as i64,
            posts: VecDeque::new(),
        }
    }
}

impl DataDesk {
    /// Whether something could be done at once.
    pub fn has_work(&self) -> bool {
        self.pressing || !self.inbox.is_empty() || !self.busy.is_empty()
    }

    /// Forgets a peer's sources and sinks.
    pub fn forget(&mut self, peer: PeerId) {
        let is_its =
            |source: &SourceId| matches!(source, SourceId::Line(line) if line.peer == peer);
        self.sources.retain(|source, entry| {
            entry.sinks.retain(|sink| sink.line.peer != peer);
            !is_its(source)
        });
    }
}
