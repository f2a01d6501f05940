//! Transport-wide feedback, read (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

use super::compound::{Raw, half};
use super::feedback::parties;
use crate::rtp::{Seq, Ssrc};

/// Most packet statuses of one message that are read: a run-length chunk costs a hostile sender
/// two bytes for 8191 statuses, so the count must be bounded by itself.
pub const MAX_STATUSES: usize = 8192;

/// Unit of an arrival delta, µs.
pub(super) const TICK_US: i64 = 250;
/// Unit of the reference time, ticks.
pub(super) const REFERENCE_TICKS: i64 = 256;

/// A packet's status, two bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Missing,
    SmallDelta,
    LargeDelta,
}

impl Status {
    fn from_bits(bits: u16) -> Option<Self> {
        match bits & 0b11 {
            0 => Some(Self::Missing),
            1 => Some(Self::SmallDelta),
            2 => Some(Self::LargeDelta),
            _ => None,
        }
    }

    pub(super) const fn bits(self) -> u16 {
        match self {
            Self::Missing => 0,
            Self::SmallDelta => 1,
            Self::LargeDelta => 2,
        }
    }
}

/// One transport-wide feedback message.
#[derive(Clone, Copy, Debug)]
pub struct TransportFeedback<'a> {
    /// Who reports.
    pub sender: Ssrc,
    /// One of the sources reported on.
    pub media: Ssrc,
    /// First transport-wide number reported on.
    pub base_seq: Seq,
    /// How many numbers are reported on, 1..=[`MAX_STATUSES`].
    pub status_count: u16,
    /// Reference time, signed 24 bits in units of 64 ms.
    pub reference_time: i32,
    /// Running number of the message, modulo 256.
    pub feedback_count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> TransportFeedback<'a> {
    pub(super) fn read(raw: Raw<'a>) -> Option<Self> {
        let (sender, media, rest) = parties(raw)?;
        let (head, rest) = rest.split_at_checked(8)?;
        let status_count = half(head, 2)?;
        if status_count == 0 || usize::from(status_count) > MAX_STATUSES {
            return None;
        }
        let (chunk_len, delta_len) = measure(rest, status_count)?;
        let (chunks, deltas) = rest.split_at_checked(chunk_len)?;
        let reference = i32::from_be_bytes([head[4], head[5], head[6], 0]) >> 8;
        Some(Self {
            sender,
            media,
            base_seq: Seq(half(head, 0)?),
            status_count,
            reference_time: reference,
            feedback_count: head[7],
            chunks,
            deltas: deltas.get(..delta_len)?,
        })
    }

    /// Every number reported on with its arrival in µs of the reporter's clock, or `None` if it
    /// did not arrive. The clock's zero is arbitrary and it wraps with the reference time.
    pub fn arrivals(&self) -> impl Iterator<Item = (Seq, Option<i64>)> + use<'a> {
        let mut deltas = self.deltas;
        let mut ticks = i64::from(self.reference_time) * REFERENCE_TICKS;
        let base = self.base_seq;
        statuses(self.chunks, self.status_count).zip(0u16..).map_while(move |(status, i)| {
            let delta = match status {
                Status::Missing => return Some((base.add(i), None)),
                Status::SmallDelta => {
                    let (&small, rest) = deltas.split_first()?;
                    deltas = rest;
                    i64::from(small)
                }
                Status::LargeDelta => {
                    let (&large, rest) = deltas.split_first_chunk::<2>()?;
                    deltas = rest;
                    i64::from(i16::from_be_bytes(large))
                }
            };
            ticks += delta;
            Some((base.add(i), Some(ticks * TICK_US)))
        })
    }
}

/// How many statuses a chunk covers.
const fn chunk_span(chunk: u16) -> u16 {
    match chunk >> 14 {
        0b00 | 0b01 => chunk & 0x1FFF,
        0b10 => 14,
        _ => 7,
    }
}

/// Status `i` of a chunk; `None` for the reserved symbol.
fn status_at(chunk: u16, i: u16) -> Option<Status> {
    match chunk >> 14 {
        0b00 | 0b01 => Status::from_bits(chunk >> 13),
        0b10 => Status::from_bits(chunk >> (13 - i) & 1),
        _ => Status::from_bits(chunk >> (12 - 2 * i)),
    }
}

/// The first `count` statuses of `chunks`.
fn statuses(chunks: &[u8], count: u16) -> impl Iterator<Item = Status> + '_ {
    chunks
        .as_chunks::<2>()
        .0
        .iter()
        .map(|c| u16::from_be_bytes(*c))
        .flat_map(|chunk| (0..chunk_span(chunk)).map_while(move |i| status_at(chunk, i)))
        .take(usize::from(count))
}

/// Lengths of the chunks and of the deltas of `count` statuses at the front of `bytes`; `None`
/// when they do not fit or a status is reserved.
fn measure(bytes: &[u8], count: u16) -> Option<(usize, usize)> {
    let (mut covered, mut chunk_len) = (0u16, 0);
    while covered < count {
        let span = chunk_span(half(bytes, chunk_len)?);
        if span == 0 {
            return None;
        }
        covered = covered.saturating_add(span);
        chunk_len += 2;
    }
    let (mut seen, mut delta_len) = (0, 0);
    for status in statuses(bytes.get(..chunk_len)?, count) {
        seen += 1;
        delta_len += match status {
            Status::Missing => 0,
            Status::SmallDelta => 1,
            Status::LargeDelta => 2,
        };
    }
    (seen == count && chunk_len + delta_len <= bytes.len()).then_some((chunk_len, delta_len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{Compound, Rtcp, RtcpError};

    fn message(count: u16, rest: &[u8]) -> Vec<u8> {
        let mut b = vec![0x8F, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0xFF, 0xFE];
        b.extend(count.to_be_bytes());
        b.extend([0xFF, 0xFF, 0xFF, 7]);
        b.extend(rest);
        b.resize(b.len().next_multiple_of(4), 0);
        b[3] = (b.len() / 4 - 1) as u8;
        b
    }

    fn arrivals(bytes: &[u8]) -> Vec<(u16, Option<i64>)> {
        let c = Compound::parse(bytes).unwrap();
        let Some(Rtcp::TransportFeedback(t)) = c.parts().next() else { panic!() };
        assert_eq!((t.sender, t.media, t.feedback_count), (Ssrc(1), Ssrc(2), 7));
        assert_eq!(t.reference_time, -1);
        t.arrivals().map(|(s, at)| (s.0, at)).collect()
    }

    #[test]
    fn all_three_chunk_kinds_are_read() {
        // Run of two small deltas, a two-bit vector (missing, large, 5 missing), one-bit vector.
        let chunks = [0x20, 0x02, 0b1100_1000, 0, 0b1010_0000, 0];
        let deltas = [4, 8, 0xFF, 0xFC, 1];
        let got = arrivals(&message(10, &[&chunks[..], &deltas[..]].concat()));
        let t = |ticks: i64| Some((ticks - 256) * 250);
        let want = [
            (65_534, t(4)),
            (65_535, t(12)),
            (0, None),
            (1, t(8)),
            (2, None),
            (3, None),
            (4, None),
            (5, None),
            (6, None),
            (7, t(9)),
        ];
        assert_eq!(got, want);
    }

    #[test]
    fn broken_and_oversized_messages_are_refused() {
        let refused = |count, rest: &[u8]| {
            let b = message(count, rest);
            assert_eq!(Compound::parse(&b).unwrap_err(), RtcpError::Malformed(205));
        };
        refused(0, &[0x20, 1, 1, 0]);
        refused(8193, &[0x1F, 0xFF, 0x1F, 0xFF]);
        refused(2, &[0x00, 0x00, 0, 0]);
        refused(3, &[0x20, 0x03, 1, 1]);
        refused(1, &[0x60, 0x01, 1, 1]);
        refused(3, &[0x20, 0x02]);
    }
}
