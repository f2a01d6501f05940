//! What clients send: offers and answers, checked before anything changes.

use super::connection::{Connection, RemoteOffer, Round};
use super::engine::Negotiation;
use bifrons_core::api::{ApiError, ErrorCode, JsepRequest};
use bifrons_core::dtls::Role;
use bifrons_core::media::{PeerUpdate, ShardCommand};
use bifrons_core::plugin::{HandleKey, Jsep, JsepKind, SimulcastLine, SvcLine};
use bifrons_core::sdp::{
    ReadOptions, Remote, Sdp, SdpError, SdpType, Setup, anonymise, read_remote, simulcast_offers,
};
use std::time::Instant;

impl Negotiation {
    /// As [`super::Negotiator::apply_remote`].
    pub(super) fn take_remote(
        &mut self,
        handle: HandleKey,
        jsep: &JsepRequest,
        now: Instant,
    ) -> Result<Jsep, ApiError> {
        let update = self.connections.get(&handle).is_some_and(Connection::is_established);
        let sdp = Sdp::parse(&jsep.sdp).map_err(|error| refusal(&error, update))?;
        let plain = match jsep.kind {
            JsepKind::Offer => self.take_offer(handle, &sdp, jsep, now)?,
            JsepKind::Answer => self.take_answer(handle, &sdp, jsep)?,
        };
        let e2ee = self.connections.get(&handle).is_some_and(|connection| connection.e2ee);
        let simulcast = simulcast_offers(&sdp, jsep.rid_order);
        let simulcast = simulcast.into_iter().map(|line| SimulcastLine {
            layers: u8::try_from(line.layers()).unwrap_or(3),
            mindex: line.mindex,
            mid: line.mid,
        });
        Ok(Jsep {
            kind: jsep.kind,
            svc: svc_lines(&sdp, jsep),
            sdp: plain,
            update,
            e2ee,
            simulcast: simulcast.collect(),
        })
    }

    fn take_offer(
        &mut self,
        handle: HandleKey,
        sdp: &Sdp,
        jsep: &JsepRequest,
        now: Instant,
    ) -> Result<Sdp, ApiError> {
        let known = self.connections.get(&handle);
        let update = known.is_some_and(Connection::is_established);
        let encrypted = self.settings.encrypted;
        let transport =
            Remote::read(sdp, update, encrypted).map_err(|error| refusal(&error, update))?;
        let relay_only = jsep.force_relay && known.is_none_or(|known| !known.is_open);
        let relay_only = relay_only && self.may_force_relay();
        let restart = known
            .and_then(|connection| Some((connection.peer, connection.remote.as_ref()?)))
            .filter(|(_, former)| **former != transport.credentials)
            .map(|(peer, _)| peer);
        let restart = restart.map(|peer| self.credentials(peer));
        let connection = self.connection(handle, now)?;
        connection.relay_only |= relay_only;
        let all_candidates = !jsep.trickle || transport.end_of_candidates;
        connection.note(sdp, jsep);
        transport.candidates.iter().for_each(|candidate| connection.show(candidate));
        let offer = RemoteOffer { sdp: sdp.clone(), transport, all_candidates, restart };
        connection.round = Round::RemoteOffer(Box::new(offer));
        Ok(anonymise(sdp))
    }

    fn take_answer(
        &mut self,
        handle: HandleKey,
        sdp: &Sdp,
        jsep: &JsepRequest,
    ) -> Result<Sdp, ApiError> {
        let unexpected =
            || ApiError::new(ErrorCode::UnexpectedAnswer, "Unexpected ANSWER (did we offer?)");
        let connection = self.connections.get_mut(&handle).ok_or_else(unexpected)?;
        let Round::LocalOffer(offer) = &connection.round else { return Err(unexpected()) };
        let update = connection.is_established();
        let options = ReadOptions {
            remote_is: SdpType::Answer,
            renegotiation: update,
            rid_order: jsep.rid_order,
            encrypted: self.settings.encrypted,
        };
        let agreed = read_remote(sdp, &offer.sdp, &options);
        let agreed = agreed.map_err(|error| refusal(&error, update))?;
        let restart = offer.restart.clone();
        let former = connection.remote.clone();
        let transport = agreed.remote.clone();
        connection.note(sdp, jsep);
        transport.candidates.iter().for_each(|candidate| connection.show(candidate));
        let new_remote = former.as_ref() != Some(&transport.credentials);
        if let Some(ours) = &restart {
            connection.local = ours.clone();
        }
        if new_remote {
            connection.all_candidates = false;
        }
        connection.all_candidates |= !jsep.trickle || transport.end_of_candidates;
        // Ours was `actpass`: whoever is not told to begin waits for the one who is.
        connection.role.get_or_insert(match transport.setup {
            Setup::Active => Role::Server,
            Setup::Passive | Setup::Actpass => Role::Client,
        });
        let lines = connection.agree(agreed);
        let candidates = self.passed_over.sift(handle, &transport.candidates);
        let permitted = candidates.clone();
        let update = PeerUpdate {
            local: restart,
            remote: new_remote.then(|| transport.credentials.clone()),
            candidates,
            end_of_candidates: connection.all_candidates,
            dtls_role: connection.role,
            fingerprint: connection.fingerprint,
            lines: Some(lines),
        };
        let peer = connection.peer;
        let update = ShardCommand::Update { peer, update: Box::new(update) };
        self.shards.send(peer.shard, update);
        self.permit(peer, &permitted);
        Ok(anonymise(sdp))
    }
}

impl Connection {
    /// What a description says apart from media and transport.
    fn note(&mut self, sdp: &Sdp, jsep: &JsepRequest) {
        self.e2ee |= jsep.e2ee == Some(true);
        self.rid_order = jsep.rid_order;
        self.trickles = jsep.trickle;
        self.remote_sdp = Some(sdp.to_string());
    }
}

/// The entries of `svc` that name a line of the description.
fn svc_lines(sdp: &Sdp, jsep: &JsepRequest) -> Vec<SvcLine> {
    let by_mid = |mid: &str| {
        let mut all = sdp.media.iter().enumerate();
        all.find(|(mindex, media)| media.mid_or_index(*mindex) == mid).map(|(mindex, _)| mindex)
    };
    let line = |entry: &bifrons_core::api::SvcEntry| {
        let mindex = match (&entry.mid, entry.mindex) {
            (Some(mid), _) => by_mid(mid)?,
            (None, mindex) => usize::try_from(mindex?).ok()?,
        };
        let mindex = u16::try_from(mindex).ok().filter(|_| mindex < sdp.media.len())?;
        Some(SvcLine { mindex, mode: entry.mode.clone() })
    };
    jsep.svc.iter().filter_map(line).collect()
}

/// The refusal of a description in the API's words (core-api §4.1).
fn refusal(error: &SdpError, update: bool) -> ApiError {
    if let SdpError::Processing(why) = error {
        tracing::info!(why, "description refused");
    }
    let code = match error.code(update) {
        469 => ErrorCode::UnexpectedAnswer,
        _ => ErrorCode::JsepInvalidSdp,
    };
    ApiError::new(code, error.to_string())
}
