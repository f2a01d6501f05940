//! Where RTP comes in and goes out without a PeerConnection: UDP ports, ingests and forwarders.
//!
//! A port is a bound socket of one shard. An *ingest* is a source that ports feed: one m-line of a
//! remote publisher or of a mountpoint, with up to three simulcast substreams. Several ports may
//! feed one ingest (a port for each substream, one for RTCP), and one port several ingests (a
//! remote publisher's streams share one, told apart by SSRC). A *forwarder* is a sink with an
//! address: RTP leaves as it is or with other numbers, plain or as SRTP. Control binds and names;
//! packets pass between socket and shard only (design §1 rule 3).

use super::{DataKind, MediaKind};
use crate::codec::Codec;
use crate::rtp::{ExtensionIds, Ssrc};
use crate::srtp::MasterKey;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

/// A UDP port of one shard. Its number is given out once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId {
    /// The shard.
    pub shard: u8,
    /// Which.
    pub number: u32,
}

/// A source that ports feed. Its number is given out once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IngestId {
    /// The shard.
    pub shard: u8,
    /// Which.
    pub number: u32,
}

/// A sink with an address. Its number is given out once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ForwarderId {
    /// The shard.
    pub shard: u8,
    /// Which.
    pub number: u32,
}

/// Which addresses a port takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Both, where the host has IPv6; else IPv4.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// A port that a plugin wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRequest {
    /// On which shard; the same as that of the ingests it will feed.
    pub shard: u8,
    /// Which addresses, unless `interface` or `group` says it.
    pub family: Family,
    /// The lowest port to take; 0 = whatever the kernel gives.
    pub first: u16,
    /// The highest, not below `first`; the same = that one or none. A random one of the range is
    /// tried first.
    pub last: u16,
    /// Local address to bind; for a group the interface to join on. `None` = all.
    pub interface: Option<IpAddr>,
    /// Multicast group to join; the port then takes what is sent to the group only.
    pub group: Option<IpAddr>,
    /// Opens what arrives (SRTP); `None` = plain RTP.
    pub open: Option<MasterKey>,
}

impl PortRequest {
    /// Any free port of `first..=last` on that shard, plain, on all addresses.
    #[must_use]
    pub const fn new(shard: u8, first: u16, last: u16) -> Self {
        let (family, interface, group, open) = (Family::Any, None, None, None);
        PortRequest { shard, family, first, last, interface, group, open }
    }
}

/// A port that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub id: PortId,
    /// Where it is bound.
    pub address: SocketAddr,
}

/// Why a port was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortError {
    /// The shard has as many as it takes.
    Full,
    /// The system refused: taken, no such interface, no such group.
    Refused(String),
    /// This host opens none.
    Unsupported,
}

/// A bound socket on its way to its shard. Nothing in this crate reads or writes it.
#[derive(Clone, Debug)]
pub struct PortSocket {
    address: SocketAddr,
    socket: Option<Arc<UdpSocket>>,
}

impl PortSocket {
    /// Wraps a bound socket.
    ///
    /// # Errors
    /// When the system does not tell where it is bound.
    pub fn new(socket: UdpSocket) -> io::Result<Self> {
        Ok(PortSocket { address: socket.local_addr()?, socket: Some(Arc::new(socket)) })
    }

    /// A simulated one: its engine knows it by address.
    #[must_use]
    pub const fn simulated(address: SocketAddr) -> Self {
        PortSocket { address, socket: None }
    }

    /// Where it is bound.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket, unless it is simulated.
    #[must_use]
    pub fn socket(&self) -> Option<&UdpSocket> {
        self.socket.as_deref()
    }
}

/// How the datagrams of a data ingest become messages.
///
/// At a port that carries a layer ([`Carries::Layer`]) each datagram is one message, as it is. At
/// one that tells sources apart by SSRC ([`Carries::Ssrcs`]) it follows a header of 12 bytes like
/// that of RTP, whose payload type says whether it is text (0) or binary (1) (plugin-videoroom
/// §9.2). Neither is ever SRTP. An empty datagram is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRule {
    /// What they are where no header says so.
    pub kind: DataKind,
    /// Whether the last message is kept, and given to each new sink as soon as that can take one:
    /// when its peer opens its first channel, or at once if that is open (`buffermsg` of
    /// plugin-streaming).
    pub keep_last: bool,
}

impl Default for MessageRule {
    fn default() -> Self {
        MessageRule { kind: DataKind::Text, keep_last: false }
    }
}

/// What an ingest yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngestSetup {
    /// Its kind. Of data each datagram is one message, routed by [`super::DataPlan::Route`]; muted,
    /// as any source, by [`super::SourcePolicy::muted`].
    pub kind: MediaKind,
    /// Its codec, whatever payload type arrives; `None` for one that is passed on unread.
    pub codec: Option<Codec>,
    /// RTP clock in Hz.
    pub clock_hz: u32,
    /// Whether several simulcast substreams come.
    pub simulcast: bool,
    /// Ids under which header extensions arrive.
    pub extensions: ExtensionIds,
    /// Of data: what datagrams mean. Of no account otherwise.
    pub message: MessageRule,
}

/// What a port carries for an ingest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// All RTP that arrives, as this substream (0..=2).
    Layer(u8),
    /// The RTP of three SSRCs in a row from this one: substreams 0, 1, 2 (plugin-videoroom §9.2).
    Ssrcs(Ssrc),
    /// RTCP. Where it last came from is where keyframe requests go.
    Rtcp,
}

/// The SSRC that RTP is forwarded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardSsrc {
    /// The one it came with.
    Source,
    /// This one.
    Fixed(Ssrc),
    /// This one plus the substream (plugin-videoroom §9.2).
    Layered(Ssrc),
}

/// How RTP leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwarderSetup {
    /// Its kind. Of data each message is one datagram, never encrypted: bare, or with
    /// [`ForwardSsrc::Layered`] behind a header of 12 bytes as [`MessageRule`] reads it, and then
    /// cut to 1500 bytes in all (plugin-videoroom §9.2). A message longer than a datagram can be is
    /// let go. Its source comes by [`super::DataPlan::Route`].
    pub kind: MediaKind,
    /// Where to.
    pub to: SocketAddr,
    /// From which port; `None` = one that the shard's forwarders share.
    pub from: Option<PortId>,
    /// With which SSRC.
    pub ssrc: ForwardSsrc,
    /// The one substream that is forwarded, where the route chooses no layers; `None` = all.
    pub layer: Option<u8>,
    /// Numbers of its own, from 1 without a gap, whatever source comes; else those of the source.
    pub continuous: bool,
    /// Seals what leaves (SRTP).
    pub key: Option<MasterKey>,
    /// Where feedback arrives, if any: PLI and FIR there become keyframe requests to the source. A
    /// port on the forwarder's shard; forwarders may share one, told apart by the media SSRC.
    pub rtcp: Option<PortId>,
}
