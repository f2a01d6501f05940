//! The choice of codec, parameters, feedback and extensions for one line of an offer.

use super::answer::{LineAnswer, OpusParameters, Verdict};
use super::attribute::Direction;
use super::model::{Kind, Media, Sdp};
use super::payload::PayloadTable;
use super::view::fmtp_param;
use crate::codec::Codec;
use crate::rtp::{Extension, PayloadType};

/// Feedback answered for video, each if offered (`webrtc-behaviour` §3.4).
pub(super) const VIDEO_FEEDBACK: [&str; 4] = ["ccm fir", "nack", "nack pli", "goog-remb"];

/// Feedback that goes with the transport-wide sequence number extension.
pub(super) const TRANSPORT_CC: &str = "transport-cc";

/// What an answer says about one m-line that it takes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Chosen {
    /// Our direction.
    pub direction: Direction,
    /// Codec and its payload type, those of the offer; `None` on a data line.
    pub codec: Option<(Codec, PayloadType)>,
    /// The rest of the rtpmap line, as offered for multiopus, else our own spelling.
    pub encoding: String,
    /// Payload type of Opus RED, if taken.
    pub red: Option<PayloadType>,
    /// Payload type and rtpmap of DTMF, if taken.
    pub dtmf: Option<(PayloadType, String)>,
    /// Format parameters answered.
    pub fmtp: Option<String>,
    /// Opus parameters answered.
    pub opus: OpusParameters,
    /// `profile-id` of the chosen VP9 payload type, if it has one.
    pub vp9_profile: Option<String>,
    /// `profile-level-id` of the chosen H.264 payload type, if it has one.
    pub h264_profile: Option<String>,
    /// RTCP feedback answered.
    pub feedback: Vec<&'static str>,
    /// Extensions answered with their ids, in the offer's order.
    pub extensions: Vec<(Extension, u8)>,
}

impl Chosen {
    pub(super) fn data(direction: Direction) -> Self {
        Self { direction, ..Self::default() }
    }

    /// The id of `ext` on this line, if answered.
    #[must_use]
    pub fn extension_id(&self, ext: Extension) -> Option<u8> {
        self.extensions.iter().find(|(e, _)| *e == ext).map(|(_, id)| *id)
    }

    /// The payload types in the order of the m-line: RED first, then codec, then DTMF.
    #[must_use]
    pub fn payload_types(&self) -> Vec<PayloadType> {
        let codec = self.codec.map(|(_, pt)| pt);
        let dtmf = self.dtmf.as_ref().map(|(pt, _)| *pt);
        self.red.into_iter().chain(codec).chain(dtmf).collect()
    }

    pub(super) fn has_extension(&self, uri: &str, id: u8) -> bool {
        Extension::from_uri(uri).is_some_and(|e| self.extensions.contains(&(e, id)))
    }

    /// Appends the rtpmap, rtcp-fb and fmtp lines.
    pub(super) fn write_codecs(&self, media: &mut Media) {
        let Some((_, pt)) = self.codec else { return };
        if let Some(red) = self.red {
            media.push_attr("rtpmap", &format!("{red} {}", Codec::Red.rtpmap()));
            media.push_attr("fmtp", &format!("{red} {pt}/{pt}"));
        }
        media.push_attr("rtpmap", &format!("{pt} {}", self.encoding));
        for feedback in &self.feedback {
            media.push_attr("rtcp-fb", &format!("{pt} {feedback}"));
        }
        if let Some(fmtp) = &self.fmtp {
            media.push_attr("fmtp", &format!("{pt} {fmtp}"));
        }
        if let Some((pt, encoding)) = &self.dtmf {
            media.push_attr("rtpmap", &format!("{pt} {encoding}"));
        }
    }
}

/// Our direction on `media`: what the plugin wants, limited by what was offered.
pub(super) fn direction(offer: &Sdp, media: &Media, line: &LineAnswer) -> Direction {
    match line.verdict {
        Verdict::Accept => line.direction.limited_by(offer.direction_of(media)),
        Verdict::Inactive | Verdict::Reject => Direction::Inactive,
    }
}

/// What `line` comes to on the RTP line `media`; `None` when no codec is in common.
pub(super) fn rtp(offer: &Sdp, media: &Media, line: &LineAnswer) -> Option<Chosen> {
    let offered = Offered::of(media);
    let preference: &[Codec] = match (line.codecs.as_slice(), media.kind()) {
        ([], Kind::Audio) => &Codec::AUDIO_PREFERENCE,
        ([], _) => &Codec::VIDEO_PREFERENCE,
        (codecs, _) => codecs,
    };
    let fits = |codec: &&Codec| codec.is_audio() == (media.kind() == Kind::Audio);
    let (codec, pt) = preference
        .iter()
        .filter(fits)
        .filter(|codec| **codec != Codec::Red)
        .find_map(|codec| Some((*codec, offered.payload_type(*codec, line)?)))?;
    let fmtp = offered.table.fmtp(pt).unwrap_or("");
    let opus = match codec {
        Codec::Opus => OpusParameters::read(fmtp).and(line.opus),
        _ => OpusParameters::default(),
    };
    let extensions = extensions(media, codec, line);
    let param = |of, name| (codec == of).then(|| fmtp_param(fmtp, name)).flatten();
    Some(Chosen {
        direction: direction(offer, media, line),
        codec: Some((codec, pt)),
        encoding: encoding(&offered.table, codec, pt),
        red: (line.opus_red && codec == Codec::Opus).then(|| offered.first(Codec::Red)).flatten(),
        dtmf: (line.dtmf && codec.is_audio()).then(|| dtmf(&offered.table)).flatten(),
        fmtp: answered_fmtp(codec, fmtp, opus),
        opus,
        vp9_profile: param(Codec::Vp9, "profile-id").map(str::to_owned),
        h264_profile: param(Codec::H264, "profile-level-id").map(str::to_owned),
        feedback: feedback(media, codec, pt, &extensions),
        extensions,
    })
}

/// The codecs of an offered line by payload type, in its order.
struct Offered<'a> {
    table: PayloadTable<'a>,
    codecs: Vec<(PayloadType, Codec)>,
}

impl<'a> Offered<'a> {
    fn of(media: &'a Media) -> Self {
        let table = PayloadTable::of(media);
        let known = |pt: &PayloadType| table.codec(*pt).map(|codec| (*pt, codec));
        let codecs = table.listed.iter().filter_map(known).collect();
        Self { table, codecs }
    }

    fn all(&self, codec: Codec) -> impl Iterator<Item = PayloadType> {
        self.codecs.iter().filter(move |(_, c)| *c == codec).map(|(pt, _)| *pt)
    }

    fn first(&self, codec: Codec) -> Option<PayloadType> {
        self.all(codec).next()
    }

    /// The payload type to answer for `codec`: with the wanted profile if one has it, and for
    /// H.264 one of packetization mode 1 before others, else the first.
    fn payload_type(&self, codec: Codec, line: &LineAnswer) -> Option<PayloadType> {
        let param = |pt, name| self.table.parameter(pt, name);
        let wanted = match codec {
            Codec::Vp9 => line.vp9_profile.as_deref().map(|profile| ("profile-id", profile)),
            Codec::H264 => {
                line.h264_profile.as_deref().map(|profile| ("profile-level-id", profile))
            }
            _ => None,
        };
        let profile = |pt: PayloadType| {
            wanted.is_some_and(|(name, profile)| {
                param(pt, name).is_some_and(|have| have.eq_ignore_ascii_case(profile))
            })
        };
        let mode = |pt| codec != Codec::H264 || param(pt, "packetization-mode") == Some("1");
        self.all(codec)
            .find(|pt| profile(*pt) && mode(*pt))
            .or_else(|| self.all(codec).find(|pt| profile(*pt)))
            .or_else(|| self.all(codec).find(|pt| mode(*pt)))
            .or_else(|| self.first(codec))
    }
}

/// The rtpmap text: as offered where the number of channels varies, else our own spelling.
fn encoding(table: &PayloadTable<'_>, codec: Codec, pt: PayloadType) -> String {
    let offered = table.rtpmap(pt).map(|map| map.encoding);
    let varies = matches!(codec, Codec::MultiOpus | Codec::L16 | Codec::L16At48);
    offered.filter(|_| varies).unwrap_or(codec.rtpmap()).to_owned()
}

/// Opus gets what was agreed, other codecs the offer's own parameters, which bind both sides
/// (profiles, packetization, channel mapping).
fn answered_fmtp(codec: Codec, offered: &str, opus: OpusParameters) -> Option<String> {
    match codec {
        Codec::Opus => opus.fmtp(),
        Codec::MultiOpus => Some(offered.to_owned()).filter(|f| !f.is_empty()),
        _ if codec.is_video() => Some(offered.to_owned()).filter(|f| !f.is_empty()),
        _ => None,
    }
}

/// `telephone-event/8000` if listed, else the first of another clock.
fn dtmf(table: &PayloadTable<'_>) -> Option<(PayloadType, String)> {
    let events = || {
        let maps = table.listed.iter().filter_map(|pt| table.rtpmap(*pt));
        maps.filter(|map| map.name.eq_ignore_ascii_case("telephone-event"))
    };
    let best = events().find(|map| map.clock_hz == 8000).or_else(|| events().next())?;
    Some((best.pt, best.encoding.to_owned()))
}

fn feedback(
    media: &Media,
    codec: Codec,
    pt: PayloadType,
    extensions: &[(Extension, u8)],
) -> Vec<&'static str> {
    let video = if codec.is_video() { VIDEO_FEEDBACK.as_slice() } else { &[] };
    let twcc = extensions.iter().any(|(e, _)| *e == Extension::TransportCc);
    let all = video.iter().copied().chain(twcc.then_some(TRANSPORT_CC));
    all.filter(|feedback| media.has_feedback(pt, feedback)).collect()
}

fn extensions(media: &Media, codec: Codec, line: &LineAnswer) -> Vec<(Extension, u8)> {
    let mut taken: Vec<(Extension, u8)> = Vec::new();
    for map in media.extmaps() {
        let Some(ext) = Extension::from_uri(map.uri) else { continue };
        let svc_only = ext == Extension::DependencyDescriptor;
        let fits = !svc_only || matches!(codec, Codec::Av1 | Codec::Vp9);
        let free = !taken.iter().any(|(e, id)| *e == ext || *id == map.id);
        // Id 15 is reserved in the one-byte form (RFC 8285 §4.2).
        if fits && free && map.id != 15 && line.extensions.contains(&ext) {
            taken.push((ext, map.id));
        }
    }
    taken
}
