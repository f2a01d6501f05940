//! Two agents on a virtual network: seeded loss and delay, cuts, address translation.

mod connectivity;
mod hostile;
mod sequences;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::stun::{self, MAX_MESSAGE};
use super::*;
use crate::media::PeerId;

/// Delay of the network's shortest path; the longest is three times that.
const DELAY_MS: u64 = 20;

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("address")
}

fn tag(shard: u8) -> PeerId {
    PeerId { shard, slot: 77, generation: 1 }
}

/// Credentials of the agent on `shard`; `salt` tells generations apart.
fn credentials(shard: u8, salt: u8) -> Credentials {
    Credentials::generate(tag(shard), &[salt; CREDENTIAL_RANDOM])
}

fn host(addr: SocketAddr) -> Candidate {
    Candidate::host(addr, Transport::Udp, 0)
}

/// One end: an agent, its sockets and what it said.
struct End {
    agent: Box<dyn IceAgent>,
    local: Credentials,
    sockets: Vec<SocketAddr>,
    events: Vec<IceEvent>,
    sent: u64,
}

impl End {
    fn full(now: Instant, shard: u8, sockets: &[&str], controlling: bool) -> Self {
        let sockets: Vec<_> = sockets.iter().map(|s| addr(s)).collect();
        let local = credentials(shard, 1);
        let config = FullConfig {
            local: &local,
            addresses: &sockets,
            controlling,
            tie_breaker: u64::from(shard) << 32,
        };
        let agent = Box::new(FullAgent::new(now, &config));
        Self { agent, local, sockets, events: Vec::new(), sent: 0 }
    }

    fn lite(shard: u8, sockets: &[&str]) -> Self {
        let sockets: Vec<_> = sockets.iter().map(|s| addr(s)).collect();
        let local = credentials(shard, 1);
        let agent = Box::new(LiteAgent::new(&local, LITE_CONSENT));
        Self { agent, local, sockets, events: Vec::new(), sent: 0 }
    }

    fn selected(&self) -> Option<SelectedPair> {
        self.events.iter().rev().find_map(|e| match e {
            IceEvent::SelectedPair(selected) => Some(*selected),
            _ => None,
        })
    }

    fn count(&self, matching: impl Fn(&IceEvent) -> bool) -> usize {
        self.events.iter().filter(|e| matching(e)).count()
    }
}

struct Packet {
    to_end: usize,
    local: SocketAddr,
    from: SocketAddr,
    bytes: Vec<u8>,
}

/// The network between two ends, on virtual time.
struct World {
    now: Instant,
    start: Instant,
    ends: [End; 2],
    wire: BTreeMap<(Instant, u64), Packet>,
    sequence: u64,
    random: u64,
    loss_percent: u64,
    /// Sockets behind a translator: (inside, outside).
    nat: Vec<(SocketAddr, SocketAddr)>,
    cut: bool,
}

impl World {
    fn new(seed: u64, ends: impl FnOnce(Instant) -> [End; 2]) -> Self {
        let now = Instant::now();
        Self {
            now,
            start: now,
            ends: ends(now),
            wire: BTreeMap::new(),
            sequence: 0,
            random: seed,
            loss_percent: 0,
            nat: Vec::new(),
            cut: false,
        }
    }

    /// splitmix64: the seed is the whole state.
    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    /// Both ends learn the other's credentials.
    fn exchange_credentials(&mut self) {
        for (to, from) in [(0, 1), (1, 0)] {
            let remote = self.ends[from].local.clone();
            self.ends[to].agent.set_remote_credentials(self.now, &remote);
        }
    }

    /// `to` learns every candidate of the other end.
    fn signal_candidates(&mut self, to: usize) {
        for (index, socket) in self.ends[1 - to].sockets.clone().into_iter().enumerate() {
            let candidate = Candidate::host(socket, Transport::Udp, index as u16);
            assert_eq!(self.ends[to].agent.add_remote_candidate(&candidate), Ok(()));
        }
    }

    fn signal_all(&mut self) {
        self.exchange_credentials();
        self.signal_candidates(0);
        self.signal_candidates(1);
    }

    fn restart(&mut self, end: usize, salt: u8) {
        let local = credentials(end as u8, salt);
        self.ends[end].agent.restart(self.now, &local);
        self.ends[end].local = local;
    }

    fn drain(&mut self) {
        for from in 0..2 {
            let mut out = [0; MAX_MESSAGE];
            while let Some(t) = self.ends[from].agent.poll_transmit(&mut out) {
                self.send(from, t.pair, &out[..t.len]);
            }
            while let Some(event) = self.ends[from].agent.poll_event() {
                self.ends[from].events.push(event);
            }
        }
    }

    fn send(&mut self, from_end: usize, pair: AddressPair, bytes: &[u8]) {
        self.ends[from_end].sent += 1;
        let outside = self.nat.iter().find(|(inside, _)| *inside == pair.local);
        let from = outside.map_or(pair.local, |(_, outside)| *outside);
        let inside = self.nat.iter().find(|(_, outside)| *outside == pair.remote);
        let local = inside.map_or(pair.remote, |(inside, _)| *inside);
        let reachable = self.ends[1 - from_end].sockets.contains(&local);
        if self.cut || !reachable || self.random(100) < self.loss_percent {
            return;
        }
        assert_eq!(stun::owner(bytes), Some(tag(1 - from_end as u8)), "the shard finds the agent");
        let delay = Duration::from_millis(DELAY_MS + self.random(2 * DELAY_MS));
        self.sequence += 1;
        let packet = Packet { to_end: 1 - from_end, local, from, bytes: bytes.to_vec() };
        self.wire.insert((self.now + delay, self.sequence), packet);
    }

    /// Lets time pass until `done`, or `limit` has passed; says whether it was done.
    fn run(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            self.drain();
            if done(self) {
                return true;
            }
            let arrival = self.wire.keys().next().map(|(at, _)| *at);
            let timeouts = [0, 1].map(|i| self.ends[i].agent.poll_timeout());
            let next = timeouts.into_iter().chain([arrival]).flatten().min();
            match next.filter(|next| *next <= end) {
                Some(next) => self.now = next.max(self.now),
                None => {
                    self.now = end;
                    return done(self);
                }
            }
            self.step();
        }
    }

    fn step(&mut self) {
        while let Some(entry) = self.wire.first_entry().filter(|e| e.key().0 <= self.now) {
            let p = entry.remove();
            self.ends[p.to_end].agent.handle_packet(self.now, p.local, p.from, &p.bytes);
            self.drain();
        }
        for end in &mut self.ends {
            if end.agent.poll_timeout().is_some_and(|at| at <= self.now) {
                end.agent.handle_timeout(self.now);
            }
        }
    }

    fn both(&self, state: IceState) -> bool {
        self.ends.iter().all(|end| end.agent.state() == state)
    }

    fn connect(&mut self) {
        let limit = Duration::from_secs(20);
        assert!(
            self.run(limit, |w| w.both(IceState::Connected)),
            "{:?} {:?}",
            self.ends[0].events,
            self.ends[1].events,
        );
    }

    /// Both ends send where the other listens.
    fn assert_paths_meet(&self) {
        let [a, b] = [0, 1].map(|i| self.ends[i].selected().expect("selected").pair);
        assert_eq!((a.local, a.remote), (b.remote, b.local));
    }
}
