//! Feedback that goes on to the sender of a source: what the core does not own itself
//! ([`RtcpRule::Relay`]), in a compound of its own, sender and media SSRC mapped to the other leg.
//!
//! PLI and FIR go the merged way of keyframe requests, REMB is a fact for the plugin, and reports,
//! NACK and transport-wide feedback never go on (plugin-api §3, `relay_rtcp`). Costs one compound
//! out for one part in. To a sender on another shard a part travels in the feedback ring, if it is
//! no longer than [`RELAYED`]; what is longer is let go and counted.

use super::Shard;
use crate::forward::SourceKey;
use crate::handoff::{Feedback, RELAYED, RelayedPart};
use crate::peer::Peer;
use bifrons_core::media::{LineId, RtcpRule, SourceId};
use bifrons_core::rtcp::{Raw, Rtcp, packet_type};
use bifrons_core::rtp::{MAX_PACKET, Ssrc};

/// What of a part stays as it is on the other leg.
#[derive(Clone, Copy)]
struct Shape {
    packet_type: u8,
    count: u8,
    about_media: bool,
}

impl Shard {
    pub(super) fn relay_feedback(&mut self, slot: u32, part: Raw<'_>) {
        // The media SSRC is the second word of feedback; an APP has none (RFC 3550 §6.7).
        let about = match (part.packet_type, Rtcp::read(part)) {
            (packet_type::APP, Ok(Rtcp::App(_))) => None,
            (packet_type::PSFB, Ok(Rtcp::Unknown(_))) => match word(part.body(), 4) {
                Some(media) => Some(Ssrc(media)),
                None => return,
            },
            _ => return,
        };
        let Some(key) = self.peers.at(slot).and_then(|peer| relayed(peer, about)) else { return };
        let Some(source) = self.sources.get(key).map(|source| source.id) else { return };
        let (packet_type, count) = (part.packet_type, part.count);
        let shape = Shape { packet_type, count, about_media: about.is_some() };
        if source.shard() != self.config.id {
            return self.relay_far(source, shape, part.body());
        }
        let mut body = [0; MAX_PACKET];
        let Some(copy) = body.get_mut(..part.body().len()) else { return };
        copy.copy_from_slice(part.body());
        // Nobody sits behind an ingest whom this would interest.
        let SourceId::Line(to) = source else { return };
        self.relay_here(to, shape, copy);
    }

    /// To the shard of the source's sender.
    fn relay_far(&mut self, source: SourceId, shape: Shape, bytes: &[u8]) {
        let mut body = [0; RELAYED];
        let Some(copy) = body.get_mut(..bytes.len()) else {
            self.counters.feedback_lost += 1;
            return;
        };
        copy.copy_from_slice(bytes);
        let Shape { packet_type, count, about_media } = shape;
        let part = RelayedPart { packet_type, count, about_media, len: bytes.len() as u8, body };
        self.feedback.push((source.shard(), Feedback::Relay(source, part)));
    }

    /// Takes what another shard passes on to a sender here.
    pub(super) fn relay_from_afar(&mut self, source: SourceId, mut part: RelayedPart) {
        let RelayedPart { packet_type, count, about_media, .. } = part;
        let len = usize::from(part.len).min(RELAYED);
        let SourceId::Line(to) = source else { return };
        self.relay_here(to, Shape { packet_type, count, about_media }, &mut part.body[..len]);
    }

    /// To a sender of this shard, in the SSRCs of its leg.
    fn relay_here(&mut self, to: LineId, shape: Shape, body: &mut [u8]) {
        if to.peer.shard != self.config.id || self.peers.get(to.peer).is_none() {
            return;
        }
        self.send_compound(to.peer.slot, |writer, peer| {
            let Some(line) = peer.line(to.mindex) else { return };
            let layers = line.receive.iter().flat_map(|receive| &receive.layers);
            let media = layers.filter_map(|layer| layer.ssrc).next();
            if shape.about_media && media.is_none() {
                return;
            }
            put(body, 0, line.ssrc);
            if let (true, Some(media)) = (shape.about_media, media) {
                put(body, 4, media);
            }
            // What does not fit was too long to be of use.
            let _ = writer.receiver_report(line.ssrc, &[]);
            let _ = writer.raw(shape.packet_type, shape.count, body);
        });
    }
}

/// The source behind the sink that feedback is about; without an SSRC, behind the first that
/// relays at all.
fn relayed(peer: &Peer, about: Option<Ssrc>) -> Option<SourceKey> {
    let sinks = peer.lines.iter().filter_map(|line| line.sink.as_ref());
    let mut meant = sinks.filter(|sink| about.is_none_or(|ssrc| sink.ssrc == ssrc));
    meant.find(|sink| sink.route.rtcp == RtcpRule::Relay)?.source
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn put(bytes: &mut [u8], at: usize, ssrc: Ssrc) {
    if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = ssrc.0.to_be_bytes();
    }
}
