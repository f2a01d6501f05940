//! The six requests (plugin-videocall §3).

use crate::MAX_NAME;
use crate::api::{self, Body, Code, NAMED, Refusal, Wishes, event};
use crate::call::{Link, Party, Stage, agreed};
use crate::plugin::VideoCall;
use bifrons_core::plugin::{
    HandleKey, Home, Host, HostExt, Jsep, JsepKind, OutgoingJsep, PushError, Request,
};
use bifrons_core::rtp::Extension;
use bifrons_core::sdp::{Line, Sdp};
use serde_json::{Value, json};

/// What the one who asked is told, and with it the handlers of events.
pub(crate) type Answer = Result<Value, Refusal>;

impl VideoCall {
    pub(crate) fn list(&self) -> Answer {
        let names: Vec<_> = self.names.keys().collect();
        Ok(event(json!({ "list": names })))
    }

    pub(crate) fn register(
        &mut self,
        host: &mut dyn Host,
        handle: HandleKey,
        body: &Body<'_>,
    ) -> Answer {
        let Some(party) = self.parties.get_mut(&handle) else { return Err(gone()) };
        if let Some(name) = &party.username {
            let text = format!("Already registered ({name})");
            return Err(Refusal::new(Code::AlreadyRegistered, text));
        }
        body.check(&NAMED)?;
        let name = body.text("username").unwrap_or_default();
        if name.len() > MAX_NAME {
            return Err(Refusal::invalid(format!("Too long (username: {MAX_NAME} bytes)")));
        }
        if self.names.contains_key(name) {
            let text = format!("Username '{name}' already taken");
            return Err(Refusal::new(Code::UsernameTaken, text));
        }
        party.username = Some(name.to_owned());
        self.names.insert(name.to_owned(), handle);
        let told = json!({ "event": "registered", "username": name });
        self.tell_handlers(host, handle, || told.clone());
        Ok(event(told))
    }

    /// Refusals end the PeerConnection that the offer has begun.
    pub(crate) fn call(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
        body: &Body<'_>,
    ) -> Answer {
        let caller = request.handle;
        let other = match self.callee(caller, body) {
            Ok(other) => other,
            Err(refusal) => {
                // That of a call which is under way is not this offer's to lose.
                if refusal.code != Code::AlreadyInCall {
                    host.close_pc(caller);
                }
                return Err(refusal);
            }
        };
        let name = self.name_of(caller);
        if self.parties.get(&other).is_some_and(|party| party.link.is_some()) {
            host.close_pc(caller);
            let reason = "User busy";
            self.tell_handlers(host, caller, || json!({ "event": "hangup", "reason": reason }));
            return Ok(api::hangup(name.as_deref(), reason));
        }
        let offer = description(request.jsep.as_ref(), JsepKind::Offer)?;
        let incoming = event(json!({ "event": "incomingcall", "username": name }));
        let jsep = relayed(offer, offer.sdp.clone());
        // A call's two legs share a shard.
        if let Some(peer) = host.peer(caller) {
            host.place(other, Home::Shard(peer.shard));
        }
        host.push_event(other, None, incoming, Some(jsep)).map_err(not_relayed)?;
        if let Some(party) = self.parties.get_mut(&caller) {
            party.link = Some(Link { other, stage: Stage::Calling });
            party.leg.simulcast = offer.simulcast.first().map(|line| line.mindex);
            party.leg.e2ee = offer.e2ee;
        }
        if let Some(party) = self.parties.get_mut(&other) {
            party.link = Some(Link { other: caller, stage: Stage::Ringing });
        }
        self.offers.insert(caller, offer.sdp.clone());
        self.tell_handlers(host, caller, || json!({ "event": "calling" }));
        Ok(event(json!({ "event": "calling" })))
    }

    /// Whom a `call` is for.
    fn callee(&self, caller: HandleKey, body: &Body<'_>) -> Result<HandleKey, Refusal> {
        let party = self.parties.get(&caller).ok_or_else(gone)?;
        let Some(own) = &party.username else {
            return Err(Refusal::new(Code::RegisterFirst, "Register a username first"));
        };
        if party.link.is_some() {
            return Err(Refusal::new(Code::AlreadyInCall, "Already in a call"));
        }
        body.check(&NAMED)?;
        let name = body.text("username").unwrap_or_default();
        if name == own {
            let text = "You can't call yourself: that is what the EchoTest is for";
            return Err(Refusal::new(Code::UseEchoTest, text));
        }
        let unknown =
            || Refusal::new(Code::NoSuchUsername, format!("Username '{name}' doesn't exist"));
        self.names.get(name).copied().ok_or_else(unknown)
    }

    pub(crate) fn accept(&mut self, host: &mut dyn Host, request: &Request) -> Answer {
        let callee = request.handle;
        let link = self.parties.get(&callee).and_then(|party| party.link);
        let Some(Link { other: caller, stage: Stage::Ringing }) = link else {
            return Err(Refusal::new(Code::NoCall, "No incoming call to accept"));
        };
        let answer = description(request.jsep.as_ref(), JsepKind::Answer)?;
        let accepted = event(json!({ "event": "accepted", "username": self.name_of(callee) }));
        let offer = self.offers.get(&caller);
        let sdp = offer.map_or_else(|| answer.sdp.clone(), |offer| with_rids(answer, offer));
        let jsep = relayed(answer, sdp);
        host.push_event(caller, None, accepted, Some(jsep)).map_err(not_relayed)?;
        self.offers.remove(&caller);
        for (handle, other) in [(callee, caller), (caller, callee)] {
            if let Some(party) = self.parties.get_mut(&handle) {
                party.link = Some(Link { other, stage: Stage::InCall });
                party.leg.lines = agreed(&answer.sdp);
            }
        }
        if let Some(party) = self.parties.get_mut(&callee) {
            party.leg.e2ee = answer.e2ee;
        }
        self.connect(host, callee);
        self.tell_handlers(host, callee, || json!({ "event": "accepted" }));
        Ok(event(json!({ "event": "accepted" })))
    }

    pub(crate) fn set(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
        body: &Body<'_>,
    ) -> Answer {
        let handle = request.handle;
        let wishes = Wishes::read(body)?;
        if let Some(jsep) = request.jsep.as_ref().filter(|jsep| jsep.update) {
            self.renegotiate(host, handle, jsep)?;
        }
        let simulcast = self.other_side(handle).is_some_and(|other| other.leg.simulcast.is_some());
        let Some(party) = self.parties.get_mut(&handle) else { return Err(gone()) };
        let video_was_on = party.leg.video;
        let (flows, wants_keyframe) = party.leg.change(&wishes, simulcast);
        let leg = &party.leg;
        for (kind, layer) in flows {
            host.notify(handle, event(leg.layer_result(kind, layer)));
        }
        if let Some(remb) = leg.remb().filter(|_| wishes.bitrate_bps.is_some()) {
            host.plan(remb);
        }
        if leg.video && !video_was_on {
            leg.keyframes().into_iter().for_each(|plan| host.plan(plan));
        }
        if let Some(other) = self.other_side(handle).filter(|_| wants_keyframe) {
            other.leg.keyframes().into_iter().for_each(|plan| host.plan(plan));
        }
        self.connect(host, handle);
        self.tell_configured(host, handle);
        Ok(event(json!({ "event": "set" })))
    }

    /// Hands an update on: an offer, or the answer to one.
    fn renegotiate(
        &mut self,
        host: &mut dyn Host,
        handle: HandleKey,
        jsep: &Jsep,
    ) -> Result<(), Refusal> {
        let link = self.parties.get(&handle).and_then(|party| party.link);
        let Some(Link { other, stage: Stage::InCall }) = link else { return Ok(()) };
        let sdp = match (jsep.kind, self.offers.get(&other)) {
            (JsepKind::Answer, Some(offer)) => with_rids(jsep, offer),
            _ => jsep.sdp.clone(),
        };
        let update = event(json!({ "event": "update" }));
        host.push_event(other, None, update, Some(relayed(jsep, sdp))).map_err(not_relayed)?;
        if jsep.kind == JsepKind::Offer {
            self.offers.insert(handle, jsep.sdp.clone());
            return Ok(());
        }
        self.offers.remove(&other);
        for handle in [handle, other] {
            if let Some(party) = self.parties.get_mut(&handle) {
                party.leg.lines = agreed(&jsep.sdp);
            }
        }
        Ok(())
    }

    /// Also declines, and takes back. A reason that is no string does not count.
    pub(crate) fn hang_up(
        &mut self,
        host: &mut dyn Host,
        handle: HandleKey,
        body: &Body<'_>,
    ) -> Answer {
        let name = self.name_of(handle);
        if let Some(other) = self.part(handle) {
            let reason = body.text("reason").unwrap_or("We did the hangup");
            host.notify(other, api::hangup(name.as_deref(), reason));
            host.close_pc(handle);
            host.close_pc(other);
            let told = || json!({ "event": "hangup", "reason": "Remote hangup" });
            self.tell_handlers(host, other, told);
        }
        let reason = "Explicit hangup";
        self.tell_handlers(host, handle, || json!({ "event": "hangup", "reason": reason }));
        Ok(api::hangup(name.as_deref(), reason))
    }

    /// Takes both sides of a call apart and sets them back; who the other one was.
    pub(crate) fn part(&mut self, handle: HandleKey) -> Option<HandleKey> {
        let link = self.parties.get(&handle)?.link?;
        for side in [handle, link.other] {
            self.offers.remove(&side);
            if let Some(party) = self.parties.get_mut(&side) {
                let username = party.username.take();
                *party = Party { username, ..Party::default() };
            }
        }
        Some(link.other)
    }

    pub(crate) fn name_of(&self, handle: HandleKey) -> Option<String> {
        self.parties.get(&handle).and_then(|party| party.username.clone())
    }

    /// The other side of a handle's call.
    pub(crate) fn other_side(&self, handle: HandleKey) -> Option<&Party> {
        let link = self.parties.get(&handle)?.link?;
        self.parties.get(&link.other)
    }
}

/// A handle without a party: its own request is its last.
fn gone() -> Refusal {
    Refusal::new(Code::Unknown, "The handle is gone")
}

fn not_relayed(error: PushError) -> Refusal {
    match error {
        PushError::BadSdp => Refusal::new(Code::InvalidSdp, "Error processing SDP"),
        _ => Refusal::new(Code::Unknown, "The other side is gone"),
    }
}

/// The description of a request that needs one of this kind.
fn description(jsep: Option<&Jsep>, kind: JsepKind) -> Result<&Jsep, Refusal> {
    match jsep {
        None => Err(Refusal::new(Code::MissingSdp, "Missing SDP")),
        Some(jsep) if jsep.kind != kind => {
            let text = format!("An {} was expected", kind.name());
            Err(Refusal::new(Code::InvalidSdp, text))
        }
        Some(jsep) => Ok(jsep),
    }
}

fn relayed(jsep: &Jsep, sdp: Sdp) -> OutgoingJsep {
    OutgoingJsep { kind: jsep.kind, sdp, e2ee: jsep.e2ee, restart: false }
}

/// The answer with the header extensions of rids that its offer had on simulcast lines: the core
/// offers them to nobody, so the answerer cannot have taken them, but we do.
fn with_rids(answer: &Jsep, offer: &Sdp) -> Sdp {
    let mut sdp = answer.sdp.clone();
    let uris = [Extension::Rid.uri(), Extension::RepairedRid.uri()];
    for (answered, offered) in sdp.media.iter_mut().zip(&offer.media) {
        if answered.is_disabled() {
            continue;
        }
        for map in offered.extmaps().filter(|map| uris.contains(&map.uri)) {
            let taken = answered.extmaps().any(|known| known.id == map.id || known.uri == map.uri);
            if !taken {
                answered.push(Line::attribute("extmap", &format!("{} {}", map.id, map.uri)));
            }
        }
    }
    sdp
}
