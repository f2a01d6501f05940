//! Sealing and opening one SRTP or SRTCP packet, by profile and size.

use std::hint::black_box;

use bifrons_benches::{PAYLOADS, ROOM, plain_packet};
use bifrons_core::srtp::{MasterKey, OpenKey, ReplayWindow, RtpIndex, SealKey, SrtpProfile};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Length of the compound packet sealed: sender report with one block and SDES.
const COMPOUND: usize = 80;

fn keys(profile: SrtpProfile) -> (SealKey, OpenKey) {
    let (key, salt) = (vec![7; profile.key_len()], vec![9; profile.salt_len()]);
    let master = MasterKey::new(profile, &key, &salt).expect("lengths of the profile");
    let seal = SealKey::new(&master).expect("a checked key");
    (seal, OpenKey::new(&master).expect("a checked key"))
}

fn seal(c: &mut Criterion) {
    let mut group = c.benchmark_group("seal");
    for payload in PAYLOADS {
        group.throughput(Throughput::Elements(1));
        for profile in SrtpProfile::PREFERENCE {
            let (key, _) = keys(profile);
            let mut buffer = [0; ROOM];
            let (head, _) = plain_packet(&mut buffer, 0, payload);
            let text = vec![0x5A; payload];
            let mut index = 0u64;
            let id = BenchmarkId::new(format!("{profile:?}"), payload);
            group.bench_function(id, |b| {
                b.iter(|| {
                    index += 1;
                    buffer[2..4].copy_from_slice(&(index as u16).to_be_bytes());
                    black_box(key.seal_rtp(index, &mut buffer, head, black_box(&text)))
                });
            });
        }
    }
    group.finish();
}

fn open(c: &mut Criterion) {
    let mut group = c.benchmark_group("open");
    for payload in PAYLOADS {
        group.throughput(Throughput::Elements(1));
        for profile in SrtpProfile::PREFERENCE {
            let (seal, open) = keys(profile);
            let mut buffer = [0; ROOM];
            let (head, len) = plain_packet(&mut buffer, 1, payload);
            let len = seal.seal_rtp_in_place(1, &mut buffer, head, len).expect("room");
            let sealed = &buffer[..len];
            let id = BenchmarkId::new(format!("{profile:?}"), payload);
            group.bench_function(id, |b| {
                b.iter_batched_ref(
                    || (sealed.to_vec(), RtpIndex::new()),
                    |(packet, index)| black_box(open.open_rtp(packet, index)),
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

fn rtcp(c: &mut Criterion) {
    let mut group = c.benchmark_group("srtcp");
    for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmSha1_80] {
        let (seal, open) = keys(profile);
        let mut plain = [0; COMPOUND + 64];
        plain[..4].copy_from_slice(&[0x80, 201, 0, (COMPOUND / 4 - 1) as u8]);
        let mut index = 0;
        group.bench_function(BenchmarkId::new("seal", format!("{profile:?}")), |b| {
            b.iter(|| {
                index += 1;
                black_box(seal.seal_rtcp(index, black_box(&mut plain), COMPOUND))
            });
        });
        plain[..4].copy_from_slice(&[0x80, 201, 0, (COMPOUND / 4 - 1) as u8]);
        let len = seal.seal_rtcp(1, &mut plain, COMPOUND).expect("room");
        group.bench_function(BenchmarkId::new("open", format!("{profile:?}")), |b| {
            b.iter_batched_ref(
                || (plain[..len].to_vec(), ReplayWindow::new()),
                |(packet, window)| black_box(open.open_rtcp(packet, window)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, seal, open, rtcp);
criterion_main!(benches);
