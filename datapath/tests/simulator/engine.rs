//! The virtual network's end at a shard: an [`Engine`] whose sockets are lists.

use bifrons_datapath::engine::{Engine, EngineCounters, Received, Turn};
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// Bytes of the egress arena, as in the real engines.
const ARENA: usize = 256 << 10;

/// One send as the kernel would have seen it.
pub(crate) struct Sent {
    pub(crate) to: SocketAddr,
    /// The first two bytes.
    pub(crate) head: [u8; 2],
    /// The length of each of its datagrams.
    pub(crate) lens: Vec<usize>,
}

/// See the module. Trains leave as the datagrams they are made of.
pub(crate) struct VirtualEngine {
    pub(crate) inbox: VecDeque<(u16, SocketAddr, Vec<u8>)>,
    pub(crate) sent: Vec<(u16, SocketAddr, Vec<u8>)>,
    pub(crate) trains: u64,
    /// How long the last turn was to sleep.
    pub(crate) waited: Option<Duration>,
    /// Whether sends are kept, for tests that look at trains.
    pub(crate) record: bool,
    pub(crate) sends: Vec<Sent>,
    /// Addresses of attached ports, by socket number less one.
    pub(crate) ports: Vec<Option<SocketAddr>>,
    arena: Vec<u8>,
    used: usize,
    queued: Vec<(u16, SocketAddr, usize, usize, u16)>,
    counters: EngineCounters,
}

impl VirtualEngine {
    pub(crate) fn new() -> Self {
        VirtualEngine {
            inbox: VecDeque::new(),
            sent: Vec::new(),
            trains: 0,
            waited: None,
            record: false,
            sends: Vec::new(),
            ports: Vec::new(),
            // What an earlier batch left must never matter.
            arena: vec![0xA5; ARENA],
            used: 0,
            queued: Vec::new(),
            counters: EngineCounters::default(),
        }
    }
}

impl Engine for VirtualEngine {
    fn turn(
        &mut self,
        wait: Option<Duration>,
        budget: u32,
        on: &mut dyn FnMut(Received<'_>),
    ) -> io::Result<Turn> {
        self.waited = wait;
        self.flush()?;
        let mut turn = Turn::default();
        while turn.received < budget.max(1) {
            let Some((socket, from, mut bytes)) = self.inbox.pop_front() else { break };
            turn.received += 1;
            self.counters.datagrams_in += 1;
            on(Received { socket, from, bytes: &mut bytes });
        }
        Ok(turn)
    }

    fn room(&mut self, len: usize) -> io::Result<&mut [u8]> {
        if len > ARENA {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.used + len > ARENA {
            self.flush()?;
        }
        Ok(&mut self.arena[self.used..])
    }

    fn send(&mut self, socket: u16, to: SocketAddr, len: usize, segment: u16) {
        assert!(len > 0 && self.used + len <= ARENA, "a send longer than its room");
        self.queued.push((socket, to, self.used, len, segment));
        self.used = (self.used + len).next_multiple_of(64).min(ARENA);
    }

    fn flush(&mut self) -> io::Result<()> {
        for (socket, to, at, len, segment) in self.queued.drain(..) {
            let piece = if segment == 0 { len } else { usize::from(segment) };
            self.trains += u64::from(piece < len);
            if self.record {
                let head = [self.arena[at], self.arena[at + 1]];
                let lens = self.arena[at..at + len].chunks(piece).map(<[u8]>::len).collect();
                self.sends.push(Sent { to, head, lens });
            }
            for bytes in self.arena[at..at + len].chunks(piece) {
                self.counters.datagrams_out += 1;
                self.sent.push((socket, to, bytes.to_vec()));
            }
        }
        self.arena[..self.used].fill(0xA5);
        self.used = 0;
        Ok(())
    }

    fn attach(&mut self, _socket: UdpSocket) -> io::Result<u16> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn attach_simulated(&mut self, address: SocketAddr) -> io::Result<u16> {
        let free = self.ports.iter().position(Option::is_none).unwrap_or(self.ports.len());
        self.ports.resize(self.ports.len().max(free + 1), None);
        self.ports[free] = Some(address);
        Ok(free as u16 + 1)
    }

    fn detach(&mut self, socket: u16) {
        self.ports[usize::from(socket) - 1] = None;
    }

    fn counters(&self) -> EngineCounters {
        self.counters
    }
}
