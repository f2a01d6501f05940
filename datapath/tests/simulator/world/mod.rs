//! Everything in one process on virtual time: shards with their real turns, rings and handshake
//! lanes, the network, the clients, and a stand-in for control.
//!
//! The network, the schedule and all of ours come from the seed. str0m draws its own ICE and DTLS
//! randomness, so a seed fixes the course of events but not every byte.

mod node;
mod time;

use self::node::{Node, config};
use crate::client::Client;
use crate::net::Net;
use crate::raw::Raw;
use crate::rng::Rng;
use crate::seal::SealWatch;
use crate::spec::{Spec, line};
use crate::wire::Wire;
use bifrons_core::dtls::{Fingerprint, Role};
use bifrons_core::ice::{CREDENTIAL_RANDOM, Candidate, Credentials};
use bifrons_core::media::{
    DownReason, Fact, Line, LineId, PeerId, PeerSetup, PeerStatistics, PeerUpdate, Plan,
    QueryTicket, Route, ShardCommand, ShardCounters, ShardEvent, SinkId, SourceId, Transport,
};
use bifrons_datapath::dtls_openssl::{Certificate, DtlsContext, DtlsSettings, KeyKind};
use bifrons_datapath::handoff;
use bifrons_datapath::queue::Doorbell;
use bifrons_datapath::shard::ShardConfig;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Clients of this number and above are [`Raw`] ones.
const RAW: usize = 1000;

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
            node::start(config, start, bell, neighbours, &context)
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
