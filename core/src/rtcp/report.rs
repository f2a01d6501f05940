//! Sender and receiver reports (RFC 3550 §6.4).

use super::NtpTime;
use super::compound::{Raw, word};
use crate::rtp::Ssrc;

/// Length of a report block, bytes.
pub(super) const BLOCK_LEN: usize = 24;

/// What a receiver says about one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The source reported on.
    pub ssrc: Ssrc,
    /// Share of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the beginning, 24 bits signed; duplicates can make it negative.
    pub lost: i32,
    /// Highest sequence number received, with 16 bits of cycles above.
    pub highest_seq: u32,
    /// Interarrival jitter, timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report, 0 if there was none.
    pub last_sr: u32,
    /// Time since that report, 1/65536 s.
    pub delay_since_sr: u32,
}

impl ReportBlock {
    /// Reads one block.
    #[must_use]
    pub fn from_bytes(b: &[u8; BLOCK_LEN]) -> Self {
        let at = |i: usize| word(b, i).unwrap_or_default();
        Self {
            ssrc: Ssrc(at(0)),
            fraction_lost: b[4],
            // The 24-bit sign is carried down by the arithmetic shift.
            lost: (at(4) << 8).cast_signed() >> 8,
            highest_seq: at(8),
            jitter: at(12),
            last_sr: at(16),
            delay_since_sr: at(20),
        }
    }

    /// Writes the block; a loss outside 24 bits is clamped (RFC 3550 §A.3).
    #[must_use]
    pub fn to_bytes(self) -> [u8; BLOCK_LEN] {
        let lost = self.lost.clamp(-0x80_0000, 0x7F_FFFF).cast_unsigned() & 0xFF_FFFF;
        let words = [
            self.ssrc.0,
            u32::from(self.fraction_lost) << 24 | lost,
            self.highest_seq,
            self.jitter,
            self.last_sr,
            self.delay_since_sr,
        ];
        let mut out = [0; BLOCK_LEN];
        for (slot, w) in out.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *slot = w.to_be_bytes();
        }
        out
    }
}

fn blocks(bytes: &[u8]) -> impl ExactSizeIterator<Item = ReportBlock> + '_ {
    bytes.as_chunks::<BLOCK_LEN>().0.iter().map(ReportBlock::from_bytes)
}

/// What a sender says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SenderInfo {
    /// Wall time of the report.
    pub ntp: NtpTime,
    /// The RTP timestamp of that moment.
    pub rtp_timestamp: u32,
    /// Packets sent, modulo 2^32.
    pub packets: u32,
    /// Payload bytes sent, modulo 2^32.
    pub octets: u32,
}

/// A sender report.
#[derive(Clone, Copy, Debug)]
pub struct SenderReport<'a> {
    /// Who sends it.
    pub sender: Ssrc,
    /// What it says about itself.
    pub info: SenderInfo,
    blocks: &'a [u8],
}

impl<'a> SenderReport<'a> {
    pub(super) fn read(raw: Raw<'a>) -> Option<Self> {
        let (head, rest) = raw.body().split_at_checked(24)?;
        let ntp = u64::from(word(head, 4)?) << 32 | u64::from(word(head, 8)?);
        Some(Self {
            sender: Ssrc(word(head, 0)?),
            info: SenderInfo {
                ntp: NtpTime(ntp),
                rtp_timestamp: word(head, 12)?,
                packets: word(head, 16)?,
                octets: word(head, 20)?,
            },
            blocks: rest.get(..BLOCK_LEN * usize::from(raw.count))?,
        })
    }

    /// Its report blocks, at most 31.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = ReportBlock> + 'a {
        blocks(self.blocks)
    }
}

/// A receiver report.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverReport<'a> {
    /// Who sends it.
    pub sender: Ssrc,
    blocks: &'a [u8],
}

impl<'a> ReceiverReport<'a> {
    pub(super) fn read(raw: Raw<'a>) -> Option<Self> {
        let (head, rest) = raw.body().split_at_checked(4)?;
        let blocks = rest.get(..BLOCK_LEN * usize::from(raw.count))?;
        Some(Self { sender: Ssrc(word(head, 0)?), blocks })
    }

    /// Its report blocks, at most 31.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = ReportBlock> + 'a {
        blocks(self.blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_keeps_its_sign_through_24_bits() {
        for lost in [0, 1, -1, 0x7F_FFFF, -0x80_0000, 12345, -12345] {
            let b = ReportBlock { lost, fraction_lost: 200, ..Default::default() };
            assert_eq!(ReportBlock::from_bytes(&b.to_bytes()), b);
        }
        let clamped = |lost| {
            ReportBlock::from_bytes(&ReportBlock { lost, ..Default::default() }.to_bytes()).lost
        };
        assert_eq!((clamped(i32::MAX), clamped(i32::MIN)), (0x7F_FFFF, -0x80_0000));
    }
}
