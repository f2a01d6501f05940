//! Publishers that another server sends: `add_remote_publisher`, `update_remote_publisher`,
//! `remove_remote_publisher` (plugin-videoroom §9.3).

use crate::MAX_PARTICIPANTS;
use crate::address::srtp;
use crate::api::{Body, FLAG, Field, INT, ITEMS, OBJECT, TEXT, UINT, Want, may, must};
use crate::error::{Code, Refusal};
use crate::forwarders::{PORTS, REMOTE_SSRC, REMOTE_STEP, stop_all};
use crate::management::success;
use crate::notice;
use crate::participant::{For, Participant, Presence, Stream};
use crate::plugin::VideoRoom;
use crate::relay;
use crate::room::Room;
use crate::settings::Settings;
use bifrons_core::codec::Codec;
use bifrons_core::media::{
    Carries, Fact, IngestId, IngestSetup, MediaKind, Mindex, Plan, Port, PortError, PortRequest,
};
use bifrons_core::plugin::{Home, Host, Id};
use bifrons_core::rtp::{Extension, ExtensionIds, Ssrc};
use bifrons_core::sdp::OpusParameters;
use serde_json::{Value, json};
use std::net::IpAddr;

/// Most streams of one remote publisher: what one port feeds.
const MAX_STREAMS: usize = 63;

const REMOTE: [Field; 10] = [
    must("room", Want::Id),
    must("streams", ITEMS),
    may("id", Want::Id),
    may("display", TEXT),
    may("metadata", OBJECT),
    may("mcast", TEXT),
    may("iface", TEXT),
    may("port", Want::Port),
    may("srtp_suite", UINT),
    may("srtp_crypto", TEXT),
];

const REMOTE_STREAM: [Field; 16] = [
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
];

/// Where a remote publisher arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remote {
    /// Its media, all streams.
    pub(crate) rtp: Port,
    /// Its RTCP.
    pub(crate) rtcp: Port,
}

/// A stream as another server announces it.
fn stream(item: &Body<'_>, settings: &Settings, mindex: Mindex) -> Result<Stream, Refusal> {
    let kind = match item.text("type") {
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        Some("data") => MediaKind::Data,
        _ => return Err(Refusal::invalid("Invalid element (type)")),
    };
    let mut stream = Stream::new(kind, mindex, mindex.to_string());
    stream.description = item.text("description").map(str::to_owned);
    stream.disabled = item.flag("disabled").unwrap_or(false);
    if kind == MediaKind::Data {
        return Ok(stream);
    }
    item.check(&[must("codec", TEXT)])?;
    let codec = item.text("codec").and_then(Codec::from_janus_name);
    let codec = codec.filter(|codec| codec.is_video() == (kind == MediaKind::Video));
    let Some(codec) = codec else {
        let text = "Missing mandatory element (codec: not a known one)";
        return Err(Refusal::new(Code::MissingElement, text));
    };
    let listed = settings.audio_codecs.contains(&codec) || settings.video_codecs.contains(&codec);
    stream.disabled |= !listed;
    stream.codec = Some(codec);
    let flag = |name| item.flag(name).unwrap_or(false);
    stream.opus = OpusParameters { fec: flag("fec"), dtx: flag("dtx"), stereo: flag("stereo") };
    stream.h264_profile = item.filled("h264_profile");
    stream.vp9_profile = item.filled("vp9_profile");
    stream.simulcast = flag("simulcast");
    stream.svc = flag("svc");
    let id = |name| item.integer(name).and_then(|id| u8::try_from(id).ok()).filter(|id| *id > 0);
    stream.extensions.audio_level = id("audiolevel_ext_id");
    stream.extensions.orientation = id("videoorient_ext_id");
    stream.extensions.playout_delay = id("playoutdelay_ext_id");
    Ok(stream)
}

/// What an ingest of a stream yields.
fn setup(stream: &Stream) -> IngestSetup {
    let mut extensions = ExtensionIds::new();
    let ids = [
        (Extension::AudioLevel, stream.extensions.audio_level),
        (Extension::VideoOrientation, stream.extensions.orientation),
        (Extension::PlayoutDelay, stream.extensions.playout_delay),
    ];
    for (extension, id) in ids {
        if let Some(id) = id {
            // An id that no packet can have is as good as none.
            let _ = extensions.set(extension, id);
        }
    }
    let clock_hz = stream.codec.map_or(90_000, Codec::clock_rate);
    let simulcast = stream.simulcast;
    IngestSetup { simulcast, extensions, ..IngestSetup::new(stream.kind, stream.codec, clock_hz) }
}

impl VideoRoom {
    /// Serves `add_remote_publisher`.
    pub(crate) fn add_remote(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
    ) -> Result<Value, Refusal> {
        body.check(&REMOTE)?;
        let room = self.owned_room(body)?;
        let items = body.items("streams", &REMOTE_STREAM)?;
        if items.len() > MAX_STREAMS {
            return Err(Refusal::invalid("Too many streams (streams)"));
        }
        let streams = items.iter().zip(0..);
        let streams: Vec<Stream> = streams
            .map(|(item, mindex)| stream(item, &room.settings, mindex))
            .collect::<Result<_, _>>()?;
        let user = self.remote_id(host, room, body)?;
        let room_id = room.id.clone();
        let (remote, shown) = open(host, body, &room_id)?;
        let Some(room) = self.rooms.get_mut(&room_id) else {
            return Err(crate::plugin::no_such_room(&room_id));
        };
        let mut who = Participant {
            id: user.clone(),
            presence: Presence::Remote,
            private_id: 0,
            display: body.text("display").map(str::to_owned),
            metadata: body.object("metadata").cloned(),
            e2ee: false,
            bitrate_bps: 0,
            active_packets: None,
            level_average: None,
            streams,
            peer: None,
            remote: Some(remote),
            forwarders: Vec::new(),
            remotizations: Vec::new(),
        };
        for at in 0..who.streams.len() {
            feed(host, &mut self.ingests, &room_id, &mut who, at);
        }
        relay::sync_policies(host, &room.settings, &mut who);
        room.participants.insert(user.clone(), who);
        self.tell_published(host, &room_id, &user, "published");
        let mut data = success("success", &room_id);
        data.insert("id".to_owned(), json!(user));
        if let Some(ip) = shown {
            data.insert("ip".to_owned(), json!(ip.to_string()));
        }
        data.insert("port".to_owned(), json!(remote.rtp.address.port()));
        data.insert("rtcp_port".to_owned(), json!(remote.rtcp.address.port()));
        Ok(Value::Object(data))
    }

    fn remote_id(&self, host: &mut dyn Host, room: &Room, body: &Body<'_>) -> Result<Id, Refusal> {
        if room.participants.len() >= MAX_PARTICIPANTS {
            return Err(Refusal::new(Code::Unknown, "Too many participants in the room"));
        }
        match body.id("id").filter(|id| !id.is_unset()) {
            Some(id) if room.participants.contains_key(&id) => {
                Err(Refusal::new(Code::IdExists, format!("User ID {id} already exists")))
            }
            Some(id) => Ok(id),
            None => loop {
                let id = Id::generate(host, self.general.string_ids);
                if !room.participants.contains_key(&id) {
                    return Ok(id);
                }
            },
        }
    }

    /// Others see what a remote publisher has now.
    fn tell_published(&self, host: &mut dyn Host, room_id: &Id, user: &Id, name: &str) {
        let Some(room) = self.rooms.get(room_id) else { return };
        let Some(who) = room.participants.get(user) else { return };
        room.tell(host, Some(user), &notice::published(room_id, who));
        self.tell_handlers(host, None, || {
            let mut body = notice::handlers_about(name, room_id, who);
            body.insert("streams".to_owned(), who.describe_streams(For::Others));
            body
        });
    }

    /// Serves `update_remote_publisher`.
    pub(crate) fn update_remote(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
    ) -> Result<Value, Refusal> {
        body.check(&[must("id", Want::Id)])?;
        body.check(&REMOTE)?;
        let (room_id, user) = self.remote_of(body)?;
        let items = body.items("streams", &REMOTE_STREAM)?;
        let Some(room) = self.rooms.get_mut(&room_id) else {
            return Err(crate::plugin::no_such_room(&room_id));
        };
        let Room { participants, settings, .. } = room;
        let Some(who) = participants.get_mut(&user) else { return Err(no_remote(&user)) };
        let mut new = Vec::new();
        for item in &items {
            let known = item.text("mid").and_then(|mid| who.stream(mid)).is_some();
            let next = who.streams.len() + new.len();
            // A gap is refused silently.
            let mindex = item.number("mindex").map_or(usize::MAX, |mindex| mindex as usize);
            if !known && mindex == next && next < MAX_STREAMS {
                new.push(stream(item, settings, next as Mindex)?);
            }
        }
        if let Some(display) = body.text("display") {
            who.display = Some(display.to_owned());
        }
        if let Some(metadata) = body.object("metadata") {
            who.metadata = Some(metadata.clone());
        }
        let mut changed = !new.is_empty();
        for item in &items {
            let mid = item.text("mid").unwrap_or_default();
            let Some(at) = who.streams.iter().position(|stream| stream.mid == mid) else {
                continue;
            };
            changed |= change(host, &mut self.ingests, &room_id, who, at, item);
        }
        for stream in new {
            who.streams.push(stream);
            let at = who.streams.len() - 1;
            feed(host, &mut self.ingests, &room_id, who, at);
        }
        relay::sync_policies(host, settings, who);
        if changed {
            self.resync(host, &room_id, &user);
            self.tell_published(host, &room_id, &user, "updated");
        }
        Ok(json!({ "videoroom": "success" }))
    }

    /// The routes of everybody who watches a publisher follow what it has now.
    fn resync(&mut self, host: &mut dyn Host, room_id: &Id, user: &Id) {
        let Some(room) = self.rooms.get(room_id) else { return };
        for handle in &room.subscribers {
            if let Some(sub) = self.subscriptions.get_mut(handle)
                && sub.lines.iter().any(|line| line.is_of(user))
            {
                relay::sync_routes(host, Some(room), sub);
            }
        }
    }

    /// Serves `remove_remote_publisher`.
    pub(crate) fn remove_remote(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
    ) -> Result<Value, Refusal> {
        body.check(&[must("room", Want::Id), must("id", Want::Id)])?;
        let (room_id, user) = self.remote_of(body)?;
        self.drop_feed(host, &room_id, &user, true);
        self.remove_participant(host, &room_id, &user, "leaving");
        Ok(json!({ "videoroom": "success" }))
    }

    /// The remote publisher that a request names; 428 for anybody else.
    fn remote_of(&self, body: &Body<'_>) -> Result<(Id, Id), Refusal> {
        let room = self.owned_room(body)?;
        let user = body.the_id("id")?;
        let who = room.participants.get(&user).filter(|who| who.remote.is_some());
        who.map(|_| (room.id.clone(), user.clone())).ok_or_else(|| no_remote(&user))
    }

    /// What of a participant outside of PeerConnections ends with it: ports, ingests, forwarders.
    pub(crate) fn forget_media(&mut self, host: &mut dyn Host, who: &mut Participant) {
        stop_all(host, who);
        for stream in &mut who.streams {
            if let Some(ingest) = stream.ingest.take() {
                self.ingests.remove(&ingest);
                host.plan(Plan::EndIngest { ingest });
            }
        }
        if let Some(remote) = who.remote.take() {
            host.close_port(remote.rtp.id);
            host.close_port(remote.rtcp.id);
        }
    }

    /// What shards say of a remote publisher's media.
    pub(crate) fn remote_fact(&mut self, host: &mut dyn Host, ingest: IngestId, fact: &Fact) {
        let Some((room, user, mindex)) = self.ingests.get(&ingest).cloned() else { return };
        if let Fact::Talking { talking, average_dbov, .. } = *fact {
            self.talking(host, &room, &user, mindex, talking, average_dbov);
        }
    }
}

fn no_remote(user: &Id) -> Refusal {
    Refusal::new(Code::NoSuchFeed, format!("No such remote publisher ({user})"))
}

/// Opens both ports of a remote publisher, on the shard that is its room's home; also the address
/// to show, where the request asked for one.
fn open(
    host: &mut dyn Host,
    body: &Body<'_>,
    room: &Id,
) -> Result<(Remote, Option<IpAddr>), Refusal> {
    let key = srtp(body)?;
    let interface = parsed(body, "iface")?;
    let group = parsed(body, "mcast")?;
    let shard = Home::of(room).shard(host.shards().into());
    let failed = |error: PortError| {
        let text = match error {
            PortError::Refused(text) => text,
            PortError::Full => "too many ports".to_owned(),
            PortError::Unsupported => "there are none here".to_owned(),
        };
        Refusal::new(Code::Unknown, format!("No port can be opened: {text}"))
    };
    let (first, last) = match body.port("port").filter(|port| *port > 0) {
        Some(port) => (port, port),
        None => PORTS,
    };
    let wanted =
        PortRequest { interface, group, open: key, ..PortRequest::new(shard, first, last) };
    let rtp = host.open_port(wanted).map_err(failed)?;
    let (first, last) = PORTS;
    let wanted = PortRequest { interface, ..PortRequest::new(shard, first, last) };
    match host.open_port(wanted) {
        Ok(rtcp) => Ok((Remote { rtp, rtcp }, interface)),
        Err(error) => {
            host.close_port(rtp.id);
            Err(failed(error))
        }
    }
}

/// An address in a body; 499 for what is none (names of interfaces are not known here).
fn parsed(body: &Body<'_>, name: &str) -> Result<Option<IpAddr>, Refusal> {
    let Some(text) = body.filled(name) else { return Ok(None) };
    let refused = |_| Refusal::new(Code::Unknown, format!("Not an address of ours ({name})"));
    text.parse().map(Some).map_err(refused)
}

type Ingests = std::collections::HashMap<IngestId, (Id, Id, Mindex)>;

/// Has the publisher's ports feed one of its streams, unless that is disabled.
fn feed(host: &mut dyn Host, ingests: &mut Ingests, room: &Id, who: &mut Participant, at: usize) {
    let (Some(remote), id) = (who.remote, who.id.clone()) else { return };
    let Some(stream) = who.streams.get_mut(at).filter(|stream| !stream.disabled) else { return };
    let ingest = host.new_ingest(remote.rtp.id.shard);
    host.plan(Plan::Ingest { ingest, setup: setup(stream) });
    let base = Ssrc(REMOTE_SSRC + u32::from(stream.mindex) * REMOTE_STEP);
    let mut feed = |port, carries| host.plan(Plan::Feed { port, ingest, carries });
    feed(remote.rtp.id, Carries::Ssrcs(base));
    if stream.kind != MediaKind::Data {
        feed(remote.rtcp.id, Carries::Rtcp);
    }
    stream.ingest = Some(ingest);
    stream.policy = None;
    ingests.insert(ingest, (room.clone(), id, stream.mindex));
}

/// Changes a known stream; true if anything did.
fn change(
    host: &mut dyn Host,
    ingests: &mut Ingests,
    room: &Id,
    who: &mut Participant,
    at: usize,
    item: &Body<'_>,
) -> bool {
    let Some(stream) = who.streams.get_mut(at) else { return false };
    let mut changed = false;
    if let Some(text) = item.text("description")
        && stream.description.as_deref() != Some(text)
    {
        stream.description = Some(text.to_owned());
        changed = true;
    }
    let disabled = item.flag("disabled").unwrap_or(stream.disabled);
    if disabled == stream.disabled {
        return changed;
    }
    stream.disabled = disabled;
    if disabled && let Some(ingest) = stream.ingest.take() {
        ingests.remove(&ingest);
        host.plan(Plan::EndIngest { ingest });
    } else {
        feed(host, ingests, room, who, at);
    }
    true
}
