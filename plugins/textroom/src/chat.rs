//! What is only done over a data channel: joining, leaving, talking (plugin-textroom §4).

use crate::api::{ARRAY, Body, FLAG, ROOM, TEXT, may, must};
use crate::date::iso8601;
use crate::error::{Code, Refusal};
use crate::plugin::{Outcome, TextRoom, no_such_room, success};
use crate::room::Member;
use crate::{MAX_JOINED, MAX_MEMBERS};
use bifrons_core::plugin::Id;
use bifrons_core::plugin::{HandleKey, Host, HttpRequest};
use serde_json::{Map, Value, json};

impl TextRoom {
    /// Serves a request of the channel alone; `None` for an unknown one.
    pub(crate) fn chat(
        &mut self,
        host: &mut dyn Host,
        handle: HandleKey,
        name: &str,
        body: &Body<'_>,
    ) -> Option<Result<Outcome, Refusal>> {
        Some(match name {
            "join" => self.join(host, handle, body),
            "leave" => self.leave(host, handle, body),
            "message" => self.message(host, handle, body),
            _ => return None,
        })
    }

    /// History first, then the joiner's own `join`, then the reply.
    fn join(
        &mut self,
        host: &mut dyn Host,
        handle: HandleKey,
        body: &Body<'_>,
    ) -> Result<Outcome, Refusal> {
        body.check(&[
            ROOM,
            must("username", TEXT),
            may("display", TEXT),
            may("pin", TEXT),
            may("token", TEXT),
            may("history", FLAG),
        ])?;
        let id = body.the_id("room")?;
        let room = self.rooms.get(&id).ok_or_else(|| no_such_room(&id))?;
        body.prove("pin", room.settings.pin.as_deref())?;
        if let Some(allowed) = &room.allowed {
            body.check(&[must("token", TEXT)])?;
            if !body.text("token").is_some_and(|token| allowed.contains(token)) {
                let text = "Unauthorized (not in the allowed list)";
                return Err(Refusal::new(Code::Unauthorized, text));
            }
        }
        let name = body.text("username").unwrap_or_default();
        let user = self.users.get(&handle);
        if user.is_some_and(|user| user.joined.contains_key(&id)) {
            let text = format!("Already in room {id}");
            return Err(Refusal::new(Code::AlreadyInRoom, text));
        }
        if room.members.contains_key(name) {
            let text = format!("Username {name} already taken");
            return Err(Refusal::new(Code::UsernameExists, text));
        }
        if room.members.len() >= MAX_MEMBERS
            || user.is_some_and(|user| user.joined.len() >= MAX_JOINED)
        {
            return Err(Refusal::new(Code::Unknown, "Too many members, or too many rooms joined"));
        }
        if body.flag("history").unwrap_or(true) {
            let kept: Vec<_> = room.history().cloned().collect();
            for message in kept {
                self.say(host, handle, &message);
            }
        }
        let display = body.text("display").map(str::to_owned);
        let mut event = json!({ "textroom": "join", "room": id, "username": name });
        if let Some(display) = &display {
            event["display"] = json!(display);
        }
        if let Some(user) = self.users.get_mut(&handle) {
            user.joined.insert(id.clone(), name.to_owned());
        }
        if let Some(room) = self.rooms.get_mut(&id) {
            room.members.insert(name.to_owned(), Member { handle, display });
        }
        self.say_to_all(host, &id, &event);
        self.tell_handlers(host, Some(handle), || retitled(&event, "join"));
        let others = self.rooms.get(&id).map(|room| room.participants(Some(name)));
        let mut data = success("success", None);
        data.insert("participants".to_owned(), json!(others.unwrap_or_default()));
        Ok(Outcome::Reply(data))
    }

    fn leave(
        &mut self,
        host: &mut dyn Host,
        handle: HandleKey,
        body: &Body<'_>,
    ) -> Result<Outcome, Refusal> {
        body.check(&[ROOM])?;
        let id = body.the_id("room")?;
        self.rooms.get(&id).ok_or_else(|| no_such_room(&id))?;
        if !self.part(host, handle, &id, true) {
            return Err(not_in(&id));
        }
        Ok(Outcome::Reply(success("success", None)))
    }

    /// Takes a handle out of a room and tells the others, and with `oneself` the handle. Whether
    /// it was in.
    fn part(&mut self, host: &mut dyn Host, handle: HandleKey, id: &Id, oneself: bool) -> bool {
        let name = self.users.get_mut(&handle).and_then(|user| user.joined.remove(id));
        let Some(name) = name else { return false };
        let event = json!({ "textroom": "leave", "room": id, "username": name });
        if oneself {
            self.say_to_all(host, id, &event);
        }
        if let Some(room) = self.rooms.get_mut(id) {
            room.members.remove(&name);
        }
        if !oneself {
            self.say_to_all(host, id, &event);
        }
        self.tell_handlers(host, Some(handle), || retitled(&event, "leave"));
        true
    }

    /// The PeerConnection is gone, or the handle.
    pub(crate) fn leave_all(&mut self, host: &mut dyn Host, handle: HandleKey) {
        let user = self.users.get(&handle);
        let rooms: Vec<Id> =
            user.map(|user| user.joined.keys().cloned().collect()).unwrap_or_default();
        for id in rooms {
            self.part(host, handle, &id, false);
        }
    }

    fn message(
        &mut self,
        host: &mut dyn Host,
        handle: HandleKey,
        body: &Body<'_>,
    ) -> Result<Outcome, Refusal> {
        body.check(&[
            ROOM,
            must("text", TEXT),
            may("to", TEXT),
            may("tos", ARRAY),
            may("ack", FLAG),
        ])?;
        let tos = body.texts("tos")?;
        if body.text("to").is_some() && tos.is_some() {
            let text = "Both to and tos provided";
            return Err(Refusal::new(Code::InvalidElement, text));
        }
        let id = body.the_id("room")?;
        let room = self.rooms.get(&id).ok_or_else(|| no_such_room(&id))?;
        let name = self.users.get(&handle).and_then(|user| user.joined.get(&id));
        let Some(name) = name.cloned() else { return Err(not_in(&id)) };
        let mut event = json!({
            "textroom": "message",
            "room": id,
            "from": name,
            "date": iso8601(host.wall_us()),
            "text": body.text("text").unwrap_or_default(),
        });
        let mut data = success("success", None);
        match body.text("to").map(|to| vec![to.to_owned()]).or(tos) {
            Some(names) => {
                event["whisper"] = json!(true);
                let found = |name: &String| room.members.get(name).map(|member| member.handle);
                let to: Vec<_> = names.iter().map(|name| (name.clone(), found(name))).collect();
                let mut sent = Map::new();
                for (name, to) in to {
                    if let Some(to) = to {
                        self.say(host, to, &event);
                    }
                    sent.insert(name, json!(to.is_some()));
                }
                data.insert("sent".to_owned(), Value::Object(sent));
            }
            None => {
                let display = room.members.get(&name).and_then(|member| member.display.clone());
                self.say_to_all(host, &id, &event);
                self.publish(host, &id, &event, display);
            }
        }
        match body.flag("ack") {
            Some(false) => Ok(Outcome::Silence),
            _ => Ok(Outcome::Reply(data)),
        }
    }

    /// Keeps a public message, and posts it where the room has an address for that.
    pub(crate) fn publish(
        &mut self,
        host: &mut dyn Host,
        id: &Id,
        event: &Value,
        display: Option<String>,
    ) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        let mut kept = event.clone();
        if let Some(display) = display {
            kept["display"] = json!(display);
        }
        room.keep(kept);
        let Some(url) = room.settings.post.clone() else { return };
        let content = bifrons_core::api::json::write(event, self.general.style);
        // What the far end answers is not looked at (plugin-textroom §4).
        self.post(host, id, HttpRequest::post(url, "application/json", content.into_bytes()));
    }
}

fn not_in(id: &Id) -> Refusal {
    Refusal::new(Code::NotInRoom, format!("Not in room {id}"))
}

/// An event for handlers: `event` in place of `textroom`.
fn retitled(event: &Value, name: &str) -> Value {
    let mut told = json!({ "event": name });
    for (key, value) in
        event.as_object().into_iter().flatten().filter(|(key, _)| *key != "textroom")
    {
        told[key] = value.clone();
    }
    told
}
