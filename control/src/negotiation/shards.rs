//! The way to the shards: commands out, in order and never lost.
//!
//! A shard's ring takes [`MAX_BACKLOG`] commands more than it has room for: they wait here until
//! the shard has taken some. A shard that lets even that fill up is stuck; what comes then is
//! refused and counted, since it will be reported dead anyway.

use bifrons_core::media::ShardCommand;
use bifrons_datapath::start::Datapath;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

/// Most commands that wait for one shard beyond its ring.
pub const MAX_BACKLOG: usize = 1 << 16;

/// Where commands go.
pub trait Shards {
    /// How many there are, 1..=256.
    fn count(&self) -> usize;

    /// The addresses a shard receives at; empty for one that does not exist.
    fn sockets(&self, shard: u8) -> &[SocketAddr];

    /// Sends a command. To a shard that does not exist: nothing happens.
    fn send(&mut self, shard: u8, command: ShardCommand);

    /// Sends what had to wait. True while something still waits.
    fn flush(&mut self) -> bool;
}

/// The rings of a running datapath.
pub struct RingShards {
    datapath: Rc<RefCell<Datapath>>,
    lanes: Vec<Lane>,
    refused: u64,
}

/// What is kept about one shard.
struct Lane {
    sockets: Vec<SocketAddr>,
    backlog: VecDeque<ShardCommand>,
}

impl RingShards {
    /// The way to the shards of `datapath`.
    pub fn new(datapath: Rc<RefCell<Datapath>>) -> Self {
        let lane =
            |sockets: &Vec<SocketAddr>| Lane { sockets: sockets.clone(), backlog: VecDeque::new() };
        let lanes = datapath.borrow().shards.iter().map(|port| lane(&port.sockets)).collect();
        RingShards { datapath, lanes, refused: 0 }
    }

    /// Commands refused because a shard is stuck.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

impl Shards for RingShards {
    fn count(&self) -> usize {
        self.lanes.len()
    }

    fn sockets(&self, shard: u8) -> &[SocketAddr] {
        self.lanes.get(usize::from(shard)).map_or(&[], |lane| lane.sockets.as_slice())
    }

    fn send(&mut self, shard: u8, command: ShardCommand) {
        let Some(lane) = self.lanes.get_mut(usize::from(shard)) else { return };
        if lane.backlog.is_empty() {
            let mut datapath = self.datapath.borrow_mut();
            let Some(port) = datapath.shards.get_mut(usize::from(shard)) else { return };
            if let Err(command) = port.commands.push(command) {
                lane.backlog.push_back(command);
            }
        } else if lane.backlog.len() < MAX_BACKLOG {
            lane.backlog.push_back(command);
        } else {
            if self.refused == 0 {
                tracing::error!(shard, "the shard takes no commands any more");
            }
            self.refused += 1;
        }
    }

    fn flush(&mut self) -> bool {
        let mut datapath = self.datapath.borrow_mut();
        let mut waiting = false;
        for (lane, port) in self.lanes.iter_mut().zip(&mut datapath.shards) {
            while let Some(command) = lane.backlog.pop_front() {
                if let Err(command) = port.commands.push(command) {
                    lane.backlog.push_front(command);
                    break;
                }
            }
            waiting |= !lane.backlog.is_empty();
        }
        waiting
    }
}
