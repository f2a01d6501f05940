//! Synchronous requests about mountpoints that are there (plugin-streaming §3).

use crate::api::{Body, FLAG, Field, TEXT, Want, may, must};
use crate::error::Refusal;
use crate::plugin::Streaming;
use crate::ports;
use bifrons_core::media::Plan;
use bifrons_core::plugin::{Host, HostExt, Id, ReplyKey, Verdict};
use serde_json::{Map, Value, json};

/// The mountpoint that a request is about.
pub(crate) const ID: Field = must("id", Want::Id);

/// Fields of `edit`.
const EDIT: [Field; 8] = [
    ID,
    may("new_description", TEXT),
    may("new_metadata", TEXT),
    may("new_secret", TEXT),
    may("new_pin", TEXT),
    may("new_is_private", FLAG),
    may("permanent", FLAG),
    may("edited_event", FLAG),
];

impl Streaming {
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
            "list" => self.list(host, &body)?,
            "info" => self.info(host, &body)?,
            "enable" => self.enable(host, &body, true)?,
            "disable" => self.enable(host, &body, false)?,
            "kick_all" => self.kick_all(host, &body)?,
            "recording" => self.recording(&body)?,
            _ => return Err(Refusal::unknown_request(name)),
        };
        Ok(Verdict::Reply(data))
    }

    /// The id of the mountpoint that `body` names, once its secret is proved. The fields of the
    /// request have to be checked before.
    pub(crate) fn owned(&self, body: &Body<'_>) -> Result<Id, Refusal> {
        let mountpoint = self.mountpoint(&body.the_id("id")?)?;
        body.prove("secret", mountpoint.profile.secret.as_deref())?;
        Ok(mountpoint.id.clone())
    }

    fn list(&self, host: &dyn Host, body: &Body<'_>) -> Result<Value, Refusal> {
        body.check(&[may("admin_key", TEXT)])?;
        let shows_private = body.proves_operator(self.general.admin_key.as_deref())?;
        let seen = self.mountpoints.values().filter(|m| shows_private || !m.profile.is_private);
        let list: Vec<Value> = seen.map(|mountpoint| mountpoint.listed(host)).collect();
        Ok(json!({ "streaming": "list", "list": list }))
    }

    fn info(&self, host: &dyn Host, body: &Body<'_>) -> Result<Value, Refusal> {
        body.check(&[ID, may("secret", TEXT)])?;
        let mountpoint = self.mountpoint(&body.the_id("id")?)?;
        let info = mountpoint.described(mountpoint.is_open_to(body), host);
        Ok(json!({ "streaming": "info", "info": info }))
    }

    fn edit(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
        reply: Option<ReplyKey>,
    ) -> Result<Verdict, Refusal> {
        body.check(&EDIT)?;
        let id = self.owned(body)?;
        let permanent = self.ledger.asked(body)?;
        let Some(mountpoint) = self.mountpoints.get_mut(&id) else {
            return Err(crate::plugin::no_such_mountpoint(&id));
        };
        let profile = &mut mountpoint.profile;
        if let Some(text) = body.filled("new_description") {
            profile.description = text;
        }
        if let Some(secret) = body.filled("new_secret") {
            profile.secret = Some(secret);
        }
        if let Some(pin) = body.text("new_pin") {
            profile.pin = Some(pin.to_owned()).filter(|pin| !pin.is_empty());
        }
        profile.is_private = body.flag("new_is_private").unwrap_or(profile.is_private);
        if let Some(metadata) = body.text("new_metadata") {
            let changed = profile.metadata.as_deref() != Some(metadata);
            profile.metadata = Some(metadata.to_owned());
            if changed && body.flag("edited_event").unwrap_or(false) {
                // `event` is what Janus sends, `streaming` what its documentation says.
                let notice = json!({
                    "streaming": "edited", "event": "edited", "id": id, "metadata": metadata,
                });
                mountpoint.viewers.iter().for_each(|handle| host.notify(*handle, notice.clone()));
            }
        }
        self.tell_handlers(host, self.asker, || json!({ "event": "edited", "id": id }));
        let mut data = Map::new();
        data.insert("streaming".to_owned(), json!("edited"));
        data.insert("id".to_owned(), json!(id));
        Ok(self.conclude(host, data, &id, permanent, reply))
    }

    fn destroy(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
        reply: Option<ReplyKey>,
    ) -> Result<Verdict, Refusal> {
        body.check(&[ID, may("permanent", FLAG)])?;
        let id = self.owned(body)?;
        let permanent = self.ledger.asked(body)?;
        self.dismiss_all(host, &id, "stopped");
        if let Some(mountpoint) = self.mountpoints.remove(&id) {
            if let Some(service) = mountpoint.service {
                self.services.remove(&service);
                host.stop_service(service);
            }
            for ingest in mountpoint.streams.iter().filter_map(|stream| stream.ingest) {
                host.plan(Plan::EndIngest { ingest });
            }
            mountpoint.ports.iter().for_each(|port| host.close_port(port.id));
        }
        self.tell_handlers(host, self.asker, || json!({ "event": "destroyed", "id": id }));
        let mut data = Map::new();
        data.insert("streaming".to_owned(), json!("destroyed"));
        data.insert("destroyed".to_owned(), json!(id));
        Ok(self.conclude(host, data, &id, permanent, reply))
    }

    fn enable(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
        enabled: bool,
    ) -> Result<Value, Refusal> {
        body.check(&[ID])?;
        if !enabled {
            // Nothing is recorded yet, so there is nothing to stop either.
            body.check(&[may("stop_recording", FLAG)])?;
        }
        let id = self.owned(body)?;
        let Some(mountpoint) = self.mountpoints.get_mut(&id) else {
            return Err(crate::plugin::no_such_mountpoint(&id));
        };
        if mountpoint.enabled != enabled {
            mountpoint.enabled = enabled;
            ports::enable(host, &mountpoint.streams, &mountpoint.rules, enabled);
            if let Some(mountpoint) = self.mountpoints.get(&id) {
                self.hold_players(host, mountpoint);
            }
        }
        Ok(json!({ "streaming": "ok" }))
    }

    fn kick_all(&mut self, host: &mut dyn Host, body: &Body<'_>) -> Result<Value, Refusal> {
        body.check(&[ID])?;
        let id = self.owned(body)?;
        self.dismiss_all(host, &id, "kicked_all");
        self.tell_handlers(host, self.asker, || json!({ "event": "kicked_all", "id": id }));
        Ok(json!({ "streaming": "kicked_all" }))
    }

    /// Ends the PeerConnections of all viewers of a mountpoint, telling them why.
    fn dismiss_all(&mut self, host: &mut dyn Host, id: &Id, status: &str) {
        let viewers = self.mountpoints.get(id).map(|mountpoint| mountpoint.viewers.clone());
        for handle in viewers.into_iter().flatten() {
            self.dismiss(host, handle, status);
        }
    }
}
