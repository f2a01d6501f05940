//! Protocol state without I/O, and the vocabulary that every other crate speaks.
//!
//! Nothing here opens a socket, starts a thread or reads a clock: bytes, time and randomness come
//! in as arguments, bytes and events go out. That is what lets the simulator run a whole room on
//! virtual time from a seed.

pub mod api;
pub mod codec;
pub mod config;
pub mod dtls;
pub mod ice;
pub mod media;
pub mod ogg;
pub mod plugin;
pub mod rtcp;
pub mod rtp;
pub mod sctp;
pub mod sdp;
pub mod srtp;
