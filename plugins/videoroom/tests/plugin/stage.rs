//! What clients of VideoRoom do, on the stage that plugins share.

use bifrons_core::config::Tree;
use bifrons_core::plugin::{HandleKey, Jsep, SimulcastLine, SvcLine};
use bifrons_stage::{Event, World, offer};
use bifrons_videoroom::VideoRoom;
use serde_json::{Map, Value, json};

pub(crate) type Stage = bifrons_stage::Stage<VideoRoom>;

/// Without any configuration.
pub(crate) fn without_config() -> Stage {
    Stage::start(World::default(), None)
}

/// With a token that grants something.
pub(crate) fn signed(tree: &Tree, token: &str, grant: &str) -> Stage {
    let mut world = World::default();
    world.signed = Some((token.to_owned(), grant.to_owned()));
    Stage::start(world, Some(tree))
}

/// Rooms, publishers, subscribers.
pub(crate) trait Rooms {
    /// Makes a room, which has to succeed.
    fn create(&mut self, fields: Value);

    /// Joins as a participant and gives `joined`.
    fn join(&mut self, room: u64, id: u64) -> (HandleKey, Value);

    /// Joins, publishes audio and video, and comes up.
    fn publisher(&mut self, room: u64, id: u64) -> HandleKey;

    /// Subscribes to `streams`, without answering.
    fn subscriber(&mut self, room: u64, streams: Value) -> (HandleKey, Event);

    /// Subscribes, answers everything, and comes up.
    fn watcher(&mut self, room: u64, streams: Value) -> HandleKey;
}

impl Rooms for Stage {
    fn create(&mut self, mut fields: Value) {
        fields["request"] = json!("create");
        let reply = self.sync(fields);
        assert_eq!(reply["videoroom"], "created", "{reply}");
    }

    fn join(&mut self, room: u64, id: u64) -> (HandleKey, Value) {
        let handle = self.attach();
        let body = json!({ "request": "join", "ptype": "publisher", "room": room, "id": id });
        (handle, self.answer(handle, body, None).data)
    }

    fn publisher(&mut self, room: u64, id: u64) -> HandleKey {
        let (handle, joined) = self.join(room, id);
        assert_eq!(joined["videoroom"], "joined", "{joined}");
        let configured = self.answer(handle, json!({ "request": "configure" }), Some(offer(AV)));
        assert_eq!(configured.data["configured"], "ok", "{:?}", configured.data);
        self.up(handle);
        self.events();
        self.plans();
        handle
    }

    fn subscriber(&mut self, room: u64, streams: Value) -> (HandleKey, Event) {
        let handle = self.attach();
        let body = json!({
            "request": "join", "ptype": "subscriber", "room": room, "streams": streams,
        });
        let attached = self.answer(handle, body, None);
        (handle, attached)
    }

    fn watcher(&mut self, room: u64, streams: Value) -> HandleKey {
        let (handle, attached) = self.subscriber(room, streams);
        self.start_with(handle, attached.jsep.as_ref().expect("an offer"));
        self.up(handle);
        self.events();
        handle
    }
}

/// Audio and video as a browser offers them.
pub(crate) const AV: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=mid:a\r\na=sendonly\r\n\
    a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
    a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96 98\r\na=mid:v\r\na=sendonly\r\n\
    a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:98 VP9/90000\r\n\
    a=fmtp:98 profile-id=0\r\na=extmap:13 urn:3gpp:video-orientation\r\n";

/// [`AV`], with simulcast on the video line.
pub(crate) fn simulcast_offer() -> Jsep {
    let line = SimulcastLine { mindex: 1, mid: "v".to_owned(), layers: 3 };
    Jsep { simulcast: vec![line], ..offer(AV) }
}

/// [`AV`], with SVC on the video line.
pub(crate) fn svc_offer() -> Jsep {
    let line = SvcLine { mindex: 1, mode: "L3T3".to_owned() };
    Jsep { svc: vec![line], ..offer(AV) }
}

/// The error code of a reply or event.
pub(crate) fn code(data: &Value) -> i64 {
    assert_eq!(data["videoroom"], "event", "{data}");
    data["error_code"].as_i64().unwrap_or_else(|| panic!("no error: {data}"))
}

/// The data of the events a handle got.
pub(crate) fn of(events: &[Event], handle: HandleKey) -> Vec<Value> {
    events.iter().filter(|e| e.handle == handle).map(|e| e.data.clone()).collect()
}

pub(crate) fn keys(value: &Value) -> Vec<String> {
    value.as_object().map(Map::keys).map(|keys| keys.cloned().collect()).unwrap_or_default()
}
