//! Packet indexes: what the 16 bits on the wire mean, and which packets were seen before.

use super::SrtpError;
use crate::rtp::Seq;

/// Sequence numbers a replay window reaches back (`webrtc-behaviour` §2).
pub const REPLAY_WINDOW: u64 = 128;
/// Largest RTP index: rollover counter and sequence number, 48 bits (RFC 3711 §3.3.1).
pub const MAX_RTP_INDEX: u64 = (1 << 48) - 1;
/// Largest RTCP index, 31 bits (RFC 3711 §3.4).
pub const MAX_RTCP_INDEX: u32 = (1 << 31) - 1;

/// Replay list of one SSRC (RFC 3711 §3.3.2): the last 128 indexes. 32 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplayWindow {
    highest: u64,
    /// Bit `i`: `highest - i` was accepted. Zero means nothing was accepted yet.
    seen: u128,
}

impl ReplayWindow {
    /// A window that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { highest: 0, seen: 0 }
    }

    /// The highest index accepted.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        if self.seen == 0 { None } else { Some(self.highest) }
    }

    /// Whether a packet with `index` may still come. To be asked before the tag is checked.
    ///
    /// # Errors
    /// [`SrtpError::Replayed`] or [`SrtpError::TooOld`].
    pub fn check(&self, index: u64) -> Result<(), SrtpError> {
        if self.seen == 0 || index > self.highest {
            return Ok(());
        }
        let back = self.highest - index;
        if back >= REPLAY_WINDOW {
            Err(SrtpError::TooOld)
        } else if self.seen >> back & 1 == 1 {
            Err(SrtpError::Replayed)
        } else {
            Ok(())
        }
    }

    /// Notes `index` as seen if it is the one that follows the highest, as most are. Otherwise
    /// nothing changes and it is false.
    #[inline]
    pub fn accept_next(&mut self, index: u64) -> bool {
        let next = self.seen != 0 && index == self.highest + 1;
        if next {
            (self.highest, self.seen) = (index, self.seen << 1 | 1);
        }
        next
    }

    /// Notes `index` as seen. To be called only after the tag was found right, else a forger could
    /// move the window.
    pub fn accept(&mut self, index: u64) {
        if self.seen == 0 {
            (self.highest, self.seen) = (index, 1);
        } else if index > self.highest {
            let step = u32::try_from(index - self.highest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(step).unwrap_or(0) | 1;
            self.highest = index;
        } else {
            let back = u32::try_from(self.highest - index).unwrap_or(u32::MAX);
            self.seen |= 1u128.checked_shl(back).unwrap_or(0);
        }
    }
}

/// Receiving state of one RTP SSRC: rollover counter and replay list.
#[derive(Clone, Copy, Debug, Default)]
pub struct RtpIndex {
    window: ReplayWindow,
}

impl RtpIndex {
    /// The state of a stream of which nothing was received; its rollover counter is zero.
    #[must_use]
    pub const fn new() -> Self {
        Self { window: ReplayWindow::new() }
    }

    /// The highest index accepted.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        self.window.highest()
    }

    /// The index a packet with `seq` has (RFC 3711 §3.3.1 and appendix A).
    ///
    /// # Errors
    /// [`SrtpError::TooOld`] for one from before rollover counter zero,
    /// [`SrtpError::IndexExhausted`] past the last.
    pub fn estimate(&self, seq: Seq) -> Result<u64, SrtpError> {
        let seq = u64::from(seq.0);
        let Some(highest) = self.window.highest() else { return Ok(seq) };
        let (roc, last) = (highest >> 16, highest & 0xFFFF);
        let roc = if last < 0x8000 {
            if seq > last + 0x8000 { roc.checked_sub(1).ok_or(SrtpError::TooOld)? } else { roc }
        } else if last - 0x8000 > seq {
            roc + 1
        } else {
            roc
        };
        let index = roc << 16 | seq;
        if index > MAX_RTP_INDEX { Err(SrtpError::IndexExhausted) } else { Ok(index) }
    }

    /// As [`ReplayWindow::check`].
    ///
    /// # Errors
    /// [`SrtpError::Replayed`] or [`SrtpError::TooOld`].
    pub fn check(&self, index: u64) -> Result<(), SrtpError> {
        self.window.check(index)
    }

    /// As [`ReplayWindow::accept`].
    pub fn accept(&mut self, index: u64) {
        self.window.accept(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(highest: u64) -> RtpIndex {
        let mut i = RtpIndex::new();
        i.accept(highest);
        i
    }

    #[test]
    fn the_next_index_alone_takes_the_short_way() {
        let (mut short, mut long) = (ReplayWindow::new(), ReplayWindow::new());
        assert!(!short.accept_next(1), "nothing was seen yet");
        for index in [7, 8, 9, 300, 301] {
            let next = long.highest().is_some_and(|highest| index == highest + 1);
            assert_eq!(short.accept_next(index), next);
            if !next {
                short.accept(index);
            }
            long.accept(index);
            assert_eq!((short.highest, short.seen), (long.highest, long.seen));
        }
        assert!(!short.accept_next(301) && !short.accept_next(300));
    }

    #[test]
    fn rollover_is_guessed_as_in_appendix_a() {
        assert_eq!(RtpIndex::new().estimate(Seq(65_535)), Ok(65_535));
        assert_eq!(at(65_535).estimate(Seq(0)), Ok(65_536));
        assert_eq!(at(65_536).estimate(Seq(65_535)), Ok(65_535));
        assert_eq!(at(0x1_8000).estimate(Seq(0)), Ok(0x1_0000));
        assert_eq!(at(0x1_8001).estimate(Seq(0)), Ok(0x2_0000));
        assert_eq!(at(0x1_7FFF).estimate(Seq(0xFFFF)), Ok(0x1_FFFF));
        assert_eq!(at(0x1_7FFE).estimate(Seq(0xFFFF)), Ok(0x0_FFFF));
        assert_eq!(at(5).estimate(Seq(65_000)), Err(SrtpError::TooOld));
        assert_eq!(at(MAX_RTP_INDEX).estimate(Seq(0)), Err(SrtpError::IndexExhausted));
    }

    #[test]
    fn window_refuses_repeats_and_what_is_too_old() {
        let mut w = ReplayWindow::new();
        assert_eq!(w.highest(), None);
        assert_eq!(w.check(0), Ok(()));
        w.accept(0);
        assert_eq!(w.check(0), Err(SrtpError::Replayed));
        w.accept(200);
        assert_eq!(w.check(72), Err(SrtpError::TooOld));
        assert_eq!(w.check(73), Ok(()));
        w.accept(73);
        assert_eq!(w.check(73), Err(SrtpError::Replayed));
        w.accept(1 << 40);
        assert_eq!(w.check(200), Err(SrtpError::TooOld));
        assert_eq!(w.check((1 << 40) - 1), Ok(()));
    }

    proptest! {
        #[test]
        fn window_agrees_with_a_set(steps in proptest::collection::vec(-150i64..150, 1..300)) {
            let (mut w, mut seen) = (ReplayWindow::new(), std::collections::HashSet::new());
            let mut highest = 10_000u64;
            for step in steps {
                let index = highest.saturating_add_signed(step);
                let want = match w.highest() {
                    Some(h) if h >= index + REPLAY_WINDOW => Err(SrtpError::TooOld),
                    _ if seen.contains(&index) => Err(SrtpError::Replayed),
                    _ => Ok(()),
                };
                prop_assert_eq!(w.check(index), want);
                if want.is_ok() {
                    w.accept(index);
                    seen.insert(index);
                    highest = w.highest().unwrap();
                }
            }
        }

        #[test]
        fn any_index_within_half_a_cycle_is_recovered(
            highest in 0x8000u64..MAX_RTP_INDEX - 0x8000, step in -0x7FFFi64..0x7FFF
        ) {
            let index = highest.saturating_add_signed(step);
            prop_assert_eq!(at(highest).estimate(Seq(index as u16)), Ok(index));
        }
    }
}
