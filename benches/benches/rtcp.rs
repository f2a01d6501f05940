//! Reading and writing feedback: the compound a browser sends, and what we send back.

use std::hint::black_box;

use bifrons_core::rtcp::{
    ArrivalRecorder, Compound, CompoundWriter, NackTracker, NtpTime, ReceiverStats, ReportBlock,
    SenderInfo,
};
use bifrons_core::rtp::{Seq, Ssrc};
use criterion::{Criterion, criterion_group, criterion_main};

const US_BETWEEN_PACKETS: u64 = 4_500;

fn report(out: &mut [u8]) -> usize {
    let block = ReportBlock { ssrc: Ssrc(2), highest_seq: 77, ..ReportBlock::default() };
    let info = SenderInfo { ntp: NtpTime(1 << 40), ..SenderInfo::default() };
    let mut writer = CompoundWriter::new(out);
    writer.sender_report(Ssrc(1), &info, &[block, block]).expect("room");
    writer.sdes_cname(Ssrc(1), "bifrons-bench-cname").expect("room");
    writer.nack(Ssrc(1), Ssrc(2), [3, 4, 9, 40].map(Seq)).expect("room");
    writer.pli(Ssrc(1), Ssrc(2)).expect("room");
    writer.len()
}

fn compound(c: &mut Criterion) {
    let mut buffer = [0; 512];
    let len = report(&mut buffer);
    c.bench_function("compound/check and read (SR, SDES, NACK, PLI)", |b| {
        b.iter(|| {
            let compound = Compound::parse(black_box(&buffer[..len])).expect("well formed");
            black_box(compound.parts().count())
        });
    });
    let mut out = [0; 512];
    c.bench_function("compound/write (SR, SDES, NACK, PLI)", |b| {
        b.iter(|| black_box(report(black_box(&mut out))));
    });
}

/// What each received packet adds to the bookkeeping of its source.
fn arrival(c: &mut Criterion) {
    let mut nacks = NackTracker::new();
    let mut stats = ReceiverStats::new(90_000);
    let mut recorder = ArrivalRecorder::new();
    let mut out = [0; 1200];
    let (mut seq, mut now_us) = (Seq(0), 0);
    c.bench_function("arrival/NACK, statistics, TWCC", |b| {
        b.iter(|| {
            (seq, now_us) = (seq.next(), now_us + US_BETWEEN_PACKETS);
            black_box(nacks.received(seq, now_us));
            stats.received(seq, (now_us * 9 / 100) as u32, 1200, now_us);
            recorder.arrived(seq, now_us);
            if recorder.is_full() {
                let mut writer = CompoundWriter::new(&mut out);
                black_box(recorder.write(&mut writer, Ssrc(1), Ssrc(2)).expect("room"));
            }
        });
    });
}

fn feedback(c: &mut Criterion) {
    let mut out = [0; 1200];
    c.bench_function("feedback/TWCC message of 100 arrivals", |b| {
        let mut recorder = ArrivalRecorder::new();
        let (mut seq, mut now_us) = (Seq(0), 0);
        b.iter(|| {
            for _ in 0..100 {
                (seq, now_us) = (seq.next(), now_us + US_BETWEEN_PACKETS);
                recorder.arrived(seq, now_us);
            }
            let mut writer = CompoundWriter::new(&mut out);
            while recorder.write(&mut writer, Ssrc(1), Ssrc(2)).unwrap_or(false) {}
            black_box(writer.len())
        });
    });
}

criterion_group!(benches, compound, arrival, feedback);
criterion_main!(benches);
