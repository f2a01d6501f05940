//! Where RTP comes in and goes out without a PeerConnection: UDP ports, ingests and forwarders.
//!
//! A port is a bound socket of one shard. An *ingest* is a source that ports feed: one m-line of a
//! remote publisher or of a mountpoint, with up to three simulcast substreams. Several ports may
//! feed one ingest (a port for each substream, one for RTCP), and one port several ingests (a
//! remote publisher's streams share one, told apart by SSRC). A *forwarder* is a sink with an
//! address: RTP leaves as it is or with other numbers, plain or as SRTP. Control binds and names;
//! packets pass between socket and shard only (design §1 rule 3).

use super::MediaKind;
use crate::rtp::Ssrc;
use crate::srtp::MasterKey;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

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

/// When something last arrived at a port: noted by its shard, read by control.
///
/// A measure in one word, the latest one wins. The shard writes it at most once in
/// [`PortClock::STEP`], so an age may be told that much too high, never too low.
#[derive(Clone, Debug)]
pub struct PortClock {
    opened: Instant,
    /// Microseconds since then, and one; 0 = nothing came yet.
    heard_us: Arc<AtomicU64>,
}

impl PartialEq for PortClock {
    /// The same clock, not the same time.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.heard_us, &other.heard_us)
    }
}

impl Eq for PortClock {}

impl PortClock {
    /// How often a shard notes that something arrived.
    pub const STEP: Duration = Duration::from_millis(100);

    /// For a port that is opened now.
    #[must_use]
    pub fn new(opened: Instant) -> Self {
        PortClock { opened, heard_us: Arc::new(AtomicU64::new(0)) }
    }

    /// Something arrived.
    pub fn note(&self, at: Instant) {
        let since = at.saturating_duration_since(self.opened).as_micros() as u64;
        self.heard_us.store(since.saturating_add(1), Ordering::Relaxed);
    }

    /// How long ago something arrived; since the port was opened, if nothing did (plugin-streaming
    /// §3, `age_ms`).
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        let heard_us = self.heard_us.load(Ordering::Relaxed).saturating_sub(1);
        now.saturating_duration_since(self.opened + Duration::from_micros(heard_us))
    }

    /// Whether anything ever arrived.
    #[must_use]
    pub fn has_heard(&self) -> bool {
        self.heard_us.load(Ordering::Relaxed) > 0
    }
}

/// A bound socket on its way to its shard. Nothing in this crate reads or writes it.
#[derive(Clone, Debug)]
pub struct PortSocket {
    address: SocketAddr,
    socket: Option<Arc<UdpSocket>>,
    clock: PortClock,
}

impl PortSocket {
    /// Wraps a bound socket.
    ///
    /// # Errors
    /// When the system does not tell where it is bound.
    pub fn new(socket: UdpSocket, opened: Instant) -> io::Result<Self> {
        let clock = PortClock::new(opened);
        Ok(PortSocket { address: socket.local_addr()?, socket: Some(Arc::new(socket)), clock })
    }

    /// A simulated one: its engine knows it by address.
    #[must_use]
    pub fn simulated(address: SocketAddr, opened: Instant) -> Self {
        PortSocket { address, socket: None, clock: PortClock::new(opened) }
    }

    /// When something last arrived at it.
    #[must_use]
    pub const fn clock(&self) -> &PortClock {
        &self.clock
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
    /// [`ForwardSsrc::Layered`] behind a header of 12 bytes as [`super::MessageRule`] reads it, and then
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_port_counts_from_its_opening_until_something_arrives() {
        let opened = Instant::now();
        let at = |ms| opened + Duration::from_millis(ms);
        let clock = PortClock::new(opened);
        assert_eq!((clock.age(at(700)).as_millis(), clock.has_heard()), (700, false));
        clock.note(at(900));
        assert_eq!((clock.age(at(1200)).as_millis(), clock.has_heard()), (300, true));
        assert_eq!(clock.age(at(100)).as_millis(), 0, "never negative");
    }
}
