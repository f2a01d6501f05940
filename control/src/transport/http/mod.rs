//! HTTP (transports-auth §2, RFC 9112).
//!
//! A request carries one API request and its response the reply; a session's events wait in a queue
//! until a long poll fetches them. All of HTTP is one owner: no connection is ever "gone", sessions
//! end by request or by their timeout.
//!
//! Bounds: connections per listener as configured (1020), [`super::MAX_REQUEST`] bytes a body,
//! [`MAX_HEAD`] a head, 120 s for a head, 10 s for a body and for a reply, [`queue::MAX_EVENTS`]
//! events or [`queue::MAX_EVENT_BYTES`] bytes of them a session.

mod answer;
mod head;
mod poll;
pub mod queue;
mod target;

use super::listen::{TaskGuard, spawn_guarded};
use super::tls::secured;
use super::{Bind, Cors, Front, Gate, Listener, Stream, Tls, Transport};
use crate::counted::Counted;
use crate::demo::DemoPages;
use crate::dispatch::{ConnectionId, Outgoing, Owner, SessionEnd, TransportId};
use bifrons_core::api::Style;
use bifrons_core::api::json::write;
use bifrons_core::plugin::About;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use queue::EventQueue;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// Most bytes of a request's head.
pub const MAX_HEAD: usize = 32 * 1024;

/// How long a connection may take for a request's head, and how long it may idle before one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);

/// How long open connections may take to end when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// One API on one kind of listener.
#[derive(Clone, Debug)]
pub struct Door {
    /// Where to listen.
    pub bind: Bind,
    /// Who may connect.
    pub gate: Gate,
    /// Whether it is the Admin API that is served.
    pub admin: bool,
    /// The certificate, where TLS is spoken.
    pub tls: Option<Tls>,
    /// Where the API begins: `/janus`, or `/` for the root.
    pub base_path: String,
}

/// The transport's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Listeners.
    pub doors: Vec<Door>,
    /// Which pages may use the server.
    pub cors: Cors,
    /// Most connections of one listener at a time; more are closed unheard.
    pub connection_limit: usize,
    /// How messages are written.
    pub style: Style,
    /// What is served beside the Janus API, if anything.
    pub demo: Option<DemoPages>,
    /// Whether monitors may read `/metrics` beside the Admin API, and what they have to know.
    pub metrics: Option<MetricsDoor>,
}

/// Who may read `/metrics`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsDoor {
    /// The Admin API's secret, to be sent as a bearer token (RFC 6750 §2.1); `None`: everybody.
    pub secret: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            doors: Vec::new(),
            cors: Cors::default(),
            connection_limit: 1020,
            style: Style::default(),
            demo: None,
            metrics: None,
        }
    }
}

/// What went wrong, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpCounters {
    /// Requests read.
    pub requests: u64,
    /// Connections closed unheard because the listener had too many.
    pub refused: u64,
    /// Requests that got no reply within 10 s.
    pub unanswered: u64,
    /// Events dropped because too many waited for a poll.
    pub events_dropped: u64,
}

/// The transport.
pub struct Http {
    id: TransportId,
    front: Weak<Front>,
    settings: Settings,
    style: Cell<Style>,
    queues: RefCell<HashMap<u64, Rc<EventQueue>>>,
    waiting: RefCell<HashMap<u64, oneshot::Sender<Value>>>,
    next_request: Cell<u64>,
    listeners: RefCell<Vec<TaskGuard>>,
    /// One for each door, one more than its open connections.
    seats: Vec<Rc<()>>,
    stopping: Notify,
    counters: Counted<HttpCounters>,
}

impl Http {
    /// Binds all doors, then serves them. The ports are returned in the order of the doors, `None`
    /// for paths. An error leaves nothing listening.
    pub fn start(
        front: &Rc<Front>,
        settings: Settings,
    ) -> io::Result<(Rc<Self>, Vec<Option<u16>>)> {
        let bound = settings.doors.iter().map(|door| Listener::bind(&door.bind));
        let bound = bound.collect::<io::Result<Vec<_>>>()?;
        let ports = bound.iter().map(Listener::port).collect();
        let transport = front.add_transport(|id| {
            Rc::new(Http {
                id,
                front: Rc::downgrade(front),
                style: Cell::new(settings.style),
                seats: settings.doors.iter().map(|_| Rc::new(())).collect(),
                settings,
                queues: RefCell::default(),
                waiting: RefCell::default(),
                next_request: Cell::new(0),
                listeners: RefCell::default(),
                stopping: Notify::new(),
                counters: Counted::default(),
            })
        });
        for (index, listener) in bound.into_iter().enumerate() {
            let guard = spawn_guarded(transport.clone().listen(listener, index));
            transport.listeners.borrow_mut().push(guard);
        }
        Ok((transport, ports))
    }

    /// What was counted since the start.
    pub fn counters(&self) -> HttpCounters {
        self.counters.get()
    }

    /// All of HTTP is one owner.
    fn owner(&self) -> Owner {
        Owner { transport: self.id, connection: ConnectionId(0) }
    }

    async fn listen(self: Rc<Self>, listener: Listener, index: usize) {
        let (Some(door), Some(seats)) = (self.settings.doors.get(index), self.seats.get(index))
        else {
            return;
        };
        let door = Rc::new(door.clone());
        loop {
            let (stream, peer) = listener.accept(&door.gate).await;
            if Rc::strong_count(seats) > self.settings.connection_limit {
                self.counters.count(|counters| counters.refused += 1);
                continue;
            }
            let (transport, door, seat) = (self.clone(), door.clone(), seats.clone());
            tokio::task::spawn_local(async move {
                transport.serve(stream, peer, door).await;
                drop(seat);
            });
        }
    }

    async fn serve(self: Rc<Self>, stream: Stream, peer: Option<SocketAddr>, door: Rc<Door>) {
        let Some(stream) = secured(stream, door.tls.as_ref()).await else { return };
        let service = service_fn(|request| {
            tracing::trace!(?peer, method = %request.method(), "HTTP request");
            self.clone().answer(request, peer, door.clone())
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => {
                // Other errors are our own way of closing without an answer, or a lost client.
                let is_bad = |error: &hyper::Error| error.is_parse() || error.is_timeout();
                if let Some(front) = self.front.upgrade()
                    && ended.as_ref().is_err_and(is_bad)
                {
                    front.count_malformed();
                }
            }
            () = self.stopping.notified() => {
                connection.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(STOP_TIMEOUT, connection).await;
            }
        }
    }

    fn queue_event(&self, session_id: u64, message: &Value) {
        if let Some(queue) = self.queues.borrow().get(&session_id) {
            let dropped = queue.push(write(message, self.style.get()));
            self.counters.count(|counters| counters.events_dropped += dropped);
        }
    }
}

impl Transport for Http {
    fn about(&self) -> About {
        About::ours(
            "janus.transport.http",
            "Bifrons HTTP transport",
            "Carries the Janus API over HTTP with long polls",
        )
    }

    fn deliver(&self, message: &Outgoing) {
        match message {
            Outgoing::Reply { to, message } | Outgoing::AdminReply { to, message } => {
                if let Some(waiting) = self.waiting.borrow_mut().remove(&to.request) {
                    // The client may have gone while it waited.
                    let _ = waiting.send(message.clone());
                }
            }
            Outgoing::Event { session_id, message, .. } => self.queue_event(*session_id, message),
            Outgoing::Created { session_id, .. } => {
                self.queues.borrow_mut().insert(*session_id, Rc::default());
            }
            Outgoing::Claimed { to, session_id, .. } if to.transport == self.id => {
                self.queues.borrow_mut().insert(*session_id, Rc::default());
            }
            // Polls that wait keep the queue they wait on; it gets nothing more.
            Outgoing::Claimed { session_id, .. } | Outgoing::Over { session_id, .. } => {
                self.queues.borrow_mut().remove(session_id);
            }
        }
        debug_assert!(!matches!(
            message,
            Outgoing::Over { owner, why: SessionEnd::Abandoned, .. } if owner.transport == self.id
        ));
    }

    fn tally(&self) -> Vec<(&'static str, u64)> {
        let counted = self.counters.get();
        vec![
            ("requests", counted.requests),
            ("refused", counted.refused),
            ("unanswered", counted.unanswered),
            ("events_dropped", counted.events_dropped),
        ]
    }

    fn serves_admin(&self) -> bool {
        self.settings.doors.iter().any(|door| door.admin)
    }

    fn set_style(&self, style: Style) {
        self.style.set(style);
    }

    fn connections(&self) -> Option<Value> {
        let mut open = serde_json::Map::new();
        for (door, seats) in self.settings.doors.iter().zip(&self.seats) {
            let name = match (door.admin, &door.tls) {
                (false, None) => "http",
                (false, Some(_)) => "https",
                (true, None) => "admin_http",
                (true, Some(_)) => "admin_https",
            };
            // The list itself holds one.
            let count = Rc::strong_count(seats).saturating_sub(1);
            let sum = open.get(name).and_then(Value::as_u64).unwrap_or(0) + count as u64;
            open.insert(name.to_owned(), Value::from(sum));
        }
        Some(json!({ "connections": open, "messages": self.waiting.borrow().len() }))
    }

    fn stop(&self) {
        self.listeners.borrow_mut().clear();
        self.stopping.notify_waiters();
    }
}
