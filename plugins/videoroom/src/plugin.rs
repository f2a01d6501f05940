//! VideoRoom behind the plugin contract: the tables, and which request goes where.

use crate::address::Resolving;
use crate::error::{Code, Refusal};
use crate::persist::General;
use crate::room::Room;
use crate::settings::{Given, Settings};
use crate::subscription::Subscription;
use bifrons_core::api::FieldError;
use bifrons_core::config::Tree;
use bifrons_core::media::{Fact, IngestId, Mindex, PeerId};
use bifrons_core::plugin::{
    About, Answer, HandleKey, Host, Id, Ledger, Plugin, ReplyKey, Request, Ticket, Verdict,
};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};

/// What clients attach to.
pub(crate) const PACKAGE: &str = "janus.plugin.videoroom";

/// What a handle is, for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    /// Nothing yet.
    Fresh,
    /// A participant of a room.
    Publisher {
        /// The room.
        room: Id,
        /// The participant.
        user: Id,
    },
    /// Was a participant; left, was kicked, or its room is gone.
    Gone,
    /// Has a subscription.
    Subscriber,
}

/// See the crate.
#[derive(Debug, Default)]
pub struct VideoRoom {
    pub(crate) general: General,
    /// Where permanent rooms are kept.
    pub(crate) ledger: Ledger<ReplyKey>,
    pub(crate) rooms: BTreeMap<Id, Room>,
    pub(crate) seats: HashMap<HandleKey, Seat>,
    pub(crate) subscriptions: HashMap<HandleKey, Subscription>,
    /// Requests that wait for the address of a name.
    pub(crate) resolving: HashMap<Ticket, Resolving>,
    /// Whose each ingest is: room, participant and stream.
    pub(crate) ingests: HashMap<IngestId, (Id, Id, Mindex)>,
    /// The handle whose request about rooms is being served, for event handlers.
    pub(crate) asker: Option<HandleKey>,
}

/// Requests that are answered by an event.
const ASYNCHRONOUS: [&str; 12] = [
    "join",
    "joinandconfigure",
    "configure",
    "publish",
    "unpublish",
    "start",
    "pause",
    "switch",
    "subscribe",
    "unsubscribe",
    "update",
    "leave",
];

/// The name of a request, in lower case.
fn name_of(body: &Map<String, Value>) -> Result<String, Refusal> {
    use bifrons_core::api::{Expect, required};
    let name: Result<&Value, FieldError> = required(body, "request", Expect::String);
    Ok(name?.as_str().unwrap_or_default().to_ascii_lowercase())
}

impl VideoRoom {
    /// Serves a request that is answered by an event.
    fn serve(&mut self, host: &mut dyn Host, name: &str, request: &Request) -> Result<(), Refusal> {
        let seat = self.seats.get(&request.handle).cloned().unwrap_or(Seat::Fresh);
        let joins = matches!(name, "join" | "joinandconfigure");
        match seat {
            Seat::Fresh if joins => self.join(host, name, request),
            Seat::Fresh => {
                Err(Refusal::new(Code::JoinFirst, "Invalid request on unconfigured participant"))
            }
            _ if joins => {
                let text = "Already in as a participant or subscriber on this handle";
                Err(Refusal::new(Code::AlreadyJoined, text))
            }
            Seat::Gone => Err(Refusal::new(Code::NoSuchRoom, "No such room")),
            Seat::Publisher { room, user } => {
                self.serve_publisher(host, name, request, &room, &user)
            }
            Seat::Subscriber => self.serve_subscriber(host, name, request),
        }
    }

    /// Tells the event handlers, if anybody wants to know.
    pub(crate) fn tell_handlers(
        &self,
        host: &mut dyn Host,
        handle: Option<HandleKey>,
        body: impl FnOnce() -> Map<String, Value>,
    ) {
        if self.general.events && host.events_enabled() {
            host.notify_event(handle, Value::Object(body()));
        }
    }

    /// The room of this id.
    pub(crate) fn room(&self, id: &Id) -> Result<&Room, Refusal> {
        self.rooms.get(id).ok_or_else(|| no_such_room(id))
    }
}

/// 426.
pub(crate) fn no_such_room(id: &Id) -> Refusal {
    Refusal::new(Code::NoSuchRoom, format!("No such room ({id})"))
}

impl Plugin for VideoRoom {
    fn about(&self) -> About {
        About {
            package: PACKAGE,
            name: "Bifrons VideoRoom",
            description: "Rooms of publishers and subscribers",
            author: "The Bifrons authors",
            version: 10,
            version_string: "0.0.10",
        }
    }

    fn start(&mut self, host: &mut dyn Host, config: Option<&Tree>) -> Result<(), String> {
        self.ledger = Ledger::new(config, |what| tracing::warn!("{what}"));
        self.general = config.map(General::read).unwrap_or_default();
        for (id, name, group) in self.ledger.rooms(self.general.string_ids) {
            let mut settings = match Settings::read(&Given::File(group), name) {
                Ok(settings) => settings,
                Err(refusal) => {
                    tracing::warn!(room = name, "{}; skipped", refusal.text);
                    continue;
                }
            };
            settings.signed_tokens &= host.auth_is_signed();
            let room = Room::new(host, id.clone(), settings, None);
            self.rooms.insert(id, room);
        }
        Ok(())
    }

    fn create_session(&mut self, _host: &mut dyn Host, handle: HandleKey) -> Result<(), i32> {
        self.seats.insert(handle, Seat::Fresh);
        Ok(())
    }

    fn handle_message(&mut self, host: &mut dyn Host, request: Request) -> Verdict {
        let name = match name_of(&request.body) {
            Ok(name) => name,
            Err(refusal) => return Verdict::Reply(refusal.event()),
        };
        if ASYNCHRONOUS.contains(&name.as_str()) {
            if let Err(refusal) = self.serve(host, &name, &request) {
                // A handle that is gone needs no refusal.
                let _ = host.push_event(
                    request.handle,
                    Some(&request.transaction),
                    refusal.event(),
                    None,
                );
            }
            return Verdict::Ack(None);
        }
        self.asker = Some(request.handle);
        let outcome = self.manage(host, &name, &request.body, Some(request.reply));
        self.asker = None;
        match outcome {
            Ok(verdict) => verdict,
            Err(refusal) => Verdict::Reply(refusal.event()),
        }
    }

    fn handle_admin_message(
        &mut self,
        host: &mut dyn Host,
        body: &Value,
        _: ReplyKey,
    ) -> Option<Verdict> {
        let outcome = (|| {
            let body = body.as_object().ok_or_else(|| {
                Refusal::new(Code::InvalidRequest, "The request should be an object")
            })?;
            let name = name_of(body)?;
            self.manage(host, &name, body, None)
        })();
        match outcome {
            Ok(verdict @ Verdict::Reply(_)) => Some(verdict),
            Ok(_) => None,
            Err(refusal) => Some(Verdict::Reply(refusal.event())),
        }
    }

    fn setup_media(&mut self, host: &mut dyn Host, handle: HandleKey, peer: PeerId) {
        match self.seats.get(&handle).cloned() {
            Some(Seat::Publisher { room, user }) => {
                self.publisher_up(host, handle, peer, &room, &user);
            }
            Some(Seat::Subscriber) => self.subscriber_up(host, handle, peer),
            _ => {}
        }
    }

    fn hangup_media(&mut self, host: &mut dyn Host, handle: HandleKey) {
        match self.seats.get(&handle).cloned() {
            Some(Seat::Publisher { room, user }) => {
                self.end_publishing(host, &room, &user, false);
            }
            Some(Seat::Subscriber) => self.subscriber_down(host, handle),
            _ => {}
        }
    }

    fn fact(&mut self, host: &mut dyn Host, handle: HandleKey, fact: &Fact) {
        match self.seats.get(&handle).cloned() {
            Some(Seat::Publisher { room, user }) => {
                self.publisher_fact(host, handle, fact, &room, &user);
            }
            Some(Seat::Subscriber) => self.subscriber_fact(host, handle, fact),
            _ => {}
        }
    }

    fn ingest_fact(&mut self, host: &mut dyn Host, ingest: IngestId, fact: &Fact) {
        self.remote_fact(host, ingest, fact);
    }

    fn destroy_session(&mut self, host: &mut dyn Host, handle: HandleKey) {
        match self.seats.remove(&handle) {
            Some(Seat::Publisher { room, user }) => {
                self.end_publishing(host, &room, &user, true);
                self.remove_participant(host, &room, &user, "leaving");
            }
            Some(Seat::Subscriber) => self.forget_subscription(host, handle),
            _ => {}
        }
    }

    fn query_session(&self, handle: HandleKey) -> Value {
        self.describe(handle)
    }

    fn answered(&mut self, host: &mut dyn Host, ticket: Ticket, answer: Answer) {
        match answer {
            Answer::Stored(outcome) => {
                if let Some((reply, data)) = self.ledger.stored(ticket, outcome) {
                    host.reply(reply, Verdict::Reply(Value::Object(data)));
                }
            }
            Answer::Resolved(found) => self.resolved(host, ticket, found),
            _ => {}
        }
    }
}
