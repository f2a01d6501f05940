//! The way to a TURN server: datagrams, or a stream with or without TLS.

use super::TurnUri;
use crate::service::outward::{Duplex, secured};
use bifrons_core::config::settings::TurnType;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UdpSocket};

type Stream = Box<dyn Duplex>;

/// A connection to a server.
pub(super) enum Link {
    /// Datagrams.
    Datagrams(UdpSocket),
    /// A stream: what is read ends anywhere, the client puts messages together again.
    Stream(ReadHalf<Stream>, WriteHalf<Stream>),
}

impl Link {
    /// Connects; with the addresses of both ends.
    pub(super) async fn open(
        uri: &TurnUri,
        server: SocketAddr,
    ) -> io::Result<(Self, SocketAddr, SocketAddr)> {
        if uri.transport == TurnType::Udp {
            let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any).await?;
            socket.connect(server).await?;
            let local = socket.local_addr()?;
            return Ok((Link::Datagrams(socket), local, server));
        }
        let tcp = TcpStream::connect(server).await?;
        // Media waits for nobody.
        tcp.set_nodelay(true)?;
        let local = tcp.local_addr()?;
        let stream: Stream = match uri.transport {
            TurnType::Tls => secured(&uri.host, tcp).await?,
            TurnType::Udp | TurnType::Tcp => Box::new(tcp),
        };
        let (read, write) = tokio::io::split(stream);
        Ok((Link::Stream(read, write), local, server))
    }

    /// Waits for bytes; none = the server closed. May be dropped half way without loss.
    pub(super) async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Link::Datagrams(socket) => socket.recv(buffer).await,
            Link::Stream(read, _) => match read.read(buffer).await? {
                0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed")),
                got => Ok(got),
            },
        }
    }

    /// Sends one message. A datagram that finds the socket full is let go, as on any network; a
    /// stream has to be written whole.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Link::Datagrams(socket) => match socket.try_send(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                sent => sent.map(drop),
            },
            Link::Stream(_, write) => {
                write.write_all(bytes).await?;
                write.flush().await
            }
        }
    }
}
