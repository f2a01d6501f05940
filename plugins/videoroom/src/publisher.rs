//! Requests of a participant: publish, configure, unpublish (plugin-videoroom §5), and what
//! shards say of its media.

use crate::api::Body;
use crate::error::{Code, Refusal};
use crate::negotiation::{self, Choice};
use crate::notice;
use crate::participant::{For, Participant, Stream};
use crate::plugin::VideoRoom;
use crate::relay;
use crate::room::Room;
use crate::settings::Settings;
use crate::wishes::{
    PUBLISH, apply_items, apply_settings, describe_streams, descriptions, stream_wishes,
};
use bifrons_core::codec::Codec;
use bifrons_core::media::{Fact, Mindex};
use bifrons_core::plugin::Id;
use bifrons_core::plugin::{
    HandleKey, Host, HostExt, Jsep, JsepKind, OutgoingJsep, PushError, Request,
};
use serde_json::{Map, Value, json};

impl VideoRoom {
    /// Serves an asynchronous request of a participant.
    pub(crate) fn serve_publisher(
        &mut self,
        host: &mut dyn Host,
        name: &str,
        request: &Request,
        room: &Id,
        user: &Id,
    ) -> Result<(), Refusal> {
        match name {
            "publish" | "configure" => {
                let up = self.participant(room, user).is_some_and(|who| who.peer.is_some());
                if name == "publish" && up {
                    let text = "Can't publish, already published";
                    return Err(Refusal::new(Code::AlreadyPublished, text));
                }
                self.publish(host, request, &request.body, room, user, None)
            }
            "unpublish" => self.unpublish(host, request, room, user),
            "leave" => self.leave_publisher(host, request, room, user),
            _ => Err(Refusal::unknown_request(name)),
        }
    }

    /// Somebody in a room.
    pub(crate) fn participant(&self, room: &Id, user: &Id) -> Option<&Participant> {
        self.rooms.get(room)?.participants.get(user)
    }

    /// Checks all, then applies settings and offer, then answers: with `joined`, when that is
    /// still owed, or with `configured`.
    pub(crate) fn publish(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
        wishes: &Map<String, Value>,
        room_id: &Id,
        user: &Id,
        joined: Option<Map<String, Value>>,
    ) -> Result<(), Refusal> {
        let body = Body::checked(wishes, self.general.string_ids, &PUBLISH)?;
        let descriptions = descriptions(&body)?;
        let room =
            self.rooms.get_mut(room_id).ok_or_else(|| crate::plugin::no_such_room(room_id))?;
        let items = stream_wishes(room, user, &body)?;
        check_recording(&room.settings, &body)?;
        let offer = request.jsep.as_ref();
        let choice = match offer {
            Some(jsep) => check_offer(room, user, jsep, &body)?,
            None => Choice::default(),
        };
        apply_settings(host, room, user, &body);
        apply_items(host, room, user, &items, &body);
        let was_up = room.participants.get(user).is_some_and(|who| who.peer.is_some());
        let jsep = offer.map(|jsep| negotiate(room, user, jsep, choice));
        describe_streams(room, user, &descriptions);
        let negotiated = jsep.is_some();
        let done = self.push_published(host, request, room_id, user, joined, jsep);
        if let Err(PushError::BadSdp) = done {
            if let Some(who) =
                self.rooms.get_mut(room_id).and_then(|r| r.participants.get_mut(user))
                && who.peer.is_none()
            {
                who.streams.clear();
            }
            return Err(Refusal::new(Code::InvalidSdp, "The answer could not be made"));
        }
        self.after_publishing(host, room_id, user, was_up && negotiated, !descriptions.is_empty());
        self.tell_handlers(host, Some(request.handle), || {
            let mut body = notice::handlers("configured", room_id);
            body.insert("id".to_owned(), json!(user));
            let bitrate = self.participant(room_id, user).map_or(0, |who| who.bitrate_bps);
            body.insert("bitrate".to_owned(), json!(bitrate));
            body
        });
        Ok(())
    }

    fn push_published(
        &self,
        host: &mut dyn Host,
        request: &Request,
        room: &Id,
        user: &Id,
        joined: Option<Map<String, Value>>,
        jsep: Option<OutgoingJsep>,
    ) -> Result<(), PushError> {
        let mut data = joined.unwrap_or_else(|| notice::done(room, "configured"));
        if let Some(who) = self.participant(room, user).filter(|_| jsep.is_some()) {
            who.put_codecs(&mut data);
            data.insert("streams".to_owned(), who.describe_streams(For::Itself));
        }
        host.push_event(request.handle, Some(&request.transaction), Value::Object(data), jsep)
    }

    /// Policies and routes follow; a renegotiation while up, or new descriptions, are told.
    fn after_publishing(
        &mut self,
        host: &mut dyn Host,
        room_id: &Id,
        user: &Id,
        renegotiated: bool,
        described: bool,
    ) {
        let Some(room) = self.rooms.get_mut(room_id) else { return };
        let Room { participants, settings, .. } = room;
        let Some(who) = participants.get_mut(user) else { return };
        relay::sync_policies(host, settings, who);
        crate::forwarders::sync_remotizations(host, who);
        let up = who.peer.is_some();
        let Some(room) = self.rooms.get(room_id) else { return };
        if renegotiated {
            for handle in &room.subscribers {
                if let Some(sub) = self.subscriptions.get_mut(handle)
                    && sub.lines.iter().any(|line| line.is_of(user))
                {
                    relay::sync_routes(host, Some(room), sub);
                }
            }
        }
        if up
            && (renegotiated || described)
            && let Some(who) = room.participants.get(user)
        {
            room.tell(host, Some(user), &notice::published(room_id, who));
            self.tell_handlers(host, who.handle(), || {
                let mut body = notice::handlers_about("updated", room_id, who);
                body.insert("streams".to_owned(), who.describe_streams(For::Others));
                body
            });
        }
    }

    fn unpublish(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
        room: &Id,
        user: &Id,
    ) -> Result<(), Refusal> {
        if self.participant(room, user).is_none_or(|who| who.peer.is_none()) {
            return Err(Refusal::new(Code::NotPublished, "Can't unpublish, not published"));
        }
        let done = Value::Object(notice::done(room, "unpublished"));
        let _ = host.push_event(request.handle, Some(&request.transaction), done, None);
        self.end_publishing(host, room, user, false);
        host.close_pc(request.handle);
        Ok(())
    }

    /// What shards say of a participant's media.
    pub(crate) fn publisher_fact(
        &mut self,
        host: &mut dyn Host,
        handle: HandleKey,
        fact: &Fact,
        room_id: &Id,
        user: &Id,
    ) {
        match *fact {
            Fact::Talking { mindex, talking, average_dbov } => {
                self.talking(host, room_id, user, mindex, talking, average_dbov);
            }
            Fact::SlowLink { uplink: false, .. } => {
                let Some(who) = self.participant(room_id, user) else { return };
                let bitrate = who.bitrate_bps;
                host.notify(
                    handle,
                    json!({ "videoroom": "slow_link", "current-bitrate": bitrate }),
                );
            }
            _ => {}
        }
    }

    /// Somebody began or ceased to talk: everybody is told, the speaker too (§8.6).
    pub(crate) fn talking(
        &mut self,
        host: &mut dyn Host,
        room_id: &Id,
        user: &Id,
        mindex: Mindex,
        talking: bool,
        average_dbov: f32,
    ) {
        let Some(room) = self.rooms.get_mut(room_id) else { return };
        let Some(who) = room.participants.get_mut(user) else { return };
        let Some(stream) = who.streams.iter_mut().find(|s| s.mindex == mindex) else { return };
        stream.level_dbov = Some(average_dbov);
        // A muted stream does not begin to talk; one that is muted while it talks ends all the same.
        if stream.talking == talking || (talking && stream.is_muted()) {
            return;
        }
        stream.talking = talking;
        let mut told = Map::new();
        let kind = if talking { "talking" } else { "stopped-talking" };
        told.insert("videoroom".to_owned(), json!(kind));
        told.insert("room".to_owned(), json!(room_id));
        told.insert("id".to_owned(), json!(user));
        told.insert("mindex".to_owned(), json!(mindex));
        told.insert("mid".to_owned(), json!(stream.mid));
        told.insert("audio-level-dBov-avg".to_owned(), json!(f64::from(average_dbov)));
        let handle = who.handle();
        room.tell(host, None, &Value::Object(told.clone()));
        self.tell_handlers(host, handle, || told);
    }
}

/// `record` and `filename` do nothing for those who may not record; for others, starting one is
/// not built yet.
fn check_recording(settings: &Settings, body: &Body<'_>) -> Result<(), Refusal> {
    let proved = match settings.secret.as_deref().filter(|_| settings.lock_record) {
        Some(secret) => body.text("secret").is_some_and(|given| crate::api::is_same(given, secret)),
        None => true,
    };
    if proved && body.flag("record") == Some(true) {
        return Err(Refusal::new(Code::Unknown, "Recording is not built yet (record)"));
    }
    Ok(())
}

/// §5 "With a jsep offer", steps 1 to 3.
fn check_offer(room: &Room, user: &Id, jsep: &Jsep, body: &Body<'_>) -> Result<Choice, Refusal> {
    if jsep.kind != JsepKind::Offer {
        return Err(Refusal::new(Code::InvalidSdpType, "An offer was expected, not an answer"));
    }
    let who = room.participants.get(user);
    let up = who.is_some_and(|who| who.peer.is_some());
    if !up && room.other_publishers(user) >= room.settings.publishers as usize {
        return Err(Refusal::new(Code::PublishersFull, "Maximum number of publishers reached"));
    }
    if room.settings.require_e2ee && !jsep.e2ee && !who.is_some_and(|who| who.e2ee) {
        let text = "Room requires end-to-end encrypted media";
        return Err(Refusal::new(Code::Unauthorized, text));
    }
    let codec = |name: &str, list: &[Codec]| {
        let Some(word) = body.text(name) else { return Ok(None) };
        let codec = Codec::from_janus_name(word).filter(|codec| list.contains(codec));
        let text = format!("Invalid element ({name} is not one of the room's)");
        codec.map(Some).ok_or_else(|| Refusal::invalid(text))
    };
    Ok(Choice {
        audio: codec("audiocodec", &room.settings.audio_codecs)?,
        video: codec("videocodec", &room.settings.video_codecs)?,
    })
}

/// Answers the offer and keeps what was agreed. What was set for a stream before stays.
fn negotiate(room: &mut Room, user: &Id, jsep: &Jsep, choice: Choice) -> OutgoingJsep {
    let mut e2ee = jsep.e2ee;
    let bitrate = room.settings.bitrate_bps;
    let (sdp, mut streams) = negotiation::answer(jsep, &room.id, &room.settings, choice, bitrate);
    if let Some(who) = room.participants.get_mut(user) {
        for stream in &mut streams {
            let had = who.streams.iter().find(|had| had.mindex == stream.mindex);
            if let Some(had) = had {
                keep(stream, had);
            }
        }
        who.streams = streams;
        who.e2ee |= jsep.e2ee;
        e2ee = who.e2ee;
    }
    OutgoingJsep { kind: JsepKind::Answer, sdp, e2ee, restart: false }
}

/// Carries over what a renegotiation does not change.
fn keep(stream: &mut Stream, had: &Stream) {
    stream.description = had.description.clone();
    stream.send = had.send;
    stream.moderated = had.moderated;
    stream.talking = had.talking;
    stream.level_dbov = had.level_dbov;
    stream.delay = had.delay;
    // What a shard knew of a line went with the line.
    stream.policy = had.policy.filter(|_| !had.disabled);
    // A renegotiation without the arrays does not end simulcast or SVC that was agreed.
    stream.simulcast |= had.simulcast;
    stream.svc |= had.svc;
}
