//! Which packets of a stream are missing and when to ask for them again (`webrtc-behaviour` §6):
//! 12 ms after the gap was noticed, once more 155 ms after it, then never again.
//!
//! One tracker a received layer, 1.5 KiB of fixed arrays over the last 160 sequence numbers.
//! Asking is driven by the next packet or by a timer, whichever comes first: with the timer a NACK
//! goes out 12 ms after the loss even in a stream of few packets.

use crate::rtp::Seq;

/// Sequence numbers looked back on; a larger jump starts over.
pub const NACK_WINDOW: u16 = 160;
/// From noticing a gap to the first NACK, µs.
pub const NACK_AFTER_US: u64 = 12_000;
/// From noticing a gap to the second and last NACK, µs.
pub const NACK_AGAIN_AFTER_US: u64 = 155_000;

/// What is known of a number in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It came, or was never expected, or is no longer wanted.
    Settled,
    /// Missing, not asked for yet.
    Noticed,
    /// Missing, asked for once.
    Asked,
    /// Missing, asked for twice; it may still come.
    GivenUp,
}

/// What a received packet was to the tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The newest so far.
    Newest,
    /// One that was missing.
    Recovered {
        /// It had been asked for.
        asked: bool,
    },
    /// Seen before, or of an age where that cannot be told.
    Old,
    /// So far from the others that tracking started over with it.
    Restarted,
}

/// Tracks missing sequence numbers of one stream.
#[derive(Clone, Debug)]
pub struct NackTracker {
    newest: Option<Seq>,
    states: [State; NACK_WINDOW as usize],
    noticed_at_us: [u64; NACK_WINDOW as usize],
    /// Slot of `newest` in the ring.
    newest_slot: u16,
    /// Not after the earliest deadline; `u64::MAX` when nothing waits.
    next_us: u64,
    restart_at: Option<Seq>,
    asked: u64,
    given_up: u64,
}

impl Default for NackTracker {
    fn default() -> Self {
        Self::new()
    }
}

impl NackTracker {
    /// A tracker that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            newest: None,
            states: [State::Settled; NACK_WINDOW as usize],
            noticed_at_us: [0; NACK_WINDOW as usize],
            newest_slot: 0,
            next_us: u64::MAX,
            restart_at: None,
            asked: 0,
            given_up: 0,
        }
    }

    /// NACK entries handed out so far.
    #[must_use]
    pub const fn asked(&self) -> u64 {
        self.asked
    }

    /// Packets asked for twice, or pushed out of the window, that have not come.
    #[must_use]
    pub const fn given_up(&self) -> u64 {
        self.given_up
    }

    /// When [`NackTracker::due`] may next have something, µs; `None` when nothing waits.
    #[must_use]
    pub const fn deadline_us(&self) -> Option<u64> {
        if self.next_us == u64::MAX { None } else { Some(self.next_us) }
    }

    /// Slot of the number `back` steps before the newest.
    fn slot(&self, back: u16) -> usize {
        usize::from((self.newest_slot + NACK_WINDOW - back % NACK_WINDOW) % NACK_WINDOW)
    }

    /// Notes that `seq` arrived at `now_us`, original or retransmitted.
    pub fn received(&mut self, seq: Seq, now_us: u64) -> Seen {
        let Some(newest) = self.newest else {
            self.newest = Some(seq);
            return Seen::Newest;
        };
        let step = seq.distance(newest);
        let size = step.unsigned_abs();
        if step > 0 && size <= NACK_WINDOW {
            self.restart_at = None;
            self.advance(seq, size, now_us);
            return Seen::Newest;
        }
        if step <= 0 && size < NACK_WINDOW {
            self.restart_at = None;
            let slot = self.slot(size);
            let was = std::mem::replace(&mut self.states[slot], State::Settled);
            return match was {
                State::Settled => Seen::Old,
                State::Noticed => Seen::Recovered { asked: false },
                State::Asked => Seen::Recovered { asked: true },
                State::GivenUp => {
                    self.given_up = self.given_up.saturating_sub(1);
                    Seen::Recovered { asked: true }
                }
            };
        }
        // A step back beyond the window is believed at its second packet in a row: one stray late
        // packet must not throw the tracking away.
        if step > 0 || self.restart_at == Some(seq) {
            let (asked, given_up) = (self.asked, self.given_up);
            *self = Self { newest: Some(seq), asked, given_up, ..Self::new() };
            return Seen::Restarted;
        }
        self.restart_at = Some(seq.next());
        Seen::Old
    }

    fn advance(&mut self, seq: Seq, steps: u16, now_us: u64) {
        for left in (0..steps).rev() {
            self.newest_slot = (self.newest_slot + 1) % NACK_WINDOW;
            let slot = usize::from(self.newest_slot);
            if matches!(self.states[slot], State::Noticed | State::Asked) {
                self.given_up += 1;
            }
            self.states[slot] = if left == 0 { State::Settled } else { State::Noticed };
            self.noticed_at_us[slot] = now_us;
        }
        if steps > 1 {
            self.next_us = self.next_us.min(now_us + NACK_AFTER_US);
        }
        self.newest = Some(seq);
    }

    /// A keyframe came with the newest packet: what is missing before it is no longer wanted.
    pub fn keyframe(&mut self) {
        self.states = [State::Settled; NACK_WINDOW as usize];
        self.next_us = u64::MAX;
    }

    /// The numbers to ask for at `now_us`, oldest first, written to the front of `out`; returns
    /// how many. Cheap when nothing is due. What does not fit `out` stays due.
    pub fn due(&mut self, now_us: u64, out: &mut [Seq; NACK_WINDOW as usize]) -> usize {
        let Some(newest) = self.newest.filter(|_| now_us >= self.next_us) else { return 0 };
        let (mut count, mut next_us) = (0, u64::MAX);
        for back in (1..NACK_WINDOW).rev() {
            let slot = self.slot(back);
            let (wait, after) = match self.states[slot] {
                State::Noticed => (NACK_AFTER_US, State::Asked),
                State::Asked => (NACK_AGAIN_AFTER_US, State::GivenUp),
                State::Settled | State::GivenUp => continue,
            };
            let noticed = self.noticed_at_us[slot];
            if now_us < noticed + wait {
                next_us = next_us.min(noticed + wait);
                continue;
            }
            out[count] = newest.sub(back);
            count += 1;
            self.states[slot] = after;
            if after == State::Asked {
                // A timer that slept too long still leaves the peer time to answer.
                next_us = next_us.min(self.second_at(slot, now_us));
            } else {
                self.given_up += 1;
            }
        }
        self.next_us = next_us;
        self.asked += count as u64;
        count
    }

    /// When the second NACK for `slot` is due, its first having gone out at `now_us`; both are
    /// never closer than they were meant to be.
    fn second_at(&mut self, slot: usize, now_us: u64) -> u64 {
        let earliest = now_us.saturating_sub(NACK_AFTER_US);
        // Late by more than the distance of both: count from now.
        if self.noticed_at_us[slot] + NACK_AGAIN_AFTER_US <= now_us {
            self.noticed_at_us[slot] = earliest;
        }
        self.noticed_at_us[slot] + NACK_AGAIN_AFTER_US
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(t: &mut NackTracker, now_ms: u64) -> Vec<u16> {
        let mut out = [Seq(0); NACK_WINDOW as usize];
        let n = t.due(now_ms * 1000, &mut out);
        out[..n].iter().map(|s| s.0).collect()
    }

    #[test]
    fn webrtc_25_missing_is_asked_after_12_ms_and_once_more_after_155_ms() {
        let mut t = NackTracker::new();
        t.received(Seq(65_534), 0);
        assert_eq!(t.deadline_us(), None);
        assert_eq!(t.received(Seq(1), 33_000), Seen::Newest);
        assert_eq!(t.deadline_us(), Some(45_000));
        assert!(due(&mut t, 44).is_empty());
        assert_eq!(due(&mut t, 45), [65_535, 0]);
        assert_eq!(t.deadline_us(), Some(188_000));
        assert!(due(&mut t, 100).is_empty());
        assert_eq!(t.received(Seq(0), 101_000), Seen::Recovered { asked: true });
        assert_eq!(due(&mut t, 188), [65_535]);
        assert_eq!((t.deadline_us(), t.asked(), t.given_up()), (None, 3, 1));
        assert!(due(&mut t, 9_000).is_empty());
        assert_eq!(t.received(Seq(65_535), 10_000_000), Seen::Recovered { asked: true });
        assert_eq!(t.received(Seq(65_535), 10_000_000), Seen::Old);
        assert_eq!(t.given_up(), 0);
    }

    #[test]
    fn reordered_packets_are_never_asked_for() {
        let mut t = NackTracker::new();
        t.received(Seq(10), 0);
        t.received(Seq(12), 1000);
        assert_eq!(t.received(Seq(11), 2000), Seen::Recovered { asked: false });
        assert_eq!(t.received(Seq(11), 2000), Seen::Old);
        assert!(due(&mut t, 500).is_empty());
        assert_eq!(t.deadline_us(), None);
    }

    #[test]
    fn a_keyframe_forgets_what_is_missing() {
        let mut t = NackTracker::new();
        t.received(Seq(10), 0);
        t.received(Seq(20), 0);
        t.keyframe();
        assert!(due(&mut t, 500).is_empty());
        assert_eq!(t.received(Seq(15), 1), Seen::Old);
    }

    #[test]
    fn jumps_beyond_the_window_start_over() {
        let mut t = NackTracker::new();
        t.received(Seq(10), 0);
        assert_eq!(t.received(Seq(10 + NACK_WINDOW), 0), Seen::Newest);
        assert_eq!(due(&mut t, 12).len(), usize::from(NACK_WINDOW) - 1);
        assert_eq!(t.received(Seq(5000), 0), Seen::Restarted);
        assert_eq!(t.deadline_us(), None);
        assert_eq!(t.received(Seq(4000), 0), Seen::Old, "one stray packet");
        assert_eq!(t.received(Seq(5001), 0), Seen::Newest);
        assert_eq!(t.received(Seq(100), 0), Seen::Old);
        assert_eq!(t.received(Seq(101), 0), Seen::Restarted);
    }

    #[test]
    fn a_late_timer_does_not_ask_twice_at_once() {
        let mut t = NackTracker::new();
        t.received(Seq(1), 0);
        t.received(Seq(3), 0);
        assert_eq!(due(&mut t, 1000), [2]);
        assert!(due(&mut t, 1001).is_empty());
        assert_eq!(t.deadline_us(), Some(1_143_000));
        assert_eq!(due(&mut t, 1143), [2]);
    }

    #[test]
    fn what_leaves_the_window_unrecovered_is_counted() {
        let mut t = NackTracker::new();
        t.received(Seq(0), 0);
        t.received(Seq(2), 0);
        for i in 3..400 {
            t.received(Seq(i), 0);
        }
        assert_eq!(t.given_up(), 1);
        assert!(due(&mut t, 500).is_empty());
    }
}
