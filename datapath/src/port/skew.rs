//! A sender's clock against ours: estimated over windows, made up for in steps (plugin-streaming
//! §6.1).
//!
//! What a packet's arrival lags behind its timestamp is delay and drift. The least lag of
//! [`WINDOW_US`] is taken for free of queueing; the first window's is the measure for all later
//! ones. Past [`ACT_US`] the drift is taken away at once:
//!
//! ```text
//!            too slow (lag grows)                    too fast (lag shrinks)
//! audio      numbers and time jump on: a gap         one packet in five is left out, until done
//! video      time jumps on                           each frame comes up to half a step earlier
//! ```
//! Half a second between two windows is no clock's doing (a pause, a file's end): then the measure
//! is taken anew. State: 88 bytes; a division a packet.

use bifrons_core::rtp::Seq;

/// Over how long the least lag is sought.
const WINDOW_US: u64 = 10_000_000;
/// Drift that is acted on, in microseconds.
const ACT_US: i64 = 120_000;
/// Change of the lag from one window to the next that is no drift, in microseconds.
const LEAP_US: i64 = 500_000;
/// One audio packet of so many may be left out.
const SPARING: u8 = 5;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// It goes on.
    Keep,
    /// It is left out.
    Drop,
    /// It goes on, behind a gap of so many packets.
    Jump(u16),
}

/// One substream's clock.
#[derive(Clone, Copy, Debug)]
pub struct Skew {
    video: bool,
    hz: i64,
    began_us: Option<u64>,
    /// The highest timestamp, and the ticks from the first one to it.
    newest: u32,
    ticks: i64,
    last: Seq,
    /// Ticks of one audio packet; 0 = not known.
    step: i64,
    /// Ticks added to timestamps.
    added: i64,
    /// Ticks still to be taken away.
    owed: i64,
    kept: u8,
    window_us: u64,
    least_us: i64,
    former_us: i64,
    measure_us: Option<i64>,
}

impl Skew {
    /// For a clock of `hz`, of video or audio.
    #[must_use]
    pub fn new(hz: u32, video: bool) -> Self {
        Skew {
            video,
            hz: i64::from(hz.max(1)),
            began_us: None,
            newest: 0,
            ticks: 0,
            last: Seq(0),
            step: 0,
            added: 0,
            owed: 0,
            kept: 0,
            window_us: 0,
            least_us: i64::MAX,
            former_us: 0,
            measure_us: None,
        }
    }

    /// Ticks to add to the sender's timestamps now.
    #[must_use]
    pub const fn offset(&self) -> u32 {
        self.added as u32
    }

    /// Takes note of a packet, and says what becomes of it. `newest`: none came before it that was
    /// sent after it.
    pub fn packet(&mut self, seq: Seq, timestamp: u32, newest: bool, now_us: u64) -> Shift {
        let Some(began_us) = self.began_us else {
            (self.began_us, self.newest, self.last) = (Some(now_us), timestamp, seq);
            self.window_us = now_us + WINDOW_US;
            self.least_us = 0;
            return Shift::Keep;
        };
        let ahead = i64::from(timestamp.wrapping_sub(self.newest).cast_signed());
        let lag_us = now_us.wrapping_sub(began_us) as i64
            - (self.ticks + ahead + self.added) * 1_000_000 / self.hz;
        self.least_us = self.least_us.min(lag_us);
        let mut shift = Shift::Keep;
        if newest {
            if ahead > 0 && seq == self.last.next() {
                self.step = ahead;
            }
            self.last = seq;
            if self.owed > 0 {
                shift = self.take_away(ahead.max(0));
                // What was seen until all is paid off says nothing about the time after.
                self.least_us = i64::MAX;
                self.window_us = now_us + WINDOW_US;
            }
        }
        if ahead > 0 {
            self.ticks += ahead;
            self.newest = timestamp;
        }
        if newest && shift == Shift::Keep && now_us >= self.window_us {
            shift = self.close_window(now_us);
        }
        shift
    }

    /// Pays off some of what is owed, with a packet `ahead` ticks after the one before.
    fn take_away(&mut self, ahead: i64) -> Shift {
        if self.video {
            let ticks = self.owed.min(ahead / 2);
            self.owed -= ticks;
            self.added -= ticks;
            return Shift::Keep;
        }
        self.kept += 1;
        if self.kept < SPARING || self.step == 0 || ahead != self.step {
            return Shift::Keep;
        }
        self.kept = 0;
        self.owed -= self.step;
        self.added -= self.step;
        Shift::Drop
    }

    fn close_window(&mut self, now_us: u64) -> Shift {
        let least_us = std::mem::replace(&mut self.least_us, i64::MAX);
        let former_us = std::mem::replace(&mut self.former_us, least_us);
        self.window_us = now_us + WINDOW_US;
        let Some(measure_us) = self.measure_us else {
            self.measure_us = Some(least_us);
            return Shift::Keep;
        };
        if (least_us - former_us).abs() >= LEAP_US {
            self.measure_us = None;
            self.owed = 0;
            return Shift::Keep;
        }
        let drift_us = least_us - measure_us;
        if drift_us.abs() < ACT_US {
            return Shift::Keep;
        }
        let ticks = drift_us * self.hz / 1_000_000;
        // The next window starts from where this puts the lag.
        self.former_us = measure_us;
        if ticks < 0 {
            self.owed = -ticks;
            self.kept = 0;
            return Shift::Keep;
        }
        if self.video || self.step == 0 {
            self.added += ticks;
            return Shift::Keep;
        }
        let packets = ticks / self.step;
        self.added += packets * self.step;
        Shift::Jump(packets as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `seconds` of packets of `step` ticks by a clock that gains `ppm`, each as late as
    /// `jitter_us` says; returns the numbers and timestamps that go on, by our clock.
    fn run(
        skew: &mut Skew,
        (step, hz): (u32, u32),
        (ppm, seconds): (i64, u64),
        jitter_us: impl Fn(u64) -> u64,
    ) -> Vec<(u64, u16, u32)> {
        let every_us = u64::from(step) * 1_000_000 / u64::from(hz);
        let every_us = every_us as i64 * (1_000_000 - ppm) / 1_000_000;
        let mut out = Vec::new();
        let mut numbers = crate::port::Numbers::default();
        for n in 0..seconds * 1_000_000 / every_us as u64 {
            let (seq, ts) = (Seq(n as u16), (n as u32).wrapping_mul(step));
            let now_us = n * every_us as u64 + jitter_us(n);
            match skew.packet(seq, ts, true, now_us) {
                Shift::Drop => {
                    numbers.leave_out(seq);
                    continue;
                }
                Shift::Jump(count) => drop(numbers.insert(seq, count)),
                Shift::Keep => {}
            }
            let seq = numbers.number(seq).expect("in order");
            out.push((now_us, seq.0, ts.wrapping_add(skew.offset())));
        }
        out
    }

    fn lag_ms((now_us, _, ts): (u64, u16, u32), hz: i64) -> i64 {
        now_us as i64 / 1000 - i64::from(ts) * 1000 / hz
    }

    #[test]
    fn jitter_alone_changes_nothing() {
        let mut skew = Skew::new(48_000, false);
        let out = run(&mut skew, (960, 48_000), (0, 120), |n| n * 7919 % 90_000);
        assert_eq!(out.len(), 6000);
        assert!(
            out.iter()
                .enumerate()
                .all(|(n, (_, seq, ts))| *seq == n as u16 && *ts == n as u32 * 960)
        );
    }

    #[test]
    fn fast_audio_loses_packets_and_shows_no_gap() {
        let mut skew = Skew::new(48_000, false);
        let out = run(&mut skew, (960, 48_000), (1000, 400), |n| n * 7919 % 30_000);
        let sent = 400_000_000 / 19_980;
        assert!(out.len() < sent as usize - 10, "{} of {sent}", out.len());
        for pair in out.windows(2) {
            assert_eq!(pair[1].1, pair[0].1.wrapping_add(1));
            assert_eq!(pair[1].2, pair[0].2 + 960);
        }
        let worst = out.iter().map(|p| lag_ms(*p, 48_000)).min();
        assert!(worst > Some(-170), "{worst:?}: 400 ms without compensation");
    }

    #[test]
    fn slow_audio_gets_gaps_of_whole_packets() {
        let mut skew = Skew::new(48_000, false);
        let out = run(&mut skew, (960, 48_000), (-1000, 400), |n| n * 7919 % 30_000);
        let gaps: Vec<_> = out.windows(2).filter(|p| p[1].1 != p[0].1.wrapping_add(1)).collect();
        assert!((2..=4).contains(&gaps.len()), "{}", gaps.len());
        for pair in &gaps {
            let missing = u32::from(pair[1].1.wrapping_sub(pair[0].1));
            assert_eq!(pair[1].2 - pair[0].2, missing * 960);
            assert!((6..=9).contains(&missing), "{missing}");
        }
        let worst = out.iter().map(|p| lag_ms(*p, 48_000)).max();
        assert!(worst < Some(190), "{worst:?}: 400 ms without compensation");
    }

    #[test]
    fn video_gets_other_timestamps_and_keeps_its_packets() {
        for ppm in [1000, -1000] {
            let mut skew = Skew::new(90_000, true);
            let out = run(&mut skew, (3000, 90_000), (ppm, 400), |_| 0);
            for (n, pair) in out.windows(2).enumerate() {
                assert_eq!(pair[1].1, pair[0].1.wrapping_add(1));
                assert!(pair[1].2 > pair[0].2, "time goes on at {n}");
            }
            let worst = out.iter().map(|p| lag_ms(*p, 90_000).abs()).max();
            assert!(worst < Some(150), "{worst:?} at {ppm}");
        }
    }

    #[test]
    fn a_pause_of_the_sender_is_no_drift() {
        let mut skew = Skew::new(48_000, false);
        let pause = |n| if n > 1000 { 5_000_000 } else { 0 };
        let out = run(&mut skew, (960, 48_000), (0, 60), pause);
        assert_eq!(out.len(), 3000);
        assert!(out.iter().enumerate().all(|(n, (_, seq, _))| *seq == n as u16));
        assert_eq!(skew.offset(), 0);
    }
}
