//! The way to the shards: commands out, in order and never lost.
//!
//! A shard's ring takes [`MAX_BACKLOG`] commands more than it has room for: they wait here until
//! the shard has taken some. A shard that lets even that fill up is stuck; what comes then is
//! refused and counted, since it will be reported dead anyway.

#![allow(clippy::result_large_err, reason = "a command that finds no room comes back whole")]

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
#[derive(Debug, Default)]
struct Lane {
    sockets: Vec<SocketAddr>,
    backlog: VecDeque<ShardCommand>,
}

impl Lane {
    /// Puts a command behind those that wait, or straight into the ring. False if it is refused.
    fn send(
        &mut self,
        command: ShardCommand,
        put: impl FnOnce(ShardCommand) -> Result<(), ShardCommand>,
    ) -> bool {
        let waits = if self.backlog.is_empty() { put(command).err() } else { Some(command) };
        let Some(command) = waits else { return true };
        let has_room = self.backlog.len() < MAX_BACKLOG;
        if has_room {
            self.backlog.push_back(command);
        }
        has_room
    }

    /// Puts what waits into the ring until it is full. True if something still waits.
    fn flush(&mut self, mut put: impl FnMut(ShardCommand) -> Result<(), ShardCommand>) -> bool {
        while let Some(command) = self.backlog.pop_front() {
            if let Err(command) = put(command) {
                self.backlog.push_front(command);
                return true;
            }
        }
        false
    }
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
        let mut datapath = self.datapath.borrow_mut();
        let Some(port) = datapath.shards.get_mut(usize::from(shard)) else { return };
        if !lane.send(command, |command| port.commands.push(command)) {
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
            waiting |= lane.flush(|command| port.commands.push(command));
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bifrons_core::media::PeerId;

    /// A ring of three places.
    #[derive(Default)]
    struct Ring(Vec<u32>);

    impl Ring {
        fn put(&mut self, command: ShardCommand) -> Result<(), ShardCommand> {
            match command {
                ShardCommand::Close { peer } if self.0.len() < 3 => {
                    self.0.push(peer.slot);
                    Ok(())
                }
                other => Err(other),
            }
        }
    }

    fn close(slot: u32) -> ShardCommand {
        ShardCommand::Close { peer: PeerId { shard: 0, slot, generation: 1 } }
    }

    #[test]
    fn what_finds_the_ring_full_waits_in_order() {
        let (mut lane, mut ring) = (Lane::default(), Ring::default());
        for slot in 0..5 {
            assert!(lane.send(close(slot), |command| ring.put(command)));
        }
        assert_eq!((ring.0.as_slice(), lane.backlog.len()), (&[0, 1, 2][..], 2));
        ring.0.clear();
        // There is room, but nobody overtakes.
        assert!(lane.send(close(5), |command| ring.put(command)));
        assert!(ring.0.is_empty());
        assert!(!lane.flush(|command| ring.put(command)));
        assert_eq!(ring.0, [3, 4, 5]);
    }

    #[test]
    fn a_stuck_shard_is_refused_what_goes_past_the_bound() {
        let mut lane = Lane::default();
        for slot in 0..MAX_BACKLOG as u32 {
            assert!(lane.send(close(slot), Err));
        }
        assert!(!lane.send(close(0), Err));
        assert!(lane.flush(Err) && lane.backlog.len() == MAX_BACKLOG);
    }
}
