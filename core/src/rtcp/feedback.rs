//! Feedback messages: NACK, PLI, FIR, REMB.

use super::compound::{Raw, word};
use crate::rtp::{Seq, Ssrc};

/// Sender and media source at the head of every feedback message (RFC 4585 §6.1), and the rest.
pub(super) fn parties(raw: Raw<'_>) -> Option<(Ssrc, Ssrc, &[u8])> {
    let (head, rest) = raw.body().split_at_checked(8)?;
    Some((Ssrc(word(head, 0)?), Ssrc(word(head, 4)?), rest))
}

/// Generic NACK.
#[derive(Clone, Copy, Debug)]
pub struct Nack<'a> {
    /// Who asks.
    pub sender: Ssrc,
    /// Whose packets are missing.
    pub media: Ssrc,
    entries: &'a [u8],
}

impl<'a> Nack<'a> {
    pub(super) fn read(raw: Raw<'a>) -> Option<Self> {
        let (sender, media, entries) = parties(raw)?;
        (entries.len() % 4 == 0).then_some(Self { sender, media, entries })
    }

    /// The missing sequence numbers as listed, at most 17 for each of at most 372 entries.
    pub fn seqs(&self) -> impl Iterator<Item = Seq> + use<'a> {
        self.entries.as_chunks::<4>().0.iter().flat_map(|e| {
            let first = Seq(u16::from_be_bytes([e[0], e[1]]));
            let mask = u32::from(u16::from_be_bytes([e[2], e[3]])) << 1 | 1;
            (0..17).filter(move |i| mask >> i & 1 == 1).map(move |i| first.add(i))
        })
    }
}

/// Picture loss indication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pli {
    /// Who asks.
    pub sender: Ssrc,
    /// Whose picture is lost.
    pub media: Ssrc,
}

impl Pli {
    pub(super) fn read(raw: Raw<'_>) -> Option<Self> {
        let (sender, media, _) = parties(raw)?;
        Some(Self { sender, media })
    }
}

/// Full intra request.
#[derive(Clone, Copy, Debug)]
pub struct Fir<'a> {
    /// Who asks.
    pub sender: Ssrc,
    entries: &'a [u8],
}

/// One source of a full intra request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirEntry {
    /// Who shall send a keyframe.
    pub media: Ssrc,
    /// Command number; a repeated one is the same request.
    pub seqnr: u8,
}

impl<'a> Fir<'a> {
    pub(super) fn read(raw: Raw<'a>) -> Option<Self> {
        let (sender, _, entries) = parties(raw)?;
        (entries.len() % 8 == 0).then_some(Self { sender, entries })
    }

    /// The sources asked.
    pub fn entries(&self) -> impl Iterator<Item = FirEntry> + use<'a> {
        self.entries.as_chunks::<8>().0.iter().map(|e| FirEntry {
            media: Ssrc(u32::from_be_bytes([e[0], e[1], e[2], e[3]])),
            seqnr: e[4],
        })
    }
}

/// Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb).
#[derive(Clone, Copy, Debug)]
pub struct Remb<'a> {
    /// Who estimates.
    pub sender: Ssrc,
    /// The estimate, bit/s; one that does not fit is `u64::MAX`.
    pub bitrate_bps: u64,
    sources: &'a [u8],
}

impl<'a> Remb<'a> {
    /// Whether this application layer feedback is a REMB at all.
    pub(super) fn is_one(raw: Raw<'_>) -> bool {
        raw.body().get(8..12) == Some(b"REMB")
    }

    pub(super) fn read(raw: Raw<'a>) -> Option<Self> {
        let (sender, _, rest) = parties(raw)?;
        let value = word(rest, 4)?;
        let (exponent, mantissa) = (value >> 18 & 0x3F, u64::from(value & 0x3_FFFF));
        let bitrate_bps =
            if mantissa.leading_zeros() >= exponent { mantissa << exponent } else { u64::MAX };
        let sources = rest.get(8..8 + 4 * (value >> 24) as usize)?;
        Some(Self { sender, bitrate_bps, sources })
    }

    /// The sources it is about.
    pub fn sources(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        self.sources.as_chunks::<4>().0.iter().map(|c| Ssrc(u32::from_be_bytes(*c)))
    }
}

/// Exponent and mantissa of a REMB bitrate: the mantissa has 18 bits and is rounded down.
pub(super) fn remb_bitrate(bitrate_bps: u64) -> u32 {
    let exponent = (64 - bitrate_bps.leading_zeros()).saturating_sub(18);
    exponent << 18 | (bitrate_bps >> exponent) as u32
}

/// Packs an ascending run of missing numbers into (first, bitmask) entries (RFC 4585 §6.2.1).
pub(super) fn nack_entries(seqs: impl Iterator<Item = Seq>, mut put: impl FnMut(u16, u16) -> bool) {
    let mut open: Option<(Seq, u16)> = None;
    for seq in seqs {
        if let Some((first, mask)) = &mut open {
            match seq.0.wrapping_sub(first.0) {
                0 => continue,
                ahead @ 1..=16 => {
                    *mask |= 1 << (ahead - 1);
                    continue;
                }
                _ if !put(first.0, *mask) => return,
                _ => {}
            }
        }
        open = Some((seq, 0));
    }
    if let Some((first, mask)) = open {
        put(first.0, mask);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitrates_keep_their_top_18_bits() {
        for bps in [0, 1, 64_000, 262_143, 262_144, 2_500_000, 10_000_000_000, u64::MAX] {
            let raw = remb_bitrate(bps);
            let back = u64::from(raw & 0x3_FFFF) << (raw >> 18);
            assert!(back <= bps && bps - back <= bps >> 17, "{bps} came back as {back}");
        }
    }

    #[test]
    fn runs_of_missing_numbers_share_an_entry() {
        let pack = |seqs: &[u16]| {
            let mut out = Vec::new();
            nack_entries(seqs.iter().copied().map(Seq), |a, b| {
                out.push((a, b));
                true
            });
            out
        };
        assert_eq!(pack(&[]), []);
        assert_eq!(pack(&[65_535, 0, 15]), [(65_535, 0b1000_0000_0000_0001)]);
        assert_eq!(pack(&[10, 26, 27]), [(10, 0x8000), (27, 0)]);
        assert_eq!(pack(&[5, 5, 6]), [(5, 1)]);
    }
}
