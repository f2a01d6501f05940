//! Unix sockets (transports-auth §7): one packet, one message.
//!
//! `SOCK_SEQPACKET` has connections (`packets`): one owns the sessions it created or claimed, and
//! when it closes they end or wait to be claimed. `SOCK_DGRAM` has none (`datagrams`): a client is
//! the path its socket is bound to, and only time ends its sessions. Bounds: [`MAX_CLIENTS`] clients
//! a socket, [`MAX_PACKET`] bytes a request, and those of [`Link`] for what waits to be sent; a
//! connection that does not read is closed, a datagram client forgotten. Cost: a task and about
//! 1 KiB a client; the read buffer is the socket's or the connection's own.

mod datagrams;
mod packets;

use super::envelope::one_request;
use super::listen::{TaskGuard, spawn_guarded};
use super::websocket::link::Link;
use super::{Front, Passed, Transport};
use crate::counted::Counted;
use crate::dispatch::{ConnectionId, Origin, Outgoing, Owner, SessionEnd, TransportId};
use bifrons_core::api::{Style, json};
use bifrons_core::plugin::About;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::net::UnixListener;

/// Most clients of one socket at a time.
pub const MAX_CLIENTS: usize = 10_000;

/// Longest request in bytes. Janus drops what is longer than 8192; offers of many lines are.
pub const MAX_PACKET: usize = 64 << 10;

/// Longest time for a client to take one message.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How a socket is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `SOCK_SEQPACKET`.
    SeqPacket,
    /// `SOCK_DGRAM`.
    Datagram,
}

/// Where a socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// To be bound here; a socket that lies there already is replaced.
    Path(PathBuf),
    /// Bound already, by somebody who takes care of its path.
    Passed(Passed),
}

/// One API on one socket.
#[derive(Clone, Debug)]
pub struct Door {
    /// Where.
    pub at: Place,
    /// How it is spoken.
    pub kind: Kind,
    /// Whether it is the Admin API that is served.
    pub admin: bool,
}

/// What went wrong, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnixCounters {
    /// Clients that were taken.
    pub accepted: u64,
    /// Clients refused because there were too many.
    pub refused: u64,
    /// Requests dropped because they were too long.
    pub oversized: u64,
    /// Datagrams dropped because their sender has no path to answer to.
    pub nameless: u64,
    /// Messages that could not be brought to their client: gone, or longer than a packet can be.
    pub undelivered: u64,
    /// Clients given up because too much waited for them.
    pub overflowed: u64,
}

/// The transport.
pub struct UnixSockets {
    id: TransportId,
    front: Weak<Front>,
    style: Cell<Style>,
    links: RefCell<HashMap<ConnectionId, Rc<Link>>>,
    tasks: RefCell<Vec<TaskGuard>>,
    paths: Vec<PathBuf>,
    /// Whether one of them is for operators.
    admin: bool,
    counters: Counted<UnixCounters>,
}

impl UnixSockets {
    /// Binds all doors, then serves them. An error leaves nothing listening.
    pub fn start(front: &Rc<Front>, doors: Vec<Door>, style: Style) -> io::Result<Rc<Self>> {
        let mut bound = Vec::new();
        for door in &doors {
            bound.push(Bound::new(door)?);
        }
        let transport = front.add_transport(|id| {
            Rc::new(UnixSockets {
                id,
                front: Rc::downgrade(front),
                style: Cell::new(style),
                links: RefCell::default(),
                tasks: RefCell::default(),
                admin: doors.iter().any(|door| door.admin),
                paths: doors.iter().filter_map(own_path).collect(),
                counters: Counted::default(),
            })
        });
        for (bound, door) in bound.into_iter().zip(doors) {
            let serving = transport.clone();
            let guard = match bound {
                Bound::Packets(socket) => spawn_guarded(serving.listen(socket, door.admin)),
                Bound::Datagrams(socket) => spawn_guarded(serving.receive(socket, door.admin)),
            };
            transport.tasks.borrow_mut().push(guard);
        }
        Ok(transport)
    }

    /// What was counted since the start.
    pub fn counters(&self) -> UnixCounters {
        self.counters.get()
    }

    /// Tells event handlers of a client (transports-auth §7).
    fn tell(&self, front: &Front, client: ConnectionId, what: Value) {
        front.transport_event(self.about().package, &client.0.to_string(), what);
    }

    fn owner(&self, connection: ConnectionId) -> Owner {
        Owner { transport: self.id, connection }
    }

    fn queue(&self, to: Owner, message: &Value) {
        if let Some(link) = self.links.borrow().get(&to.connection) {
            link.push(json::write(message, self.style.get()));
        }
    }

    /// Serves the request of one packet.
    fn take_packet(&self, from: ConnectionId, bytes: &[u8], admin: bool) {
        let Some(front) = self.front.upgrade() else { return };
        if bytes.len() > MAX_PACKET {
            front.count_malformed();
            return self.counters.count(|counters| counters.oversized += 1);
        }
        let origin = Origin { owner: self.owner(from), request: 0 };
        match one_request(bytes) {
            Ok(request) if admin => front.admin_request(origin, request),
            Ok(request) => front.request(origin, request),
            Err(error) => {
                front.count_malformed();
                self.queue(origin.owner, &error);
            }
        }
    }
}

enum Bound {
    Packets(UnixListener),
    Datagrams(datagrams::Datagrams),
}

impl Bound {
    fn new(door: &Door) -> io::Result<Self> {
        let socket = match (&door.at, door.kind) {
            (Place::Passed(passed), _) => passed.to_owned_fd(),
            (Place::Path(path), Kind::SeqPacket) => clear(path).and_then(|()| packets::bind(path)),
            (Place::Path(path), Kind::Datagram) => clear(path).and_then(|()| datagrams::bind(path)),
        }?;
        match door.kind {
            // tokio has no listener of packets; its listener of streams accepts them all the same.
            Kind::SeqPacket => UnixListener::from_std(socket.into()).map(Bound::Packets),
            Kind::Datagram => datagrams::Datagrams::of(socket).map(Bound::Datagrams),
        }
    }
}

/// The path that goes with us.
fn own_path(door: &Door) -> Option<PathBuf> {
    match &door.at {
        Place::Path(path) => Some(path.clone()),
        Place::Passed(_) => None,
    }
}

/// Removes a socket that an earlier run left; anything else there makes the bind fail.
fn clear(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        _ => Ok(()),
    }
}

impl Transport for UnixSockets {
    fn about(&self) -> About {
        About::ours(
            "janus.transport.pfunix",
            "Bifrons Unix sockets transport",
            "Carries the Janus API over Unix sockets",
        )
    }

    fn deliver(&self, message: &Outgoing) {
        match message {
            Outgoing::Reply { to, message } | Outgoing::AdminReply { to, message } => {
                self.queue(to.owner, message);
            }
            Outgoing::Event { to, message, .. } => self.queue(*to, message),
            // A session that timed out takes its client along, once `timeout` is sent.
            Outgoing::Over { owner, why: SessionEnd::TimedOut, .. } => {
                if let Some(link) = self.links.borrow().get(&owner.connection) {
                    link.close();
                }
            }
            Outgoing::Created { .. } | Outgoing::Claimed { .. } | Outgoing::Over { .. } => {}
        }
    }

    fn tally(&self) -> Vec<(&'static str, u64)> {
        let counted = self.counters.get();
        vec![
            ("accepted", counted.accepted),
            ("refused", counted.refused),
            ("oversized", counted.oversized),
            ("nameless", counted.nameless),
            ("undelivered", counted.undelivered),
            ("overflowed", counted.overflowed),
        ]
    }

    fn serves_admin(&self) -> bool {
        self.admin
    }

    fn set_style(&self, style: Style) {
        self.style.set(style);
    }

    fn connections(&self) -> Option<Value> {
        Some(serde_json::json!({ "connections": self.links.borrow().len() }))
    }

    fn stop(&self) {
        self.tasks.borrow_mut().clear();
        for link in self.links.borrow().values() {
            link.close();
        }
        for path in &self.paths {
            // It may have been removed, or replaced by another server's.
            let _ = std::fs::remove_file(path);
        }
    }
}
