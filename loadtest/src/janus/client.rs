//! Connections and sessions.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::router::Router;
use super::{Handle, HttpBase, JanusError, WebSocket};

/// Requests waiting to be written to a WebSocket before [`Client::request`] waits too.
const OUTGOING: usize = 256;
/// Events asked for in one long poll.
const MAX_EVENTS: u32 = 10;
/// How long a request waits for its reply unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to a Janus API; cheap to clone, closed when the last clone is gone.
#[derive(Clone)]
pub struct Client {
    router: Arc<Router>,
    way: Way,
    patience: Duration,
    secret: Option<String>,
}

#[derive(Clone)]
enum Way {
    WebSocket(mpsc::Sender<String>),
    Http(HttpBase),
}

impl Client {
    /// Connects to `ws://…` or `http://…`. Over HTTP nothing is sent yet.
    ///
    /// # Errors
    /// [`JanusError::Address`] for another scheme, [`JanusError::Connection`] when the server
    /// cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, JanusError> {
        let router = Arc::new(Router::default());
        let way = if url.starts_with("http://") {
            Way::Http(HttpBase::parse(url)?)
        } else {
            let socket = WebSocket::connect(url).await?;
            let (sender, outgoing) = mpsc::channel(OUTGOING);
            tokio::spawn(carry(socket, outgoing, router.clone()));
            Way::WebSocket(sender)
        };
        Ok(Self { router, way, patience: PATIENCE, secret: None })
    }

    /// The same connection with another patience for replies and awaited events.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same connection adding `apisecret` to every request.
    #[must_use]
    pub fn with_secret(mut self, secret: &str) -> Self {
        self.secret = Some(secret.to_owned());
        self
    }

    /// How long a reply is waited for.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Sends `message`, with a transaction unless it has one, and returns the first reply
    /// (`success`, `ack`, `error`, `pong`, `server_info`), whatever it says.
    ///
    /// # Errors
    /// [`JanusError::Connection`] and [`JanusError::Late`].
    pub async fn request(&self, mut message: Value) -> Result<Value, JanusError> {
        if message["transaction"].is_null() {
            message["transaction"] = self.router.transaction().into();
        }
        if let Some(secret) = &self.secret {
            message["apisecret"] = secret.as_str().into();
        }
        let what = || JanusError::Late(format!("reply to {}", message["janus"]));
        match &self.way {
            Way::Http(base) => {
                let tail = tail_of(&message);
                timeout(self.patience, base.post(&tail, &message)).await.map_err(|_| what())?
            }
            Way::WebSocket(outgoing) => {
                let gone = || JanusError::Connection("closed".to_owned());
                let transaction = message["transaction"].as_str().unwrap_or_default().to_owned();
                let reply = self.router.expect(&transaction).ok_or_else(gone)?;
                outgoing.send(message.to_string()).await.map_err(|_| gone())?;
                match timeout(self.patience, reply).await {
                    Ok(reply) => reply.map_err(|_| gone()),
                    Err(_) => {
                        self.router.forget(&transaction);
                        Err(what())
                    }
                }
            }
        }
    }

    /// Like [`request`](Self::request), an `error` reply becoming [`JanusError::Refused`].
    ///
    /// # Errors
    /// Those of `request`, and the refusal.
    pub async fn demand(&self, message: Value) -> Result<Value, JanusError> {
        let reply = self.request(message).await?;
        if reply["janus"] == "error" {
            return Err(JanusError::Refused {
                code: reply["error"]["code"].as_i64().unwrap_or_default(),
                reason: reply["error"]["reason"].as_str().unwrap_or_default().to_owned(),
            });
        }
        Ok(reply)
    }

    /// Creates a session (`core-api` §3.3). Over HTTP its long poll starts at once.
    ///
    /// # Errors
    /// Those of [`demand`](Self::demand).
    pub async fn create(&self) -> Result<Session, JanusError> {
        let reply = self.demand(json!({"janus":"create"})).await?;
        let id = reply["data"]["id"].as_u64().ok_or(JanusError::Unexpected(reply))?;
        Ok(self.session(id))
    }

    /// A session known by its id, e.g. one to claim; nothing is sent.
    #[must_use]
    pub fn session(&self, id: u64) -> Session {
        let events = self.router.open_session(id);
        if let Way::Http(base) = &self.way {
            tokio::spawn(poll(base.clone(), id, Arc::downgrade(&self.router)));
        }
        Session { client: self.clone(), id, events }
    }

    /// Takes out what came and belonged to no request, session or handle.
    #[must_use]
    pub fn take_stray(&self) -> Vec<Value> {
        self.router.take_stray()
    }

    /// Messages dropped because their queue was full or its reader gone.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.router.dropped()
    }

    pub(super) fn router(&self) -> &Router {
        &self.router
    }
}

/// The path below the base for a message, from its session and handle.
fn tail_of(message: &Value) -> String {
    match (message["session_id"].as_u64(), message["handle_id"].as_u64()) {
        (Some(session), Some(handle)) => format!("/{session}/{handle}"),
        (Some(session), None) => format!("/{session}"),
        _ => String::new(),
    }
}

/// Carries a WebSocket until either end goes away.
async fn carry(mut socket: WebSocket, mut outgoing: mpsc::Receiver<String>, router: Arc<Router>) {
    loop {
        tokio::select! {
            text = outgoing.recv() => match text {
                Some(text) => if socket.send(&text).await.is_err() { break },
                None => { let _ = socket.close().await; break }
            },
            text = socket.receive() => match text {
                Ok(Some(text)) => {
                    let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
                    values.map_while(Result::ok).for_each(|value| router.deliver(value));
                }
                Ok(None) | Err(_) => break,
            },
        }
    }
    router.close();
}

/// Polls a session until it is gone or nobody is left to read.
async fn poll(base: HttpBase, session: u64, router: std::sync::Weak<Router>) {
    while let Ok(Some(events)) = base.poll(session, MAX_EVENTS).await {
        let Some(router) = router.upgrade() else { return };
        events.into_iter().filter(|e| e["janus"] != "keepalive").for_each(|e| router.deliver(e));
    }
}

/// A session of a client.
pub struct Session {
    client: Client,
    id: u64,
    events: mpsc::Receiver<Value>,
}

impl Session {
    /// Its id, 53 bit.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The connection it uses.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a request of the session level: `verb` with the fields of `extra` (an object or
    /// null). Returns the reply, whatever it says.
    ///
    /// # Errors
    /// Those of [`Client::request`].
    pub async fn request(&self, verb: &str, extra: Value) -> Result<Value, JanusError> {
        self.client.request(self.message(verb, extra)).await
    }

    fn message(&self, verb: &str, extra: Value) -> Value {
        let mut message = json!({"janus": verb, "session_id": self.id});
        if let (Some(message), Value::Object(extra)) = (message.as_object_mut(), extra) {
            message.extend(extra);
        }
        message
    }

    /// Attaches to a plugin (`core-api` §3.6).
    ///
    /// # Errors
    /// Those of [`Client::demand`].
    pub async fn attach(&self, plugin: &str) -> Result<Handle, JanusError> {
        let message = self.message("attach", json!({"plugin": plugin}));
        let reply = self.client.demand(message).await?;
        let id = reply["data"]["id"].as_u64().ok_or(JanusError::Unexpected(reply))?;
        let events = self.client.router().open_handle(self.id, id);
        Ok(Handle::new(self.client.clone(), self.id, id, events))
    }

    /// Keeps the session alive; the server lets it die after 60 s of silence.
    ///
    /// # Errors
    /// Those of [`Client::demand`].
    pub async fn keepalive(&self) -> Result<(), JanusError> {
        self.client.demand(self.message("keepalive", Value::Null)).await.map(drop)
    }

    /// Moves the session's events to this connection.
    ///
    /// # Errors
    /// Those of [`Client::demand`].
    pub async fn claim(&self) -> Result<(), JanusError> {
        self.client.demand(self.message("claim", Value::Null)).await.map(drop)
    }

    /// Ends the session with all its handles.
    ///
    /// # Errors
    /// Those of [`Client::demand`].
    pub async fn destroy(&self) -> Result<(), JanusError> {
        self.client.demand(self.message("destroy", Value::Null)).await.map(drop)
    }

    /// The next event of the session itself, e.g. `timeout`.
    ///
    /// # Errors
    /// [`JanusError::Late`], [`JanusError::Connection`].
    pub async fn event(&mut self) -> Result<Value, JanusError> {
        match timeout(self.client.patience(), self.events.recv()).await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => Err(JanusError::Connection("closed".to_owned())),
            Err(_) => Err(JanusError::Late("session event".to_owned())),
        }
    }
}
