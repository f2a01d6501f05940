//! What a datagram is, and whose (RFC 7983; design §3.2).

use super::Shard;
use crate::engine::Received;
use bifrons_core::ice::stun;
use bifrons_core::media::PeerId;
use bifrons_core::rtp::is_rtcp;

impl Shard {
    /// Takes one datagram. Whatever its bytes are, at most the peer it belongs to is affected.
    #[inline]
    pub fn receive(&mut self, datagram: Received<'_>) {
        self.counters.received += 1;
        let Received { socket, from, bytes } = datagram;
        if usize::from(socket) >= self.config.sockets.len() {
            self.receive_at_port(socket, from, bytes);
            return;
        }
        match *bytes {
            [128..=191, second, ..] => match self.addresses.get(socket, from) {
                Some(slot) if is_rtcp(second) => self.receive_rtcp(slot, bytes),
                Some(slot) => self.receive_rtp(slot, bytes),
                None => self.counters.stray += 1,
            },
            [0..=3, ..] => self.receive_stun(socket, from, bytes),
            [20..=63, ..] => match self.addresses.get(socket, from) {
                Some(slot) => self.receive_dtls(slot, bytes),
                None => self.counters.stray += 1,
            },
            _ => self.counters.stray += 1,
        }
    }

    fn receive_stun(&mut self, socket: u16, from: std::net::SocketAddr, bytes: &[u8]) {
        let owner = stun::owner(bytes).filter(|tag| tag.shard == self.config.id);
        let peer = owner.and_then(|tag| {
            let id = PeerId { shard: tag.shard, slot: tag.slot, generation: tag.generation };
            self.peers.get_mut(id)
        });
        let Some(&local) = self.config.sockets.get(usize::from(socket)) else { return };
        let Some(peer) = peer else {
            self.counters.stray += 1;
            return;
        };
        peer.agent.handle_packet(self.now.instant, local, from, bytes);
        let slot = peer.id.slot;
        self.pump_ice(slot);
    }
}
