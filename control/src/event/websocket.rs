//! Events over a WebSocket (admin-events-recording §8.2; `janus.eventhandler.wsevh`).
//!
//! We are the client. While there is no connection events wait in the feed, as many as
//! `events_cap_on_reconnect` says, and it is tried again after 1, 2, 4, 8, 8, ... s.

use super::{BackOff, EventHandler, Feed, Hub, MAX_WAITING, QueryError, feed_settings, fields};
use crate::service::outward::{Backend, Duplex};
use bifrons_core::config::event::WsEventSettings;
use bifrons_core::plugin::About;
use futures_util::{SinkExt, StreamExt};
use hyper::header::{HeaderValue, ORIGIN};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// How long the handshake may take, and one message to be taken by the receiver's TCP.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest message of a receiver, in bytes; a longer one ends the connection.
const MAX_HEARD: usize = 64 * 1024;

type Socket = WebSocketStream<Box<dyn Duplex>>;

/// The handler.
pub struct WsEvents {
    feed: Rc<Feed>,
    backend: Backend,
    subprotocol: HeaderValue,
    /// Events kept while there is no connection.
    cap: Cell<usize>,
}

/// Why a conversation ended.
#[derive(PartialEq, Eq)]
enum Ended {
    /// The receiver is gone.
    Lost,
    /// The server stops, and everything was sent.
    Done,
}

fn cap(events: u32) -> usize {
    usize::try_from(events).ok().filter(|cap| *cap > 0).unwrap_or(MAX_WAITING)
}

impl WsEvents {
    /// Adds the handler to the hub and starts it; an error says what its file lacks.
    pub fn start(hub: &Hub, from: &WsEventSettings) -> Result<Rc<Self>, String> {
        let backend = from.backend.as_deref().ok_or("`backend` is missing")?;
        let backend = Backend::read(backend, ["ws", "wss"])?;
        let subprotocol = HeaderValue::from_str(&from.subprotocol)
            .map_err(|_| "`subprotocol` is no protocol's name")?;
        let cap = Cell::new(cap(from.events_cap_on_reconnect));
        let handler = hub.add(feed_settings(&from.common), |feed| {
            Rc::new(WsEvents { feed, backend, subprotocol, cap })
        });
        tokio::task::spawn_local(handler.clone().run());
        Ok(handler)
    }

    async fn run(self: Rc<Self>) {
        let mut delays = BackOff::new(Duration::from_secs(1), Duration::from_secs(8));
        loop {
            match self.connect().await {
                Ok(socket) => {
                    tracing::info!(backend = %self.backend.uri, "events flow");
                    delays.reset();
                    self.feed.set_most(MAX_WAITING);
                    if self.converse(socket).await == Ended::Done {
                        return;
                    }
                    tracing::warn!(backend = %self.backend.uri, "the receiver of events is gone");
                }
                Err(error) => {
                    tracing::debug!(%error, backend = %self.backend.uri, "no receiver of events");
                }
            }
            self.feed.set_most(self.cap.get());
            tokio::time::sleep(delays.next_delay()).await;
        }
    }

    async fn connect(&self) -> Result<Socket, Error> {
        match self.shake_hands(true).await {
            // It speaks no subprotocol at all: events are events.
            Err(Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(
                SubProtocolError::NoSubProtocol,
            ))) => self.shake_hands(false).await,
            result => result,
        }
    }

    async fn shake_hands(&self, subprotocol: bool) -> Result<Socket, Error> {
        let mut request = self.backend.uri.clone().into_client_request()?;
        let scheme = if self.backend.is_secure() { "https" } else { "http" };
        if let Ok(origin) = HeaderValue::from_str(&format!("{scheme}://{}", self.backend.host)) {
            request.headers_mut().insert(ORIGIN, origin);
        }
        if subprotocol {
            request.headers_mut().insert("sec-websocket-protocol", self.subprotocol.clone());
        }
        let stream = self.backend.connect().await?;
        // Nobody listens to what it says: it need not be long.
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_HEARD))
            .max_frame_size(Some(MAX_HEARD));
        let late = || Error::Io(std::io::ErrorKind::TimedOut.into());
        let shaken =
            tokio::time::timeout(TIMEOUT, client_async_with_config(request, stream, Some(config)));
        let shaken = shaken.await;
        shaken.map_err(|_| late())?.map(|(socket, _)| socket)
    }

    /// Sends what comes until the receiver is gone. What it says is not listened to.
    async fn converse(&self, mut socket: Socket) -> Ended {
        loop {
            tokio::select! {
                batch = self.feed.batch() => {
                    let Some(batch) = batch else {
                        let _ = tokio::time::timeout(TIMEOUT, socket.close(None)).await;
                        return Ended::Done;
                    };
                    let message = Message::text(batch.text(self.feed.style()));
                    let sent = tokio::time::timeout(TIMEOUT, socket.send(message)).await;
                    if matches!(sent, Ok(Ok(()))) {
                        self.feed.delivered(&batch);
                    } else {
                        self.feed.give_back(batch);
                        return Ended::Lost;
                    }
                }
                heard = socket.next() => match heard {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ended::Lost,
                    Some(Ok(_)) => {}
                },
            }
        }
    }
}

impl EventHandler for WsEvents {
    fn about(&self) -> About {
        About::ours(
            "janus.eventhandler.wsevh",
            "Bifrons WebSocket event handler",
            "Sends events over a WebSocket",
        )
    }

    fn tweak(&self, from: &Map<String, Value>) -> Result<(), QueryError> {
        if let Some(events) = fields::number(from, "events_cap_on_reconnect", u32::MAX)? {
            self.cap.set(cap(events));
        }
        Ok(())
    }
}
