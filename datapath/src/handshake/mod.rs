//! The handshake lane: every peer's DTLS, away from the shards.
//!
//! A handshake costs as much CPU as hundreds of forwarded packets, so shards pass DTLS records to
//! a helper thread and get back records to send and, once a peer, the SRTP keys. A [`Lane`] is the
//! work for one shard as a plain sans-IO struct, which the simulator runs inline on virtual time; a
//! [`LaneThread`] runs the lanes of several shards, and its owner starts it anew if it dies.
//!
//! Bounds: peers, queued datagrams and each peer's datagrams a second ([`LaneLimits`]); what is
//! refused is counted ([`LaneCounters`]). State messages (`Connected`, `Down`, `Closed`) are never
//! refused; a peer makes at most three, so the peers' bound is theirs. A panic over one peer's bytes
//! fails that peer alone.

mod budget;
mod lane;
mod message;
mod outbox;
mod thread;

pub use lane::{Lane, LaneCounters, LaneLimits};
pub use message::{Datagram, DownCause, Fault, FromLane, ToLane};
pub use outbox::Outbox;
pub use thread::{LanePort, LaneThread};

#[cfg(test)]
mod tests;
