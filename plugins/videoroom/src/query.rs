//! What `handle_info` shows (plugin-videoroom §12).

use crate::participant::{Participant, Stream};
use crate::plugin::{Seat, VideoRoom};
use crate::room::Room;
use crate::subscription::Line;
use bifrons_core::plugin::HandleKey;
use serde_json::{Map, Value, json};

impl VideoRoom {
    /// The `plugin_specific` of a handle.
    pub(crate) fn describe(&self, handle: HandleKey) -> Value {
        let mut shown = match self.seats.get(&handle) {
            Some(Seat::Publisher { room, user }) => self.describe_publisher(room, user),
            Some(Seat::Subscriber) => self.describe_subscriber(handle),
            _ => None,
        }
        .unwrap_or_default();
        shown.insert("hangingup".to_owned(), json!(0));
        shown.insert("destroyed".to_owned(), json!(0));
        Value::Object(shown)
    }

    fn describe_publisher(
        &self,
        room: &bifrons_core::plugin::Id,
        user: &bifrons_core::plugin::Id,
    ) -> Option<Map<String, Value>> {
        let room = self.rooms.get(room)?;
        let who = room.participants.get(user)?;
        let mut shown = Map::new();
        shown.insert("type".to_owned(), json!("publisher"));
        shown.insert("room".to_owned(), json!(room.id));
        shown.insert("id".to_owned(), json!(who.id));
        shown.insert("private_id".to_owned(), json!(who.private_id));
        who.put_names(&mut shown);
        shown.insert("bitrate".to_owned(), json!(who.bitrate_bps));
        if who.e2ee {
            shown.insert("e2ee".to_owned(), json!(true));
        }
        let streams = who.streams.iter().map(|stream| self.describe_stream(room, who, stream));
        shown.insert("streams".to_owned(), Value::Array(streams.collect()));
        Some(shown)
    }

    fn describe_stream(&self, room: &Room, who: &Participant, stream: &Stream) -> Value {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("type", json!(stream.kind.name()));
        put("mindex", json!(stream.mindex));
        put("mid", json!(stream.mid));
        let texts = [
            ("description", stream.description.as_deref()),
            ("codec", stream.codec.map(|codec| codec.janus_name())),
            ("h264-profile", stream.h264_profile.as_deref()),
            ("vp9-profile", stream.vp9_profile.as_deref()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                put(name, json!(text));
            }
        }
        if let Some(delay) = stream.delay.shown() {
            put("playout-delay", delay);
        }
        for (name, on) in [("simulcast", stream.simulcast), ("svc", stream.svc)] {
            if on {
                put(name, json!(true));
            }
        }
        if let Some(level) = stream.level_dbov {
            put("audio-level-dBov", json!(level));
        }
        if stream.extensions.audio_level.is_some() {
            put("talking", json!(stream.talking));
        }
        let fed = room.subscribers.iter().filter_map(|handle| self.subscriptions.get(handle));
        let fed = fed.flat_map(|sub| &sub.lines).flat_map(Line::feeds);
        let fed = fed.filter(|feed| feed.id == who.id && feed.mindex == stream.mindex).count();
        put("subscribers", json!(fed));
        Value::Object(shown)
    }

    fn describe_subscriber(&self, handle: HandleKey) -> Option<Map<String, Value>> {
        let sub = self.subscriptions.get(&handle)?;
        let room = self.rooms.get(&sub.room).filter(|_| !sub.room_gone);
        let mut shown = Map::new();
        shown.insert("type".to_owned(), json!("subscriber"));
        shown.insert("room".to_owned(), json!(sub.room));
        shown.insert("private_id".to_owned(), json!(sub.private_id));
        shown.insert("answered".to_owned(), json!(sub.answered));
        shown.insert("pending_offer".to_owned(), json!(sub.pending_offer));
        shown.insert("pending_restart".to_owned(), json!(sub.pending_restart));
        shown.insert("paused".to_owned(), json!(sub.paused));
        if sub.e2ee {
            shown.insert("e2ee".to_owned(), json!(true));
        }
        shown.insert("streams".to_owned(), sub.describe_lines(room));
        Some(shown)
    }
}
