//! Which line an SSRC of a peer belongs to (webrtc-behaviour §5).
//!
//! SSRCs come from the SDP, or are learnt from an authenticated packet by its mid and rid
//! extensions, or by the payload type of the only line that could have sent it. Learnt ones stay
//! for the life of the PeerConnection. At most [`MAX_STREAMS`]; a peer that shows more is not
//! listened to on the rest.

use bifrons_core::media::Mindex;
use bifrons_core::rtp::Ssrc;

/// SSRCs kept for one peer: each of a few dozen lines with three layers and their rtx.
pub const MAX_STREAMS: usize = 256;

/// What an SSRC carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamRole {
    /// The line.
    pub mindex: Mindex,
    /// The simulcast substream, 0 where there is one only.
    pub layer: u8,
    /// Whether it carries retransmissions (RFC 4588) of that layer.
    pub rtx: bool,
}

/// See the module. Sorted by SSRC; a lookup is a short binary search over one dense vector.
#[derive(Debug, Default)]
pub struct Streams {
    by_ssrc: Vec<(Ssrc, StreamRole)>,
}

impl Streams {
    /// What the SSRC carries.
    #[inline]
    pub fn get(&self, ssrc: Ssrc) -> Option<StreamRole> {
        let at = self.by_ssrc.binary_search_by_key(&ssrc, |&(ssrc, _)| ssrc).ok()?;
        Some(self.by_ssrc[at].1)
    }

    /// Sets what an SSRC carries. False if the table is full.
    pub fn set(&mut self, ssrc: Ssrc, role: StreamRole) -> bool {
        match self.by_ssrc.binary_search_by_key(&ssrc, |&(ssrc, _)| ssrc) {
            Ok(at) => self.by_ssrc[at].1 = role,
            Err(_) if self.by_ssrc.len() >= MAX_STREAMS => return false,
            Err(at) => self.by_ssrc.insert(at, (ssrc, role)),
        }
        true
    }

    /// The SSRC that carries a layer (or its retransmissions), if one is known.
    pub fn ssrc_of(&self, role: StreamRole) -> Option<Ssrc> {
        self.by_ssrc.iter().find(|&&(_, have)| have == role).map(|&(ssrc, _)| ssrc)
    }

    /// Whether an SSRC is known for a line's media (or its retransmissions).
    pub fn knows(&self, mindex: Mindex, rtx: bool) -> bool {
        self.by_ssrc.iter().any(|(_, role)| role.mindex == mindex && role.rtx == rtx)
    }

    /// Forgets every SSRC of a line.
    pub fn forget(&mut self, mindex: Mindex) {
        self.by_ssrc.retain(|(_, role)| role.mindex != mindex);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ssrc_is_found_until_its_line_is_forgotten() {
        let mut streams = Streams::default();
        let video = StreamRole { mindex: 1, layer: 2, rtx: false };
        assert!(streams.set(Ssrc(9), video));
        assert!(streams.set(Ssrc(3), StreamRole { mindex: 0, layer: 0, rtx: false }));
        assert_eq!(streams.get(Ssrc(9)), Some(video));
        assert_eq!(streams.ssrc_of(video), Some(Ssrc(9)));
        streams.forget(1);
        assert_eq!(streams.get(Ssrc(9)), None);
        assert!(streams.get(Ssrc(3)).is_some());
    }

    #[test]
    fn a_peer_cannot_grow_the_table_without_end() {
        let mut streams = Streams::default();
        let role = StreamRole { mindex: 0, layer: 0, rtx: false };
        for n in 0..MAX_STREAMS as u32 {
            assert!(streams.set(Ssrc(n), role));
        }
        assert!(!streams.set(Ssrc(1 << 20), role));
        assert!(streams.set(Ssrc(5), role), "a known one may change");
    }
}
