//! Requests of a subscriber that choose among what there is: configure, switch, and what becomes
//! of its layers (plugin-videoroom §6, §8.2, §8.3).

use crate::api::{Body, FLAG, Field, INT, ITEMS, TEXT, UINT, Want, may, must};
use crate::error::{Code, Refusal};
use crate::lines::{check_encryption, feed_of, no_such_feed};
use crate::notice;
use crate::plugin::{VideoRoom, no_such_room};
use crate::relay;
use crate::room::Room;
use crate::subscriber::{line_event, updated};
use crate::subscription::{Feed, Line, Subscription};
use bifrons_core::media::{Fact, LayerKind, MediaKind};
use bifrons_core::plugin::{HandleKey, Host, HostExt, Id, Request, layer_key, take_layers};
use serde_json::{Value, json};

/// An item of `configure`'s `streams`.
const CONFIGURE: [Field; 9] = [
    may("mid", TEXT),
    may("send", FLAG),
    may("substream", Want::Layer),
    may("temporal", Want::Layer),
    may("fallback", UINT),
    may("spatial_layer", Want::Layer),
    may("temporal_layer", Want::Layer),
    may("min_delay", INT),
    may("max_delay", INT),
];

/// Fields of `configure` as a whole.
const CONFIGURE_ALL: [Field; 6] = [
    may("streams", ITEMS),
    may("restart", FLAG),
    may("update", FLAG),
    may("audio", FLAG),
    may("video", FLAG),
    may("data", FLAG),
];

/// An item of `switch`.
const SWITCH: [Field; 7] = [
    must("feed", Want::Id),
    must("mid", TEXT),
    must("sub_mid", TEXT),
    may("substream", Want::Layer),
    may("temporal", Want::Layer),
    may("spatial_layer", Want::Layer),
    may("temporal_layer", Want::Layer),
];

/// The layer of this kind that flows.
fn current(line: &mut Line, kind: LayerKind) -> &mut i8 {
    match kind {
        LayerKind::Substream | LayerKind::Spatial => &mut line.current.0,
        LayerKind::Temporal | LayerKind::SvcTemporal => &mut line.current.1,
    }
}

impl VideoRoom {
    /// `configure` of a subscriber.
    pub(crate) fn configure_subscription(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
    ) -> Result<(), Refusal> {
        let body = Body::checked(&request.body, self.general.string_ids, &CONFIGURE_ALL)?;
        let items = match body.has("streams") {
            true => body.items("streams", &CONFIGURE)?,
            false => {
                body.check(&CONFIGURE)?;
                vec![body]
            }
        };
        let Some(sub) = self.subscriptions.get_mut(&request.handle) else { return Ok(()) };
        if sub.kicked {
            return Err(Refusal::new(Code::Unauthorized, "Unauthorized (kicked)"));
        }
        check_mids(sub, &items)?;
        let room = self.rooms.get(&sub.room).filter(|_| !sub.room_gone);
        for item in &items {
            let only = item.text("mid").and_then(|mid| sub.line_of(mid));
            for mindex in 0..sub.lines.len() {
                if only.is_none_or(|only| only == mindex) {
                    configure_line(host, room, sub, request.handle, mindex, item);
                }
            }
        }
        if !items.iter().any(|item| item.has("mid")) {
            apply_kinds(host, room, sub, &body);
        }
        relay::sync_routes(host, room, sub);
        self.conclude_configure(host, request, &body)
    }

    fn conclude_configure(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
        body: &Body<'_>,
    ) -> Result<(), Refusal> {
        let restart = body.flag("restart").unwrap_or(false);
        let update = body.flag("update").unwrap_or(false);
        let Some(sub) = self.subscriptions.get_mut(&request.handle) else { return Ok(()) };
        let done = notice::done(&sub.room, "configured");
        let (handle, transaction) = (request.handle, Some(request.transaction.as_str()));
        if !(restart || update) || sub.lines.is_empty() {
            let _ = host.push_event(handle, transaction, Value::Object(done), None);
        } else if sub.pending_offer {
            sub.pending_restart |= restart;
            sub.pending_update |= update;
        } else {
            self.send_offer(host, handle, transaction, done, restart)?;
        }
        Ok(())
    }

    /// `switch`: other feeds on the lines there are, without negotiation.
    pub(crate) fn switch(&mut self, host: &mut dyn Host, request: &Request) -> Result<(), Refusal> {
        let body = Body::checked(
            &request.body,
            self.general.string_ids,
            &[may("feed", Want::Id), may("streams", Want::Is(bifrons_core::api::Expect::Array))],
        )?;
        let items = body.items("streams", &SWITCH)?;
        let Some(sub) = self.subscriptions.get_mut(&request.handle) else { return Ok(()) };
        let room = self.rooms.get(&sub.room).filter(|_| !sub.room_gone);
        let Some(room) = room else { return Err(no_such_room(&sub.room)) };
        let legacy = body.id("feed").filter(|_| !body.has("streams"));
        if legacy.is_none() && items.is_empty() {
            return Err(no_such_feed(0));
        }
        let (mut changes, mut woken) = (0u32, false);
        let wanted = match &legacy {
            Some(feed) => legacy_switches(sub, room, feed)?,
            None => switches(sub, room, &items)?,
        };
        for (mindex, feed, item) in wanted {
            let item = item.and_then(|index| items.get(index));
            if let Some(was_idle) = switch_line(host, room, sub, mindex, feed, item) {
                changes += 1;
                woken |= was_idle;
            }
        }
        let room_id = sub.room.clone();
        if woken {
            self.offer_woken(host, request, &room_id)?;
        }
        self.switched(host, request, &room_id, changes);
        Ok(())
    }

    /// A line that was idle flows again: that takes an offer, sent before `switched`.
    fn offer_woken(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
        room: &Id,
    ) -> Result<(), Refusal> {
        let Some(sub) = self.subscriptions.get_mut(&request.handle) else { return Ok(()) };
        if sub.pending_offer {
            sub.pending_update = true;
        } else {
            let data = updated("updated", room);
            self.send_offer(host, request.handle, Some(&request.transaction), data, false)?;
        }
        Ok(())
    }

    fn switched(&self, host: &mut dyn Host, request: &Request, room_id: &Id, changes: u32) {
        let Some(sub) = self.subscriptions.get(&request.handle) else { return };
        let mut done = serde_json::Map::new();
        done.insert("videoroom".to_owned(), json!("event"));
        done.insert("switched".to_owned(), json!("ok"));
        done.insert("room".to_owned(), json!(room_id));
        done.insert("changes".to_owned(), json!(changes));
        done.insert("streams".to_owned(), sub.describe_lines(self.rooms.get(room_id)));
        let done = Value::Object(done);
        let _ = host.push_event(request.handle, Some(&request.transaction), done, None);
        self.tell_handlers(host, Some(request.handle), || notice::handlers("switched", room_id));
    }

    /// What shards say of a subscriber's media.
    pub(crate) fn subscriber_fact(&mut self, host: &mut dyn Host, handle: HandleKey, fact: &Fact) {
        let Some(sub) = self.subscriptions.get_mut(&handle) else { return };
        match *fact {
            Fact::Layer { mindex, kind, layer } => {
                let Some(line) = sub.lines.get_mut(usize::from(mindex)) else { return };
                let place = current(line, kind);
                if *place == layer {
                    return;
                }
                *place = layer;
                // "None known" is a state, not a change that clients are told of.
                if layer >= 0 {
                    let mindex = usize::from(mindex);
                    let event = line_event(&sub.room, mindex, layer_key(kind), json!(layer));
                    host.notify(handle, event);
                }
            }
            Fact::SlowLink { uplink: true, .. } => {
                host.notify(handle, json!({ "videoroom": "slow_link" }));
            }
            _ => {}
        }
    }
}

/// 428 for an unknown mid, 430 for none among several items.
fn check_mids(sub: &Subscription, items: &[Body<'_>]) -> Result<(), Refusal> {
    for item in items {
        match item.text("mid") {
            None if items.len() > 1 => {
                let text = "Invalid element (mid is needed where streams has several items)";
                return Err(Refusal::invalid(text));
            }
            Some(mid) if sub.line_of(mid).is_none() => {
                return Err(no_such_feed(format!("mid '{mid}'")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn configure_line(
    host: &mut dyn Host,
    room: Option<&Room>,
    sub: &mut Subscription,
    handle: HandleKey,
    mindex: usize,
    item: &Body<'_>,
) {
    let Some(line) = sub.lines.get_mut(mindex) else { return };
    if let Some(send) = item.flag("send") {
        line.send = send;
    }
    line.delay.change(item.integer("min_delay"), item.integer("max_delay"));
    let given = take_layers(&mut line.target, item);
    let mut keyframe = item.flag("send") == Some(true);
    let mut confirmed = Vec::new();
    for (kind, layer) in given {
        if i16::from(*current(line, kind)) == i16::from(layer) {
            confirmed.push(line_event(&sub.room, mindex, layer_key(kind), json!(layer)));
        } else {
            keyframe = true;
        }
    }
    if keyframe {
        relay::ask_keyframe_of(host, room, line);
    }
    for event in confirmed {
        host.notify(handle, event);
    }
}

/// The old flags for whole kinds.
fn apply_kinds(host: &mut dyn Host, room: Option<&Room>, sub: &mut Subscription, body: &Body<'_>) {
    for (name, kind) in
        [("audio", MediaKind::Audio), ("video", MediaKind::Video), ("data", MediaKind::Data)]
    {
        let Some(send) = body.flag(name) else { continue };
        for line in sub.lines.iter_mut().filter(|line| line.kind == kind) {
            let resumes = send && !line.send;
            line.send = send;
            if resumes {
                relay::ask_keyframe_of(host, room, line);
            }
        }
    }
}

/// A switch to make: the line, its new feed, and the item that asked for it.
type Switch = (usize, Feed, Option<usize>);

/// The switches of `streams`; unknown lines are skipped, unknown feeds refuse everything.
fn switches(sub: &Subscription, room: &Room, items: &[Body<'_>]) -> Result<Vec<Switch>, Refusal> {
    let mut wanted = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let publisher = feed_of(Some(room), &item.the_id("feed")?)?;
        check_encryption(sub, publisher)?;
        let mid = item.text("mid").unwrap_or_default();
        let stream = publisher.stream(mid);
        let stream =
            stream.ok_or_else(|| no_such_feed(format!("mid '{mid}' of {}", publisher.id)))?;
        if let Some(mindex) = sub.line_of(item.text("sub_mid").unwrap_or_default()) {
            let feed =
                Feed { id: publisher.id.clone(), mindex: stream.mindex, mid: mid.to_owned() };
            wanted.push((mindex, feed, Some(index)));
        }
    }
    Ok(wanted)
}

/// The switches of an old `feed`: each line gets the first stream of the same kind and codec that
/// no other line has got.
fn legacy_switches(sub: &Subscription, room: &Room, feed: &Id) -> Result<Vec<Switch>, Refusal> {
    let publisher = feed_of(Some(room), feed)?;
    check_encryption(sub, publisher)?;
    let mut free: Vec<_> = publisher.streams.iter().filter(|s| !s.disabled).collect();
    let mut wanted = Vec::new();
    for (mindex, line) in sub.lines.iter().enumerate() {
        let fits = |s: &&crate::participant::Stream| {
            s.codec.is_some() && s.kind == line.kind && s.codec == line.codec
        };
        if let Some(at) = free.iter().position(fits) {
            let stream = free.remove(at);
            let (id, mid) = (publisher.id.clone(), stream.mid.clone());
            wanted.push((mindex, Feed { id, mindex: stream.mindex, mid }, None));
        }
    }
    Ok(wanted)
}

/// Gives a line its new feed. `None` when nothing changes: the same source, another kind or
/// codec, or a source that is disabled; else whether the line had no feed before.
fn switch_line(
    host: &mut dyn Host,
    room: &Room,
    sub: &mut Subscription,
    mindex: usize,
    feed: Feed,
    item: Option<&Body<'_>>,
) -> Option<bool> {
    let stream = room.participants.get(&feed.id)?;
    let stream = stream.streams.iter().find(|stream| stream.mindex == feed.mindex)?;
    let line = sub.lines.get_mut(mindex)?;
    // Data lines are joined and left, not switched: they have no codec.
    let same = stream.codec.is_some() && line.codec == stream.codec;
    let fits = line.kind == stream.kind && same && !stream.disabled;
    if !fits || line.feed.as_ref() == Some(&feed) {
        return None;
    }
    let was_idle = line.feed.is_none();
    line.take(feed, stream);
    if let Some(item) = item {
        take_layers(&mut line.target, item);
    }
    relay::ask_keyframe_of(host, Some(room), line);
    relay::sync_route(host, Some(room), sub, mindex);
    Some(was_idle)
}
