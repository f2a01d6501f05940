//! CPU time of a forwarded packet in the real shard, beside the bare loop of a mini SFU: one
//! publisher, many subscribers, the packets of a frame ready together.
//!
//!     cargo build --release -p bifrons-benches --example shard_rate
//!     sudo unshare -n target/release/examples/shard_rate [subscribers] [turns]
//!
//! In a network namespace of its own (`unshare -n`) packets leave through the real engine onto an
//! `ifb` device, which frees them: a network card with segmentation and checksum offload and a free
//! driver. Elsewhere only the engine that drops everything is measured. The bare loop opens each
//! packet once, writes one fixed header a subscriber, seals by the same kernel and sends by the same
//! engine; it keeps no books, chooses no layers and forgets what it sent. Sealing the publisher's
//! packets is not counted.

use bifrons_benches::{plain_packet, sink_extensions};
use bifrons_core::codec::Codec;
use bifrons_core::dtls::{KeyingMaterial, Role};
use bifrons_core::ice::Credentials;
use bifrons_core::media::{
    LayerSsrc, Line, LineId, MediaKind, Payload, PeerId, PeerSetup, Plan, Receive, Route, Send,
    ShardCommand, SinkId, SourceId, Transport,
};
use bifrons_core::rtp::Ssrc;
use bifrons_core::srtp::{MasterKey, OpenKey, RtpIndex, SealKey, SrtpProfile};
use bifrons_datapath::cores::cpu_time;
use bifrons_datapath::engine::{
    Engine, EngineChoice, EngineCounters, EngineOptions, Received, Turn, open_engine,
};
use bifrons_datapath::queue::Doorbell;
use bifrons_datapath::seal::{Job, Kernel, Run, SenderKey};
use bifrons_datapath::shard::{Clock, Shard, ShardConfig};
use bifrons_datapath::udp::{SocketOptions, UdpCapabilities, open};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

/// Turns between two looks at the clock; their packets are sealed before.
const TURNS: usize = 16;
const PAYLOAD: usize = 1160;
const PUBLISHER: u32 = 0x0BAD_CAFE;
/// A VP8 descriptor with picture id, TL0PICIDX and TID, as browsers send it.
const DESCRIPTOR: [u8; 6] = [0x80, 0xE0, 0x80, 0x64, 0x01, 0x20];

/// An engine whose packets go nowhere.
struct Nowhere {
    arena: Vec<u8>,
    used: usize,
    counters: EngineCounters,
}

impl Engine for Nowhere {
    fn turn(
        &mut self,
        _: Option<Duration>,
        _: u32,
        _: &mut dyn FnMut(Received<'_>),
    ) -> io::Result<Turn> {
        Ok(Turn::default())
    }

    fn room(&mut self, len: usize) -> io::Result<&mut [u8]> {
        if self.used + len > self.arena.len() {
            self.used = 0;
        }
        Ok(&mut self.arena[self.used..])
    }

    fn send(&mut self, _: u16, _: SocketAddr, len: usize, segment: u16) {
        self.used = (self.used + len).next_multiple_of(64).min(self.arena.len());
        self.counters.datagrams_out += len.div_ceil(usize::from(segment.max(1))) as u64;
    }

    fn flush(&mut self) -> io::Result<()> {
        self.used = 0;
        Ok(())
    }

    fn attach(&mut self, _: UdpSocket) -> io::Result<u16> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn detach(&mut self, _: u16) {}

    fn counters(&self) -> EngineCounters {
        self.counters
    }
}

fn material(profile: SrtpProfile, n: usize) -> KeyingMaterial {
    let seed = |at: usize| (at * 7 + n * 31 + n / 256) as u8;
    let bytes: Vec<u8> = (0..KeyingMaterial::len(profile)).map(seed).collect();
    KeyingMaterial::new(profile, &bytes).expect("the profile's length")
}

fn peer(n: usize) -> PeerId {
    PeerId { shard: 0, slot: n as u32, generation: 1 }
}

fn address(n: usize) -> SocketAddr {
    let host = 512 + n as u32;
    (Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 99, 0, 0)) + host), 40_000).into()
}

fn setup(n: usize) -> PeerSetup {
    let payloads =
        vec![Payload { pt: 96, codec: Some(Codec::Vp8), clock_hz: 90_000, rtx_pt: Some(97) }];
    let layers = vec![LayerSsrc { ssrc: Ssrc(PUBLISHER), rtx: None }];
    let (nack, transport_cc, extensions) = (true, true, sink_extensions());
    let receive = Receive {
        layers,
        rids: Vec::new(),
        payloads: payloads.clone(),
        nack,
        transport_cc,
        extensions,
    };
    let line = Line {
        mindex: 0,
        mid: "0".into(),
        kind: MediaKind::Video,
        ssrc: Ssrc(1000 + 2 * n as u32),
        rtx_ssrc: Some(Ssrc(1001 + 2 * n as u32)),
        receive: (n == 0).then_some(receive),
        send: (n > 0).then_some(Send { payloads, nack, extensions }),
        data: None,
    };
    let transport = Transport {
        local: Credentials::generate(peer(n), &[n as u8; _]),
        remote: None,
        controlling: false,
        candidates: Vec::new(),
        end_of_candidates: true,
        dtls_role: Some(Role::Server),
        fingerprint: None,
        relay_only: false,
    };
    PeerSetup { peer: peer(n), transport, lines: vec![line] }
}

fn shard(profile: SrtpProfile, subscribers: usize, start: Instant, kernel: Kernel) -> Shard {
    let config = ShardConfig {
        id: 0,
        sockets: vec![(Ipv4Addr::new(10, 99, 0, 1), 9000).into()],
        ice_lite: true,
        hangup_on_failed: false,
        consent_freshness: false,
        min_nack_queue: Duration::from_millis(200),
        twcc_period: Duration::from_millis(200),
        no_media: Duration::ZERO,
        slow_link_losses: 0,
        plain: false,
        secret: 7,
    };
    let clock = Clock::new(start, 1 << 50);
    let mut shard = Shard::new(config, clock, clock.at(start));
    shard.set_kernel(kernel);
    for n in 0..=subscribers {
        shard.admit(setup(n), (0, address(n)), &material(profile, n), Role::Server);
    }
    let line = |n| LineId { peer: peer(n), mindex: 0 };
    for n in 1..=subscribers {
        let (source, sink) = (SourceId::Line(line(0)), SinkId::Line(line(n)));
        let plan = Plan::Route { source, sink, route: Route::default() };
        shard.command(ShardCommand::Plan(plan));
    }
    shard
}

/// What the publisher sends, sealed ahead.
struct Publisher {
    key: SealKey,
    index: u64,
}

impl Publisher {
    fn new(profile: SrtpProfile) -> Self {
        let material = material(profile, 0);
        let master = MasterKey::from_keying(&material, Role::Client).expect("lengths");
        Publisher { key: SealKey::new(&master).expect("a key"), index: 0 }
    }

    fn packets(&mut self, count: usize) -> Vec<Vec<u8>> {
        let packet = |_| {
            self.index += 1;
            let mut bytes = vec![0; 1600];
            let (head, len) = plain_packet(&mut bytes, self.index as u16, PAYLOAD);
            bytes[head..head + DESCRIPTOR.len()].copy_from_slice(&DESCRIPTOR);
            let len = self.key.seal_rtp_in_place(self.index, &mut bytes, head, len);
            bytes.truncate(len.expect("room"));
            bytes
        };
        (0..count).map(packet).collect()
    }
}

/// One of the two ways to forward.
trait Forward {
    fn turn(&mut self, packets: &mut [Vec<u8>], engine: &mut dyn Engine) -> io::Result<()>;
}

struct Real {
    shard: Shard,
    now: Instant,
}

impl Forward for Real {
    fn turn(&mut self, packets: &mut [Vec<u8>], engine: &mut dyn Engine) -> io::Result<()> {
        self.now += Duration::from_millis(33);
        self.shard.begin(self.now);
        for bytes in packets {
            self.shard.receive(Received { socket: 0, from: address(0), bytes });
        }
        self.shard.depart(engine)
    }
}

struct Bare {
    kernel: Kernel,
    open: OpenKey,
    state: RtpIndex,
    keys: Vec<SenderKey>,
    index: u64,
    header: Vec<u8>,
}

impl Bare {
    fn new(profile: SrtpProfile, subscribers: usize, kernel: Kernel) -> Self {
        let publisher = MasterKey::from_keying(&material(profile, 0), Role::Client);
        let key = |n| {
            let master = MasterKey::from_keying(&material(profile, n), Role::Server);
            SenderKey::new(&master.expect("lengths"), kernel).expect("a key")
        };
        let mut header = vec![0; 1600];
        let (len, _) = plain_packet(&mut header, 0, 0);
        header.truncate(len);
        Bare {
            kernel,
            open: OpenKey::new(&publisher.expect("lengths")).expect("a key"),
            state: RtpIndex::new(),
            keys: (1..=subscribers).map(key).collect(),
            index: 0,
            header,
        }
    }
}

impl Forward for Bare {
    fn turn(&mut self, packets: &mut [Vec<u8>], engine: &mut dyn Engine) -> io::Result<()> {
        let mut texts: Vec<&[u8]> = Vec::with_capacity(packets.len());
        for packet in packets.iter_mut() {
            let len = self.open.open_rtp(packet, &mut self.state).expect("genuine").len;
            texts.push(&packet[self.header.len()..len]);
        }
        let head = self.header.len();
        let mut jobs = Vec::with_capacity(16 * texts.len());
        let together = (96 / texts.len()).clamp(4, 16);
        for (chunk, keys) in self.keys.chunks(together).enumerate() {
            let room = engine.room(128 << 10)?;
            jobs.clear();
            let (mut at, mut len) = (0usize, 0);
            for _ in keys {
                at = at.next_multiple_of(64);
                let start = at;
                for (n, text) in texts.iter().enumerate() {
                    let index = self.index + n as u64;
                    room[at..at + head].copy_from_slice(&self.header);
                    room[at + 2..at + 4].copy_from_slice(&(index as u16).to_be_bytes());
                    let job =
                        Job { at, header_len: head, len: text.len(), text: Some(text), index };
                    jobs.push(job);
                    at += head + text.len() + 16;
                }
                len = at - start;
            }
            let run = |(n, key)| Run { key, jobs: n * texts.len()..(n + 1) * texts.len() };
            let runs: Vec<_> = keys.iter().enumerate().map(run).collect();
            self.kernel.seal(room, &jobs, &runs).expect("room");
            for n in 0..keys.len() {
                let to = address(1 + n + chunk * together);
                engine.send(0, to, len, (len / texts.len()) as u16);
            }
        }
        self.index += texts.len() as u64;
        engine.flush()
    }
}

/// CPU ns a packet, user and system: the median of the rounds.
fn measure(
    forward: &mut dyn Forward,
    engine: &mut dyn Engine,
    profile: SrtpProfile,
    (subscribers, together, rounds): (usize, usize, usize),
) -> io::Result<u64> {
    let mut publisher = Publisher::new(profile);
    let mut spent = Vec::new();
    for _ in 0..rounds {
        let mut packets = publisher.packets(TURNS * together);
        let sent = engine.counters().datagrams_out;
        let start = cpu_time();
        for frame in packets.chunks_mut(together) {
            forward.turn(frame, engine)?;
        }
        let spent_ns = (cpu_time() - start).as_nanos() as u64;
        let sent = engine.counters().datagrams_out - sent;
        let all = (TURNS * together * subscribers) as u64;
        if sent != all {
            return Err(io::Error::other(format!("{sent} of {all} packets were sent")));
        }
        spent.push(spent_ns / sent);
    }
    spent.sort_unstable();
    Ok(spent[spent.len() / 2])
}

/// Makes the null device of this network namespace; false where that is not ours to do.
fn null_device() -> bool {
    let interfaces = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let only_loopback = interfaces.lines().skip(2).all(|line| line.trim().starts_with("lo:"));
    let commands = [
        "link set lo up",
        "link add null0 type ifb",
        "addr add 10.99.0.1/16 dev null0",
        "link set null0 up txqueuelen 10000",
    ];
    let ip = |words: &str| Command::new("ip").args(words.split(' ')).status();
    only_loopback && commands.iter().all(|words| ip(words).is_ok_and(|done| done.success()))
}

fn engines(subscribers: usize) -> io::Result<Vec<(&'static str, Box<dyn Engine>)>> {
    let counters = EngineCounters::default();
    let nowhere = Nowhere { arena: vec![0; 256 << 10], used: 0, counters };
    let mut engines: Vec<(_, Box<dyn Engine>)> = vec![("nowhere", Box::new(nowhere))];
    if null_device() {
        for n in 0..=subscribers {
            let ip = address(n).ip().to_string();
            let words = ["neigh", "add", &ip, "lladdr", "02:00:00:00:00:01", "dev", "null0"];
            Command::new("ip").args(words).status()?;
        }
        let socket = open(Ipv4Addr::new(10, 99, 0, 1).into(), 9000, &SocketOptions::default())?;
        let options = EngineOptions::new(UdpCapabilities::probe());
        let bell = Doorbell::new()?;
        let (engine, _, _) = open_engine(EngineChoice::Auto, vec![socket], &bell, &options)?;
        engines.push(("null device", engine));
    }
    Ok(engines)
}

fn main() -> io::Result<()> {
    let mut words = std::env::args().skip(1).map_while(|word| word.parse().ok());
    let subscribers = words.next().unwrap_or(200);
    let rounds = words.next().unwrap_or(15);
    let mut kernels = Kernel::available();
    kernels.push(Kernel::Identity);
    for (path, mut engine) in engines(subscribers)? {
        for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmSha1_80] {
            for together in [1, 4, 8] {
                for &kernel in &kernels {
                    let start = Instant::now();
                    let shard = shard(profile, subscribers, start, kernel);
                    let mut real = Real { shard, now: start };
                    let mut bare = Bare::new(profile, subscribers, kernel);
                    let size = (subscribers, together, rounds);
                    let real = measure(&mut real, engine.as_mut(), profile, size)?;
                    let bare = measure(&mut bare, engine.as_mut(), profile, size)?;
                    println!(
                        "{path:11} {:15} {together} together, {:8}: shard {real:5} ns, bare {bare:5} ns, x{:.2}",
                        format!("{profile:?}"),
                        kernel.name(),
                        real as f64 / bare as f64,
                    );
                }
            }
        }
    }
    Ok(())
}
