//! Requests that are known and checked in full, and whose work is not built yet: forwarding and
//! cascading (plugin-videoroom §9). They end in 499, after every error the work would end in.

use crate::api::{Body, FLAG, Field, INT, ITEMS, TEXT, UINT, Want, may, must};
use crate::error::{Code, Refusal};
use crate::participant::Participant;
use crate::plugin::VideoRoom;
use crate::room::Room;
use serde_json::{Value, json};

const FORWARD: [Field; 9] = [
    must("room", Want::Id),
    must("publisher_id", Want::Id),
    must("host", TEXT),
    may("host_family", TEXT),
    may("srtp_suite", UINT),
    may("srtp_crypto", TEXT),
    may("streams", Want::Is(bifrons_core::api::Expect::Array)),
    may("simulcast", FLAG),
    may("data_port", UINT),
];

const FORWARD_ITEM: [Field; 14] = [
    must("mid", TEXT),
    must("port", UINT),
    may("host", TEXT),
    may("host_family", TEXT),
    may("rtcp_port", UINT),
    may("ssrc", UINT),
    may("pt", UINT),
    may("simulcast", FLAG),
    may("port_2", UINT),
    may("ssrc_2", UINT),
    may("pt_2", UINT),
    may("port_3", UINT),
    may("ssrc_3", UINT),
    may("pt_3", UINT),
];

const FORWARD_LEGACY: [Field; 14] = [
    may("audio_port", UINT),
    may("audio_pt", UINT),
    may("audio_ssrc", UINT),
    may("audio_rtcp_port", UINT),
    may("video_port", UINT),
    may("video_pt", UINT),
    may("video_ssrc", UINT),
    may("video_rtcp_port", UINT),
    may("video_port_2", UINT),
    may("video_pt_2", UINT),
    may("video_ssrc_2", UINT),
    may("video_port_3", UINT),
    may("video_pt_3", UINT),
    may("video_ssrc_3", UINT),
];

const REMOTIZE: [Field; 9] = [
    must("room", Want::Id),
    must("publisher_id", Want::Id),
    must("remote_id", TEXT),
    must("host", TEXT),
    must("port", UINT),
    may("host_family", TEXT),
    may("rtcp_port", UINT),
    may("srtp_suite", UINT),
    may("srtp_crypto", TEXT),
];

const REMOTE: [Field; 10] = [
    must("room", Want::Id),
    must("streams", ITEMS),
    may("id", Want::Id),
    may("display", TEXT),
    may("metadata", Want::Is(bifrons_core::api::Expect::Object)),
    may("mcast", TEXT),
    may("iface", TEXT),
    may("port", UINT),
    may("srtp_suite", UINT),
    may("srtp_crypto", TEXT),
];

const REMOTE_STREAM: [Field; 17] = [
    must("mid", TEXT),
    must("mindex", UINT),
    must("type", TEXT),
    may("codec", TEXT),
    may("description", TEXT),
    may("disabled", FLAG),
    may("stereo", FLAG),
    may("fec", FLAG),
    may("dtx", FLAG),
    may("h264_profile", TEXT),
    may("vp9_profile", TEXT),
    may("simulcast", FLAG),
    may("svc", FLAG),
    may("audiolevel_ext_id", INT),
    may("videoorient_ext_id", INT),
    may("playoutdelay_ext_id", INT),
    may("ssrc", UINT),
];

/// 499 that names the request.
fn not_built(name: &str) -> Refusal {
    Refusal::new(Code::Unknown, format!("Not built yet ({name})"))
}

impl VideoRoom {
    /// Serves the rest of the synchronous requests. 423 for a name that is none.
    pub(crate) fn unbuilt(&self, name: &str, body: &Body<'_>) -> Result<Value, Refusal> {
        match name {
            "rtp_forward" => self.rtp_forward(body)?,
            "stop_rtp_forward" => {
                body.check(&[must("room", Want::Id), must("publisher_id", Want::Id)])?;
                body.check(&[must("stream_id", UINT)])?;
                self.lent_publisher(body)?;
                let text = format!("No such stream ({})", body.number("stream_id").unwrap_or(0));
                return Err(Refusal::new(Code::NoSuchFeed, text));
            }
            "listforwarders" => {
                body.check(&[must("room", Want::Id)])?;
                let room = &self.owned_room(body)?.id;
                let none: [Value; 0] = [];
                return Ok(json!({ "videoroom": "forwarders", "room": room, "publishers": none }));
            }
            "publish_remotely" => {
                body.check(&REMOTIZE)?;
                self.lent_publisher(body)?;
                check_host(body)?;
                if body.number("port") == Some(0) {
                    return Err(Refusal::invalid("Invalid element (port)"));
                }
            }
            "unpublish_remotely" => {
                body.check(&[must("room", Want::Id), must("publisher_id", Want::Id)])?;
                body.check(&[must("remote_id", TEXT)])?;
                publisher_of(self.owned_room(body)?, body)?;
                return Err(Refusal::new(Code::NoSuchFeed, "No such remotization (remote_id)"));
            }
            "listremotes" | "list_remotes" => {
                body.check(&[must("room", Want::Id), must("publisher_id", Want::Id)])?;
                let room = self.owned_room(body)?;
                let (room, id) = (&room.id, &publisher_of(room, body)?.id);
                let none: [Value; 0] = [];
                return Ok(json!({ "videoroom": "success", "room": room, "id": id, "list": none }));
            }
            "add_remote_publisher" => self.add_remote(body)?,
            "update_remote_publisher" => {
                body.check(&[must("id", Want::Id)])?;
                body.check(&REMOTE)?;
                self.owned_room(body)?;
                body.items("streams", &REMOTE_STREAM)?;
                return Err(self.no_remote(body));
            }
            "remove_remote_publisher" => {
                body.check(&[must("room", Want::Id), must("id", Want::Id)])?;
                self.owned_room(body)?;
                return Err(self.no_remote(body));
            }
            _ => return Err(Refusal::unknown_request(name)),
        }
        Err(not_built(name))
    }

    fn rtp_forward(&self, body: &Body<'_>) -> Result<(), Refusal> {
        body.check(&FORWARD)?;
        body.check(&FORWARD_LEGACY)?;
        self.lent_publisher(body)?;
        check_host(body)?;
        for item in body.items("streams", &FORWARD_ITEM)? {
            check_host(&item)?;
        }
        Ok(())
    }

    fn add_remote(&self, body: &Body<'_>) -> Result<(), Refusal> {
        body.check(&REMOTE)?;
        let room = self.owned_room(body)?;
        for item in body.items("streams", &REMOTE_STREAM)? {
            match item.text("type") {
                Some("data") => {}
                Some("audio" | "video") => item.check(&[must("codec", TEXT)])?,
                _ => return Err(Refusal::invalid("Invalid element (type)")),
            }
        }
        match body.id("id").filter(|id| room.participants.contains_key(id)) {
            Some(id) => Err(Refusal::new(Code::IdExists, format!("User ID {id} already exists"))),
            None => Ok(()),
        }
    }

    /// The publisher to forward, once room secret and, where forwarding is locked, admin key are
    /// proved.
    fn lent_publisher(&self, body: &Body<'_>) -> Result<&Participant, Refusal> {
        if self.general.lock_rtp_forward {
            body.prove("admin_key", self.general.admin_key.as_deref())?;
        }
        publisher_of(self.owned_room(body)?, body)
    }

    /// There are no remote publishers, so whoever is meant is none.
    fn no_remote(&self, body: &Body<'_>) -> Refusal {
        let id = body.value("id").cloned().unwrap_or_default();
        Refusal::new(Code::NoSuchFeed, format!("No such remote publisher ({id})"))
    }
}

fn publisher_of<'a>(room: &'a Room, body: &Body<'_>) -> Result<&'a Participant, Refusal> {
    let id = body.the_id("publisher_id")?;
    room.participants
        .get(&id)
        .ok_or_else(|| Refusal::new(Code::NoSuchFeed, format!("No such feed ({id})")))
}

/// `host_family` and the SRTP suite, where given.
fn check_host(body: &Body<'_>) -> Result<(), Refusal> {
    if body.text("host_family").is_some_and(|family| !["ipv4", "ipv6"].contains(&family)) {
        return Err(Refusal::invalid("Unsupported protocol family (host_family)"));
    }
    let suite = body.number("srtp_suite").filter(|_| body.has("srtp_crypto"));
    if suite.is_some_and(|suite| suite != 32 && suite != 80) {
        return Err(Refusal::invalid("Invalid SRTP suite (srtp_suite)"));
    }
    Ok(())
}
