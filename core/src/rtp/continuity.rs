//! Sequence and timestamp continuity of one sink: whatever happens to its source, the receiver
//! sees one stream without gaps that it would take for loss.
//!
//! ```text
//! start ──first packet──► running ──switch_source──► switching ──packet──► running
//!                          │  ▲   ──pause──► paused ──packet──┘
//!                          └──┘ forward / skip
//! ```
//! State is 64 bytes; each call is a few adds. A late packet is mapped as its neighbours were, for
//! 127 sequence numbers back; an older one, or one from before the last switch or pause, has no
//! number of its own any more and is refused.

use super::Seq;

/// How far back a late packet is still mapped, sequence numbers.
const WINDOW: u16 = 128;
/// A step forward larger than this is taken for a restart of the source, not for loss (RFC 3550
/// §A.1, `MAX_DROPOUT`).
const MAX_STEP: i16 = 3000;

/// The first number on a leg is below 2^15: a receiver that misses the first packets of a stream
/// whose numbers are about to wrap guesses the roll-over counter wrong and opens nothing ever after
/// (RFC 3711 §3.3.1; senders begin in the lower half for the same reason).
const FIRST_SEQ: u16 = 0x7FFF;

/// What the next packet is to the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The first of all: numbers are taken over, the sequence number's top bit cleared.
    Start,
    /// The first of another source: numbers and time go on.
    Switched,
    /// The first of another layer of the same source, whose clock is known.
    Aligned,
    /// The first after a pause of the same source: numbers go on, time stays the source's.
    Resumed,
    /// One of a running stream.
    Running,
}

/// Rewrites the sequence numbers and timestamps of the packets forwarded to one sink.
#[derive(Clone, Copy, Debug)]
pub struct Continuity {
    next: Next,
    clock_rate: u32,
    /// Subtracted from incoming numbers at the newest end of the window.
    seq_offset: u16,
    ts_offset: u32,
    /// Newest incoming number, forwarded or skipped.
    newest: Seq,
    /// Bit `i` set: `newest - i` was skipped.
    skipped: u128,
    /// How many numbers from `newest` back may be mapped, 1..=128.
    reach: u16,
    last_seq: Seq,
    last_ts: u32,
    last_ts_at_us: u64,
    /// Where a restarted source would go on, if the packet before looked like a restart.
    restart_at: Option<Seq>,
}

impl Continuity {
    /// For a sink whose codec has `clock_rate` Hz. The first packet keeps its numbers.
    #[must_use]
    pub const fn new(clock_rate: u32) -> Self {
        Self {
            next: Next::Start,
            clock_rate,
            seq_offset: 0,
            ts_offset: 0,
            newest: Seq(0),
            skipped: 0,
            reach: WINDOW,
            last_seq: Seq(0),
            last_ts: 0,
            last_ts_at_us: 0,
            restart_at: None,
        }
    }

    /// As [`Self::new`], where the first packet's number follows `last`, as if `last` had been sent.
    #[must_use]
    pub const fn after(clock_rate: u32, last: u16) -> Self {
        Self { next: Next::Switched, last_seq: Seq(last), ..Self::new(clock_rate) }
    }

    /// The next packet comes from another source or layer: its number follows the last sent, its
    /// timestamp the last sent plus the wall time passed.
    pub fn switch_source(&mut self) {
        if self.next != Next::Start {
            self.next = Next::Switched;
        }
    }

    /// The next packet comes from another layer of the same source, whose timestamps are `ahead`
    /// ticks ahead of the former layer's: its number follows the last sent, its timestamp is that
    /// of the same instant. If that would go back, or is a second off the wall time passed, the
    /// clocks were not to be believed and it is as after [`Self::switch_source`].
    pub fn switch_layer(&mut self, ahead: u32) {
        match self.next {
            Next::Running | Next::Resumed => {
                self.next = Next::Aligned;
                self.ts_offset = self.ts_offset.wrapping_add(ahead);
            }
            Next::Start | Next::Switched | Next::Aligned => {}
        }
    }

    /// The sink is paused: when the same source goes on, its number follows the last sent and its
    /// timestamps are mapped as before, so that the receiver sees the time that passed.
    pub fn pause(&mut self) {
        if self.next == Next::Running {
            self.next = Next::Resumed;
        }
    }

    /// Replaces the clock rate, when the sink's codec changes.
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        self.clock_rate = clock_rate;
    }

    /// The last sequence number and the newest timestamp handed out, or `None` before the first packet.
    #[must_use]
    pub fn last(&self) -> Option<(Seq, u32)> {
        (self.next != Next::Start).then_some((self.last_seq, self.last_ts))
    }

    /// The timestamp that goes out for one of the source whose packets flow; `None` while none do.
    #[must_use]
    pub fn timestamp_of(&self, timestamp: u32) -> Option<u32> {
        let flows = matches!(self.next, Next::Running | Next::Resumed);
        flows.then(|| timestamp.wrapping_sub(self.ts_offset))
    }

    /// The numbers under which to forward the packet `seq`, `timestamp`, at wall or monotonic time
    /// `now_us`; `None` when it must not be forwarded (too late to have a number of its own, or
    /// already skipped).
    #[inline]
    pub fn forward(&mut self, seq: Seq, timestamp: u32, now_us: u64) -> Option<(Seq, u32)> {
        if self.next == Next::Running && seq == self.newest.next() {
            // What almost every packet is: the next one.
            self.restart_at = None;
            self.skipped <<= 1;
            self.reach = (self.reach + 1).min(WINDOW);
            self.newest = seq;
            let out = (seq.sub(self.seq_offset), timestamp.wrapping_sub(self.ts_offset));
            self.note(out, now_us);
            return Some(out);
        }
        self.forward_any(seq, timestamp, now_us)
    }

    /// As [`Self::forward`], whatever the packet is to those before.
    fn forward_any(&mut self, seq: Seq, timestamp: u32, now_us: u64) -> Option<(Seq, u32)> {
        if self.next != Next::Running {
            return Some(self.enter(seq, timestamp, now_us));
        }
        let step = seq.distance(self.newest);
        let back = step.unsigned_abs();
        if step > MAX_STEP || (step < 0 && back >= WINDOW) {
            return self.suspect_restart(seq, timestamp, now_us);
        }
        self.restart_at = None;
        if step > 0 {
            self.advance(seq, step.unsigned_abs());
            let out = (seq.sub(self.seq_offset), timestamp.wrapping_sub(self.ts_offset));
            self.note(out, now_us);
            return Some(out);
        }
        if back >= self.reach || self.skipped >> back & 1 == 1 {
            return None;
        }
        let later_skips = (self.skipped & ((1u128 << back) - 1)).count_ones() as u16;
        let offset = self.seq_offset.wrapping_sub(later_skips);
        let out = (seq.sub(offset), timestamp.wrapping_sub(self.ts_offset));
        // Late, yet the newest sent when everything after it was skipped.
        if out.0.is_newer_than(self.last_seq) {
            self.note(out, now_us);
        }
        Some(out)
    }

    /// The packet `seq` is deliberately not forwarded (a layer left out): later packets close the
    /// gap. A late one changes nothing, since its number was left open already.
    pub fn skip(&mut self, seq: Seq) {
        if self.next != Next::Running {
            return;
        }
        let step = seq.distance(self.newest);
        if step > 0 && step <= MAX_STEP {
            self.advance(seq, step.unsigned_abs());
            self.skipped |= 1;
            self.seq_offset = self.seq_offset.wrapping_add(1);
        }
    }

    /// Starts a mapping at this packet.
    fn enter(&mut self, seq: Seq, timestamp: u32, now_us: u64) -> (Seq, u32) {
        let out = match self.next {
            Next::Start => (Seq(seq.0 & FIRST_SEQ), timestamp),
            Next::Switched => (self.last_seq.next(), self.timestamp_after(now_us)),
            Next::Aligned => (self.last_seq.next(), self.aligned(timestamp, now_us)),
            Next::Resumed | Next::Running => {
                (self.last_seq.next(), timestamp.wrapping_sub(self.ts_offset))
            }
        };
        self.reach = if self.next == Next::Start { WINDOW } else { 1 };
        self.next = Next::Running;
        self.seq_offset = seq.0.wrapping_sub(out.0.0);
        self.ts_offset = timestamp.wrapping_sub(out.1);
        self.newest = seq;
        self.skipped = 0;
        self.restart_at = None;
        self.last_ts = out.1;
        self.last_ts_at_us = now_us;
        self.last_seq = out.0;
        out
    }

    /// The layer's own time, where it is plausible. The same picture in two layers must not become
    /// one: it is a tick later then.
    fn aligned(&self, timestamp: u32, now_us: u64) -> u32 {
        let own = timestamp.wrapping_sub(self.ts_offset);
        let guess = self.timestamp_after(now_us);
        let second = i64::from(self.clock_rate);
        if i64::from(own.wrapping_sub(guess).cast_signed()).abs() > second {
            return guess;
        }
        let goes_on = own.wrapping_sub(self.last_ts).cast_signed() > 0;
        if goes_on { own } else { self.last_ts.wrapping_add(1) }
    }

    /// The last timestamp plus the time since, at least one tick on so that a decoder sees a new
    /// frame.
    fn timestamp_after(&self, now_us: u64) -> u32 {
        let passed_us = u128::from(now_us.saturating_sub(self.last_ts_at_us));
        let ticks = passed_us * u128::from(self.clock_rate) / 1_000_000;
        self.last_ts.wrapping_add((ticks as u32).max(1))
    }

    fn advance(&mut self, seq: Seq, step: u16) {
        self.skipped = self.skipped.checked_shl(u32::from(step)).unwrap_or(0);
        self.reach = self.reach.saturating_add(step).min(WINDOW);
        self.newest = seq;
    }

    #[inline]
    fn note(&mut self, out: (Seq, u32), now_us: u64) {
        // Pictures sent out of order step back by a few frames, which is no reason to let a switch
        // step back too; a source that set its clock back for good is followed.
        let ahead = i64::from(out.1.wrapping_sub(self.last_ts).cast_signed());
        if ahead > 0 || ahead < -10 * i64::from(self.clock_rate) {
            self.last_ts = out.1;
            self.last_ts_at_us = now_us;
        }
        self.last_seq = out.0;
    }

    /// A jump is believed at the second packet in a row that continues it (RFC 3550 §A.1); until
    /// then the stray packet is refused.
    fn suspect_restart(&mut self, seq: Seq, ts: u32, now_us: u64) -> Option<(Seq, u32)> {
        if self.restart_at == Some(seq) {
            self.next = Next::Switched;
            return Some(self.enter(seq, ts, now_us));
        }
        self.restart_at = Some(seq.next());
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLOCK: u32 = 90_000;

    fn started() -> Continuity {
        let mut c = Continuity::new(CLOCK);
        assert_eq!(c.last(), None);
        assert_eq!(c.forward(Seq(100), 1000, 0), Some((Seq(100), 1000)));
        c
    }

    #[test]
    fn an_undisturbed_stream_is_taken_over_as_it_is() {
        let mut c = started();
        assert_eq!(c.forward(Seq(101), 4000, 33_000), Some((Seq(101), 4000)));
        assert_eq!(c.forward(Seq(104), 7000, 66_000), Some((Seq(104), 7000)));
        assert_eq!(c.forward(Seq(99), 500, 66_000), Some((Seq(99), 500)));
        assert_eq!(c.forward(Seq(103), 7000, 66_000), Some((Seq(103), 7000)));
    }

    #[test]
    fn a_new_source_goes_on_in_number_and_time() {
        let mut c = started();
        c.switch_source();
        assert_eq!(c.forward(Seq(9), 77, 100_000), Some((Seq(101), 1000 + 9000)));
        assert_eq!(c.forward(Seq(10), 77 + 3000, 133_000), Some((Seq(102), 13_000)));
        assert_eq!(c.forward(Seq(8), 77, 133_000), None, "its number belongs to the old source");
        assert_eq!(c.last(), Some((Seq(102), 13_000)));
    }

    #[test]
    fn time_moves_at_least_a_tick_on_a_switch() {
        let mut c = started();
        c.switch_source();
        assert_eq!(c.forward(Seq(9), 77, 0), Some((Seq(101), 1001)));
    }

    #[test]
    fn a_picture_sent_out_of_order_does_not_pull_a_switch_back() {
        let mut c = started();
        c.forward(Seq(101), 10_000, 100_000);
        assert_eq!(c.forward(Seq(102), 7000, 100_000), Some((Seq(102), 7000)));
        assert_eq!(c.last(), Some((Seq(102), 10_000)));
        c.switch_source();
        assert_eq!(c.forward(Seq(9), 77, 200_000), Some((Seq(103), 19_000)));
    }

    #[test]
    fn another_layer_goes_on_at_its_own_time() {
        let layer = |ticks| {
            let mut c = started();
            c.switch_layer(ticks);
            c
        };
        // 1500 of the former is 501_500 of the new one; it came late, after 100 ms.
        let mut c = layer(500_000);
        assert_eq!(c.forward(Seq(9), 501_500, 100_000), Some((Seq(101), 1500)));
        assert_eq!(c.forward(Seq(10), 504_500, 133_000), Some((Seq(102), 4500)));
        let mut same = layer(500_000);
        assert_eq!(same.forward(Seq(9), 501_000, 10), Some((Seq(101), 1001)), "the same picture");
        let mut off = layer(90);
        assert_eq!(off.forward(Seq(9), 501_500, 100_000), Some((Seq(101), 10_000)), "implausible");
    }

    #[test]
    fn a_pause_closes_the_numbers_and_leaves_the_time() {
        let mut c = started();
        c.pause();
        c.skip(Seq(101));
        assert_eq!(c.forward(Seq(500), 91_000, 1_000_000), Some((Seq(101), 91_000)));
        assert_eq!(c.forward(Seq(499), 91_000, 1_000_000), None);
        assert_eq!(c.forward(Seq(502), 94_000, 1_033_000), Some((Seq(103), 94_000)));
    }

    #[test]
    fn skipped_packets_leave_no_gap_and_late_ones_keep_their_number() {
        let mut c = started();
        c.skip(Seq(101));
        assert_eq!(c.forward(Seq(102), 2000, 1), Some((Seq(101), 2000)));
        c.skip(Seq(104));
        c.skip(Seq(105));
        assert_eq!(c.forward(Seq(106), 3000, 2), Some((Seq(103), 3000)));
        assert_eq!(c.forward(Seq(103), 2500, 2), Some((Seq(102), 2500)));
        assert_eq!(c.forward(Seq(104), 2500, 2), None, "skipped once, skipped for good");
        assert_eq!(c.forward(Seq(99), 2500, 2), Some((Seq(99), 2500)));
        c.skip(Seq(98));
        assert_eq!(c.forward(Seq(107), 3000, 3), Some((Seq(104), 3000)));
    }

    #[test]
    fn a_stray_packet_is_refused_and_a_restarted_source_is_followed() {
        let mut c = started();
        assert_eq!(c.forward(Seq(40_000), 5, 1000), None);
        assert_eq!(c.forward(Seq(101), 4000, 2000), Some((Seq(101), 4000)));
        assert_eq!(c.forward(Seq(20), 5, 1_000_000), Some((Seq(20), 5)), "late, still in reach");
        assert_eq!(c.forward(Seq(60_000), 5, 1_002_000), None);
        let restarted = c.forward(Seq(60_001), 5, 1_002_000);
        assert_eq!(restarted, Some((Seq(102), 4000 + 90_000)));
    }

    #[test]
    fn wraps_are_nothing_special() {
        let mut c = Continuity::new(CLOCK);
        c.forward(Seq(32_767), u32::MAX, 0);
        for n in (32_768..=65_535).step_by(2_000) {
            assert_eq!(c.forward(Seq(n), u32::MAX, 0), Some((Seq(n), u32::MAX)));
        }
        c.forward(Seq(65_535), u32::MAX, 0);
        assert_eq!(c.forward(Seq(0), 2999, 33), Some((Seq(0), 2999)));
        c.switch_source();
        assert_eq!(c.forward(Seq(65_535), 1, 33), Some((Seq(1), 3000)));
        assert_eq!(c.forward(Seq(0), 1, 33), Some((Seq(2), 3000)));
    }

    #[test]
    fn a_leg_does_not_begin_where_numbers_are_about_to_wrap() {
        let mut c = Continuity::new(CLOCK);
        assert_eq!(c.forward(Seq(65_535), 7, 0), Some((Seq(32_767), 7)));
        assert_eq!(c.forward(Seq(0), 7, 0), Some((Seq(32_768), 7)));
        assert_eq!(c.forward(Seq(65_534), 6, 0), Some((Seq(32_766), 6)), "late");
    }

    proptest! {
        /// Any mix of losses, skips, reordering, pauses and switches hands out each number once,
        /// and never a number that would be a gap of our own making.
        #[test]
        fn no_number_is_handed_out_twice(steps in proptest::collection::vec((0u8..12, 0u16..6), 1..400)) {
            let mut c = Continuity::new(CLOCK);
            let mut input = 65_000u16;
            let mut held: Option<u16> = None;
            let mut seen = std::collections::HashSet::new();
            let mut lost = 0u32;
            let mut entering = true;
            let mut now = 0;
            for (what, n) in steps {
                now += 1000;
                match what {
                    0 | 1 => {
                        // What was under way belongs to the time before.
                        held = None;
                        entering = true;
                        if what == 0 { c.switch_source() } else { c.pause() }
                    }
                    2 => { held = if entering { None } else { Some(input) };  input = input.wrapping_add(1); lost += 1; }
                    3 => { input = input.wrapping_add(n); lost += u32::from(n); }
                    4 | 5 => { c.skip(Seq(input)); input = input.wrapping_add(1); }
                    6 => if let Some((out, _)) =
                        held.take().and_then(|s| c.forward(Seq(s), 0, now))
                    {
                        prop_assert!(seen.insert(out.0), "{} twice", out.0);
                    },
                    _ => {
                        entering = false;
                        let (out, _) = c.forward(Seq(input), u32::from(input), now).unwrap();
                        prop_assert!(seen.insert(out.0), "{} twice", out.0);
                        input = input.wrapping_add(1);
                    }
                }
            }
            if let (Some((last, _)), true) = (c.last(), seen.contains(&65_000)) {
                let span = u32::from(last.0.wrapping_sub(65_000)) + 1;
                prop_assert!(span <= seen.len() as u32 + lost);
            }
        }
    }
}
