//! One PeerConnection as its shard holds it: how it is reached, its keys, its lines, and what
//! waits to leave. Touched by no other thread.

mod address;
mod keys;
mod line;
mod path;
mod seen;
mod streams;
mod table;

pub use address::{AddressTable, PER_PEER};
pub use keys::Keys;
pub use line::{Layer, MAX_LAYERS, PeerLine, ReceiveLine};
pub use path::{Path, RELAYED};
pub use seen::Seen;
pub use streams::{MAX_STREAMS, StreamRole, Streams};
pub use table::PeerTable;

use crate::data::PeerData;
use crate::departure::Waiting;
use crate::report::Reports;
use crate::tap::Tapping;
use bifrons_core::dtls::{Fingerprint, Role};
use bifrons_core::ice::{FailureTimer, IceAgent, SignallingProgress};
use bifrons_core::media::{Mindex, PeerId, WayStatistics};
use std::net::SocketAddr;

/// See the module.
pub struct Peer {
    /// Its name.
    pub id: PeerId,
    /// Finds and keeps the way to it.
    pub agent: Box<dyn IceAgent>,
    /// Decides when a failed way is given up.
    pub failure: FailureTimer,
    /// What that decision depends on.
    pub signalling: SignallingProgress,
    /// The way, once there is one.
    pub path: Option<Path>,
    /// Our address on the relay that was allocated for it, if one was.
    pub relay: Option<SocketAddr>,
    /// Addresses it proved to be at, at most [`PER_PEER`], oldest first.
    pub addresses: Vec<(u16, SocketAddr)>,
    /// Our DTLS role, once settled.
    pub role: Option<Role>,
    /// What its certificate must hash to, once known.
    pub fingerprint: Option<Fingerprint>,
    /// What an operator may want to know of the way to it; its ICE state is the agent's to tell.
    pub way: WayStatistics,
    /// Whether the handshake lane was told to begin.
    pub handshake: bool,
    /// Whether the handshake is done.
    pub secured: bool,
    /// Data channels, where negotiated.
    pub data: Option<Box<PeerData>>,
    /// SRTP both ways, once agreed.
    pub keys: Option<Keys>,
    /// Its m-lines, ascending by index.
    pub lines: Vec<PeerLine>,
    /// What its SSRCs carry.
    pub streams: Streams,
    /// What waits to leave.
    pub waiting: Waiting,
    /// The last transport-wide number given to a packet; the first is 1.
    pub transport_seq: u16,
    /// What it reports to us, and we to it.
    pub reports: Reports,
    /// Datagrams that could not be opened.
    pub unopened: u64,
    /// The capture that looks on, if one does.
    pub tapping: Option<Tapping>,
    /// Told that it is down; only `Close` is still expected.
    pub down: bool,
    /// Told to close; waits for the lane to have sent its alert.
    pub closing: bool,
}

impl Peer {
    /// The line with this index.
    pub fn line(&self, mindex: Mindex) -> Option<&PeerLine> {
        self.lines.iter().find(|line| line.mindex == mindex)
    }

    /// As [`Peer::line`], to change it.
    pub fn line_mut(&mut self, mindex: Mindex) -> Option<&mut PeerLine> {
        self.lines.iter_mut().find(|line| line.mindex == mindex)
    }
}
