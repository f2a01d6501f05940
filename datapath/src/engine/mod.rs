//! A shard's only door to the network: datagrams in, trains of datagrams out, one sleep.
//!
//! Two engines stand behind [`Engine`]: [`UringEngine`], the one to
//! run, and [`EpollEngine`] for hosts where io_uring is switched off
//! or filtered (`kernel.io_uring_disabled`, container seccomp profiles). They behave alike; the
//! same tests run over both. [`open_engine`] chooses.
//!
//! An engine belongs to the thread that opened it. Its memory is taken at the start: receive
//! buffers (17 MiB with GRO, 9 MiB without), one egress arena that is reused for every batch,
//! and a table of queued sends. Nothing is allocated per packet. The cost is one system call a
//! turn (io_uring) or three (epoll) plus the kernel's own work for each train
//! (reference/datapath-limits.md sections 2 and 3).

mod egress;
#[cfg(test)]
mod host_tests;
mod ingress;
mod region;
mod sockets;
#[cfg(test)]
mod tests;

pub(crate) use egress::{Egress, Fate, SEND_FLAGS};
pub(crate) use ingress::Arrival;
pub(crate) use region::Region;
pub(crate) use sockets::{MAX_SOCKETS, Sockets};

use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::bypass::Bypass;
use crate::epoll::EpollEngine;
use crate::queue::Doorbell;
use crate::ring::UringEngine;
use crate::udp::UdpCapabilities;
use bifrons_core::media::BypassCounters;

/// One datagram that arrived; a coalesced train has been taken apart before.
#[derive(Debug)]
pub struct Received<'a> {
    /// The socket it came in on, by the number it was given when it was attached.
    pub socket: u16,
    /// Who sent it.
    pub from: SocketAddr,
    /// The whole datagram, possibly empty; the shard may decrypt in place. The buffer goes back
    /// to the kernel when the callback returns.
    pub bytes: &'a mut [u8],
}

/// What one turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// Datagrams handed out.
    pub received: u32,
    /// The doorbell was rung since the last turn. May be true without cause, never false
    /// with one.
    pub woken: bool,
    /// Datagrams that reached the host and were not handed out: longer than a buffer, or lost
    /// at a full socket buffer (as far as the kernel has told by now).
    pub dropped: u32,
}

/// Totals since the engine was opened; plain values, to be copied out by snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EngineCounters {
    /// Datagrams handed out.
    pub datagrams_in: u64,
    /// Bytes of them.
    pub bytes_in: u64,
    /// Messages that held more than one datagram (GRO).
    pub trains_in: u64,
    /// Datagrams the kernel took.
    pub datagrams_out: u64,
    /// Bytes of them.
    pub bytes_out: u64,
    /// Sends of more than one datagram (GSO) the kernel took.
    pub trains_out: u64,
    /// System calls made.
    pub syscalls: u64,
    /// Datagrams given up because a send buffer or a device queue was full.
    pub shed: u64,
    /// Datagrams the kernel refused to send for another reason: no route, address family of
    /// another socket, firewall, too long, socket gone.
    pub refused: u64,
    /// Trains the device or the path would not take whole; sent one datagram at a time.
    pub unhitched: u64,
    /// Times the receive buffers ran out and receiving had to be armed again (io_uring only;
    /// what waits stays in the socket buffer meanwhile).
    pub enobufs: u64,
    /// Datagrams dropped because they were longer than a receive buffer.
    pub truncated: u64,
    /// Datagrams lost at a full socket receive buffer.
    pub overflowed: u64,
    /// Receive errors other than the ones above; none are expected.
    pub faults: u64,
    /// What of all that was sent did not leave by a socket.
    pub bypass: BypassCounters,
}

/// A shard's only door to the network. See the module's head for bounds and cost.
///
/// A turn of a shard: [`Engine::turn`], and for what it wants to send any number of
/// [`Engine::room`], fill, [`Engine::send`]. Queued trains leave when the arena or the table is
/// full, at [`Engine::flush`], or with the next turn's own system call, whichever is first.
pub trait Engine {
    /// Sends what is queued, then sleeps until a datagram, a wake or the deadline (`None`: only
    /// I/O; zero: no sleep) and hands each datagram to `on`, at most `budget` (0 counts as 1).
    /// What is left waits for the next turn, which then does not sleep.
    ///
    /// # Errors
    /// Only what makes the engine useless; wire input and full buffers are counted instead. A
    /// turn may come back empty early: a signal, a receive that has to be armed again.
    fn turn(
        &mut self,
        wait: Option<Duration>,
        budget: u32,
        on: &mut dyn FnMut(Received<'_>),
    ) -> io::Result<Turn>;

    /// At least `len` writable egress bytes, aligned to 64; flushes what is queued if there is
    /// no room beside it. Contents are those of an earlier batch.
    ///
    /// # Errors
    /// `InvalidInput` when `len` is larger than the arena; else as [`Engine::flush`].
    fn room(&mut self, len: usize) -> io::Result<&mut [u8]>;

    /// Queues the first `len` bytes of the last [`Engine::room`] for `to`, out of `socket`, as
    /// one train: datagrams of `segment` bytes, the last may be shorter; `segment` 0 or >= `len`
    /// is one datagram. Trains longer than 64 datagrams or 65507 bytes leave as several. What
    /// cannot leave is counted, never an error: a media packet has no one to complain to.
    ///
    /// Several sends may follow one room: each takes the bytes from the next multiple of 64 on,
    /// and none of them moves or frees what the room holds.
    fn send(&mut self, socket: u16, to: SocketAddr, len: usize, segment: u16);

    /// Submits everything queued; after it the arena is empty. Sheds what the kernel would not
    /// take, counted.
    ///
    /// # Errors
    /// As [`Engine::turn`].
    fn flush(&mut self) -> io::Result<()>;

    /// Adds a socket (an ingest port, say) and returns its number: the lowest free one.
    ///
    /// # Errors
    /// When 960 are attached, or the kernel refuses.
    fn attach(&mut self, socket: UdpSocket) -> io::Result<u16>;

    /// As [`Engine::attach`], for a socket that a simulation knows by its address. Real engines
    /// have none.
    ///
    /// # Errors
    /// `Unsupported`, unless simulated.
    fn attach_simulated(&mut self, address: SocketAddr) -> io::Result<u16> {
        let _ = address;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Closes a socket after sending what is queued. Datagrams it still held are not handed out;
    /// its number is given out again once the kernel has let go of it.
    fn detach(&mut self, socket: u16);

    /// From now on, sends what can leave by a packet ring that way. An engine that has no use for
    /// it drops it.
    fn attach_bypass(&mut self, bypass: Bypass) {
        drop(bypass);
    }

    /// Whether the kernel still has hold of a socket that was detached: its port is taken then.
    fn holds(&self, socket: u16) -> bool {
        let _ = socket;
        false
    }

    /// The totals now.
    fn counters(&self) -> EngineCounters;
}

/// The engine an operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineChoice {
    /// io_uring, or epoll where that is refused.
    #[default]
    Auto,
    /// io_uring or nothing.
    IoUring,
    /// The epoll twin.
    Epoll,
}

/// The engine that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// [`UringEngine`].
    IoUring,
    /// [`EpollEngine`].
    Epoll,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        })
    }
}

/// How much memory an engine takes and what it may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineOptions {
    /// What the kernel can do; the engine switches GRO on or off on its sockets accordingly.
    pub capabilities: UdpCapabilities,
    /// Bytes of the egress arena. The default, 256 KiB, stays in a core's second-level cache
    /// while holding some hundred packets.
    pub egress_bytes: usize,
    /// Trains queued before a flush, at most 1024; default 256.
    pub trains: u16,
    /// Receive buffers, rounded up to a power of two; default 256 with GRO (of 64 KiB) and 4096
    /// without (of 2 KiB). The epoll engine takes a sixteenth, at most 64.
    pub receive_buffers: Option<u16>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let capabilities = UdpCapabilities::default();
        Self { capabilities, egress_bytes: 256 << 10, trains: 256, receive_buffers: None }
    }
}

impl EngineOptions {
    /// The defaults for a kernel that can do `capabilities`.
    pub fn new(capabilities: UdpCapabilities) -> Self {
        Self { capabilities, ..Self::default() }
    }

    /// Bytes of one receive buffer's payload part.
    pub(crate) fn payload_bytes(&self) -> usize {
        if self.capabilities.gro { 64 << 10 } else { 2 << 10 }
    }

    /// Receive buffers of the ring, a power of two.
    pub(crate) fn buffer_count(&self) -> u16 {
        let default = if self.capabilities.gro { 256 } else { 4096 };
        let wanted = self.receive_buffers.unwrap_or(default);
        wanted.clamp(1, 1 << 14).next_power_of_two()
    }
}

/// Opens an engine over `sockets` (numbered in that order) that also wakes by `bell`. To be
/// called on the thread that will turn it: the ring belongs to one thread.
///
/// Returns which engine runs and, when that is not the first choice, why.
///
/// # Errors
/// When the asked-for engine cannot be set up; with [`EngineChoice::Auto`], when neither can.
pub fn open_engine(
    choice: EngineChoice,
    sockets: Vec<UdpSocket>,
    bell: &Doorbell,
    options: &EngineOptions,
) -> io::Result<(Box<dyn Engine>, EngineKind, Option<String>)> {
    let mut refused = None;
    if choice != EngineChoice::Epoll {
        // Clones, so that the sockets are still there for the twin.
        let clones = sockets.iter().map(UdpSocket::try_clone).collect::<io::Result<_>>()?;
        match UringEngine::open(clones, bell, options) {
            Ok(engine) => return Ok((Box::new(engine), EngineKind::IoUring, None)),
            Err(error) if choice == EngineChoice::IoUring => return Err(error),
            Err(error) => refused = Some(error.to_string()),
        }
    }
    let engine = EpollEngine::open(sockets, bell, options)?;
    Ok((Box::new(engine), EngineKind::Epoll, refused))
}
