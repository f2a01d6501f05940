//! The attributes of WebRTC, each as a small value read from one `a=` line.
//!
//! Readers take the value after `a=<name>:` and give `None` for anything malformed, so that a
//! broken attribute counts as absent; the few that must refuse the whole SDP are checked in
//! [`super::Remote::read`]. Values borrow from the line.

use std::fmt;

use crate::rtp::{PayloadType, Ssrc};

/// Longest rid, characters (`core-api` §8).
pub const MAX_RID: usize = 15;

/// Most rids, and most simulcast layers, of an m-line (`core-api` §8).
pub const MAX_RIDS: usize = 3;

/// Longest `msid` token, characters; the rest is cut (`core-api` §8).
pub const MAX_MSID: usize = 64;

/// Media direction (RFC 8866 §6.7), as seen by the side that wrote the SDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Sends and receives; what a missing attribute means.
    #[default]
    SendRecv,
    /// Only sends.
    SendOnly,
    /// Only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// The direction that sends and receives as said.
    #[must_use]
    pub const fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether the writer sends.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the writer receives.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same seen from the other side.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self::of(self.receives(), self.sends())
    }

    /// What remains of `self` when the other side's direction is `theirs` (RFC 3264 §6.1).
    #[must_use]
    pub const fn limited_by(self, theirs: Self) -> Self {
        Self::of(self.sends() && theirs.receives(), self.receives() && theirs.sends())
    }

    /// The attribute's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The direction of an attribute's name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|d| d.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who starts the DTLS handshake (RFC 5763 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Setup {
    /// Either; what offers say, and what a missing or unknown word is taken for.
    #[default]
    Actpass,
    /// The writer starts it (DTLS client).
    Active,
    /// The writer waits (DTLS server).
    Passive,
}

impl Setup {
    /// The role of a word; an unknown one is never an error (`core-api` §4.1).
    #[must_use]
    pub fn from_token(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "active" => Self::Active,
            "passive" => Self::Passive,
            _ => Self::Actpass,
        }
    }

    /// Our role when this is the peer's: passive towards an active peer, otherwise active
    /// (`webrtc-behaviour` §2).
    #[must_use]
    pub const fn ours(self) -> Self {
        match self {
            Self::Active => Self::Passive,
            Self::Passive | Self::Actpass => Self::Active,
        }
    }

    /// The attribute's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Actpass => "actpass",
            Self::Active => "active",
            Self::Passive => "passive",
        }
    }
}

/// `a=rtpmap:<pt> <name>/<clock>[/<channels>]` (RFC 8866 §6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtpmap<'a> {
    /// Payload type.
    pub pt: PayloadType,
    /// Everything after the payload type: what [`crate::codec::Codec::from_rtpmap`] reads.
    pub encoding: &'a str,
    /// Encoding name as written.
    pub name: &'a str,
    /// RTP clock, Hz.
    pub clock_hz: u32,
    /// Channels; 1 when not written.
    pub channels: u8,
}

impl<'a> Rtpmap<'a> {
    /// Reads the attribute's value.
    #[must_use]
    pub fn read(value: &'a str) -> Option<Self> {
        let (pt, encoding) = split_pt(value)?;
        Self::of(pt, encoding)
    }

    pub(super) fn of(pt: PayloadType, encoding: &'a str) -> Option<Self> {
        let mut parts = encoding.split('/');
        let name = parts.next()?;
        let clock_hz = parts.next()?.trim().parse().ok()?;
        let channels = parts.next().and_then(|c| c.trim().parse().ok()).unwrap_or(1);
        Some(Self { pt, encoding, name, clock_hz, channels })
    }

    /// Whether name and clock are these; the name in any case.
    #[must_use]
    pub fn is(&self, name: &str, clock_hz: u32) -> bool {
        self.clock_hz == clock_hz && self.name.eq_ignore_ascii_case(name)
    }
}

/// `a=rtcp-fb:<pt|*> <feedback>` (RFC 4585 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtcpFeedback<'a> {
    /// Payload type; `None` for `*`, all of them.
    pub pt: Option<PayloadType>,
    /// The feedback, e.g. `nack pli`.
    pub value: &'a str,
}

impl<'a> RtcpFeedback<'a> {
    /// Reads the attribute's value.
    #[must_use]
    pub fn read(value: &'a str) -> Option<Self> {
        if let Some(rest) = value.strip_prefix('*') {
            return Some(Self { pt: None, value: rest.trim() });
        }
        split_pt(value).map(|(pt, value)| Self { pt: Some(pt), value })
    }
}

/// `a=extmap:<id>[/<direction>] <uri> [<attributes>]` (RFC 8285 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extmap<'a> {
    /// Local id, 1..=255.
    pub id: u8,
    /// Direction, if written.
    pub direction: Option<Direction>,
    /// The extension's URI.
    pub uri: &'a str,
}

impl<'a> Extmap<'a> {
    /// Reads the attribute's value.
    #[must_use]
    pub fn read(value: &'a str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let (id, uri) = (words.next()?, words.next()?);
        let (id, direction) = match id.split_once('/') {
            Some((id, direction)) => (id, Some(Direction::from_name(direction)?)),
            None => (id, None),
        };
        let id = id.parse().ok().filter(|id| *id != 0)?;
        Some(Self { id, direction, uri })
    }
}

/// Meaning of an `a=ssrc-group` (RFC 5576 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// `FID`: a stream and its retransmissions.
    Fid,
    /// `SIM`: simulcast layers, lowest first.
    Sim,
}

/// `a=ssrc-group:<FID|SIM> <ssrc> ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsrcGroup {
    /// Its meaning.
    pub kind: GroupKind,
    /// The streams in written order, at most 8.
    pub ssrcs: Vec<Ssrc>,
}

impl SsrcGroup {
    /// Reads the attribute's value; `None` for other meanings too.
    #[must_use]
    pub fn read(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let kind = match words.next()?.to_ascii_uppercase().as_str() {
            "FID" => GroupKind::Fid,
            "SIM" => GroupKind::Sim,
            _ => return None,
        };
        let ssrcs = words.take(8).map(|w| w.parse().ok().map(Ssrc)).collect::<Option<Vec<_>>>()?;
        Some(Self { kind, ssrcs })
    }
}

/// `a=rid:<id> <send|recv> ...` (RFC 8851 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RidLine<'a> {
    /// The rid, 1..=15 characters.
    pub id: &'a str,
    /// Whether the writer sends it.
    pub sends: bool,
}

impl<'a> RidLine<'a> {
    /// Reads the attribute's value; `None` for a rid above [`MAX_RID`] too.
    #[must_use]
    pub fn read(value: &'a str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let id = words.next().filter(|id| id.len() <= MAX_RID)?;
        let sends = match words.next()?.to_ascii_lowercase().as_str() {
            "send" => true,
            "recv" => false,
            _ => return None,
        };
        Some(Self { id, sends })
    }
}

/// `a=simulcast` (RFC 8853 §5.1), one direction of it, or the form Firefox wrote before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulcast<'a> {
    /// Whether it was written `send rid=h;m;l`.
    pub legacy: bool,
    /// The rids as written, `~` removed, first alternative only; the flag says "disabled".
    pub rids: Vec<(&'a str, bool)>,
}

impl<'a> Simulcast<'a> {
    /// Reads the part of the attribute's value that says `direction` (`send` or `recv`).
    #[must_use]
    pub fn read(value: &'a str, direction: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        words.find(|w| w.eq_ignore_ascii_case(direction))?;
        let list = words.next()?;
        let (legacy, list) = match list.strip_prefix("rid=") {
            Some(list) => (true, list),
            None => (false, list),
        };
        let rids = list.split(';').filter_map(|layer| {
            let first = layer.split(',').next()?;
            let id = first.strip_prefix('~').unwrap_or(first);
            (!id.is_empty()).then_some((id, first.len() != id.len()))
        });
        Some(Self { legacy, rids: rids.take(8).collect() })
    }
}

/// `a=msid:<stream> <track>` (RFC 8830 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Msid {
    /// MediaStream id, at most [`MAX_MSID`] characters.
    pub stream: String,
    /// MediaStreamTrack id, at most [`MAX_MSID`] characters.
    pub track: String,
}

impl Msid {
    /// An msid of our own. White space becomes `-`, what is too long is cut.
    #[must_use]
    pub fn new(stream: &str, track: &str) -> Self {
        let token = |text: &str| -> String {
            let clean = |c: char| if c.is_whitespace() || c.is_control() { '-' } else { c };
            text.chars().take(MAX_MSID).map(clean).collect()
        };
        Self { stream: token(stream), track: token(track) }
    }

    /// Reads the attribute's value; `None` when there are not two tokens.
    #[must_use]
    pub fn read(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        Some(Self::new(words.next()?, words.next()?))
    }
}

impl fmt::Display for Msid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.stream, self.track)
    }
}

/// Splits `<pt> <rest>`.
pub(super) fn split_pt(value: &str) -> Option<(PayloadType, &str)> {
    let (pt, rest) = value.split_once(|c: char| c.is_ascii_whitespace())?;
    Some((payload_type(pt)?, rest.trim()))
}

/// A payload type in decimal.
pub(super) fn payload_type(word: &str) -> Option<PayloadType> {
    word.trim().parse().ok().and_then(PayloadType::new)
}
