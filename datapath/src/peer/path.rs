//! How a peer is reached. Everything above hands datagrams to a path and never asks what it is
//! made of; ICE-TCP streams, TURN relays and bypass frames become further variants.

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
}
