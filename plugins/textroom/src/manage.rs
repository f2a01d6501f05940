//! Requests about rooms, the same over the Janus API and over a data channel (plugin-textroom §4).

use crate::api::{ARRAY, Body, FLAG, ROOM, TEXT, UINT, Want, may, must};
use crate::error::{Code, Refusal};
use crate::persist;
use crate::plugin::{Asker, Outcome, TextRoom, no_such_room, success};
use crate::room::{Room, Settings};
use crate::{MAX_ROOMS, MAX_TOKENS};
use bifrons_core::plugin::{Change, Concluded, Host, Id};
use serde_json::json;
use std::collections::BTreeSet;

impl TextRoom {
    /// Serves a request that both surfaces have; `None` for an unknown one.
    pub(crate) fn manage(
        &mut self,
        host: &mut dyn Host,
        asker: &Asker,
        name: &str,
        body: &Body<'_>,
    ) -> Option<Result<Outcome, Refusal>> {
        Some(match name {
            "list" => self.list(body),
            "listparticipants" => self.list_participants(body),
            "exists" => self.exists(body),
            "create" => self.create(host, asker, body),
            "edit" => self.edit(host, asker, body),
            "destroy" => self.destroy(host, asker, body),
            "allowed" => self.allowed(body),
            "kick" => self.kick(host, body),
            "announcement" => self.announce(host, body),
            _ => return None,
        })
    }

    /// The room that `body` names, once its secret is proved.
    fn owned(&self, body: &Body<'_>) -> Result<Id, Refusal> {
        let id = body.the_id("room")?;
        let room = self.rooms.get(&id).ok_or_else(|| no_such_room(&id))?;
        body.prove("secret", room.settings.secret.as_deref())?;
        Ok(id)
    }

    fn list(&self, body: &Body<'_>) -> Result<Outcome, Refusal> {
        body.check(&[may("admin_key", TEXT)])?;
        let shows_private = body.proves_operator(self.general.admin_key.as_deref())?;
        let seen = |room: &&Room| shows_private || !room.settings.is_private;
        let list: Vec<_> = self.rooms.values().filter(seen).map(Room::describe).collect();
        let mut data = success("success", None);
        data.insert("list".to_owned(), json!(list));
        Ok(Outcome::Reply(data))
    }

    fn list_participants(&self, body: &Body<'_>) -> Result<Outcome, Refusal> {
        body.check(&[ROOM])?;
        let id = body.the_id("room")?;
        let room = self.rooms.get(&id).ok_or_else(|| no_such_room(&id))?;
        let mut data = success("success", Some(&id));
        data.insert("participants".to_owned(), json!(room.participants(None)));
        Ok(Outcome::Reply(data))
    }

    fn exists(&self, body: &Body<'_>) -> Result<Outcome, Refusal> {
        body.check(&[ROOM])?;
        let id = body.the_id("room")?;
        let mut data = success("success", Some(&id));
        data.insert("exists".to_owned(), json!(self.rooms.contains_key(&id)));
        Ok(Outcome::Reply(data))
    }

    fn create(
        &mut self,
        host: &mut dyn Host,
        asker: &Asker,
        body: &Body<'_>,
    ) -> Result<Outcome, Refusal> {
        body.check(&[
            may("room", Want::Id),
            may("description", TEXT),
            may("secret", TEXT),
            may("pin", TEXT),
            may("is_private", FLAG),
            may("history", UINT),
            may("post", TEXT),
            may("allowed", ARRAY),
            may("permanent", FLAG),
        ])?;
        body.prove("admin_key", self.general.admin_key.as_deref())?;
        let allowed = body.texts("allowed")?.map(BTreeSet::from_iter);
        let permanent = self.ledger.asked(body)?;
        if self.rooms.len() >= MAX_ROOMS || allowed.as_ref().is_some_and(|a| a.len() > MAX_TOKENS) {
            return Err(Refusal::new(Code::Unknown, "Too many rooms or tokens"));
        }
        let named = body.id("room").filter(|id| !id.is_unset());
        let taken = |id: &Id| self.rooms.contains_key(id);
        let texts = self.general.string_ids;
        let id = named.unwrap_or_else(|| Id::generate_free(host, texts, taken));
        if self.rooms.contains_key(&id) {
            return Err(Refusal::new(Code::RoomExists, format!("Room {id} already exists")));
        }
        let settings = Settings {
            description: body.filled("description").unwrap_or_else(|| format!("Room {id}")),
            is_private: body.flag("is_private").unwrap_or(false),
            secret: body.filled("secret"),
            pin: body.filled("pin"),
            history: body.short("history").unwrap_or(0),
            post: body.filled("post"),
        };
        self.rooms.insert(id.clone(), Room::new(id.clone(), settings, allowed));
        self.tell_handlers(host, None, || json!({ "event": "created", "room": id }));
        Ok(self.conclude(host, asker, "created", &id, permanent))
    }

    /// Empty texts change nothing.
    fn edit(
        &mut self,
        host: &mut dyn Host,
        asker: &Asker,
        body: &Body<'_>,
    ) -> Result<Outcome, Refusal> {
        body.check(&[
            ROOM,
            may("secret", TEXT),
            may("new_description", TEXT),
            may("new_secret", TEXT),
            may("new_pin", TEXT),
            may("new_post", TEXT),
            may("new_is_private", FLAG),
            may("permanent", FLAG),
        ])?;
        let id = self.owned(body)?;
        let permanent = self.ledger.asked(body)?;
        if let Some(room) = self.rooms.get_mut(&id) {
            let settings = &mut room.settings;
            if let Some(text) = body.filled("new_description") {
                settings.description = text;
            }
            for (name, place) in [
                ("new_secret", &mut settings.secret),
                ("new_pin", &mut settings.pin),
                ("new_post", &mut settings.post),
            ] {
                *place = body.filled(name).or_else(|| place.take());
            }
            settings.is_private = body.flag("new_is_private").unwrap_or(settings.is_private);
        }
        self.tell_handlers(host, None, || json!({ "event": "edited", "room": id }));
        Ok(self.conclude(host, asker, "edited", &id, permanent))
    }

    fn destroy(
        &mut self,
        host: &mut dyn Host,
        asker: &Asker,
        body: &Body<'_>,
    ) -> Result<Outcome, Refusal> {
        body.check(&[ROOM, may("secret", TEXT), may("permanent", FLAG)])?;
        let id = self.owned(body)?;
        let permanent = self.ledger.asked(body)?;
        let Some(room) = self.rooms.remove(&id) else { return Err(no_such_room(&id)) };
        let event = json!({ "textroom": "destroyed", "room": id });
        let mut told: BTreeSet<_> = room.members.values().map(|member| member.handle).collect();
        for handle in &told {
            if let Some(user) = self.users.get_mut(handle) {
                user.joined.remove(&id);
            }
        }
        if let Asker::Channel { handle, .. } = asker {
            told.insert(*handle);
        }
        for handle in told {
            self.say(host, handle, &event);
        }
        self.tell_handlers(host, None, || json!({ "event": "destroyed", "room": id }));
        Ok(self.conclude(host, asker, "destroyed", &id, permanent))
    }

    fn allowed(&mut self, body: &Body<'_>) -> Result<Outcome, Refusal> {
        body.check(&[ROOM, may("secret", TEXT), must("action", TEXT), may("allowed", ARRAY)])?;
        let action = body.text("action").unwrap_or_default();
        let tokens = body.texts("allowed")?.unwrap_or_default();
        if !matches!(action, "enable" | "disable" | "add" | "remove") {
            let text = "Unsupported action (allowed)";
            return Err(Refusal::new(Code::InvalidElement, text));
        }
        let id = self.owned(body)?;
        let room = self.rooms.get_mut(&id).ok_or_else(|| no_such_room(&id))?;
        match action {
            "enable" => drop(room.allowed.get_or_insert_default()),
            "disable" => room.allowed = None,
            "add" => {
                let allowed = room.allowed.get_or_insert_default();
                if allowed.len() + tokens.len() > MAX_TOKENS {
                    return Err(Refusal::new(Code::Unknown, "Too many tokens"));
                }
                allowed.extend(tokens);
            }
            _ => {
                if let Some(allowed) = &mut room.allowed {
                    allowed.retain(|token| !tokens.contains(token));
                }
            }
        }
        let mut data = success("success", Some(&id));
        if action != "disable" {
            data.insert("allowed".to_owned(), json!(room.allowed.clone().unwrap_or_default()));
        }
        Ok(Outcome::Reply(data))
    }

    /// Whoever is kicked hears of it with the others, stays connected and may come back.
    fn kick(&mut self, host: &mut dyn Host, body: &Body<'_>) -> Result<Outcome, Refusal> {
        body.check(&[ROOM, may("secret", TEXT), must("username", TEXT)])?;
        let id = self.owned(body)?;
        let name = body.text("username").unwrap_or_default();
        let room = self.rooms.get(&id).ok_or_else(|| no_such_room(&id))?;
        if !room.members.contains_key(name) {
            let text = format!("No such participant {name} in room {id}");
            return Err(Refusal::new(Code::NoSuchUser, text));
        }
        let event = json!({ "textroom": "kicked", "room": id, "username": name });
        self.say_to_all(host, &id, &event);
        let kicked = self.rooms.get_mut(&id).and_then(|room| room.members.remove(name));
        if let Some(user) = kicked.and_then(|member| self.users.get_mut(&member.handle)) {
            user.joined.remove(&id);
        }
        self.tell_handlers(host, None, || event);
        Ok(Outcome::Reply(success("success", None)))
    }

    fn announce(&mut self, host: &mut dyn Host, body: &Body<'_>) -> Result<Outcome, Refusal> {
        body.check(&[ROOM, may("secret", TEXT), must("text", TEXT)])?;
        let id = self.owned(body)?;
        let event = json!({
            "textroom": "announcement",
            "room": id,
            "date": crate::date::iso8601(host.wall_us()),
            "text": body.text("text").unwrap_or_default(),
        });
        self.say_to_all(host, &id, &event);
        self.publish(host, &id, &event, None);
        Ok(Outcome::Reply(success("success", None)))
    }

    /// The reply to a change of a room, once it is on disk if it is to be.
    fn conclude(
        &mut self,
        host: &mut dyn Host,
        asker: &Asker,
        kind: &str,
        id: &Id,
        permanent: bool,
    ) -> Outcome {
        let by_channel = matches!(asker, Asker::Channel { .. });
        let data = success(if by_channel { "success" } else { kind }, Some(id));
        let change = permanent.then(|| {
            let name = self.ledger.room_name(id);
            match self.rooms.get(id) {
                Some(room) => Change::put(name, persist::group(&room.settings)),
                None => Change::remove(name),
            }
        });
        let waits = !matches!(asker, Asker::Operator);
        match self.ledger.conclude(host, change, waits.then(|| asker.clone()), data) {
            Concluded::Reply(data) => Outcome::Reply(data),
            Concluded::Later => Outcome::Later,
        }
    }
}
