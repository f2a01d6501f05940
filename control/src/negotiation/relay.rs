//! Relays of our own, as far as a PeerConnection is concerned: asked for when it opens, offered by
//! trickle when they are there (design: an answer never waits for a server elsewhere).

use super::PeerEvent;
use super::connection::{Connection, RelayState};
use super::engine::Negotiation;
use crate::service::relay::{RelayCommand, RelayEvent};
use bifrons_core::ice::Candidate;
use bifrons_core::media::{PeerId, ShardCommand};
use bifrons_core::plugin::HandleKey;

impl Negotiation {
    /// Before the description that opens a PeerConnection is written: notes that a relay will be
    /// asked for, so that candidates of ours do not end there.
    pub(super) fn plan_relay(&mut self, handle: HandleKey) {
        let has_relays = self.relays.is_some();
        if let Some(connection) = self.connections.get_mut(&handle)
            && !connection.is_open
            && has_relays
        {
            connection.relay = RelayState::Wanted;
        }
    }

    /// Whether a client may have it that nothing but a relay is used.
    pub(super) fn may_force_relay(&self) -> bool {
        let may = self.settings.allow_force_relay && self.relays.is_some();
        if !may {
            tracing::warn!("force_relay is ignored: it is not allowed, or there is no relay");
        }
        may
    }

    /// Asks for the handle's relay, once its PeerConnection is open.
    pub(super) fn want_relay(&mut self, handle: HandleKey) {
        let username = self.user_of(handle);
        let Some(connection) = self.connections.get_mut(&handle) else { return };
        let Some(relays) = self.relays.as_mut() else { return };
        let peer = connection.peer;
        if !relays.ask(RelayCommand::Open { peer, username }) {
            connection.relay = RelayState::None;
            self.tell_end(handle);
        }
    }

    pub(super) fn give_relay_back(&mut self, peer: PeerId, relay: &RelayState) {
        if let (Some(relays), true) = (self.relays.as_mut(), *relay != RelayState::None) {
            relays.ask(RelayCommand::Close { peer });
        }
    }

    /// Lets the client's addresses in at its relay.
    pub(super) fn permit(&mut self, peer: PeerId, candidates: &[Candidate]) {
        let Some(relays) = self.relays.as_mut() else { return };
        for address in candidates.iter().filter_map(Candidate::socket_addr) {
            relays.ask(RelayCommand::Permit { peer, remote: address.ip() });
        }
    }

    pub(super) fn take_relay(&mut self, event: RelayEvent) {
        let (RelayEvent::Ready { peer, .. }
        | RelayEvent::Failed { peer }
        | RelayEvent::Lost { peer }) = event;
        let Some(handle) = self.slots.handle(peer) else { return };
        let Some(connection) = self.connections.get_mut(&handle) else { return };
        match event {
            RelayEvent::Ready { relayed, .. } => {
                let line = Candidate::relayed(relayed, None).to_string();
                connection.relay = RelayState::Ready(line.clone());
                let mid = connection.trickle_mid();
                self.shards.send(peer.shard, ShardCommand::Relay { peer, relayed });
                self.events.push_back((handle, PeerEvent::Candidate(Some((mid, line)))));
                self.tell_end(handle);
            }
            RelayEvent::Failed { .. } => {
                connection.relay = RelayState::None;
                self.tell_end(handle);
            }
            RelayEvent::Lost { .. } => connection.relay = RelayState::None,
        }
    }

    /// Tells the client that no candidate of ours follows.
    fn tell_end(&mut self, handle: HandleKey) {
        self.events.push_back((handle, PeerEvent::Candidate(None)));
    }

    /// Our candidates as far as they are known.
    pub(super) fn offered_candidates(&self, connection: &Connection) -> Vec<String> {
        let sockets = match connection.relay_only {
            true => &[],
            false => self.candidates_of(connection.peer.shard),
        };
        let relay = match &connection.relay {
            RelayState::Ready(line) => Some(line),
            RelayState::None | RelayState::Wanted => None,
        };
        sockets.iter().chain(relay).cloned().collect()
    }
}
