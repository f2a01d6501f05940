//! One reference becomes one plain packet: header written, numbered and stamped where it will leave
//! from, payload left where it is stored as long as nothing in it changes.

use super::train::Train;
use crate::forward::{Onward, Sink, SourceKey, Sources};
use crate::retransmit::{Meta, Sent};
use crate::shard::Now;
use crate::tap::{Direction, Tap, TappedKind, Tapping};
use bifrons_core::codec::{Vp8Descriptor, Vp8Ids};
use bifrons_core::rtp::{
    self, Header, PayloadType, PlayoutDelay, Seq, Written, abs_send_time, rtx,
};

/// A packet ready to be sealed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain<'s> {
    /// Its index under the peer's key.
    pub(super) index: u64,
    /// The complete header at the front of the room.
    pub(super) header_len: usize,
    /// Bytes of text.
    pub(super) len: usize,
    /// Where they are; `None`: behind the header.
    pub(super) text: Option<&'s [u8]>,
}

/// What became of one reference.
pub(super) enum Outcome<'s> {
    /// A packet.
    Ready(Plain<'s>),
    /// It does not fit this train and begins the next.
    Next,
    /// Its number was sealed before, or cannot be any more (it came from before the leg's first).
    Refused,
    /// There is nothing to send any more.
    Nothing,
}

/// What the packets of one peer are made with: its own and its shard's state.
pub(super) struct Maker<'p, 's> {
    pub(super) sources: &'s Sources,
    pub(super) now: Now,
    /// Bytes that sealing adds.
    pub(super) overhead: usize,
    pub(super) transport_seq: &'p mut u16,
    /// A capture may look at what a peer is sent, while it is in clear.
    pub(super) tap: &'p mut Tap,
    pub(super) tapping: &'p mut Option<Tapping>,
}

impl<'s> Maker<'_, 's> {
    /// A packet that leaves for the first time.
    pub(super) fn first(
        &mut self,
        out: &mut [u8],
        train: &Train,
        sink: &mut Sink,
        (key, packet, onward): (SourceKey, u64, Onward),
        padding: usize,
    ) -> Outcome<'s> {
        let Some(source) = self.sources.get(key) else { return Outcome::Nothing };
        let Some((meta, bytes)) = source.ring().and_then(|ring| ring.get(packet)) else {
            sink.counts.shed += 1;
            return Outcome::Nothing;
        };
        let delay = sink.route.delay.or(source.policy.delay);
        let delay = delay.map(|delay| PlayoutDelay { min: delay.min, max: delay.max });
        let pt = sink.payload_type(meta);
        let Onward { seq, timestamp, marker, pictures } = onward;
        let identity = (sink.ssrc, pt, marker);
        let Some(written) = write_header(out, sink, meta, bytes, identity, delay) else {
            return Outcome::Nothing;
        };
        let payload = &bytes[meta.payload()];
        let body = Body { payload, pictures: meta.vp8.zip(pictures), padding };
        if !train.takes(written.len + body.len() + self.overhead) {
            return Outcome::Next;
        }
        let Some(index) = sink.unsealed_index(seq) else { return Outcome::Refused };
        let mut sent = Sent {
            seq,
            index,
            source: key.index,
            generation: key.generation,
            packet,
            timestamp,
            marker,
            pictures,
            pt,
            epoch: sink.epoch,
            padding: padding as u8,
            delay: delay.map_or(u32::MAX, |d| u32::from(d.min) << 12 | u32::from(d.max)),
            left_us: self.now.us,
            ..Sent::default()
        };
        place(out, seq, timestamp);
        self.stamp(out, &written, &mut sent);
        let Some(plain) = self.plain(&body, out, written.len, None, index) else {
            return Outcome::Nothing;
        };
        if sink.nack {
            sink.history_mut().record(sent);
        }
        self.count(sink, written.len, body.payload.len(), timestamp);
        Outcome::Ready(plain)
    }

    /// A packet that the peer asked for again.
    pub(super) fn again(
        &mut self,
        out: &mut [u8],
        train: &Train,
        sink: &mut Sink,
        mut sent: Sent,
    ) -> Outcome<'s> {
        let key = SourceKey { index: sent.source, generation: sent.generation };
        let packet = self.sources.get(key).and_then(|source| source.ring()?.get(sent.packet));
        let Some((meta, bytes)) = packet else {
            sink.counts.shed += 1;
            return Outcome::Nothing;
        };
        let delay = (sent.delay != u32::MAX).then_some(PlayoutDelay {
            min: (sent.delay >> 12) as u16,
            max: (sent.delay & 0xFFF) as u16,
        });
        let repair = sink.rtx_ssrc.zip(sink.rtx_payload_type(sent.pt));
        let padding = if repair.is_some() { 0 } else { usize::from(sent.padding) };
        let (payload, pictures) = (&bytes[meta.payload()], meta.vp8.zip(sent.pictures));
        let body = Body { payload, pictures, padding };
        let (ssrc, pt) = repair.unwrap_or((sink.ssrc, sent.pt));
        let identity = (ssrc, pt, sent.marker);
        let Some(written) = write_header(out, sink, meta, bytes, identity, delay) else {
            return Outcome::Nothing;
        };
        let wrapped = if repair.is_some() { rtx::OSN_LEN } else { 0 };
        if !train.takes(written.len + wrapped + body.len() + self.overhead) {
            return Outcome::Next;
        }
        let plain = if repair.is_some() {
            let (seq, index) = sink.next_rtx_seq();
            place(out, seq, sent.timestamp);
            let original = sent.seq;
            self.stamp(out, &written, &mut sent);
            self.plain(&body, out, written.len, Some(original), index)
        } else if sent.epoch == sink.epoch {
            // The same index again: the bytes have to be the same, stamps included.
            place(out, sent.seq, sent.timestamp);
            restamp(out, &written, &sent);
            self.plain(&body, out, written.len, None, sent.index)
        } else {
            None
        };
        let Some(plain) = plain else { return Outcome::Nothing };
        sink.counts.retransmissions += 1;
        self.count(sink, written.len, body.payload.len(), sent.timestamp);
        Outcome::Ready(plain)
    }

    /// The packet behind the header of `header_len` bytes; a repair names the one it repeats in
    /// front of its payload (RFC 4588 §4). A payload that changes or gets padding is copied, and so
    /// is one that a capture looks at.
    fn plain(
        &mut self,
        body: &Body<'s>,
        out: &mut [u8],
        header_len: usize,
        repeats: Option<Seq>,
        index: u64,
    ) -> Option<Plain<'s>> {
        let (payload, stored) = (body.payload, body.payload.len());
        let end = match (repeats, body.pictures, &self.tapping) {
            (None, None, None) if body.padding == 0 => {
                return Some(Plain { index, header_len, len: stored, text: Some(payload) });
            }
            (Some(original), _, _) => rtx::wrap(out, header_len, original, payload).ok()?,
            (None, _, _) => {
                let end = header_len + stored;
                out.get_mut(header_len..end)?.copy_from_slice(payload);
                end
            }
        };
        if let Some((descriptor, ids)) = body.pictures {
            descriptor.rewrite(out.get_mut(end - stored..end)?, ids);
        }
        let end = end + body.padding;
        if let Some((count, zeros)) = out.get_mut(end - body.padding..end)?.split_last_mut() {
            zeros.fill(0);
            *count = body.padding as u8;
            out[0] |= PADDED;
        }
        let clear = out.get(..end)?;
        self.tap.note(self.tapping, self.now, Direction::Out, TappedKind::Rtp, clear);
        Some(Plain { index, header_len, len: end - header_len, text: None })
    }

    /// Stamps departure time and transport-wide number, and remembers them.
    fn stamp(&mut self, out: &mut [u8], written: &Written, sent: &mut Sent) {
        let [a, b, c] = abs_send_time(self.now.us);
        sent.abs_send_time = u32::from_be_bytes([0, a, b, c]);
        if written.transport_seq.is_some() {
            *self.transport_seq = self.transport_seq.wrapping_add(1);
            sent.transport_seq = *self.transport_seq;
        }
        restamp(out, written, sent);
    }

    fn count(&self, sink: &mut Sink, header: usize, payload: usize, timestamp: u32) {
        sink.stats.sent(timestamp, payload, header + payload, self.now.us);
    }
}

/// The P bit of a header's first byte (RFC 3550 §5.1).
const PADDED: u8 = 0x20;

/// A payload on its way out: the stored bytes, the picture numbers they shall show, and how many
/// bytes of padding follow.
#[derive(Clone, Copy)]
struct Body<'s> {
    payload: &'s [u8],
    pictures: Option<(Vp8Descriptor, Vp8Ids)>,
    padding: usize,
}

impl Body<'_> {
    fn len(&self) -> usize {
        self.payload.len() + self.padding
    }
}

/// Writes the header with everything but sequence, timestamp and stamps.
fn write_header(
    out: &mut [u8],
    sink: &Sink,
    meta: &Meta,
    bytes: &[u8],
    (ssrc, pt, marker): (rtp::Ssrc, u8, bool),
    delay: Option<PlayoutDelay>,
) -> Option<Written> {
    let header = Header {
        padding: false,
        marker,
        payload_type: PayloadType::from_low_bits(pt),
        seq: Seq(0),
        timestamp: 0,
        ssrc,
    };
    match delay {
        None => sink.writer.write(out, &header, &meta.extensions, bytes).ok(),
        Some(delay) => {
            let mut values = meta.extensions;
            values.playout_delay = Some(delay);
            sink.writer.write(out, &header, &values, bytes).ok()
        }
    }
}

/// Puts sequence number and timestamp into a written header (RFC 3550 §5.1).
fn place(out: &mut [u8], seq: Seq, timestamp: u32) {
    out[2..4].copy_from_slice(&seq.0.to_be_bytes());
    out[4..8].copy_from_slice(&timestamp.to_be_bytes());
}

/// Writes remembered stamps.
fn restamp(out: &mut [u8], written: &Written, sent: &Sent) {
    if let Some(at) = written.abs_send_time.map(usize::from) {
        out[at..at + 3].copy_from_slice(&sent.abs_send_time.to_be_bytes()[1..]);
    }
    if let Some(at) = written.transport_seq.map(usize::from) {
        out[at..at + 2].copy_from_slice(&sent.transport_seq.to_be_bytes());
    }
}
