//! Datagrams of peers that our own sockets do not reach: they cross a ring to the thread that holds
//! the relays, and come from there.
//!
//! A relay may be spoken to over UDP, TCP or TLS and wants its own protocol around each datagram;
//! none of that belongs on a shard. What a shard does for such a peer is seal one datagram at a
//! time into a box and push it. The boxes go round: those that bring datagrams in carry others
//! out. Bounds: [`RING`] datagrams each way, the rest is shed and counted. Cost: a copy and a ring
//! push a datagram, and nothing at all for peers on UDP.

mod outward;

pub use outward::Outward;

use crate::handshake::Datagram;
use crate::queue::{Doorbell, Rx, Tx, link};
use bifrons_core::media::PeerId;
use std::io;
use std::net::SocketAddr;

/// Datagrams that wait between a shard and the carrier, each way.
pub const RING: usize = 2048;

/// A datagram for a peer, or from it, by way of its relay.
#[derive(Debug)]
pub struct Carried {
    /// Which peer; its relay is known to both sides.
    pub peer: PeerId,
    /// The peer's address as the relay sees it.
    pub remote: SocketAddr,
    /// The content, without anything of the relay's.
    pub datagram: Box<Datagram>,
}

/// The carrier's ends of one shard's rings.
#[derive(Debug)]
pub struct CarrierPort {
    /// What the shard sends.
    pub from_shard: Rx<Carried>,
    /// What it is to receive. A full ring means the shard has not kept up: the datagram is lost.
    pub to_shard: Tx<Carried>,
}

/// The shard's ends.
#[derive(Debug)]
pub struct CarrierEnds {
    /// To the carrier.
    pub to_carrier: Tx<Carried>,
    /// From the carrier.
    pub from_carrier: Rx<Carried>,
}

/// What the thread that holds the relays is given. Where there is none nobody reads these rings,
/// and no shard writes to them, since no peer is told of a relay.
#[derive(Debug)]
pub struct Carrier {
    /// By shard.
    pub ports: Vec<CarrierPort>,
    /// Rung by every shard.
    pub bell: Doorbell,
}

impl Carrier {
    /// Rings between a carrier and the shards behind `bells`.
    ///
    /// # Errors
    /// When the bell cannot be made.
    pub fn link(bells: &[Doorbell]) -> io::Result<(Carrier, Vec<CarrierEnds>)> {
        let bell = Doorbell::new()?;
        let (mut ports, mut ends) = (Vec::new(), Vec::new());
        for shard in bells {
            let (to_carrier, from_shard) = link(RING, &bell);
            let (to_shard, from_carrier) = link(RING, shard);
            ports.push(CarrierPort { from_shard, to_shard });
            ends.push(CarrierEnds { to_carrier, from_carrier });
        }
        Ok((Carrier { ports, bell }, ends))
    }
}
