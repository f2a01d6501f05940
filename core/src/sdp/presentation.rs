//! What an RTSP server says it has (RFC 2326 appendix C), as far as a mountpoint wants to know.
//!
//! Cameras are careless with SDP, so lines that make no sense are passed over, here more than in an
//! offer. Bounds: [`MAX_BYTES`] of a description are read, [`MAX_MEDIA`] media, [`MAX_FMTP`] bytes
//! of parameters each.

use crate::media::MediaKind;

/// Bytes of a description that are looked at.
const MAX_BYTES: usize = 64 * 1024;
/// Audio and video media that are looked at.
const MAX_MEDIA: usize = 16;
/// Longest format parameters; longer ones are left out.
pub const MAX_FMTP: usize = 4096;
/// Longest `rtpmap` value.
const MAX_RTPMAP: usize = 64;

/// An audio or video medium with its default payload type, the first it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedMedium {
    /// Audio or video.
    pub kind: MediaKind,
    /// Its payload type, 0..=127.
    pub pt: u8,
    /// `encoding/clock[/channels]` (RFC 8866 §6.6), stated or by the payload type (RFC 3551 §6).
    pub rtpmap: String,
    /// RTP clock in Hz; not 0.
    pub clock_hz: u32,
    /// Its format parameters.
    pub fmtp: Option<String>,
}

/// Reads a description. Media without a usable payload type or clock are left out.
#[must_use]
pub fn presentation(sdp: &[u8]) -> Vec<PresentedMedium> {
    let sdp = sdp.get(..MAX_BYTES).unwrap_or(sdp);
    let mut media = Vec::new();
    let mut open: Option<Draft> = None;
    for line in sdp.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        if let Some(value) = line.strip_prefix("m=") {
            media.extend(open.take().and_then(Draft::finish));
            if media.len() == MAX_MEDIA {
                return media;
            }
            open = Draft::begin(value);
        } else if let (Some(draft), Some(value)) = (&mut open, line.strip_prefix("a=")) {
            draft.attribute(value);
        }
    }
    media.extend(open.and_then(Draft::finish));
    media
}

/// A medium whose lines are still coming.
struct Draft {
    kind: MediaKind,
    pt: u8,
    rtpmap: Option<String>,
    fmtp: Option<String>,
}

impl Draft {
    /// From the value of an m-line (RFC 8866 §5.14).
    fn begin(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let kind = match words.next()? {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            _ => return None,
        };
        let pt = words.nth(2)?.parse().ok().filter(|pt| *pt < 128)?;
        Some(Draft { kind, pt, rtpmap: None, fmtp: None })
    }

    fn attribute(&mut self, value: &str) {
        let Some((name, value)) = value.split_once(':') else { return };
        let Some((pt, value)) = value.trim().split_once(char::is_whitespace) else { return };
        if pt.parse() != Ok(self.pt) {
            return;
        }
        let value = value.trim();
        match name {
            "rtpmap" if value.len() <= MAX_RTPMAP => self.rtpmap = Some(value.to_owned()),
            "fmtp" if value.len() <= MAX_FMTP => self.fmtp = Some(value.to_owned()),
            _ => {}
        }
    }

    fn finish(self) -> Option<PresentedMedium> {
        let rtpmap = self.rtpmap.or_else(|| assigned(self.pt).map(str::to_owned))?;
        let clock_hz = rtpmap.split('/').nth(1)?.trim().parse().ok().filter(|hz| *hz > 0)?;
        let Draft { kind, pt, fmtp, .. } = self;
        Some(PresentedMedium { kind, pt, rtpmap, clock_hz, fmtp })
    }
}

/// What payload types mean that need no `rtpmap` (RFC 3551 §6, tables 4 and 5).
fn assigned(pt: u8) -> Option<&'static str> {
    Some(match pt {
        0 => "PCMU/8000",
        3 => "GSM/8000",
        8 => "PCMA/8000",
        9 => "G722/8000",
        10 => "L16/44100/2",
        11 => "L16/44100",
        14 => "MPA/90000",
        26 => "JPEG/90000",
        32 => "MPV/90000",
        33 => "MP2T/90000",
        _ => return None,
    })
}

/// What is fuzzed: whatever the bytes, every medium keeps its bounds.
pub fn fuzz_presentation(data: &[u8]) {
    let media = presentation(data);
    assert!(media.len() <= MAX_MEDIA);
    for medium in media {
        assert!(medium.kind != MediaKind::Data && medium.pt < 128 && medium.clock_hz > 0);
        assert!(medium.rtpmap.len() <= MAX_RTPMAP);
        assert!(medium.fmtp.is_none_or(|fmtp| fmtp.len() <= MAX_FMTP));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;

    #[test]
    fn a_camera_with_h264_and_g711_is_understood() {
        let sdp = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=cam\r\nt=0 0\r\na=control:*\r\n\
            m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
            a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LA,aM4G;profile-level-id=42C0\r\n\
            a=control:trackID=0\r\nm=audio 0 RTP/AVP 8\r\na=control:trackID=1\r\n\
            m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n";
        let media = presentation(sdp);
        let [video, audio] = &media[..] else { panic!("{media:?}") };
        assert_eq!((video.kind, video.pt, video.clock_hz), (MediaKind::Video, 96, 90_000));
        assert_eq!(Codec::from_rtpmap(&video.rtpmap), Some(Codec::H264));
        let fmtp = video.fmtp.as_deref().unwrap();
        assert!(fmtp.contains("sprop-parameter-sets=Z0LA,aM4G"));
        assert_eq!((audio.kind, audio.pt, audio.clock_hz), (MediaKind::Audio, 8, 8_000));
        assert_eq!((audio.rtpmap.as_str(), audio.fmtp.as_deref()), ("PCMA/8000", None));
    }

    #[test]
    fn attributes_of_other_payload_types_and_senseless_lines_are_passed_over() {
        let sdp = b"m=audio 0 RTP/AVP 97 0\na=rtpmap:0 PCMU/8000\na=rtpmap:97 opus/48000/2 \n\
            a=fmtp\na=fmtp:97\na=fmtp:97 stereo=1\n\xff\xff\nm=video 0 RTP/AVP 300\n\
            m=video 0 RTP/AVP 98\na=rtpmap:98 VP8/0\nm=video\nm=video 0 RTP/AVP 99\n";
        let media = presentation(sdp);
        let [opus] = &media[..] else { panic!("{media:?}") };
        assert_eq!((opus.pt, opus.rtpmap.as_str()), (97, "opus/48000/2"));
        assert_eq!(opus.fmtp.as_deref(), Some("stereo=1"));
    }
}
