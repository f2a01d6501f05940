//! How participants come and go, and what their subscribers are told (plugin-videoroom §5 `join`,
//! `leave`; §7.4).

use crate::MAX_PARTICIPANTS;
use crate::api::{ARRAY, Body, OBJECT, TEXT, UINT, Want, may, must};
use crate::error::{Code, Refusal};
use crate::notice;
use crate::participant::{For, Participant, Presence};
use crate::plugin::{PACKAGE, Seat, VideoRoom};
use crate::relay;
use crate::room::Room;
use crate::settings::{active_packets, level_average};
use crate::wishes::{PUBLISH, descriptions};
use bifrons_core::plugin::Id;
use bifrons_core::plugin::{HandleKey, Host, JsepKind, Request};
use serde_json::{Map, Value, json};

impl VideoRoom {
    /// `join` of either kind, and `joinandconfigure`.
    pub(crate) fn join(
        &mut self,
        host: &mut dyn Host,
        name: &str,
        request: &Request,
    ) -> Result<(), Refusal> {
        let body = Body::checked(
            &request.body,
            self.general.string_ids,
            &[must("ptype", TEXT), must("room", Want::Id)],
        )?;
        match body.text("ptype") {
            Some("publisher") => self.join_publisher(host, name, request, &body),
            // Janus took this older name for the same.
            Some("subscriber" | "listener") => self.join_subscriber(host, request, &body),
            _ => Err(Refusal::invalid("Invalid element (ptype)")),
        }
    }

    /// The room to join, once signed token and pin are proved. The types have to be checked
    /// before.
    pub(crate) fn joinable_room(&self, host: &dyn Host, body: &Body<'_>) -> Result<&Room, Refusal> {
        let room = self.room(&body.the_id("room")?)?;
        if room.settings.signed_tokens && host.auth_is_signed() {
            let (token, grant) = (body.text("token").unwrap_or_default(), room.id.to_string());
            let grant = format!("room={grant}");
            if !host.auth_signature_contains(PACKAGE, token, &grant) {
                return Err(Refusal::new(Code::Unauthorized, "Unauthorized (wrong token)"));
            }
        }
        body.prove("pin", room.settings.pin.as_deref())?;
        Ok(room)
    }

    fn join_publisher(
        &mut self,
        host: &mut dyn Host,
        name: &str,
        request: &Request,
        body: &Body<'_>,
    ) -> Result<(), Refusal> {
        body.check(&[
            may("id", Want::Id),
            may("display", TEXT),
            may("metadata", OBJECT),
            may("token", TEXT),
            may("audio_active_packets", UINT),
            may("audio_level_average", UINT),
            may("descriptions", ARRAY),
        ])?;
        let publishes = name == "joinandconfigure" && request.jsep.is_some();
        if name == "joinandconfigure" {
            body.check(&PUBLISH)?;
        }
        let room = self.joinable_room(host, body)?;
        descriptions(body)?;
        let token = body.text("token");
        if let Some(allowed) = &room.allowed
            && !token.is_some_and(|token| allowed.contains(token))
        {
            return Err(Refusal::new(Code::Unauthorized, "Unauthorized (not in the allowed list)"));
        }
        let user = self.free_user_id(host, room, body)?;
        let room_id = room.id.clone();
        self.check_offer(request)?;
        let who = self.enter(host, request.handle, &room_id, &user, body);
        self.tell_of_joining(host, request.handle, &room_id, &user, token);
        if request.jsep.is_some() {
            // What `join` with an offer does not take from its body, it does not look at.
            let empty = Map::new();
            let wishes = if publishes { &request.body } else { &empty };
            return self.publish(host, request, wishes, &room_id, &user, Some(who));
        }
        // The handle is there: its own request is being answered.
        let _ =
            host.push_event(request.handle, Some(&request.transaction), Value::Object(who), None);
        Ok(())
    }

    /// A join takes an offer or nothing.
    fn check_offer(&self, request: &Request) -> Result<(), Refusal> {
        match &request.jsep {
            Some(jsep) if jsep.kind != JsepKind::Offer => {
                Err(Refusal::new(Code::InvalidSdpType, "An offer was expected, not an answer"))
            }
            _ => Ok(()),
        }
    }

    fn free_user_id(
        &self,
        host: &mut dyn Host,
        room: &Room,
        body: &Body<'_>,
    ) -> Result<Id, Refusal> {
        if room.participants.len() >= MAX_PARTICIPANTS {
            return Err(Refusal::new(Code::Unknown, "Too many participants in the room"));
        }
        if let Some(id) = body.id("id").filter(|id| !id.is_unset()) {
            if room.participants.contains_key(&id) {
                return Err(Refusal::new(Code::IdExists, format!("User ID {id} already exists")));
            }
            return Ok(id);
        }
        loop {
            let id = Id::generate(host, self.general.string_ids);
            if !room.participants.contains_key(&id) {
                return Ok(id);
            }
        }
    }

    /// Puts the participant into the room; returns `joined`.
    fn enter(
        &mut self,
        host: &mut dyn Host,
        handle: HandleKey,
        room_id: &Id,
        user: &Id,
        body: &Body<'_>,
    ) -> Map<String, Value> {
        let Some(room) = self.rooms.get_mut(room_id) else { return Map::new() };
        let overridden = |name| body.number(name).filter(|n| *n > 0);
        let packets = overridden("audio_active_packets");
        let average = overridden("audio_level_average");
        let who = Participant {
            id: user.clone(),
            presence: Presence::Local(handle),
            private_id: room.new_private_id(host),
            display: body.text("display").map(str::to_owned),
            metadata: body.object("metadata").cloned(),
            e2ee: false,
            bitrate_bps: room.settings.bitrate_bps,
            active_packets: packets.map(|n| active_packets(Some(n))),
            level_average: average.map(|n| level_average(Some(n))),
            streams: Vec::new(),
            peer: None,
            remote: None,
            forwarders: Vec::new(),
            remotizations: Vec::new(),
        };
        let mut joined = Map::new();
        joined.insert("videoroom".to_owned(), json!("joined"));
        joined.insert("room".to_owned(), json!(room_id));
        joined.insert("description".to_owned(), json!(room.settings.description));
        joined.insert("id".to_owned(), json!(user));
        joined.insert("private_id".to_owned(), json!(who.private_id));
        joined.insert("publishers".to_owned(), json!(room.publishers(user)));
        if room.settings.notify_joining {
            joined.insert("attendees".to_owned(), json!(room.attendees(user)));
        }
        for (name, value) in [("audio_active_packets", packets), ("audio_level_average", average)] {
            if let Some(value) = value {
                joined.insert(name.to_owned(), json!(value));
            }
        }
        room.private_ids.insert(who.private_id, user.clone());
        host.place(handle, room.home());
        room.participants.insert(user.clone(), who);
        let seat = Seat::Publisher { room: room_id.clone(), user: user.clone() };
        self.seats.insert(handle, seat);
        joined
    }

    fn tell_of_joining(
        &self,
        host: &mut dyn Host,
        handle: HandleKey,
        room_id: &Id,
        user: &Id,
        token: Option<&str>,
    ) {
        let Some(room) = self.rooms.get(room_id) else { return };
        let Some(who) = room.participants.get(user) else { return };
        if room.settings.notify_joining {
            room.tell(host, Some(user), &notice::joining(room_id, who));
        }
        self.tell_handlers(host, Some(handle), || {
            let mut body = notice::handlers_about("joined", room_id, who);
            body.insert("private_id".to_owned(), json!(who.private_id));
            if let Some(token) = token {
                body.insert("token".to_owned(), json!(token));
            }
            for (name, value) in [
                ("audio_active_packets", who.active_packets.map(u32::from)),
                ("audio_level_average", who.level_average.map(u32::from)),
            ] {
                if let Some(value) = value {
                    body.insert(name.to_owned(), json!(value));
                }
            }
            body
        });
    }

    /// `leave`: the PeerConnection stays, its media go nowhere, subscribers are not told.
    pub(crate) fn leave_publisher(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
        room: &Id,
        user: &Id,
    ) -> Result<(), Refusal> {
        self.drop_feed(host, room, user, false);
        self.remove_participant(host, room, user, "leaving");
        self.seats.insert(request.handle, Seat::Gone);
        let left = Value::Object(notice::done(room, "leaving"));
        let _ = host.push_event(request.handle, Some(&request.transaction), left, None);
        Ok(())
    }

    /// Takes a participant out of its room and tells the others; `key` says how it went.
    pub(crate) fn remove_participant(
        &mut self,
        host: &mut dyn Host,
        room_id: &Id,
        user: &Id,
        key: &str,
    ) {
        let Some(room) = self.rooms.get_mut(room_id) else { return };
        let Some(mut who) = room.participants.remove(user) else { return };
        room.private_ids.remove(&who.private_id);
        self.forget_media(host, &mut who);
        let Some(room) = self.rooms.get(room_id) else { return };
        room.tell(host, None, &notice::gone(room_id, key, &who));
        self.tell_handlers(host, None, || notice::handlers_about(key, room_id, &who));
    }

    /// What a publisher published is over. Subscribers hear of it before participants do (§7.4);
    /// `always` tells the latter even if there was nothing.
    pub(crate) fn end_publishing(
        &mut self,
        host: &mut dyn Host,
        room_id: &Id,
        user: &Id,
        always: bool,
    ) {
        let Some(room) = self.rooms.get(room_id) else { return };
        let Some(who) = room.participants.get(user) else { return };
        if who.peer.is_none() && who.streams.is_empty() && !always {
            return;
        }
        self.drop_feed(host, room_id, user, true);
        let Some(room) = self.rooms.get_mut(room_id) else { return };
        if let Some(who) = room.participants.get_mut(user) {
            crate::forwarders::stop_all(host, who);
            who.peer = None;
            who.streams.clear();
            who.e2ee = false;
        }
        let Some(room) = self.rooms.get(room_id) else { return };
        let Some(who) = room.participants.get(user) else { return };
        room.tell(host, Some(user), &notice::gone(room_id, "unpublished", who));
        self.tell_handlers(host, None, || notice::handlers_about("unpublished", room_id, who));
    }

    /// Takes a feed from every line that has it. With `tell`, subscriptions that want automatic
    /// updates get an offer.
    pub(crate) fn drop_feed(&mut self, host: &mut dyn Host, room: &Id, feed: &Id, tell: bool) {
        let Some(room) = self.rooms.get(room) else { return };
        let mut updates = Vec::new();
        for handle in &room.subscribers {
            let Some(sub) = self.subscriptions.get_mut(handle) else { continue };
            if !sub.lines.iter().any(|line| line.is_of(feed)) {
                continue;
            }
            let mut touched = false;
            for line in &mut sub.lines {
                touched |= line.lose(|have| have.id == *feed);
            }
            relay::sync_routes(host, Some(room), sub);
            if !touched {
                // Of data alone nothing is offered anew (§7.4).
            } else if tell && sub.autoupdate {
                updates.push(*handle);
            } else {
                sub.untold = true;
            }
        }
        for handle in updates {
            self.update_later(host, handle);
        }
    }

    /// The publisher's PeerConnection is up: now others are told.
    pub(crate) fn publisher_up(
        &mut self,
        host: &mut dyn Host,
        handle: HandleKey,
        peer: bifrons_core::media::PeerId,
        room_id: &Id,
        user: &Id,
    ) {
        let Some(room) = self.rooms.get_mut(room_id) else { return };
        let Room { participants, settings, .. } = room;
        let Some(who) = participants.get_mut(user) else { return };
        who.peer = Some(peer);
        relay::sync_policies(host, settings, who);
        let Some(room) = self.rooms.get(room_id) else { return };
        let Some(who) = room.participants.get(user) else { return };
        room.tell(host, Some(user), &notice::published(room_id, who));
        self.tell_handlers(host, Some(handle), || {
            let mut body = notice::handlers_about("published", room_id, who);
            body.insert("streams".to_owned(), who.describe_streams(For::Others));
            body
        });
    }
}
