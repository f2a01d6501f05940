//! Requests of a subscriber that concern its lines and offers: join, start, pause, subscribe,
//! unsubscribe, update, leave (plugin-videoroom §6).

use crate::api::{Body, FLAG, Field, ITEMS, TEXT, UINT, Want, may, must};
use crate::error::{Code, Refusal};
use crate::lines::{
    SUBSCRIBE, UNSUBSCRIBE, check_feeds, drop_lines, is_encrypted, settle, subscribe,
    subscribe_to_all, unsubscribe,
};
use crate::negotiation;
use crate::notice;
use crate::plugin::{Seat, VideoRoom};
use crate::relay;
use crate::subscription::Subscription;
use bifrons_core::media::PeerId;
use bifrons_core::plugin::Id;
use bifrons_core::plugin::{HandleKey, Host, JsepKind, OutgoingJsep, PushError, Request};
use serde_json::{Map, Value, json};

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
        host.place(handle, room.home());
        if let Some(room) = self.rooms.get_mut(&room_id) {
            room.subscribers.insert(handle);
        }
        self.seats.insert(handle, Seat::Subscriber);
        self.subscriptions.insert(handle, sub);
        let done = self.attached(host, request, &room_id, legacy.as_ref());
        if done.is_err() {
            // Nothing came of it: the handle may try again.
            self.forget_subscription(host, handle);
            self.seats.insert(handle, Seat::Fresh);
        }
        done
    }

    fn attached(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
        room_id: &Id,
        legacy: Option<&Id>,
    ) -> Result<(), Refusal> {
        let mut data = Map::new();
        data.insert("videoroom".to_owned(), json!("attached"));
        data.insert("room".to_owned(), json!(room_id));
        let room = self.rooms.get(room_id);
        if let Some(publisher) = legacy.and_then(|feed| room?.participants.get(feed)) {
            data.extend(publisher.named());
            data.insert("warning".to_owned(), json!("deprecated_api"));
        }
        self.send_offer(host, request.handle, Some(&request.transaction), data, false)?;
        self.tell_of_lines(host, request.handle, "subscribing");
        Ok(())
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
    /// `configure`. 437 when the offer cannot be completed: then none is out.
    pub(crate) fn send_offer(
        &mut self,
        host: &mut dyn Host,
        handle: HandleKey,
        transaction: Option<&str>,
        mut data: Map<String, Value>,
        restart: bool,
    ) -> Result<(), Refusal> {
        let Some(sub) = self.subscriptions.get_mut(&handle) else { return Ok(()) };
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
        match host.push_event(handle, transaction, Value::Object(data), Some(jsep)) {
            Err(PushError::BadSdp) => {
                sub.pending_offer = false;
                sub.untold = true;
                Err(Refusal::new(Code::InvalidSdp, "The offer could not be made"))
            }
            // A handle that is gone needs no offer.
            _ => Ok(()),
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
        match self.send_offer(host, handle, None, data, false) {
            Ok(()) => self.tell_of_lines(host, handle, "updated"),
            Err(refusal) => tracing::warn!("a subscription is not updated: {}", refusal.text),
        }
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
            // `started` has answered this request: what fails now has nobody to be told to.
            if let Err(refusal) = self.send_offer(host, request.handle, None, data, restart) {
                tracing::warn!("a subscription is not updated: {}", refusal.text);
            }
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
        self.conclude_change(host, request, changed)
    }

    /// The reply rules of §6 "subscribe / unsubscribe / update".
    fn conclude_change(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
        changed: bool,
    ) -> Result<(), Refusal> {
        let Some(sub) = self.subscriptions.get_mut(&request.handle) else { return Ok(()) };
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
            self.send_offer(host, handle, transaction, data, false)?;
            self.tell_of_lines(host, handle, "updated");
        }
        Ok(())
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

/// A layer event, or another one about a line.
pub(crate) fn line_event(room: &Id, mindex: usize, key: &str, value: Value) -> Value {
    let mut event = notice::event(room);
    event.insert("mid".to_owned(), json!(mindex.to_string()));
    event.insert(key.to_owned(), value);
    Value::Object(event)
}
