//! Peers behind a relay: what comes from the carrier, and what goes to it.

use super::{Outbox, Shard};
use crate::carry::{Carried, Outward};
use crate::peer::{Path, RELAYED};
use bifrons_core::media::PeerId;
use bifrons_core::rtp::is_rtcp;
use std::net::SocketAddr;

impl Shard {
    /// A relay was allocated for a peer: its agent may use it from now on.
    pub(super) fn add_relay(&mut self, id: PeerId, relayed: SocketAddr) {
        let Some(peer) = self.peers.get_mut(id).filter(|peer| peer.relay.is_none()) else { return };
        peer.relay = Some(relayed);
        peer.agent.add_relayed(self.now.instant, relayed);
        self.pump_ice(id.slot);
    }

    /// Takes a datagram that came over a peer's relay. As with sockets, only addresses that passed
    /// an integrity check are listened to beyond STUN.
    pub fn from_carrier(&mut self, mut carried: Carried) {
        self.counters.received += 1;
        let Carried { peer: id, remote, datagram } = &mut carried;
        self.receive_carried(*id, *remote, datagram.bytes_mut());
        self.outward.reuse(carried.datagram);
    }

    fn receive_carried(&mut self, id: PeerId, remote: SocketAddr, bytes: &mut [u8]) {
        let Some(peer) = self.peers.get_mut(id) else { return self.counters.stray += 1 };
        let Some(relayed) = peer.relay else { return self.counters.stray += 1 };
        let known = peer.addresses.contains(&(RELAYED, remote));
        match *bytes {
            [0..=3, ..] => {
                peer.agent.handle_packet(self.now.instant, relayed, remote, bytes);
                self.pump_ice(id.slot);
            }
            [128..=191, second, ..] if known && is_rtcp(second) => {
                self.receive_rtcp(id.slot, bytes);
            }
            [128..=191, ..] if known => self.receive_rtp(id.slot, bytes),
            [20..=63, ..] if known => self.receive_dtls(id.slot, bytes),
            _ => self.counters.stray += 1,
        }
    }
}

impl Path {
    /// Sends the first `len` bytes of the outbox's last room to peer `id` this way.
    pub(super) fn send(self, id: PeerId, outbox: &mut Outbox, outward: &mut Outward, len: usize) {
        match self {
            Path::Udp { socket, remote } => outbox.send(socket, remote, len),
            Path::Relay { remote } => {
                if let Some(bytes) = outbox.room(len).get(..len).filter(|_| len > 0) {
                    outward.push(id, remote, bytes);
                }
            }
        }
    }

    /// Sends a copy of a datagram to peer `id` this way.
    pub(super) fn push(
        self,
        id: PeerId,
        outbox: &mut Outbox,
        outward: &mut Outward,
        datagram: &[u8],
    ) {
        match self {
            Path::Udp { socket, remote } => outbox.push(socket, remote, datagram),
            Path::Relay { remote } => {
                outward.push(id, remote, datagram);
            }
        }
    }
}
