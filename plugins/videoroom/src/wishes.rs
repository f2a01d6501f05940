//! What a participant may wish for its media, with an offer or without (plugin-videoroom §5
//! "Settings").

use crate::api::{ARRAY, Body, FLAG, Field, INT, OBJECT, TEXT, UINT, may, must};
use crate::error::{Code, Refusal};
use crate::relay;
use crate::room::Room;
use crate::settings::{active_packets, level_average};
use bifrons_core::media::{MediaKind, Plan};
use bifrons_core::plugin::Host;
use bifrons_core::plugin::Id;
use serde_json::{Map, Value, json};

/// Fields of `publish` and `configure`.
pub(crate) const PUBLISH: [Field; 22] = [
    may("audiocodec", TEXT),
    may("videocodec", TEXT),
    may("bitrate", UINT),
    may("keyframe", FLAG),
    may("record", FLAG),
    may("filename", TEXT),
    may("display", TEXT),
    may("metadata", OBJECT),
    may("secret", TEXT),
    may("audio_level_average", UINT),
    may("audio_active_packets", UINT),
    may("streams", ARRAY),
    may("descriptions", ARRAY),
    may("audio", FLAG),
    may("video", FLAG),
    may("data", FLAG),
    may("update", FLAG),
    may("restart", FLAG),
    may("mid", TEXT),
    may("send", FLAG),
    may("min_delay", INT),
    may("max_delay", INT),
];

/// Fields of an item of `streams`.
const STREAM: [Field; 5] = [
    may("mid", TEXT),
    may("send", FLAG),
    may("keyframe", FLAG),
    may("min_delay", INT),
    may("max_delay", INT),
];

/// What is wished for one stream, or for all video.
pub(crate) struct StreamWish {
    mid: Option<String>,
    send: Option<bool>,
    keyframe: bool,
    min_delay: Option<i64>,
    max_delay: Option<i64>,
}

impl StreamWish {
    fn read(item: &Body<'_>) -> Self {
        StreamWish {
            mid: item.text("mid").map(str::to_owned),
            send: item.flag("send"),
            keyframe: item.flag("keyframe").unwrap_or(false),
            min_delay: item.integer("min_delay"),
            max_delay: item.integer("max_delay"),
        }
    }
}

/// The `descriptions` of a body: mid and text of each.
pub(crate) fn descriptions(body: &Body<'_>) -> Result<Vec<(String, String)>, Refusal> {
    let items = body.items("descriptions", &[must("mid", TEXT), must("description", TEXT)])?;
    let pair = |item: &Body<'_>| {
        let text = |name| item.text(name).unwrap_or_default().to_owned();
        (text("mid"), text("description"))
    };
    Ok(items.iter().map(pair).collect())
}

/// The items of `streams`, or the top-level keys as one item. 428 for an unknown mid.
pub(crate) fn stream_wishes(
    room: &Room,
    user: &Id,
    body: &Body<'_>,
) -> Result<Vec<StreamWish>, Refusal> {
    let items = match body.has("streams") {
        true => body.items("streams", &STREAM)?,
        false => vec![*body],
    };
    let wishes: Vec<_> = items.iter().map(StreamWish::read).collect();
    let who = room.participants.get(user);
    for wish in &wishes {
        match &wish.mid {
            None if wishes.len() > 1 => {
                let text = "Invalid element (mid is needed where streams has several items)";
                return Err(Refusal::invalid(text));
            }
            Some(mid) if who.is_none_or(|who| who.stream(mid).is_none()) => {
                let text = format!("No such mid '{mid}' published");
                return Err(Refusal::new(Code::NoSuchFeed, text));
            }
            _ => {}
        }
    }
    Ok(wishes)
}

/// Everything but the streams.
pub(crate) fn apply_settings(host: &mut dyn Host, room: &mut Room, user: &Id, body: &Body<'_>) {
    let ceiling =
        Some(room.settings.bitrate_bps).filter(|bps| room.settings.bitrate_cap && *bps > 0);
    let Some(who) = room.participants.get_mut(user) else { return };
    if let Some(bps) = body.number("bitrate") {
        // Under a ceiling, "no limit" is the ceiling (§8.4).
        let asked = if bps == 0 { u32::MAX } else { bps };
        who.bitrate_bps = ceiling.map_or(bps, |ceiling| asked.min(ceiling));
        if let Some(peer) = who.peer {
            let bps = Some(who.bitrate_bps).filter(|bps| *bps > 0);
            host.plan(Plan::Remb { peer, bps: bps.unwrap_or(relay::UNLIMITED_BPS) });
        }
    }
    if let Some(packets) = body.number("audio_active_packets").filter(|n| *n > 0) {
        who.active_packets = Some(active_packets(Some(packets)));
    }
    if let Some(average) = body.number("audio_level_average").filter(|n| *n > 0) {
        who.level_average = Some(level_average(Some(average)));
    }
    let display = body.text("display").map(|text| who.display.replace(text.to_owned()).is_some());
    let metadata = body.object("metadata").map(|m| who.metadata.replace(m.clone()).is_some());
    let mut changed = Map::new();
    changed.insert("videoroom".to_owned(), json!("event"));
    let Some(who) = room.participants.get(user) else { return };
    // A first display or metadata is no change, and nobody is told.
    if display == Some(true) {
        changed.extend(who.named());
        room.tell(host, Some(user), &Value::Object(changed.clone()));
    } else if metadata == Some(true) {
        changed.insert("id".to_owned(), json!(user));
        changed.insert("metadata".to_owned(), json!(who.metadata));
        room.tell(host, Some(user), &Value::Object(changed));
    }
}

/// The items of `streams`, then the old flags for whole kinds (ignored if an item has a mid).
pub(crate) fn apply_items(
    host: &mut dyn Host,
    room: &mut Room,
    user: &Id,
    items: &[StreamWish],
    body: &Body<'_>,
) {
    let Some(who) = room.participants.get_mut(user) else { return };
    for wish in items {
        for stream in who.streams.iter_mut() {
            let video = stream.kind == MediaKind::Video;
            let meant = wish.mid.as_ref().map_or(video, |mid| *mid == stream.mid);
            if !meant {
                continue;
            }
            stream.delay.change(wish.min_delay, wish.max_delay);
            if wish.mid.is_some() {
                stream.send = wish.send.unwrap_or(stream.send);
            }
        }
        if wish.keyframe {
            let only = wish.mid.as_ref().and_then(|mid| who.stream(mid)).map(|s| s.mindex);
            relay::ask_keyframes(host, who, only);
        }
    }
    if items.iter().any(|wish| wish.mid.is_some()) {
        return;
    }
    for (name, kind) in
        [("audio", MediaKind::Audio), ("video", MediaKind::Video), ("data", MediaKind::Data)]
    {
        let Some(send) = body.flag(name) else { continue };
        who.streams.iter_mut().filter(|s| s.kind == kind).for_each(|stream| stream.send = send);
    }
}

/// Takes descriptions over, for mids that are there.
pub(crate) fn describe_streams(room: &mut Room, user: &Id, descriptions: &[(String, String)]) {
    let Some(who) = room.participants.get_mut(user) else { return };
    for (mid, text) in descriptions {
        if let Some(stream) = who.stream_mut(mid) {
            stream.description = Some(text.clone());
        }
    }
}
