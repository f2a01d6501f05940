//! One reference becomes one plain packet: header written, numbered and stamped where it will leave
//! from, payload left where it is stored as long as nothing in it changes.

use super::train::Train;
use super::{Moment, PACKET_ROOM};
use crate::forward::{Onward, Sink, SourceKey};
use crate::retransmit::{Meta, Sent};
use crate::tap::{Direction, Tap, TappedKind, Tapping};
use bifrons_core::codec::{Vp8Descriptor, Vp8Ids};
use bifrons_core::rtp::{self, Header, PayloadType, PlayoutDelay, Seq, Written, rtx};

/// Where a packet is written; every header fits its front.
type Room = [u8; PACKET_ROOM];

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
    pub(super) moment: Moment<'s>,
    /// Bytes that sealing adds.
    pub(super) overhead: usize,
    pub(super) transport_seq: &'p mut u16,
    /// A capture may look at what a peer is sent, while it is in clear.
    pub(super) tap: &'p mut Tap,
    pub(super) tapping: &'p mut Option<Tapping>,
}

impl<'s> Maker<'_, 's> {
    /// A packet that leaves for the first time.
    #[inline]
    pub(super) fn first(
        &mut self,
        out: &mut Room,
        train: &Train,
        sink: &mut Sink,
        (key, packet, onward): (SourceKey, u64, Onward),
        padding: usize,
    ) -> Outcome<'s> {
        let Some(source) = self.moment.sources.get(key) else { return Outcome::Nothing };
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
        place(out, seq, timestamp);
        let stamps = self.stamp(out, &written);
        let Some(plain) = self.plain(&body, out, written.len, None, index) else {
            return Outcome::Nothing;
        };
        if sink.nack {
            let epoch = sink.epoch;
            sink.history_mut().record(Sent {
                index,
                source: key,
                packet,
                timestamp,
                marker,
                pictures,
                pt,
                epoch,
                padding: padding as u8,
                abs_send_time: stamps.abs_send_time,
                transport_seq: stamps.transport_seq,
                delay: delay.map_or(u32::MAX, |d| u32::from(d.min) << 12 | u32::from(d.max)),
                left_us: self.moment.now.us,
                repeated_us: 0,
                backoff_us: 0,
            });
        }
        self.count(sink, written.len, body.payload.len(), timestamp);
        Outcome::Ready(plain)
    }

    /// A packet that left as `seq` and that the peer asked for again.
    #[inline(never)]
    pub(super) fn again(
        &mut self,
        out: &mut Room,
        train: &Train,
        sink: &mut Sink,
        seq: Seq,
    ) -> Outcome<'s> {
        let sources = self.moment.sources;
        let found = sink.history.get(seq).copied().and_then(|sent| {
            Some((
                sent,
                sources.get(sent.source).and_then(|source| source.ring()?.get(sent.packet))?,
            ))
        });
        let Some((sent, (meta, bytes))) = found else {
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
            let (number, index) = sink.next_rtx_seq();
            place(out, number, sent.timestamp);
            self.stamp(out, &written);
            self.plain(&body, out, written.len, Some(seq), index)
        } else if sent.epoch == sink.epoch {
            // The same index again: the bytes have to be the same, stamps included.
            place(out, seq, sent.timestamp);
            let Sent { abs_send_time, transport_seq, .. } = sent;
            Stamps { abs_send_time, transport_seq }.put(out, &written);
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
    #[inline]
    fn plain(
        &mut self,
        body: &Body<'s>,
        out: &mut Room,
        header_len: usize,
        repeats: Option<Seq>,
        index: u64,
    ) -> Option<Plain<'s>> {
        let alike = body.pictures.is_none() && body.padding == 0 && repeats.is_none();
        if alike && self.tapping.is_none() {
            let payload = body.payload;
            return Some(Plain { index, header_len, len: payload.len(), text: Some(payload) });
        }
        self.copied(body, out, header_len, repeats, index)
    }

    /// As [`Maker::plain`], where the payload has to stand behind its header.
    #[inline(never)]
    fn copied(
        &mut self,
        body: &Body<'s>,
        out: &mut Room,
        header_len: usize,
        repeats: Option<Seq>,
        index: u64,
    ) -> Option<Plain<'s>> {
        let (payload, stored) = (body.payload, body.payload.len());
        let end = match repeats {
            Some(original) => rtx::wrap(out, header_len, original, payload).ok()?,
            None => {
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
        self.tap.note(self.tapping, self.moment.now, Direction::Out, TappedKind::Rtp, clear);
        Some(Plain { index, header_len, len: end - header_len, text: None })
    }

    /// Stamps departure time and transport-wide number.
    #[inline]
    fn stamp(&mut self, out: &mut Room, written: &Written) -> Stamps {
        let numbered = u16::from(written.transport_seq.is_some());
        *self.transport_seq = self.transport_seq.wrapping_add(numbered);
        let transport_seq = *self.transport_seq;
        let stamps = Stamps { abs_send_time: self.moment.abs_send_time, transport_seq };
        stamps.put(out, written);
        stamps
    }

    #[inline]
    fn count(&self, sink: &mut Sink, header: usize, payload: usize, timestamp: u32) {
        sink.stats.sent(timestamp, payload, header + payload, self.moment.now.us);
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
    #[inline]
    fn len(&self) -> usize {
        self.payload.len() + self.padding
    }
}

/// Writes the header with everything but sequence, timestamp and stamps.
#[inline(always)]
fn write_header(
    out: &mut Room,
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
#[inline]
fn place(out: &mut Room, seq: Seq, timestamp: u32) {
    out[2..4].copy_from_slice(&seq.0.to_be_bytes());
    out[4..8].copy_from_slice(&timestamp.to_be_bytes());
}

/// What is written into a header that is otherwise complete.
#[derive(Clone, Copy)]
struct Stamps {
    /// 24 bit.
    abs_send_time: u32,
    transport_seq: u16,
}

impl Stamps {
    #[inline]
    fn put(self, out: &mut Room, written: &Written) {
        if let Some(at) = written.abs_send_time.map(usize::from) {
            out[at..at + 3].copy_from_slice(&self.abs_send_time.to_be_bytes()[1..]);
        }
        if let Some(at) = written.transport_seq.map(usize::from) {
            out[at..at + 2].copy_from_slice(&self.transport_seq.to_be_bytes());
        }
    }
}
