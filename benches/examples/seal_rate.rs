//! Time to seal a packet with every kernel of this CPU, by profile, size and packets a peer, against
//! the scalar path: `cargo run --release -p bifrons-benches --example seal_rate [rounds]`.
//!
//! Sixteen peers of 64 get the same text in each batch. The kernels take turns, batch by batch, and
//! the least time of each counts, so that a busy machine disturbs neither the figures nor their
//! ratios much.

use bifrons_core::srtp::{MasterKey, SrtpProfile};
use bifrons_datapath::seal::{Job, Kernel, Run, SenderKey};
use std::hint::black_box;
use std::time::{Duration, Instant};

const PEERS: usize = 64;
const TOGETHER: usize = 16;
/// A header with departure time, transport-wide number and mid.
const HEADER: usize = 28;

fn keys(profile: SrtpProfile, kernel: Kernel) -> Vec<SenderKey> {
    let key = |n: usize| {
        let (key, salt) = (vec![n as u8; profile.key_len()], vec![9; profile.salt_len()]);
        let master = MasterKey::new(profile, &key, &salt).expect("lengths of the profile");
        SenderKey::new(&master, kernel).expect("a checked key")
    };
    (0..PEERS).map(key).collect()
}

/// One batch of sixteen peers, `train` packets each.
struct Bench<'a> {
    kernel: Kernel,
    keys: Vec<SenderKey>,
    room: Vec<u8>,
    jobs: Vec<Job<'a>>,
    train: usize,
    turn: usize,
    least: Duration,
}

impl<'a> Bench<'a> {
    fn new(
        kernel: Kernel,
        profile: SrtpProfile,
        peers: usize,
        train: usize,
        text: &'a [u8],
    ) -> Self {
        let size = HEADER + text.len() + 16;
        let packet = |n: usize| {
            let index = (n % train) as u64;
            Job { at: n * size, header_len: HEADER, len: text.len(), text: Some(text), index }
        };
        let jobs: Vec<_> = (0..peers * train).map(packet).collect();
        let mut room = vec![0; jobs.len() * size];
        for job in &jobs {
            room[job.at..job.at + 4].copy_from_slice(&[0x90, 96, 0, job.index as u8]);
        }
        let least = Duration::MAX;
        Bench { kernel, keys: keys(profile, kernel), room, jobs, train, turn: 0, least }
    }

    fn round(&mut self) {
        self.turn = (self.turn + TOGETHER) % PEERS;
        let peers = self.jobs.len() / self.train;
        let runs: [Run<'_>; TOGETHER] = std::array::from_fn(|n| {
            let (from, to) = (n.min(peers) * self.train, (n + 1).min(peers) * self.train);
            Run { key: &self.keys[self.turn + n], jobs: from..to }
        });
        let start = Instant::now();
        self.kernel.seal(black_box(&mut self.room), &self.jobs, &runs).expect("room");
        self.least = self.least.min(start.elapsed());
    }

    fn ns(&self) -> f64 {
        self.least.as_nanos() as f64 / self.jobs.len() as f64
    }
}

fn main() {
    let rounds = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(3000);
    for profile in SrtpProfile::PREFERENCE {
        for len in [160, 1160] {
            let text = vec![0x5A; len];
            for (peers, train) in
                [(1, 1), (2, 1), (3, 1), (4, 1), (16, 1), (16, 2), (16, 4), (16, 8), (16, 16)]
            {
                let bench = |kernel| Bench::new(kernel, profile, peers, train, &text);
                let mut benches: Vec<_> = Kernel::available().into_iter().map(bench).collect();
                for _ in 0..rounds {
                    benches.iter_mut().for_each(Bench::round);
                }
                print!("{:16} {len:5} B {peers:3} x {train:2}:", format!("{profile:?}"));
                for bench in &benches {
                    let times = benches[0].ns() / bench.ns();
                    print!("  {} {:5.0} ns x{times:.2}", bench.kernel.name(), bench.ns());
                }
                println!();
            }
        }
    }
}
