//! RTP (RFC 3550) as the shards see it: numbers that wrap, a checked view of a packet, header
//! extensions (RFC 8285), the writer of outgoing headers, retransmission payloads (RFC 4588) and
//! the sequence/timestamp continuity of a sink.
//!
//! Everything borrows the packet or is a small `Copy` value; nothing allocates. Every length read
//! from the wire is checked against the slice before it is used, so hostile bytes give an error
//! and never a panic.

mod continuity;
mod elements;
mod extension;
mod fuzz;
mod number;
mod packet;
pub mod rtx;
mod values;
mod writer;

pub use continuity::Continuity;
pub use elements::{Element, ElementIter, ONE_BYTE_PROFILE, TWO_BYTE_PROFILE};
pub use extension::{Extension, ExtensionIds, MAX_SDES_ITEM, Mid, Rid, SdesItem};
pub use fuzz::fuzz_rtp;
pub use number::{ExtendedSeq, PayloadType, Seq, SeqUnwrapper, Ssrc};
pub use packet::{FIXED_HEADER, Layout, Packet, PacketMut, RtpError, is_rtcp};
pub use values::{
    AudioLevel, ByteRange, ExtensionValues, PlayoutDelay, VideoLayers, VideoOrientation,
    parse_extensions,
};
pub use writer::{Header, HeaderWriter, MAX_HEADER, Written, abs_send_time};

/// Largest RTP or RTCP packet taken from the wire, bytes; longer ones are dropped and counted
/// (`webrtc-behaviour` §5.4).
pub const MAX_PACKET: usize = 1500;
