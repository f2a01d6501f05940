//! `rtp_forward`, `stop_rtp_forward`, `listforwarders` (plugin-videoroom §4, §9.1).

use crate::address::{Halt, Known, address, srtp};
use crate::api::{ARRAY, Body, FLAG, Field, TEXT, UINT, Want, may, must};
use crate::error::{Code, Refusal};
use crate::forwarders::{
    Forwarder, MAX_FORWARDERS, clash, feedback_port, first_of, forwarding_shard, source_of,
};
use crate::management::success;
use crate::notice;
use crate::participant::{Participant, Stream};
use crate::plugin::VideoRoom;
use crate::relay;
use crate::room::Room;
use bifrons_core::media::MediaKind;
use bifrons_core::plugin::Host;
use bifrons_core::plugin::Id;
use bifrons_core::srtp::MasterKey;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

const FORWARD: [Field; 9] = [
    must("room", Want::Id),
    must("publisher_id", Want::Id),
    must("host", TEXT),
    may("host_family", TEXT),
    may("srtp_suite", UINT),
    may("srtp_crypto", TEXT),
    may("streams", ARRAY),
    may("simulcast", FLAG),
    may("data_port", Want::Port),
];

const FORWARD_ITEM: [Field; 14] = [
    must("mid", TEXT),
    must("port", Want::Port),
    may("host", TEXT),
    may("host_family", TEXT),
    may("rtcp_port", Want::Port),
    may("ssrc", UINT),
    may("pt", UINT),
    may("simulcast", FLAG),
    may("port_2", Want::Port),
    may("ssrc_2", UINT),
    may("pt_2", UINT),
    may("port_3", Want::Port),
    may("ssrc_3", UINT),
    may("pt_3", UINT),
];

const FORWARD_LEGACY: [Field; 14] = [
    may("audio_port", Want::Port),
    may("audio_pt", UINT),
    may("audio_ssrc", UINT),
    may("audio_rtcp_port", Want::Port),
    may("video_port", Want::Port),
    may("video_pt", UINT),
    may("video_ssrc", UINT),
    may("video_rtcp_port", Want::Port),
    may("video_port_2", Want::Port),
    may("video_pt_2", UINT),
    may("video_ssrc_2", UINT),
    may("video_port_3", Want::Port),
    may("video_pt_3", UINT),
    may("video_ssrc_3", UINT),
];

/// One port that is asked for, of one stream.
struct Wish {
    mid: String,
    substream: u8,
    host: IpAddr,
    port: u16,
    payload_type: Option<u8>,
    ssrc: Option<u32>,
    rtcp_port: Option<u16>,
    picks: bool,
}

impl Wish {
    /// The wish that `prefix` and `suffix` spell in a body, e.g. `video_port_2`; `None` without a
    /// port.
    fn read(body: &Body<'_>, mid: &str, host: IpAddr, prefix: &str, substream: u8) -> Option<Self> {
        let suffix = ["", "_2", "_3"].get(usize::from(substream)).copied().unwrap_or_default();
        let number = |name: &str| body.number(&format!("{prefix}{name}{suffix}"));
        let port = u16::try_from(number("port")?).ok()?;
        if port == 0 && substream > 0 {
            return None;
        }
        let rtcp = if substream == 0 { body.number(&format!("{prefix}rtcp_port")) } else { None };
        Some(Wish {
            mid: mid.to_owned(),
            substream,
            host,
            port,
            payload_type: number("pt").filter(|pt| *pt > 0).map(|pt| (pt & 0x7F) as u8),
            ssrc: number("ssrc").filter(|ssrc| *ssrc > 0),
            rtcp_port: rtcp.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0),
            picks: false,
        })
    }
}

/// The ports wished for one stream.
fn wishes_of(
    body: &Body<'_>,
    stream: &Stream,
    host: IpAddr,
    prefix: &str,
    picks: bool,
) -> Vec<Wish> {
    let last = if stream.kind == MediaKind::Video && !picks { 2 } else { 0 };
    let read = |substream| Wish::read(body, &stream.mid, host, prefix, substream);
    let picks = picks && stream.kind == MediaKind::Video;
    let mut wishes: Vec<Wish> = (0..=last).filter_map(read).collect();
    for wish in &mut wishes {
        wish.picks = picks;
        if stream.kind == MediaKind::Data {
            (wish.payload_type, wish.ssrc, wish.rtcp_port) = (None, None, None);
        }
    }
    wishes
}

impl VideoRoom {
    /// Serves `rtp_forward`: everything is checked and every name known before anything begins.
    pub(crate) fn rtp_forward(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
        known: &Known,
    ) -> Result<Value, Halt> {
        body.check(&FORWARD)?;
        body.check(&FORWARD_LEGACY)?;
        let items = body.items("streams", &FORWARD_ITEM)?;
        let (room_id, user) = self.lent_publisher(body)?;
        let key = srtp(body)?;
        let top =
            address(body, known)?.ok_or_else(|| Refusal::invalid("Invalid element (host)"))?;
        let who = self.publisher_of(&room_id, &user)?;
        let legacy = !body.has("streams");
        let mut wishes = Vec::new();
        if legacy {
            let picks = body.flag("simulcast").unwrap_or(false);
            for (kind, prefix) in [
                (MediaKind::Audio, "audio_"),
                (MediaKind::Video, "video_"),
                (MediaKind::Data, "data_"),
            ] {
                if let Some(stream) = first_of(who, kind) {
                    wishes.extend(wishes_of(body, stream, top, prefix, picks));
                }
            }
        }
        for item in &items {
            let at = address(item, known)?.unwrap_or(top);
            let mid = item.text("mid").unwrap_or_default();
            let picks = item.flag("simulcast").unwrap_or(false);
            if let Some(stream) = who.stream(mid).filter(|stream| !stream.disabled) {
                wishes.extend(wishes_of(item, stream, at, "", picks));
            }
        }
        let made = self.forward_all(host, &room_id, &user, &wishes, key)?;
        let mut data = success("rtp_forward", &room_id);
        data.insert("publisher_id".to_owned(), json!(user));
        if legacy {
            data.insert("rtp_stream".to_owned(), legacy_reply(&made, top));
            if let Ok(who) = self.publisher_of(&room_id, &user)
                && made.iter().any(|forwarder| forwarder.kind == MediaKind::Video)
            {
                relay::ask_keyframes(host, who, None);
            }
        } else {
            let list: Vec<_> = made.iter().map(Forwarder::describe).collect();
            data.insert("forwarders".to_owned(), json!(list));
        }
        Ok(Value::Object(data))
    }

    fn forward_all(
        &mut self,
        host: &mut dyn Host,
        room_id: &Id,
        user: &Id,
        wishes: &[Wish],
        key: Option<MasterKey>,
    ) -> Result<Vec<Forwarder>, Refusal> {
        let who = self.publisher_of(room_id, user)?;
        if who.forwarders.len() + wishes.len() > MAX_FORWARDERS {
            return Err(Refusal::new(Code::Unknown, "Too many forwarders of one publisher"));
        }
        let mut made: Vec<Forwarder> = Vec::with_capacity(wishes.len());
        for wish in wishes {
            let Some(stream) = who.stream(&wish.mid) else { continue };
            let taken = |id: u32| who.forwarders.iter().chain(&made).any(|f| f.stream_id == id);
            let forwarder = Forwarder {
                stream_id: fresh(host, taken),
                id: None,
                kind: stream.kind,
                mindex: stream.mindex,
                host: wish.host,
                port: wish.port,
                payload_type: wish.payload_type,
                ssrc: wish.ssrc,
                rtcp: None,
                substream: wish.substream,
                picks: wish.picks,
                srtp: key.filter(|_| stream.kind != MediaKind::Data),
                source: source_of(host, who, stream),
            };
            let rooms = self.rooms.values().flat_map(|room| room.participants.values());
            let mut all = rooms.flat_map(|who| &who.forwarders).chain(&made);
            if all.any(|have| clash(have, &forwarder)) {
                let text = "Another stream is sent with this SSRC under this key (srtp_crypto)";
                return Err(Refusal::invalid(text));
            }
            made.push(forwarder);
        }
        open_feedback(host, &mut made, wishes)?;
        for forwarder in &mut made {
            forwarder.start(host);
            self.tell_of_forwarder(host, room_id, user, forwarder);
        }
        let room = self.rooms.get_mut(room_id);
        if let Some(who) = room.and_then(|room| room.participants.get_mut(user)) {
            who.forwarders.extend(made.iter().cloned());
        }
        Ok(made)
    }

    fn tell_of_forwarder(&self, host: &mut dyn Host, room: &Id, user: &Id, made: &Forwarder) {
        let who = self.publisher_of(room, user).ok();
        let codec = who.and_then(|who| who.codec_at(made.mindex));
        self.tell_handlers(host, None, || {
            let mut body = notice::handlers("rtp_forward", room);
            body.insert("publisher_id".to_owned(), json!(user));
            body.insert("media".to_owned(), json!(made.kind.name()));
            if let Some(codec) = codec {
                body.insert("codec".to_owned(), json!(codec.janus_name()));
            }
            if let Value::Object(shown) = made.describe() {
                for (name, value) in shown.into_iter().filter(|(name, _)| name != "type") {
                    let name =
                        if name == "substream" { "video_substream".to_owned() } else { name };
                    body.insert(name, value);
                }
            }
            body
        });
    }

    /// Ends one forwarder.
    pub(crate) fn stop_rtp_forward(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
    ) -> Result<Value, Refusal> {
        body.check(&[must("room", Want::Id), must("publisher_id", Want::Id)])?;
        body.check(&[must("stream_id", UINT)])?;
        let (room_id, user) = self.lent_publisher(body)?;
        let stream_id = body.number("stream_id").unwrap_or(0);
        let none = || Refusal::new(Code::NoSuchFeed, format!("No such stream ({stream_id})"));
        let room = self.rooms.get_mut(&room_id).ok_or_else(none)?;
        let who = room.participants.get_mut(&user).ok_or_else(none)?;
        let at = who.forwarders.iter().position(|f| f.stream_id == stream_id).ok_or_else(none)?;
        who.forwarders.remove(at).stop(host);
        self.tell_handlers(host, None, || {
            let mut body = notice::handlers("stop_rtp_forward", &room_id);
            body.insert("publisher_id".to_owned(), json!(user));
            body.insert("stream_id".to_owned(), json!(stream_id));
            body
        });
        let mut data = success("stop_rtp_forward", &room_id);
        data.insert("publisher_id".to_owned(), json!(user));
        data.insert("stream_id".to_owned(), json!(stream_id));
        Ok(Value::Object(data))
    }

    /// Publishers that are forwarded; those of remotizations are not shown.
    pub(crate) fn list_forwarders(&self, body: &Body<'_>) -> Result<Value, Refusal> {
        body.check(&[must("room", Want::Id)])?;
        let room = self.owned_room(body)?;
        let has = |who: &&Participant| !who.forwarders.is_empty() || !who.remotizations.is_empty();
        let item = |who: &Participant| {
            let mut shown = Map::new();
            shown.insert("publisher_id".to_owned(), json!(who.id));
            who.put_names(&mut shown);
            let list: Vec<_> = who.forwarders.iter().map(Forwarder::describe).collect();
            shown.insert("forwarders".to_owned(), json!(list));
            Value::Object(shown)
        };
        let publishers: Vec<_> = room.participants.values().filter(has).map(item).collect();
        let mut data = success("forwarders", &room.id);
        data.insert("publishers".to_owned(), json!(publishers));
        Ok(Value::Object(data))
    }

    /// Room and publisher to forward, once room secret and, where forwarding is locked, admin key
    /// are proved.
    pub(crate) fn lent_publisher(&self, body: &Body<'_>) -> Result<(Id, Id), Refusal> {
        if self.general.lock_rtp_forward {
            body.prove("admin_key", self.general.admin_key.as_deref())?;
        }
        self.owned_publisher(body)
    }

    /// The same without the admin key.
    pub(crate) fn owned_publisher(&self, body: &Body<'_>) -> Result<(Id, Id), Refusal> {
        let room = self.owned_room(body)?;
        let user = body.the_id("publisher_id")?;
        if !room.participants.contains_key(&user) {
            return Err(Refusal::new(Code::NoSuchFeed, format!("No such feed ({user})")));
        }
        Ok((room.id.clone(), user))
    }

    /// Somebody in a room; 428 without.
    pub(crate) fn publisher_of(&self, room: &Id, user: &Id) -> Result<&Participant, Refusal> {
        let who = self.rooms.get(room).and_then(|room: &Room| room.participants.get(user));
        who.ok_or_else(|| Refusal::new(Code::NoSuchFeed, format!("No such feed ({user})")))
    }
}

/// A port for the feedback of each that wants it; none at all if one cannot be opened.
fn open_feedback(
    host: &mut dyn Host,
    made: &mut [Forwarder],
    wishes: &[Wish],
) -> Result<(), Refusal> {
    for at in 0..made.len() {
        let wanted = wishes.get(at).and_then(|wish| wish.rtcp_port);
        let Some(forwarder) = made.get_mut(at) else { continue };
        let (Some(remote), Some(source)) = (wanted, forwarder.source) else { continue };
        let shard = forwarding_shard(host, source, forwarder.srtp.as_ref());
        if let Some((port, local)) = feedback_port(host, shard) {
            forwarder.rtcp = Some((port, local, remote));
            continue;
        }
        for opened in made.iter().filter_map(|forwarder| forwarder.rtcp) {
            host.close_port(opened.0);
        }
        return Err(Refusal::new(Code::Unknown, "No port for RTCP can be opened"));
    }
    Ok(())
}

/// A stream id that nobody has.
fn fresh(host: &mut dyn Host, taken: impl Fn(u32) -> bool) -> u32 {
    loop {
        let id = host.random() as u32;
        if id != 0 && !taken(id) {
            return id;
        }
    }
}

/// The reply to the form without `streams`.
fn legacy_reply(made: &[Forwarder], host: IpAddr) -> Value {
    let mut shown = Map::new();
    shown.insert("host".to_owned(), json!(host.to_string()));
    for forwarder in made {
        let suffix = match forwarder.substream {
            0 => String::new(),
            n => format!("_{}", n + 1),
        };
        let name = forwarder.kind.name();
        shown.insert(format!("{name}_stream_id{suffix}"), json!(forwarder.stream_id));
        shown.insert(format!("{name}{suffix}"), json!(forwarder.port));
        if let (Some((_, _, remote)), MediaKind::Video) = (forwarder.rtcp, forwarder.kind) {
            shown.insert("video_rtcp".to_owned(), json!(remote));
        }
    }
    shown.insert("warning".to_owned(), json!("deprecated_api"));
    Value::Object(shown)
}
