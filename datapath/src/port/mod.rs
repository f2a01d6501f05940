//! What has no PeerConnection on a shard: its UDP ports, the ingests they feed and the forwarders
//! that leave by them (`core::media::port`).
//!
//! Tables of plain values, indexed by place; names are looked up when a command comes, never for a
//! packet. Bounds: [`MAX_INGESTS`] and [`MAX_FORWARDERS`] a shard, [`MAX_FEEDS`] a port, and
//! [`MAX_KEYS`] remembered SRTP keys. Memory: an ingest about 3 KiB besides its source's ring, a
//! forwarder about 2 KiB.

mod forwarder;
mod ingest;
mod message;
mod numbers;
mod seals;
mod skew;
mod table;

pub use forwarder::{Forwarder, Waiting};
pub use ingest::{Ingest, LowestRemb, Opener, Passage};
pub use message::{datagram_len, is_for, read_datagram, write_datagram};
pub use numbers::Numbers;
pub use seals::{MAX_KEYS, Seals, Tenant};
pub use skew::{Shift, Skew};
pub use table::{Feed, OpenPort, Ports};

/// Most ingests of a shard.
pub const MAX_INGESTS: usize = 4096;
/// Most forwarders of a shard.
pub const MAX_FORWARDERS: usize = 4096;
/// Most feeds of one port.
pub const MAX_FEEDS: usize = 64;
