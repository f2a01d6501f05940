//! WebSockets (transports-auth §3, RFC 6455).
//!
//! One task a connection: it reads messages, hands their requests to the front, and writes what was
//! queued for it. A connection owns the sessions it created or claimed; when it closes, they end or
//! wait to be claimed. Bounds: [`MAX_CONNECTIONS`] connections a listener, [`super::MAX_REQUEST`]
//! bytes a message, [`link::MAX_QUEUED`] messages or [`link::MAX_QUEUED_BYTES`] bytes waiting for a
//! client that does not read; past those the connection is closed and counted. Cost: about 8 KiB
//! for an idle connection.

mod converse;
mod handshake;
pub mod link;

use super::envelope::unparsable;
use super::listen::{TaskGuard, spawn_guarded};
use super::{Bind, Cors, Front, Gate, Listener, Tls, Transport};
use crate::counted::Counted;
use crate::dispatch::{ConnectionId, Origin, Outgoing, Owner, TransportId};
use bifrons_core::api::{Style, json};
use bifrons_core::plugin::About;
use link::Link;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Most connections of one listener at a time; more are closed unheard.
pub const MAX_CONNECTIONS: usize = 60_000;

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
}

/// The transport's settings.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Listeners.
    pub doors: Vec<Door>,
    /// Which pages may connect.
    pub cors: Cors,
    /// Silence before a ping, and then before the connection is given up.
    pub ping: Option<(Duration, Duration)>,
    /// How messages are written.
    pub style: Style,
}

/// What went wrong, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebSocketCounters {
    /// Connections that got through their handshake.
    pub accepted: u64,
    /// Connections refused: handshake, origin, forwarded address, or too many.
    pub refused: u64,
    /// Connections closed because too much waited for them.
    pub overflowed: u64,
    /// Connections given up because of silence.
    pub silent: u64,
}

/// The transport.
pub struct WebSockets {
    id: TransportId,
    front: Weak<Front>,
    settings: Settings,
    style: Cell<Style>,
    links: RefCell<HashMap<ConnectionId, Rc<Link>>>,
    listeners: RefCell<Vec<TaskGuard>>,
    counters: Counted<WebSocketCounters>,
}

impl WebSockets {
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
            Rc::new(WebSockets {
                id,
                front: Rc::downgrade(front),
                style: Cell::new(settings.style),
                settings,
                links: RefCell::default(),
                listeners: RefCell::default(),
                counters: Counted::default(),
            })
        });
        for (listener, door) in bound.into_iter().zip(transport.settings.doors.clone()) {
            let guard = spawn_guarded(transport.clone().listen(listener, door));
            transport.listeners.borrow_mut().push(guard);
        }
        Ok((transport, ports))
    }

    /// What was counted since the start.
    pub fn counters(&self) -> WebSocketCounters {
        self.counters.get()
    }

    async fn listen(self: Rc<Self>, listener: Listener, door: Door) {
        let (door, open) = (Rc::new(door), Rc::new(()));
        loop {
            let (stream, peer) = listener.accept(&door.gate).await;
            if Rc::strong_count(&open) > MAX_CONNECTIONS {
                self.counters.count(|counters| counters.refused += 1);
                continue;
            }
            let (transport, door, seat) = (self.clone(), door.clone(), open.clone());
            tokio::task::spawn_local(async move {
                transport.serve(stream, peer, &door).await;
                drop(seat);
            });
        }
    }

    fn owner(&self, connection: ConnectionId) -> Owner {
        Owner { transport: self.id, connection }
    }

    fn queue(&self, to: Owner, message: &Value) {
        if let Some(link) = self.links.borrow().get(&to.connection) {
            link.push(json::write(message, self.style.get()));
        }
    }

    /// Serves every request of one message, in order, or none if any part of it does not parse.
    fn take_message(&self, link: &Link, bytes: &[u8], admin: bool) {
        let Some(front) = self.front.upgrade() else { return };
        let values = match json::parse_many(bytes) {
            Ok(values) => values,
            Err(error) => {
                front.count_malformed();
                link.push(json::write(&unparsable(&error), self.style.get()));
                return;
            }
        };
        let origin = Origin { owner: self.owner(link.connection), request: 0 };
        for value in values {
            if admin {
                front.admin_request(origin, value);
            } else {
                front.request(origin, value);
            }
        }
    }
}

impl Transport for WebSockets {
    fn about(&self) -> About {
        About::ours(
            "janus.transport.websockets",
            "Bifrons WebSockets transport",
            "Carries the Janus API over WebSockets",
        )
    }

    fn deliver(&self, message: &Outgoing) {
        match message {
            Outgoing::Reply { to, message } | Outgoing::AdminReply { to, message } => {
                self.queue(to.owner, message);
            }
            Outgoing::Event { to, message, .. } => self.queue(*to, message),
            // The socket stays open whatever becomes of its sessions.
            Outgoing::Created { .. } | Outgoing::Claimed { .. } | Outgoing::Over { .. } => {}
        }
    }

    fn tally(&self) -> Vec<(&'static str, u64)> {
        let counted = self.counters.get();
        vec![
            ("accepted", counted.accepted),
            ("refused", counted.refused),
            ("overflowed", counted.overflowed),
            ("silent", counted.silent),
        ]
    }

    fn serves_admin(&self) -> bool {
        self.settings.doors.iter().any(|door| door.admin)
    }

    fn set_style(&self, style: Style) {
        self.style.set(style);
    }

    fn connections(&self) -> Option<Value> {
        Some(serde_json::json!({ "connections": self.links.borrow().len() }))
    }

    fn stop(&self) {
        self.listeners.borrow_mut().clear();
        for link in self.links.borrow().values() {
            link.close();
        }
    }
}
