//! Clients of RTSP servers (RFC 2326; plugin-streaming §4, type rtsp): one helper thread with a task
//! a camera.
//!
//! ```text
//!            ┌────────────── again after the delay ◄─────────────┐
//!            ▼                                          refused │
//! start ─► DESCRIBE, SETUP a medium, ─► (resumed) ─► PLAY ─► media ─► lost: Disconnected, the delay
//!    │      UDP, else interleaved                       ▲        └──► silent for the delay:
//!    └─► the first refused: Failed                      └── at once ◄─     Disconnected
//! ```
//!
//! `retina` speaks the protocol: requests, Basic and Digest, a pair of UDP ports a medium and the
//! packets that open a firewall, interleaved media, keep-alives, TEARDOWN. It hands packets out as
//! they came; those that overtook others on UDP it drops. Description, reconnection, silence and the
//! way to the shard are ours. It sends no receiver reports, so no keyframe can be asked for.
//!
//! Bounds: [`MAX_CLIENTS`] clients, of two media each; a packet longer than 1500 bytes is dropped.

mod client;
mod session;
mod thread;

pub use thread::{RtspThread, start};

/// Most clients at a time; each has up to five descriptors.
pub const MAX_CLIENTS: usize = 512;
