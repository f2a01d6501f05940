//! H.264 parameter sets that a sender states in its SDP and leaves out of its stream (RFC 6184
//! §8.1, `sprop-parameter-sets`), kept as the aggregate that is put before a picture.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// NAL unit types (RFC 6184 §5.2, H.264 table 7-1).
const SPS: u8 = 7;
const PPS: u8 = 8;
const STAP_A: u8 = 24;

/// A sequence and a picture parameter set, as the payload of one STAP-A packet (RFC 6184 §5.7.1).
/// Plain data of [`ParameterSets::MAX`] bytes and a length; copied with its ingest's settings,
/// never for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterSets {
    payload: [u8; Self::MAX],
    len: u8,
}

impl ParameterSets {
    /// Longest payload, in bytes: both sets and 5 bytes around them. Those of cameras and encoders
    /// take 20 to 60.
    pub const MAX: usize = 192;

    /// From the two NAL units, without start codes. `None` unless they are of types 7 and 8 and fit
    /// in [`ParameterSets::MAX`].
    #[must_use]
    pub fn new(sps: &[u8], pps: &[u8]) -> Option<Self> {
        let (&first, &second) = (sps.first()?, pps.first()?);
        let kinds = (first & 0x1F, second & 0x1F);
        let len = 5 + sps.len() + pps.len();
        if kinds != (SPS, PPS) || len > Self::MAX {
            return None;
        }
        let mut payload = [0; Self::MAX];
        // Its importance is that of the most important unit in it (RFC 6184 §5.7).
        payload[0] = STAP_A | (first & 0x60).max(second & 0x60);
        let mut at = 1;
        for unit in [sps, pps] {
            payload[at..at + 2].copy_from_slice(&(unit.len() as u16).to_be_bytes());
            payload[at + 2..at + 2 + unit.len()].copy_from_slice(unit);
            at += 2 + unit.len();
        }
        Some(ParameterSets { payload, len: len as u8 })
    }

    /// From the text of `h264sps` or `sprop-parameter-sets`: base64 units joined by commas, of
    /// which the first two count (plugin-streaming §6.5). `None` if they are not that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut units = text.split(',').map(|unit| STANDARD.decode(unit.trim()));
        Self::new(&units.next()?.ok()?, &units.next()?.ok()?)
    }

    /// The payload of the packet.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.payload.get(..usize::from(self.len)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_become_one_aggregate() {
        let sets = ParameterSets::parse("Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==").expect("a pair");
        let [head, hi, lo, rest @ ..] = sets.payload() else { panic!("too short") };
        assert_eq!((*head, u16::from_be_bytes([*hi, *lo])), (0x78, 21));
        assert_eq!(rest[0], 0x67);
        assert_eq!(rest[21..], [0, 4, 0x68, 0xCB, 0x8C, 0xB2]);
        assert!(crate::codec::h264_is_keyframe(sets.payload()));
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        for text in ["", "Z0LAHg==", "aMuMsg==,Z0LAHg==", "Z0LAHg==,!", ",", "Z0LAHg==,"] {
            assert_eq!(ParameterSets::parse(text), None, "{text}");
        }
        assert!(ParameterSets::new(&[0x67; 183], &[0x68; 4]).is_some());
        assert!(ParameterSets::new(&[0x67; 184], &[0x68; 4]).is_none());
    }
}
