//! Payload types of retransmissions (RFC 4588): which of the peer's are used, and which we offer.

use super::attribute::payload_type;
use super::model::{Kind, Media, Sdp};
use super::offer::offered_payload_type;
use super::payload::PayloadTable;
use super::view::Rtx;
use crate::codec::Codec;
use crate::rtp::PayloadType;

/// Payload type of DTMF in our offers (`webrtc-behaviour` §3.4).
const DTMF: u8 = 126;

/// Most pairs remembered; there are no more dynamic payload types.
const MAX_PAIRS: usize = 32;

/// The pairs of the peer's video line that repair one of `codecs` and may be used: in an offer
/// only where generic NACK is offered for the codec, in an answer all of them (checklist 15).
#[must_use]
pub fn usable_rtx(remote: &Media, is_offer: bool, codecs: &[PayloadType]) -> Vec<Rtx> {
    if remote.kind() != Kind::Video {
        return Vec::new();
    }
    let mut pairs: Vec<Rtx> = Vec::new();
    for rtx in remote.rtx() {
        let wanted = codecs.contains(&rtx.apt) && !codecs.contains(&rtx.pt);
        let first = !pairs.iter().any(|have| have.apt == rtx.apt || have.pt == rtx.pt);
        if wanted && first && (!is_offer || remote.has_feedback(rtx.apt, "nack")) {
            pairs.push(rtx);
        }
    }
    pairs
}

/// The RTX payload types of one PeerConnection. Under BUNDLE a payload type means one thing on
/// all lines (RFC 9143 §9.1) and must not change its meaning later (RFC 3264 §8.3.2), so the
/// table lives as long as the PeerConnection. At most 32 pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RtxTable {
    pairs: Vec<Rtx>,
}

impl RtxTable {
    /// An empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self { pairs: Vec::new() }
    }

    /// Takes over pairs the peer has chosen in its own offer; known codecs keep theirs.
    pub fn learn(&mut self, pairs: &[Rtx]) {
        for pair in pairs {
            if self.of(pair.apt).is_none() && self.pairs.len() < MAX_PAIRS {
                self.pairs.push(*pair);
            }
        }
    }

    /// The RTX payload type of `apt`.
    #[must_use]
    pub fn of(&self, apt: PayloadType) -> Option<PayloadType> {
        self.pairs.iter().find(|pair| pair.apt == apt).map(|pair| pair.pt)
    }

    /// The pairs to offer on each m-line of our `offer`, in its order: one for each codec of a
    /// video line, codec + 1 or the next free one, wrapping from 127 to 96
    /// (`webrtc-behaviour` §3.3). A line stays without when no payload type is free.
    pub fn for_offer(&mut self, offer: &Sdp) -> Vec<Vec<Rtx>> {
        let mut used = [false; 128];
        let mut occupy = |pt: u8| used.get_mut(usize::from(pt)).into_iter().for_each(|u| *u = true);
        // The types of all codecs we may ever offer, so that one added later finds its own free.
        Codec::ALL.iter().for_each(|codec| occupy(offered_payload_type(*codec).get()));
        occupy(DTMF);
        let formats = offer.media.iter().flat_map(|media| &media.head().formats);
        formats.filter_map(|f| payload_type(f)).for_each(|pt| occupy(pt.get()));
        self.pairs.iter().for_each(|pair| occupy(pair.pt.get()));
        offer.media.iter().map(|media| self.for_line(media, &mut used)).collect()
    }

    fn for_line(&mut self, media: &Media, used: &mut [bool; 128]) -> Vec<Rtx> {
        if media.kind() != Kind::Video || media.port() == 0 {
            return Vec::new();
        }
        let table = PayloadTable::of(media);
        let codecs = table.listed.iter().filter(|pt| table.codec(**pt).is_some());
        codecs.filter_map(|apt| self.pair(*apt, used)).collect()
    }

    fn pair(&mut self, apt: PayloadType, used: &mut [bool; 128]) -> Option<Rtx> {
        if let Some(pt) = self.of(apt) {
            return Some(Rtx { pt, apt });
        }
        let above = apt.get().max(95) + 1..128;
        let pt = above.chain(96..128).find(|pt| !used[usize::from(*pt)])?;
        if self.pairs.len() >= MAX_PAIRS {
            return None;
        }
        used[usize::from(pt)] = true;
        let pair = Rtx { pt: PayloadType::new(pt)?, apt };
        self.pairs.push(pair);
        Some(pair)
    }
}
