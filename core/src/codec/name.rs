//! The codecs the server can negotiate, with their Janus and rtpmap names.

use crate::rtp::PayloadType;

/// A codec the server can negotiate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Codec {
    /// Opus (RFC 7587).
    Opus,
    /// Opus with more than two channels, as Chromium names it.
    MultiOpus,
    /// Redundant audio (RFC 2198), here always of Opus.
    Red,
    /// iSAC super-wideband.
    Isac32,
    /// iSAC wideband.
    Isac16,
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722; its RTP clock is 8000 although it samples at 16000 (RFC 3551 §4.5.2).
    G722,
    /// Linear 16-bit at 48 kHz.
    L16At48,
    /// Linear 16-bit at 16 kHz.
    L16,
    /// VP8 (RFC 7741).
    Vp8,
    /// VP9 (RFC 9628).
    Vp9,
    /// H.264 (RFC 6184).
    H264,
    /// AV1 (AOM RTP payload format).
    Av1,
    /// H.265 (RFC 7798).
    H265,
}

impl Codec {
    /// Every codec, audio before video, in declaration order.
    pub const ALL: [Self; 15] = [
        Self::Opus,
        Self::MultiOpus,
        Self::Red,
        Self::Isac32,
        Self::Isac16,
        Self::Pcmu,
        Self::Pcma,
        Self::G722,
        Self::L16At48,
        Self::L16,
        Self::Vp8,
        Self::Vp9,
        Self::H264,
        Self::Av1,
        Self::H265,
    ];

    /// Audio codecs in the order an answer prefers them (`webrtc-behaviour` §3.4).
    pub const AUDIO_PREFERENCE: [Self; 9] = [
        Self::Opus,
        Self::Pcmu,
        Self::Pcma,
        Self::G722,
        Self::Isac32,
        Self::Isac16,
        Self::MultiOpus,
        Self::L16At48,
        Self::L16,
    ];

    /// Video codecs in the order an answer prefers them (`webrtc-behaviour` §3.4).
    pub const VIDEO_PREFERENCE: [Self; 5] =
        [Self::Vp8, Self::Vp9, Self::H264, Self::Av1, Self::H265];

    /// The lower-case name of the Janus API.
    #[must_use]
    pub const fn janus_name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::MultiOpus => "multiopus",
            Self::Red => "red",
            Self::Isac32 => "isac32",
            Self::Isac16 => "isac16",
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
            Self::G722 => "g722",
            Self::L16At48 => "l16-48",
            Self::L16 => "l16",
            Self::Vp8 => "vp8",
            Self::Vp9 => "vp9",
            Self::H264 => "h264",
            Self::Av1 => "av1",
            Self::H265 => "h265",
        }
    }

    /// The codec of a Janus API name, any case.
    #[must_use]
    pub fn from_janus_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.janus_name().eq_ignore_ascii_case(name))
    }

    /// The value of our `a=rtpmap` line after the payload type.
    #[must_use]
    pub const fn rtpmap(self) -> &'static str {
        match self {
            Self::Opus => "opus/48000/2",
            Self::MultiOpus => "multiopus/48000/6",
            Self::Red => "red/48000/2",
            Self::Isac32 => "ISAC/32000",
            Self::Isac16 => "ISAC/16000",
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
            Self::G722 => "G722/8000",
            Self::L16At48 => "L16/48000",
            Self::L16 => "L16/16000",
            Self::Vp8 => "VP8/90000",
            Self::Vp9 => "VP9/90000",
            Self::H264 => "H264/90000",
            Self::Av1 => "AV1/90000",
            Self::H265 => "H265/90000",
        }
    }

    /// The codec of an `a=rtpmap` value (`opus/48000/2`): encoding name in any case and clock rate
    /// must match, channels are not looked at. `red/90000` (video) is not ours.
    #[must_use]
    pub fn from_rtpmap(value: &str) -> Option<Self> {
        let mut parts = value.trim().split('/');
        let (name, clock) = (parts.next()?, parts.next()?.parse::<u32>().ok()?);
        Self::ALL
            .into_iter()
            .find(|c| c.clock_rate() == clock && c.encoding_name().eq_ignore_ascii_case(name))
    }

    /// The encoding name: what stands before the first slash of the rtpmap.
    #[must_use]
    pub fn encoding_name(self) -> &'static str {
        self.rtpmap().split('/').next().unwrap_or_default()
    }

    /// RTP clock rate, Hz.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Opus | Self::MultiOpus | Self::Red | Self::L16At48 => 48_000,
            Self::Isac32 => 32_000,
            Self::Isac16 | Self::L16 => 16_000,
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::Av1 | Self::H265 => 90_000,
        }
    }

    /// Whether it belongs on an audio m-line.
    #[must_use]
    pub const fn is_audio(self) -> bool {
        !self.is_video()
    }

    /// Whether it belongs on a video m-line.
    #[must_use]
    pub const fn is_video(self) -> bool {
        matches!(self, Self::Vp8 | Self::Vp9 | Self::H264 | Self::Av1 | Self::H265)
    }

    /// The payload type RFC 3551 §6 fixes for it, if any.
    #[must_use]
    pub const fn static_payload_type(self) -> Option<PayloadType> {
        match self {
            Self::Pcmu => PayloadType::new(0),
            Self::Pcma => PayloadType::new(8),
            Self::G722 => PayloadType::new(9),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_rtpmaps_round_trip() {
        for c in Codec::ALL {
            assert_eq!(Codec::from_janus_name(c.janus_name()), Some(c));
            assert_eq!(Codec::from_rtpmap(c.rtpmap()), Some(c));
            assert!(c.rtpmap().contains(&format!("/{}", c.clock_rate())));
            assert_ne!(c.is_audio(), c.is_video());
        }
    }

    #[test]
    fn rtpmaps_are_read_in_any_case_and_video_red_is_not_ours() {
        assert_eq!(Codec::from_rtpmap("pcmu/8000/1"), Some(Codec::Pcmu));
        assert_eq!(Codec::from_rtpmap("OPUS/48000/2 "), Some(Codec::Opus));
        assert_eq!(Codec::from_rtpmap("red/90000"), None);
        assert_eq!(Codec::from_rtpmap("VP8"), None);
        assert_eq!(Codec::from_rtpmap("rtx/90000"), None);
    }
}
