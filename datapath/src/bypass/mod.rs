//! The way around the kernel's sockets: finished frames straight to the driver
//! (`tx = "packet-ring"`).
//!
//! ```text
//!  shard:    train for (socket, remote) ─► way known? ─► header template + payload into the ring
//!                                            │ no, or not now                 (one copy)
//!                                            └────────► the engine's UDP socket
//!  resolver: questions of shards ─► route, device, neighbour (netlink) ─► templates back
//! ```
//!
//! A shard asks the resolver's thread once for each destination and is told, as values over a ring
//! of its own, a header template or that there is none; until then, and whenever
//! something is missing, a train leaves by the UDP socket as before, which is also what makes the
//! kernel look for the neighbour. A train is built and sealed in the engine's arena, packed with
//! those of fifteen other peers, where neither a frame's header nor its place in a ring is known;
//! so it is copied once into its frame. The kernel then copies nothing.
//!
//! What is gone around is gone without: firewalls, connection tracking, tunnels, queueing
//! disciplines, and some captures. Bounds: [`WAYS`] destinations a shard, a ring a device and shard.
//! Cost: a look-up and a copy a train, one system call a flush and device.

mod device;
mod frame;
mod message;
mod netlink;
mod resolver;
mod ring;
mod start;
#[cfg(test)]
mod tests;

pub use start::{Prepared, prepare};

use crate::engine::EngineCounters;
use crate::peer::AddressTable;
use crate::queue::{Rx, Tx};
use frame::Frame;
use ring::TxRing;
use slab::Slab;
use std::net::SocketAddr;

/// Destinations a shard knows the way to at most; the rest goes by UDP.
pub const WAYS: usize = 16_384;
/// Questions, and answers, that wait between a shard and the resolver at most.
const MESSAGES: usize = 2048;
/// Frames that wait at most while more are written: they are handed to the driver while a core's
/// cache still holds them, and come back sooner.
const EAGER: usize = 32;
/// Answers a shard takes in one turn.
const ANSWERS: usize = 256;

/// How packets leave, as an operator asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Transmit {
    /// By the engine's UDP sockets.
    #[default]
    Udp,
    /// By packet rings where that can be, else by the sockets.
    PacketRing,
}

/// A shard's question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    /// The way to a destination.
    Way {
        /// Where the shard keeps it.
        place: u32,
        /// Tells it from an earlier one in that place.
        generation: u32,
        /// Our end.
        local: SocketAddr,
        /// The other.
        remote: SocketAddr,
    },
    /// Nothing was sent there lately.
    Forget { place: u32 },
}

/// What is known of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Not asked to the end, or the neighbour does not answer.
    Unresolved,
    /// Ours, a tunnel, a device without a ring.
    Unfit,
    /// By the ring of this device.
    Ring {
        /// Its number among the shard's rings.
        device: u8,
        /// Whether it takes trains whole.
        trains: bool,
        /// What goes in front.
        frame: Frame,
    },
}

/// What the resolver says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Of one way.
    Way {
        place: u32,
        generation: u32,
        verdict: Verdict,
        /// One train is to go by UDP, so that the kernel confirms the neighbour.
        refresh: bool,
    },
    /// A while has passed: let go of what was not used in it.
    Sweep,
}

#[derive(Clone, Copy, Debug)]
struct Way {
    socket: u16,
    remote: SocketAddr,
    generation: u32,
    verdict: Verdict,
    used: bool,
    refresh: bool,
}

/// One shard's part. Engines hold it; see the module.
#[derive(Debug)]
pub struct Bypass {
    table: AddressTable,
    ways: Slab<Way>,
    rings: Vec<TxRing>,
    generation: u32,
    asks: Tx<Ask>,
    answers: Rx<Answer>,
    /// The resolver is gone.
    orphaned: bool,
}

impl Bypass {
    fn new(rings: Vec<TxRing>, secret: u64, asks: Tx<Ask>, answers: Rx<Answer>) -> Self {
        let table = AddressTable::new(secret);
        let (ways, generation, orphaned) = (Slab::new(), 0, false);
        Bypass { table, ways, rings, generation, asks, answers, orphaned }
    }

    /// Sends a train that would leave `local`, the address of socket number `socket`, for `to`:
    /// datagrams of `segment` bytes, or one if that is 0 or not less than there are bytes. Returns
    /// how many bytes need no other way any more.
    pub(crate) fn send(
        &mut self,
        (socket, local): (u16, SocketAddr),
        to: SocketAddr,
        bytes: &[u8],
        segment: u16,
        counters: &mut EngineCounters,
    ) -> usize {
        let segment = if usize::from(segment) < bytes.len() { segment } else { 0 };
        let longest = if segment > 0 { usize::from(segment) } else { bytes.len() };
        let Some(way) = self.way(socket, local, to) else {
            counters.bypass.unresolved += 1;
            return 0;
        };
        way.used = true;
        let (device, trains, frame) = match way.verdict {
            Verdict::Ring { device, trains, frame } => (device, trains, frame),
            Verdict::Unresolved => {
                counters.bypass.unresolved += 1;
                return 0;
            }
            Verdict::Unfit => {
                counters.bypass.unfit += 1;
                return 0;
            }
        };
        if std::mem::take(&mut way.refresh) {
            counters.bypass.refreshed += 1;
            return 0;
        }
        if !frame.passes(longest) {
            counters.bypass.too_long += 1;
            return 0;
        }
        let Some(ring) = self.rings.get_mut(usize::from(device)) else { return 0 };
        put_all(ring, &frame, bytes, (segment, trains), counters)
    }

    fn way(&mut self, socket: u16, local: SocketAddr, to: SocketAddr) -> Option<&mut Way> {
        if self.orphaned {
            return None;
        }
        let place = match self.table.get(socket, to) {
            Some(place) => place,
            None => self.ask(socket, local, to)?,
        };
        self.ways.get_mut(place as usize)
    }

    /// Asks for a new destination, if there is room for it.
    #[cold]
    fn ask(&mut self, socket: u16, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
        if self.ways.len() >= WAYS {
            return None;
        }
        self.generation = self.generation.wrapping_add(1);
        let (generation, verdict) = (self.generation, Verdict::Unresolved);
        let way = Way { socket, remote, generation, verdict, used: true, refresh: false };
        let place = self.ways.insert(way) as u32;
        if self.asks.push(Ask::Way { place, generation, local, remote }).is_err() {
            self.ways.remove(place as usize);
            return None;
        }
        self.table.insert(socket, remote, place);
        Some(place)
    }

    /// Takes what the resolver has said; once a turn. Where there is none any more nothing is known:
    /// a way that nobody watches may lead elsewhere by now.
    pub(crate) fn listen(&mut self) {
        if self.answers.is_abandoned() && self.answers.is_empty() {
            self.orphaned = true;
            return;
        }
        for _ in 0..ANSWERS {
            match self.answers.pop() {
                None => return,
                Some(Answer::Sweep) => self.sweep(),
                Some(Answer::Way { place, generation, verdict, refresh }) => {
                    let way = self.ways.get_mut(place as usize);
                    if let Some(way) = way.filter(|way| way.generation == generation) {
                        way.verdict = verdict;
                        way.refresh |= refresh;
                    }
                }
            }
        }
    }

    fn sweep(&mut self) {
        self.let_go(|way| !std::mem::replace(&mut way.used, false));
    }

    /// Lets go of what has been known of a socket, whose number may be another's soon.
    pub(crate) fn forget(&mut self, socket: u16) {
        self.let_go(|way| way.socket == socket);
    }

    fn let_go(&mut self, mut which: impl FnMut(&mut Way) -> bool) {
        let (table, asks) = (&mut self.table, &mut self.asks);
        self.ways.retain(|place, way| {
            let goes = which(way);
            if goes {
                table.remove(way.socket, way.remote, place as u32);
                // Should it not fit, the resolver goes on telling of a generation that is gone.
                let _ = asks.push(Ask::Forget { place: place as u32 });
            }
            !goes
        });
    }

    /// Offers what waits to the drivers.
    pub(crate) fn kick(&mut self, counters: &mut EngineCounters) {
        for ring in &mut self.rings {
            ring.kick(counters);
        }
    }

    /// Whether frames wait that a driver had no room for.
    pub(crate) fn is_waiting(&self) -> bool {
        self.rings.iter().any(|ring| ring.waiting() > 0)
    }
}

/// Puts a train into frames, as few as it takes; returns how many bytes found room.
fn put_all(
    ring: &mut TxRing,
    frame: &Frame,
    bytes: &[u8],
    (segment, trains): (u16, bool),
    counters: &mut EngineCounters,
) -> usize {
    let one = usize::from(segment);
    let piece = match one {
        0 => bytes.len(),
        one if trains => one * (ring.room() / one).max(1),
        one => one,
    };
    let mut done = 0;
    for piece in bytes.chunks(piece.max(1)) {
        let cut = if piece.len() > one { segment } else { 0 };
        if !ring.put(frame, piece, cut) {
            ring.kick(counters);
            if !ring.put(frame, piece, cut) {
                counters.bypass.full += 1;
                break;
            }
        }
        done += piece.len();
    }
    if ring.waiting() >= EAGER {
        ring.kick(counters);
    }
    done
}
