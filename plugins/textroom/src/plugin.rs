//! TextRoom behind the plugin contract: the tables, the two surfaces, and the connection requests.

use crate::api::Body;
use crate::error::{self, Code, Refusal};
use crate::persist::{self, General};
use crate::room::Room;
use bifrons_core::api::{Expect, json, required};
use bifrons_core::config::Tree;
use bifrons_core::media::{DataKind, DataMessage, PeerId};
use bifrons_core::plugin::{
    About, Answer, HandleKey, Host, Id, JsepKind, Ledger, OutgoingJsep, Plugin, ReplyKey, Request,
    Ticket, Verdict,
};
use bifrons_core::sdp::{Offer, OfferLine};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};

/// Somebody's handle.
#[derive(Debug, Default)]
pub(crate) struct User {
    /// Whether there is, or was offered, a PeerConnection.
    pub(crate) set_up: bool,
    /// Offers made so far: the version of the next in `o=`.
    pub(crate) offers: u64,
    /// Rooms it is in, and under what name.
    pub(crate) joined: BTreeMap<Id, String>,
}

/// Who asked.
#[derive(Clone, Debug)]
pub(crate) enum Asker {
    /// A client, over the Janus API.
    Client(ReplyKey),
    /// An operator, over the Admin API.
    Operator,
    /// A client, over its data channel.
    Channel {
        /// Whose.
        handle: HandleKey,
        /// Goes back with the reply.
        transaction: String,
    },
}

/// What comes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// This reply.
    Reply(Map<String, Value>),
    /// A reply when the disk has spoken.
    Later,
    /// None is wanted.
    Silence,
}

/// See the crate.
#[derive(Debug, Default)]
pub struct TextRoom {
    pub(crate) general: General,
    /// Where permanent rooms are kept.
    pub(crate) ledger: Ledger<Asker>,
    pub(crate) rooms: BTreeMap<Id, Room>,
    pub(crate) users: HashMap<HandleKey, User>,
    /// Whose each request to a web server is.
    pub(crate) posting: HashMap<Ticket, Id>,
    /// Messages that found no room on their way to a member.
    unsent: u64,
}

/// The beginning of a reply.
pub(crate) fn success(kind: &str, room: Option<&Id>) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("textroom".to_owned(), json!(kind));
    if let Some(room) = room {
        data.insert("room".to_owned(), json!(room));
    }
    data
}

/// 417.
pub(crate) fn no_such_room(id: &Id) -> Refusal {
    Refusal::new(Code::NoSuchRoom, format!("No such room ({id})"))
}

impl TextRoom {
    /// Sends an object on the default channel.
    pub(crate) fn say(&mut self, host: &mut dyn Host, to: HandleKey, what: &Value) {
        let text = json::write(what, self.general.style);
        // Refused only for a member that does not read what it is sent.
        self.unsent += u64::from(host.send_data(to, DataMessage::text(text)).is_err());
    }

    /// Sends an object to everybody in a room.
    pub(crate) fn say_to_all(&mut self, host: &mut dyn Host, room: &Id, what: &Value) {
        let Some(room) = self.rooms.get(room) else { return };
        let text = json::write(what, self.general.style);
        for member in room.members.values() {
            let sent = host.send_data(member.handle, DataMessage::text(text.clone()));
            self.unsent += u64::from(sent.is_err());
        }
    }

    /// Tells the event handlers, if anybody wants to know.
    pub(crate) fn tell_handlers(
        &self,
        host: &mut dyn Host,
        handle: Option<HandleKey>,
        body: impl FnOnce() -> Value,
    ) {
        if self.general.events && host.events_enabled() {
            host.notify_event(handle, body());
        }
    }

    /// Gives an answer to whoever asked.
    pub(crate) fn answer(
        &mut self,
        host: &mut dyn Host,
        asker: &Asker,
        mut data: Map<String, Value>,
    ) {
        match asker {
            Asker::Client(key) => host.reply(*key, Verdict::Reply(Value::Object(data))),
            Asker::Operator => {}
            Asker::Channel { handle, transaction } => {
                data.insert("transaction".to_owned(), json!(transaction));
                self.say(host, *handle, &Value::Object(data));
            }
        }
    }

    /// Serves a request of the Janus or Admin API. `request` gives its name; `textroom` wins.
    fn serve(
        &mut self,
        host: &mut dyn Host,
        asker: &Asker,
        body: &Map<String, Value>,
    ) -> Result<Outcome, Refusal> {
        let key = if body.contains_key("textroom") { "textroom" } else { "request" };
        let name = required(body, key, Expect::String)?.as_str().unwrap_or_default().to_owned();
        let body = Body::new(body, self.general.string_ids);
        let served = self.manage(host, asker, &name, &body);
        served.unwrap_or_else(|| Err(Refusal::unknown_request(&name)))
    }

    /// Serves what came over a data channel.
    fn serve_channel(&mut self, host: &mut dyn Host, handle: HandleKey, text: &[u8]) {
        let Ok(value) = json::parse_one(text) else { return };
        let transaction = value.get("transaction").and_then(Value::as_str).map(str::to_owned);
        let outcome = self.channel_request(host, handle, &value);
        match (outcome, transaction) {
            (Ok(Outcome::Reply(data)), Some(transaction)) => {
                self.answer(host, &Asker::Channel { handle, transaction }, data);
            }
            (Ok(_), _) => {}
            (Err(refusal), transaction) => {
                let mut data = refusal.object("error");
                if let Some(transaction) = transaction {
                    data.insert("transaction".to_owned(), json!(transaction));
                }
                self.say(host, handle, &Value::Object(data));
            }
        }
    }

    fn channel_request(
        &mut self,
        host: &mut dyn Host,
        handle: HandleKey,
        value: &Value,
    ) -> Result<Outcome, Refusal> {
        let not_an_object = || Refusal::new(Code::InvalidJson, "JSON error: not an object");
        let body = value.as_object().ok_or_else(not_an_object)?;
        let name = required(body, "textroom", Expect::String)?.as_str().unwrap_or_default();
        let transaction = required(body, "transaction", Expect::String)?;
        let transaction = transaction.as_str().unwrap_or_default().to_owned();
        let body = Body::new(body, self.general.string_ids);
        let asker = Asker::Channel { handle, transaction };
        let served = self.chat(host, handle, name, &body);
        let served = served.or_else(|| self.manage(host, &asker, name, &body));
        served.unwrap_or_else(|| Err(Refusal::unknown_request(name)))
    }

    /// `setup`, `ack` and `restart`: they make the PeerConnection and are answered by an event.
    fn connect(
        &mut self,
        host: &mut dyn Host,
        name: &str,
        request: &Request,
    ) -> Result<(), Refusal> {
        let user = self.users.entry(request.handle).or_default();
        let refusal = match name {
            "setup" if user.set_up => Some("PeerConnection already setup"),
            "restart" if !user.set_up => Some("PeerConnection not setup"),
            _ => None,
        };
        if let Some(text) = refusal {
            return Err(Refusal::new(Code::AlreadySetup, text));
        }
        let jsep = (name != "ack").then(|| {
            user.set_up = true;
            user.offers += 1;
            let mut offer = Offer::new("Janus TextRoom plugin", user.offers);
            offer.add(OfferLine::data());
            let restart = name == "restart";
            OutgoingJsep { kind: JsepKind::Offer, sdp: offer.build(), e2ee: false, restart }
        });
        let done = json!({ "textroom": "event", "result": "ok" });
        let sent = host.push_event(request.handle, Some(&request.transaction), done, jsep);
        sent.map_err(|_| Refusal::new(Code::Unknown, "The PeerConnection cannot be offered"))
    }
}

impl Plugin for TextRoom {
    fn about(&self) -> About {
        About {
            package: "janus.plugin.textroom",
            name: "Bifrons TextRoom",
            description: "Chat rooms over data channels",
            author: "The Bifrons authors",
            version: 2,
            version_string: "0.0.2",
        }
    }

    fn start(&mut self, _host: &mut dyn Host, config: Option<&Tree>) -> Result<(), String> {
        self.ledger = Ledger::new(config, |what| tracing::warn!("{what}"));
        self.general = config.map(General::read).unwrap_or_default();
        for (id, name, group) in self.ledger.rooms(self.general.string_ids) {
            let room = Room::new(id.clone(), persist::settings(name, group), None);
            self.rooms.insert(id, room);
        }
        Ok(())
    }

    fn create_session(&mut self, _host: &mut dyn Host, handle: HandleKey) -> Result<(), i32> {
        self.users.insert(handle, User::default());
        Ok(())
    }

    fn handle_message(&mut self, host: &mut dyn Host, request: Request) -> Verdict {
        let name = request.body.get("request").and_then(Value::as_str).unwrap_or_default();
        if matches!(name, "setup" | "ack" | "restart") && !request.body.contains_key("textroom") {
            if let Err(refusal) = self.connect(host, name, &request) {
                let error = Value::Object(refusal.object("error"));
                // A handle that is gone needs no refusal.
                let _ = host.push_event(request.handle, Some(&request.transaction), error, None);
            }
            return Verdict::Ack(None);
        }
        match self.serve(host, &Asker::Client(request.reply), &request.body) {
            Ok(Outcome::Reply(data)) => Verdict::Reply(Value::Object(data)),
            Ok(_) => Verdict::Deferred,
            Err(refusal) => Verdict::Reply(Value::Object(refusal.object(error::kind(&refusal)))),
        }
    }

    fn handle_admin_message(
        &mut self,
        host: &mut dyn Host,
        body: &Value,
        _: ReplyKey,
    ) -> Option<Verdict> {
        let not_an_object = || Refusal::new(Code::InvalidJson, "JSON error: not an object");
        let body = body.as_object().ok_or_else(not_an_object);
        match body.and_then(|body| self.serve(host, &Asker::Operator, body)) {
            Ok(Outcome::Reply(data)) => Some(Verdict::Reply(Value::Object(data))),
            Ok(_) => None,
            Err(refusal) => {
                Some(Verdict::Reply(Value::Object(refusal.object(error::kind(&refusal)))))
            }
        }
    }

    fn setup_media(&mut self, _host: &mut dyn Host, _handle: HandleKey, _peer: PeerId) {}

    fn hangup_media(&mut self, host: &mut dyn Host, handle: HandleKey) {
        self.leave_all(host, handle);
        if let Some(user) = self.users.get_mut(&handle) {
            user.set_up = false;
        }
    }

    fn incoming_data(&mut self, host: &mut dyn Host, handle: HandleKey, message: &DataMessage) {
        if message.kind == DataKind::Text {
            self.serve_channel(host, handle, &message.bytes);
        }
    }

    fn destroy_session(&mut self, host: &mut dyn Host, handle: HandleKey) {
        self.leave_all(host, handle);
        self.users.remove(&handle);
    }

    fn query_session(&self, handle: HandleKey) -> Value {
        let joined = self.users.get(&handle).map(|user| &user.joined);
        let rooms: Vec<_> = joined.into_iter().flatten().map(|(id, _)| id).collect();
        json!({ "destroyed": 0, "rooms": rooms })
    }

    fn answered(&mut self, host: &mut dyn Host, ticket: Ticket, answer: Answer) {
        match answer {
            Answer::Stored(outcome) => {
                if let Some((asker, data)) = self.ledger.stored(ticket, outcome) {
                    self.answer(host, &asker, data);
                }
            }
            Answer::Http(_) => self.posted(host, ticket),
            Answer::Elapsed | Answer::Resolved(_) => {}
        }
    }
}
