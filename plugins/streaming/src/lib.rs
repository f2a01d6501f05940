//! Streaming, `janus.plugin.streaming`: mountpoints and their viewers (plugin-streaming page).
//!
//! A mountpoint takes media from outside, by RTP to ports of ours, from a file or from an RTSP
//! server, and gives it to any number of viewers. The plugin holds mountpoints and viewers as plain
//! tables and turns what clients ask for into plans: an ingest for each stream, one route from it to
//! each viewer's m-line. It never sees a packet. Bounds: [`MAX_MOUNTPOINTS`], and 896 ports a
//! shard. Cost: a request about a mountpoint is linear in its viewers where they are told of it,
//! and in nothing else but `list`, which is linear in the mountpoints.

mod api;
mod config;
mod create;
mod error;
mod legacy;
mod management;
mod media;
mod mountpoint;
mod offer;
mod persist;
mod plugin;
mod ports;
mod pull;
mod query;
mod recording;
mod relay;
mod saving;
mod selection;
mod show;
mod source;
mod viewer;
mod watch;

pub use plugin::Streaming;

/// Most mountpoints.
pub const MAX_MOUNTPOINTS: usize = 100_000;
