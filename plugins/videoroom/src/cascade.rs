//! `publish_remotely`, `unpublish_remotely`, `listremotes`: a publisher's streams to another
//! server (plugin-videoroom §9.2).

use crate::address::{Halt, Known, address, srtp};
use crate::api::{Body, Field, TEXT, UINT, Want, may, must};
use crate::error::{Code, Refusal};
use crate::forwarders::{MAX_FORWARDERS, Remotization, stop_remotization, sync_remotizations};
use crate::management::success;
use crate::participant::Participant;
use crate::plugin::VideoRoom;
use bifrons_core::plugin::Host;
use bifrons_core::plugin::Id;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;

const REMOTIZE: [Field; 9] = [
    must("room", Want::Id),
    must("publisher_id", Want::Id),
    must("remote_id", TEXT),
    must("host", TEXT),
    must("port", Want::Port),
    may("host_family", TEXT),
    may("rtcp_port", Want::Port),
    may("srtp_suite", UINT),
    may("srtp_crypto", TEXT),
];

fn success_about(room: &Id, user: &Id) -> Map<String, Value> {
    let mut data = success("success", room);
    data.insert("id".to_owned(), json!(user));
    data
}

impl VideoRoom {
    /// Serves `publish_remotely`.
    pub(crate) fn publish_remotely(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
        known: &Known,
    ) -> Result<Value, Halt> {
        body.check(&REMOTIZE)?;
        let (room_id, user) = self.lent_publisher(body)?;
        let port = body.port("port").filter(|port| *port > 0);
        let port = port.ok_or_else(|| Refusal::invalid("Invalid element (port)"))?;
        let key = srtp(body)?;
        let remote_id = body.text("remote_id").unwrap_or_default();
        self.check_remotizable(&room_id, &user, remote_id)?;
        if key.is_some() && self.remotizations().any(|(_, have)| have.srtp == key) {
            let text = "This key is another remotization's, which has the same SSRCs (srtp_crypto)";
            return Err(Refusal::invalid(text).into());
        }
        let at = address(body, known)?.ok_or_else(|| Refusal::invalid("Invalid element (host)"))?;
        let room = self.rooms.get_mut(&room_id);
        let who = room.and_then(|room| room.participants.get_mut(&user));
        let who = who.ok_or_else(|| Refusal::new(Code::NoSuchFeed, "No such feed"))?;
        let rtcp_port = body.port("rtcp_port").filter(|port| *port > 0);
        who.remotizations.push(Remotization {
            remote_id: remote_id.to_owned(),
            to: SocketAddr::new(at, port),
            rtcp_port,
            feedback: None,
            srtp: key,
            streams: Vec::new(),
        });
        sync_remotizations(host, who);
        let mut data = success_about(&room_id, &user);
        data.insert("remote_id".to_owned(), json!(remote_id));
        Ok(Value::Object(data))
    }

    /// Whether this publisher can be sent on under this name: 430 for one that came from afar
    /// itself, 436 for a name that is taken.
    fn check_remotizable(&self, room: &Id, user: &Id, remote_id: &str) -> Result<(), Refusal> {
        let who = self.publisher_of(room, user)?;
        if who.remote.is_some() {
            return Err(Refusal::invalid("Can't publish a remote publisher remotely"));
        }
        if who.remotizations.iter().any(|have| have.remote_id == remote_id) {
            let text = format!("Remotization {remote_id} already exists");
            return Err(Refusal::new(Code::IdExists, text));
        }
        if who.remotizations.len() >= MAX_FORWARDERS {
            return Err(Refusal::new(Code::Unknown, "Too many remotizations of one publisher"));
        }
        Ok(())
    }

    fn remotizations(&self) -> impl Iterator<Item = (&Participant, &Remotization)> {
        let all = self.rooms.values().flat_map(|room| room.participants.values());
        all.flat_map(|who| who.remotizations.iter().map(move |have| (who, have)))
    }

    /// Ends one remotization.
    pub(crate) fn unpublish_remotely(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
    ) -> Result<Value, Refusal> {
        body.check(&[must("room", Want::Id), must("publisher_id", Want::Id)])?;
        body.check(&[must("remote_id", TEXT)])?;
        let (room_id, user) = self.owned_publisher(body)?;
        let remote_id = body.text("remote_id").unwrap_or_default();
        let none = || {
            let text = format!("No such remotization ({remote_id})");
            Refusal::new(Code::NoSuchFeed, text)
        };
        let room = self.rooms.get_mut(&room_id).ok_or_else(none)?;
        let who = room.participants.get_mut(&user).ok_or_else(none)?;
        let at = who.remotizations.iter().position(|have| have.remote_id == remote_id);
        let ended = who.remotizations.remove(at.ok_or_else(none)?);
        stop_remotization(host, &ended);
        Ok(Value::Object(success_about(&room_id, &user)))
    }

    /// The remotizations of a publisher.
    pub(crate) fn list_remotes(&self, body: &Body<'_>) -> Result<Value, Refusal> {
        body.check(&[must("room", Want::Id), must("publisher_id", Want::Id)])?;
        let (room_id, user) = self.owned_publisher(body)?;
        let who = self.publisher_of(&room_id, &user)?;
        let item = |have: &Remotization| {
            let mut shown = json!({
                "remote_id": have.remote_id,
                "host": have.to.ip().to_string(),
                "port": have.to.port(),
            });
            if let Some(port) = have.rtcp_port {
                shown["rtcp_port"] = json!(port);
            }
            shown
        };
        let list: Vec<_> = who.remotizations.iter().map(item).collect();
        let mut data = success_about(&room_id, &user);
        data.insert("list".to_owned(), json!(list));
        Ok(Value::Object(data))
    }
}
