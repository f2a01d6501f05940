//! Feedback that goes on to the sender of a source: what the core does not own itself
//! ([`RtcpRule::Relay`]), in a compound of its own, sender and media SSRC mapped to the other leg.
//!
//! PLI and FIR go the merged way of keyframe requests, REMB is a fact for the plugin, and reports,
//! NACK and transport-wide feedback never go on (plugin-api §3, `relay_rtcp`). Costs one compound
//! out for one part in; only towards a peer of this shard.

use super::Shard;
use crate::forward::SourceKey;
use crate::peer::Peer;
use bifrons_core::media::{RtcpRule, SourceId};
use bifrons_core::rtcp::{Raw, Rtcp, packet_type};
use bifrons_core::rtp::{MAX_PACKET, Ssrc};

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
        let Some(SourceId::Line(to)) = self.sources.get(key).map(|source| source.id) else {
            return;
        };
        if to.peer.shard != self.config.id || self.peers.get(to.peer).is_none() {
            return;
        }
        let mut body = [0; MAX_PACKET];
        let Some(copy) = body.get_mut(..part.body().len()) else { return };
        copy.copy_from_slice(part.body());
        self.send_compound(to.peer.slot, |writer, peer| {
            let Some(line) = peer.line(to.mindex) else { return };
            let layers = line.receive.iter().flat_map(|receive| &receive.layers);
            let media = layers.filter_map(|layer| layer.ssrc).next();
            if about.is_some() && media.is_none() {
                return;
            }
            put(copy, 0, line.ssrc);
            if let (Some(_), Some(media)) = (about, media) {
                put(copy, 4, media);
            }
            // What does not fit was too long to be of use.
            let _ = writer.receiver_report(line.ssrc, &[]);
            let _ = writer.raw(part.packet_type, part.count, copy);
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
