//! One shard's peers and their engines.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use bifrons_core::dtls::{DtlsEngine, DtlsEvent, Fingerprint, Role, State};
use bifrons_core::media::PeerId;

use super::budget::{Budget, CONNECTED, HANDSHAKING};
use super::message::{Datagram, DownCause, Fault, FromLane, ToLane};
use super::outbox::Outbox;
use crate::dtls_openssl::{DtlsContext, OpenSslEngine};

/// Bounds of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneLimits {
    /// Peers at once, handshaking or connected.
    pub peers: usize,
    /// Datagrams that may wait for the shard's ring.
    pub datagrams: usize,
}

impl Default for LaneLimits {
    fn default() -> LaneLimits {
        LaneLimits { peers: 1 << 16, datagrams: 4096 }
    }
}

/// What a lane did and refused, since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneCounters {
    /// Peers now.
    pub peers: u64,
    /// Handshakes begun.
    pub started: u64,
    /// Handshakes that yielded keys.
    pub connected: u64,
    /// Handshakes that failed, for whatever reason.
    pub failed: u64,
    /// Messages for a peer the lane does not have.
    pub unknown_peer: u64,
    /// Peers refused for want of room.
    pub refused_peers: u64,
    /// Datagrams of a peer beyond its rate.
    pub over_budget: u64,
    /// Application data an engine would not take (not connected, too long, queue full).
    pub refused_data: u64,
    /// Peers ended by a panic.
    pub faults: u64,
}

impl LaneCounters {
    /// Sums two lanes'.
    pub fn plus(self, other: LaneCounters) -> LaneCounters {
        LaneCounters {
            peers: self.peers + other.peers,
            started: self.started + other.started,
            connected: self.connected + other.connected,
            failed: self.failed + other.failed,
            unknown_peer: self.unknown_peer + other.unknown_peer,
            refused_peers: self.refused_peers + other.refused_peers,
            over_budget: self.over_budget + other.over_budget,
            refused_data: self.refused_data + other.refused_data,
            faults: self.faults + other.faults,
        }
    }
}

struct Peer {
    engine: OpenSslEngine,
    budget: Budget,
    /// As entered in the deadline set.
    deadline: Option<Instant>,
    /// Whether application data has passed either way.
    has_data: bool,
}

/// The handshakes and DTLS sessions of one shard, sans-IO; see the module's head.
pub struct Lane {
    context: DtlsContext,
    limits: LaneLimits,
    peers: HashMap<PeerId, Peer>,
    deadlines: BTreeSet<(Instant, PeerId)>,
    counters: LaneCounters,
}

impl Lane {
    /// A lane without peers.
    pub fn new(context: DtlsContext, limits: LaneLimits) -> Lane {
        Lane {
            context,
            limits,
            peers: HashMap::new(),
            deadlines: BTreeSet::new(),
            counters: LaneCounters::default(),
        }
    }

    /// A queue of the size the limits say.
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.limits.datagrams)
    }

    /// Its counters.
    pub fn counters(&self) -> LaneCounters {
        LaneCounters { peers: self.peers.len() as u64, ..self.counters }
    }

    /// When [`Lane::tick`] is due; `None` when nothing is pending.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Takes one message; what comes of it is in `out`.
    ///
    /// # Panics
    /// On [`Fault::Thread`] only. A panic over a peer is caught and ends that peer.
    pub fn handle(&mut self, now: Instant, message: ToLane, out: &mut Outbox) {
        match message {
            ToLane::Start { peer, role, fingerprint } => {
                self.start(now, peer, role, fingerprint, out);
            }
            ToLane::Fingerprint { peer, fingerprint } => self.touch(peer, out, |entry, _| {
                entry.engine.set_remote_fingerprint(now, fingerprint);
            }),
            ToLane::Record { peer, datagram } => {
                self.record(now, peer, &datagram, out);
                out.reclaim(datagram);
            }
            ToLane::Send { peer, data } => {
                self.touch(peer, out, |entry, counters| {
                    entry.has_data = true;
                    let sent = entry.engine.send(now, data.bytes());
                    counters.refused_data += u64::from(sent.is_err());
                });
                out.reclaim(data);
            }
            ToLane::Yield { peer } => self.give_records(peer, out),
            ToLane::Close { peer } => {
                if self.peers.contains_key(&peer) {
                    self.touch(peer, out, |entry, _| entry.engine.close(now));
                    self.forget(peer);
                }
                out.push(FromLane::Closed { peer });
            }
            ToLane::Fault(Fault::Peer(peer)) => self.touch(peer, out, |_, _| panic!("asked")),
            ToLane::Fault(Fault::Thread) => panic!("asked to break the handshake thread"),
        }
    }

    /// Retransmits and gives up where the time has come.
    pub fn tick(&mut self, now: Instant, out: &mut Outbox) {
        while let Some((at, peer)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, peer));
            self.touch(peer, out, |entry, _| {
                entry.deadline = None;
                entry.engine.handle_timeout(now);
            });
        }
    }

    /// Ends the lane as a crash does: peers that cannot live without it get a `Down`, and the
    /// shard is told. Empties the lane.
    pub(super) fn abandon(&mut self, out: &mut Outbox) {
        let peers = self.peers.len();
        self.deadlines.clear();
        for (peer, entry) in self.peers.drain() {
            if entry.has_data || entry.engine.state() != State::Connected {
                out.push(FromLane::Down { peer, cause: DownCause::Fault });
            }
            // Its engine may be what broke the thread; running its destructor could again.
            let _ = catch_unwind(AssertUnwindSafe(move || drop(entry)));
        }
        out.push(FromLane::Restarted { peers: u32::try_from(peers).unwrap_or(u32::MAX) });
    }

    fn start(
        &mut self,
        now: Instant,
        peer: PeerId,
        role: Role,
        fingerprint: Option<Fingerprint>,
        out: &mut Outbox,
    ) {
        if self.peers.contains_key(&peer) {
            return;
        }
        let engine = match self.context.engine(role) {
            Ok(engine) if self.peers.len() < self.limits.peers => engine,
            _ => {
                self.counters.refused_peers += 1;
                return out.push(FromLane::Down { peer, cause: DownCause::Refused });
            }
        };
        self.counters.started += 1;
        let budget = Budget::new(now);
        self.peers.insert(peer, Peer { engine, budget, deadline: None, has_data: false });
        self.touch(peer, out, |entry, _| {
            if let Some(fingerprint) = fingerprint {
                entry.engine.set_remote_fingerprint(now, fingerprint);
            }
            entry.engine.start(now);
        });
    }

    /// What the engine still has to send and say has been collected after the message before.
    fn give_records(&mut self, peer: PeerId, out: &mut Outbox) {
        let Some(entry) = self.peers.get_mut(&peer) else {
            self.counters.unknown_peer += 1;
            return;
        };
        let mut layer = None;
        if entry.engine.has_records()
            && let Some(entry) = self.peers.remove(&peer)
        {
            if let Some(at) = entry.deadline {
                self.deadlines.remove(&(at, peer));
            }
            layer = entry.engine.into_records().map(Box::new);
        }
        out.push(FromLane::Records { peer, layer });
    }

    fn record(&mut self, now: Instant, peer: PeerId, datagram: &Datagram, out: &mut Outbox) {
        self.touch(peer, out, |entry, counters| {
            let connected = entry.engine.state() == State::Connected;
            if entry.budget.take(now, if connected { CONNECTED } else { HANDSHAKING }) {
                entry.engine.handle_packet(now, datagram.bytes());
            } else {
                counters.over_budget += 1;
            }
        });
    }

    /// Does something to a peer, then collects what its engine has to say. A panic in either
    /// ends the peer.
    fn touch(
        &mut self,
        peer: PeerId,
        out: &mut Outbox,
        act: impl FnOnce(&mut Peer, &mut LaneCounters),
    ) {
        let Some(entry) = self.peers.get_mut(&peer) else {
            self.counters.unknown_peer += 1;
            return;
        };
        let counters = &mut self.counters;
        let calm = catch_unwind(AssertUnwindSafe(|| {
            let before = entry.engine.retransmissions();
            act(entry, counters);
            let flights = entry.engine.retransmissions();
            if flights != before {
                out.push(FromLane::Repeated { peer, flights });
            }
            collect(peer, entry, counters, out)
        }));
        match calm {
            Ok(alive) => {
                self.schedule(peer);
                if !alive {
                    self.forget(peer);
                }
            }
            Err(_) => {
                tracing::error!(peer = peer.to_bits(), "a DTLS engine panicked; its peer is ended");
                self.counters.faults += 1;
                self.forget(peer);
                out.push(FromLane::Down { peer, cause: DownCause::Fault });
            }
        }
    }

    fn schedule(&mut self, peer: PeerId) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let wanted = entry.engine.poll_timeout();
        if wanted != entry.deadline {
            if let Some(at) = entry.deadline.take() {
                self.deadlines.remove(&(at, peer));
            }
            entry.deadline = wanted;
            self.deadlines.extend(wanted.map(|at| (at, peer)));
        }
    }

    fn forget(&mut self, peer: PeerId) {
        let Some(entry) = self.peers.remove(&peer) else { return };
        if let Some(at) = entry.deadline {
            self.deadlines.remove(&(at, peer));
        }
        // After a fault the engine is in no state we know; its destructor may panic as well.
        let _ = catch_unwind(AssertUnwindSafe(move || drop(entry)));
    }
}

/// Moves an engine's datagrams, events and data to the outbox. False when it has ended.
fn collect(peer: PeerId, entry: &mut Peer, counters: &mut LaneCounters, out: &mut Outbox) -> bool {
    let engine = &mut entry.engine;
    loop {
        let mut datagram = out.empty();
        if !datagram.fill_with(|buf| engine.poll_output(buf)) {
            out.reclaim(datagram);
            break;
        }
        out.push(FromLane::Record { peer, datagram });
    }
    let mut alive = true;
    while let Some(event) = engine.poll_event() {
        match event {
            DtlsEvent::Connected(connected) => {
                counters.connected += 1;
                out.push(FromLane::Connected { peer, role: engine.role(), connected });
            }
            DtlsEvent::Closed => {
                alive = false;
                out.push(FromLane::Down { peer, cause: DownCause::Closed });
            }
            DtlsEvent::Failed(failure) => {
                alive = false;
                counters.failed += 1;
                out.push(FromLane::Down { peer, cause: DownCause::Failed(failure) });
            }
        }
    }
    loop {
        let mut data = out.empty();
        if !data.fill_with(|buf| engine.recv(buf)) {
            out.reclaim(data);
            return alive;
        }
        entry.has_data = true;
        if alive {
            out.push(FromLane::Data { peer, data });
        }
    }
}
