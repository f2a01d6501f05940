//! Offers to viewers, and answers to those who offer themselves (plugin-streaming §5).

use crate::mountpoint::{Mountpoint, Rules};
use crate::viewer::Line;
use bifrons_core::media::{MediaKind, Mindex};
use bifrons_core::rtp::{Extension, PayloadType};
use bifrons_core::sdp::{
    Answer, Direction, Kind, LineAnswer, Offer, OfferCodec, OfferLine, Sdp, Verdict, is_disabled,
};

/// The `s=` text.
fn title(mountpoint: &Mountpoint) -> String {
    format!("Mountpoint {}", mountpoint.id)
}

/// An offer of these lines, with the mountpoint's own mids, payload types and parameters.
pub(crate) fn offer(mountpoint: &Mountpoint, lines: &[Line], version: u64) -> Sdp {
    let mut offer = Offer::new(&title(mountpoint), version);
    for line in lines {
        let stream = mountpoint.streams.get(line.stream);
        let mut offered = match line.codec {
            None => OfferLine::data(),
            Some(codec) => {
                let pt = PayloadType::from_low_bits(line.pt);
                let fmtp = stream.and_then(|stream| stream.spec.fmtp.clone());
                OfferLine {
                    codecs: vec![OfferCodec { codec, pt, fmtp: fmtp.filter(|f| !f.is_empty()) }],
                    extensions: extensions(&mountpoint.rules, line.kind),
                    ..OfferLine::sending(codec, pt)
                }
            }
        };
        offered.mid.clone_from(&line.mid);
        offered.msid = stream.and_then(|stream| stream.spec.msid.clone());
        offer.add(offered);
    }
    offer.build()
}

fn extensions(rules: &Rules, kind: MediaKind) -> Vec<(Extension, u8)> {
    let video = kind == MediaKind::Video;
    let all = [
        (true, Extension::Mid, 4),
        (true, Extension::AbsSendTime, 2),
        (rules.abscapturetime_id.is_some(), Extension::AbsCaptureTime, 7),
        (rules.playoutdelay_ext && video, Extension::PlayoutDelay, 12),
    ];
    all.into_iter().filter(|(on, _, _)| *on).map(|(_, extension, id)| (extension, id)).collect()
}

/// The answer to a viewer's offer, and the lines it makes: each line of the offer gets the first
/// stream of its kind that no other line has and whose codec it offers, the rest is inactive.
pub(crate) fn answer(mountpoint: &Mountpoint, offer: &Sdp) -> (Sdp, Vec<Line>) {
    let mut answer = Answer::for_offer(offer).named(&title(mountpoint));
    let mut matched: Vec<(usize, usize)> = Vec::new();
    for (mindex, media) in offer.media.iter().enumerate() {
        let taken = |at: usize| matched.iter().any(|(stream, _)| *stream == at);
        let wants = offer.direction_of(media).receives() && !is_disabled(mindex, media);
        let kind = match media.kind() {
            Kind::Audio => MediaKind::Audio,
            Kind::Video => MediaKind::Video,
            Kind::Application => MediaKind::Data,
            Kind::Other => continue,
        };
        let offers = |codec| media.payload_types().iter().any(|pt| media.codec(*pt) == Some(codec));
        let mut streams = mountpoint.streams.iter().enumerate();
        let found = streams.find(|(at, stream)| {
            let spec = &stream.spec;
            let usable = spec.codec.map_or(kind == MediaKind::Data, offers);
            wants && spec.kind == kind && usable && !taken(*at)
        });
        let Some(line) = answer.lines.get_mut(mindex) else { continue };
        *line = match (found, kind) {
            (Some((_, stream)), MediaKind::Audio | MediaKind::Video) => LineAnswer {
                codecs: stream.spec.codec.into_iter().collect(),
                direction: Direction::SendOnly,
                extensions: extensions(&mountpoint.rules, kind).into_iter().map(|e| e.0).collect(),
                ..LineAnswer::default()
            },
            (Some(_), MediaKind::Data) => LineAnswer::default(),
            (None, MediaKind::Data) => {
                LineAnswer { verdict: Verdict::Reject, ..LineAnswer::default() }
            }
            (None, _) => LineAnswer { verdict: Verdict::Inactive, ..LineAnswer::default() },
        };
        matched.extend(found.map(|(at, _)| (at, mindex)));
    }
    let line = |(stream, index): (usize, usize)| {
        let chosen = answer.chosen(index)?;
        let spec = &mountpoint.streams.get(stream)?.spec;
        let mut line = Line::new(stream, Mindex::try_from(index).ok()?, spec);
        line.mid = offer.media.get(index)?.mid_or_index(index);
        line.pt = chosen.codec.map_or(line.pt, |(_, pt)| pt.get());
        Some(line)
    };
    let lines = matched.into_iter().filter_map(line).collect();
    (answer.build(), lines)
}
