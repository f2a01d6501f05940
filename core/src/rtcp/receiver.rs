//! Reception statistics of one source (RFC 3550 §6.4.1, appendix A.3 and A.8). 120 bytes; a
//! packet costs a few adds.

use super::ntp::compact_span;
use super::{NtpTime, ReportBlock};
use crate::rtp::{ExtendedSeq, Seq, SeqUnwrapper, Ssrc};

/// What was received of one source.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverStats {
    clock_rate: u32,
    seqs: SeqUnwrapper,
    first: Option<ExtendedSeq>,
    received: u64,
    retransmitted: u64,
    bytes: u64,
    expected_before: u64,
    received_before: u64,
    /// Jitter in 1/16 timestamp units, as in appendix A.8.
    jitter: u32,
    transit: Option<u32>,
    last_timestamp: u32,
    sender_report: Option<(u32, u64)>,
}

impl ReceiverStats {
    /// Nothing received yet of a source with a clock of `clock_rate` Hz.
    #[must_use]
    pub const fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            seqs: SeqUnwrapper::new(),
            first: None,
            received: 0,
            retransmitted: 0,
            bytes: 0,
            expected_before: 0,
            received_before: 0,
            jitter: 0,
            transit: None,
            last_timestamp: 0,
            sender_report: None,
        }
    }

    /// Corrects the clock rate once the codec is known; the jitter so far is forgotten.
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        if self.clock_rate != clock_rate {
            (self.clock_rate, self.jitter, self.transit) = (clock_rate, 0, None);
        }
    }

    /// Counts a packet of `len` bytes, header included, that arrived in its own time.
    pub fn received(&mut self, seq: Seq, timestamp: u32, len: usize, now_us: u64) {
        self.count(seq, len);
        let arrival = (u128::from(now_us) * u128::from(self.clock_rate) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        match self.transit {
            // Packets of one frame share a timestamp and say nothing about the network.
            Some(_) if timestamp == self.last_timestamp => return,
            Some(before) => {
                let d = transit.wrapping_sub(before).cast_signed().unsigned_abs();
                // A source that restarted its clock is no jitter.
                if d < self.clock_rate.saturating_mul(5) {
                    self.jitter = self.jitter + d - ((self.jitter + 8) >> 4);
                }
            }
            None => {}
        }
        self.transit = Some(transit);
        self.last_timestamp = timestamp;
    }

    /// Counts a packet that was restored from a retransmission: it fills its gap and says nothing
    /// about jitter.
    pub fn recovered(&mut self, seq: Seq, len: usize) {
        self.retransmitted += 1;
        self.count(seq, len);
    }

    fn count(&mut self, seq: Seq, len: usize) {
        let ext = self.seqs.unwrap(seq);
        let first = *self.first.get_or_insert(ext);
        self.first = Some(first.min(ext));
        self.received += 1;
        self.bytes += len as u64;
    }

    /// Notes a sender report of the source, for LSR and DLSR.
    pub fn sender_report(&mut self, ntp: NtpTime, now_us: u64) {
        self.sender_report = Some((ntp.compact(), now_us));
    }

    /// Packets received, recovered ones included.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.received
    }

    /// Of these, restored from retransmissions.
    #[must_use]
    pub const fn retransmitted(&self) -> u64 {
        self.retransmitted
    }

    /// Bytes received.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets that should have come: highest minus first number plus one.
    #[must_use]
    pub fn expected(&self) -> u64 {
        match (self.first, self.seqs.highest()) {
            (Some(first), Some(high)) => high.0 - first.0 + 1,
            _ => 0,
        }
    }

    /// Packets lost; negative when duplicates outnumber losses.
    #[must_use]
    pub fn lost(&self) -> i64 {
        self.expected().cast_signed() - self.received.cast_signed()
    }

    /// Jitter in whole milliseconds (`webrtc-behaviour` §7.2).
    #[must_use]
    pub fn jitter_ms(&self) -> u32 {
        (self.jitter >> 4).checked_div(self.clock_rate / 1000).unwrap_or(0)
    }

    /// Jitter in timestamp units.
    #[must_use]
    pub const fn jitter(&self) -> u32 {
        self.jitter >> 4
    }

    /// The block for the next report, or `None` when nothing was received yet. The fraction lost
    /// is of the time since this was last called.
    pub fn report_block(&mut self, ssrc: Ssrc, now_us: u64) -> Option<ReportBlock> {
        let high = self.seqs.highest()?;
        let expected = self.expected();
        let expected_now = expected.saturating_sub(self.expected_before);
        let lost_now = expected_now.saturating_sub(self.received - self.received_before);
        self.expected_before = expected;
        self.received_before = self.received;
        let fraction = (lost_now << 8).checked_div(expected_now).unwrap_or(0).min(255);
        let (last_sr, delay_since_sr) = match self.sender_report {
            Some((lsr, at_us)) => (lsr, compact_span(now_us.saturating_sub(at_us))),
            None => (0, 0),
        };
        Some(ReportBlock {
            ssrc,
            fraction_lost: fraction as u8,
            lost: i32::try_from(self.lost()).unwrap_or(i32::MAX),
            // The unwrapper starts one cycle up.
            highest_seq: high.0.wrapping_sub(0x1_0000) as u32,
            jitter: self.jitter(),
            last_sr,
            delay_since_sr,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_and_fraction_are_those_of_appendix_a_3() {
        let mut s = ReceiverStats::new(90_000);
        assert_eq!(s.report_block(Ssrc(1), 0), None);
        for seq in (65_530..=65_535).chain([0, 1, 4, 5]) {
            s.received(Seq(seq), 0, 100, 0);
        }
        let b = s.report_block(Ssrc(1), 0).unwrap();
        assert_eq!((b.ssrc, b.lost, b.highest_seq), (Ssrc(1), 2, 0x1_0005));
        assert_eq!(b.fraction_lost, (2 * 256 / 12) as u8);
        s.recovered(Seq(2), 90);
        s.received(Seq(6), 0, 100, 0);
        let b = s.report_block(Ssrc(1), 0).unwrap();
        assert_eq!((b.lost, b.fraction_lost), (1, 0));
        assert_eq!((s.packets(), s.retransmitted(), s.bytes()), (12, 1, 1190));
        assert_eq!((b.last_sr, b.delay_since_sr), (0, 0));
    }

    #[test]
    fn duplicates_make_the_loss_negative() {
        let mut s = ReceiverStats::new(48_000);
        for seq in [1, 1, 1, 2] {
            s.received(Seq(seq), 0, 1, 0);
        }
        let b = s.report_block(Ssrc(1), 0).unwrap();
        assert_eq!((b.lost, b.fraction_lost), (-2, 0));
    }

    #[test]
    fn jitter_converges_on_the_deviation() {
        let mut s = ReceiverStats::new(48_000);
        for i in 0..400u32 {
            // Every other packet is 10 ms late: each transit differs by 480 units.
            let late = u64::from(i % 2) * 10_000;
            s.received(Seq(i as u16), i * 960, 100, u64::from(i) * 20_000 + late);
        }
        assert!((470..=480).contains(&s.jitter()), "{}", s.jitter());
        assert_eq!(s.jitter_ms(), 9);
        s.received(Seq(400), 4_000_000_000, 100, 8_000_000);
        assert!((440..=480).contains(&s.jitter()), "a clock that jumps is no jitter");
        s.set_clock_rate(90_000);
        assert_eq!(s.jitter(), 0);
    }

    #[test]
    fn sender_reports_come_back_as_lsr_and_dlsr() {
        let mut s = ReceiverStats::new(48_000);
        s.received(Seq(1), 0, 1, 0);
        s.sender_report(NtpTime(0x1111_2222_3333_4444), 1_000_000);
        let b = s.report_block(Ssrc(1), 1_500_000).unwrap();
        assert_eq!((b.last_sr, b.delay_since_sr), (0x2222_3333, 0x8000));
    }
}
