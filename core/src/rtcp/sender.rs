//! Sending statistics of one m-line and what the peer reports about it (RFC 3550 §6.4).

use super::ntp::span_us;
use super::{NtpTime, ReportBlock, SenderInfo};

/// What was sent on one SSRC and how it arrived.
#[derive(Clone, Copy, Debug)]
pub struct SenderStats {
    clock_rate: u32,
    packets: u64,
    octets: u64,
    bytes: u64,
    last_timestamp: u32,
    last_sent_us: u64,
    nacked: u64,
    lost_by_remote: i32,
    fraction_lost: u8,
    remote_jitter: u32,
    rtt_us: Option<u64>,
}

impl SenderStats {
    /// Nothing sent yet with a clock of `clock_rate` Hz.
    #[must_use]
    pub const fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            packets: 0,
            octets: 0,
            bytes: 0,
            last_timestamp: 0,
            last_sent_us: 0,
            nacked: 0,
            lost_by_remote: 0,
            fraction_lost: 0,
            remote_jitter: 0,
            rtt_us: None,
        }
    }

    /// Corrects the clock rate once the codec is known.
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        self.clock_rate = clock_rate;
    }

    /// Counts a packet of `len` bytes of which `payload_len` are payload.
    pub fn sent(&mut self, timestamp: u32, payload_len: usize, len: usize, now_us: u64) {
        self.packets += 1;
        self.octets += payload_len as u64;
        self.bytes += len as u64;
        // The time of a frame is that of its first packet; the rest of it only trails.
        if timestamp != self.last_timestamp || self.packets == 1 {
            (self.last_timestamp, self.last_sent_us) = (timestamp, now_us);
        }
    }

    /// Counts packets the peer asked for again.
    pub fn nacked(&mut self, count: u64) {
        self.nacked += count;
    }

    /// The sender info of a report at `now_us`, which is `ntp` in wall time; `None` before the
    /// first packet. The RTP timestamp is extrapolated from the last packet.
    #[must_use]
    pub fn sender_info(&self, ntp: NtpTime, now_us: u64) -> Option<SenderInfo> {
        if self.packets == 0 {
            return None;
        }
        let passed_us = u128::from(now_us.saturating_sub(self.last_sent_us));
        let ticks = passed_us * u128::from(self.clock_rate) / 1_000_000;
        Some(SenderInfo {
            ntp,
            rtp_timestamp: self.last_timestamp.wrapping_add(ticks as u32),
            packets: self.packets as u32,
            octets: self.octets as u32,
        })
    }

    /// Takes in the peer's block about us, received at wall time `ntp`. Returns the round trip in
    /// µs if the block allows one: it names one of our reports, and does not answer before it.
    pub fn reported(&mut self, block: &ReportBlock, ntp: NtpTime) -> Option<u64> {
        self.lost_by_remote = block.lost;
        self.fraction_lost = block.fraction_lost;
        self.remote_jitter = block.jitter;
        if block.last_sr == 0 {
            return None;
        }
        let span = ntp.compact().wrapping_sub(block.last_sr).wrapping_sub(block.delay_since_sr);
        // Half of the span and more means negative: clocks of 1/65536 s may miss by one.
        if span >= 0x8000_0000 {
            return None;
        }
        self.rtt_us = Some(span_us(span));
        self.rtt_us
    }

    /// Packets sent.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes sent, headers included.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets the peer asked for again.
    #[must_use]
    pub const fn nacks(&self) -> u64 {
        self.nacked
    }

    /// Packets lost since the beginning, by the peer's last report.
    #[must_use]
    pub const fn lost_by_remote(&self) -> i32 {
        self.lost_by_remote
    }

    /// Share lost by the peer's last report, in 1/256.
    #[must_use]
    pub const fn fraction_lost(&self) -> u8 {
        self.fraction_lost
    }

    /// The peer's jitter in whole milliseconds.
    #[must_use]
    pub fn remote_jitter_ms(&self) -> u32 {
        self.remote_jitter.checked_div(self.clock_rate / 1000).unwrap_or(0)
    }

    /// The last round trip measured, µs.
    #[must_use]
    pub const fn rtt_us(&self) -> Option<u64> {
        self.rtt_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::Ssrc;

    #[test]
    fn timestamps_are_extrapolated_to_the_report() {
        let mut s = SenderStats::new(48_000);
        assert_eq!(s.sender_info(NtpTime(9), 0), None);
        s.sent(u32::MAX, 100, 112, 1_000_000);
        s.sent(u32::MAX, 50, 62, 1_100_000);
        let info = s.sender_info(NtpTime(9), 1_500_000).unwrap();
        let want = SenderInfo { ntp: NtpTime(9), rtp_timestamp: 23_999, packets: 2, octets: 150 };
        assert_eq!(info, want);
        assert_eq!(s.bytes(), 174);
    }

    #[test]
    fn round_trip_is_now_minus_report_minus_delay() {
        let mut s = SenderStats::new(90_000);
        let sent = NtpTime::from_unix_us(1_795_000_000_000_000);
        let back = NtpTime::from_unix_us(1_795_000_000_750_000);
        let block = ReportBlock {
            ssrc: Ssrc(1),
            lost: 7,
            fraction_lost: 3,
            jitter: 900,
            last_sr: sent.compact(),
            delay_since_sr: 0x8000,
            ..Default::default()
        };
        let rtt = s.reported(&block, back).unwrap();
        assert!((249_900..=250_100).contains(&rtt), "{rtt}");
        assert_eq!((s.lost_by_remote(), s.fraction_lost(), s.remote_jitter_ms()), (7, 3, 10));
        let early = NtpTime::from_unix_us(1_795_000_000_400_000);
        assert_eq!(s.reported(&block, early), None, "answered before it was asked");
        assert_eq!(s.reported(&ReportBlock { last_sr: 0, ..block }, back), None);
        assert_eq!(s.rtt_us(), Some(rtt));
    }
}
