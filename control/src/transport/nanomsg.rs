//! Nanomsg (transports-auth §6): one socket of type PAIR for each API, one message a request.
//!
//! A socket has one peer at a time and does not notice that it went: the peer counts as one client
//! that is never gone, and what is sent meanwhile waits in an [`Outbox`]. A request longer than
//! [`MAX_REQUEST`] is answered with 454 and counted.

use super::envelope::{one_request, too_long};
use super::listen::{TaskGuard, spawn_guarded};
use super::{Front, MAX_REQUEST, Transport};
use crate::broker::Outbox;
use crate::broker::nanomsg::{Nanomsg, Role};
use crate::counted::Counted;
use crate::dispatch::{Origin, Outgoing, Owner};
use bifrons_core::api::{Style, json as text};
use bifrons_core::config::NanomsgSettings;
use bifrons_core::plugin::About;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

/// What happened, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NanomsgCounters {
    /// Requests that were answered with 454 because they were too long.
    pub oversized: u64,
    /// Messages dropped because too many waited for the peer.
    pub dropped: u64,
    /// Messages that could not be sent.
    pub lost: u64,
}

/// The transport.
pub struct NanomsgPairs {
    front: Weak<Front>,
    style: Cell<Style>,
    sides: Vec<Side>,
    tasks: RefCell<Vec<TaskGuard>>,
    counters: Counted<NanomsgCounters>,
}

/// One API's socket.
struct Side {
    owner: Owner,
    admin: bool,
    socket: Nanomsg,
    outbox: Outbox<String>,
}

impl NanomsgPairs {
    /// Opens the sockets that are switched on. An error leaves none open.
    pub fn start(
        front: &Rc<Front>,
        settings: &NanomsgSettings,
        style: Style,
    ) -> Result<Rc<Self>, String> {
        let mut sockets = Vec::new();
        for (socket, admin) in [(&settings.general, false), (&settings.admin, true)] {
            if socket.enabled {
                let missing = || format!("{}address is missing", if admin { "admin_" } else { "" });
                let address = socket.address.as_deref().ok_or_else(missing)?;
                sockets.push((Nanomsg::open(Role::Pair, socket.mode, address)?, admin));
            }
        }
        let transport = front.add_transport(|transport| {
            let side = |(socket, admin)| Side {
                owner: Owner { transport, connection: front.new_connection() },
                admin,
                socket,
                outbox: Outbox::default(),
            };
            Rc::new(NanomsgPairs {
                front: Rc::downgrade(front),
                style: Cell::new(style),
                sides: sockets.into_iter().map(side).collect(),
                tasks: RefCell::default(),
                counters: Counted::default(),
            })
        });
        for (index, side) in transport.sides.iter().enumerate() {
            let created = json!({
                "event": "created", "admin_api": side.admin, "socket": side.owner.connection.0,
            });
            let id = side.owner.connection.0.to_string();
            front.transport_event(transport.about().package, &id, created);
            let (receiving, sending) = (transport.clone(), transport.clone());
            let tasks = [
                spawn_guarded(async move { receiving.receive(index).await }),
                spawn_guarded(async move { sending.send(index).await }),
            ];
            transport.tasks.borrow_mut().extend(tasks);
        }
        Ok(transport)
    }

    /// What was counted since the start.
    pub fn counters(&self) -> NanomsgCounters {
        let dropped = self.sides.iter().map(|side| side.outbox.dropped()).sum();
        NanomsgCounters { dropped, ..self.counters.get() }
    }

    fn queue(&self, to: Owner, message: &Value) {
        if let Some(side) = self.sides.iter().find(|side| side.owner == to) {
            let message = text::write(message, self.style.get());
            side.outbox.push(message.len(), message);
        }
    }

    async fn receive(&self, index: usize) {
        if let Some(side) = self.sides.get(index) {
            side.socket.receive_all(|message| self.take_message(side, message)).await;
        }
    }

    fn take_message(&self, side: &Side, message: &[u8]) {
        let Some(front) = self.front.upgrade() else { return };
        if message.len() > MAX_REQUEST {
            front.count_malformed();
            self.counters.count(|counters| counters.oversized += 1);
            return self.queue(side.owner, &too_long(MAX_REQUEST));
        }
        let origin = Origin { owner: side.owner, request: 0 };
        match one_request(message) {
            Ok(request) if side.admin => front.admin_request(origin, request),
            Ok(request) => front.request(origin, request),
            Err(error) => {
                front.count_malformed();
                self.queue(side.owner, &error);
            }
        }
    }

    async fn send(&self, index: usize) {
        let Some(side) = self.sides.get(index) else { return };
        loop {
            let text = side.outbox.next().await;
            if side.socket.send(text.as_bytes()).await.is_err() {
                self.counters.count(|counters| counters.lost += 1);
            }
        }
    }
}

impl Transport for NanomsgPairs {
    fn about(&self) -> About {
        About::ours(
            "janus.transport.nanomsg",
            "Bifrons Nanomsg transport",
            "Carries the Janus API over Nanomsg sockets",
        )
    }

    fn deliver(&self, message: &Outgoing) {
        match message {
            Outgoing::Reply { to, message } | Outgoing::AdminReply { to, message } => {
                self.queue(to.owner, message);
            }
            Outgoing::Event { to, message, .. } => self.queue(*to, message),
            Outgoing::Created { .. } | Outgoing::Claimed { .. } | Outgoing::Over { .. } => {}
        }
    }

    fn tally(&self) -> Vec<(&'static str, u64)> {
        let counted = self.counters();
        let NanomsgCounters { oversized, dropped, lost } = counted;
        vec![("oversized", oversized), ("dropped", dropped), ("lost", lost)]
    }

    fn serves_admin(&self) -> bool {
        self.sides.iter().any(|side| side.admin)
    }

    fn set_style(&self, style: Style) {
        self.style.set(style);
    }

    fn stop(&self) {
        self.tasks.borrow_mut().clear();
        self.sides.iter().for_each(|side| side.socket.close());
    }
}
