//! UDP ports of plugins: bound here at once, so that a synchronous request can name them, and
//! handed to their shards, which alone read and write them (design §1 rule 3).
//!
//! Bounds: [`MAX_PORTS`] a shard. Forwarders without a port of their own share two on each shard,
//! one a family, opened with the first that needs it.

use super::Shards;
use bifrons_core::media::{
    Family, Port, PortClock, PortError, PortId, PortRequest, PortSocket, ShardCommand,
};
use bifrons_datapath::udp;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Most ports of one shard: what its engine takes, less its own sockets.
pub(super) const MAX_PORTS: usize = 896;

/// The first number that is given out; those below are the shared ones.
const FIRST: u32 = 2;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ports {
    open: HashMap<u8, HashMap<PortId, PortClock>>,
    /// Closed, but their shard has not said so yet.
    closing: HashSet<PortId>,
    /// Closed, and nobody has heard of it yet.
    closed: VecDeque<PortId>,
    given: u32,
}

impl Ports {
    /// Opens a port. `pick` says where in the range to begin.
    pub(super) fn open(
        &mut self,
        request: &PortRequest,
        pick: u16,
        now: Instant,
        shards: &mut dyn Shards,
    ) -> Result<Port, PortError> {
        let id = PortId { shard: request.shard, number: FIRST.wrapping_add(self.given) };
        let address = self.bind(id, request, pick, now, shards)?;
        self.given = self.given.wrapping_add(1);
        Ok(Port { id, address })
    }

    /// Opens the port that a shard's forwarders share, unless it is open.
    pub(super) fn share(
        &mut self,
        shard: u8,
        v6: bool,
        shards: &mut dyn Shards,
    ) -> Result<(), PortError> {
        let id = PortId { shard, number: u32::from(v6) };
        if self.open.get(&shard).is_some_and(|open| open.contains_key(&id)) {
            return Ok(());
        }
        let family = if v6 { Family::V6 } else { Family::V4 };
        let request = PortRequest { family, ..PortRequest::new(shard, 0, 0) };
        // Nobody asks its age.
        self.bind(id, &request, 0, Instant::now(), shards).map(drop)
    }

    /// How long ago something last arrived at a port.
    pub(super) fn age(&self, port: PortId, now: Instant) -> Option<Duration> {
        Some(self.open.get(&port.shard)?.get(&port)?.age(now))
    }

    /// Closes a port; one that is not open: nothing happens, and false. Else [`Ports::next_closed`]
    /// tells when its number is free.
    pub(super) fn close(&mut self, port: PortId, shards: &mut dyn Shards) -> bool {
        let was_open = self.open.get_mut(&port.shard).is_some_and(|o| o.remove(&port).is_some());
        if was_open {
            self.closing.insert(port);
            shards.send(port.shard, ShardCommand::ClosePort { port });
        }
        was_open
    }

    /// A shard has closed a port.
    pub(super) fn closed(&mut self, port: PortId) {
        if self.closing.remove(&port) {
            self.closed.push_back(port);
        }
    }

    /// A shard is gone, and its sockets with it.
    pub(super) fn shard_died(&mut self, shard: u8) {
        let gone = self.closing.extract_if(|port| port.shard == shard);
        self.closed.extend(gone);
        self.open.remove(&shard);
    }

    /// The next port whose number is free again.
    pub(super) fn next_closed(&mut self) -> Option<PortId> {
        self.closed.pop_front()
    }

    fn bind(
        &mut self,
        id: PortId,
        request: &PortRequest,
        pick: u16,
        now: Instant,
        shards: &mut dyn Shards,
    ) -> Result<std::net::SocketAddr, PortError> {
        if usize::from(id.shard) >= shards.count() {
            return Err(PortError::Refused("there is no such shard".to_owned()));
        }
        let open = self.open.entry(id.shard).or_default();
        if open.len() >= MAX_PORTS {
            return Err(PortError::Full);
        }
        let refused = |error: std::io::Error| PortError::Refused(error.to_string());
        let socket = udp::open_port(request, pick).map_err(refused)?;
        let socket = PortSocket::new(socket, now).map_err(refused)?;
        let address = socket.address();
        open.insert(id, socket.clock().clone());
        shards.send(id.shard, ShardCommand::OpenPort { port: id, socket, open: request.open });
        Ok(address)
    }
}

/// The first address of an interface in one family.
pub(super) fn interface_address(name: &str, v6: bool) -> Option<IpAddr> {
    let all = if_addrs::get_if_addrs().ok()?;
    let mut of_it = all.iter().filter(|one| one.name == name).map(if_addrs::Interface::ip);
    of_it.find(|ip| ip.is_ipv6() == v6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    /// What was sent, and the sockets, which have to stay bound.
    #[derive(Default)]
    struct Two(Vec<(u8, String)>, Vec<PortSocket>);

    impl Shards for Two {
        fn count(&self) -> usize {
            2
        }

        fn sockets(&self, _shard: u8) -> &[SocketAddr] {
            &[]
        }

        fn send(&mut self, shard: u8, command: ShardCommand) {
            let text = match command {
                ShardCommand::OpenPort { port, socket, .. } => {
                    assert_ne!(socket.address().port(), 0);
                    self.1.push(socket);
                    format!("open {}", port.number)
                }
                ShardCommand::ClosePort { port } => format!("close {}", port.number),
                other => panic!("{other:?}"),
            };
            self.0.push((shard, text));
        }

        fn flush(&mut self) -> bool {
            false
        }
    }

    #[test]
    fn a_port_is_bound_at_once_and_closed_once() {
        let (mut ports, mut shards) = (Ports::default(), Two::default());
        let now = Instant::now();
        let port = ports.open(&PortRequest::new(1, 0, 0), 0, now, &mut shards).expect("a port");
        assert_eq!((port.id.shard, port.id.number), (1, FIRST));
        let number = port.address.port();
        let taken = PortRequest::new(1, number, number);
        assert!(matches!(ports.open(&taken, 0, now, &mut shards), Err(PortError::Refused(_))));
        assert!(
            ports.open(&PortRequest::new(2, 0, 0), 0, now, &mut shards).is_err(),
            "no such shard"
        );
        ports.share(0, false, &mut shards).expect("a shared port");
        ports.share(0, false, &mut shards).expect("the same");
        let later = now + Duration::from_secs(2);
        assert_eq!(ports.age(port.id, later), Some(Duration::from_secs(2)), "nothing came yet");
        assert!(ports.close(port.id, &mut shards));
        assert!(!ports.close(port.id, &mut shards), "it is closed");
        assert_eq!(ports.age(port.id, later), None);
        assert_eq!(ports.next_closed(), None, "the shard still has it");
        ports.closed(port.id);
        ports.closed(port.id);
        assert_eq!([ports.next_closed(), ports.next_closed()], [Some(port.id), None]);
        let wanted =
            [(1, "open 2".to_owned()), (0, "open 0".to_owned()), (1, "close 2".to_owned())];
        assert_eq!(shards.0, wanted);
    }
}
