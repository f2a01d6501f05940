//! How virtual time passes: from one thing that is due to the next, and at each everything happens
//! that can.

use super::{RAW, World};
use crate::net::Datagram;
use bifrons_core::media::{ShardCommand, ShardEvent};
use bifrons_datapath::run::turn;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Turns one instant may take before it counts as spinning.
const TURNS_AT_ONCE: usize = 2_000;

impl World {
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

    /// One turn of a shard, whether or not it has anything to do; how long it was to sleep before.
    pub(crate) fn turn_once(&mut self, index: usize) -> Option<Duration> {
        let now = self.now();
        let node = &mut self.nodes[index];
        turn(&mut node.shard, &mut node.engine, &mut node.ports, || now).expect("a turn");
        node.engine.waited
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
