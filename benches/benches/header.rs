//! What a packet costs beside its cipher: reading it once, and writing one header a sink.

use std::hint::black_box;

use bifrons_benches::{ROOM, SINKS, header, plain_packet, sink_extensions};
use bifrons_core::codec::{Vp8Continuity, Vp8Descriptor};
use bifrons_core::rtp::{
    ExtensionValues, HeaderWriter, Mid, Packet, PacketMut, Seq, Ssrc, parse_extensions,
};
use bifrons_core::srtp::{MasterKey, SealKey, SrtpProfile};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// A VP8 payload descriptor with picture id, TL0PICIDX and TID.
const DESCRIPTOR: [u8; 6] = [0x90, 0xE0, 0x80, 0x64, 0x01, 0x00];
const PAYLOAD: usize = 1160;

fn read(c: &mut Criterion) {
    let mut buffer = [0; ROOM];
    let (_, len) = plain_packet(&mut buffer, 1, PAYLOAD);
    let ids = sink_extensions();
    c.bench_function("read/header and extensions", |b| {
        b.iter(|| {
            let packet = Packet::parse(black_box(&buffer[..len])).expect("an RTP packet");
            black_box((packet.seq(), packet.ssrc(), parse_extensions(&packet, &ids)))
        });
    });
    c.bench_function("read/VP8 descriptor", |b| {
        b.iter(|| black_box(Vp8Descriptor::read(black_box(&DESCRIPTOR))));
    });
}

fn rewrite(c: &mut Criterion) {
    let mut buffer = [0; ROOM];
    let (_, len) = plain_packet(&mut buffer, 1, PAYLOAD);
    c.bench_function("rewrite/fixed header in place", |b| {
        let mut seq = 0u16;
        b.iter(|| {
            seq = seq.wrapping_add(1);
            let mut packet = PacketMut::parse(black_box(&mut buffer[..len])).expect("RTP");
            packet.set_seq(Seq(seq));
            packet.set_timestamp(u32::from(seq));
            packet.set_ssrc(Ssrc(7));
        });
    });
    let writer = HeaderWriter::new(&sink_extensions(), Mid::new(b"1"), true);
    let values = ExtensionValues::default();
    c.bench_function("rewrite/header with extensions", |b| {
        let mut seq = 0u16;
        b.iter(|| {
            seq = seq.wrapping_add(1);
            black_box(writer.write(black_box(&mut buffer), &header(seq), &values, &[]))
        });
    });
    let mut numbers = Vp8Continuity::new();
    let descriptor = Vp8Descriptor::read(&DESCRIPTOR).expect("a descriptor");
    let mut payload = DESCRIPTOR;
    c.bench_function("rewrite/VP8 numbers", |b| {
        b.iter(|| {
            if let Some(ids) = numbers.forward(black_box(&descriptor)) {
                descriptor.rewrite(black_box(&mut payload), ids);
            }
        });
    });
}

/// One packet to a hundred sinks, each with its own key: header, payload copy, cipher. This is
/// the floor of what a shard spends on a packet before the kernel takes it.
fn fan_out(c: &mut Criterion) {
    let sinks: Vec<_> = (0..SINKS)
        .map(|n| {
            let profile = SrtpProfile::AeadAes128Gcm;
            let master = MasterKey::new(profile, &[n as u8; 16], &[1; 12]).expect("lengths");
            let mid = Mid::new(n.to_string().as_bytes());
            let writer = HeaderWriter::new(&sink_extensions(), mid, true);
            (SealKey::new(&master).expect("a checked key"), writer)
        })
        .collect();
    let payload = [0x5A; PAYLOAD];
    let values = ExtensionValues::default();
    let mut buffers = vec![[0; ROOM]; SINKS];
    let mut index = 0u64;
    let mut group = c.benchmark_group("fan-out");
    group.throughput(Throughput::Elements(SINKS as u64));
    group.bench_function("100 sinks, AES-128-GCM, scalar", |b| {
        b.iter(|| {
            index += 1;
            for ((key, writer), out) in sinks.iter().zip(&mut buffers) {
                let written = writer.write(out, &header(index as u16), &values, &[]);
                let head = written.expect("room for a header").len;
                let sealed = key.seal_rtp(index, out, head, black_box(&payload));
                black_box(sealed.expect("room for a packet"));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, read, rewrite, fan_out);
criterion_main!(benches);
