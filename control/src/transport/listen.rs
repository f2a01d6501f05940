//! Listening sockets, and the streams they yield.

use super::{Gate, Passed};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::server::TlsStream;

/// Connections the kernel keeps until we accept them.
const BACKLOG: i32 = 1024;

/// Pause after a failed accept, which mostly means that we are out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// A TCP port; 0 = any free one.
    Tcp {
        /// One address; `None` = all of them, IPv6 and IPv4 by one socket.
        ip: Option<IpAddr>,
        /// One interface, by name.
        interface: Option<String>,
        /// The port.
        port: u16,
    },
    /// A path; a socket that lies there already is replaced.
    Unix(PathBuf),
    /// A socket that listens already.
    Passed(Passed),
}

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// Over TCP.
    Tcp(TcpListener),
    /// Over a Unix stream socket.
    Unix(UnixListener),
}

impl Listener {
    /// Binds and listens.
    pub fn bind(bind: &Bind) -> io::Result<Self> {
        match bind {
            Bind::Tcp { ip, interface, port } => {
                bind_tcp(*ip, interface.as_deref(), *port).map(Listener::Tcp)
            }
            Bind::Unix(path) => {
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                UnixListener::bind(path).map(Listener::Unix)
            }
            Bind::Passed(passed) => {
                let descriptor = passed.to_owned_fd()?;
                if SockRef::from(&descriptor).domain()? == Domain::UNIX {
                    UnixListener::from_std(descriptor.into()).map(Listener::Unix)
                } else {
                    TcpListener::from_std(descriptor.into()).map(Listener::Tcp)
                }
            }
        }
    }

    /// The port it listens on; `None` for a path.
    pub fn port(&self) -> Option<u16> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().ok().map(|address| address.port()),
            Listener::Unix(_) => None,
        }
    }

    /// The next connection from an address that the gate admits; others are closed unheard.
    pub async fn accept(&self, gate: &Gate) -> (Stream, Option<SocketAddr>) {
        loop {
            match self.accept_one().await {
                Ok((stream, peer)) if peer.is_none_or(|peer| gate.admits(peer.ip())) => {
                    return (stream, peer);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn accept_one(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Requests and replies are small and answer each other: never wait for more.
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Some(peer)))
            }
            Listener::Unix(listener) => Ok((Stream::Unix(listener.accept().await?.0), None)),
        }
    }
}

fn bind_tcp(ip: Option<IpAddr>, interface: Option<&str>, port: u16) -> io::Result<TcpListener> {
    let all_v6 = || open_tcp(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), interface);
    let all_v4 = || open_tcp(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), interface);
    match ip {
        Some(ip) => open_tcp(SocketAddr::new(ip, port), interface),
        None => match all_v6() {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => all_v4(),
            other => other,
        },
    }
}

fn open_tcp(address: SocketAddr, interface: Option<&str>) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // One socket for both families; a fixed IPv6 address has no use for it, but no harm.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if let Some(name) = interface {
        socket.bind_device(Some(name.as_bytes()))?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// An accepted connection.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix stream socket.
    Unix(UnixStream),
    /// Over one of the others, behind TLS.
    Tls(Box<TlsStream<Stream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, data),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, data),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Runs a future as a task of the control thread until it ends or the returned guard is dropped.
pub(super) fn spawn_guarded(future: impl Future<Output = ()> + 'static) -> TaskGuard {
    TaskGuard(tokio::task::spawn_local(future))
}

/// Ends its task when dropped.
#[derive(Debug)]
pub(super) struct TaskGuard(tokio::task::JoinHandle<()>);

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}
