//! Everything in one process on virtual time: shards with their real turns, rings and handshake
//! lanes, the network, the clients, and a stand-in for control.
//!
//! The network, the schedule and all of ours come from the seed. str0m draws its own ICE and DTLS
//! randomness, so a seed fixes the course of events but not every byte.

use super::client::Client;
use super::engine::VirtualEngine;
use super::net::{Datagram, Net};
use super::raw::Raw;
use super::rng::Rng;
use super::seal::SealWatch;
use super::spec::{Spec, line};
use super::wire::Wire;
use bifrons_core::dtls::{Fingerprint, Role};
use bifrons_core::ice::{CREDENTIAL_RANDOM, Candidate, Credentials};
use bifrons_core::media::{
    DownReason, Fact, Line, LineId, PeerId, PeerSetup, PeerStatistics, PeerUpdate, Plan,
    QueryTicket, Route, ShardCommand, ShardCounters, ShardEvent, SinkId, SourceId, Transport,
};
use bifrons_datapath::carry::Carrier;
use bifrons_datapath::dtls_openssl::{Certificate, DtlsContext, DtlsSettings, KeyKind};
use bifrons_datapath::handoff;
use bifrons_datapath::handshake::{FromLane, Lane, LaneLimits, Outbox, ToLane};
use bifrons_datapath::inject::Injector;
use bifrons_datapath::queue::{Doorbell, Rx, Tx, link};
use bifrons_datapath::run::{Ports, turn};
use bifrons_datapath::shard::{Clock, Coalescing, Shard, ShardConfig};
use std::cell::Cell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// 2026-01-01 in microseconds, on every simulated wall clock.
const WALL_US: u64 = 1_767_225_600_000_000;

/// Clients of this number and above are [`Raw`] ones.
const RAW: usize = 1000;

/// Turns one instant may take before it counts as spinning.
const TURNS_AT_ONCE: usize = 2_000;

/// One shard with what surrounds it.
pub(crate) struct Node {
    pub(crate) shard: Shard,
    pub(crate) engine: VirtualEngine,
    pub(crate) address: SocketAddr,
    /// A helper's way to this shard, which it knows as shard 0.
    pub(crate) injector: Injector,
    ports: Ports,
    commands: Tx<ShardCommand>,
    waiting: VecDeque<ShardCommand>,
    events: Rx<ShardEvent>,
    lane: Lane,
    lane_out: Outbox,
    to_lane: Rx<ToLane>,
    from_lane: Tx<FromLane>,
    next_slot: u32,
    generation: u16,
    pub(crate) turns: u64,
    /// How long a turn takes by the shard's own clock.
    pub(crate) work_us: u64,
}

/// See the module.
pub(crate) struct World {
    start: Instant,
    pub(crate) now_us: u64,
    pub(crate) rng: Rng,
    pub(crate) net: Net,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<Client>,
    pub(crate) raws: Vec<Raw>,
    /// Hosts without a PeerConnection.
    pub(crate) wires: Vec<Wire>,
    /// The peer that serves each client.
    pub(crate) peers: Vec<PeerId>,
    /// What shards told control, and when control heard it.
    pub(crate) events: Vec<(u64, ShardEvent)>,
    /// Until when control neither hears nor says anything.
    pub(crate) stalled_until_us: u64,
    /// Whether control closes what is down, as it does.
    pub(crate) closes_down_peers: bool,
    pub(crate) seals: SealWatch,
    exports: Vec<(SourceId, u8)>,
    context: DtlsContext,
}

impl World {
    pub(crate) fn new(seed: u64, shards: usize) -> Self {
        Self::with_config(seed, shards, |_| {})
    }

    pub(crate) fn with_config(seed: u64, shards: usize, change: impl Fn(&mut ShardConfig)) -> Self {
        let start = Instant::now();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let certificate = Certificate::self_signed(KeyKind::EcP256, since.as_secs() as i64);
        let certificate = certificate.expect("a certificate");
        let context = DtlsContext::new(&certificate, &DtlsSettings::default()).expect("OpenSSL");
        let bells: Vec<_> = (0..shards).map(|_| Doorbell::new().expect("an eventfd")).collect();
        let neighbours = handoff::link_shards(&bells);
        let nodes = bells.iter().zip(neighbours).enumerate().map(|(index, (bell, neighbours))| {
            let mut config = config(index, seed);
            change(&mut config);
            node(config, start, bell, neighbours, &context)
        });
        World {
            start,
            now_us: 0,
            rng: Rng::new(seed),
            net: Net::new(seed),
            nodes: nodes.collect(),
            clients: Vec::new(),
            raws: Vec::new(),
            wires: Vec::new(),
            peers: Vec::new(),
            events: Vec::new(),
            stalled_until_us: 0,
            closes_down_peers: true,
            seals: SealWatch::default(),
            exports: Vec::new(),
            context,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.start + Duration::from_micros(self.now_us)
    }

    /// A client arrives with an offer of these lines; the answer is back at once.
    pub(crate) fn join(&mut self, shard: usize, specs: &[Spec]) -> usize {
        let client = self.arrive(specs);
        self.open(client, shard, specs);
        client
    }

    /// A client that nobody has answered yet.
    pub(crate) fn arrive(&mut self, specs: &[Spec]) -> usize {
        let index = self.clients.len();
        self.clients.push(Client::new(index, self.start, specs, self.now_us));
        index
    }

    /// Gives a client its peer.
    pub(crate) fn open(&mut self, client: usize, shard: usize, specs: &[Spec]) {
        self.open_with(client, shard, specs, |_| {});
    }

    /// As [`World::open`], with a setup that a test changes.
    pub(crate) fn open_with(
        &mut self,
        client: usize,
        shard: usize,
        specs: &[Spec],
        change: impl FnOnce(&mut PeerSetup),
    ) {
        let (peer, local) = self.allot(shard);
        let server = self.nodes[shard].address;
        let them = &mut self.clients[client];
        them.answer(server, &local, self.context.fingerprint());
        let (remote, print) = (them.credentials(), them.fingerprint());
        let transport = transport(&local, remote, them.candidate(), print);
        assert_eq!(self.peers.len(), client, "clients are opened in order");
        self.peers.push(peer);
        let mut setup = PeerSetup { peer, transport, lines: lines(client, specs) };
        change(&mut setup);
        self.command(shard, ShardCommand::Open(Box::new(setup)));
    }

    /// A client of the other kind arrives and is answered.
    pub(crate) fn join_raw(&mut self, shard: usize, specs: &[Spec]) -> usize {
        let (peer, local) = self.allot(shard);
        let (now, random) = (self.now(), self.rng.next());
        let mut raw = Raw::new(self.raws.len(), now, &self.context, random);
        raw.peer = peer;
        raw.answer(now, self.nodes[shard].address, &local, self.context.fingerprint());
        let (remote, print) = (raw.credentials.clone(), self.context.fingerprint());
        let transport = transport(&local, remote, raw.candidate(), print);
        let client = RAW + self.raws.len();
        self.raws.push(raw);
        let lines = lines(client, specs);
        self.command(shard, ShardCommand::Open(Box::new(PeerSetup { peer, transport, lines })));
        client
    }

    /// The raw client of this number.
    pub(crate) fn raw(&mut self, client: usize) -> &mut Raw {
        &mut self.raws[client - RAW]
    }

    /// A slot, and credentials for it.
    fn allot(&mut self, shard: usize) -> (PeerId, Credentials) {
        let node = &mut self.nodes[shard];
        let generation = node.generation;
        let peer = PeerId { shard: shard as u8, slot: node.next_slot, generation };
        node.next_slot += 1;
        (peer, Credentials::generate(peer, &self.rng.bytes::<CREDENTIAL_RANDOM>()))
    }

    /// From now on slots are given away again from the first: they have to be free.
    pub(crate) fn reuse_slots(&mut self) {
        for node in &mut self.nodes {
            node.next_slot = 0;
            node.generation += 1;
        }
    }

    /// The peer that serves a client.
    pub(crate) fn peer(&self, client: usize) -> PeerId {
        if client >= RAW { self.raws[client - RAW].peer } else { self.peers[client] }
    }

    pub(crate) fn command(&mut self, shard: usize, command: ShardCommand) {
        self.nodes[shard].waiting.push_back(command);
    }

    pub(crate) fn line(&self, client: usize, mindex: u16) -> LineId {
        self.peer(client).line(mindex)
    }

    pub(crate) fn source(&self, client: usize, mindex: u16) -> SourceId {
        SourceId::Line(self.line(client, mindex))
    }

    /// A line of one client to a line of another, as control does it: the source's shard is told
    /// once per shard that has sinks.
    pub(crate) fn route(&mut self, from: (usize, u16), to: (usize, u16)) {
        self.route_with(from, to, Route::default());
    }

    pub(crate) fn route_with(&mut self, from: (usize, u16), to: (usize, u16), route: Route) {
        let (source, sink) = (self.source(from.0, from.1), SinkId::Line(self.line(to.0, to.1)));
        let (home, shard) = (source.shard(), sink.shard());
        if home != shard && !self.exports.contains(&(source, shard)) {
            self.exports.push((source, shard));
            self.command(home.into(), ShardCommand::Export { source, shard, on: true });
        }
        self.command(shard.into(), ShardCommand::Plan(Plan::Route { source, sink, route }));
    }

    /// Renegotiates a client's lines.
    pub(crate) fn renegotiate(&mut self, client: usize, specs: &[(u16, Spec)]) {
        let lines = specs.iter().map(|&(mindex, spec)| line(client, mindex, spec)).collect();
        let update = PeerUpdate { lines: Some(lines), ..PeerUpdate::default() };
        self.update(client, update);
    }

    pub(crate) fn update(&mut self, client: usize, update: PeerUpdate) {
        let peer = self.peer(client);
        self.command(peer.shard.into(), ShardCommand::Update { peer, update: Box::new(update) });
    }

    /// An ICE restart asked for by the client.
    pub(crate) fn restart_ice(&mut self, client: usize) {
        let peer = self.peer(client);
        let local = Credentials::generate(peer, &self.rng.bytes::<CREDENTIAL_RANDOM>());
        let server = self.nodes[usize::from(peer.shard)].address;
        let remote = self.clients[client].restart(server, &local);
        let candidates = vec![self.clients[client].candidate()];
        self.update(
            client,
            PeerUpdate {
                local: Some(local),
                remote: Some(remote),
                candidates,
                end_of_candidates: true,
                ..PeerUpdate::default()
            },
        );
    }

    pub(crate) fn close(&mut self, client: usize) {
        let peer = self.peer(client);
        self.command(peer.shard.into(), ShardCommand::Close { peer });
    }

    /// A peer's statistics now; a little time passes until they are there.
    pub(crate) fn statistics(&mut self, client: usize) -> PeerStatistics {
        let peer = self.peer(client);
        let ticket = QueryTicket(self.rng.next());
        self.command(peer.shard.into(), ShardCommand::Query { ticket, peer });
        self.run_for(Duration::from_micros(10));
        let answer = self.events.iter().find_map(|(_, event)| match event {
            ShardEvent::Statistics { ticket: have, statistics } if *have == ticket => {
                Some(statistics.clone())
            }
            _ => None,
        });
        *answer.expect("an answer").expect("a live peer")
    }

    pub(crate) fn counters(&self) -> ShardCounters {
        let each = self.nodes.iter().map(|node| node.shard.counters());
        each.fold(ShardCounters::default(), ShardCounters::plus)
    }

    /// What was told about a client's peer.
    pub(crate) fn facts(&self, client: usize) -> Vec<(u64, Fact)> {
        let all = self.events.iter().filter_map(|(at_us, event)| match event {
            ShardEvent::Fact { peer, fact } if *peer == self.peer(client) => Some((*at_us, *fact)),
            _ => None,
        });
        all.collect()
    }

    pub(crate) fn up_us(&self, client: usize) -> Option<u64> {
        self.events.iter().find_map(|(at_us, event)| {
            matches!(event, ShardEvent::Up { peer, .. } if *peer == self.peer(client))
                .then_some(*at_us)
        })
    }

    pub(crate) fn down(&self, client: usize) -> Option<(u64, DownReason)> {
        self.events.iter().find_map(|(at_us, event)| match event {
            ShardEvent::Down { peer, reason } if *peer == self.peer(client) => {
                Some((*at_us, *reason))
            }
            _ => None,
        })
    }

    pub(crate) fn closed_us(&self, client: usize) -> Option<u64> {
        self.events.iter().find_map(|(at_us, event)| {
            matches!(event, ShardEvent::Closed { peer } if *peer == self.peer(client))
                .then_some(*at_us)
        })
    }

    /// Datagrams from anywhere, straight into a shard's socket.
    pub(crate) fn inject(&mut self, shard: usize, from: SocketAddr, bytes: Vec<u8>) {
        self.nodes[shard].engine.inbox.push_back((0, from, bytes));
    }

    /// Lets virtual time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end_us = self.now_us + time.as_micros() as u64;
        self.settle();
        let mut instants = 0;
        while let Some(next_us) = self.next_us().filter(|&at| at <= end_us) {
            self.now_us = next_us.max(self.now_us);
            instants += 1;
            assert!(instants < 100_000 + time.as_millis() * 100, "time does not pass");
            self.settle();
        }
        self.now_us = end_us;
        self.settle();
    }

    /// Runs until every client is connected.
    ///
    /// # Panics
    /// When that takes more than 15 s.
    pub(crate) fn connect(&mut self) {
        let all: Vec<_> = (0..self.peers.len()).chain(RAW..RAW + self.raws.len()).collect();
        self.connect_only(&all);
    }

    /// Runs until these clients are connected.
    ///
    /// # Panics
    /// As [`World::connect`].
    pub(crate) fn connect_only(&mut self, clients: &[usize]) {
        for _ in 0..300 {
            self.run_for(Duration::from_millis(50));
            if clients.iter().all(|&client| self.is_connected(client)) {
                return;
            }
        }
        panic!("not connected after 15 s: {:?}", self.events);
    }

    fn is_connected(&self, client: usize) -> bool {
        let there = match client {
            RAW.. => self.raws[client - RAW].connected(),
            _ => self.clients[client].connected_us.is_some(),
        };
        there && self.up_us(client).is_some()
    }

    fn next_us(&mut self) -> Option<u64> {
        let start = self.start;
        let since = |at: Instant| {
            let ns = at.saturating_duration_since(start).as_nanos();
            ns.div_ceil(1000) as u64
        };
        let raws = self.raws.iter_mut().filter_map(|raw| raw.due().map(since)).min();
        let clients = self.clients.iter().flat_map(|client| {
            [client.due.map(since), client.next_frame_us()].into_iter().flatten()
        });
        let nodes = self.nodes.iter().flat_map(|node| {
            let sleep = node.shard.sleep(self.now()).map(|s| self.now_us + s.as_micros() as u64);
            [sleep, node.lane.next_deadline().map(since)].into_iter().flatten()
        });
        let resumes = (self.stalled_until_us > self.now_us).then_some(self.stalled_until_us);
        clients.chain(nodes).chain(raws).chain(self.net.next_us()).chain(resumes).min()
    }

    /// Everything that can happen at this instant happens.
    fn settle(&mut self) {
        let mut turns = 0;
        loop {
            let mut busy = self.deliver();
            busy |= self.run_clients();
            busy |= self.run_control();
            for node in 0..self.nodes.len() {
                busy |= self.run_node(node);
            }
            if !busy {
                return;
            }
            turns += 1;
            assert!(turns < TURNS_AT_ONCE, "something spins at {} us", self.now_us);
        }
    }

    fn deliver(&mut self) -> bool {
        let now = self.now();
        let mut any = false;
        while let Some(datagram) = self.net.arrived(self.now_us) {
            any = true;
            let port = self.nodes.iter_mut().find_map(|node| {
                let at = node.engine.ports.iter().position(|have| *have == Some(datagram.to))?;
                Some((node, at as u16 + 1))
            });
            if let Some((node, socket)) = port {
                node.engine.inbox.push_back((socket, datagram.from, datagram.bytes));
            } else if let Some(wire) =
                self.wires.iter_mut().find(|wire| wire.address == datagram.to)
            {
                wire.receive(self.now_us, datagram);
            } else if let Some(node) =
                self.nodes.iter_mut().find(|node| node.address == datagram.to)
            {
                node.engine.inbox.push_back((0, datagram.from, datagram.bytes));
            } else if let Some(client) =
                self.clients.iter_mut().find(|client| client.address == datagram.to)
            {
                for answer in client.receive(now, self.now_us, &datagram) {
                    self.net.send(self.now_us, true, answer);
                }
            } else if let Some(raw) = self.raws.iter_mut().find(|raw| raw.address == datagram.to) {
                raw.receive(now, self.now_us, &datagram);
                for answer in raw.poll(now, self.now_us) {
                    self.net.send(self.now_us, true, answer);
                }
            }
        }
        any
    }

    fn run_clients(&mut self) -> bool {
        let now = self.now();
        let mut any = false;
        for client in &mut self.clients {
            let due = client.due.is_some_and(|at| at <= now)
                || client.next_frame_us().is_some_and(|at| at <= self.now_us);
            if client.died_us.is_some() || !due {
                continue;
            }
            let sent = client.poll(now, self.now_us);
            any |= !sent.is_empty();
            for datagram in sent {
                self.net.send(self.now_us, true, datagram);
            }
        }
        for raw in &mut self.raws {
            if raw.waits() || raw.due().is_some_and(|at| at <= now) {
                for datagram in raw.poll(now, self.now_us) {
                    any = true;
                    self.net.send(self.now_us, true, datagram);
                }
            }
        }
        any
    }

    fn run_control(&mut self) -> bool {
        if self.stalled_until_us > self.now_us {
            return false;
        }
        let mut any = false;
        for index in 0..self.nodes.len() {
            while let Some(command) = self.nodes[index].waiting.pop_front() {
                any = true;
                assert!(self.nodes[index].commands.push(command).is_ok(), "commands overflow");
            }
            while let Some(event) = self.nodes[index].events.pop() {
                any = true;
                if let (ShardEvent::Down { peer, .. }, true) = (&event, self.closes_down_peers) {
                    let close = ShardCommand::Close { peer: *peer };
                    self.nodes[index].waiting.push_back(close);
                }
                self.events.push((self.now_us, event));
            }
        }
        any
    }

    fn run_node(&mut self, index: usize) -> bool {
        let now = self.now();
        let node = &mut self.nodes[index];
        let due = node.shard.sleep(now).is_some_and(|sleep| sleep.is_zero());
        let mut any = !node.engine.inbox.is_empty() || !node.ports.idle() || due;
        if any {
            node.turns += 1;
            let work = Duration::from_micros(node.work_us);
            let read = Cell::new(false);
            let clock = || if read.replace(true) { now + work } else { now };
            turn(&mut node.shard, &mut node.engine, &mut node.ports, clock).expect("a turn");
        }
        any |= node.run_lane(now);
        let sent = std::mem::take(&mut node.engine.sent);
        let home = node.address;
        let ports = node.engine.ports.clone();
        for (socket, to, bytes) in sent {
            let from = match socket {
                0 => home,
                port => ports[usize::from(port) - 1].expect("an open port"),
            };
            let key = self.wires.iter().find(|wire| wire.address == to).and_then(|w| w.key);
            if let Some(key) = key {
                self.seals.sent(key, &bytes);
            } else if let Some(client) = self.clients.iter().position(|client| client.address == to)
            {
                self.seals.sent(client, &bytes);
            } else if let Some(raw) = self.raws.iter().position(|raw| raw.address == to) {
                self.seals.sent(RAW + raw, &bytes);
            }
            self.net.send(self.now_us, false, Datagram { from, to, bytes });
        }
        any
    }
}

impl Node {
    fn run_lane(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(message) = self.to_lane.pop() {
            any = true;
            self.lane.handle(now, message, &mut self.lane_out);
        }
        if self.lane.next_deadline().is_some_and(|at| at <= now) {
            any = true;
            self.lane.tick(now, &mut self.lane_out);
        }
        while let Some(message) = self.lane_out.pop() {
            any = true;
            if let Err(back) = self.from_lane.push(message) {
                self.lane_out.put_back(back);
                break;
            }
        }
        any
    }
}

fn lines(client: usize, specs: &[Spec]) -> Vec<Line> {
    let lines = specs.iter().enumerate();
    lines.map(|(mindex, &spec)| line(client, mindex as u16, spec)).collect()
}

fn transport(
    local: &Credentials,
    remote: Credentials,
    candidate: Candidate,
    fingerprint: Fingerprint,
) -> Transport {
    Transport {
        local: local.clone(),
        remote: Some(remote),
        controlling: false,
        candidates: vec![candidate],
        end_of_candidates: true,
        dtls_role: Some(Role::Server),
        fingerprint: Some(fingerprint),
        relay_only: false,
    }
}

fn config(index: usize, seed: u64) -> ShardConfig {
    let address = SocketAddr::from(([10, 0, 0, 1], 9000 + index as u16));
    ShardConfig {
        id: index as u8,
        sockets: vec![address],
        ice_lite: false,
        hangup_on_failed: false,
        consent_freshness: false,
        min_nack_queue: Duration::from_millis(200),
        twcc_period: Duration::from_millis(200),
        no_media: Duration::from_secs(1),
        slow_link_losses: 0,
        coalescing: Coalescing::default(),
        plain: false,
        secret: seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1,
    }
}

fn node(
    config: ShardConfig,
    start: Instant,
    bell: &Doorbell,
    neighbours: Vec<Option<handoff::Neighbour>>,
    context: &DtlsContext,
) -> Node {
    let (commands, commands_in) = link(4096, bell);
    let (events_out, events) = link(4096, bell);
    let (to_lane_out, to_lane) = link(2048, bell);
    let (from_lane, from_lane_in) = link(2048, bell);
    let lane = Lane::new(context.clone(), LaneLimits::default());
    let clock = Clock::new(start, WALL_US);
    let (_, carried) = Carrier::link(std::slice::from_ref(bell)).expect("an eventfd");
    let [carrier_ends] = <[_; 1]>::try_from(carried).expect("one shard");
    let (injector, injectors) = Injector::link(std::slice::from_ref(bell));
    let ports = Ports {
        commands: commands_in,
        events: events_out,
        to_lane: to_lane_out,
        from_lane: from_lane_in,
        carrier: carrier_ends,
        injectors,
        neighbours,
        bell: bell.clone(),
    };
    Node {
        address: config.sockets[0],
        shard: Shard::new(config, clock, clock.at(start)),
        engine: VirtualEngine::new(),
        injector,
        ports,
        commands,
        waiting: VecDeque::new(),
        events,
        lane_out: lane.outbox(),
        lane,
        to_lane,
        from_lane,
        next_slot: 0,
        generation: 1,
        turns: 0,
        work_us: 0,
    }
}
