//! The payload types of one m-line, indexed once.
//!
//! [`Media::rtpmap`] and [`Media::fmtp`] walk the section for each question; whoever asks for
//! many payload types takes this table, so that the cost stays one walk however long a hostile
//! section is.

use super::attribute::{Rtpmap, payload_type, split_pt};
use super::model::Media;
use super::view::{Rtx, fmtp_param};
use crate::codec::Codec;
use crate::rtp::PayloadType;

/// The codecs whose payload type RFC 3551 §6 fixes; they need no rtpmap line.
const STATIC: [Codec; 3] = [Codec::Pcmu, Codec::Pcma, Codec::G722];

/// Mappings and parameters by payload type; where a line is repeated the first counts.
pub(super) struct PayloadTable<'a> {
    /// As listed in the m-line, each once.
    pub(super) listed: Vec<PayloadType>,
    maps: [Option<Rtpmap<'a>>; 128],
    parameters: [Option<&'a str>; 128],
}

impl<'a> PayloadTable<'a> {
    pub(super) fn of(media: &'a Media) -> Self {
        let mut maps = [None; 128];
        for map in media.rtpmaps() {
            set_first(&mut maps, map.pt, map);
        }
        for codec in STATIC {
            if let Some(pt) = codec.static_payload_type()
                && let Some(map) = Rtpmap::of(pt, codec.rtpmap())
            {
                set_first(&mut maps, pt, map);
            }
        }
        let mut parameters = [None; 128];
        for (pt, value) in media.values("fmtp").filter_map(split_pt) {
            set_first(&mut parameters, pt, value);
        }
        Self { listed: listed(media), maps, parameters }
    }

    pub(super) fn rtpmap(&self, pt: PayloadType) -> Option<Rtpmap<'a>> {
        self.maps.get(usize::from(pt.get())).copied().flatten()
    }

    pub(super) fn fmtp(&self, pt: PayloadType) -> Option<&'a str> {
        self.parameters.get(usize::from(pt.get())).copied().flatten()
    }

    /// The value of one format parameter.
    pub(super) fn parameter(&self, pt: PayloadType, name: &str) -> Option<&'a str> {
        fmtp_param(self.fmtp(pt)?, name)
    }

    pub(super) fn codec(&self, pt: PayloadType) -> Option<Codec> {
        self.rtpmap(pt).and_then(|map| Codec::from_rtpmap(map.encoding))
    }

    /// The listed RTX payload types that say what they repair, at most 128.
    pub(super) fn rtx(&self) -> Vec<Rtx> {
        let is_rtx = |pt: PayloadType| {
            self.rtpmap(pt).is_some_and(|map| map.name.eq_ignore_ascii_case("rtx"))
        };
        let repairing = |pt| Some(Rtx { pt, apt: payload_type(self.parameter(pt, "apt")?)? });
        self.listed.iter().copied().filter(|pt| is_rtx(*pt)).filter_map(repairing).collect()
    }
}

/// The payload types of the m-line in order, each once.
pub(super) fn listed(media: &Media) -> Vec<PayloadType> {
    let mut seen = [false; 128];
    let first = |pt: &PayloadType| {
        let seen = seen.get_mut(usize::from(pt.get()));
        seen.is_some_and(|seen| !std::mem::replace(seen, true))
    };
    media.head().formats.iter().filter_map(|word| payload_type(word)).filter(first).collect()
}

fn set_first<T>(slots: &mut [Option<T>; 128], pt: PayloadType, value: T) {
    if let Some(slot) = slots.get_mut(usize::from(pt.get())) {
        slot.get_or_insert(value);
    }
}
