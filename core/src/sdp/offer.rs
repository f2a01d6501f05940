//! Offers as plugins make them: lines with fixed codecs and extension ids, no transport.
//!
//! RTX, SSRCs and everything of ICE and DTLS are added by [`super::complete()`]. Facts:
//! `webrtc-behaviour` §3.4, `plugin-videoroom` §6 (offer contents).

use super::answer::session_lines;
use super::attribute::{Direction, Msid};
use super::choose::{TRANSPORT_CC, VIDEO_FEEDBACK};
use super::line::Line;
use super::model::{Media, MediaLine, Sdp};
use crate::codec::Codec;
use crate::rtp::{Extension, PayloadType};

/// The payload type a room's offer has for `codec` (`plugin-videoroom` §6, offer contents). Offers
/// that use these never meet the RTX types of [`super::RtxTable`].
#[must_use]
pub const fn offered_payload_type(codec: Codec) -> PayloadType {
    PayloadType::from_low_bits(match codec {
        Codec::Opus | Codec::MultiOpus => 111,
        Codec::Red => 120,
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
        Codec::Isac32 => 104,
        Codec::Isac16 => 103,
        Codec::L16At48 => 105,
        Codec::L16 => 106,
        Codec::Vp8 => 96,
        Codec::Vp9 => 101,
        Codec::H264 => 107,
        Codec::Av1 => 98,
        Codec::H265 => 100,
    })
}

/// One codec of an offered line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferCodec {
    /// Codec.
    pub codec: Codec,
    /// Payload type it is offered with.
    pub pt: PayloadType,
    /// Format parameters, without the payload type. For [`Codec::Red`] the list of payload types,
    /// e.g. `111/111`.
    pub fmtp: Option<String>,
}

/// One m-line of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferLine {
    /// The `mid`; empty stands for the line's index as text.
    pub mid: String,
    /// Our direction.
    pub direction: Direction,
    /// Codecs in order; all audio or all video. None at all makes a data line.
    pub codecs: Vec<OfferCodec>,
    /// Extensions with their ids, written in this order.
    pub extensions: Vec<(Extension, u8)>,
    /// `a=msid`, if the plugin sets one; otherwise the core's.
    pub msid: Option<Msid>,
    /// Offer `telephone-event/8000` with this payload type (126 by custom).
    pub dtmf: Option<PayloadType>,
}

impl OfferLine {
    /// A line that sends one codec, without extensions, with the payload type a room gives it.
    #[must_use]
    pub fn sending_fixed(codec: Codec) -> Self {
        Self::sending(codec, offered_payload_type(codec))
    }

    /// A line that sends one codec, without extensions.
    #[must_use]
    pub fn sending(codec: Codec, pt: PayloadType) -> Self {
        Self {
            mid: String::new(),
            direction: Direction::SendOnly,
            codecs: vec![OfferCodec { codec, pt, fmtp: None }],
            extensions: Vec::new(),
            msid: None,
            dtmf: None,
        }
    }

    /// A data channel line of the form of RFC 8841.
    #[must_use]
    pub fn data() -> Self {
        Self {
            mid: String::new(),
            direction: Direction::SendRecv,
            codecs: Vec::new(),
            extensions: Vec::new(),
            msid: None,
            dtmf: None,
        }
    }

    fn head(&self) -> MediaLine {
        let Some(first) = self.codecs.first() else {
            return MediaLine {
                media: "application".into(),
                port: 9,
                protocol: "UDP/DTLS/SCTP".into(),
                formats: vec!["webrtc-datachannel".into()],
            };
        };
        let types = self.codecs.iter().map(|c| c.pt).chain(self.dtmf);
        MediaLine {
            media: if first.codec.is_audio() { "audio" } else { "video" }.into(),
            port: 9,
            protocol: super::DEFAULT_PROFILE.into(),
            formats: types.map(|pt| pt.to_string()).collect(),
        }
    }

    fn write(&self, mindex: usize) -> Media {
        let mut media = Media::new(self.head());
        media.push(Line::new('c', "IN IP4 1.1.1.1"));
        media.push_attr(self.direction.as_str(), "");
        let index = mindex.to_string();
        media.push_attr("mid", if self.mid.is_empty() { &index } else { &self.mid });
        for codec in &self.codecs {
            self.write_codec(codec, &mut media);
        }
        if let Some(pt) = self.dtmf {
            media.push_attr("rtpmap", &format!("{pt} telephone-event/8000"));
        }
        for (extension, id) in &self.extensions {
            media.push_attr("extmap", &format!("{id} {}", extension.uri()));
        }
        if let Some(msid) = &self.msid {
            media.push_attr("msid", &msid.to_string());
        }
        media
    }

    fn write_codec(&self, OfferCodec { codec, pt, fmtp }: &OfferCodec, media: &mut Media) {
        media.push_attr("rtpmap", &format!("{pt} {}", codec.rtpmap()));
        let video = if codec.is_video() { VIDEO_FEEDBACK.as_slice() } else { &[] };
        let twcc = self.extensions.iter().any(|(e, _)| *e == Extension::TransportCc);
        for feedback in video.iter().copied().chain(twcc.then_some(TRANSPORT_CC)) {
            media.push_attr("rtcp-fb", &format!("{pt} {feedback}"));
        }
        if let Some(fmtp) = fmtp {
            media.push_attr("fmtp", &format!("{pt} {fmtp}"));
        }
    }
}

/// An offer in the making: lines keep their index for good, so a line whose source is gone stays
/// as inactive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    name: String,
    version: u64,
    /// The m-lines in order.
    pub lines: Vec<OfferLine>,
}

impl Offer {
    /// An offer without lines. `name` is the `s=` text; `version` the `o=` version, which grows
    /// by 1 with each offer of a subscription (0 leaves it to the core).
    #[must_use]
    pub fn new(name: &str, version: u64) -> Self {
        Self { name: name.to_owned(), version, lines: Vec::new() }
    }

    /// Appends a line and returns its index.
    pub fn add(&mut self, line: OfferLine) -> usize {
        self.lines.push(line);
        self.lines.len() - 1
    }

    /// Writes the offer for the core to complete. Lines past [`super::MAX_MEDIA`] are left out.
    #[must_use]
    pub fn build(&self) -> Sdp {
        let lines = self.lines.iter().take(super::MAX_MEDIA).enumerate();
        Sdp {
            session: session_lines(&self.name, 0, self.version),
            media: lines.map(|(mindex, line)| line.write(mindex)).collect(),
        }
    }
}
