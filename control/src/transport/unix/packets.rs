//! `SOCK_SEQPACKET`: connections, each with a task that reads its packets and writes what is queued.
//!
//! tokio knows no sequenced packets. Its stream listener accepts them all the same, and its datagram
//! socket reads and writes whole packets of a connected one, which is all that is needed.

use super::{MAX_CLIENTS, MAX_PACKET, UnixSockets, WRITE_TIMEOUT};
use crate::transport::websocket::link::{Link, LinkState};
use serde_json::json;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use tokio::net::{UnixDatagram, UnixListener, UnixStream};

/// Connections the kernel keeps until we accept them (transports-auth §7).
const BACKLOG: i32 = 128;

/// Pause after a failed accept, which mostly means that we are out of descriptors.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Asked of the kernel for what waits in a connection: it bounds the longest response too.
const SEND_BUFFER: usize = 1 << 20;

pub(super) fn bind(path: &Path) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The connection as a socket of packets.
fn packets(stream: UnixStream) -> io::Result<UnixDatagram> {
    let socket = Socket::from(OwnedFd::from(stream.into_std()?));
    socket.set_send_buffer_size(SEND_BUFFER)?;
    UnixDatagram::from_std(OwnedFd::from(socket).into())
}

impl UnixSockets {
    pub(super) async fn listen(self: Rc<Self>, listener: UnixListener, admin: bool) {
        let open = Rc::new(());
        loop {
            let accepted = match listener.accept().await {
                Ok((stream, _)) => packets(stream),
                Err(error) => Err(error),
            };
            let socket = match accepted {
                Ok(socket) => socket,
                Err(error) => {
                    tracing::warn!(%error, "accept on a Unix socket failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // The list itself holds one.
            if Rc::strong_count(&open) > MAX_CLIENTS {
                self.counters.count(|counters| counters.refused += 1);
                continue;
            }
            let (transport, seat) = (self.clone(), open.clone());
            tokio::task::spawn_local(async move {
                transport.serve(socket, admin).await;
                drop(seat);
            });
        }
    }

    async fn serve(self: Rc<Self>, socket: UnixDatagram, admin: bool) {
        let Some(front) = self.front.upgrade() else { return };
        let link = Rc::new(Link::new(front.new_connection()));
        self.counters.count(|counters| counters.accepted += 1);
        self.links.borrow_mut().insert(link.connection, link.clone());
        let connected = json!({
            "event": "connected", "admin_api": admin, "fd": socket.as_raw_fd(),
        });
        self.tell(&front, link.connection, connected);
        self.converse(&link, &socket, admin).await;
        self.links.borrow_mut().remove(&link.connection);
        self.tell(&front, link.connection, json!({ "event": "disconnected" }));
        front.connection_gone(self.owner(link.connection));
    }

    async fn converse(&self, link: &Link, socket: &UnixDatagram, admin: bool) {
        // One byte more than may be, to see what is too long.
        let mut buffer = vec![0; MAX_PACKET + 1];
        loop {
            tokio::select! {
                // Nothing more is read from a client that takes nothing.
                received = socket.recv(&mut buffer) => match received {
                    Ok(0) | Err(_) => return,
                    Ok(length) => {
                        let packet = buffer.get(..length).unwrap_or_default();
                        self.take_packet(link.connection, packet, admin);
                    }
                },
                () = link.changed() => {}
            }
            if self.drain(link, socket).await.is_break() {
                return;
            }
        }
    }

    async fn drain(&self, link: &Link, socket: &UnixDatagram) -> std::ops::ControlFlow<()> {
        use std::ops::ControlFlow::{Break, Continue};
        while let Some(text) = link.pop() {
            let sent = tokio::select! {
                sent = tokio::time::timeout(WRITE_TIMEOUT, socket.send(text.as_bytes())) => sent,
                () = link.overflow() => break,
            };
            match sent {
                Ok(Ok(_)) => {}
                Ok(Err(error)) if is_too_long(&error) => {
                    tracing::warn!(bytes = text.len(), "a message fits no packet; dropped");
                    self.counters.count(|counters| counters.undelivered += 1);
                }
                Ok(Err(_)) | Err(_) => return Break(()),
            }
        }
        match link.state() {
            LinkState::Open => Continue(()),
            LinkState::Closing => Break(()),
            LinkState::Overflowed => {
                self.counters.count(|counters| counters.overflowed += 1);
                Break(())
            }
        }
    }
}

/// Whether a packet was refused for its length (EMSGSIZE).
pub(super) fn is_too_long(error: &io::Error) -> bool {
    const EMSGSIZE: i32 = 90;
    error.raw_os_error() == Some(EMSGSIZE)
}
