//! A client that sorts replies from events, over whatever carries messages.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;

/// How long a client waits for what has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How long it waits for what must not come.
pub(crate) const SILENCE: Duration = Duration::from_millis(250);

/// What carries messages to a server and back.
pub(crate) trait Wire {
    /// Sends one message.
    async fn send(&mut self, message: &[u8]);

    /// The next message, whenever it comes; `None` when nothing can come any more.
    async fn receive(&mut self) -> Option<Vec<u8>>;
}

/// A client of the Janus API.
pub(crate) struct Client<W> {
    pub(crate) wire: W,
    kept: VecDeque<Value>,
    asked: u64,
}

impl<W: Wire> Client<W> {
    pub(crate) fn new(wire: W) -> Self {
        Client { wire, kept: VecDeque::new(), asked: 0 }
    }

    /// The next message, kept ones aside.
    pub(crate) async fn next_within(&mut self, limit: Duration) -> Option<Value> {
        let bytes = tokio::time::timeout(limit, self.wire.receive()).await.ok().flatten()?;
        Some(serde_json::from_slice(&bytes).expect("one JSON value"))
    }

    pub(crate) async fn next(&mut self) -> Value {
        self.next_within(PATIENCE).await.expect("a message in time")
    }

    /// Sends a request and waits for its reply; what comes before is kept.
    pub(crate) async fn ask(&mut self, mut request: Value) -> Value {
        if request.get("transaction").is_none() {
            self.asked += 1;
            request["transaction"] = json!(format!("t{}", self.asked));
        }
        self.wire.send(request.to_string().as_bytes()).await;
        loop {
            let message = self.next().await;
            let is_event = message["janus"] == "event";
            if message["transaction"] == request["transaction"] && !is_event {
                return message;
            }
            self.kept.push_back(message);
        }
    }

    /// Sends bytes and waits for the next message.
    pub(crate) async fn ask_raw(&mut self, bytes: &[u8]) -> Value {
        self.wire.send(bytes).await;
        self.next().await
    }

    /// Waits for the first message, kept or new, that is as wanted; others are kept.
    pub(crate) async fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.kept.iter().position(&wanted) {
            return self.kept.remove(index).expect("it is there");
        }
        loop {
            let next = self.next_within(PATIENCE).await;
            let message = next.unwrap_or_else(|| panic!("no {what}; kept {:?}", self.kept));
            if wanted(&message) {
                return message;
            }
            self.kept.push_back(message);
        }
    }

    pub(crate) async fn create(&mut self) -> u64 {
        let reply = self.ask(json!({"janus": "create"})).await;
        reply["data"]["id"].as_u64().unwrap_or_else(|| panic!("no session: {reply}"))
    }

    pub(crate) async fn attach(&mut self, session: u64, plugin: &str) -> u64 {
        let request = json!({"janus": "attach", "session_id": session, "plugin": plugin});
        let reply = self.ask(request).await;
        reply["data"]["id"].as_u64().unwrap_or_else(|| panic!("no handle: {reply}"))
    }

    /// A request to a plugin; its reply, an `ack` say.
    pub(crate) async fn message(&mut self, at: (u64, u64), body: Value) -> Value {
        self.ask(json!({"janus": "message", "session_id": at.0, "handle_id": at.1, "body": body}))
            .await
    }

    /// Whether a session is there, by the error of a `keepalive`.
    pub(crate) async fn knows(&mut self, session: u64) -> bool {
        let reply = self.ask(json!({"janus": "keepalive", "session_id": session})).await;
        match (reply["janus"].as_str(), reply["error"]["code"].as_u64()) {
            (Some("ack"), _) => true,
            (_, Some(458)) => false,
            _ => panic!("{reply}"),
        }
    }

    pub(crate) async fn ping(&mut self) {
        assert_eq!(self.ask(json!({"janus": "ping"})).await["janus"], "pong");
    }
}
