//! What codecs show in RTP: names, clock rates, payload descriptors, keyframes, packet duration.
//!
//! Only headers are read, never coded media. All functions borrow the payload, check each length
//! before use and allocate nothing; a payload that makes no sense gives `None` or `false`.

mod name;

pub use name::Codec;
