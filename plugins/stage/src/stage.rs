//! The clients of one plugin.

use crate::world::{Event, World};
use bifrons_core::config::{Tree, jcfg};
use bifrons_core::media::{PeerId, Plan};
use bifrons_core::plugin::{
    Answer, HandleKey, Jsep, OutgoingJsep, Plugin, ReplyKey, Request, ServiceEvent, ServiceId,
    Verdict,
};
use serde_json::{Value, json};

/// A plugin, the world it sees, and clients. Every method panics where a client would not get what
/// it waits for.
#[derive(Debug)]
pub struct Stage<P> {
    /// The plugin.
    pub plugin: P,
    /// What it sees.
    pub world: World,
    handles: u64,
}

impl<P: Plugin + Default> Stage<P> {
    /// With an empty configuration.
    #[must_use]
    pub fn new() -> Self {
        Self::with("")
    }

    /// With this configuration, as the text of a jcfg file.
    #[must_use]
    pub fn with(config: &str) -> Self {
        Self::with_tree(&jcfg::read_alone("test", config).expect("valid jcfg"))
    }

    /// With this configuration.
    #[must_use]
    pub fn with_tree(tree: &Tree) -> Self {
        Self::start(World::default(), Some(tree))
    }

    /// In this world, and without any configuration if there is no tree.
    #[must_use]
    pub fn start(world: World, tree: Option<&Tree>) -> Self {
        let mut stage = Stage { plugin: P::default(), world, handles: 0 };
        stage.plugin.start(&mut stage.world, tree).expect("starts");
        stage
    }
}

impl<P: Plugin + Default> Default for Stage<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Plugin> Stage<P> {
    /// A handle of its own for a new client.
    pub fn attach(&mut self) -> HandleKey {
        self.handles += 1;
        let handle = HandleKey(self.handles);
        self.plugin.create_session(&mut self.world, handle).expect("attaches");
        handle
    }

    /// One request, and the plugin's verdict.
    pub fn message(&mut self, handle: HandleKey, body: Value, jsep: Option<Jsep>) -> Verdict {
        let Value::Object(body) = body else { panic!("bodies are objects") };
        let reply = ReplyKey(self.world.number());
        let request = Request { handle, transaction: "tx".to_owned(), body, jsep, reply };
        self.plugin.handle_message(&mut self.world, request)
    }

    /// A synchronous request of a new client; its reply, at once or when what it stores is stored.
    pub fn sync(&mut self, body: Value) -> Value {
        let handle = self.attach();
        self.sync_on(handle, body)
    }

    /// The same, of this client.
    pub fn sync_on(&mut self, handle: HandleKey, body: Value) -> Value {
        match self.message(handle, body, None) {
            Verdict::Reply(data) => data,
            Verdict::Deferred => {
                let ticket = self.world.stored.last().expect("stored").0;
                self.plugin.answered(&mut self.world, ticket, Answer::Stored(Ok(())));
                self.late()
            }
            other => panic!("{other:?}"),
        }
    }

    /// What an operator's request is answered with at once.
    pub fn operate(&mut self, body: &Value) -> Value {
        let reply = ReplyKey(self.world.number());
        match self.plugin.handle_admin_message(&mut self.world, body, reply) {
            Some(Verdict::Reply(data)) => data,
            other => panic!("{other:?}"),
        }
    }

    /// What was answered late.
    pub fn late(&mut self) -> Value {
        match self.world.replies.pop().expect("answered").1 {
            Verdict::Reply(data) => data,
            other => panic!("{other:?}"),
        }
    }

    /// A service says something; one that failed is gone.
    pub fn says(&mut self, service: ServiceId, event: &ServiceEvent) {
        if matches!(event, ServiceEvent::Failed { .. }) {
            self.world.services.retain(|(have, _)| *have != service);
        }
        self.plugin.service_event(&mut self.world, service, event);
    }

    /// An asynchronous request; all events it caused, in order.
    pub fn ask(&mut self, handle: HandleKey, body: Value, jsep: Option<Jsep>) -> Vec<Event> {
        self.world.events.clear();
        assert_eq!(self.message(handle, body, jsep), Verdict::Ack(None));
        self.events()
    }

    /// The one event that answers an asynchronous request.
    pub fn answer(&mut self, handle: HandleKey, body: Value, jsep: Option<Jsep>) -> Event {
        let events = self.ask(handle, body, jsep);
        let mut own: Vec<_> = events.into_iter().filter(|e| e.transaction.is_some()).collect();
        assert_eq!(own.len(), 1, "{own:?}");
        own.remove(0)
    }

    /// Answers an offer with `start`, everything as offered; all events that caused, in order.
    pub fn start_with(&mut self, handle: HandleKey, offered: &OutgoingJsep) -> Vec<Event> {
        let answer = crate::answer_to(offered);
        self.ask(handle, json!({ "request": "start" }), Some(answer))
    }

    /// The events so far, taken away.
    pub fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.world.events)
    }

    /// Their data alone.
    pub fn told(&mut self) -> Vec<Value> {
        self.events().into_iter().map(|event| event.data).collect()
    }

    /// The plans so far, taken away.
    pub fn plans(&mut self) -> Vec<Plan> {
        std::mem::take(&mut self.world.plans)
    }

    /// DTLS is done.
    pub fn up(&mut self, handle: HandleKey) -> PeerId {
        let peer = self.world.peers.get(&handle).copied().expect("negotiated");
        self.world.up.push(handle);
        self.plugin.setup_media(&mut self.world, handle, peer);
        peer
    }

    /// The PeerConnection ends, by request of whomever.
    pub fn down(&mut self, handle: HandleKey) {
        self.forget(handle);
        self.plugin.hangup_media(&mut self.world, handle);
    }

    /// The client leaves.
    pub fn detach(&mut self, handle: HandleKey) {
        self.forget(handle);
        self.plugin.destroy_session(&mut self.world, handle);
    }

    /// Closes what the plugin asked to close.
    pub fn settle(&mut self) {
        for handle in std::mem::take(&mut self.world.closed) {
            if self.world.peers.contains_key(&handle) {
                self.down(handle);
            }
        }
    }

    fn forget(&mut self, handle: HandleKey) {
        self.world.peers.remove(&handle);
        self.world.up.retain(|up| *up != handle);
    }
}
