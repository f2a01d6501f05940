//! What a sink makes of its layers: numbers without gaps of our own.

use super::*;
use crate::forward::{Onward, Sink};
use crate::layers::Reading;
use bifrons_core::codec::{Codec, Vp8Descriptor};
use bifrons_core::media::{Line, MediaKind, Payload, Send};
use bifrons_core::rtp::{ExtensionIds, Seq, Ssrc};
use proptest::prelude::*;

const FRAME_US: u64 = 33_333;

fn sink(selection: Selection) -> Sink {
    let payload = Payload { pt: 96, codec: Some(Codec::Vp8), clock_hz: 90_000, rtx_pt: None };
    let send = Send { payloads: vec![payload], nack: true, extensions: ExtensionIds::new() };
    let line = Line {
        mindex: 0,
        mid: "0".into(),
        kind: MediaKind::Video,
        ssrc: Ssrc(1),
        rtx_ssrc: None,
        receive: None,
        send: Some(send),
        data: None,
    };
    let mut sink = Sink::new(&line).expect("we send on it");
    sink.route.layers.selection = selection;
    sink
}

/// A simulcast sender of VP8 with three temporal layers.
struct Sender {
    flow: Flow,
    now_us: u64,
    frames: usize,
    seqs: [u16; 3],
    pictures: [u16; 3],
    tl0: [u8; 3],
    clocks: Option<[u32; 3]>,
}

impl Sender {
    fn new(seed: u16) -> Self {
        Sender {
            flow: Flow::default(),
            now_us: 1_000_000,
            frames: 0,
            seqs: [65_500, seed, seed ^ 0x5555],
            pictures: [0x7FF0, seed & 0x7FFF, !seed & 0x7FFF],
            tl0: [250, seed as u8, !(seed as u8)],
            clocks: None,
        }
    }

    /// The packets of one picture in all substreams, as a shard would describe them.
    fn picture(&mut self, key: bool, packets: usize) -> Vec<Meta> {
        self.now_us += FRAME_US;
        self.frames += 1;
        let n = if key { 0 } else { self.frames };
        let mut all = Vec::new();
        for layer in 0..3 {
            let (temporal, sync) = ([0, 2, 1, 2][n % 4], n % 4 != 3);
            self.tl0[layer] = self.tl0[layer].wrapping_add(u8::from(temporal == 0));
            self.pictures[layer] = self.pictures[layer].wrapping_add(1) & 0x7FFF;
            let clock = self.clocks.map_or(layer as u32 * 1_000_003, |clocks| clocks[layer]);
            for at in 0..packets {
                self.seqs[layer] = self.seqs[layer].wrapping_add(1);
                let [hi, lo] = (self.pictures[layer] | 0x8000).to_be_bytes();
                let start = if at == 0 { 0x90 } else { 0x80 };
                let tag = u8::from(!key);
                let tid = temporal << 6 | u8::from(sync) << 5;
                let data = [start, 0xE0, hi, lo, self.tl0[layer], tid, tag, 0, 0, 0x9D, 1, 0x2A];
                let mut meta = Meta {
                    ssrc: Ssrc(10 + layer as u32),
                    seq: Seq(self.seqs[layer]),
                    timestamp: ((self.now_us * 9 / 100) as u32).wrapping_add(clock),
                    marker: at + 1 == packets,
                    layer: layer as u8,
                    common_clock: self.clocks.map(|clocks| clocks[0].wrapping_sub(clock)),
                    ..Meta::default()
                };
                Reading::of(Codec::Vp8, &data, meta.marker, None, &mut None).note(&mut meta);
                assert_eq!(meta.keyframe, key && at == 0);
                all.push(meta);
            }
        }
        all
    }

    fn offer(&mut self, sink: &mut Sink, meta: &Meta) -> Option<(Onward, Vp8Descriptor)> {
        self.flow.arrived(meta, self.now_us);
        Some((sink.choose(meta, &self.flow, self.now_us)?, meta.vp8?))
    }
}

/// The picture id and TL0PICIDX a receiver sees.
fn shown(onward: &Onward, own: &Vp8Descriptor) -> (u16, u8) {
    let own = (own.picture_id.map_or(0, |id| id.value), own.tl0_pic_idx.unwrap_or(0));
    onward.pictures.map_or(own, |ids| (ids.picture_id, ids.tl0_pic_idx))
}

#[test]
fn substreams_with_known_clocks_share_one_time() {
    let mut sender = Sender::new(7);
    sender.clocks = Some([5, 4_000_000_000, 77_777]);
    let mut sink = sink(Selection::Simulcast);
    let mut origin = None;
    for n in 0..60 {
        sink.route.layers.spatial = (n / 10 % 3) as u8;
        // Packets take longer and longer, and the receiver's clock does not notice.
        for meta in sender.picture(n % 5 == 0, 1) {
            let late_us = sender.now_us + n * 2_000;
            sender.flow.arrived(&meta, late_us);
            let Some(onward) = sink.choose(&meta, &sender.flow, late_us) else { continue };
            let sent = (sender.now_us * 9 / 100) as u32;
            let origin = *origin.get_or_insert(onward.timestamp.wrapping_sub(sent));
            let off = onward.timestamp.wrapping_sub(sent).wrapping_sub(origin).cast_signed();
            // A picture seen in two substreams is a tick later in the second.
            assert!((0..=12).contains(&off), "{off} ticks off at picture {n}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is lost, and wherever the targets move: no number twice, no gap that loss does
    /// not explain, and picture numbers that go on by one.
    #[test]
    fn go_on_over_switches_and_losses(
        seed in any::<u16>(),
        lossy in any::<bool>(),
        steps in proptest::collection::vec(
            (0u8..12, 1usize..4, 0u8..3, 0u8..3, proptest::collection::vec(0u8..8, 9)), 20..150
        ),
    ) {
        let mut sender = Sender::new(seed);
        let mut sink = sink(Selection::Simulcast);
        let mut seen = std::collections::HashSet::new();
        let mut last: Option<(u16, u32, u16, u8)> = None;
        let (mut lost, mut lost_frames) = (0u16, 0u16);
        for (what, packets, spatial, temporal, losses) in steps {
            if what < 3 {
                (sink.route.layers.spatial, sink.route.layers.temporal) = (spatial, temporal);
            }
            if what == 3 {
                sink.continuity.pause();
            }
            let key = what % 4 == 0 || sender.frames == 0;
                for (at, meta) in sender.picture(key, packets).iter().enumerate() {
                if lossy && losses[at] == 0 {
                    lost += 1;
                    lost_frames += 1;
                    continue;
                }
                let Some((onward, own)) = sender.offer(&mut sink, meta) else { continue };
                prop_assert!(seen.insert(onward.seq.0), "{} twice", onward.seq.0);
                let (picture, tl0) = shown(&onward, &own);
                if let Some((seq, timestamp, before, tl0_before)) = last {
                    let gap = onward.seq.0.wrapping_sub(seq).wrapping_sub(1);
                    prop_assert!(gap <= lost, "gap of {gap} after {lost} losses");
                    let pictures = picture.wrapping_sub(before) & 0x7FFF;
                    prop_assert!(pictures <= 1 + lost_frames, "{pictures} pictures on");
                    let same = onward.timestamp == timestamp;
                    prop_assert_eq!(same, pictures == 0);
                    let ahead = onward.timestamp.wrapping_sub(timestamp).cast_signed();
                    prop_assert!(ahead >= 0, "time went back by {}", -ahead);
                    let step = tl0.wrapping_sub(tl0_before);
                    prop_assert!(u16::from(step) <= 1 + lost_frames, "tl0 by {step}");
                }
                last = Some((onward.seq.0, onward.timestamp, picture, tl0));
                (lost, lost_frames) = (0, 0);
            }
        }
        prop_assert!(lossy || last.is_some());
    }
}

/// Anything a packet may show, whether or not a sender would.
fn any_frame() -> impl Strategy<Value = (u8, Frame, bool)> {
    let up = any::<(u8, u32)>().prop_map(|(which, targets)| match which % 4 {
        0 => StepUp::No,
        1 => StepUp::FromBelow,
        2 => StepUp::Above,
        _ => StepUp::Targets(targets),
    });
    let temporal = (0u8..9).prop_map(|layer| (layer < 8).then_some(layer));
    let bits = any::<(bool, bool, bool, bool)>();
    (0u8..3, 0u8..8, temporal, up, bits).prop_map(|(layer, spatial, temporal, step_up, bits)| {
        let (start, end, flexible, keyframe) = bits;
        (layer, Frame { start, end, spatial, temporal, step_up, flexible }, keyframe)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever a sender shows and a plugin asks for, a sink's numbers go on one by one where
    /// nothing was lost.
    #[test]
    fn go_on_one_by_one_whatever_is_shown(
        which in 0u8..3,
        packets in proptest::collection::vec((any_frame(), any::<(u8, u8)>(), 0u64..3), 1..200),
    ) {
        let selections = [Selection::Whole, Selection::Simulcast, Selection::Svc];
        let mut sink = sink(selections[usize::from(which)]);
        let mut flow = Flow::default();
        let (mut now_us, mut seqs) = (0, [7u16, 65_530, 30_000]);
        let mut last: Option<Onward> = None;
        for ((layer, frame, keyframe), (spatial, temporal), pictures) in packets {
            now_us += pictures * FRAME_US;
            (sink.route.layers.spatial, sink.route.layers.temporal) = (spatial, temporal);
            let seq = &mut seqs[usize::from(layer)];
            *seq = seq.wrapping_add(1);
            let meta = Meta {
                ssrc: Ssrc(layer.into()),
                seq: Seq(*seq),
                timestamp: (now_us * 9 / 100) as u32,
                layer,
                frame,
                keyframe,
                ..Meta::default()
            };
            flow.arrived(&meta, now_us);
            let Some(onward) = sink.choose(&meta, &flow, now_us) else { continue };
            if let Some(before) = last.replace(onward) {
                prop_assert_eq!(onward.seq, before.seq.next());
                let step = onward.timestamp.wrapping_sub(before.timestamp).cast_signed();
                prop_assert!(step >= 0, "time went back by {}", -step);
            }
        }
    }
}
