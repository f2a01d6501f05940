//! CPU time of a forwarded packet in the real shard, beside the bare loop of a mini SFU: one
//! publisher, many subscribers, the packets of a frame ready together.
//!
//!     cargo build --release -p bifrons-benches --example shard_rate
//!     sudo unshare -n target/release/examples/shard_rate [subscribers] [turns]
//!
//! In a network namespace of its own (`unshare -n`) packets leave through the real engine onto an
//! `ifb` device, which frees them, by the socket ("null device") and by a packet ring with frames
//! ("packet ring"): a network card with segmentation and checksum offload and a free
//! driver. Elsewhere only the engine that drops everything is measured. The bare loop opens each
//! packet once, writes one fixed header a subscriber, seals by the same kernel and sends by the same
//! engine; it keeps no books, chooses no layers and forgets what it sent. Sealing the publisher's
//! packets is not counted.

use bifrons_benches::plain_packet;
use bifrons_benches::room::{Layout, Nowhere, Publisher, Room, Stream, VIDEO, address, material};
use bifrons_core::dtls::Role;
use bifrons_core::srtp::{MasterKey, OpenKey, RtpIndex, SrtpProfile};
use bifrons_datapath::bypass;
use bifrons_datapath::cores::cpu_time;
use bifrons_datapath::engine::{Engine, EngineChoice, EngineOptions, open_engine};
use bifrons_datapath::queue::Doorbell;
use bifrons_datapath::seal::{Job, Kernel, Run, SenderKey};
use bifrons_datapath::udp::{SocketOptions, UdpCapabilities, open};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::Duration;

/// Turns between two looks at the clock; their packets are sealed before.
const TURNS: usize = 16;
/// Packets of which about half are a byte longer, the longer ones behind the others: so encoders
/// split their frames.
const UNEQUAL: Stream =
    Stream { payloads: &[1159, 1159, 1159, 1160, 1160, 1160, 1160, 1160], ..VIDEO };

/// One of the two ways to forward.
trait Forward {
    fn turn(&mut self, packets: &mut [Vec<u8>], engine: &mut dyn Engine) -> io::Result<()>;
}

impl Forward for Room {
    fn turn(&mut self, packets: &mut [Vec<u8>], engine: &mut dyn Engine) -> io::Result<()> {
        Room::turn(self, packets, engine)
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
    (stream, profile): (Stream, SrtpProfile),
    (subscribers, together, rounds): (usize, usize, usize),
) -> io::Result<u64> {
    let mut publisher = Publisher::new(stream, profile);
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
        // The publisher is asked for a keyframe beside.
        if sent < all {
            return Err(io::Error::other(format!("{sent} of {all} packets were sent")));
        }
        spent.push(spent_ns / all);
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
    let mut engines: Vec<(_, Box<dyn Engine>)> = vec![("nowhere", Box::new(Nowhere::new()))];
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
        engines.push(("packet ring", by_ring(subscribers)?));
    }
    Ok(engines)
}

/// An engine whose packets go around the sockets, once it knows the way to every subscriber.
fn by_ring(subscribers: usize) -> io::Result<Box<dyn Engine>> {
    let ip = IpAddr::from([10, 99, 0, 1]);
    let socket = open(ip, 9001, &SocketOptions::default())?;
    let options = EngineOptions::new(UdpCapabilities::probe());
    let bell = Doorbell::new()?;
    let (mut engine, _, _) = open_engine(EngineChoice::Auto, vec![socket], &bell, &options)?;
    let mut prepared = bypass::prepare(&[ip], None, &[bell], 7)?;
    println!("packet ring on {}", prepared.devices.join("; "));
    if let Some(bypass) = prepared.shards.pop() {
        engine.attach_bypass(bypass);
    }
    loop {
        let before = engine.counters().bypass.datagrams;
        for n in 1..=subscribers {
            engine.room(1)?;
            engine.send(0, address(n), 1, 0);
        }
        engine.turn(Some(Duration::from_millis(1)), 1, &mut |_| {})?;
        if engine.counters().bypass.datagrams - before == subscribers as u64 {
            return Ok(engine);
        }
    }
}

fn main() -> io::Result<()> {
    let mut words = std::env::args().skip(1).map_while(|word| word.parse().ok());
    let subscribers = words.next().unwrap_or(200);
    let rounds = words.next().unwrap_or(15);
    let mut kernels = Kernel::available();
    kernels.push(Kernel::Identity);
    let cases = [
        (VIDEO, SrtpProfile::AeadAes128Gcm, &[1, 4, 8][..]),
        (UNEQUAL, SrtpProfile::AeadAes128Gcm, &[8]),
        (VIDEO, SrtpProfile::Aes128CmSha1_80, &[1, 4, 8]),
    ];
    for (path, mut engine) in engines(subscribers)? {
        for (stream, profile, sizes) in cases {
            for &together in sizes {
                for &kernel in &kernels {
                    let layout = Layout { stream, from: profile, to: profile, subscribers, kernel };
                    let mut real = Room::new(layout);
                    let mut bare = Bare::new(profile, subscribers, kernel);
                    let (of, size) = ((stream, profile), (subscribers, together, rounds));
                    let real = measure(&mut real, engine.as_mut(), of, size)?;
                    let bare = measure(&mut bare, engine.as_mut(), (VIDEO, profile), size)?;
                    let equal = if stream.payloads.len() > 1 { "unequal" } else { "" };
                    println!(
                        "{path:11} {:15} {together} together {equal:7} {:8}: shard {real:5} ns, bare {bare:5} ns, x{:.2}",
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
