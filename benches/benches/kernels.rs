//! Sealing many packets at once: every kernel of this CPU beside the scalar path, by profile, size
//! and packets a peer.
//!
//! 64 peers, each with a key of its own, get the same plain text; a batch is the packets of 16 of
//! them, as in a shard's departure, and the batches go round.

use std::hint::black_box;
use std::time::Duration;

use bifrons_benches::{PAYLOADS, ROOM, plain_packet};
use bifrons_core::srtp::{MasterKey, SrtpProfile};
use bifrons_datapath::seal::{Job, Kernel, Run, SenderKey};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const PEERS: usize = 64;
const TOGETHER: usize = 16;
const TRAINS: [usize; 5] = [1, 2, 4, 8, 16];

fn keys(profile: SrtpProfile, kernel: Kernel) -> Vec<SenderKey> {
    let key = |n: usize| {
        let (key, salt) = (vec![n as u8; profile.key_len()], vec![9; profile.salt_len()]);
        let master = MasterKey::new(profile, &key, &salt).expect("lengths of the profile");
        SenderKey::new(&master, kernel).expect("a checked key")
    };
    (0..PEERS).map(key).collect()
}

/// A room with the headers of a batch written, and its jobs.
fn batch<'a>(train: usize, text: &'a [u8]) -> (Vec<u8>, Vec<Job<'a>>) {
    let mut room = vec![0; TOGETHER * train * ROOM];
    let mut jobs = Vec::new();
    let mut at = 0;
    for _ in 0..TOGETHER {
        for n in 0..train {
            let (header_len, len) = plain_packet(&mut room[at..], n as u16, text.len());
            let index = n as u64;
            jobs.push(Job { at, header_len, len: text.len(), text: Some(text), index });
            at += len + 16;
        }
    }
    (room, jobs)
}

fn kernels(c: &mut Criterion) {
    for profile in SrtpProfile::PREFERENCE {
        for payload in PAYLOADS {
            let mut group = c.benchmark_group(format!("kernels/{profile:?}/{payload}"));
            group.warm_up_time(Duration::from_millis(100));
            group.measurement_time(Duration::from_millis(500)).sample_size(20);
            let text = vec![0x5A; payload];
            for kernel in Kernel::available() {
                let keys = keys(profile, kernel);
                for train in TRAINS {
                    let (mut room, jobs) = batch(train, &text);
                    group.throughput(Throughput::Elements(jobs.len() as u64));
                    let mut turn = 0;
                    group.bench_function(BenchmarkId::new(kernel.name(), train), |b| {
                        b.iter(|| {
                            turn = (turn + TOGETHER) % PEERS;
                            let runs: [Run<'_>; TOGETHER] = std::array::from_fn(|n| Run {
                                key: &keys[turn + n],
                                jobs: n * train..(n + 1) * train,
                            });
                            kernel.seal(black_box(&mut room), &jobs, &runs).expect("room");
                        });
                    });
                }
            }
            group.finish();
        }
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
