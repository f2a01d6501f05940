//! The numbers of an RTP header as types of their own: SSRC, payload type and the 16-bit sequence
//! number with its wrapping order, and the unwrapper that turns it into a 64-bit count.

use std::fmt;

/// Synchronization source (RFC 3550 §5.1), 32 bits, compared for equality only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Ssrc(pub u32);

impl fmt::Debug for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ssrc({:#010x})", self.0)
    }
}

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u32> for Ssrc {
    fn from(v: u32) -> Self {
        Self(v)
    }
}

/// Payload type (RFC 3550 §5.1), 0..=127; the marker bit is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PayloadType(u8);

impl PayloadType {
    /// The payload type `pt`, or `None` above 127.
    #[must_use]
    pub const fn new(pt: u8) -> Option<Self> {
        if pt < 128 { Some(Self(pt)) } else { None }
    }

    /// The low seven bits of `byte`, as they stand in the second octet of a header.
    #[must_use]
    pub const fn from_low_bits(byte: u8) -> Self {
        Self(byte & 0x7F)
    }

    /// The value, 0..=127.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// RTP sequence number: 16 bits that wrap. It has no total order, hence no `Ord`: ask
/// [`Seq::is_newer_than`] or [`Seq::distance`], which compare modulo 2^16 (RFC 1982).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Seq(pub u16);

impl Seq {
    /// The number `n` steps later.
    #[must_use]
    pub const fn add(self, n: u16) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// The number `n` steps earlier.
    #[must_use]
    pub const fn sub(self, n: u16) -> Self {
        Self(self.0.wrapping_sub(n))
    }

    /// The next number.
    #[must_use]
    pub const fn next(self) -> Self {
        self.add(1)
    }

    /// Signed steps from `earlier` to `self`, -32768..=32767.
    #[must_use]
    pub const fn distance(self, earlier: Self) -> i16 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    /// Whether `self` comes after `other`. Half the number space away counts as older.
    #[must_use]
    pub const fn is_newer_than(self, other: Self) -> bool {
        self.distance(other) > 0
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A sequence number with its wraps counted: `cycles << 16 | seq`. Never wraps in practice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ExtendedSeq(pub u64);

impl ExtendedSeq {
    /// The 16 bits on the wire.
    #[must_use]
    pub const fn seq(self) -> Seq {
        Seq(self.0 as u16)
    }

    /// How often the wire number wrapped.
    #[must_use]
    pub const fn cycles(self) -> u64 {
        self.0 >> 16
    }
}

impl From<u64> for ExtendedSeq {
    fn from(v: u64) -> Self {
        Self(v)
    }
}

/// Extends 16-bit sequence numbers of one stream to 64 bits, each taken as the one nearest to the
/// highest seen. Counting starts one cycle up, so that a packet from before the first one seen
/// still has a number.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeqUnwrapper {
    highest: Option<ExtendedSeq>,
}

impl SeqUnwrapper {
    /// An unwrapper that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { highest: None }
    }

    /// The highest number seen.
    #[must_use]
    pub const fn highest(&self) -> Option<ExtendedSeq> {
        self.highest
    }

    /// What `seq` means now, without taking it into account.
    #[inline]
    #[must_use]
    pub fn peek(&self, seq: Seq) -> ExtendedSeq {
        match self.highest {
            None => ExtendedSeq(0x1_0000 | u64::from(seq.0)),
            Some(high) => {
                let step = i64::from(seq.distance(high.seq()));
                ExtendedSeq(high.0.saturating_add_signed(step))
            }
        }
    }

    /// Extends `seq` and remembers it if it is the newest.
    #[inline]
    pub fn unwrap(&mut self, seq: Seq) -> ExtendedSeq {
        let ext = self.peek(seq);
        if self.highest.is_none_or(|high| ext > high) {
            self.highest = Some(ext);
        }
        ext
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_compare_across_the_wrap() {
        assert!(Seq(0).is_newer_than(Seq(65535)));
        assert!(!Seq(65535).is_newer_than(Seq(0)));
        assert_eq!(Seq(3).distance(Seq(65533)), 6);
        assert_eq!(Seq(65533).distance(Seq(3)), -6);
        assert_eq!(Seq(65535).next(), Seq(0));
        assert!(!Seq(0x8000).is_newer_than(Seq(0)));
        assert!(!Seq(0).is_newer_than(Seq(0x8000)));
    }

    #[test]
    fn unwrapper_follows_wraps_and_takes_late_packets_back() {
        let mut u = SeqUnwrapper::new();
        assert_eq!(u.unwrap(Seq(65534)).seq(), Seq(65534));
        let before = u.unwrap(Seq(65535));
        let after = u.unwrap(Seq(1));
        assert_eq!(after.0 - before.0, 2);
        assert_eq!(u.unwrap(Seq(0)).0, after.0 - 1);
        assert_eq!(u.highest(), Some(after));
        assert_eq!(after.cycles(), before.cycles() + 1);
    }

    #[test]
    fn a_packet_before_the_first_one_still_has_a_number() {
        let mut u = SeqUnwrapper::new();
        let first = u.unwrap(Seq(0));
        assert_eq!(u.unwrap(Seq(65535)).0 + 1, first.0);
    }

    #[test]
    fn payload_types_stop_at_127() {
        assert_eq!(PayloadType::new(127).map(PayloadType::get), Some(127));
        assert_eq!(PayloadType::new(128), None);
        assert_eq!(PayloadType::from_low_bits(0xE0).get(), 0x60);
    }
}
