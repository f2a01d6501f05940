//! CPU time per packet of both engines over loopback, one thread sending trains to one thread
//! that receives them: `cargo run --profile ci --example engine_rate [packets] [bytes]`.
//!
//! Loopback runs the receiving half of the kernel in the sender, so "out" is dearer here than
//! towards a device, and "in" is the socket's part alone. Packets lost at a full receive buffer
//! are paid for by the sender and not counted for the receiver.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bifrons_datapath::cores;
use bifrons_datapath::engine::{Engine, EngineChoice, EngineCounters, EngineOptions, open_engine};
use bifrons_datapath::queue::Doorbell;
use bifrons_datapath::udp::{SocketOptions, UdpCapabilities, open};

/// Trains queued before each flush, as a busy shard would have ready in one turn.
const BATCH: u64 = 32;
/// The receiver stops when nothing came for this long.
const QUIET: Duration = Duration::from_millis(300);

type Outcome = std::io::Result<(Duration, EngineCounters)>;

#[derive(Clone, Copy)]
struct Load {
    choice: EngineChoice,
    options: EngineOptions,
    packets: u64,
    bytes: usize,
    train: usize,
}

/// User and system time of the calling thread so far.
fn cpu_time() -> Duration {
    let mut spent = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec that lives on the stack.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut spent) };
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}

fn engine(load: &Load, socket: std::net::UdpSocket) -> std::io::Result<Box<dyn Engine>> {
    let bell = Doorbell::new()?;
    Ok(open_engine(load.choice, vec![socket], &bell, &load.options)?.0)
}

fn send(load: &Load, to: SocketAddr) -> Outcome {
    let socket = open(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, &SocketOptions::default())?;
    let mut engine = engine(load, socket)?;
    let len = load.bytes * load.train;
    let start = cpu_time();
    for number in 0..load.packets / load.train as u64 {
        engine.room(len)?[..len].fill(number as u8);
        engine.send(0, to, len, load.bytes as u16);
        if number % BATCH == BATCH - 1 {
            engine.flush()?;
        }
    }
    engine.flush()?;
    Ok((cpu_time() - start, engine.counters()))
}

fn receive(load: &Load, socket: std::net::UdpSocket) -> Outcome {
    let mut engine = engine(load, socket)?;
    let start = cpu_time();
    let mut sum = 0;
    loop {
        let turn = engine.turn(Some(QUIET), 4096, &mut |datagram| {
            sum += datagram.bytes.first().map_or(0, |&byte| u64::from(byte));
        })?;
        if turn.received == 0 && engine.counters().datagrams_in > 0 {
            std::hint::black_box(sum);
            return Ok((cpu_time() - start, engine.counters()));
        }
    }
}

fn run(load: Load) -> std::io::Result<()> {
    let socket = open(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, &SocketOptions::default())?;
    let at = socket.local_addr()?;
    let cores = cores::allowed();
    let (first, last) = (cores.first().copied(), cores.last().copied());
    let receiver = std::thread::spawn(move || {
        first.map(cores::pin);
        receive(&load, socket)
    });
    let sender = std::thread::spawn(move || {
        last.map(cores::pin);
        send(&load, at)
    });
    let (spent_out, out) = sender.join().expect("the sender runs to its end")?;
    let (spent_in, into) = receiver.join().expect("the receiver runs to its end")?;
    let per = |spent: Duration, packets: u64| spent.as_nanos() as u64 / packets.max(1);
    let share = |calls: u64, packets: u64| calls as f64 / packets.max(1) as f64;
    println!(
        "{:8} train {}: out {:5} ns/packet {:.3} calls | in {:5} ns/packet {:.3} calls, {:.1} % lost",
        format!("{:?}", load.choice),
        load.train,
        per(spent_out, out.datagrams_out),
        share(out.syscalls, out.datagrams_out),
        per(spent_in, into.datagrams_in),
        share(into.syscalls, into.datagrams_in),
        100.0 - 100.0 * share(into.datagrams_in, out.datagrams_out),
    );
    Ok(())
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1).map_while(|word| word.parse().ok());
    let packets = arguments.next().unwrap_or(1_000_000);
    let bytes = arguments.next().unwrap_or(1200).clamp(1, 1472) as usize;
    let options = EngineOptions::new(UdpCapabilities::probe());
    println!("{packets} packets of {bytes} bytes, {:?}", options.capabilities);
    for choice in [EngineChoice::IoUring, EngineChoice::Epoll] {
        for train in [1, 8] {
            run(Load { choice, options, packets, bytes, train })?;
        }
    }
    Ok(())
}
