//! A shard: the peers of one core, and everything that happens to them.
//!
//! The shard itself is sans-IO. A turn is: commands, then datagrams, hand-offs and handshake
//! answers, then timers, then departure. The thread around it ([`crate::run`]), or the simulator,
//! supplies time, an [`Engine`](crate::engine::Engine) and the far ends of its queues.

mod burst;
mod carried;
mod clock;
mod command;
mod connect;
mod data;
mod data_turn;
mod forwarder;
mod ingest;
mod inject;
mod load;
mod message;
mod neighbour;
mod outbox;
mod port;
mod receive;
mod relay;
mod report;
mod route;
mod rtcp;
mod rtp;
mod timers;
mod turn;

pub use clock::{Clock, Now};
pub use load::{Coalescing, FULL, Load, WINDOW_US};
pub use outbox::Outbox;
pub use timers::Timers;

use crate::carry::Outward;
use crate::data::DataDesk;
use crate::departure::{Departure, Gate};
use crate::forward::Sources;
use crate::handoff::{Feedback, Parcel};
use crate::handshake::{Datagram, ToLane};
use crate::peer::{AddressTable, PeerTable};
use crate::port::{Forwarder, Ingest, Ports, Seals};
use crate::seal::Kernel;
use crate::tap::Tap;
use bifrons_core::media::{ForwarderId, IngestId, PortId, ShardCounters, ShardEvent};
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What all shards of a server share, as values.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// This shard's index.
    pub id: u8,
    /// The local addresses of its sockets, in the engine's order.
    pub sockets: Vec<SocketAddr>,
    /// Whether our ICE agents are lite.
    pub ice_lite: bool,
    /// Hang up at once when ICE fails after having been connected.
    pub hangup_on_failed: bool,
    /// Consent checks as connectivity checks (RFC 7675).
    pub consent_freshness: bool,
    /// Least time that sent packets are kept for retransmission.
    pub min_nack_queue: Duration,
    /// Period of transport-wide feedback.
    pub twcc_period: Duration,
    /// Silence after which a line counts as not receiving; zero = off.
    pub no_media: Duration,
    /// Losses in a second that make a slow link; 0 = off.
    pub slow_link_losses: u32,
    /// How long the thread keeps looking for packets before it sleeps; zero: not at all.
    pub busy_poll: Duration,
    /// How video waits under load, so that trains grow.
    pub coalescing: Coalescing,
    /// No DTLS and no SRTP: media in the clear, to debug (`no_webrtc_encryption`).
    pub plain: bool,
    /// Random; seeds the address table's hash and nothing else.
    pub secret: u64,
}

/// See the module.
pub struct Shard {
    config: ShardConfig,
    clock: Clock,
    now: Now,
    /// When the last turn ended.
    rested: Instant,
    /// When the last turn ended in which anything came in.
    worked: Instant,
    /// Whether anything came in this turn.
    came: bool,
    /// Whether this turn found nothing where it looked instead of sleeping.
    vain: bool,
    peers: PeerTable,
    addresses: AddressTable,
    sources: Sources,
    ports: Ports,
    ingests: Slab<Ingest>,
    ingest_places: HashMap<IngestId, u32>,
    /// When silent ingests are looked for next.
    ingests_due_us: u64,
    forwarders: Slab<Forwarder>,
    forwarder_places: HashMap<ForwarderId, u32>,
    /// SRTP keys of forwarders.
    seals: Seals,
    /// Places of forwarders with something to send in this turn.
    forwarding: Vec<u32>,
    /// Hellos that leave in this turn.
    greetings: Vec<(PortId, SocketAddr)>,
    timers: Timers,
    outbox: Outbox,
    tap: Tap,
    /// Datagrams for peers behind relays, made in this turn.
    pub(crate) outward: Outward,
    /// Who of the peers leaves in this turn.
    gate: Gate,
    load: Load,
    departure: Departure,
    /// Data channels of its peers.
    pub(crate) data: DataDesk,
    /// Events for control that did not fit the ring yet.
    pub(crate) events: VecDeque<ShardEvent>,
    /// How many of them were counted as waiting.
    events_left: usize,
    /// Messages for the handshake lane that did not fit the ring yet.
    pub(crate) to_lane: VecDeque<ToLane>,
    /// Used boxes for records to the lane.
    #[allow(clippy::vec_box, reason = "the boxes travel; only their addresses move")]
    datagrams: Vec<Box<Datagram>>,
    /// Packets for other shards, made in this turn.
    pub(crate) parcels: Vec<(u8, Box<Parcel>)>,
    /// Boxes to make parcels of.
    #[allow(clippy::vec_box, reason = "the boxes travel; only their addresses move")]
    pub(crate) empties: Vec<Box<Parcel>>,
    /// Feedback for other shards, made in this turn.
    pub(crate) feedback: Vec<(u8, Feedback)>,
    counters: ShardCounters,
    /// Datagrams the engine could not get rid of.
    unsent: u64,
    stopping: bool,
}

impl Shard {
    /// A shard without peers.
    pub fn new(config: ShardConfig, clock: Clock, now: Now) -> Self {
        Shard {
            addresses: AddressTable::new(config.secret),
            config,
            clock,
            now,
            rested: now.instant,
            worked: now.instant,
            came: false,
            vain: false,
            peers: PeerTable::default(),
            sources: Sources::default(),
            ports: Ports::default(),
            ingests: Slab::new(),
            ingest_places: HashMap::new(),
            ingests_due_us: 0,
            forwarders: Slab::new(),
            forwarder_places: HashMap::new(),
            seals: Seals::default(),
            forwarding: Vec::with_capacity(64),
            greetings: Vec::new(),
            timers: Timers::default(),
            outbox: Outbox::default(),
            tap: Tap::default(),
            outward: Outward::default(),
            gate: Gate::default(),
            load: Load::default(),
            departure: Departure::new(Kernel::detect()),
            data: DataDesk::default(),
            events: VecDeque::new(),
            events_left: 0,
            to_lane: VecDeque::new(),
            datagrams: Vec::new(),
            parcels: Vec::new(),
            empties: Vec::new(),
            feedback: Vec::new(),
            counters: ShardCounters::default(),
            unsent: 0,
            stopping: false,
        }
    }

    /// Has the shard seal by another kernel than the fastest; before it has peers, whose keys are
    /// made for it.
    pub fn set_kernel(&mut self, kernel: Kernel) {
        self.departure = Departure::new(kernel);
    }

    /// Gives the shard the tap that captures are made through; without one there are none.
    pub fn attach_tap(&mut self, tap: Tap) {
        self.tap = tap;
    }

    /// Its index.
    pub fn id(&self) -> u8 {
        self.config.id
    }

    /// Its counters now.
    pub fn counters(&self) -> ShardCounters {
        let lost_on_the_way = self.outbox.refused() + self.ports.refused() + self.outward.refused();
        let shed = self.counters.shed + self.unsent + lost_on_the_way;
        ShardCounters { peers: self.peers.len(), shed, ..self.counters }
    }

    /// Whether it was told to stop and every peer is gone.
    pub fn has_stopped(&self) -> bool {
        self.stopping && self.peers.is_empty()
    }

    fn tell(&mut self, event: ShardEvent) {
        self.events.push_back(event);
    }
}
