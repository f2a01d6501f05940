//! Section `datapath` of `janus.jcfg`, Bifrons's own: how packets are carried.
//!
//! The ports of the shards are not here: shard `n` takes the `n`-th port of
//! `media.rtp_port_range` (see [`super::Media::rtp_port_base`]).

use super::super::section::{Section, Word};
use super::Settings;

/// Most shards that can be asked for.
pub const MAX_SHARDS: u16 = 256;

/// What moves packets between the kernel and a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// io_uring where the kernel allows it, else epoll.
    Auto,
    /// io_uring, or the start fails.
    IoUring,
    /// epoll.
    Epoll,
}

impl Word for Engine {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("io_uring", Self::IoUring), ("epoll", Self::Epoll)];
}

/// How packets leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tx {
    /// By UDP sockets.
    Udp,
    /// By rings of finished frames where that can be, else by UDP sockets.
    PacketRing,
}

impl Word for Tx {
    const WORDS: &'static [(&'static str, Self)] =
        &[("udp", Self::Udp), ("packet-ring", Self::PacketRing)];
}

/// What an offer of `a=setup:actpass` is answered with (RFC 8842 §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// The client begins the DTLS handshake.
    Passive,
    /// We begin it, as Janus does.
    Active,
}

impl Word for Setup {
    const WORDS: &'static [(&'static str, Self)] =
        &[("passive", Self::Passive), ("active", Self::Active)];
}

/// How packets are carried.
#[derive(Debug, Clone, PartialEq)]
pub struct Datapath {
    /// Number of shards, 0: as many as the allowed cores less one, at least one.
    pub shards: u16,
    /// What moves packets.
    pub engine: Engine,
    /// How packets leave.
    pub tx: Tx,
    /// Microseconds a packet of video may wait for more of its frame while a shard is loaded.
    pub coalesce_us: u32,
    /// Percent of its time that a shard is busy before anything waits; 0: always.
    pub coalesce_load_percent: u32,
    /// Microseconds a shard looks for packets before it sleeps.
    pub busy_poll_us: u32,
    /// Cores of the shards in turn; empty: the cores the process was started with, less the first.
    pub affinity: Vec<u16>,
    /// Our DTLS role when the client leaves it to us.
    pub setup: Setup,
}

impl Default for Datapath {
    fn default() -> Self {
        Self {
            shards: 0,
            engine: Engine::Auto,
            tx: Tx::Udp,
            coalesce_us: 5_000,
            coalesce_load_percent: 50,
            busy_poll_us: 0,
            affinity: Vec::new(),
            setup: Setup::Passive,
        }
    }
}

impl Datapath {
    pub(super) fn read(&mut self, section: &mut Section<'_>) {
        section.number("shards", &mut self.shards, 0..=MAX_SHARDS, "");
        section.word("engine", &mut self.engine);
        section.word("tx", &mut self.tx);
        section.number("coalesce_us", &mut self.coalesce_us, 0..=20_000, "microseconds");
        section.number("coalesce_load", &mut self.coalesce_load_percent, 0..=100, "percent");
        section.number("busy_poll_us", &mut self.busy_poll_us, 0..=1_000_000, "microseconds");
        section.items("affinity", &mut self.affinity, "cores such as 2 or 4-7", cores);
        section.word("setup", &mut self.setup);
    }
}

/// `2` or `4-7`; at most 1024 cores are believed to exist.
fn cores(item: &str) -> Option<Vec<u16>> {
    let core = |text: &str| text.trim().parse::<u16>().ok().filter(|core| *core < 1024);
    let (first, last) = match item.split_once('-') {
        Some((first, last)) => (core(first)?, core(last)?),
        None => (core(item)?, core(item)?),
    };
    (first <= last).then(|| (first..=last).collect())
}

impl Settings {
    /// How many shards were asked for: `datapath.shards`, else Janus's `general.event_loops`;
    /// `None` leaves it to the machine.
    pub fn shards(&self) -> Option<u16> {
        [self.datapath.shards, self.general.event_loops].into_iter().find(|count| *count > 0)
    }
}
