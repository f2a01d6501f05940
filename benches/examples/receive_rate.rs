//! CPU time of a received datagram in the real engine, with and without `UDP_GRO`.
//!
//!     cargo build --release -p bifrons-benches --example receive_rate
//!     sudo unshare -n -m target/release/examples/receive_rate [bursts]
//!
//! The sender is a process of its own at the far end of a veth pair, in a network namespace of its
//! own. The receiving end looks at what comes within 50 us together and may gather it, as behind a
//! network card that moderates its interrupts. "Apart" are bursts of single sends, as from clients;
//! "train" is one `sendmsg` with `UDP_SEGMENT`, as from another server on the same machine. Between
//! two bursts the sender waits until the receiver has had time to sleep. The sender's figure contains
//! what the kernel does to deliver.

use bifrons_datapath::cores::cpu_time;
use bifrons_datapath::engine::{Engine, EngineChoice, EngineOptions, open_engine};
use bifrons_datapath::queue::Doorbell;
use bifrons_datapath::udp::{SocketOptions, UdpCapabilities, open};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const HERE: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 2);
const PORT: u16 = 9000;
/// Time from one burst to the next.
const APART: Duration = Duration::from_micros(400);
/// Burst, bytes of a datagram, whether it leaves as one train.
const CASES: [(usize, usize, bool); 6] = [
    (1, 1200, false),
    (4, 1200, false),
    (8, 1200, false),
    (8, 1200, true),
    (1, 160, false),
    (8, 160, false),
];

fn engine(local: Ipv4Addr, gro: bool) -> io::Result<Box<dyn Engine>> {
    let socket = open(local.into(), PORT, &SocketOptions::default())?;
    let capabilities = UdpCapabilities { gro, ..UdpCapabilities::probe() };
    let bell = Doorbell::new()?;
    Ok(open_engine(EngineChoice::Auto, vec![socket], &bell, &EngineOptions::new(capabilities))?.0)
}

fn ip(words: &str) -> io::Result<()> {
    run("ip", words)
}

fn run(program: &str, words: &str) -> io::Result<()> {
    let status = Command::new(program).args(words.split(' ')).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{program} {words}"))) }
}

/// The far end: reads "case bursts" lines, sends, answers with its CPU time in ns.
fn send() -> io::Result<()> {
    let mut lines = io::stdin().lock().lines();
    lines.next().transpose()?;
    for words in ["addr add 10.98.0.2/24 dev far", "link set far up", "link set lo up"] {
        ip(words)?;
    }
    // Else the kernel takes the pair for one machine and sees nothing to gather.
    run("ethtool", "-K far tso off")?;
    let mut engine = engine(THERE, false)?;
    let to = SocketAddr::new(IpAddr::V4(HERE), PORT);
    println!("ready");
    for line in lines {
        let line = line?;
        let mut words = line.split(' ').map_while(|word| word.parse::<usize>().ok());
        let (Some(case), Some(bursts)) = (words.next(), words.next()) else { break };
        let (together, bytes, train) = CASES[case];
        let start = cpu_time();
        for _ in 0..bursts {
            let begun = Instant::now();
            let len = together * bytes;
            engine.room(len)?[..len].fill(0x80);
            if train {
                engine.send(0, to, len, bytes as u16);
            } else {
                for _ in 0..together {
                    engine.room(bytes)?[..bytes].fill(0x80);
                    engine.send(0, to, bytes, 0);
                }
            }
            engine.flush()?;
            std::thread::sleep(APART.saturating_sub(begun.elapsed()));
        }
        println!("{}", (cpu_time() - start).as_nanos());
    }
    Ok(())
}

struct Far {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Far {
    fn new() -> io::Result<Self> {
        let exe = std::env::current_exe()?;
        let mut child = Command::new("unshare")
            .arg("-n")
            .arg(exe)
            .arg("send")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        // Time for it to have unshared.
        std::thread::sleep(Duration::from_millis(300));
        ip("link add near type veth peer name far")?;
        ip(&format!("link set far netns {}", child.id()))?;
        ip("addr add 10.98.0.1/24 dev near")?;
        ip("link set near up")?;
        ip("link set lo up")?;
        run("ethtool", "-K near gro on")?;
        // The view of /sys that shows this namespace's devices.
        run("mount", "-t sysfs sysfs /sys")?;
        std::fs::write("/sys/class/net/near/napi_defer_hard_irqs", "1")?;
        std::fs::write("/sys/class/net/near/gro_flush_timeout", "50000")?;
        let said = BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
        let mut far = Far { child, said };
        far.tell("go")?;
        far.hear()?;
        Ok(far)
    }

    fn tell(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(stdin, "{line}")
    }

    fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

/// CPU ns a datagram here and there, and datagrams in a message.
fn measure(far: &mut Far, case: usize, bursts: usize, gro: bool) -> io::Result<[f64; 3]> {
    let (together, ..) = CASES[case];
    let wanted = (together * bursts) as u64;
    let mut engine = engine(HERE, gro)?;
    far.tell(&format!("{case} {bursts}"))?;
    let (start, begun) = (cpu_time(), Instant::now());
    let limit = APART * bursts as u32 * 20 + Duration::from_secs(5);
    let mut touched = 0u64;
    while engine.counters().datagrams_in < wanted && begun.elapsed() < limit {
        engine.turn(Some(Duration::from_millis(50)), 512, &mut |datagram| {
            touched += u64::from(datagram.bytes.first().copied().unwrap_or(0));
        })?;
    }
    let here = (cpu_time() - start).as_nanos() as f64;
    std::hint::black_box(touched);
    let there: f64 = far.hear()?.parse().map_err(io::Error::other)?;
    let counters = engine.counters();
    let came = counters.datagrams_in.max(1) as f64;
    if counters.datagrams_in < wanted {
        println!("{} of {wanted} datagrams came", counters.datagrams_in);
    }
    Ok([here / came, there / came, counters.trains_in as f64 / bursts as f64])
}

fn main() -> io::Result<()> {
    let word = std::env::args().nth(1);
    if word.as_deref() == Some("send") {
        return send();
    }
    let bursts = word.and_then(|word| word.parse().ok()).unwrap_or(1500);
    let mut far = Far::new()?;
    let median = |mut of: Vec<f64>| {
        of.sort_by(f64::total_cmp);
        of[of.len() / 2]
    };
    for (case, (together, bytes, train)) in CASES.into_iter().enumerate() {
        let mut runs = [Vec::new(), Vec::new()];
        for round in 0..10 {
            let gro = round % 2 == 1;
            runs[usize::from(gro)].push(measure(&mut far, case, bursts, gro)?);
        }
        for (gro, runs) in ["without", "with"].iter().zip(&runs) {
            let [here, there, trains] =
                [0, 1, 2].map(|n| median(runs.iter().map(|run| run[n]).collect()));
            let how = if train { "train" } else { "apart" };
            println!(
                "{together} of {bytes} B {how}, {gro:7} GRO: receiver {here:5.0} ns, sender and delivery {there:5.0} ns, {trains:.2} gathered messages a burst"
            );
        }
    }
    Ok(())
}
