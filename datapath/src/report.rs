//! What a peer and its shard report to each other, and when (webrtc-behaviour §6-§7).

use bifrons_core::media::RoundTrip;
use bifrons_core::rtcp::ArrivalRecorder;
use bifrons_core::rtp::Seq;

/// Period of sender and receiver reports, in microseconds.
pub const REPORT_US: u64 = 1_000_000;

/// Bytes of the last full second, from a counter of all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastSecond {
    before: u64,
    bytes: u64,
}

impl LastSecond {
    /// A second is over, and `total` bytes were counted so far. A counter that began anew counts
    /// from 0.
    pub fn roll(&mut self, total: u64) {
        self.bytes = total.checked_sub(self.before).unwrap_or(total);
        self.before = total;
    }

    /// The bytes.
    pub fn bytes(self) -> u64 {
        self.bytes
    }
}

/// Reporting state of one peer.
#[derive(Debug, Default)]
pub struct Reports {
    /// When the next compound of reports is due; `None` before the keys.
    pub due_us: Option<u64>,
    /// When transport-wide feedback is due; `None` while nothing arrived.
    pub feedback_due_us: Option<u64>,
    /// When missing packets may have to be asked for; `None` while nothing is missing.
    pub nack_due_us: Option<u64>,
    /// Round trip from the peer's receiver reports, in microseconds; 0 = unknown.
    pub rtt_us: u32,
    /// What that was calculated from.
    pub round_trip: Option<RoundTrip>,
    /// How long sent packets may be repeated, in microseconds.
    pub keep_us: u64,
    /// The peer's last bandwidth estimate, in bit/s.
    pub remb_bps: u64,
    arrivals: Option<Box<ArrivalRecorder>>,
}

impl Reports {
    /// Notes a packet with a transport-wide number, for the next feedback `period_us` on.
    pub fn arrived(&mut self, number: u16, now_us: u64, period_us: u64) {
        self.arrivals.get_or_insert_default().arrived(Seq(number), now_us);
        self.feedback_due_us.get_or_insert(now_us + period_us);
    }

    /// The recorder, once a numbered packet has come.
    pub fn arrivals_mut(&mut self) -> Option<&mut ArrivalRecorder> {
        self.arrivals.as_deref_mut()
    }

    /// The earliest thing to do.
    pub fn due(&self) -> Option<u64> {
        [self.due_us, self.feedback_due_us, self.nack_due_us].into_iter().flatten().min()
    }

    /// Takes a round trip: the time packets are kept follows it (webrtc-behaviour §6: RTT + 100 ms,
    /// at least the configured minimum, at most 1 s, smoothed 7/8).
    pub fn round_trip(&mut self, rtt_us: u32, least_us: u64) {
        self.rtt_us = rtt_us;
        let wanted = (u64::from(rtt_us) + 100_000).clamp(least_us.min(1_000_000), 1_000_000);
        self.keep_us = if self.keep_us == 0 { wanted } else { (self.keep_us * 7 + wanted) / 8 };
    }
}
