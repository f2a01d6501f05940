//! One shard as its thread and its handshake lane would run it, without either thread.

use super::engine::VirtualEngine;
use bifrons_core::media::{ShardCommand, ShardEvent};
use bifrons_datapath::dtls_openssl::DtlsContext;
use bifrons_datapath::handoff;
use bifrons_datapath::handshake::{FromLane, Lane, LaneLimits, Outbox, ToLane};
use bifrons_datapath::queue::{Doorbell, Rx, Tx, link};
use bifrons_datapath::run::{Ports, turn};
use bifrons_datapath::shard::{Clock, Shard, ShardConfig};
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
    ports: Ports,
    pub(crate) commands: Tx<ShardCommand>,
    pub(crate) waiting: VecDeque<ShardCommand>,
    pub(crate) events: Rx<ShardEvent>,
    pub(crate) lane: Lane,
    lane_out: Outbox,
    to_lane: Rx<ToLane>,
    from_lane: Tx<FromLane>,
    pub(crate) next_slot: u32,
    pub(crate) generation: u16,
    pub(crate) turns: u64,
}

impl Node {
    /// Does what is due at `now`; true if there was anything. What it sends is in the engine.
    pub(crate) fn run(&mut self, now: Instant) -> bool {
        let due = self.shard.sleep(now).is_some_and(|sleep| sleep.is_zero());
        let busy = !self.engine.inbox.is_empty() || !self.ports.idle() || due;
        if busy {
            self.turns += 1;
            turn(&mut self.shard, &mut self.engine, &mut self.ports, || now).expect("a turn");
        }
        self.run_lane(now) || busy
    }

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

/// The settings of shard `index` in a world of this seed.
pub(crate) fn config(index: usize, seed: u64) -> ShardConfig {
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
        secret: seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1,
    }
}

/// A shard that begins at `start`.
pub(crate) fn node(
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
    let ports = Ports {
        commands: commands_in,
        events: events_out,
        to_lane: to_lane_out,
        from_lane: from_lane_in,
        neighbours,
        bell: bell.clone(),
    };
    Node {
        address: config.sockets[0],
        shard: Shard::new(config, clock, clock.at(start)),
        engine: VirtualEngine::new(),
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
    }
}
