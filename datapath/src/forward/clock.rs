//! The wall clock of a source's sender, as its sender reports tell it: what viewers are told in
//! ours, so that what was captured together plays together, whichever server it went through
//! (plugin-streaming §6.2; RFC 3550 §7.1, a translator's sender reports).

use crate::peer::MAX_LAYERS;
use bifrons_core::rtcp::NtpTime;
use bifrons_core::rtp::Ssrc;

/// A change of the distance between the clocks by so much is believed at once, in 1/2^32 s.
const LEAP: i64 = (1 << 32) / 10;

/// One report.
#[derive(Clone, Copy, Debug)]
struct Point {
    ssrc: Ssrc,
    ntp: NtpTime,
    timestamp: u32,
}

/// See the module. 80 bytes a source; costs nothing for a packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct SenderClock {
    /// How far the sender's clock is ahead of ours, in 1/2^32 s; the time its reports travel left
    /// out as far as the quickest of them tells.
    ahead: Option<i64>,
    points: [Option<Point>; MAX_LAYERS],
}

impl SenderClock {
    /// A sender report of a substream, which came when our wall clock showed `ours`.
    pub fn report(
        &mut self,
        layer: usize,
        ssrc: Ssrc,
        (ntp, timestamp): (NtpTime, u32),
        ours: NtpTime,
    ) {
        let Some(point) = self.points.get_mut(layer).filter(|_| ntp.0 != 0) else { return };
        *point = Some(Point { ssrc, ntp, timestamp });
        let ahead = ntp.0.wrapping_sub(ours.0).cast_signed();
        let quicker = |have: i64| ahead > have || have.wrapping_sub(ahead) > LEAP;
        if self.ahead.is_none_or(quicker) {
            self.ahead = Some(ahead);
        }
    }

    /// Timestamps of a substream go on `ticks` later than its sender thinks.
    pub fn shift(&mut self, layer: usize, ticks: u32) {
        if let Some(Some(point)) = self.points.get_mut(layer) {
            point.timestamp = point.timestamp.wrapping_add(ticks);
        }
    }

    /// When our clock shows `ours`: what the sender's shows, how far that is ahead, and the
    /// timestamp of an SSRC at a clock of `hz`. `None` if it never reported.
    #[must_use]
    pub fn at(&self, ssrc: Ssrc, ours: NtpTime, hz: u32) -> Option<(NtpTime, i64, u32)> {
        let point = self.points.iter().flatten().find(|point| point.ssrc == ssrc)?;
        let ahead = self.ahead?;
        let theirs = NtpTime(ours.0.wrapping_add_signed(ahead));
        let since = i128::from(theirs.0.wrapping_sub(point.ntp.0).cast_signed());
        let ticks = ((since * i128::from(hz)) >> 32) as u32;
        Some((theirs, ahead, point.timestamp.wrapping_add(ticks)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ntp(ms: u64) -> NtpTime {
        NtpTime::from_unix_us(1_700_000_000_000_000 + ms * 1000)
    }

    #[test]
    fn a_report_tells_the_timestamp_of_any_moment() {
        let mut clock = SenderClock::default();
        assert!(clock.at(Ssrc(1), ntp(0), 90_000).is_none());
        // Its clock is 10 s ahead; the report took 40 ms, the next one 10 ms.
        clock.report(0, Ssrc(1), (ntp(10_000), 500), ntp(40));
        clock.report(1, Ssrc(2), (ntp(11_000), 7_000_000), ntp(1010));
        let (theirs, ahead, timestamp) = clock.at(Ssrc(1), ntp(2010), 90_000).expect("known");
        assert_eq!(theirs.to_unix_us() / 1000, ntp(12_000).to_unix_us() / 1000);
        assert_eq!(NtpTime(ntp(2010).0.wrapping_add_signed(ahead)), theirs);
        assert!(timestamp.abs_diff(500 + 180_000) <= 1, "{timestamp}");
        clock.shift(0, 90);
        let (_, _, shifted) = clock.at(Ssrc(1), ntp(2010), 90_000).expect("known");
        assert_eq!(shifted, timestamp + 90);
        assert!(clock.at(Ssrc(3), ntp(2010), 90_000).is_none());
    }

    #[test]
    fn a_clock_that_was_set_is_followed_and_none_that_is_zero() {
        let mut clock = SenderClock::default();
        clock.report(0, Ssrc(1), (NtpTime(0), 500), ntp(0));
        assert!(clock.at(Ssrc(1), ntp(0), 48_000).is_none());
        clock.report(0, Ssrc(1), (ntp(50_000), 500), ntp(0));
        clock.report(0, Ssrc(1), (ntp(1000), 48_500), ntp(1000));
        let (theirs, ahead, timestamp) = clock.at(Ssrc(1), ntp(1000), 48_000).expect("known");
        assert_eq!((theirs, ahead, timestamp), (ntp(1000), 0, 48_500));
    }
}
