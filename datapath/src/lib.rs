//! The datapath: pinned shards that receive, route, seal and send media.
//!
//! A shard is one thread that owns its sockets, its memory and its peers; everything it shares
//! with another thread travels through the bounded rings of [`queue`]. This is the one crate that may hold
//! `unsafe`, each block with its reason.

pub mod cores;
pub mod dtls_openssl;
pub mod queue;
