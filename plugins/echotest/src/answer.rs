//! The answer to a client's offer (plugin-echotest §4).

use crate::api::EchoRequest;
use bifrons_core::codec::Codec;
use bifrons_core::media::{MediaKind, Mindex};
use bifrons_core::rtp::Extension;
use bifrons_core::sdp::{Answer, Direction, Kind, LineAnswer, OpusParameters, Sdp, Verdict};

/// Extensions answered when offered.
const EXTENSIONS: [Extension; 11] = [
    Extension::Mid,
    Extension::Rid,
    Extension::RepairedRid,
    Extension::AudioLevel,
    Extension::VideoOrientation,
    Extension::PlayoutDelay,
    Extension::TransportCc,
    Extension::DependencyDescriptor,
    Extension::AbsSendTime,
    Extension::AbsCaptureTime,
    Extension::VideoLayersAllocation,
];

/// A line that is echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EchoLine {
    /// Its index.
    pub(crate) mindex: Mindex,
    /// Audio or video.
    pub(crate) kind: MediaKind,
    /// Its codec.
    pub(crate) codec: Codec,
    /// Whether Opus RED was agreed on.
    pub(crate) red: bool,
}

/// Answers an offer: the first audio and the first video line, each with one codec, and data.
pub(crate) fn answer(offer: &Sdp, request: &EchoRequest) -> (Sdp, Vec<EchoLine>) {
    let mut answer = Answer::for_offer(offer).named("EchoTest");
    let (mut audio, mut video) = (false, false);
    for (mindex, media) in offer.media.iter().enumerate() {
        let taken = match media.kind() {
            Kind::Audio => &mut audio,
            Kind::Video => &mut video,
            // Of several data lines the answer takes the first.
            Kind::Application => {
                answer.lines[mindex].verdict = Verdict::Accept;
                continue;
            }
            Kind::Other => {
                answer.lines[mindex].verdict = Verdict::Reject;
                continue;
            }
        };
        // Only the first of a kind is echoed, and only a line the peer both sends and receives on.
        let first = !std::mem::replace(taken, true);
        let both = offer.direction_of(media) == Direction::SendRecv;
        let forced = match media.kind() {
            Kind::Audio => request.audio_codec,
            _ => request.video_codec,
        };
        answer.lines[mindex] = LineAnswer {
            verdict: match (first, both) {
                (false, _) => Verdict::Reject,
                (true, true) => Verdict::Accept,
                (true, false) => answered_direction(offer.direction_of(media)),
            },
            codecs: forced.into_iter().collect(),
            vp9_profile: request.video_profile.clone(),
            h264_profile: request.video_profile.clone(),
            direction: Direction::SendRecv,
            extensions: EXTENSIONS.to_vec(),
            opus_red: request.opus_red.unwrap_or(false),
            dtmf: true,
            opus: OpusParameters::ALL,
        };
    }
    let lines = (0..offer.media.len()).filter_map(|mindex| line(&answer, offer, mindex)).collect();
    (answer.build(), lines)
}

/// A line on which we could only send (the peer only receives) has nothing to echo.
fn answered_direction(offered: Direction) -> Verdict {
    if offered == Direction::SendOnly { Verdict::Accept } else { Verdict::Inactive }
}

fn line(answer: &Answer<'_>, offer: &Sdp, mindex: usize) -> Option<EchoLine> {
    let chosen = answer.chosen(mindex)?;
    let (codec, _) = chosen.codec?;
    let audio = offer.media.get(mindex)?.kind() == Kind::Audio;
    let kind = if audio { MediaKind::Audio } else { MediaKind::Video };
    Some(EchoLine { mindex: mindex as Mindex, kind, codec, red: chosen.red.is_some() })
}
