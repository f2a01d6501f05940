//! Synchronous requests about rooms as a whole: create, edit, destroy, exists, list
//! (plugin-videoroom §4).

use crate::address::Known;
use crate::api::{Body, FLAG, Field, TEXT, UINT, Want, may, must};
use crate::error::{Code, Refusal};
use crate::notice;
use crate::persist;
use crate::plugin::{Seat, VideoRoom};
use crate::room::Room;
use crate::settings::{Given, SETTINGS, Settings, floored};
use crate::{MAX_ROOMS, MAX_TOKENS};
use bifrons_core::plugin::{Change, Concluded, Host, Id, ReplyKey, Verdict};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Fields of `edit` besides the room.
const EDIT: [Field; 12] = [
    may("new_description", TEXT),
    may("new_is_private", FLAG),
    may("new_secret", TEXT),
    may("new_pin", TEXT),
    may("new_require_pvtid", FLAG),
    may("new_bitrate", UINT),
    may("new_fir_freq", UINT),
    may("new_publishers", UINT),
    may("new_lock_record", FLAG),
    may("new_rec_dir", TEXT),
    may("permanent", FLAG),
    must("room", Want::Id),
];

/// A success with this `videoroom` and the room.
pub(crate) fn success(kind: &str, room: &Id) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("videoroom".to_owned(), json!(kind));
    data.insert("room".to_owned(), json!(room));
    data
}

impl VideoRoom {
    /// Serves a synchronous request; `reply` is where a late answer may go, `None` for an
    /// operator's.
    pub(crate) fn manage(
        &mut self,
        host: &mut dyn Host,
        name: &str,
        body: &Map<String, Value>,
        reply: Option<ReplyKey>,
    ) -> Result<Verdict, Refusal> {
        let body = Body::checked(body, self.general.string_ids, &[])?;
        let data = match name {
            "create" => return self.create(host, &body, reply),
            "edit" => return self.edit(host, &body, reply),
            "destroy" => return self.destroy(host, &body, reply),
            "exists" => self.exists(&body)?,
            "list" => self.list(&body)?,
            "allowed" => self.allowed(&body)?,
            "kick" => self.kick(host, &body)?,
            "moderate" => self.moderate(host, &body)?,
            "listparticipants" => self.list_participants(&body)?,
            "enable_recording" => self.enable_recording(host, &body)?,
            "rtp_forward" | "publish_remotely" => {
                return self.serve_addressed(host, name, body.map(), reply, Known::new());
            }
            "stop_rtp_forward" => self.stop_rtp_forward(host, &body)?,
            "listforwarders" => self.list_forwarders(&body)?,
            "unpublish_remotely" => self.unpublish_remotely(host, &body)?,
            "listremotes" | "list_remotes" => self.list_remotes(&body)?,
            "add_remote_publisher" => self.add_remote(host, &body)?,
            "update_remote_publisher" => self.update_remote(host, &body)?,
            "remove_remote_publisher" => self.remove_remote(host, &body)?,
            _ => return Err(Refusal::unknown_request(name)),
        };
        Ok(Verdict::Reply(data))
    }

    /// The room that `body` names, once its secret is proved. The fields of the request have to
    /// be checked before.
    pub(crate) fn owned_room(&self, body: &Body<'_>) -> Result<&Room, Refusal> {
        let room = self.room(&body.the_id("room")?)?;
        body.prove("secret", room.settings.secret.as_deref())?;
        Ok(room)
    }

    fn create(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
        reply: Option<ReplyKey>,
    ) -> Result<Verdict, Refusal> {
        body.check(&SETTINGS)?;
        body.check(&[may("dummy_streams", crate::api::ARRAY), may("permanent", FLAG)])?;
        body.check(&[may("room", Want::Id)])?;
        body.prove("admin_key", self.general.admin_key.as_deref())?;
        let named = body.id("room").filter(|id| !id.is_unset());
        let mut settings = Settings::read(&Given::Request(*body), "")?;
        settings.signed_tokens &= host.auth_is_signed();
        let allowed = body.texts("allowed")?.map(BTreeSet::from_iter);
        let permanent = self.ledger.asked(body)?;
        let tokens = allowed.as_ref().map_or(0, BTreeSet::len);
        if self.rooms.len() >= MAX_ROOMS || tokens > MAX_TOKENS {
            return Err(Refusal::new(Code::Unknown, "Too many rooms or tokens"));
        }
        let taken = |id: &Id| self.rooms.contains_key(id);
        let texts = self.general.string_ids;
        let id = named.unwrap_or_else(|| Id::generate_free(host, texts, taken));
        if self.rooms.contains_key(&id) {
            return Err(Refusal::new(Code::RoomExists, format!("Room {id} already exists")));
        }
        if settings.description.is_empty() {
            settings.description = format!("Room {id}");
        }
        let room = Room::new(host, id.clone(), settings, allowed);
        self.rooms.insert(id.clone(), room);
        self.tell_handlers(host, self.asker, || notice::handlers("created", &id));
        self.conclude(host, "created", &id, permanent, reply)
    }

    fn edit(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
        reply: Option<ReplyKey>,
    ) -> Result<Verdict, Refusal> {
        body.check(&EDIT)?;
        let id = self.owned_room(body)?.id.clone();
        let permanent = self.ledger.asked(body)?;
        if let Some(room) = self.rooms.get_mut(&id) {
            change(&mut room.settings, body);
        }
        self.tell_handlers(host, self.asker, || notice::handlers("edited", &id));
        self.conclude(host, "edited", &id, permanent, reply)
    }

    /// Participants are told and lose their PeerConnections; subscriptions lose their feeds
    /// silently and keep theirs (§4 `destroy`).
    fn destroy(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
        reply: Option<ReplyKey>,
    ) -> Result<Verdict, Refusal> {
        body.check(&[must("room", Want::Id), may("permanent", FLAG)])?;
        let id = self.owned_room(body)?.id.clone();
        let permanent = self.ledger.asked(body)?;
        let Some(mut room) = self.rooms.remove(&id) else {
            return Err(crate::plugin::no_such_room(&id));
        };
        for who in room.participants.values_mut() {
            self.forget_media(host, who);
        }
        room.tell(host, None, &json!({ "videoroom": "destroyed", "room": id }));
        for handle in room.participants.values().filter_map(|p| p.handle()) {
            self.seats.insert(handle, Seat::Gone);
            host.close_pc(handle);
        }
        for handle in &room.subscribers {
            if let Some(sub) = self.subscriptions.get_mut(handle) {
                sub.room_gone = true;
                for line in &mut sub.lines {
                    line.feed = None;
                    line.sources.clear();
                }
                crate::relay::sync_routes(host, None, sub);
            }
        }
        self.tell_handlers(host, self.asker, || notice::handlers("destroyed", &id));
        self.conclude(host, "destroyed", &id, permanent, reply)
    }

    fn exists(&self, body: &Body<'_>) -> Result<Value, Refusal> {
        body.check(&[must("room", Want::Id)])?;
        let id = body.the_id("room")?;
        let mut data = success("success", &id);
        data.insert("exists".to_owned(), json!(self.rooms.contains_key(&id)));
        Ok(Value::Object(data))
    }

    /// An `admin_key` that is empty or no string counts as absent.
    fn list(&self, body: &Body<'_>) -> Result<Value, Refusal> {
        let shows_private = body.proves_operator(self.general.admin_key.as_deref())?;
        let seen = |room: &&Room| shows_private || !room.settings.is_private;
        let list: Vec<_> = self.rooms.values().filter(seen).map(Room::describe).collect();
        Ok(json!({ "videoroom": "success", "list": list }))
    }

    /// The reply to a change of a room, once it is on disk if it is to be.
    fn conclude(
        &mut self,
        host: &mut dyn Host,
        kind: &str,
        id: &Id,
        permanent: bool,
        reply: Option<ReplyKey>,
    ) -> Result<Verdict, Refusal> {
        let change = permanent.then(|| {
            let name = self.ledger.room_name(id);
            match self.rooms.get(id) {
                Some(room) => Change::put(name, persist::group(&room.settings)),
                None => Change::remove(name),
            }
        });
        match self.ledger.conclude(host, change, reply, success(kind, id)) {
            Concluded::Reply(data) => Ok(Verdict::Reply(Value::Object(data))),
            Concluded::Later => Ok(Verdict::Deferred),
        }
    }
}

/// Takes over what `edit` may change. Empty texts change nothing.
fn change(settings: &mut Settings, body: &Body<'_>) {
    if let Some(text) = body.filled("new_description") {
        settings.description = text;
    }
    for (name, place) in [
        ("new_secret", &mut settings.secret),
        ("new_pin", &mut settings.pin),
        ("new_rec_dir", &mut settings.rec_dir),
    ] {
        if let Some(text) = body.filled(name) {
            *place = Some(text);
        }
    }
    for (name, place) in [
        ("new_is_private", &mut settings.is_private),
        ("new_require_pvtid", &mut settings.require_pvtid),
        ("new_lock_record", &mut settings.lock_record),
    ] {
        *place = body.flag(name).unwrap_or(*place);
    }
    if let Some(bps) = body.number("new_bitrate") {
        settings.bitrate_bps = floored(bps);
    }
    if let Some(seconds) = body.number("new_fir_freq") {
        settings.fir_freq_s = u16::try_from(seconds).unwrap_or(u16::MAX);
    }
    settings.publishers = body.number("new_publishers").unwrap_or(settings.publishers);
}
