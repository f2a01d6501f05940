//! TextRoom: chat rooms over a data channel (plugin-textroom).
//!
//! A handle has one PeerConnection with data alone, which the plugin offers; its user may be in any
//! number of rooms. Rooms are managed by the Janus API or over the channel, joined and talked in
//! over the channel alone. Bounds: [`MAX_ROOMS`] rooms, [`MAX_MEMBERS`] members a room,
//! [`MAX_TOKENS`] tokens a room, [`MAX_JOINED`] rooms a handle, and a room's history in number (its
//! own setting) and bytes ([`MAX_HISTORY_BYTES`]); [`MAX_POSTS`] messages wait for a room's web server. A message costs one copy for each member.

mod api;
mod chat;
mod date;
mod error;
mod manage;
mod persist;
mod plugin;
mod posts;
mod room;

pub use plugin::TextRoom;

/// Rooms there may be.
pub const MAX_ROOMS: usize = 1 << 16;

/// Members a room may have.
pub const MAX_MEMBERS: usize = 1 << 14;

/// Tokens a room may have.
pub const MAX_TOKENS: usize = 1 << 14;

/// Rooms one handle may be in.
pub const MAX_JOINED: usize = 1024;

/// Messages that may wait for a room's web server.
pub const MAX_POSTS: usize = 256;

/// Bytes of history a room keeps; the oldest go first.
pub const MAX_HISTORY_BYTES: usize = 4 << 20;
