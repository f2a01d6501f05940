//! SRTP and SRTCP (RFC 3711, RFC 7714): profiles, key derivation, packet indexes with replay
//! protection, and the scalar sealing and opening of one packet.
//!
//! The shards' multi-buffer kernels must give the same bytes as [`SealKey`]; they take their keys
//! from [`SessionKeys`] and their nonces from [`gcm_nonce`] and [`cm_iv`]. A key here is plain
//! data of about one KiB, made once a peer; sealing and opening touch no heap. With AES-CM most of
//! a packet's cost is SHA-1, with GCM there is one pass over it.
//!
//! **One (key, SSRC, index) is sealed at most once, or again byte for byte.** The index is always
//! the caller's, who therefore keeps that rule; a GCM nonce used for two texts gives the key away.

mod fuzz;
mod index;
mod keys;
mod profile;
mod seal;
mod transform;
#[cfg(test)]
mod vectors;

pub use fuzz::fuzz_srtp_open;
pub use index::{MAX_RTCP_INDEX, MAX_RTP_INDEX, REPLAY_WINDOW, ReplayWindow, RtpIndex};
pub use keys::{MasterKey, SessionKeys, StreamKeys};
pub use profile::SrtpProfile;
pub use seal::{OpenKey, Opened, SealKey};
pub use transform::{cm_iv, gcm_nonce};

use crate::rtp::RtpError;

/// Most bytes that protecting an RTP packet adds.
pub const MAX_RTP_OVERHEAD: usize = 16;
/// Most bytes that protecting an RTCP packet adds: tag and index word.
pub const MAX_RTCP_OVERHEAD: usize = 20;

/// Why a packet was not sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// Shorter than header, tag and index word.
    #[error("shorter than a protected packet")]
    TooShort,
    /// Not RTCP version 2, or longer than [`crate::rtp::MAX_PACKET`].
    #[error("not an SRTCP packet")]
    NotRtcp,
    /// The header is no RTP header.
    #[error("not an SRTP packet: {0}")]
    Rtp(#[from] RtpError),
    /// The index was accepted before.
    #[error("replayed packet")]
    Replayed,
    /// The index lies behind the replay window.
    #[error("packet older than the replay window")]
    TooOld,
    /// The tag does not match: forged, damaged, or another key or rollover counter.
    #[error("authentication failed")]
    Authentication,
    /// The output slice is too short.
    #[error("no room in the output")]
    NoRoom,
    /// Every index of the key is used up (RFC 3711 §9.2); a new key is needed.
    #[error("packet index exhausted")]
    IndexExhausted,
    /// The low 16 bits of the index are not the sequence number in the header.
    #[error("packet index does not belong to the sequence number")]
    IndexMismatch,
    /// Key, salt or exporter block has not the length the profile asks for.
    #[error("key material of a wrong length")]
    KeyLength,
}
