//! Answers to publishers and offers to subscribers (plugin-videoroom §5 "With a jsep offer", §6
//! "Offer contents").

use crate::participant::{Stream, StreamExtensions};
use crate::relay::payload_type;
use crate::room::Room;
use crate::settings::Settings;
use crate::subscription::{Line, Subscription};
use bifrons_core::codec::Codec;
use bifrons_core::media::{MediaKind, Mindex};
use bifrons_core::plugin::Id;
use bifrons_core::plugin::Jsep;
use bifrons_core::rtp::{Extension, PayloadType};
use bifrons_core::sdp::{
    self, Answer, Direction, Kind, LineAnswer, Msid, Offer, OfferCodec, OfferLine, OpusParameters,
    Sdp, Verdict,
};

/// What one publisher is held to, beyond the room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Its only audio codec.
    pub(crate) audio: Option<Codec>,
    /// Its only video codec.
    pub(crate) video: Option<Codec>,
}

/// Answers a publisher's offer. The streams come without what the publisher had set before.
pub(crate) fn answer(
    jsep: &Jsep,
    room: &Id,
    settings: &Settings,
    choice: Choice,
    bitrate_bps: u32,
) -> (Sdp, Vec<Stream>) {
    let offer = &jsep.sdp;
    let mut answer = Answer::for_offer(offer).named(&format!("VideoRoom {room}"));
    for (media, line) in offer.media.iter().zip(&mut answer.lines) {
        let sends = offer.direction_of(media).sends();
        *line = match media.kind() {
            Kind::Audio => audio_line(settings, choice.audio),
            Kind::Video => video_line(settings, choice.video),
            // Of several data lines the answer takes the first.
            Kind::Application => {
                LineAnswer { direction: Direction::RecvOnly, ..LineAnswer::default() }
            }
            Kind::Other => LineAnswer { verdict: Verdict::Reject, ..LineAnswer::default() },
        };
        if !sends && media.kind().is_rtp() {
            line.verdict = Verdict::Inactive;
        }
    }
    let streams = (0..offer.media.len()).filter_map(|mindex| stream(&answer, jsep, mindex));
    let streams = streams.collect();
    let mut built = answer.build();
    if settings.bitrate_cap && bitrate_bps > 0 {
        cap(&mut built, offer, bitrate_bps);
    }
    (built, streams)
}

fn audio_line(settings: &Settings, only: Option<Codec>) -> LineAnswer {
    let mut extensions = vec![Extension::Mid, Extension::Rid, Extension::RepairedRid];
    let switched = [
        (settings.audiolevel_ext, Extension::AudioLevel),
        (settings.transport_wide_cc_ext, Extension::TransportCc),
    ];
    extensions.extend(switched.into_iter().filter(|(on, _)| *on).map(|(_, extension)| extension));
    LineAnswer {
        codecs: only.map_or_else(|| settings.audio_codecs.clone(), |codec| vec![codec]),
        direction: Direction::RecvOnly,
        extensions,
        opus: OpusParameters { fec: settings.opus_fec, dtx: settings.opus_dtx, stereo: true },
        ..LineAnswer::default()
    }
}

fn video_line(settings: &Settings, only: Option<Codec>) -> LineAnswer {
    let mut extensions = vec![
        Extension::Mid,
        Extension::Rid,
        Extension::RepairedRid,
        Extension::DependencyDescriptor,
    ];
    let switched = [
        (settings.videoorient_ext, Extension::VideoOrientation),
        (settings.playoutdelay_ext, Extension::PlayoutDelay),
        (settings.transport_wide_cc_ext, Extension::TransportCc),
    ];
    extensions.extend(switched.into_iter().filter(|(on, _)| *on).map(|(_, extension)| extension));
    LineAnswer {
        codecs: only.map_or_else(|| settings.video_codecs.clone(), |codec| vec![codec]),
        vp9_profile: settings.vp9_profile.clone(),
        h264_profile: settings.h264_profile.clone(),
        direction: Direction::RecvOnly,
        extensions,
        ..LineAnswer::default()
    }
}

/// The stream of one answered line. Lines of no kind we know have none.
fn stream(answer: &Answer<'_>, jsep: &Jsep, index: usize) -> Option<Stream> {
    let media = answer.offer().media.get(index)?;
    let mindex = Mindex::try_from(index).ok()?;
    let (kind, mid) = match media.kind() {
        Kind::Audio => (MediaKind::Audio, media.mid_or_index(index)),
        Kind::Video => (MediaKind::Video, media.mid_or_index(index)),
        // A data stream goes by its index, whatever the offer says.
        Kind::Application => (MediaKind::Data, index.to_string()),
        Kind::Other => return None,
    };
    let mut stream = Stream::new(kind, mindex, mid);
    let Some(chosen) = answer.chosen(index).filter(|chosen| chosen.direction.receives()) else {
        return Some(stream);
    };
    stream.disabled = false;
    stream.codec = chosen.codec.map(|(codec, _)| codec);
    stream.opus = chosen.opus;
    stream.extensions = StreamExtensions {
        audio_level: chosen.extension_id(Extension::AudioLevel),
        orientation: chosen.extension_id(Extension::VideoOrientation),
        playout_delay: chosen.extension_id(Extension::PlayoutDelay),
    };
    stream.fmtp = chosen.fmtp;
    stream.vp9_profile = chosen.vp9_profile;
    stream.h264_profile = chosen.h264_profile;
    stream.simulcast = jsep.simulcast.iter().any(|line| line.mindex == mindex);
    stream.svc = jsep.svc.iter().any(|line| line.mindex == mindex);
    Some(stream)
}

/// Writes the room's ceiling on the video lines (§8.4): `b=TIAS` in bit/s for Firefox, which does
/// not read `b=AS`, and `b=AS` in kbit/s for others.
fn cap(answer: &mut Sdp, offer: &Sdp, bitrate_bps: u32) {
    let origin = offer.session.iter().find(|line| line.letter() == b'o');
    let firefox = origin.is_some_and(|line| line.value().to_ascii_lowercase().contains("mozilla"));
    let bandwidth = match firefox {
        true => format!("TIAS:{bitrate_bps}"),
        false => format!("AS:{}", bitrate_bps / 1000),
    };
    let video = answer.media.iter_mut().filter(|m| m.kind() == Kind::Video && !m.is_disabled());
    for media in video {
        let after_address =
            media.lines().iter().position(|line| line.letter() == b'c').map_or(0, |at| at + 1);
        media.lines_mut().insert(after_address, sdp::Line::new('b', &bandwidth));
    }
}

/// The next offer of a subscription; its version grows.
pub(crate) fn offer(sub: &mut Subscription, room: Option<&Room>) -> Sdp {
    sub.version += 1;
    let mut offer = Offer::new(&format!("VideoRoom {}", sub.room), sub.version);
    let twcc = room.is_none_or(|room| room.settings.transport_wide_cc_ext);
    for (mindex, line) in sub.lines.iter().enumerate() {
        let mut offered = offer_line(line, room, twcc);
        if let Some(feed) = line.feed.as_ref().filter(|_| sub.use_msid) {
            offered.msid = Some(Msid::new(&feed.id.to_string(), &mindex.to_string()));
        }
        offer.add(offered);
    }
    offer.build()
}

fn offer_line(line: &Line, room: Option<&Room>, twcc: bool) -> OfferLine {
    let Some(codec) = line.codec else {
        return OfferLine { direction: Direction::SendOnly, ..OfferLine::data() };
    };
    let stream = line.source(room).map(|(_, stream)| stream);
    let live = stream.is_some_and(|stream| !stream.disabled);
    let pt = PayloadType::from_low_bits(payload_type(codec));
    let fmtp = match stream {
        Some(stream) if codec == Codec::Opus => stream.opus.fmtp(),
        Some(stream) if stream.fmtp.is_some() => stream.fmtp.clone(),
        _ => default_fmtp(codec),
    };
    let has = stream.map(|stream| stream.extensions).unwrap_or_default();
    let audio = line.kind == MediaKind::Audio;
    let extensions = [
        (audio && has.audio_level.is_some(), Extension::AudioLevel, 1),
        (!audio, Extension::AbsSendTime, 2),
        (twcc, Extension::TransportCc, 3),
        (true, Extension::Mid, 4),
        (!audio && has.playout_delay.is_some(), Extension::PlayoutDelay, 12),
        (!audio && has.orientation.is_some(), Extension::VideoOrientation, 13),
    ];
    OfferLine {
        mid: String::new(),
        direction: if live { Direction::SendOnly } else { Direction::Inactive },
        codecs: vec![OfferCodec { codec, pt, fmtp }],
        extensions: extensions.into_iter().filter(|e| e.0).map(|(_, e, id)| (e, id)).collect(),
        msid: None,
        dtmf: None,
    }
}

/// Parameters where the publisher gave none: H.264 clients take packetization mode 0 otherwise.
fn default_fmtp(codec: Codec) -> Option<String> {
    (codec == Codec::H264).then(|| "profile-level-id=42e01f;packetization-mode=1".to_owned())
}

/// Which lines of a subscriber's answer it takes: neither refused nor inactive.
pub(crate) fn accepted(answer: &Sdp, mindex: usize) -> bool {
    answer.media.get(mindex).is_some_and(|media| {
        !sdp::is_disabled(mindex, media) && answer.direction_of(media) != Direction::Inactive
    })
}
