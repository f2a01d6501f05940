//! The life of one connection.

use super::handshake::{self, Rules};
use super::link::{Link, LinkState};
use super::{Door, WebSockets};
use crate::transport::tls::secured;
use crate::transport::{MAX_REQUEST, Stream, Transport};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

/// Longest time for one message to be taken by the client's TCP.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Small buffers: most connections are idle most of the time.
fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(4096)
        .max_message_size(Some(MAX_REQUEST))
        .max_frame_size(Some(MAX_REQUEST))
}

/// When the connection has to be pinged or given up next.
struct Silence {
    trigger: Duration,
    timeout: Duration,
    since: Instant,
    pinged: bool,
}

impl Silence {
    fn heard(&mut self) {
        self.since = Instant::now();
        self.pinged = false;
    }

    fn deadline(&self) -> Instant {
        let patience = if self.pinged { self.timeout } else { Duration::ZERO };
        self.since + self.trigger + patience
    }
}

async fn silence_over(silence: Option<&Silence>) {
    match silence {
        Some(silence) => tokio::time::sleep_until(silence.deadline()).await,
        None => std::future::pending().await,
    }
}

/// Whether the connection goes on.
#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

impl WebSockets {
    pub(super) async fn serve(
        self: Rc<Self>,
        stream: Stream,
        peer: Option<SocketAddr>,
        door: &Door,
    ) {
        let admin = door.admin;
        let rules = Rules { cors: &self.settings.cors, gate: &door.gate, admin };
        let socket = match secured(stream, door.tls.as_ref()).await {
            Some(stream) => handshake::accept(stream, rules, config()).await,
            None => None,
        };
        let Some(socket) = socket else {
            self.counters.count(|counters| counters.refused += 1);
            return;
        };
        let Some(front) = self.front.upgrade() else { return };
        let link = Rc::new(Link::new(front.new_connection()));
        tracing::debug!(?peer, connection = link.connection.0, admin, "WebSocket open");
        self.counters.count(|counters| counters.accepted += 1);
        self.links.borrow_mut().insert(link.connection, link.clone());
        let (package, name) = (self.about().package, link.connection.0.to_string());
        let mut connected = json!({ "event": "connected", "admin_api": admin });
        if let Some(peer) = peer {
            connected["ip"] = peer.ip().to_string().into();
        }
        front.transport_event(package, &name, connected);
        self.converse(&link, socket, admin).await;
        self.links.borrow_mut().remove(&link.connection);
        front.transport_event(package, &name, json!({ "event": "disconnected" }));
        front.connection_gone(self.owner(link.connection));
    }

    async fn converse(&self, link: &Link, mut socket: WebSocketStream<Stream>, admin: bool) {
        let mut silence = self.settings.ping.map(|(trigger, timeout)| Silence {
            trigger,
            timeout,
            since: Instant::now(),
            pinged: false,
        });
        loop {
            tokio::select! {
                message = socket.next() => {
                    if let Some(silence) = &mut silence {
                        silence.heard();
                    }
                    match message {
                        Some(Ok(Message::Text(text))) => {
                            self.take_message(link, text.as_bytes(), admin);
                        }
                        Some(Ok(Message::Binary(bytes))) => self.take_message(link, &bytes, admin),
                        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                        Some(Err(error)) if fault(&error).is_some() => {
                            return self.part(&error, &mut socket).await;
                        }
                        Some(Ok(Message::Close(_)) | Err(_)) | None => {
                            // Lets the close frame that answers the client's go out.
                            let _ = tokio::time::timeout(WRITE_TIMEOUT, socket.flush()).await;
                            return;
                        }
                    }
                }
                () = link.changed() => {}
                () = silence_over(silence.as_ref()) => {
                    let Some(silence) = silence.as_mut().filter(|silence| !silence.pinged) else {
                        // No close frame: there is nobody to read it.
                        self.counters.count(|counters| counters.silent += 1);
                        return;
                    };
                    silence.pinged = true;
                    if send(&mut socket, Message::Ping(Bytes::new())).await == Next::End {
                        return;
                    }
                }
            }
            if self.drain(link, &mut socket).await == Next::End {
                return;
            }
        }
    }

    /// Says goodbye to a client that broke the rules of the protocol.
    async fn part(&self, error: &Error, socket: &mut WebSocketStream<Stream>) {
        if let Some(front) = self.front.upgrade() {
            front.count_malformed();
        }
        let code = fault(error).unwrap_or(CloseCode::Error);
        let farewell = CloseFrame { code, reason: Utf8Bytes::from_static("") };
        let _ = tokio::time::timeout(WRITE_TIMEOUT, socket.close(Some(farewell))).await;
    }

    /// Sends what is queued. While the client takes nothing, nothing is read from it either.
    async fn drain(&self, link: &Link, socket: &mut WebSocketStream<Stream>) -> Next {
        while let Some(text) = link.pop() {
            let sent = tokio::select! {
                next = send(socket, Message::text(text)) => next,
                () = link.overflow() => Next::End,
            };
            if sent == Next::End && link.state() != LinkState::Overflowed {
                return Next::End;
            }
        }
        match link.state() {
            LinkState::Open => Next::GoOn,
            LinkState::Closing => {
                let _ = tokio::time::timeout(WRITE_TIMEOUT, socket.close(None)).await;
                Next::End
            }
            LinkState::Overflowed => {
                self.counters.count(|counters| counters.overflowed += 1);
                Next::End
            }
        }
    }
}

/// Which rule was broken, as the close frame says it (RFC 6455 §7.4.1); `None`: the connection was
/// lost, and there is nobody to tell.
fn fault(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Capacity(_) => Some(CloseCode::Size),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(CloseCode::Protocol),
        _ => None,
    }
}

async fn send(socket: &mut WebSocketStream<Stream>, message: Message) -> Next {
    match tokio::time::timeout(WRITE_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Next::GoOn,
        Ok(Err(_)) | Err(_) => Next::End,
    }
}
