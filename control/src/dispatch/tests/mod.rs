//! The whole API in process, on time that the test owns.

mod envelope;
mod events;
mod fakes;
mod lifetime;
mod plugins;
mod trickle;

use super::*;
use crate::negotiation::PeerEvent;
use fakes::{FakeNegotiator, FakePlugin, Log};
use serde_json::json;

pub(super) const PLUGIN: &str = "janus.plugin.test";

/// A connection of the test.
pub(super) const A: Owner = Owner { transport: TransportId(0), connection: ConnectionId(1) };
pub(super) const B: Owner = Owner { transport: TransportId(0), connection: ConnectionId(2) };

/// A server with one fake plugin and a fake WebRTC side.
pub(super) struct Fixture {
    pub(super) core: Core,
    pub(super) now: Moment,
    pub(super) log: Log,
    sent: Vec<Outgoing>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::with(CoreSettings::default(), Authority::default())
    }

    pub(super) fn with(settings: CoreSettings, authority: Authority) -> Self {
        let now = Moment { at: Instant::now(), wall_us: 1_700_000_000_000_000 };
        let log = Log::default();
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut core = Core::new(Parts {
            settings,
            authority,
            facts: ServerFacts::default(),
            negotiator: Box::new(FakeNegotiator::new(log.clone())),
            random: Box::new(random),
            now,
        });
        core.add_plugin(now, Box::new(FakePlugin::new(log.clone())), None).expect("starts");
        Fixture { core, now, log, sent: Vec::new() }
    }

    /// Lets time pass, tick by tick.
    pub(super) fn wait(&mut self, seconds: u64) {
        let end = self.now.at + Duration::from_secs(seconds);
        loop {
            let next = self.core.next_deadline().min(end);
            self.now.wall_us += next.saturating_duration_since(self.now.at).as_micros() as u64;
            self.now.at = next;
            self.core.tick(self.now);
            if next >= end {
                break;
            }
        }
        self.collect();
    }

    pub(super) fn collect(&mut self) {
        self.sent.extend(self.core.take_outgoing());
    }

    /// Sends a request and returns its reply; what else was sent stays for [`Fixture::events`].
    pub(super) fn ask_from(&mut self, owner: Owner, request: Value) -> Value {
        self.post(owner, request).expect("a reply")
    }

    pub(super) fn post(&mut self, owner: Owner, request: Value) -> Option<Value> {
        let origin = Origin { owner, request: 0 };
        self.core.request(self.now, origin, request);
        self.collect();
        let is_reply = |o: &Outgoing| matches!(o, Outgoing::Reply { .. });
        assert!(self.sent.iter().filter(|o| is_reply(o)).count() <= 1, "one reply for a request");
        let index = self.sent.iter().position(is_reply)?;
        match self.sent.remove(index) {
            Outgoing::Reply { to, message } => {
                assert_eq!(to, origin, "the reply goes to who asked");
                Some(message)
            }
            _ => None,
        }
    }

    pub(super) fn ask(&mut self, request: Value) -> Value {
        self.ask_from(A, request)
    }

    /// Events to one owner since the last call.
    pub(super) fn events_to(&mut self, owner: Owner) -> Vec<Value> {
        self.collect();
        let mine = |o: &Outgoing| matches!(o, Outgoing::Event { to, .. } if *to == owner);
        let (mine, rest) = std::mem::take(&mut self.sent).into_iter().partition(mine);
        self.sent = rest;
        let message = |o| match o {
            Outgoing::Event { message, .. } => message,
            other => panic!("{other:?}"),
        };
        Vec::into_iter(mine).map(message).collect()
    }

    pub(super) fn events(&mut self) -> Vec<Value> {
        self.events_to(A)
    }

    /// Everything sent since the last call, in order.
    pub(super) fn all_sent(&mut self) -> Vec<Outgoing> {
        self.collect();
        std::mem::take(&mut self.sent)
    }

    pub(super) fn create(&mut self) -> u64 {
        let reply = self.ask(json!({"janus": "create", "transaction": "c"}));
        reply["data"]["id"].as_u64().expect("an id")
    }

    pub(super) fn attach(&mut self, session: u64) -> u64 {
        let reply = self.ask(json!({"janus": "attach", "transaction": "a", "session_id": session,
            "plugin": PLUGIN}));
        reply["data"]["id"].as_u64().unwrap_or_else(|| panic!("{reply}"))
    }

    /// A session with one handle.
    pub(super) fn attached(&mut self) -> (u64, u64) {
        let session = self.create();
        (session, self.attach(session))
    }

    /// A request to a handle.
    pub(super) fn on(&mut self, (session, handle): (u64, u64), request: Value) -> Value {
        self.ask(place((session, handle), request))
    }

    pub(super) fn key(&self, (session, handle): (u64, u64)) -> HandleKey {
        self.core.handle_key(session, handle).expect("attached")
    }

    pub(super) fn peer_event(&mut self, at: (u64, u64), event: PeerEvent) {
        let key = self.key(at);
        self.core.peer_event(self.now, key, event);
    }

    /// An offer that the plugin answers at once: the PeerConnection's exchange is complete.
    pub(super) fn negotiate(&mut self, at: (u64, u64)) {
        let reply = self.on(
            at,
            json!({"janus": "message", "transaction": "n",
            "body": {"do": "answer"}, "jsep": {"type": "offer", "sdp": "v=0"}}),
        );
        assert_eq!(reply["janus"], "ack", "{reply}");
    }
}

/// Adds ids to a request.
pub(super) fn place((session, handle): (u64, u64), mut request: Value) -> Value {
    request["session_id"] = json!(session);
    request["handle_id"] = json!(handle);
    if request.get("transaction").is_none() {
        request["transaction"] = json!("t");
    }
    request
}

/// `code reason` of an error reply.
pub(super) fn error_of(reply: &Value) -> String {
    assert_eq!(reply["janus"], "error", "{reply}");
    let error = &reply["error"];
    format!("{} {}", error["code"], error["reason"].as_str().expect("a reason"))
}

pub(super) fn words(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["janus"].as_str()).collect()
}
