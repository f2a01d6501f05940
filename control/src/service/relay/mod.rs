//! TURN relays of our own, for a server that sits behind a strict NAT (RFC 8656;
//! webrtc-behaviour §1.3).
//!
//! One allocation a PeerConnection, held by one helper thread for all shards, so that neither a
//! stalled control thread nor a slow TURN server touches anybody else's media. Control asks by
//! [`Relays`]; what became of it comes back as [`RelayEvent`]s. Datagrams go between shard and
//! thread by [`bifrons_datapath::carry`] and never see control.
//!
//! ```text
//! open ─► credentials by HTTP ─► name ─► allocate ─► Ready ─► permissions, channels, refreshes
//!         (TURN REST only)       │ next server │                          │
//!                                └──── none left ──► Failed               └─ server gone ─► Lost
//! ```
//!
//! Bounds: [`MAX_RELAYS`] at a time, [`MAX_REMOTES`] addresses of one peer, the queues' own; what is
//! refused is said in the log. A relay that fails costs its peer nothing but the relay.

mod allocation;
mod rest;
mod stream;
mod thread;

pub use rest::{Granted, MAX_URIS, RestApi, TurnUri};
pub use thread::{RelayThread, start};

use bifrons_core::config::settings::{Nat, TurnType};
use bifrons_core::media::PeerId;
use std::net::{IpAddr, SocketAddr};

/// Most relays at a time; each has a descriptor of its own.
pub const MAX_RELAYS: usize = 4096;

/// Most addresses of one peer that a relay takes datagrams from.
pub const MAX_REMOTES: usize = 64;

/// Where TURN servers are known from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelaySettings {
    /// Asked for each PeerConnection; what it grants goes before the server below.
    pub rest: Option<RestApi>,
    /// The configured server, with user and password.
    pub server: Option<(TurnUri, String, String)>,
}

impl RelaySettings {
    /// What the configuration says.
    pub fn new(nat: &Nat) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let server = nat.turn_server.clone().map(|host| {
            let uri = TurnUri { host, port: nat.turn_port, transport: nat.turn_type };
            (uri, text(&nat.turn_user), text(&nat.turn_pwd))
        });
        RelaySettings { rest: RestApi::new(nat), server }
    }

    /// Whether there is anything to ask.
    pub fn is_empty(&self) -> bool {
        self.rest.is_none() && self.server.is_none()
    }
}

/// What control asks of the thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayCommand {
    /// Allocate a relay for a peer. Answered by one [`RelayEvent`].
    Open {
        /// Which peer.
        peer: PeerId,
        /// Whom TURN REST credentials are for.
        username: String,
    },
    /// Let a peer's address in (RFC 8656 §9).
    Permit {
        /// Which peer.
        peer: PeerId,
        /// From where.
        remote: IpAddr,
    },
    /// Give the relay back.
    Close {
        /// Which peer.
        peer: PeerId,
    },
}

/// What became of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayEvent {
    /// It is there.
    Ready {
        /// Which peer.
        peer: PeerId,
        /// Our address on it.
        relayed: SocketAddr,
    },
    /// There is none, and there will be none. Why is in the log.
    Failed {
        /// Which peer.
        peer: PeerId,
    },
    /// It was there and has gone. Connectivity checks will tell the peer.
    Lost {
        /// Which peer.
        peer: PeerId,
    },
}

/// Whoever allocates relays.
pub trait Relays {
    /// Asks for something. Never blocks; where the thread does not keep up, the request is let go,
    /// logged, and false.
    fn ask(&mut self, command: RelayCommand) -> bool;
}

/// How a server is called in the log.
fn label(uri: &TurnUri) -> String {
    let transport = match uri.transport {
        TurnType::Udp => "udp",
        TurnType::Tcp => "tcp",
        TurnType::Tls => "tls",
    };
    format!("{}:{} over {transport}", uri.host, uri.port)
}
