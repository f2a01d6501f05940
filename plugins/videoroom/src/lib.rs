//! VideoRoom, `janus.plugin.videoroom`: rooms of publishers and subscribers (plugin-videoroom
//! page).
//!
//! The plugin holds rooms, participants and subscriptions as plain tables and turns what clients
//! ask for into plans: one route from a publisher's m-line to each subscriber's. It never sees a
//! packet. Bounds: [`MAX_ROOMS`], [`MAX_PARTICIPANTS`] and [`MAX_TOKENS`] a room; the m-lines of a
//! subscription are bounded by what a session description can hold. Cost: a request about one
//! participant is linear in the room; nothing is linear in the number of rooms but `list`.

mod address;
mod api;
mod cascade;
mod data;
mod error;
mod forwarders;
mod forwarding;
mod lines;
mod management;
mod membership;
mod moderation;
mod negotiation;
mod notice;
mod participant;
mod persist;
mod plugin;
mod publisher;
mod query;
mod relay;
mod remote;
mod room;
mod selection;
mod settings;
mod subscriber;
mod subscription;
mod wishes;

pub use plugin::VideoRoom;

/// Most rooms.
pub const MAX_ROOMS: usize = 100_000;

/// Most participants of a room.
pub const MAX_PARTICIPANTS: usize = 20_000;

/// Most tokens of a room's allow-list.
pub const MAX_TOKENS: usize = 100_000;
