//! The fuzz entry: any bytes through everything that reads RTCP, and what was read through the
//! writer and back.

use super::{
    ArrivalRecorder, Compound, CompoundWriter, MAX_PARTS, MAX_STATUSES, NACK_WINDOW, NackTracker,
    NtpTime, ReceiverStats, Rtcp, SenderStats,
};
use crate::rtp::{Seq, Ssrc};

/// Reads `data` as a compound packet and walks every part to its end.
///
/// # Panics
/// When an invariant breaks: the parts cover the packet, bounds hold, what is written again from a
/// part reads back as the same.
pub fn fuzz_rtcp(data: &[u8]) {
    state(data);
    let Ok(compound) = Compound::parse(data) else { return };
    assert_eq!(compound.raw().count(), compound.parts().count());
    assert!(compound.raw().count() <= MAX_PARTS);
    assert!(compound.raw().map(|r| r.bytes.len()).sum::<usize>() <= data.len());
    for part in compound.parts() {
        walk(&part);
    }
}

fn walk(part: &Rtcp<'_>) {
    let mut out = [0; 4096];
    let mut w = CompoundWriter::new(&mut out);
    match part {
        Rtcp::SenderReport(sr) => {
            let blocks: Vec<_> = sr.blocks().collect();
            w.sender_report(sr.sender, &sr.info, &blocks).expect("room");
            let len = w.len();
            let again = Compound::parse(&out[..len]).expect("a report we wrote");
            let Some(Rtcp::SenderReport(again)) = again.parts().next() else { panic!("a report") };
            assert_eq!((again.info, again.blocks().collect::<Vec<_>>()), (sr.info, blocks));
            for block in again.blocks() {
                SenderStats::new(90_000).reported(&block, NtpTime(sr.info.ntp.0));
            }
            assert!(sr.info.ntp.to_unix_us() < 1 << 53);
        }
        Rtcp::ReceiverReport(rr) => assert!(rr.blocks().len() <= 31),
        Rtcp::Sdes(sdes) => assert!(sdes.chunks().count() <= 31),
        Rtcp::Bye(bye) => assert!(bye.sources().count() <= 31),
        Rtcp::App(_) | Rtcp::Unknown(_) | Rtcp::Pli(_) => {}
        Rtcp::Nack(nack) => {
            let mut seqs: Vec<Seq> = nack.seqs().take(300).collect();
            seqs.sort_by_key(|s| s.0);
            seqs.dedup();
            w.nack(nack.sender, nack.media, seqs.iter().copied()).expect("room");
            let len = w.len();
            if len > 0 {
                let again = Compound::parse(&out[..len]).expect("a NACK we wrote");
                let Some(Rtcp::Nack(again)) = again.parts().next() else { panic!("a NACK") };
                assert!(again.seqs().eq(seqs));
            }
        }
        Rtcp::TransportFeedback(t) => {
            assert_eq!(t.arrivals().count(), usize::from(t.status_count));
            assert!(t.arrivals().count() <= MAX_STATUSES);
        }
        Rtcp::Fir(fir) => assert!(fir.entries().count() < 200),
        Rtcp::Remb(remb) => assert!(remb.sources().count() <= 255),
    }
}

/// The same bytes as a course of events: three bytes are a step of time and of sequence number.
fn state(data: &[u8]) {
    let (mut tracker, mut recorder) = (NackTracker::new(), ArrivalRecorder::new());
    let mut stats = ReceiverStats::new(90_000);
    let (mut seq, mut now_us) = (Seq(0), 0);
    let mut due = [Seq(0); NACK_WINDOW as usize];
    for step in data.as_chunks::<3>().0 {
        seq = seq.add(u16::from_be_bytes([step[0], step[1]]));
        now_us += u64::from(step[2]) * 1000;
        tracker.received(seq, now_us);
        recorder.arrived(seq, now_us);
        stats.received(seq, now_us as u32, 100, now_us);
        let n = tracker.due(now_us, &mut due);
        assert!(n < due.len());
        assert!(due[..n].windows(2).all(|w| w[1].is_newer_than(w[0])), "oldest first");
        if recorder.is_full() || step[2] & 7 == 0 {
            drain(&mut recorder);
        }
    }
    drain(&mut recorder);
    assert!(stats.report_block(Ssrc(1), now_us).is_some() == (data.len() >= 3));
}

fn drain(recorder: &mut ArrivalRecorder) {
    for _ in 0..1024 {
        let mut out = [0; 1200];
        let mut w = CompoundWriter::new(&mut out);
        if !recorder.write(&mut w, Ssrc(1), Ssrc(2)).expect("a message fits 1200 bytes") {
            assert!(recorder.is_empty());
            return;
        }
        let len = w.len();
        assert!(Compound::parse(&out[..len]).is_ok(), "a message we wrote");
    }
    panic!("messages without end");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Parts with right lengths and any body.
    fn compounds() -> impl Strategy<Value = Vec<u8>> {
        let part = (0u8..32, 200u8..209, proptest::collection::vec(any::<u8>(), 0..120));
        proptest::collection::vec(part, 1..5).prop_map(|parts| {
            let mut out = Vec::new();
            for (count, kind, mut body) in parts {
                body.resize(body.len().next_multiple_of(4), 0);
                out.extend([0x80 | count, kind, 0, (body.len() / 4) as u8]);
                out.extend(body);
            }
            out
        })
    }

    proptest! {
        #[test]
        fn shaped_compounds_hold(data in compounds()) {
            fuzz_rtcp(&data);
        }

        #[test]
        fn single_parts_hold(
            kind in prop_oneof![Just((1u8, 205u8)), Just((15, 205)), Just((4, 206)), Just((15, 206))],
            mut body in proptest::collection::vec(any::<u8>(), 8..400)
        ) {
            body.resize(body.len().next_multiple_of(4), 0);
            let mut data = vec![0x80 | kind.0, kind.1, 0, (body.len() / 4) as u8];
            data.extend(body);
            fuzz_rtcp(&data);
        }

        #[test]
        fn any_bytes_hold(data in proptest::collection::vec(any::<u8>(), 0..1600)) {
            fuzz_rtcp(&data);
        }
    }
}
