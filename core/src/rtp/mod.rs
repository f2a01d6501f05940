//! RTP (RFC 3550) as the shards see it: numbers that wrap, a checked view of a packet, header
//! extensions (RFC 8285), the writer of outgoing headers, retransmission payloads (RFC 4588) and
//! the sequence/timestamp continuity of a sink.
//!
//! Everything borrows the packet or is a small `Copy` value; nothing allocates. Every length read
//! from the wire is checked against the slice before it is used, so hostile bytes give an error
//! and never a panic.

mod extension;
mod number;

pub use extension::{Extension, ExtensionIds, MAX_SDES_ITEM, Mid, Rid, SdesItem};
pub use number::{ExtendedSeq, PayloadType, Seq, SeqUnwrapper, Ssrc};

/// Largest RTP or RTCP packet taken from the wire, bytes; longer ones are dropped and counted
/// (`webrtc-behaviour` §5.4).
pub const MAX_PACKET: usize = 1500;
