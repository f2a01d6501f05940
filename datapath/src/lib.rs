//! The datapath: pinned shards that receive, route, seal and send media.
//!
//! A shard is one thread that owns its sockets, its memory and its peers; everything it shares
//! with another thread travels through the bounded rings of [`queue`], and everything it says
//! to the network goes through one [`engine::Engine`]. This is the one crate that may hold
//! `unsafe`, each block with its reason.

pub mod bypass;
pub mod carry;
pub mod cores;
pub mod data;
pub mod departure;
pub mod dtls_openssl;
pub mod engine;
pub mod epoll;
pub mod forward;
pub mod handoff;
pub mod handshake;
pub mod inherited;
pub mod inject;
pub mod layers;
pub mod peer;
pub mod port;
pub mod queue;
pub mod report;
pub mod retransmit;
pub mod ring;
pub mod run;
pub mod seal;
pub mod shard;
pub mod start;
pub mod tap;
pub mod udp;
