//! Requests about rooms, the same over the Janus API and over a data channel (plugin-textroom §4).

use crate::api::{ARRAY, Body, FLAG, ROOM, TEXT, UINT, Want, is_same, may, must};
use crate::error::{Code, Refusal};
use crate::persist;
use crate::plugin::{Asker, Outcome, Saving, TextRoom, no_such_room, success};
use crate::room::{Room, Settings};
use crate::{MAX_ROOMS, MAX_TOKENS};
use bifrons_core::plugin::Id;
use bifrons_core::plugin::{Host, Ticket};
use serde_json::{Value, json};
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
        let shows_private = match (&self.general.admin_key, body.filled("admin_key")) {
            (Some(key), Some(given)) if is_same(&given, key) => true,
            (Some(_), Some(_)) => {
                return Err(Refusal::new(Code::Unauthorized, "Unauthorized (wrong admin_key)"));
            }
            _ => false,
        };
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
        let permanent = self.may_be_permanent(body)?;
        if self.rooms.len() >= MAX_ROOMS || allowed.as_ref().is_some_and(|a| a.len() > MAX_TOKENS) {
            return Err(Refusal::new(Code::Unknown, "Too many rooms or tokens"));
        }
        let named = body.id("room").filter(|id| !id.is_unset());
        let id = named.unwrap_or_else(|| self.free_id(host));
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

    fn free_id(&self, host: &mut dyn Host) -> Id {
        loop {
            let id = Id::generate(host, self.general.string_ids);
            if !self.rooms.contains_key(&id) {
                return id;
            }
        }
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
        let permanent = self.may_be_permanent(body)?;
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
        let permanent = self.may_be_permanent(body)?;
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

    /// 499 when something is to be kept and there is no configuration to keep it in.
    fn may_be_permanent(&self, body: &Body<'_>) -> Result<bool, Refusal> {
        let permanent = body.flag("permanent").unwrap_or(false);
        if permanent && self.tree.is_none() {
            return Err(Refusal::new(Code::Unknown, "No configuration file to save the room in"));
        }
        Ok(permanent)
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
        let mut data = success(if by_channel { "success" } else { kind }, Some(id));
        data.insert("permanent".to_owned(), json!(false));
        let Some(tree) = self.tree.as_mut().filter(|_| permanent) else {
            return Outcome::Reply(data);
        };
        let before = tree.clone();
        match self.rooms.get(id) {
            Some(room) => persist::put(tree, id, &room.settings),
            None => persist::take_out(tree, id),
        }
        let written = persist::file(tree).map(|file| host.store(file));
        let Ok(Some(ticket)) = written else {
            tracing::warn!(room = %id, "the room cannot be saved: {written:?}");
            *tree = before;
            return Outcome::Reply(data);
        };
        self.saving.insert(ticket, Saving { asker: asker.clone(), data: data.clone(), before });
        if matches!(asker, Asker::Operator) {
            // An operator's request has to be answered now: it says what was set going.
            data.insert("permanent".to_owned(), json!(true));
            return Outcome::Reply(data);
        }
        Outcome::Later
    }

    /// The configuration is on disk, or not: the one who asked is told.
    pub(crate) fn saved(
        &mut self,
        host: &mut dyn Host,
        ticket: Ticket,
        outcome: Result<(), String>,
    ) {
        let Some(mut saving) = self.saving.remove(&ticket) else { return };
        if let Err(reason) = &outcome {
            tracing::warn!("a room could not be saved: {reason}");
            // Later changes are built on this one: only the last can be taken back.
            if self.saving.is_empty() {
                self.tree = Some(saving.before);
            }
        }
        saving.data.insert("permanent".to_owned(), Value::Bool(outcome.is_ok()));
        self.answer(host, &saving.asker, saving.data);
    }
}
