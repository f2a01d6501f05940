//! What plugins send: answers and offers, completed with everything they do not know.

use super::PeerEvent;
use super::connection::{Connection, LocalOffer, OurStreams, RemoteOffer, Round};
use super::engine::Negotiation;
use bifrons_core::config::settings;
use bifrons_core::dtls::Role;
use bifrons_core::ice::Credentials;
use bifrons_core::media::{Line, PeerSetup, PeerUpdate, ShardCommand, Transport};
use bifrons_core::plugin::{HandleKey, JsepKind, OutgoingJsep};
use bifrons_core::rtp::Ssrc;
use bifrons_core::sdp::{
    Completion, LineCompletion, ReadOptions, Sdp, SdpType, Setup, complete, read_remote,
};
use serde_json::{Value, json};
use std::time::Instant;

impl Negotiation {
    /// As [`super::Negotiator::complete_local`].
    pub(super) fn send_local(
        &mut self,
        handle: HandleKey,
        jsep: &OutgoingJsep,
        now: Instant,
    ) -> Result<Value, String> {
        let text = match jsep.kind {
            JsepKind::Answer => self.answer(handle, jsep)?,
            JsepKind::Offer => self.offer(handle, jsep, now)?,
        };
        let mut value = json!({ "type": jsep.kind.name(), "sdp": text });
        if jsep.e2ee {
            value["e2ee"] = json!(true);
        }
        if let Some(connection) = self.connections.get_mut(&handle) {
            connection.local_sdp = Some(text);
            if connection.is_open && connection.opened.is_none() {
                connection.opened = Some(now);
                let peer = connection.peer;
                if let Some(&tap) = self.taps.get(&handle) {
                    self.shards.send(peer.shard, ShardCommand::Tap { peer, tap: Some(tap) });
                }
            }
        }
        Ok(value)
    }

    fn answer(&mut self, handle: HandleKey, jsep: &OutgoingJsep) -> Result<String, String> {
        let known = self.connections.get_mut(&handle).map(|connection| &mut connection.round);
        let round = known.map(|round| std::mem::replace(round, Round::Idle));
        let Some(Round::RemoteOffer(offer)) = round else {
            if let (Some(round), Some(connection)) = (round, self.connections.get_mut(&handle)) {
                connection.round = round;
            }
            return Err("there is no offer to answer".to_owned());
        };
        let answered = self.answer_offer(handle, jsep, &offer);
        if let (Err(_), Some(connection)) = (&answered, self.connections.get_mut(&handle)) {
            connection.round = Round::RemoteOffer(offer);
        }
        answered
    }

    fn answer_offer(
        &mut self,
        handle: HandleKey,
        jsep: &OutgoingJsep,
        offer: &RemoteOffer,
    ) -> Result<String, String> {
        self.allot_streams(handle, offer.sdp.media.len());
        self.plan_relay(handle);
        let preference = self.settings.setup;
        let connection = self.connections.get(&handle).ok_or("no PeerConnection")?;
        let role = connection.role.unwrap_or_else(|| our_role(offer.transport.setup, preference));
        let pairs = offer.sdp.media.iter().zip(&jsep.sdp.media).zip(&connection.streams);
        let lines: Vec<_> = pairs
            .map(|((offered, answered), ours)| {
                LineCompletion::answering(offered, answered, ours.ssrc, ours.rtx)
            })
            .collect();
        let local = offer.restart.as_ref().unwrap_or(&connection.local);
        let setup = match role {
            Role::Client => Setup::Active,
            Role::Server => Setup::Passive,
        };
        let text = self.complete(connection, jsep, Some(&offer.sdp), local, setup, &lines);
        let ours = Sdp::parse(&text).map_err(|error| error.to_string())?;
        let options = ReadOptions {
            remote_is: SdpType::Offer,
            renegotiation: connection.is_established(),
            rid_order: connection.rid_order,
            encrypted: self.settings.encrypted,
        };
        let agreed = read_remote(&offer.sdp, &ours, &options).map_err(|error| error.to_string())?;
        let Some(connection) = self.connections.get_mut(&handle) else {
            return Err("no PeerConnection".to_owned());
        };
        connection.version += 1;
        connection.role = Some(role);
        let lines = connection.agree(agreed);
        self.bring_to_shard(handle, offer, lines);
        Ok(text)
    }

    /// Opens the peer on its shard with what was agreed, or updates it.
    fn bring_to_shard(&mut self, handle: HandleKey, offer: &RemoteOffer, lines: Vec<Line>) {
        let Some(connection) = self.connections.get_mut(&handle) else { return };
        let peer = connection.peer;
        if let Some(ours) = &offer.restart {
            connection.local = ours.clone();
            connection.all_candidates = false;
        }
        connection.all_candidates |= offer.all_candidates;
        let candidates = self.passed_over.sift(handle, &offer.transport.candidates);
        let permitted = candidates.clone();
        let is_new = !connection.is_open;
        let command = if is_new {
            connection.is_open = true;
            let transport = Transport {
                local: connection.local.clone(),
                remote: connection.remote.clone(),
                controlling: false,
                candidates,
                end_of_candidates: connection.all_candidates,
                dtls_role: connection.role,
                fingerprint: connection.fingerprint,
                relay_only: connection.relay_only,
            };
            ShardCommand::Open(Box::new(PeerSetup { peer, transport, lines }))
        } else {
            let update = PeerUpdate {
                local: offer.restart.clone(),
                // A first offer of the client may follow one of ours that it never answered.
                remote: (offer.restart.is_some() || connection.rounds == 1)
                    .then(|| offer.transport.credentials.clone()),
                candidates,
                end_of_candidates: connection.all_candidates,
                dtls_role: connection.role,
                fingerprint: connection.fingerprint,
                lines: Some(lines),
            };
            ShardCommand::Update { peer, update: Box::new(update) }
        };
        self.shards.send(peer.shard, command);
        if is_new {
            self.want_relay(handle);
        }
        self.permit(peer, &permitted);
        if is_new || offer.restart.is_some() {
            self.trickle_ours(handle);
        }
    }

    fn offer(
        &mut self,
        handle: HandleKey,
        jsep: &OutgoingJsep,
        now: Instant,
    ) -> Result<String, String> {
        self.connection(handle, now).map_err(|error| error.to_string())?;
        self.allot_streams(handle, jsep.sdp.media.len());
        self.plan_relay(handle);
        let known = self.connections.get(&handle);
        let restart = known.filter(|known| jsep.restart && known.is_open).map(|known| known.peer);
        let restart = restart.map(|peer| self.credentials(peer));
        let connection = self.connections.get_mut(&handle).ok_or("no PeerConnection")?;
        let rtx = connection.rtx.for_offer(&jsep.sdp);
        let streams = connection.streams.iter().zip(rtx);
        let lines: Vec<_> =
            streams.map(|(ours, rtx)| LineCompletion::offering(ours.ssrc, ours.rtx, rtx)).collect();
        connection.version += 1;
        let connection = self.connections.get(&handle).ok_or("no PeerConnection")?;
        let local = restart.as_ref().unwrap_or(&connection.local);
        let text = self.complete(connection, jsep, None, local, Setup::Actpass, &lines);
        let sdp = Sdp::parse(&text).map_err(|error| error.to_string())?;
        self.open_for_offer(handle, LocalOffer { sdp, restart });
        Ok(text)
    }

    /// Remembers the offer; a first one opens the peer, so that the client's checks are answered
    /// from the moment it has our credentials.
    fn open_for_offer(&mut self, handle: HandleKey, offer: LocalOffer) {
        let restarts = offer.restart.is_some();
        let ice_lite = self.settings.ice_lite;
        let Some(connection) = self.connections.get_mut(&handle) else { return };
        connection.round = Round::LocalOffer(Box::new(offer));
        let is_new = !connection.is_open;
        if is_new {
            connection.is_open = true;
            connection.controlling = !ice_lite;
            let transport = Transport {
                local: connection.local.clone(),
                remote: None,
                controlling: !ice_lite,
                candidates: Vec::new(),
                end_of_candidates: false,
                dtls_role: None,
                fingerprint: None,
                relay_only: connection.relay_only,
            };
            let peer = connection.peer;
            let setup = PeerSetup { peer, transport, lines: Vec::new() };
            self.shards.send(peer.shard, ShardCommand::Open(Box::new(setup)));
            self.want_relay(handle);
        }
        if is_new || restarts {
            self.trickle_ours(handle);
        }
    }

    /// Under full trickle, our candidates as events, then their end.
    fn trickle_ours(&mut self, handle: HandleKey) {
        if !self.settings.full_trickle {
            return;
        }
        let Some(connection) = self.connections.get(&handle) else { return };
        let (mid, awaits_relay) = (connection.trickle_mid(), connection.awaits_relay());
        for line in self.offered_candidates(connection) {
            self.events.push_back((handle, PeerEvent::Candidate(Some((mid.clone(), line)))));
        }
        if !awaits_relay {
            self.events.push_back((handle, PeerEvent::Candidate(None)));
        }
    }

    fn complete(
        &self,
        connection: &Connection,
        jsep: &OutgoingJsep,
        offer: Option<&Sdp>,
        local: &Credentials,
        setup: Setup,
        lines: &[LineCompletion],
    ) -> String {
        let full_trickle = self.settings.full_trickle;
        let candidates =
            if full_trickle { Vec::new() } else { self.offered_candidates(connection) };
        let completion = Completion {
            offer,
            ice_ufrag: &local.ufrag,
            ice_pwd: &local.pwd,
            ice_lite: self.settings.ice_lite,
            fingerprint: self.settings.encrypted.then_some(self.settings.fingerprint.as_str()),
            setup,
            address: self.settings.session_address,
            candidates: &candidates,
            end_of_candidates: !full_trickle && !connection.awaits_relay(),
            session_id: connection.session_id,
            version: connection.version,
            lines,
        };
        complete(&jsep.sdp, &completion)
    }

    /// Gives every line up to `count` SSRCs of its own.
    fn allot_streams(&mut self, handle: HandleKey, count: usize) {
        let Negotiation { connections, random, .. } = self;
        let Some(connection) = connections.get_mut(&handle) else { return };
        while connection.streams.len() < count {
            let mut fresh = || loop {
                let mut bytes = [0; 4];
                random(&mut bytes);
                let ssrc = Ssrc(u32::from_be_bytes(bytes));
                let used = connection.streams.iter().any(|s| s.ssrc == ssrc || s.rtx == ssrc);
                if ssrc.0 != 0 && !used {
                    return ssrc;
                }
            };
            let ssrc = fresh();
            let rtx = std::iter::repeat_with(fresh).find(|rtx| *rtx != ssrc).unwrap_or(ssrc);
            connection.streams.push(OurStreams { ssrc, rtx });
        }
    }
}

/// Our DTLS role towards an offer (RFC 8842 §5.3): what it leaves open, the settings decide.
fn our_role(theirs: Setup, preference: settings::Setup) -> Role {
    match (theirs, preference) {
        (Setup::Active, _) => Role::Server,
        (Setup::Passive, _) | (Setup::Actpass, settings::Setup::Active) => Role::Client,
        (Setup::Actpass, settings::Setup::Passive) => Role::Server,
    }
}
