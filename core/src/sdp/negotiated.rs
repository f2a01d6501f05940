//! What an offer and its answer come to, line by line, as plain values for the plan.

use super::attribute::{GroupKind, MAX_RIDS, Msid};
use super::choose::TRANSPORT_CC;
use super::error::SdpError;
use super::model::{Kind, Media, Sdp};
use super::payload::PayloadTable;
use super::remote::Remote;
use super::rtx::usable_rtx;
use super::simulcast::{RidOrder, rids_by_layer};
use super::view::{Rtx, max_receive};
use crate::codec::Codec;
use crate::media::{self, LayerSsrc, MediaKind, Mindex, Payload};
use crate::rtp::{Extension, ExtensionIds, PayloadType, Ssrc};

/// Which half of the exchange an SDP is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SdpType {
    /// `offer`.
    Offer,
    /// `answer`.
    Answer,
}

impl SdpType {
    /// The word in `jsep.type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Answer => "answer",
        }
    }
}

/// How a peer's SDP is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Which half the peer's SDP is; ours is the other.
    pub remote_is: SdpType,
    /// Whether an offer/answer round was complete before.
    pub renegotiation: bool,
    /// The client's `rid_order`.
    pub rid_order: RidOrder,
    /// False only under `no_webrtc_encryption`.
    pub encrypted: bool,
}

impl ReadOptions {
    /// A first negotiation, encrypted, rids from high to low.
    #[must_use]
    pub const fn first(remote_is: SdpType) -> Self {
        Self { remote_is, renegotiation: false, rid_order: RidOrder::HighToLow, encrypted: true }
    }
}

/// A codec both sides have named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedCodec {
    /// Payload type, the answer's.
    pub pt: PayloadType,
    /// Which codec, if it is one of ours (`telephone-event` is not).
    pub codec: Option<Codec>,
    /// Encoding name as written.
    pub name: String,
    /// RTP clock, Hz.
    pub clock_hz: u32,
    /// Channels.
    pub channels: u8,
    /// The peer's format parameters.
    pub fmtp: Option<String>,
}

/// A data channel line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NegotiatedData {
    /// The peer's SCTP port.
    pub sctp_port: u16,
    /// Whether the line has the draft's form (`DTLS/SCTP`).
    pub legacy: bool,
    /// The longest message the peer takes, in bytes.
    pub max_send: u32,
    /// The longest message we have said we take.
    pub max_receive: u32,
}

/// What one m-line comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedLine {
    /// Index of the m-line.
    pub mindex: Mindex,
    /// Its mid, or the index as text.
    pub mid: String,
    /// What it carries.
    pub kind: Kind,
    /// Whether both sides keep it; if not, the fields below are empty.
    pub accepted: bool,
    /// Whether we may send on it.
    pub send: bool,
    /// Whether we may receive on it.
    pub receive: bool,
    /// Codecs in the answer's order.
    pub codecs: Vec<NegotiatedCodec>,
    /// RTX payload types in use; empty for audio.
    pub rtx: Vec<Rtx>,
    /// Whether NACKs are used: the peer names generic `nack` for a codec in use, or has taken
    /// RTX (`webrtc-behaviour` §6).
    pub nack: bool,
    /// Whether transport-wide feedback is used: extension and feedback both named.
    pub transport_cc: bool,
    /// Header extensions both sides have named, by the answer's ids.
    pub extensions: ExtensionIds,
    /// What the peer sends, known by SSRC: layer 0, 1, 2 of a `SIM` group, or one stream. Empty
    /// when rids tell, or nothing was announced.
    pub streams: Vec<LayerSsrc>,
    /// What the peer sends, known by rid: index 0 is the lowest layer. Empty unless the plugin
    /// has taken the rid extension.
    pub rids: Vec<String>,
    /// The peer's msid.
    pub msid: Option<Msid>,
    /// Data channel parameters, on an accepted data line.
    pub data: Option<NegotiatedData>,
}

impl NegotiatedLine {
    /// The first codec that is one of ours and not RED: the line's main codec.
    #[must_use]
    pub fn main_codec(&self) -> Option<&NegotiatedCodec> {
        self.codecs.iter().find(|c| c.codec.is_some_and(|codec| codec != Codec::Red))
    }

    /// The line as a shard is told, with the SSRCs of our side; `None` if it is not accepted. The
    /// RTX SSRC is left out where no RTX was negotiated.
    #[must_use]
    pub fn to_line(&self, ssrc: Ssrc, rtx_ssrc: Ssrc) -> Option<media::Line> {
        let kind = match self.kind {
            Kind::Audio => MediaKind::Audio,
            Kind::Video => MediaKind::Video,
            Kind::Application => MediaKind::Data,
            Kind::Other => return None,
        };
        let receive = || media::Receive {
            layers: self.streams.clone(),
            rids: self.rids.iter().map(|rid| rid.as_str().into()).collect(),
            payloads: self.payloads(),
            nack: self.nack,
            transport_cc: self.transport_cc,
            extensions: self.extensions,
        };
        let send = || media::Send {
            payloads: self.payloads(),
            nack: self.nack,
            extensions: self.extensions,
        };
        self.accepted.then(|| media::Line {
            mindex: self.mindex,
            mid: self.mid.as_str().into(),
            kind,
            ssrc,
            rtx_ssrc: (!self.rtx.is_empty()).then_some(rtx_ssrc),
            // The direction of a data line means nothing (RFC 8841 §9.1 has none).
            receive: self.receive.then(receive).filter(|_| kind != MediaKind::Data),
            send: self.send.then(send).filter(|_| kind != MediaKind::Data),
            data: self.data.map(|data| media::DataLine {
                remote_port: data.sctp_port,
                max_send: data.max_send,
                max_receive: data.max_receive,
            }),
        })
    }

    fn payloads(&self) -> Vec<Payload> {
        let rtx = |pt| self.rtx.iter().find(|rtx| rtx.apt == pt).map(|rtx| rtx.pt.get());
        let payload = |c: &NegotiatedCodec| Payload {
            pt: c.pt.get(),
            codec: c.codec,
            clock_hz: c.clock_hz,
            rtx_pt: rtx(c.pt),
        };
        self.codecs.iter().map(payload).collect()
    }

    /// The payload type of `codec`, if negotiated.
    #[must_use]
    pub fn payload_type(&self, codec: Codec) -> Option<PayloadType> {
        self.codecs.iter().find(|c| c.codec == Some(codec)).map(|c| c.pt)
    }
}

/// What an offer and its answer come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The peer's transport.
    pub remote: Remote,
    /// The lines in order, as many as the peer's SDP has.
    pub lines: Vec<NegotiatedLine>,
}

impl Negotiated {
    /// The ids for the whole PeerConnection: for each extension those of the first line that has
    /// it (`webrtc-behaviour` §4).
    #[must_use]
    pub fn extensions(&self) -> ExtensionIds {
        let mut ids = ExtensionIds::new();
        for (extension, id) in self.lines.iter().flat_map(|line| line.extensions.iter()) {
            ids.set(extension, id);
        }
        ids
    }
}

/// Reads the peer's offer with the plugin's answer to it, or the peer's answer with the plugin's
/// offer. Either of the plugin's SDPs may be given before or after [`super::complete()`].
///
/// # Errors
/// Those of [`Remote::read`].
pub fn read_remote(
    remote: &Sdp,
    local: &Sdp,
    options: &ReadOptions,
) -> Result<Negotiated, SdpError> {
    let transport = Remote::read(remote, options.renegotiation, options.encrypted)?;
    let mut lines = Vec::with_capacity(remote.media.len());
    for (mindex, media) in remote.media.iter().enumerate() {
        let both = local.media.get(mindex).map(|ours| Both { remote, media, local, ours, options });
        let both = both.filter(|both| both.is_kept(mindex));
        let mut line = refused(mindex, media);
        if let Some(both) = both {
            both.fill(&mut line);
        }
        lines.push(line);
    }
    Ok(Negotiated { remote: transport, lines })
}

fn refused(mindex: usize, media: &Media) -> NegotiatedLine {
    NegotiatedLine {
        mindex: Mindex::try_from(mindex).unwrap_or(Mindex::MAX),
        mid: media.mid_or_index(mindex),
        kind: media.kind(),
        accepted: false,
        send: false,
        receive: false,
        codecs: Vec::new(),
        rtx: Vec::new(),
        nack: false,
        transport_cc: false,
        extensions: ExtensionIds::new(),
        streams: Vec::new(),
        rids: Vec::new(),
        msid: None,
        data: None,
    }
}

/// One m-line seen from both sides.
struct Both<'a> {
    remote: &'a Sdp,
    media: &'a Media,
    local: &'a Sdp,
    ours: &'a Media,
    options: &'a ReadOptions,
}

impl Both<'_> {
    fn is_kept(&self, mindex: usize) -> bool {
        let kind = self.media.kind();
        let usable = kind.is_rtp() || self.media.is_data();
        usable
            && kind == self.ours.kind()
            && self.ours.port() != 0
            && !super::is_disabled(mindex, self.media)
    }

    fn answer(&self) -> &Media {
        if self.options.remote_is == SdpType::Answer { self.media } else { self.ours }
    }

    fn offer(&self) -> &Media {
        if self.options.remote_is == SdpType::Answer { self.ours } else { self.media }
    }

    fn fill(&self, line: &mut NegotiatedLine) {
        let theirs = self.remote.direction_of(self.media);
        let is_offer = self.options.remote_is == SdpType::Offer;
        let direction = self.local.direction_of(self.ours).limited_by(theirs);
        line.accepted = true;
        line.send = direction.sends();
        line.receive = direction.receives();
        if !line.kind.is_rtp() {
            let (sctp_port, legacy) = (self.media.sctp_port(), self.media.is_legacy_data());
            line.data = Some(NegotiatedData {
                sctp_port,
                legacy,
                max_send: self.media.max_message_size(),
                max_receive: max_receive(is_offer.then_some(self.media)),
            });
            return;
        }
        line.codecs = self.codecs();
        let types: Vec<_> = line.codecs.iter().map(|c| c.pt).collect();
        line.rtx = usable_rtx(self.media, is_offer, &types);
        line.extensions = self.extensions();
        let named = |feedback| types.iter().any(|pt| self.media.has_feedback(*pt, feedback));
        line.nack = named("nack") || !line.rtx.is_empty();
        let twcc = line.extensions.get(Extension::TransportCc).is_some();
        line.transport_cc = twcc && named(TRANSPORT_CC);
        line.msid = self.media.msid();
        if line.extensions.get(Extension::Rid).is_some() {
            line.rids = rids_by_layer(self.media, self.options.rid_order);
        }
        if line.rids.is_empty() {
            line.streams = streams(self.media);
        }
    }

    /// The answer's codecs that the offer has too, with the peer's parameters. RTX is listed
    /// apart.
    fn codecs(&self) -> Vec<NegotiatedCodec> {
        let (ours, theirs) = (PayloadTable::of(self.ours), PayloadTable::of(self.media));
        let is_answer = self.options.remote_is == SdpType::Answer;
        let (offer, answer) = if is_answer { (&ours, &theirs) } else { (&theirs, &ours) };
        let types = answer.listed.iter().copied().filter(|pt| offer.listed.contains(pt));
        let codec = |pt| {
            let map = answer.rtpmap(pt).or_else(|| offer.rtpmap(pt))?;
            (!map.name.eq_ignore_ascii_case("rtx")).then(|| NegotiatedCodec {
                pt,
                codec: Codec::from_rtpmap(map.encoding),
                name: map.name.to_owned(),
                clock_hz: map.clock_hz,
                channels: map.channels,
                fmtp: theirs.fmtp(pt).map(str::to_owned),
            })
        };
        types.filter_map(codec).collect()
    }

    fn extensions(&self) -> ExtensionIds {
        let mut ids = ExtensionIds::new();
        for map in self.answer().extmaps() {
            if let Some(extension) = Extension::from_uri(map.uri)
                && self.offer().extmaps().any(|offered| offered.uri == map.uri)
            {
                ids.set(extension, map.id);
            }
        }
        ids
    }
}

/// The peer's streams by SSRC: its `SIM` group lowest first, else its first stream.
fn streams(media: &Media) -> Vec<LayerSsrc> {
    let repairs: Vec<(Ssrc, Ssrc)> = media
        .ssrc_groups(GroupKind::Fid)
        .filter_map(|group| Some((*group.ssrcs.first()?, *group.ssrcs.get(1)?)))
        .take(super::MAX_SSRCS)
        .collect();
    let is_rtx = |ssrc: &Ssrc| repairs.iter().any(|(_, rtx)| rtx == ssrc);
    let sim = media.ssrc_groups(GroupKind::Sim).find(|group| group.ssrcs.len() >= 2);
    let ssrcs: Vec<Ssrc> = match sim {
        Some(group) => group.ssrcs.into_iter().take(MAX_RIDS).collect(),
        None => media.ssrcs().into_iter().filter(|ssrc| !is_rtx(ssrc)).take(1).collect(),
    };
    let rtx = |ssrc| repairs.iter().find(|(s, _)| *s == ssrc).map(|(_, rtx)| *rtx);
    ssrcs.into_iter().map(|ssrc| LayerSsrc { ssrc, rtx: rtx(ssrc) }).collect()
}
