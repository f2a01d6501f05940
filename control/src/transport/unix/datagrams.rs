//! `SOCK_DGRAM`: one socket for all clients; a client is the path its own socket is bound to.

use super::packets::is_too_long;
use super::{MAX_CLIENTS, MAX_PACKET, UnixSockets, WRITE_TIMEOUT};
use crate::dispatch::ConnectionId;
use crate::transport::websocket::link::{Link, LinkState};
use serde_json::json;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// The socket twice: tokio's side receives. The other one sends, at once or not at all: tokio takes
/// one client's full queue for a socket that cannot be written to, and would hold back all others.
pub(super) struct Datagrams {
    receiver: tokio::net::UnixDatagram,
    sender: UnixDatagram,
}

pub(super) fn bind(path: &Path) -> io::Result<OwnedFd> {
    let socket = UnixDatagram::bind(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

impl Datagrams {
    /// Of a socket that is bound and does not wait.
    pub(super) fn of(socket: OwnedFd) -> io::Result<Self> {
        let sender = UnixDatagram::from(socket);
        let receiver = tokio::net::UnixDatagram::from_std(sender.try_clone()?)?;
        Ok(Datagrams { receiver, sender })
    }
}

/// Between two tries while the client's own queue is full: the kernel does not tell when it has
/// room again.
const RETRY: Duration = Duration::from_millis(5);

/// Pause after a failed receive.
const RECEIVE_PAUSE: Duration = Duration::from_millis(50);

/// The clients of one socket.
type Clients = Rc<RefCell<HashMap<PathBuf, ConnectionId>>>;

impl UnixSockets {
    pub(super) async fn receive(self: Rc<Self>, socket: Datagrams, admin: bool) {
        let Datagrams { receiver, sender } = socket;
        let (sender, clients) = (Rc::new(sender), Clients::default());
        let mut buffer = vec![0; MAX_PACKET + 1];
        loop {
            let (length, from) = match receiver.recv_from(&mut buffer).await {
                Ok(received) => received,
                Err(error) => {
                    tracing::warn!(%error, "receive on a Unix socket failed");
                    tokio::time::sleep(RECEIVE_PAUSE).await;
                    continue;
                }
            };
            let Some(path) = from.as_pathname() else {
                self.counters.count(|counters| counters.nameless += 1);
                continue;
            };
            if let Some(client) = self.client(path, &clients, &sender, admin) {
                self.take_packet(client, buffer.get(..length).unwrap_or_default(), admin);
            }
        }
    }

    /// The client of that path, made known if it is new.
    fn client(
        self: &Rc<Self>,
        path: &Path,
        clients: &Clients,
        socket: &Rc<UnixDatagram>,
        admin: bool,
    ) -> Option<ConnectionId> {
        if let Some(known) = clients.borrow().get(path) {
            return Some(*known);
        }
        if clients.borrow().len() >= MAX_CLIENTS && !self.forget_one(clients) {
            self.counters.count(|counters| counters.refused += 1);
            return None;
        }
        let front = self.front.upgrade()?;
        let link = Rc::new(Link::new(front.new_connection()));
        let client = link.connection;
        self.counters.count(|counters| counters.accepted += 1);
        let connected = json!({
            "event": "connected", "admin_api": admin, "fd": socket.as_raw_fd(),
            "type": "SOCK_DGRAM",
        });
        self.tell(&front, client, connected);
        self.links.borrow_mut().insert(client, link.clone());
        clients.borrow_mut().insert(path.to_owned(), client);
        let (transport, clients, path) = (self.clone(), clients.clone(), path.to_owned());
        let socket = socket.clone();
        tokio::task::spawn_local(async move {
            transport.send_queued(&link, &socket, &path).await;
            transport.links.borrow_mut().remove(&client);
            let mut clients = clients.borrow_mut();
            // The path may be a new client's by now.
            if clients.get(&path) == Some(&client) {
                clients.remove(&path);
            }
        });
        Some(client)
    }

    /// Makes room by forgetting a client that owns no session.
    fn forget_one(&self, clients: &Clients) -> bool {
        let Some(front) = self.front.upgrade() else { return false };
        let is_idle = |client: ConnectionId| {
            front.with(|core, _| core.sessions().owned_by(self.owner(client)).is_empty())
        };
        let found = clients
            .borrow()
            .iter()
            .find(|(_, client)| is_idle(**client))
            .map(|(path, client)| (path.clone(), *client));
        let Some((path, client)) = found else { return false };
        clients.borrow_mut().remove(&path);
        if let Some(link) = self.links.borrow_mut().remove(&client) {
            link.close();
        }
        true
    }

    /// Sends what is queued for one client, until it is to be forgotten.
    async fn send_queued(&self, link: &Link, socket: &UnixDatagram, path: &Path) {
        loop {
            while let Some(text) = link.pop() {
                let sent = tokio::select! {
                    sent = tokio::time::timeout(WRITE_TIMEOUT, send(socket, &text, path)) => sent,
                    () = link.overflow() => break,
                };
                if !matches!(sent, Ok(Ok(()))) {
                    self.counters.count(|counters| counters.undelivered += 1);
                }
                if let Ok(Err(error)) = sent
                    && is_too_long(&error)
                {
                    tracing::warn!(bytes = text.len(), "a message fits no datagram; dropped");
                }
            }
            match link.state() {
                LinkState::Open => link.changed().await,
                LinkState::Closing => return,
                LinkState::Overflowed => {
                    return self.counters.count(|counters| counters.overflowed += 1);
                }
            }
        }
    }
}

async fn send(socket: &UnixDatagram, text: &str, path: &Path) -> io::Result<()> {
    loop {
        match socket.send_to(text.as_bytes(), path) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(RETRY).await;
            }
            sent => return sent.map(|_| ()),
        }
    }
}
