//! Transport-wide feedback, written: notes when numbered packets arrived and reports on them in
//! messages of at most 400 statuses (`webrtc-behaviour` §7.1).
//!
//! One recorder a PeerConnection, 2.1 KiB. Noting an arrival is a store and a bit; a message is
//! linear in its statuses. When [`ArrivalRecorder::is_full`] says so a message should go out at
//! once; beyond the window the oldest unreported numbers are given up and counted.

use super::transport::Status;
use super::{CompoundWriter, RtcpError, packet_type};
use crate::rtp::{Seq, Ssrc};

/// Most statuses of one message.
pub const MAX_REPORTED: usize = 400;
/// Unreported numbers the recorder holds.
const WINDOW: usize = 512;
/// A number this far behind is a sender that started over.
const RESTART: u16 = 2048;
/// Longest body: parties, head, two-bit chunks, two-byte deltas.
const MAX_BODY: usize = 16 + 2 * MAX_REPORTED.div_ceil(7) + 2 * MAX_REPORTED + 2;

/// Arrival times of transport-wide numbers not yet reported.
#[derive(Clone, Debug)]
pub struct ArrivalRecorder {
    /// First number not reported on; `None` until something arrived.
    base: Option<Seq>,
    /// Numbers from `base` up to the highest arrived.
    span: u16,
    received: [u64; WINDOW / 64],
    /// Arrival in units of 250 µs, by number modulo the window. 32 bits are exactly what a 24-bit
    /// reference time of 64 ms spans, so wrapping arithmetic is right.
    ticks: [u32; WINDOW],
    feedback_count: u8,
    given_up: u64,
    late: u64,
}

impl Default for ArrivalRecorder {
    fn default() -> Self {
        Self::new()
    }
}

impl ArrivalRecorder {
    /// A recorder that has seen nothing; its first message has number 0.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            base: None,
            span: 0,
            received: [0; WINDOW / 64],
            ticks: [0; WINDOW],
            feedback_count: 0,
            given_up: 0,
            late: 0,
        }
    }

    fn slot(seq: Seq) -> usize {
        usize::from(seq.0) % WINDOW
    }

    fn has(&self, seq: Seq) -> bool {
        let slot = Self::slot(seq);
        self.received[slot / 64] >> (slot % 64) & 1 == 1
    }

    fn mark(&mut self, seq: Seq, on: bool) {
        let slot = Self::slot(seq);
        let bit = 1 << (slot % 64);
        if on {
            self.received[slot / 64] |= bit;
        } else {
            self.received[slot / 64] &= !bit;
        }
    }

    /// Notes that number `seq` arrived at `now_us` of a monotonic clock. A repeated number keeps
    /// its first arrival; one already reported on is counted as late and not reported again.
    pub fn arrived(&mut self, seq: Seq, now_us: u64) {
        let mut base = *self.base.get_or_insert(seq);
        if base.is_newer_than(seq) {
            if base.0.wrapping_sub(seq.0) < RESTART {
                self.late += 1;
                return;
            }
            self.forget();
            base = seq;
            self.base = Some(base);
        }
        let ahead = usize::from(seq.0.wrapping_sub(base.0));
        if ahead >= WINDOW {
            self.give_up((ahead - WINDOW + 1) as u16);
        }
        let base = self.base.unwrap_or(seq);
        self.span = self.span.max(seq.0.wrapping_sub(base.0) + 1);
        if !self.has(seq) {
            self.mark(seq, true);
            self.ticks[Self::slot(seq)] = (now_us / 250) as u32;
        }
    }

    fn forget(&mut self) {
        self.received = [0; WINDOW / 64];
        self.span = 0;
    }

    /// Moves the base on by `n` numbers; what of them was received and not reported is counted.
    fn give_up(&mut self, n: u16) {
        let Some(base) = self.base else { return };
        for i in 0..n.min(self.span) {
            self.given_up += u64::from(self.has(base.add(i)));
            self.mark(base.add(i), false);
        }
        self.span = self.span.saturating_sub(n);
        self.base = Some(base.add(n));
    }

    /// Whether a whole message's worth is waiting.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.span as usize >= MAX_REPORTED
    }

    /// Whether anything is waiting.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.span == 0
    }

    /// Arrivals never reported because no message was written in time.
    #[must_use]
    pub const fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Arrivals after their number had been reported missing.
    #[must_use]
    pub const fn late(&self) -> u64 {
        self.late
    }

    /// Adds one message to `writer` and takes what it reports off the recorder. `false` when there
    /// is nothing to report; to be repeated until then.
    ///
    /// # Errors
    /// [`RtcpError::NoRoom`]; the recorder keeps everything then.
    pub fn write(
        &mut self,
        writer: &mut CompoundWriter<'_>,
        sender: Ssrc,
        media: Ssrc,
    ) -> Result<bool, RtcpError> {
        let Some(base) = self.base.filter(|_| self.span > 0) else { return Ok(false) };
        let mut message = Message::new();
        for i in 0..self.span.min(MAX_REPORTED as u16) {
            let seq = base.add(i);
            let ticks = self.has(seq).then(|| self.ticks[Self::slot(seq)]);
            if !message.push(ticks) {
                break;
            }
        }
        let mut body = [0; MAX_BODY];
        let len = message.compose(&mut body, sender, media, base, self.feedback_count);
        writer.raw(packet_type::RTPFB, 15, &body[..len])?;
        self.feedback_count = self.feedback_count.wrapping_add(1);
        let reported = message.count as u16;
        for i in 0..reported {
            self.mark(base.add(i), false);
        }
        self.span -= reported;
        self.base = Some(base.add(reported));
        Ok(true)
    }
}

/// Statuses and deltas of one message.
struct Message {
    statuses: [Status; MAX_REPORTED],
    count: usize,
    deltas: [u8; 2 * MAX_REPORTED],
    delta_len: usize,
    /// Reference time in 64 ms, from the first arrival.
    reference: Option<u32>,
    last_ticks: u32,
}

impl Message {
    const fn new() -> Self {
        Self {
            statuses: [Status::Missing; MAX_REPORTED],
            count: 0,
            deltas: [0; 2 * MAX_REPORTED],
            delta_len: 0,
            reference: None,
            last_ticks: 0,
        }
    }

    /// Adds the next number; `false` when its delta does not fit 16 bits, so that it must open the
    /// next message with a reference time of its own.
    fn push(&mut self, arrival: Option<u32>) -> bool {
        let Some(ticks) = arrival else {
            self.count += 1;
            return true;
        };
        if self.reference.is_none() {
            self.reference = Some(ticks >> 8);
            self.last_ticks = ticks & !0xFF;
        }
        let delta = ticks.wrapping_sub(self.last_ticks).cast_signed();
        let status = if let Ok(small) = u8::try_from(delta) {
            self.deltas[self.delta_len] = small;
            self.delta_len += 1;
            Status::SmallDelta
        } else if let Ok(large) = i16::try_from(delta) {
            self.deltas[self.delta_len..self.delta_len + 2].copy_from_slice(&large.to_be_bytes());
            self.delta_len += 2;
            Status::LargeDelta
        } else {
            return false;
        };
        self.statuses[self.count] = status;
        self.count += 1;
        self.last_ticks = ticks;
        true
    }

    /// Writes the body behind the RTCP header, filled up to a word; returns its length.
    fn compose(
        &self,
        out: &mut [u8; MAX_BODY],
        sender: Ssrc,
        media: Ssrc,
        base: Seq,
        feedback_count: u8,
    ) -> usize {
        out[..4].copy_from_slice(&sender.0.to_be_bytes());
        out[4..8].copy_from_slice(&media.0.to_be_bytes());
        out[8..10].copy_from_slice(&base.0.to_be_bytes());
        out[10..12].copy_from_slice(&(self.count as u16).to_be_bytes());
        // The field is signed; 23 bits keep it positive for every reader.
        let reference = self.reference.unwrap_or(0) & 0x7F_FFFF;
        out[12..16].copy_from_slice(&(reference << 8 | u32::from(feedback_count)).to_be_bytes());
        let mut at = 16;
        let mut rest = &self.statuses[..self.count];
        while !rest.is_empty() {
            let (chunk, covered) = next_chunk(rest);
            out[at..at + 2].copy_from_slice(&chunk.to_be_bytes());
            at += 2;
            rest = &rest[covered..];
        }
        out[at..at + self.delta_len].copy_from_slice(&self.deltas[..self.delta_len]);
        (at + self.delta_len).next_multiple_of(4)
    }
}

/// The chunk that covers most of the front of `statuses`, and how many it covers.
fn next_chunk(statuses: &[Status]) -> (u16, usize) {
    let Some(&first) = statuses.first() else { return (0, 0) };
    let run = statuses.iter().take_while(|&&s| s == first).count();
    let one_bit = statuses.iter().take(14).take_while(|&&s| s != Status::LargeDelta).count();
    let one_bit_fits = one_bit == statuses.len().min(14);
    let vector = if one_bit_fits { one_bit } else { statuses.len().min(7) };
    if run >= vector {
        return (first.bits() << 13 | run as u16, run);
    }
    let (head, top, step) = if one_bit_fits { (0x8000, 13, 1) } else { (0xC000, 12, 2) };
    let mut chunk = head;
    for (i, status) in statuses.iter().take(vector).enumerate() {
        chunk |= status.bits() << (top - step * i);
    }
    (chunk, vector)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{Compound, Rtcp};
    use proptest::prelude::*;

    /// Writes everything waiting, reads it back as (number, ticks).
    fn drain(r: &mut ArrivalRecorder) -> Vec<(u16, Option<i64>)> {
        let mut got = Vec::new();
        loop {
            let mut out = [0; 1400];
            let mut w = CompoundWriter::new(&mut out);
            if !r.write(&mut w, Ssrc(1), Ssrc(2)).unwrap() {
                return got;
            }
            let len = w.len();
            assert!(len <= 1200, "{len}");
            let c = Compound::parse(&out[..len]).unwrap();
            let Some(Rtcp::TransportFeedback(t)) = c.parts().next() else { panic!() };
            assert!(usize::from(t.status_count) <= MAX_REPORTED);
            got.extend(t.arrivals().map(|(s, at)| (s.0, at.map(|us| us / 250))));
        }
    }

    #[test]
    fn gaps_reordering_and_repeats_are_reported_once() {
        let mut r = ArrivalRecorder::new();
        for (seq, ms) in [(65_534, 64), (0, 66), (65_535, 67), (0, 90), (3, 200)] {
            r.arrived(Seq(seq), ms * 1000);
        }
        let want = [
            (65_534, Some(256)),
            (65_535, Some(268)),
            (0, Some(264)),
            (1, None),
            (2, None),
            (3, Some(800)),
        ];
        assert_eq!(drain(&mut r), want);
        assert!(r.is_empty());
        r.arrived(Seq(2), 201_000);
        assert_eq!((r.late(), drain(&mut r)), (1, vec![]));
        r.arrived(Seq(5), 210_000);
        assert_eq!(drain(&mut r), [(4, None), (5, Some(840))]);
    }

    #[test]
    fn a_long_silence_starts_a_message_of_its_own() {
        let mut r = ArrivalRecorder::new();
        r.arrived(Seq(1), 0);
        r.arrived(Seq(3), 60_000_000);
        let mut out = [0; 100];
        let mut w = CompoundWriter::new(&mut out);
        assert!(r.write(&mut w, Ssrc(1), Ssrc(2)).unwrap());
        assert!(!r.is_empty(), "the second arrival waits");
        assert_eq!(drain(&mut r), [(3, Some(240_000))]);
    }

    #[test]
    fn the_window_gives_up_its_oldest() {
        let mut r = ArrivalRecorder::new();
        for i in 0..600u16 {
            r.arrived(Seq(i), u64::from(i) * 1000);
        }
        assert!(r.is_full());
        assert_eq!(r.given_up(), 600 - WINDOW as u64);
        let got = drain(&mut r);
        assert_eq!((got.len(), got[0].0, got[511].0), (WINDOW, 88, 599));
        r.arrived(Seq(60_000), 0);
        assert_eq!(drain(&mut r).last().unwrap().0, 60_000, "a sender that started over");
    }

    #[test]
    fn a_message_that_does_not_fit_stays() {
        let mut r = ArrivalRecorder::new();
        r.arrived(Seq(1), 0);
        let mut out = [0; 20];
        let mut w = CompoundWriter::new(&mut out);
        assert_eq!(r.write(&mut w, Ssrc(1), Ssrc(2)), Err(RtcpError::NoRoom));
        assert_eq!(drain(&mut r).len(), 1);
    }

    proptest! {
        #[test]
        fn what_arrived_is_what_is_reported(
            start: u16,
            packets in proptest::collection::vec((any::<bool>(), 0u64..100_000), 1..500)
        ) {
            let mut r = ArrivalRecorder::new();
            let (mut now, mut want) = (0, Vec::new());
            for (i, (arrives, gap)) in packets.into_iter().enumerate() {
                now += gap;
                let seq = Seq(start).add(i as u16);
                if arrives {
                    r.arrived(seq, now);
                    want.push((seq.0, Some((now / 250) as i64)));
                } else if !want.is_empty() {
                    want.push((seq.0, None));
                }
            }
            while want.last().is_some_and(|w| w.1.is_none()) {
                want.pop();
            }
            prop_assert_eq!(drain(&mut r), want);
        }
    }
}
