//! What a peer is and what it sends.

use std::net::IpAddr;
use std::time::Duration;

use str0m::format::Codec;
use str0m::media::{Direction, MediaKind};

use super::Srtp;

/// How a peer is made.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// Address its one UDP socket binds to, and its one host candidate.
    pub local_ip: IpAddr,
    /// Codecs offered and accepted, in order of preference inside each kind.
    pub codecs: Vec<Codec>,
    /// Its candidate is left out of the SDP and handed out by [`super::Peer::candidates`].
    pub trickle: bool,
    /// Headers of received RTP kept per m-line, the newest; 0 keeps none.
    pub keep_headers: usize,
    /// RTCP packets received that are kept, the newest; 0 keeps none.
    pub keep_rtcp: usize,
    /// SRTP profiles offered and accepted.
    pub srtp: Srtp,
    /// Received RTP goes past the stack: it is counted, a sample of it is opened, nothing is
    /// reported. Needs one profile.
    pub light: bool,
}

impl PeerConfig {
    /// Opus and VP8, candidates in the SDP, nothing kept.
    #[must_use]
    pub fn new(local_ip: IpAddr) -> Self {
        Self {
            local_ip,
            codecs: vec![Codec::Opus, Codec::Vp8],
            trickle: false,
            keep_headers: 0,
            keep_rtcp: 0,
            srtp: Srtp::Any,
            light: false,
        }
    }
}

/// One m-line to offer.
#[derive(Clone, Debug)]
pub struct Line {
    /// Audio or video.
    pub kind: MediaKind,
    /// Direction from this peer's side.
    pub direction: Direction,
    /// Simulcast layers to send, best first; empty for none.
    pub rids: Vec<String>,
}

impl Line {
    /// An audio line.
    #[must_use]
    pub fn audio(direction: Direction) -> Self {
        Self { kind: MediaKind::Audio, direction, rids: Vec::new() }
    }

    /// A video line.
    #[must_use]
    pub fn video(direction: Direction) -> Self {
        Self { kind: MediaKind::Video, direction, rids: Vec::new() }
    }

    /// A video line sending simulcast layers, best first.
    #[must_use]
    pub fn simulcast(rids: &[&str]) -> Self {
        let rids = rids.iter().map(|rid| (*rid).to_owned()).collect();
        Self { kind: MediaKind::Video, direction: Direction::SendOnly, rids }
    }
}

/// The traffic of one synthetic source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Video payload bits per second; audio has a fixed 32 kbit/s.
    pub rate_bps: u64,
    /// Time between frames.
    pub frame_interval: Duration,
    /// Time over which a frame's packets leave, from its start; zero: all at once. At most the
    /// time between frames.
    pub spread: Duration,
    /// Most payload bytes in a packet, descriptor included.
    pub packet_bytes: usize,
    /// Frames between keyframes that nobody asked for; 0 for none but the first.
    pub keyframe_every: u32,
    /// Temporal layers of a video source, 1..=3 (pattern 0, 0-1 or 0-2-1-2).
    pub temporal_layers: u8,
    /// First sequence number; str0m receivers start at roll-over count 0.
    pub first_seq: u16,
}

impl Shape {
    /// Video of `rate_bps` at 25 frames/s in packets of 1100 bytes.
    #[must_use]
    pub fn video(rate_bps: u64) -> Self {
        Self {
            rate_bps,
            frame_interval: Duration::from_millis(40),
            spread: Duration::ZERO,
            packet_bytes: 1100,
            keyframe_every: 0,
            temporal_layers: 1,
            first_seq: 1000,
        }
    }

    /// Opus, 20 ms frames of 80 bytes.
    #[must_use]
    pub fn audio() -> Self {
        Self {
            rate_bps: 32_000,
            frame_interval: Duration::from_millis(20),
            spread: Duration::ZERO,
            packet_bytes: 80,
            keyframe_every: 0,
            temporal_layers: 1,
            first_seq: 1000,
        }
    }
}

/// Why a peer could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The socket.
    #[error("socket: {0}")]
    Socket(#[from] std::io::Error),
    /// The stack refused an SDP, a candidate or a change.
    #[error("WebRTC: {0}")]
    Webrtc(#[from] str0m::RtcError),
    /// An SDP or candidate could not be read.
    #[error("{0}")]
    Unreadable(String),
    /// Out of order: an answer without offer, nothing to offer, an unknown m-line.
    #[error("{0}")]
    State(&'static str),
    /// The state waited for did not come; the text says what there was instead.
    #[error("{0} did not come in time: {1}")]
    Late(String, String),
    /// The peer has been closed.
    #[error("the peer is gone")]
    Gone,
}
