//! A WebRTC peer with synthetic media.
//!
//! [`Engine`] is sans-IO: str0m in RTP mode, sources of synthetic VP8 and Opus, and exact counts
//! of what arrived. [`Peer`] drives one engine over one UDP socket on its own tokio task, so a
//! test or a scenario only calls and awaits. Latency is measured inside one process: each packet
//! carries its send time in its last bytes ([`Stamp`]), which no forwarding server touches.
//! [`Plain`] sends the same media as RTP without encryption, as an encoder feeds a mountpoint.

mod clip;
mod config;
mod driver;
mod engine;
mod handshake;
mod impairment;
mod light;
mod negotiation;
mod plain;
mod received;
mod source;
mod stamp;

pub use clip::{Clip, ClipError};
pub use config::{Line, PeerConfig, PeerError, Shape};
pub use driver::Peer;
pub use engine::{Engine, Message, Output, Sent, Stats};
pub use handshake::Srtp;
pub use impairment::{Impaired, Impairment};
pub use plain::Plain;
pub use received::Received;
pub use stamp::Stamp;
pub use str0m;
