//! A sink's history: which stored packet left under which sequence number, and what was stamped
//! on it at departure.
//!
//! The stamps are kept because one (key, SSRC, index) may be sealed once, or again byte for byte
//! (design §3): without RFC 4588 a retransmission must repeat header, extensions and payload
//! exactly, or be refused.
//!
//! One packet takes 64 bytes, a cache line of its own: hundreds of sinks write theirs in turn, so
//! each entry is far from the one written before it.

use crate::forward::SourceKey;
use bifrons_core::codec::Vp8Ids;
use bifrons_core::rtp::Seq;

/// One packet as it left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(align(64))]
pub struct Sent {
    /// The SRTP packet index (roll-over counter and sequence number) it was sealed under.
    pub index: u64,
    /// The source it came from.
    pub source: SourceKey,
    /// Its index in that source's ring.
    pub packet: u64,
    /// Its timestamp on the sink's leg.
    pub timestamp: u32,
    /// Its marker bit on the sink's leg.
    pub marker: bool,
    /// The VP8 picture numbers it left with, where they are not the sender's own.
    pub pictures: Option<Vp8Ids>,
    /// Its payload type on the sink's leg.
    pub pt: u8,
    /// The sink's negotiation it left under: after a renegotiation the same bytes cannot be made.
    pub epoch: u8,
    /// Bytes of padding it left with.
    pub padding: u8,
    /// What was stamped as abs-send-time (24 bit).
    pub abs_send_time: u32,
    /// What was stamped as transport-wide number.
    pub transport_seq: u16,
    /// The playout delay it left with, as min << 12 | max; `u32::MAX` = the sender's own.
    pub delay: u32,
    /// When it left, on the shard's clock.
    pub left_us: u64,
    /// How long after that it was last repeated, in microseconds.
    pub repeated_us: u32,
    /// The wait before it may be repeated again; doubles with each repeat (webrtc-behaviour §6).
    pub backoff_us: u32,
}

impl Sent {
    /// Its sequence number on the sink's leg.
    pub const fn seq(&self) -> Seq {
        Seq(self.index as u16)
    }
}

/// One with its place in a history: exactly a cache line.
const _: () = assert!(size_of::<Option<Sent>>() == 64);

/// First wait between two repeats of one packet.
const BACKOFF_FIRST_US: u32 = 40_000;
/// Longest such wait.
const BACKOFF_LAST_US: u32 = 1_000_000;

/// The last packets that left on one SSRC, found by sequence number.
#[derive(Debug, Default)]
pub struct History {
    sent: Box<[Option<Sent>]>,
}

impl History {
    /// Remembers `slots` packets, rounded up to a power of two.
    pub fn new(slots: usize) -> Self {
        History { sent: vec![None; slots.next_power_of_two()].into_boxed_slice() }
    }

    /// Whether it has room for anything.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Remembers a packet, in place of the one a whole history ago.
    #[inline]
    pub fn record(&mut self, sent: Sent) {
        let mask = self.sent.len().wrapping_sub(1);
        if let Some(slot) = self.sent.get_mut(usize::from(sent.seq().0) & mask) {
            *slot = Some(sent);
        }
    }

    /// The packet that left as `seq`, if it is still remembered.
    pub fn get(&self, seq: Seq) -> Option<&Sent> {
        let mask = self.sent.len().wrapping_sub(1);
        let sent = self.sent.get(usize::from(seq.0) & mask)?.as_ref();
        sent.filter(|sent| sent.seq() == seq)
    }

    /// Whether the packet that left as `seq` may be sent again at `now_us`: it is remembered, not
    /// older than `keep_us`, and not repeated within its backoff. Asking counts as a repeat.
    pub fn repeat(&mut self, seq: Seq, now_us: u64, keep_us: u64) -> bool {
        let mask = self.sent.len().wrapping_sub(1);
        let slot = self.sent.get_mut(usize::from(seq.0) & mask).and_then(Option::as_mut);
        let Some(sent) = slot.filter(|sent| sent.seq() == seq) else { return false };
        let since_us = now_us.saturating_sub(sent.left_us);
        if since_us > keep_us {
            return false;
        }
        let since_us = u32::try_from(since_us).unwrap_or(u32::MAX);
        if sent.backoff_us == 0 {
            sent.backoff_us = BACKOFF_FIRST_US;
        } else if since_us.saturating_sub(sent.repeated_us) < sent.backoff_us {
            return false;
        } else {
            sent.backoff_us = (sent.backoff_us * 2).min(BACKOFF_LAST_US);
        }
        sent.repeated_us = since_us;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(seq: u16, left_us: u64) -> Sent {
        Sent { index: u64::from(seq), left_us, ..Sent::default() }
    }

    #[test]
    fn a_repeat_waits_for_its_backoff() {
        let mut history = History::new(8);
        history.record(sent(9, 1_000));
        assert!(history.repeat(Seq(9), 11_000, 200_000));
        assert!(!history.repeat(Seq(9), 31_000, 200_000), "20 ms after the first");
        assert!(history.repeat(Seq(9), 71_000, 200_000), "60 ms after the first");
        assert!(!history.repeat(Seq(9), 121_000, 200_000), "the wait has doubled");
    }

    #[test]
    fn what_is_too_old_or_overwritten_is_not_repeated() {
        let mut history = History::new(8);
        history.record(sent(1, 0));
        assert!(!history.repeat(Seq(1), 3_000_000, 200_000));
        history.record(sent(2, 0));
        history.record(sent(10, 0));
        assert!(!history.repeat(Seq(2), 1_000, 200_000));
        assert!(history.repeat(Seq(10), 1_000, 200_000));
        assert!(!History::default().repeat(Seq(1), 0, 1));
    }
}
