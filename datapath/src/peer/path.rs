//! How a peer is reached. Everything above hands datagrams to a path and never asks what it is
//! made of; ICE-TCP streams and bypass frames become further variants.

use std::net::SocketAddr;

/// The way to a peer that ICE chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Plain UDP.
    Udp {
        /// Index of the shard's socket.
        socket: u16,
        /// The peer's address.
        remote: SocketAddr,
    },
    /// The relay that was allocated for the peer, by way of the carrier.
    Relay {
        /// The peer's address as the relay sees it.
        remote: SocketAddr,
    },
}

/// Stands for a peer's relay among the sockets of [`super::Peer::addresses`]; no engine has as
/// many sockets.
pub const RELAYED: u16 = u16::MAX;
