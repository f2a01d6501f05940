//! Synchronous requests about the people in a room (plugin-videoroom §4).

use crate::MAX_TOKENS;
use crate::api::{ARRAY, Body, FLAG, TEXT, Want, may, must};
use crate::error::{Code, Refusal};
use crate::management::success;
use crate::notice;
use crate::participant::{Participant, Presence};
use crate::plugin::{Seat, VideoRoom};
use crate::relay;
use crate::room::Room;
use bifrons_core::plugin::Id;
use bifrons_core::plugin::{Host, HostExt};
use serde_json::{Map, Value, json};

/// 428 for a participant.
fn no_such_user(id: &Id) -> Refusal {
    Refusal::new(Code::NoSuchFeed, format!("No such user {id} in the room"))
}

impl VideoRoom {
    /// `allowed`: `enable` and `disable` do not look at tokens given with them.
    pub(crate) fn allowed(&mut self, body: &Body<'_>) -> Result<Value, Refusal> {
        body.check(&[must("room", Want::Id), must("action", TEXT), may("allowed", ARRAY)])?;
        let id = self.owned_room(body)?.id.clone();
        let action = body.text("action").unwrap_or_default();
        if !["enable", "disable", "add", "remove"].contains(&action) {
            return Err(Refusal::invalid("Unsupported action (allowed)"));
        }
        let tokens = body.texts("allowed")?.unwrap_or_default();
        let Some(room) = self.rooms.get_mut(&id) else {
            return Err(crate::plugin::no_such_room(&id));
        };
        let mut list = match room.allowed.take() {
            Some(list) => list,
            None => std::mem::take(&mut room.tokens_at_rest),
        };
        match action {
            "add" if list.len() + tokens.len() > MAX_TOKENS => {
                room.allowed = Some(list);
                return Err(Refusal::new(Code::Unknown, "Too many tokens"));
            }
            "add" => list.extend(tokens),
            "remove" => list.retain(|token| !tokens.contains(token)),
            _ => {}
        }
        let mut data = success("success", &id);
        if action == "disable" {
            room.tokens_at_rest = list;
        } else {
            data.insert("allowed".to_owned(), json!(list));
            room.allowed = Some(list);
        }
        Ok(Value::Object(data))
    }

    /// The victim leaves at once; its subscribers are told (the page's recommendation).
    pub(crate) fn kick(&mut self, host: &mut dyn Host, body: &Body<'_>) -> Result<Value, Refusal> {
        body.check(&[must("room", Want::Id), must("id", Want::Id)])?;
        let room = self.owned_room(body)?;
        let (room_id, user) = (room.id.clone(), body.the_id("id")?);
        let victim = room.participants.get(&user).ok_or_else(|| no_such_user(&user))?;
        let (Some(handle), private_id) = (victim.handle(), victim.private_id) else {
            return Err(no_such_user(&user));
        };
        let cuts_off = room.settings.require_pvtid;
        let mut told = notice::done(&room_id, "leaving");
        told.insert("reason".to_owned(), json!("kicked"));
        host.notify(handle, Value::Object(told));
        if cuts_off {
            self.cut_off(host, &room_id, private_id);
        }
        self.drop_feed(host, &room_id, &user, true);
        self.remove_participant(host, &room_id, &user, "kicked");
        self.seats.insert(handle, Seat::Gone);
        host.close_pc(handle);
        Ok(json!({ "videoroom": "success" }))
    }

    /// Subscriptions that belong to a kicked participant receive nothing any more.
    fn cut_off(&mut self, host: &mut dyn Host, room: &Id, private_id: u32) {
        let Some(room) = self.rooms.get(room) else { return };
        for handle in &room.subscribers {
            if let Some(sub) = self.subscriptions.get_mut(handle)
                && sub.private_id == private_id
            {
                sub.kicked = true;
                relay::sync_routes(host, Some(room), sub);
            }
        }
    }

    /// Blocks a stream, or lifts the block, apart from what its publisher wants.
    pub(crate) fn moderate(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
    ) -> Result<Value, Refusal> {
        body.check(&[
            must("room", Want::Id),
            must("id", Want::Id),
            must("mid", TEXT),
            must("mute", FLAG),
        ])?;
        let room_id = self.owned_room(body)?.id.clone();
        let (user, mid) = (body.the_id("id")?, body.text("mid").unwrap_or_default());
        let mute = body.flag("mute").unwrap_or(false);
        let Some(room) = self.rooms.get_mut(&room_id) else {
            return Err(crate::plugin::no_such_room(&room_id));
        };
        let Room { participants, settings, .. } = room;
        let target = participants.get_mut(&user).ok_or_else(|| no_such_user(&user))?;
        let Some(stream) = target.stream_mut(mid) else {
            let text = format!("No such mid '{mid}' published");
            return Err(Refusal::new(Code::NoSuchFeed, text));
        };
        stream.moderated = mute;
        relay::sync_policies(host, settings, target);
        let moderation = if mute { "muted" } else { "unmuted" };
        let mut told = notice::event(&room_id);
        told.insert("id".to_owned(), json!(user));
        told.insert("mid".to_owned(), json!(mid));
        told.insert("moderation".to_owned(), json!(moderation));
        room.tell(host, None, &Value::Object(told));
        let handle = room.participants.get(&user).and_then(Participant::handle);
        self.tell_handlers(host, handle, || {
            let mut body = Map::new();
            body.insert("videoroom".to_owned(), json!("moderated"));
            body.insert("room".to_owned(), json!(room_id));
            body.insert("id".to_owned(), json!(user));
            body.insert("mid".to_owned(), json!(mid));
            body.insert("moderation".to_owned(), json!(moderation));
            body
        });
        Ok(json!({ "videoroom": "success" }))
    }

    /// Everybody in the room, dummies included.
    pub(crate) fn list_participants(&self, body: &Body<'_>) -> Result<Value, Refusal> {
        body.check(&[must("room", Want::Id)])?;
        let room = self.room(&body.the_id("room")?)?;
        let item = |who: &Participant| {
            let mut shown = who.named();
            match who.presence {
                Presence::Dummy => drop(shown.insert("dummy".to_owned(), json!(true))),
                Presence::Remote => drop(shown.insert("remote".to_owned(), json!(true))),
                Presence::Local(_) => {}
            }
            shown.insert("publisher".to_owned(), json!(who.is_published()));
            if let Some(talks) = who.talks().filter(|_| who.is_published()) {
                shown.insert("talking".to_owned(), json!(talks));
            }
            Value::Object(shown)
        };
        let list: Vec<_> = room.participants.values().map(item).collect();
        Ok(json!({ "videoroom": "participants", "room": room.id, "participants": list }))
    }

    /// Keeps the flag, and asks for keyframes where it changed (§8.5).
    pub(crate) fn enable_recording(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
    ) -> Result<Value, Refusal> {
        body.check(&[must("room", Want::Id), must("record", FLAG)])?;
        let id = self.owned_room(body)?.id.clone();
        let record = body.flag("record").unwrap_or(false);
        if let Some(room) = self.rooms.get_mut(&id)
            && room.settings.record != record
        {
            room.settings.record = record;
            for publisher in room.participants.values().filter(|_| record) {
                relay::ask_keyframes(host, publisher, None);
            }
        }
        Ok(json!({ "videoroom": "success", "record": record }))
    }
}
