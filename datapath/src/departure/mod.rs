//! Departure: references become datagrams (design §3.6-3.7).
//!
//! What waits for a peer is a list of references to stored packets. Who may leave when the turn
//! ends the [`Gate`] says; they leave in chunks of up to [`TOGETHER`] peers: headers are written, numbered and stamped into the egress
//! buffer, then all packets of the chunk are sealed in one go, straight from the stored plain text,
//! then the trains are handed to the engine. Packets of one size follow each other in one train,
//! which leaves as one `sendmsg`; a shorter packet ends its train.
//!
//! Peers behind a relay come last, one by one, in memory of their own: the engine has no part in
//! what goes to the carrier.
//!
//! The lists of a chunk are kept from turn to turn; nothing is allocated once they have grown.

mod gate;
mod packet;
mod train;
mod waiting;

pub use gate::{BURST, DRAIN_US, GAP_US, Gate};
pub(crate) use train::Train;
pub use waiting::{QUEUE, Waiting};

use crate::carry::Outward;
use crate::engine::Engine;
use crate::forward::{Onward, SourceKey, Sources};
use crate::peer::{Path, Peer, PeerTable};
use crate::seal::{Job, Kernel, Run};
use crate::shard::Now;
use crate::tap::Tap;
use bifrons_core::media::Mindex;
use bifrons_core::rtp::{Seq, abs_send_time};
use packet::{Maker, Outcome};
use std::io;
use std::ops::Range;

/// Peers whose packets are sealed together at most.
pub const TOGETHER: usize = 16;
/// Egress bytes of one chunk: half of the engine's buffer, a quarter of a core's second cache.
const CHUNK_BYTES: usize = 128 << 10;
/// Egress bytes one packet may need: its header with every extension, payload and tag.
const PACKET_ROOM: usize = 2048;
/// Egress bytes of a train of the largest packets.
pub(crate) const TRAIN_BYTES: usize = train::SEGMENTS * PACKET_ROOM;
/// Where trains start: as the engine takes them.
const ALIGN: usize = 64;

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
        /// Bytes of its payload.
        len: u16,
        /// The numbers it leaves with.
        onward: Onward,
    },
    /// Again, because the peer asked.
    Again {
        /// On this line.
        mindex: Mindex,
        /// That left with this number before.
        seq: Seq,
    },
}

impl Departing {
    #[inline]
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

/// Whose packets leave, and how far that has come.
struct Queue<'a> {
    gate: &'a mut Gate,
    slots: &'a [u32],
    /// References of the first slot that were used up.
    taken: usize,
    /// Whether these are peers behind relays; of the others they are set aside.
    relayed: bool,
}

/// What a turn's packets are made from.
#[derive(Clone, Copy)]
pub struct Moment<'s> {
    /// The stored packets.
    pub sources: &'s Sources,
    /// The turn's time.
    pub now: Now,
    /// It as abs-send-time.
    abs_send_time: u32,
}

impl<'s> Moment<'s> {
    /// What there is `now`.
    #[must_use]
    pub fn new(sources: &'s Sources, now: Now) -> Self {
        let [a, b, c] = abs_send_time(now.us);
        Moment { sources, now, abs_send_time: u32::from_be_bytes([0, a, b, c]) }
    }
}

/// See the module.
pub struct Departure {
    kernel: Kernel,
    jobs: Vec<Job<'static>>,
    runs: Vec<Run<'static>>,
    shares: Vec<(u32, Range<usize>)>,
    trains: Vec<(Path, Train)>,
    /// Slots of peers behind relays.
    aside: Vec<u32>,
}

impl Departure {
    /// A departure that seals by `kernel`.
    pub fn new(kernel: Kernel) -> Self {
        let (jobs, runs, shares) = (Vec::new(), Vec::new(), Vec::new());
        Departure { kernel, jobs, runs, shares, trains: Vec::new(), aside: Vec::new() }
    }

    /// The kernel it seals by, which the keys of peers have to be made for.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Sends what waits for the peers that the gate lets go.
    ///
    /// # Errors
    /// Only those that make the engine useless.
    pub fn depart(
        &mut self,
        gate: &mut Gate,
        peers: &mut PeerTable,
        moment: Moment<'_>,
        engine: &mut dyn Engine,
        tap: &mut Tap,
        outward: &mut Outward,
    ) -> io::Result<Departed> {
        let mut departed = Departed::default();
        let slots = gate.take();
        let mut queue = Queue { gate, slots: &slots, taken: 0, relayed: false };
        while !queue.slots.is_empty() {
            let room = engine.room(CHUNK_BYTES)?;
            if self.make_chunk(room, &mut queue, peers, moment, tap, &mut departed) {
                for &(path, train) in &self.trains {
                    if let Path::Udp { socket, remote } = path {
                        engine.send(socket, remote, train.len, train.segment);
                    }
                }
            }
        }
        while let Some(slot) = self.aside.pop() {
            let queue = Queue { gate, slots: &[slot], taken: 0, relayed: true };
            self.depart_relayed(queue, peers, moment, tap, outward, &mut departed);
        }
        gate.give_back(slots);
        Ok(departed)
    }

    /// Sends everything that waits for a peer behind a relay. Trains are taken apart again: a relay
    /// takes datagrams.
    fn depart_relayed(
        &mut self,
        mut queue: Queue<'_>,
        peers: &mut PeerTable,
        moment: Moment<'_>,
        tap: &mut Tap,
        outward: &mut Outward,
        departed: &mut Departed,
    ) {
        let peer = queue.slots.first().and_then(|&slot| peers.at(slot));
        let Some(id) = peer.map(|peer| peer.id) else { return };
        let mut room = outward.take_room(CHUNK_BYTES);
        while !queue.slots.is_empty() {
            if !self.make_chunk(&mut room, &mut queue, peers, moment, tap, departed) {
                continue;
            }
            let mut at: usize = 0;
            for &(path, train) in &self.trains {
                at = at.next_multiple_of(ALIGN);
                let sealed = room.get(at..at + train.len).unwrap_or_default();
                at += train.len;
                let Path::Relay { remote } = path else { continue };
                for datagram in sealed.chunks(usize::from(train.segment).max(1)) {
                    outward.push(id, remote, datagram);
                }
            }
        }
        outward.return_room(room);
    }

    /// Writes and seals what fits into `room`, from the front of the queue. False if nothing of it
    /// may leave.
    fn make_chunk(
        &mut self,
        room: &mut [u8],
        queue: &mut Queue<'_>,
        peers: &mut PeerTable,
        moment: Moment<'_>,
        tap: &mut Tap,
        departed: &mut Departed,
    ) -> bool {
        self.shares.clear();
        self.trains.clear();
        let jobs = emptied(std::mem::take(&mut self.jobs));
        let (shares, trains, aside) = (&mut self.shares, &mut self.trains, &mut self.aside);
        let mut chunk = Chunk { room, used: 0, jobs, shares, trains, aside, shed: 0 };
        chunk.fill(queue, peers, moment, tap);
        departed.shed += chunk.shed;
        let (room, jobs) = (chunk.room, chunk.jobs);
        let sealed = self.seal(room, &jobs, peers);
        let counted = if sealed { &mut departed.packets } else { &mut departed.shed };
        *counted += jobs.len() as u64;
        self.jobs = emptied(jobs);
        sealed
    }

    /// Seals a chunk. False if that failed, which it never should: then nothing of it may leave.
    fn seal(&mut self, room: &mut [u8], jobs: &[Job<'_>], peers: &PeerTable) -> bool {
        let mut runs = emptied(std::mem::take(&mut self.runs));
        for (slot, jobs) in &self.shares {
            if let Some(keys) = peers.at(*slot).and_then(|peer| peer.keys.as_ref()) {
                runs.push(Run { key: keys.sender(), jobs: jobs.clone() });
            }
        }
        let all = runs.len() == self.shares.len();
        let sealed = all && self.kernel.seal(room, jobs, &runs).is_ok();
        debug_assert!(sealed, "what was written fits");
        self.runs = emptied(runs);
        sealed
    }
}

/// How much padding a packet of `len` bytes gets, by the `rest` of the video: the first of a train
/// looks how long the packets are that may join it, the others are made as long as that. A packet
/// with nothing behind it in its train stays as it is.
#[inline]
fn level(train: &mut Train, mindex: Mindex, len: u16, rest: &[Departing]) -> usize {
    let len = usize::from(len);
    let follower = |next: &Departing| match *next {
        Departing::First { mindex: other, len, .. } if other == mindex => Some(usize::from(len)),
        _ => None,
    };
    let Some(next) = rest.first().and_then(follower) else { return 0 };
    if train.segments == 0 {
        train.level = len;
        for other in rest.iter().map_while(follower).take(train::SEGMENTS - 1) {
            let (low, high) = (train.level.min(other), train.level.max(other));
            if high > len + train::PADDING || high > low + train::PADDING {
                break;
            }
            train.level = high;
        }
    }
    match train.level.checked_sub(len) {
        Some(padding @ 1..=train::PADDING) if next <= train.level => padding,
        _ => 0,
    }
}

/// A list without its elements, whose memory serves for others that live otherwise long.
fn emptied<From, To>(mut list: Vec<From>) -> Vec<To> {
    list.clear();
    list.into_iter().map_while(|_| None).collect()
}

/// The packets of a few peers, written one behind the other.
struct Chunk<'r, 'l, 's> {
    room: &'r mut [u8],
    used: usize,
    jobs: Vec<Job<'s>>,
    /// Whose each run of jobs is.
    shares: &'l mut Vec<(u32, Range<usize>)>,
    trains: &'l mut Vec<(Path, Train)>,
    aside: &'l mut Vec<u32>,
    shed: u64,
}

impl<'s> Chunk<'_, '_, 's> {
    /// Takes from the front of the queue what there is room for.
    fn fill(
        &mut self,
        queue: &mut Queue<'_>,
        peers: &mut PeerTable,
        moment: Moment<'s>,
        tap: &mut Tap,
    ) {
        for _ in 0..TOGETHER {
            let [slot, rest @ ..] = queue.slots else { return };
            if let Some(peer) = peers.at_mut(*slot) {
                let start = self.jobs.len();
                let done = self.take(peer, queue, moment, tap);
                if self.jobs.len() > start {
                    self.shares.push((*slot, start..self.jobs.len()));
                }
                if !done {
                    return;
                }
            }
            (queue.slots, queue.taken) = (rest, 0);
        }
    }

    /// Takes the references of a peer that may leave, behind the first that were taken; false if
    /// there was no room for all.
    fn take(
        &mut self,
        peer: &mut Peer,
        queue: &mut Queue<'_>,
        moment: Moment<'s>,
        tap: &mut Tap,
    ) -> bool {
        let Queue { gate, taken, relayed, .. } = queue;
        let (slot, now_us) = (peer.id.slot, moment.now.us);
        let path = match (peer.path, &peer.keys) {
            (Some(Path::Relay { .. }), Some(_)) if !*relayed => {
                self.aside.push(slot);
                return true;
            }
            (Some(path), Some(_)) => path,
            _ => {
                let all = peer.waiting.video();
                self.shed += (peer.waiting.front_len(all) - *taken) as u64;
                peer.waiting.remove_front(all);
                return true;
            }
        };
        let video = gate.allowance(slot, peer.waiting.video(), now_us);
        let all = peer.waiting.front_len(video);
        while *taken < all && self.has_room_for(all - *taken) {
            *taken += self.make_train(path, peer, (*taken, video), moment, tap);
        }
        let done = *taken >= all;
        if done {
            peer.waiting.remove_front(video);
            gate.left(slot, video, peer.waiting.video());
        }
        done
    }

    /// Whether a train of so many packets may begin: there is room for all of them, or for the
    /// first of a chunk.
    fn has_room_for(&self, packets: usize) -> bool {
        let left = self.room.len().saturating_sub(self.used.next_multiple_of(ALIGN));
        self.jobs.is_empty() || left >= packets.min(train::SEGMENTS) * PACKET_ROOM
    }

    /// Makes one train of what waits, from number `taken` on, where so much `video` may leave;
    /// returns how many references it used up.
    fn make_train(
        &mut self,
        path: Path,
        peer: &mut Peer,
        (taken, video): (usize, usize),
        moment: Moment<'s>,
        tap: &mut Tap,
    ) -> usize {
        let Peer { keys, lines, transport_seq, tapping, waiting, .. } = peer;
        let Some(keys) = keys.as_ref() else { return waiting.front_len(video) - taken };
        let overhead = keys.rtp_overhead();
        let mut maker = Maker { moment, overhead, transport_seq, tap, tapping };
        let start = self.used.next_multiple_of(ALIGN);
        let (mut train, mut used) = (Train::default(), 0);
        while let Some(departing) = waiting.at(taken + used, video) {
            let at = start + train.len;
            let Some(out) = self.room.get_mut(at..).and_then(|room| room.first_chunk_mut()) else {
                break;
            };
            let mindex = departing.mindex();
            let line = lines.iter_mut().find(|line| line.mindex == mindex);
            let Some(sink) = line.and_then(|line| line.sink.as_mut()) else {
                self.shed += 1;
                used += 1;
                continue;
            };
            let outcome = match *departing {
                Departing::First { source, packet, len, onward, .. } => {
                    let rest = waiting.video_from(taken + used + 1, video);
                    let padding = level(&mut train, mindex, len, rest);
                    maker.first(out, &train, sink, (source, packet, onward), padding)
                }
                Departing::Again { seq, .. } => maker.again(out, &train, sink, seq),
            };
            match outcome {
                Outcome::Ready(plain) => {
                    let packet::Plain { index, header_len, len, text } = plain;
                    self.jobs.push(Job { at, header_len, len, text, index });
                    train.add(header_len + len + overhead);
                }
                Outcome::Next => break,
                Outcome::Refused => {}
                Outcome::Nothing => self.shed += 1,
            }
            used += 1;
        }
        if train.len > 0 {
            self.used = start + train.len;
            self.trains.push((path, train));
        }
        used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emptied_list_keeps_its_memory() {
        let text = [1, 2, 3];
        let job = Job { at: 0, header_len: 12, len: 3, text: Some(&text), index: 0 };
        let list = vec![job; 100];
        let (memory, room) = (list.as_ptr().addr(), list.capacity());
        let again: Vec<Job<'static>> = emptied(list);
        assert_eq!((again.as_ptr().addr(), again.capacity(), again.len()), (memory, room, 0));
    }
}
