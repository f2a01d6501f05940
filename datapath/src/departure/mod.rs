//! Departure: references become datagrams (design §3.6-3.7).
//!
//! What waits for a peer is a list of references to stored packets. When the turn ends they are
//! taken in order: header written, sequence and timestamp given, stamped, sealed straight from the
//! stored plaintext into the egress buffer. Packets of one size follow each other in one train,
//! which leaves as one `sendmsg`; a shorter packet ends its train.

use crate::engine::Engine;
use crate::forward::{Onward, Sink, SourceKey, Sources};
use crate::peer::{Keys, Path, Peer};
use crate::retransmit::{Meta, Sent};
use crate::shard::Now;
use crate::tap::{Direction, Tap, TappedKind, Tapping};
use bifrons_core::codec::{Vp8Descriptor, Vp8Ids};
use bifrons_core::media::Mindex;
use bifrons_core::rtp::{
    self, Header, PayloadType, PlayoutDelay, Seq, Written, abs_send_time, rtx,
};
use std::io;

/// Segments in one train: what a peer's receive path takes in one burst without harm.
const TRAIN_SEGMENTS: usize = 16;
/// Egress bytes asked for at a time: a train of the largest packets.
pub(crate) const TRAIN_BYTES: usize = TRAIN_SEGMENTS * PACKET_ROOM;
/// Egress bytes one packet may need: its header with every extension, payload and tag.
const PACKET_ROOM: usize = 2048;
/// The kernel's limit for the bytes of one train.
const TRAIN_LIMIT: usize = 65_000;

/// A packet that waits to leave.
#[derive(Clone, Copy, Debug)]
pub enum Departing {
    /// For the first time.
    First {
        /// On this line.
        mindex: Mindex,
        /// From this source.
        source: SourceKey,
        /// The packet's index in the source's ring.
        packet: u64,
        /// The numbers it leaves with.
        onward: Onward,
    },
    /// Again, because the peer asked.
    Again {
        /// On this line.
        mindex: Mindex,
        /// As it left before.
        sent: Sent,
    },
}

impl Departing {
    fn mindex(&self) -> Mindex {
        match *self {
            Departing::First { mindex, .. } | Departing::Again { mindex, .. } => mindex,
        }
    }
}

/// What a departure cost, for the shard's counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Departed {
    /// Packets that were sealed and handed to the engine.
    pub packets: u64,
    /// References that found nothing to send any more.
    pub shed: u64,
}

/// Sends everything that waits for the peer.
pub fn depart(
    peer: &mut Peer,
    sources: &Sources,
    now: Now,
    engine: &mut dyn Engine,
    tap: &mut Tap,
) -> io::Result<Departed> {
    let mut departed = Departed::default();
    let mut queue = std::mem::take(&mut peer.queue);
    if let (Some(path), Some(_)) = (peer.path, &peer.keys) {
        let Path::Udp { socket, remote } = path;
        let mut waiting = queue.as_slice();
        while !waiting.is_empty() {
            let room = engine.room(TRAIN_BYTES)?;
            let mut train = Train::default();
            let taken = fill(room, &mut train, peer, sources, now, waiting, &mut departed, tap);
            if train.len > 0 {
                engine.send(socket, remote, train.len, train.segment);
            }
            waiting = &waiting[taken..];
        }
    } else {
        departed.shed += queue.len() as u64;
    }
    queue.clear();
    peer.queue = queue;
    Ok(departed)
}

/// A run of equal-sized datagrams, the last of which may be shorter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Train {
    /// Bytes so far.
    pub(crate) len: usize,
    /// Bytes of each datagram but the last.
    pub(crate) segment: u16,
    /// Datagrams so far.
    pub(crate) segments: usize,
    closed: bool,
}

impl Train {
    pub(crate) fn takes(&self, size: usize) -> bool {
        self.segments == 0
            || (!self.closed
                && size <= usize::from(self.segment)
                && self.segments < TRAIN_SEGMENTS
                && self.len + size <= TRAIN_LIMIT)
    }

    pub(crate) fn add(&mut self, size: usize) {
        if self.segments == 0 {
            self.segment = size as u16;
        }
        self.closed = size < usize::from(self.segment);
        self.segments += 1;
        self.len += size;
    }
}

#[allow(clippy::too_many_arguments)] // the split borrows of one peer and its shard
/// Fills one train from the front of `waiting`; returns how many references it used up.
fn fill(
    room: &mut [u8],
    train: &mut Train,
    peer: &mut Peer,
    sources: &Sources,
    now: Now,
    waiting: &[Departing],
    departed: &mut Departed,
    tap: &mut Tap,
) -> usize {
    let Peer { keys, lines, transport_seq, tapping, .. } = peer;
    let mut onlooker = Onlooker { tap, tapping, now };
    let Some(keys) = keys.as_mut() else { return waiting.len() };
    for (used, departing) in waiting.iter().enumerate() {
        let sink = lines
            .iter_mut()
            .find(|line| line.mindex == departing.mindex())
            .and_then(|line| line.sink.as_mut());
        let Some(sink) = sink else {
            departed.shed += 1;
            continue;
        };
        let out = &mut room[train.len..];
        let result = match *departing {
            Departing::First { source, packet, onward, .. } => {
                let at = (source, packet, onward);
                first(out, train, sink, keys, transport_seq, sources, at, now, &mut onlooker)
            }
            Departing::Again { sent, .. } => {
                again(out, train, sink, keys, transport_seq, sources, sent, now, &mut onlooker)
            }
        };
        match result {
            Outcome::Sealed(size) => {
                train.add(size);
                departed.packets += 1;
            }
            Outcome::Next => return used,
            Outcome::Refused => {}
            Outcome::Nothing => departed.shed += 1,
        }
    }
    waiting.len()
}

/// What became of one reference.
enum Outcome {
    /// So many bytes were written.
    Sealed(usize),
    /// It does not fit this train and begins the next.
    Next,
    /// Its number was sealed before, or cannot be any more (it came from before the leg's first).
    Refused,
    /// There is nothing to send any more.
    Nothing,
}

#[allow(clippy::too_many_arguments)] // the split borrows of one peer and its shard
fn first(
    out: &mut [u8],
    train: &Train,
    sink: &mut Sink,
    keys: &mut Keys,
    transport_seq: &mut u16,
    sources: &Sources,
    (key, packet, onward): (SourceKey, u64, Onward),
    now: Now,
    onlooker: &mut Onlooker<'_>,
) -> Outcome {
    let Some(source) = sources.get(key) else { return Outcome::Nothing };
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
    let body = Body { payload: &bytes[meta.payload()], pictures: meta.vp8.zip(pictures) };
    let size = written.len + body.payload.len() + keys.rtp_overhead();
    if !train.takes(size) {
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
        delay: delay.map_or(u32::MAX, |d| u32::from(d.min) << 12 | u32::from(d.max)),
        left_us: now.us,
        ..Sent::default()
    };
    place(out, seq, timestamp);
    stamp(out, &written, transport_seq, now, &mut sent);
    let Some(size) = body.seal(keys, out, written.len, None, index, onlooker) else {
        return Outcome::Nothing;
    };
    if sink.nack {
        sink.history_mut().record(sent);
    }
    count(sink, written.len, body.payload.len(), timestamp, now);
    Outcome::Sealed(size)
}

#[allow(clippy::too_many_arguments)] // the split borrows of one peer and its shard
fn again(
    out: &mut [u8],
    train: &Train,
    sink: &mut Sink,
    keys: &mut Keys,
    transport_seq: &mut u16,
    sources: &Sources,
    mut sent: Sent,
    now: Now,
    onlooker: &mut Onlooker<'_>,
) -> Outcome {
    let key = SourceKey { index: sent.source, generation: sent.generation };
    let packet = sources.get(key).and_then(|source| source.ring()?.get(sent.packet));
    let Some((meta, bytes)) = packet else {
        sink.counts.shed += 1;
        return Outcome::Nothing;
    };
    let delay = (sent.delay != u32::MAX).then_some(PlayoutDelay {
        min: (sent.delay >> 12) as u16,
        max: (sent.delay & 0xFFF) as u16,
    });
    let body = Body { payload: &bytes[meta.payload()], pictures: meta.vp8.zip(sent.pictures) };
    let repair = sink.rtx_ssrc.zip(sink.rtx_payload_type(sent.pt));
    let (ssrc, pt) = repair.unwrap_or((sink.ssrc, sent.pt));
    let identity = (ssrc, pt, sent.marker);
    let Some(written) = write_header(out, sink, meta, bytes, identity, delay) else {
        return Outcome::Nothing;
    };
    let wrapped = if repair.is_some() { rtx::OSN_LEN } else { 0 };
    let size = written.len + wrapped + body.payload.len() + keys.rtp_overhead();
    if !train.takes(size) {
        return Outcome::Next;
    }
    let sealed = if repair.is_some() {
        let (seq, index) = sink.next_rtx_seq();
        place(out, seq, sent.timestamp);
        let original = sent.seq;
        stamp(out, &written, transport_seq, now, &mut sent);
        body.seal(keys, out, written.len, Some(original), index, onlooker)
    } else if sent.epoch == sink.epoch {
        // The same index again: the bytes have to be the same, stamps included.
        place(out, sent.seq, sent.timestamp);
        restamp(out, &written, &sent);
        body.seal(keys, out, written.len, None, sent.index, onlooker)
    } else {
        None
    };
    let Some(size) = sealed else { return Outcome::Nothing };
    sink.counts.retransmissions += 1;
    count(sink, written.len, body.payload.len(), sent.timestamp, now);
    Outcome::Sealed(size)
}

/// A capture that may look at what a peer is sent, while it is in clear.
struct Onlooker<'a> {
    tap: &'a mut Tap,
    tapping: &'a mut Option<Tapping>,
    now: Now,
}

impl Onlooker<'_> {
    #[inline]
    fn looks(&self) -> bool {
        self.tapping.is_some()
    }

    #[inline]
    fn see(&mut self, packet: &[u8]) {
        self.tap.note(self.tapping, self.now, Direction::Out, TappedKind::Rtp, packet);
    }
}

/// A payload on its way out: the stored bytes, and the picture numbers they shall show.
#[derive(Clone, Copy)]
struct Body<'a> {
    payload: &'a [u8],
    pictures: Option<(Vp8Descriptor, Vp8Ids)>,
}

impl Body<'_> {
    /// Seals it behind the header of `header` bytes; a repair names the packet it repeats in front
    /// (RFC 4588 §4).
    fn seal(
        &self,
        keys: &Keys,
        out: &mut [u8],
        header: usize,
        repeats: Option<Seq>,
        index: u64,
        onlooker: &mut Onlooker<'_>,
    ) -> Option<usize> {
        let len = match (repeats, self.pictures) {
            (None, None) if !onlooker.looks() => {
                return keys.seal_rtp(out, header, self.payload, index);
            }
            (Some(original), _) => rtx::wrap(out, header, original, self.payload).ok()?,
            (None, _) => {
                let len = header + self.payload.len();
                out.get_mut(header..len)?.copy_from_slice(self.payload);
                len
            }
        };
        if let Some((descriptor, ids)) = self.pictures {
            descriptor.rewrite(out.get_mut(len - self.payload.len()..len)?, ids);
        }
        onlooker.see(out.get(..len)?);
        keys.seal_rtp_in_place(out, header, len, index)
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

/// Stamps departure time and transport-wide number, and remembers them.
fn stamp(out: &mut [u8], written: &Written, transport_seq: &mut u16, now: Now, sent: &mut Sent) {
    let [a, b, c] = abs_send_time(now.us);
    sent.abs_send_time = u32::from_be_bytes([0, a, b, c]);
    if written.transport_seq.is_some() {
        *transport_seq = transport_seq.wrapping_add(1);
        sent.transport_seq = *transport_seq;
    }
    restamp(out, written, sent);
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

fn count(sink: &mut Sink, header: usize, payload: usize, timestamp: u32, now: Now) {
    sink.stats.sent(timestamp, payload, header + payload, now.us);
}
