//! One shard with what surrounds it, as `bifrons` starts it, but turned by hand.

use crate::engine::VirtualEngine;
use bifrons_core::media::{ShardCommand, ShardEvent};
use bifrons_datapath::carry::Carrier;
use bifrons_datapath::dtls_openssl::DtlsContext;
use bifrons_datapath::handoff;
use bifrons_datapath::handshake::{FromLane, Lane, LaneLimits, Outbox, ToLane};
use bifrons_datapath::inject::Injector;
use bifrons_datapath::queue::{Doorbell, Rx, Tx, link};
use bifrons_datapath::run::Ports;
use bifrons_datapath::shard::{Clock, Coalescing, Shard, ShardConfig};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// 2026-01-01 in microseconds, on every simulated wall clock.
const WALL_US: u64 = 1_767_225_600_000_000;

/// One shard with what surrounds it.
pub(crate) struct Node {
    pub(crate) shard: Shard,
    pub(crate) engine: VirtualEngine,
    pub(crate) address: SocketAddr,
    /// A helper's way to this shard, which it knows as shard 0.
    pub(crate) injector: Injector,
    pub(super) ports: Ports,
    pub(super) commands: Tx<ShardCommand>,
    pub(super) waiting: VecDeque<ShardCommand>,
    pub(super) events: Rx<ShardEvent>,
    pub(super) lane: Lane,
    pub(super) lane_out: Outbox,
    pub(super) to_lane: Rx<ToLane>,
    pub(super) from_lane: Tx<FromLane>,
    pub(super) next_slot: u32,
    pub(super) generation: u16,
    pub(crate) turns: u64,
    /// How long a turn takes by the shard's own clock.
    pub(crate) work_us: u64,
}

impl Node {
    /// The handshake lane does what it has to; true when that was anything.
    pub(super) fn run_lane(&mut self, now: Instant) -> bool {
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

/// How a shard is set up unless a test changes it.
pub(super) fn config(index: usize, seed: u64) -> ShardConfig {
    let address = SocketAddr::from(([10, 0, 0, 1], 9000 + index as u16));
    ShardConfig {
        id: index as u8,
        sockets: vec![address],
        ice_lite: false,
        hangup_on_failed: false,
        consent_freshness: false,
        min_nack_queue: Duration::from_millis(200),
        twcc_period: Duration::from_millis(200),
        busy_poll: Duration::ZERO,
        no_media: Duration::from_secs(1),
        slow_link_losses: 0,
        coalescing: Coalescing::default(),
        plain: false,
        secret: seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1,
    }
}

/// A shard, its handshake lane, and the queues around both.
pub(super) fn start(
    config: ShardConfig,
    at: Instant,
    bell: &Doorbell,
    neighbours: Vec<Option<handoff::Neighbour>>,
    context: &DtlsContext,
) -> Node {
    let (commands, commands_in) = link(4096, bell);
    let (events_out, events) = link(4096, bell);
    let (to_lane_out, to_lane) = link(2048, bell);
    let (from_lane, from_lane_in) = link(2048, bell);
    let lane = Lane::new(context.clone(), LaneLimits::default());
    let clock = Clock::new(at, WALL_US);
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
        shard: Shard::new(config, clock, clock.at(at)),
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
