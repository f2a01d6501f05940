//! Requests of a subscriber that concern its lines and offers: join, start, pause, subscribe,
//! unsubscribe, update, leave (plugin-videoroom §6).

use crate::api::{Body, FLAG, Field, INT, ITEMS, TEXT, UINT, Want, may, must};
use crate::error::{Code, Refusal};
use crate::id::Id;
use crate::negotiation;
use crate::notice;
use crate::participant::{Participant, Stream};
use crate::plugin::{Seat, VideoRoom};
use crate::relay;
use crate::room::Room;
use crate::subscription::{Feed, Line, Subscription};
use bifrons_core::media::{MediaKind, PeerId};
use bifrons_core::plugin::{HandleKey, Host, JsepKind, OutgoingJsep, Request};
use bifrons_core::sdp::{MAX_MEDIA, Sdp};
use serde_json::{Map, Value, json};

/// An item of `subscribe` and of a join's `streams`.
const SUBSCRIBE: [Field; 11] = [
    must("feed", Want::Id),
    may("mid", TEXT),
    may("crossrefid", TEXT),
    may("send", FLAG),
    may("substream", Want::Layer),
    may("temporal", Want::Layer),
    may("fallback", UINT),
    may("spatial_layer", Want::Layer),
    may("temporal_layer", Want::Layer),
    may("min_delay", INT),
    may("max_delay", INT),
];

/// An item of `unsubscribe`.
const UNSUBSCRIBE: [Field; 3] = [may("feed", Want::Id), may("mid", TEXT), may("sub_mid", TEXT)];

/// Fields of a subscriber's join.
const JOIN: [Field; 10] = [
    may("feed", Want::Id),
    may("streams", ITEMS),
    may("private_id", UINT),
    may("use_msid", FLAG),
    may("autoupdate", FLAG),
    may("pin", TEXT),
    may("token", TEXT),
    may("offer_audio", FLAG),
    may("offer_video", FLAG),
    may("offer_data", FLAG),
];

/// 428 for a feed or a mid of one.
pub(crate) fn no_such_feed(what: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::NoSuchFeed, format!("No such feed ({what})"))
}

/// The publisher of a feed that can be subscribed to; 428 without one.
pub(crate) fn feed_of<'a>(room: Option<&'a Room>, id: &Id) -> Result<&'a Participant, Refusal> {
    room.and_then(|room| room.feed(id)).ok_or_else(|| no_such_feed(id))
}

impl VideoRoom {
    /// Serves an asynchronous request of a subscriber.
    pub(crate) fn serve_subscriber(
        &mut self,
        host: &mut dyn Host,
        name: &str,
        request: &Request,
    ) -> Result<(), Refusal> {
        match name {
            "start" => self.start_subscription(host, request),
            "pause" => self.pause(host, request),
            "subscribe" | "unsubscribe" | "update" => self.change_lines(host, name, request),
            "configure" => self.configure_subscription(host, request),
            "switch" => self.switch(host, request),
            "leave" => self.leave_subscription(host, request),
            _ => Err(Refusal::unknown_request(name)),
        }
    }

    /// A `join` as a subscriber.
    pub(crate) fn join_subscriber(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
        body: &Body<'_>,
    ) -> Result<(), Refusal> {
        body.check(&JOIN)?;
        let room = self.joinable_room(host, body)?;
        if request.jsep.is_some() {
            let text = "Subscribers don't send offers: an offer comes from here";
            return Err(Refusal::new(Code::InvalidRequest, text));
        }
        let private_id = body.number("private_id").unwrap_or(0);
        if room.settings.require_pvtid && !room.private_ids.contains_key(&private_id) {
            let text = "Unauthorized (this room requires a valid private_id)";
            return Err(Refusal::new(Code::Unauthorized, text));
        }
        let mut sub = Subscription::new(room.id.clone());
        sub.private_id = private_id;
        sub.use_msid = body.flag("use_msid").unwrap_or(false);
        sub.autoupdate = body.flag("autoupdate").unwrap_or(true);
        let legacy = body.id("feed").filter(|_| !body.has("streams"));
        let items = body.items("streams", &SUBSCRIBE)?;
        if items.is_empty() && legacy.is_none() {
            let text = "Missing mandatory element (streams, or feed)";
            return Err(Refusal::new(Code::MissingElement, text));
        }
        sub.e2ee = is_encrypted(room, &items, legacy.as_ref());
        match &legacy {
            Some(feed) => subscribe_to_all(&mut sub, room, feed, body)?,
            None => drop(subscribe(&mut sub, room, &items)?),
        }
        if sub.lines.is_empty() {
            let text = "Can't offer an SDP with no stream";
            return Err(Refusal::new(Code::InvalidSdp, text));
        }
        let (room_id, handle) = (room.id.clone(), request.handle);
        if let Some(room) = self.rooms.get_mut(&room_id) {
            room.subscribers.insert(handle);
        }
        self.seats.insert(handle, Seat::Subscriber);
        self.subscriptions.insert(handle, sub);
        self.attached(host, request, &room_id, legacy.as_ref());
        Ok(())
    }

    fn attached(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
        room_id: &Id,
        legacy: Option<&Id>,
    ) {
        let mut data = Map::new();
        data.insert("videoroom".to_owned(), json!("attached"));
        data.insert("room".to_owned(), json!(room_id));
        let room = self.rooms.get(room_id);
        if let Some(publisher) = legacy.and_then(|feed| room?.participants.get(feed)) {
            data.extend(publisher.named());
            data.insert("warning".to_owned(), json!("deprecated_api"));
        }
        self.send_offer(host, request.handle, Some(&request.transaction), data, false);
        self.tell_of_lines(host, request.handle, "subscribing");
    }

    /// Tells event handlers of all lines of a subscription.
    fn tell_of_lines(&self, host: &mut dyn Host, handle: HandleKey, name: &str) {
        let Some(sub) = self.subscriptions.get(&handle) else { return };
        self.tell_handlers(host, Some(handle), || {
            let mut body = notice::handlers(name, &sub.room);
            let room = self.rooms.get(&sub.room).filter(|_| !sub.room_gone);
            body.insert("streams".to_owned(), sub.describe_lines(room));
            body.insert("private_id".to_owned(), json!(sub.private_id));
            body
        });
    }

    /// Sends `data` with a fresh offer; the streams go along where `data` is not the answer to
    /// `configure`.
    pub(crate) fn send_offer(
        &mut self,
        host: &mut dyn Host,
        handle: HandleKey,
        transaction: Option<&str>,
        mut data: Map<String, Value>,
        restart: bool,
    ) {
        let Some(sub) = self.subscriptions.get_mut(&handle) else { return };
        let room = self.rooms.get(&sub.room).filter(|_| !sub.room_gone);
        let sdp = negotiation::offer(sub, room);
        if !data.contains_key("configured") {
            data.insert("streams".to_owned(), sub.describe_lines(room));
        }
        sub.pending_offer = true;
        sub.pending_update = false;
        sub.pending_restart = false;
        sub.untold = false;
        let jsep = OutgoingJsep { kind: JsepKind::Offer, sdp, e2ee: sub.e2ee, restart };
        if let Err(error) = host.push_event(handle, transaction, Value::Object(data), Some(jsep)) {
            tracing::warn!("an offer could not be made: {error:?}");
        }
    }

    /// An offer that nobody asked for: now, or after the answer to the one that is out.
    pub(crate) fn update_later(&mut self, host: &mut dyn Host, handle: HandleKey) {
        let Some(sub) = self.subscriptions.get_mut(&handle) else { return };
        if sub.pending_offer || sub.left {
            sub.pending_update = true;
            return;
        }
        let data = updated("updated", &sub.room);
        self.send_offer(host, handle, None, data, false);
        self.tell_of_lines(host, handle, "updated");
    }

    /// `start`: with an answer it settles the offer, without one it resumes.
    fn start_subscription(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
    ) -> Result<(), Refusal> {
        let Some(sub) = self.subscriptions.get_mut(&request.handle) else { return Ok(()) };
        if let Some(jsep) = &request.jsep {
            if jsep.kind != JsepKind::Answer {
                let text = "An answer was expected, not an offer";
                return Err(Refusal::new(Code::InvalidSdpType, text));
            }
            settle(sub, &jsep.sdp);
        }
        sub.paused = false;
        let room = self.rooms.get(&sub.room).filter(|_| !sub.room_gone);
        relay::sync_routes(host, room, sub);
        if sub.peer.is_some() {
            sub.lines.iter().for_each(|line| relay::ask_keyframe_of(host, room, line));
        }
        let (pending, restart) = (sub.pending_update, sub.pending_restart);
        let room_id = sub.room.clone();
        let started = Value::Object(notice::done(&room_id, "started"));
        let _ = host.push_event(request.handle, Some(&request.transaction), started, None);
        if request.jsep.is_some() && (pending || restart) {
            let data = updated("updated", &room_id);
            self.send_offer(host, request.handle, None, data, restart);
        }
        Ok(())
    }

    fn pause(&mut self, host: &mut dyn Host, request: &Request) -> Result<(), Refusal> {
        let Some(sub) = self.subscriptions.get_mut(&request.handle) else { return Ok(()) };
        sub.paused = true;
        let room = self.rooms.get(&sub.room).filter(|_| !sub.room_gone);
        relay::sync_routes(host, room, sub);
        let paused = Value::Object(notice::done(&sub.room, "paused"));
        let _ = host.push_event(request.handle, Some(&request.transaction), paused, None);
        Ok(())
    }

    /// `subscribe`, `unsubscribe`, `update`: the latter unsubscribes first.
    fn change_lines(
        &mut self,
        host: &mut dyn Host,
        name: &str,
        request: &Request,
    ) -> Result<(), Refusal> {
        let body = Body::checked(&request.body, self.general.string_ids, &[])?;
        let (adds, drops) = match name {
            "subscribe" => ("streams", ""),
            "unsubscribe" => ("", "streams"),
            _ => ("subscribe", "unsubscribe"),
        };
        for key in [adds, drops] {
            match (name, key) {
                (_, "") => {}
                ("update", "subscribe") => body.check(&[may("subscribe", ITEMS)])?,
                ("update", _) => body.check(&[may("unsubscribe", ITEMS)])?,
                _ => body.check(&[must("streams", ITEMS)])?,
            }
        }
        if name == "update" && !body.has(adds) && !body.has(drops) {
            let text = "Missing mandatory element (subscribe or unsubscribe)";
            return Err(Refusal::new(Code::MissingElement, text));
        }
        let adds = body.items(adds, &SUBSCRIBE)?;
        let drops = body.items(drops, &UNSUBSCRIBE)?;
        let Some(sub) = self.subscriptions.get_mut(&request.handle) else { return Ok(()) };
        let room = self.rooms.get(&sub.room).filter(|_| !sub.room_gone);
        check_feeds(sub, room, &adds)?;
        let mut changed = unsubscribe(sub, &drops);
        if let Some(room) = room.filter(|_| !adds.is_empty() && !sub.left) {
            changed |= subscribe(sub, room, &adds)?;
        }
        relay::sync_routes(host, room, sub);
        self.conclude_change(host, request, changed);
        Ok(())
    }

    /// The reply rules of §6 "subscribe / unsubscribe / update".
    fn conclude_change(&mut self, host: &mut dyn Host, request: &Request, changed: bool) {
        let Some(sub) = self.subscriptions.get_mut(&request.handle) else { return };
        let needs_offer = changed || sub.untold || sub.left;
        let (handle, transaction) = (request.handle, Some(request.transaction.as_str()));
        if !needs_offer || (sub.lines.is_empty() && !sub.left) {
            let data = Value::Object(updated("updated", &sub.room));
            let _ = host.push_event(handle, transaction, data, None);
        } else if sub.pending_offer || sub.left {
            sub.pending_update = true;
            let data = Value::Object(updated("updating", &sub.room));
            let _ = host.push_event(handle, transaction, data, None);
        } else {
            let data = updated("updated", &sub.room);
            self.send_offer(host, handle, transaction, data, false);
            self.tell_of_lines(host, handle, "updated");
        }
    }

    /// `leave`: all lines go, the PeerConnection too; the handle is of no use any more.
    fn leave_subscription(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
    ) -> Result<(), Refusal> {
        let Some(sub) = self.subscriptions.get_mut(&request.handle) else { return Ok(()) };
        drop_lines(host, sub);
        sub.left = true;
        let left = Value::Object(notice::done(&sub.room, "left"));
        let _ = host.push_event(request.handle, Some(&request.transaction), left, None);
        host.close_pc(request.handle);
        Ok(())
    }

    /// The PeerConnection is up: what is ready flows, from keyframes on.
    pub(crate) fn subscriber_up(&mut self, host: &mut dyn Host, handle: HandleKey, peer: PeerId) {
        let Some(sub) = self.subscriptions.get_mut(&handle) else { return };
        sub.peer = Some(peer);
        let room = self.rooms.get(&sub.room).filter(|_| !sub.room_gone);
        relay::sync_routes(host, room, sub);
        for line in sub.lines.iter().filter(|line| line.ready) {
            relay::ask_keyframe_of(host, room, line);
        }
        let room_id = sub.room.clone();
        self.tell_handlers(host, Some(handle), || notice::handlers("subscribed", &room_id));
    }

    /// The PeerConnection is gone: a later subscription starts from nothing.
    pub(crate) fn subscriber_down(&mut self, host: &mut dyn Host, handle: HandleKey) {
        let Some(sub) = self.subscriptions.get_mut(&handle) else { return };
        let lost = drop_lines(host, sub);
        let room_id = sub.room.clone();
        for feed in lost {
            self.tell_handlers(host, Some(handle), || {
                let mut body = notice::handlers("unsubscribed", &room_id);
                body.insert("feed".to_owned(), json!(feed.id));
                body.insert("mid".to_owned(), json!(feed.mid));
                body
            });
        }
    }

    /// The handle is gone.
    pub(crate) fn forget_subscription(&mut self, host: &mut dyn Host, handle: HandleKey) {
        self.subscriber_down(host, handle);
        let Some(sub) = self.subscriptions.remove(&handle) else { return };
        if let Some(room) = self.rooms.get_mut(&sub.room) {
            room.subscribers.remove(&handle);
        }
    }
}

/// `updated` or `updating`.
pub(crate) fn updated(kind: &str, room: &Id) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("videoroom".to_owned(), json!(kind));
    data.insert("room".to_owned(), json!(room));
    data
}

/// Takes every line away, and all that belonged to the PeerConnection. Returns the feeds.
fn drop_lines(host: &mut dyn Host, sub: &mut Subscription) -> Vec<Feed> {
    let feeds = sub.lines.iter_mut().filter_map(|line| line.feed.take()).collect();
    relay::sync_routes(host, None, sub);
    sub.lines.clear();
    sub.peer = None;
    sub.answered = false;
    sub.pending_offer = false;
    sub.pending_update = false;
    sub.pending_restart = false;
    sub.untold = false;
    sub.paused = false;
    feeds
}

/// An answer came: its lines that are not inactive are ready.
fn settle(sub: &mut Subscription, answer: &Sdp) {
    sub.answered = true;
    sub.pending_offer = false;
    for (mindex, line) in sub.lines.iter_mut().enumerate() {
        line.ready = line.feed.is_some() && negotiation::accepted(answer, mindex);
    }
}

/// Whether a new subscription is an encrypted one: the room or the first feed says so.
fn is_encrypted(room: &Room, items: &[Body<'_>], legacy: Option<&Id>) -> bool {
    let first = legacy.cloned().or_else(|| items.first().and_then(|item| item.id("feed")));
    let feed = first.and_then(|feed| room.participants.get(&feed));
    room.settings.require_e2ee || feed.is_some_and(|publisher| publisher.e2ee)
}

/// Every feed there, of the right kind, and its mid too; the order of checks is the items'.
fn check_feeds(sub: &Subscription, room: Option<&Room>, items: &[Body<'_>]) -> Result<(), Refusal> {
    if sub.left {
        return Ok(());
    }
    for item in items {
        let publisher = feed_of(room, &item.the_id("feed")?)?;
        check_encryption(sub, publisher)?;
        if let Some(mid) = item.text("mid")
            && publisher.stream(mid).is_none()
        {
            return Err(no_such_feed(format!("mid '{mid}' of {}", publisher.id)));
        }
    }
    Ok(())
}

fn check_encryption(sub: &Subscription, publisher: &Participant) -> Result<(), Refusal> {
    if publisher.e2ee == sub.e2ee {
        return Ok(());
    }
    let text = "Can't mix encrypted and plain feeds in one subscription";
    Err(Refusal::new(Code::InvalidFeed, text))
}

/// Adds lines for all items, or none. True if the SDP changes.
fn subscribe(sub: &mut Subscription, room: &Room, items: &[Body<'_>]) -> Result<bool, Refusal> {
    check_feeds(sub, Some(room), items)?;
    let mut changed = false;
    for item in items {
        let publisher = feed_of(Some(room), &item.the_id("feed")?)?;
        let mid = item.text("mid");
        for stream in publisher.streams.iter().filter(|s| mid.is_none_or(|mid| s.mid == mid)) {
            let Some(line) = add_line(sub, publisher, stream)? else { continue };
            changed = true;
            line.crossrefid = item.text("crossrefid").map(str::to_owned);
            crate::selection::apply_targets(line, item);
            line.delay.change(item.integer("min_delay"), item.integer("max_delay"));
            if mid.is_some() {
                line.send = item.flag("send").unwrap_or(true);
            }
        }
    }
    Ok(changed)
}

/// The old form of a join: all streams of one feed, by kind.
fn subscribe_to_all(
    sub: &mut Subscription,
    room: &Room,
    feed: &Id,
    body: &Body<'_>,
) -> Result<(), Refusal> {
    let publisher = feed_of(Some(room), feed)?;
    check_encryption(sub, publisher)?;
    for stream in &publisher.streams {
        let key = match stream.kind {
            MediaKind::Audio => "offer_audio",
            MediaKind::Video => "offer_video",
            MediaKind::Data => "offer_data",
        };
        if body.flag(key).unwrap_or(true) {
            add_line(sub, publisher, stream)?;
        }
    }
    Ok(())
}

/// Gives a stream a line: one without a feed, of the same kind and codec, else a new one. A
/// disabled stream gets none.
fn add_line<'a>(
    sub: &'a mut Subscription,
    publisher: &Participant,
    stream: &Stream,
) -> Result<Option<&'a mut Line>, Refusal> {
    let Some(codec) = stream.codec.filter(|_| !stream.disabled) else { return Ok(None) };
    let feed = Feed { id: publisher.id.clone(), mindex: stream.mindex, mid: stream.mid.clone() };
    let fits = |line: &Line| line.feed.is_none() && line.kind == stream.kind && line.codec == codec;
    if let Some(mindex) = sub.lines.iter().position(fits) {
        let line = sub.lines.get_mut(mindex);
        return Ok(line.map(|line| {
            line.take(feed, stream);
            line
        }));
    }
    if sub.lines.len() >= MAX_MEDIA {
        return Err(Refusal::new(Code::Unknown, "Too many streams in one subscription"));
    }
    sub.lines.push(Line::new(feed, stream, codec));
    Ok(sub.lines.last_mut())
}

/// Takes feeds from lines; unknown targets are skipped. True if anything changed.
fn unsubscribe(sub: &mut Subscription, items: &[Body<'_>]) -> bool {
    let mut changed = false;
    for item in items {
        let one = item.text("sub_mid").map(|mid| sub.line_of(mid));
        let (feed, mid) = (item.id("feed"), item.text("mid"));
        for (mindex, line) in sub.lines.iter_mut().enumerate() {
            let Some(have) = &line.feed else { continue };
            let meant = match (&one, &feed) {
                (Some(one), _) => *one == Some(mindex),
                (None, Some(id)) => have.id == *id && mid.is_none_or(|mid| have.mid == mid),
                (None, None) => false,
            };
            if meant {
                line.feed = None;
                line.ready = false;
                changed = true;
            }
        }
    }
    changed
}

/// A layer event, or another one about a line.
pub(crate) fn line_event(room: &Id, mindex: usize, key: &str, value: Value) -> Value {
    let mut event = notice::event(room);
    event.insert("mid".to_owned(), json!(mindex.to_string()));
    event.insert(key.to_owned(), value);
    Value::Object(event)
}
