//! What control tells a shard when it sets a PeerConnection up, or renegotiates one.

use super::{DataLine, Mindex, PeerId};
use crate::codec::Codec;
use crate::dtls::{Fingerprint, Role};
use crate::ice::{Candidate, Credentials};
use crate::rtp::{ExtensionIds, Ssrc};

/// What a line carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// RTP audio.
    Audio,
    /// RTP video.
    Video,
    /// SCTP data channels.
    Data,
}

impl MediaKind {
    /// Janus's word for it: `audio`, `video` or `data`.
    pub fn name(self) -> &'static str {
        match self {
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
            MediaKind::Data => "data",
        }
    }
}

/// One negotiated payload type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The payload type, 0..=127.
    pub pt: u8,
    /// What it means; `None` for formats that are passed on unread (telephone-event and the like).
    pub codec: Option<Codec>,
    /// RTP clock in Hz.
    pub clock_hz: u32,
    /// The RFC 4588 payload type whose `apt` is `pt`, where negotiated.
    pub rtx_pt: Option<u8>,
}

/// The SSRCs of one simulcast layer (or of the only stream).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSsrc {
    /// The media stream.
    pub ssrc: Ssrc,
    /// Its retransmissions (`ssrc-group:FID`).
    pub rtx: Option<Ssrc>,
}

/// The receiving half of a line: what the peer sends to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receive {
    /// Announced SSRCs, index = substream (0 = lowest). Empty: learnt from mid, rid or traffic
    /// (webrtc-behaviour §5.2). At most 3.
    pub layers: Vec<LayerSsrc>,
    /// Announced rids, index = substream (0 = lowest). At most 3, each at most 15 bytes.
    pub rids: Vec<Box<str>>,
    /// What may arrive.
    pub payloads: Vec<Payload>,
    /// Whether we ask for lost packets (the peer's SDP has `nack`).
    pub nack: bool,
    /// Whether transport-wide feedback was negotiated on this line.
    pub transport_cc: bool,
    /// Ids under which the peer sends its header extensions.
    pub extensions: ExtensionIds,
}

/// The sending half of a line: what we send to the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// What may leave.
    pub payloads: Vec<Payload>,
    /// Whether the peer may ask for lost packets.
    pub nack: bool,
    /// Ids under which header extensions leave.
    pub extensions: ExtensionIds,
}

/// One m-line as negotiated. A rejected line is absent from the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its index in the SDP.
    pub mindex: Mindex,
    /// Its `a=mid`, at most 16 bytes.
    pub mid: Box<str>,
    /// What it carries.
    pub kind: MediaKind,
    /// Our SSRC on this line: of media where we send, of RTCP in any case.
    pub ssrc: Ssrc,
    /// Our RFC 4588 SSRC, where rtx was negotiated.
    pub rtx_ssrc: Option<Ssrc>,
    /// Present where the peer may send.
    pub receive: Option<Receive>,
    /// Present where we may send.
    pub send: Option<Send>,
    /// Present on a data line, and there alone.
    pub data: Option<DataLine>,
}

/// The transport half of a peer's setup. Fields that only the peer's SDP can tell are `None`
/// after our own offer, until the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Our ICE credentials; the ufrag encodes the [`PeerId`].
    pub local: Credentials,
    /// The peer's.
    pub remote: Option<Credentials>,
    /// Whether we are the controlling agent (we offered, and are not lite).
    pub controlling: bool,
    /// Candidates known so far.
    pub candidates: Vec<Candidate>,
    /// Whether the peer will send no more of them.
    pub end_of_candidates: bool,
    /// Our DTLS role; `None` until the answer settles it.
    pub dtls_role: Option<Role>,
    /// What the peer's certificate must hash to.
    pub fingerprint: Option<Fingerprint>,
    /// Our sockets are not used, only a relay ([`super::ShardCommand::Relay`]).
    pub relay_only: bool,
}

/// Everything a shard needs to bring up one PeerConnection (design §4, "Setting a peer up").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSetup {
    /// The slot that control allotted.
    pub peer: PeerId,
    /// ICE and DTLS.
    pub transport: Transport,
    /// The m-line table, ascending by index, rejected lines left out.
    pub lines: Vec<Line>,
}

/// A renegotiation. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerUpdate {
    /// New credentials of ours: an ICE restart.
    pub local: Option<Credentials>,
    /// New credentials of the peer.
    pub remote: Option<Credentials>,
    /// Candidates found in the new SDP.
    pub candidates: Vec<Candidate>,
    /// Whether the peer will send no more of them.
    pub end_of_candidates: bool,
    /// Settled by an answer to our offer.
    pub dtls_role: Option<Role>,
    /// Settled or replaced by the new SDP; never starts a new handshake.
    pub fingerprint: Option<Fingerprint>,
    /// The whole new m-line table.
    pub lines: Option<Vec<Line>>,
}
