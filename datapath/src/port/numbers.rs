//! Sequence numbers of an ingest whose rules put packets in or leave packets out: those behind
//! close up or make room, so that every sink on every shard sees one stream.
//!
//! One change is remembered: a late packet from before it gets the number it would have had, an
//! older one has none any more. 12 bytes; two comparisons a packet.

use bifrons_core::rtp::Seq;

/// Numbers behind the newest after which the last change is history.
const SETTLED: u16 = 1024;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    /// Added to numbers from `since` on.
    offset: u16,
    /// Added to those before.
    before: u16,
    since: Option<Seq>,
    /// The change before the last: what is older has no number.
    floor: Option<Seq>,
    newest: Option<Seq>,
}

impl Numbers {
    /// Whether a packet is ahead of all others; only there may something change.
    #[must_use]
    pub fn is_newest(&self, seq: Seq) -> bool {
        self.newest.is_none_or(|newest| seq.is_newer_than(newest))
    }

    /// The number of a packet; `None` if it has none any more.
    #[inline]
    pub fn number(&mut self, seq: Seq) -> Option<Seq> {
        if self.is_newest(seq) {
            self.newest = Some(seq);
            if self.since.is_some_and(|since| seq.distance(since) > SETTLED as i16) {
                (self.since, self.floor) = (None, None);
            }
        }
        let late = |of: Option<Seq>| of.is_some_and(|of| of.is_newer_than(seq));
        if !late(self.since) {
            return Some(seq.add(self.offset));
        }
        (!late(self.floor)).then(|| seq.add(self.before))
    }

    /// Makes room for `count` packets before this one, which is the newest; returns the number of
    /// the first of them.
    pub fn insert(&mut self, seq: Seq, count: u16) -> Seq {
        self.change(seq, self.offset.wrapping_add(count));
        seq.add(self.before)
    }

    /// Leaves out this packet, which is the newest.
    pub fn leave_out(&mut self, seq: Seq) {
        self.newest = Some(seq);
        self.change(seq.next(), self.offset.wrapping_sub(1));
    }

    fn change(&mut self, since: Seq, offset: u16) {
        self.floor = self.since;
        self.since = Some(since);
        self.before = std::mem::replace(&mut self.offset, offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_and_left_out_leaves_no_gap() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.number(Seq(65_534)), Some(Seq(65_534)));
        assert_eq!(numbers.insert(Seq(0), 1), Seq(0));
        assert_eq!(numbers.number(Seq(0)), Some(Seq(1)));
        assert_eq!(numbers.number(Seq(65_535)), Some(Seq(65_535)), "late, from before");
        numbers.leave_out(Seq(1));
        assert_eq!(numbers.number(Seq(2)), Some(Seq(2)));
        assert_eq!(numbers.number(Seq(0)), Some(Seq(1)));
        assert_eq!(numbers.number(Seq(65_533)), None, "two changes ago");
    }

    #[test]
    fn a_change_is_history_after_a_while() {
        let mut numbers = Numbers::default();
        numbers.number(Seq(9));
        numbers.insert(Seq(10), 3);
        for n in 10..=65_535u32 + 20_000 {
            let seq = Seq(n as u16);
            assert!(numbers.is_newest(seq));
            assert_eq!(numbers.number(seq), Some(seq.add(3)), "{n}");
        }
    }
}
