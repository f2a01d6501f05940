//! From candidates to keys: the ICE agent's and the handshake lane's part in a peer's life.

use super::Shard;
use crate::data::{INBOX, Pipe};
use crate::handshake::{Datagram, FromLane, ToLane};
use crate::peer::{Keys, Path, RELAYED};
use bifrons_core::dtls::{KeyingMaterial, Role};
use bifrons_core::ice::{FailureAction, IceEvent, stun};
use bifrons_core::media::{DownReason, Fact, PeerId, ShardEvent};
use std::net::SocketAddr;

/// Messages that may wait for the lane before records are let go.
const LANE_BACKLOG: usize = 1024;
/// Used boxes kept for records.
const SPARE_DATAGRAMS: usize = 64;

impl Shard {
    /// Sends what a peer's agent wants sent, acts on what it says, and arms its next deadline.
    pub(super) fn pump_ice(&mut self, slot: u32) {
        self.transmit_ice(slot);
        while let Some(event) = self.peers.at_mut(slot).and_then(|peer| peer.agent.poll_event()) {
            self.ice_event(slot, event);
        }
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let due = [peer.agent.poll_timeout(), peer.failure.poll_timeout()];
        if let Some(at) = due.into_iter().flatten().min() {
            // Not before the next turn, or an impatient agent would hold the shard in this one.
            self.timers.arm(slot, self.clock.us_of(at).max(self.now.us + 1));
        }
    }

    fn transmit_ice(&mut self, slot: u32) {
        let Some(peer) = self.peers.at_mut(slot) else { return };
        loop {
            let Some(transmit) = peer.agent.poll_transmit(self.outbox.room(stun::MAX_MESSAGE))
            else {
                return;
            };
            let (id, relayed) = (peer.id, peer.relay == Some(transmit.pair.local));
            let remote = transmit.pair.remote;
            let sockets = &self.config.sockets;
            if let Some(socket) = sockets.iter().position(|&local| local == transmit.pair.local) {
                self.outbox.send(socket as u16, remote, transmit.len);
            } else if relayed
                && let Some(bytes) = self.outbox.room(stun::MAX_MESSAGE).get(..transmit.len)
            {
                self.outward.push(id, remote, bytes);
            }
        }
    }

    /// The socket behind an address of ours; [`RELAYED`] for the peer's relay.
    fn socket_of(&self, slot: u32, local: SocketAddr) -> Option<u16> {
        let socket = self.config.sockets.iter().position(|&have| have == local);
        let relay = || (self.peers.at(slot)?.relay == Some(local)).then_some(RELAYED);
        socket.map(|at| at as u16).or_else(relay)
    }

    fn ice_event(&mut self, slot: u32, event: IceEvent) {
        match event {
            IceEvent::ValidatedAddress(pair) => {
                let Some(socket) = self.socket_of(slot, pair.local) else { return };
                // What a relay brings names its peer.
                if socket != RELAYED {
                    self.addresses.insert(socket, pair.remote, slot);
                }
                if let Some(peer) = self.peers.at_mut(slot) {
                    peer.addresses.push((socket, pair.remote));
                }
            }
            IceEvent::RetiredAddress(pair) => {
                let Some(socket) = self.socket_of(slot, pair.local) else { return };
                self.addresses.remove(socket, pair.remote, slot);
                if let Some(peer) = self.peers.at_mut(slot) {
                    peer.addresses.retain(|&have| have != (socket, pair.remote));
                }
            }
            IceEvent::SelectedPair(selected) => {
                let Some(socket) = self.socket_of(slot, selected.pair.local) else { return };
                let Some(peer) = self.peers.at_mut(slot) else { return };
                peer.way.selected = Some(selected);
                let remote = selected.pair.remote;
                peer.path = Some(match socket {
                    RELAYED => Path::Relay { remote },
                    socket => Path::Udp { socket, remote },
                });
                let fact = ShardEvent::Fact { peer: peer.id, fact: Fact::Path(selected) };
                self.tell(fact);
                self.start_handshake(slot);
            }
            IceEvent::Checking => {}
            IceEvent::Connected => {
                let now = self.now.instant;
                if let Some(peer) = self.peers.at_mut(slot) {
                    peer.way.connected.get_or_insert(now);
                    peer.way.failed = None;
                    peer.failure.connected();
                }
            }
            IceEvent::Disconnected | IceEvent::Failed => self.ice_failed(slot),
        }
    }

    fn ice_failed(&mut self, slot: u32) {
        let Some(peer) = self.peers.at_mut(slot) else { return };
        peer.way.failed = Some(self.now.instant);
        let action = peer.failure.failed(self.now.instant);
        self.act_on_failure(slot, action);
    }

    fn act_on_failure(&mut self, slot: u32, action: FailureAction) {
        let Some(peer) = self.peers.at(slot) else { return };
        let id = peer.id;
        if matches!(action, FailureAction::ReportIceFailed | FailureAction::ReportAndHangUp) {
            self.tell(ShardEvent::Fact { peer: id, fact: Fact::IceFailed });
        }
        if matches!(action, FailureAction::HangUp | FailureAction::ReportAndHangUp) {
            self.bring_down(id, DownReason::IceFailed);
        }
    }

    /// Lets time pass for a peer's connectivity.
    pub(super) fn ice_timeout(&mut self, slot: u32) {
        let Some(peer) = self.peers.at_mut(slot) else { return };
        if peer.agent.poll_timeout().is_some_and(|at| at <= self.now.instant) {
            peer.agent.handle_timeout(self.now.instant);
        }
        if peer.failure.poll_timeout().is_some_and(|at| at <= self.now.instant) {
            let action = peer.failure.handle_timeout(self.now.instant, peer.signalling);
            self.act_on_failure(slot, action);
        }
        self.pump_ice(slot);
    }

    /// Starts the handshake once there is a path and a role; the fingerprint may follow.
    pub(super) fn start_handshake(&mut self, slot: u32) {
        if self.config.plain {
            return self.go_up_in_the_clear(slot);
        }
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let (Some(_), Some(role), false) = (peer.path, peer.role, peer.handshake) else { return };
        peer.handshake = true;
        peer.way.handshake_began = Some(self.now.instant);
        let (id, fingerprint) = (peer.id, peer.fingerprint);
        self.to_lane.push_back(ToLane::Start { peer: id, role, fingerprint });
    }

    /// The first path is all there is to wait for where nothing is encrypted.
    fn go_up_in_the_clear(&mut self, slot: u32) {
        let Some(peer) = self.peers.at_mut(slot) else { return };
        if peer.path.is_none() || peer.keys.is_some() || peer.closing || peer.down {
            return;
        }
        let Ok(keys) = Keys::plain() else { return };
        let (id, profile) = (peer.id, keys.profile());
        peer.keys = Some(keys);
        self.tell(ShardEvent::Up { peer: id, profile: Some(profile) });
        self.begin_reports(slot);
        self.begin_bursts(slot);
        self.want_keyframes_for(id);
    }

    pub(super) fn receive_dtls(&mut self, slot: u32, bytes: &[u8]) {
        let Some(peer) = self.peers.at_mut(slot) else { return };
        if !peer.handshake {
            return;
        }
        peer.way.dtls_received.count(bytes.len());
        let id = peer.id;
        let mut datagram = self.datagrams.pop().unwrap_or_else(Datagram::boxed);
        let whole = datagram.fill(bytes);
        let let_go = match peer.data.as_mut().map(|data| &mut data.pipe) {
            Some(Pipe::Here(_)) if whole && self.data.inbox.len() < INBOX => {
                self.data.inbox.push_back((id, datagram));
                return;
            }
            Some(pipe @ Pipe::Moving(_)) if whole => pipe.keep(datagram).err(),
            None | Some(Pipe::Lane) if whole && self.to_lane.len() < LANE_BACKLOG => {
                self.to_lane.push_back(ToLane::Record { peer: id, datagram });
                return;
            }
            _ => Some(datagram),
        };
        if let Some(datagram) = let_go {
            // DTLS and SCTP repeat what was lost.
            self.counters.shed += 1;
            self.reuse(datagram);
        }
    }

    /// Takes an answer of the handshake lane.
    pub fn from_lane(&mut self, message: FromLane) {
        match message {
            FromLane::Record { peer, datagram } => {
                let known = self.peers.get_mut(peer).and_then(|peer| Some((peer.path?, peer)));
                if let Some((path, known)) = known {
                    known.way.dtls_sent.count(datagram.bytes().len());
                    path.push(peer, &mut self.outbox, &mut self.outward, datagram.bytes());
                }
                self.reuse(datagram);
            }
            FromLane::Repeated { peer: id, flights } => {
                let Some(peer) = self.peers.get_mut(id) else { return };
                peer.way.handshake_repeats = flights;
                self.tell(ShardEvent::Fact { peer: id, fact: Fact::HandshakeRepeats(flights) });
            }
            FromLane::Connected { peer, role, connected } => {
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.way.handshake_done = Some(self.now.instant);
                }
                self.handshake_done(peer, connected.srtp, role);
            }
            FromLane::Data { peer, data } => {
                self.data_from_lane(peer, &data);
                self.reuse(data);
            }
            FromLane::Records { peer, layer } => self.take_records(peer, layer),
            FromLane::Down { peer, cause } => self.bring_down(peer, cause.reason()),
            FromLane::Closed { peer } => self.forget(peer),
            FromLane::Restarted { .. } => self.forget_closing(),
        }
    }

    pub(super) fn reuse(&mut self, datagram: Box<Datagram>) {
        if self.datagrams.len() < SPARE_DATAGRAMS {
            self.datagrams.push(datagram);
        }
    }

    /// The lane lost its memory: no `Closed` will come for peers it was asked to close, and no
    /// records for those that wait for them.
    fn forget_closing(&mut self) {
        for id in self.peers.ids() {
            let Some(peer) = self.peers.get(id) else { continue };
            let moving = matches!(peer.data.as_ref().map(|data| &data.pipe), Some(Pipe::Moving(_)));
            if peer.closing {
                self.forget(id);
            } else if moving {
                self.bring_down(id, DownReason::DtlsError);
            }
        }
    }

    /// Opens a peer whose address and keys are known, past ICE and DTLS.
    #[cfg(feature = "bench")]
    pub fn admit(
        &mut self,
        setup: bifrons_core::media::PeerSetup,
        (socket, remote): (u16, SocketAddr),
        material: &KeyingMaterial,
        role: Role,
    ) {
        let (id, kernel) = (setup.peer, self.departure.kernel());
        self.open(setup);
        self.addresses.insert(socket, remote, id.slot);
        if let Some(peer) = self.peers.get_mut(id) {
            peer.addresses.push((socket, remote));
            peer.path = Some(Path::Udp { socket, remote });
            peer.keys = Keys::for_kernel(material, role, kernel).ok();
        }
    }

    fn handshake_done(&mut self, id: PeerId, material: Option<KeyingMaterial>, role: Role) {
        let kernel = self.departure.kernel();
        let Some(peer) = self.peers.get_mut(id).filter(|peer| !peer.closing) else { return };
        peer.secured = true;
        let keys = material.and_then(|material| Keys::for_kernel(&material, role, kernel).ok());
        // Without media there is no need for SRTP (RFC 8831 §6.1).
        let data_alone = peer.data.is_some() && peer.lines.is_empty();
        if keys.is_none() && !data_alone {
            self.bring_down(id, DownReason::DtlsError);
            return;
        }
        let profile = keys.as_ref().map(Keys::profile);
        peer.keys = keys;
        self.tell(ShardEvent::Up { peer: id, profile });
        self.begin_reports(id.slot);
        self.begin_bursts(id.slot);
        self.want_keyframes_for(id);
        self.begin_data(id.slot);
    }

    /// Tells control, once, that a peer has ended; control answers with `Close`.
    pub(super) fn bring_down(&mut self, id: PeerId, reason: DownReason) {
        let Some(peer) = self.peers.get_mut(id).filter(|peer| !peer.closing) else { return };
        if !std::mem::replace(&mut peer.down, true) {
            self.tell(ShardEvent::Down { peer: id, reason });
        }
    }
}
