//! A small WebSocket client that sorts replies from events.

pub(crate) use crate::http_client::*;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::{self, Message};

/// How long a client waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(2);

/// A WebSocket client.
pub(crate) struct Ws {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pub(crate) response: Response,
    kept: VecDeque<Value>,
    asked: u64,
}

impl Ws {
    pub(crate) async fn connect(
        address: &str,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Ws, tungstenite::Error> {
        let mut request = format!("ws://{address}{path}").into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header value"));
        }
        let stream = TcpStream::connect(address).await?;
        let (socket, response) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(Ws { socket, response, kept: VecDeque::new(), asked: 0 })
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("sent");
    }

    /// The next JSON message of the server, or `None` when it closed or kept silent for `limit`.
    pub(crate) async fn next_within(&mut self, limit: Duration) -> Option<Value> {
        let next = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        // One JSON value a message, whatever the message (core_api_53).
                        return Some(serde_json::from_str(&text).expect("one JSON value"));
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(_) | Err(_)) | None => return None,
                }
            }
        };
        tokio::time::timeout(limit, next).await.ok().flatten()
    }

    pub(crate) async fn next(&mut self) -> Value {
        self.next_within(PATIENCE).await.expect("a message in time")
    }

    /// The next event that is already there or comes in time.
    pub(crate) async fn event(&mut self) -> Value {
        match self.kept.pop_front() {
            Some(event) => event,
            None => self.next().await,
        }
    }

    /// An event that came before some reply.
    pub(crate) fn kept_event(&mut self) -> Option<Value> {
        self.kept.pop_front()
    }

    pub(crate) async fn event_within(&mut self, limit: Duration) -> Option<Value> {
        match self.kept.pop_front() {
            Some(event) => Some(event),
            None => self.next_within(limit).await,
        }
    }

    /// Asserts that no event is there: asks something, and only its reply comes.
    pub(crate) async fn no_event(&mut self) {
        let pong = self.ask(json!({"janus": "ping"})).await;
        assert_eq!(pong["janus"], "pong");
        assert_eq!(self.kept, [] as [Value; 0]);
    }

    /// Sends a request and waits for its reply; events that come before are kept. A missing
    /// transaction is made up.
    pub(crate) async fn ask(&mut self, mut request: Value) -> Value {
        if request.get("transaction").is_none() {
            self.asked += 1;
            request["transaction"] = json!(format!("t{}", self.asked));
        }
        self.send_text(&request.to_string()).await;
        loop {
            let message = self.next().await;
            let event = message["janus"] == "event" || message.get("sender").is_some();
            let reply = message["transaction"] == request["transaction"];
            if reply && (!event || message["janus"] == "success") {
                return message;
            }
            self.kept.push_back(message);
        }
    }

    /// Sends a text and waits for the next message, whatever it is.
    pub(crate) async fn ask_raw(&mut self, text: &str) -> Value {
        self.send_text(text).await;
        self.next().await
    }

    pub(crate) async fn create(&mut self) -> u64 {
        self.create_with(json!({})).await
    }

    /// Creates a session with more fields in the request, a secret say.
    pub(crate) async fn create_with(&mut self, extra: Value) -> u64 {
        let reply = self.ask(merged(json!({"janus": "create"}), &extra)).await;
        reply["data"]["id"].as_u64().unwrap_or_else(|| panic!("no session: {reply}"))
    }

    /// A session and a handle of EchoTest.
    pub(crate) async fn attached(&mut self) -> (u64, u64) {
        let session = self.create().await;
        let handle = self.attach(session).await;
        (session, handle)
    }

    pub(crate) async fn attach(&mut self, session: u64) -> u64 {
        let request = json!({"janus": "attach", "session_id": session,
            "plugin": "janus.plugin.echotest"});
        let reply = self.ask(request).await;
        reply["data"]["id"].as_u64().unwrap_or_else(|| panic!("no handle: {reply}"))
    }

    /// A request to a handle.
    pub(crate) async fn on(&mut self, at: (u64, u64), request: Value) -> Value {
        self.ask(merged(request, &json!({"session_id": at.0, "handle_id": at.1}))).await
    }

    /// Whether the server closes the connection within the limit; other messages are skipped.
    pub(crate) async fn closes_within(&mut self, limit: Duration) -> bool {
        let closed = async {
            while let Some(message) = self.socket.next().await {
                if matches!(message, Ok(Message::Close(_)) | Err(_)) {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, closed).await.is_ok()
    }
}

/// `base` with the fields of `extra` put in.
pub(crate) fn merged(mut base: Value, extra: &Value) -> Value {
    for (name, value) in extra.as_object().into_iter().flatten() {
        base[name] = value.clone();
    }
    base
}

/// `code reason` of an error; fails for anything else.
pub(crate) fn error_of(reply: &Value) -> String {
    assert_eq!(reply["janus"], "error", "{reply}");
    let error = &reply["error"];
    let code = error["code"].as_u64().expect("a numeric code");
    format!("{code} {}", error["reason"].as_str().expect("a reason"))
}

pub(crate) fn code_of(reply: &Value) -> u64 {
    assert_eq!(reply["janus"], "error", "{reply}");
    reply["error"]["code"].as_u64().expect("a numeric code")
}
