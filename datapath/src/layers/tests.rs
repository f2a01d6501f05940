//! Each rule of layer choice on virtual time.

use super::*;
use bifrons_core::codec::Codec;
use bifrons_core::rtp::{Seq, Ssrc};

const FRAME_US: u64 = 33_333;

/// One sink's choice, its source's flow, and a clock.
struct Bench {
    choice: LayerChoice,
    flow: Flow,
    target: LayerTarget,
    now_us: u64,
    seqs: [u16; 3],
    told: Vec<(LayerKind, i8)>,
    wishes: Vec<u64>,
}

impl Bench {
    fn new(selection: Selection, spatial: u8, temporal: u8) -> Self {
        Bench {
            choice: LayerChoice::new(),
            flow: Flow::default(),
            target: LayerTarget { selection, spatial, temporal, fallback_us: 0 },
            now_us: 5_000_000,
            seqs: [100, 200, 300],
            told: Vec::new(),
            wishes: Vec::new(),
        }
    }

    fn packet(&mut self, layer: u8, frame: Frame, keyframe: bool) -> Verdict {
        let seq = &mut self.seqs[usize::from(layer)];
        *seq += 1;
        let meta = Meta {
            ssrc: Ssrc(layer.into()),
            seq: Seq(*seq),
            timestamp: (self.now_us * 9 / 100) as u32,
            layer,
            frame,
            keyframe,
            ..Meta::default()
        };
        self.offer(&meta)
    }

    fn offer(&mut self, meta: &Meta) -> Verdict {
        self.flow.arrived(meta, self.now_us);
        let verdict = self.choice.offer(meta, &self.flow, &self.target, self.now_us);
        if self.choice.take_wish() {
            self.wishes.push(self.now_us);
        }
        self.told.extend(self.choice.take_changes().into_iter().flatten());
        assert!(!self.choice.has_news());
        verdict
    }

    /// A picture of each of these substreams, one packet each, lowest first; which went out.
    fn picture(&mut self, layers: &[u8], keyframe: bool) -> Vec<u8> {
        self.now_us += FRAME_US;
        let sent = |v| matches!(v, Verdict::Relay { .. } | Verdict::Switch { .. });
        let whole = Frame { start: true, end: true, ..Frame::default() };
        layers.iter().copied().filter(|&l| sent(self.packet(l, whole, keyframe))).collect()
    }

    fn pictures(&mut self, count: usize, layers: &[u8]) -> Vec<u8> {
        (0..count).flat_map(|_| self.picture(layers, false)).collect()
    }

    fn told(&mut self) -> Vec<(LayerKind, i8)> {
        std::mem::take(&mut self.told)
    }
}

fn simulcast(target: u8) -> Bench {
    Bench::new(Selection::Simulcast, target, 2)
}

#[test]
fn nothing_flows_until_a_keyframe_of_any_substream() {
    let mut b = simulcast(2);
    assert!(b.pictures(20, &[0, 1, 2]).is_empty());
    assert_eq!((b.choice.current(), b.told()), (None, vec![]));
    assert_eq!(b.picture(&[1], true), [1]);
    assert_eq!(b.told(), [(LayerKind::Substream, 1)]);
    assert_eq!(b.pictures(3, &[0, 1, 2]), [1, 1, 1]);
}

#[test]
fn nothing_relayed_for_a_second_wants_a_keyframe_each_second() {
    let mut b = simulcast(2);
    let start = b.now_us;
    b.pictures(100, &[0]);
    assert_eq!((b.wishes.len(), b.wishes[0]), (4, start + FRAME_US), "at once if none comes");
    for pair in b.wishes.windows(2) {
        assert!((1_000_000..1_070_000).contains(&(pair[1] - pair[0])), "{pair:?}");
    }
}

#[test]
fn a_keyframe_behind_its_own_rest_is_no_beginning() {
    let mut b = simulcast(2);
    let packet = |seq, keyframe| Meta { seq: Seq(seq), timestamp: 7, keyframe, ..Meta::default() };
    assert_eq!(b.offer(&packet(11, false)), Verdict::Ignore);
    assert_eq!(b.offer(&packet(10, true)), Verdict::Ignore);
    assert_eq!(b.offer(&packet(12, true)), Verdict::Switch { ahead: None });
}

#[test]
fn a_switch_waits_for_a_keyframe_on_the_way_to_the_target() {
    let mut b = simulcast(1);
    assert_eq!(b.picture(&[0], true), [0]);
    assert_eq!(b.pictures(40, &[0, 1, 2]), [0; 40], "no keyframe, no switch");
    assert_eq!(b.wishes.len(), 1, "but the wish for one");
    assert_eq!(b.picture(&[2], true), [] as [u8; 0], "beyond the target");
    assert_eq!(b.picture(&[0, 1, 2], true), [0, 1]);
    b.target.spatial = 0;
    assert_eq!(b.picture(&[2], true), [] as [u8; 0], "the other direction");
    assert_eq!(b.pictures(2, &[0, 1]), [1, 1]);
    assert_eq!(b.picture(&[0, 1], true), [0]);
    b.target.spatial = 2;
    assert_eq!(b.picture(&[0, 1, 2], true), [0, 1, 2], "step by step");
    let layers: Vec<_> = b.told().into_iter().map(|(_, layer)| layer).collect();
    assert_eq!(layers, [0, 1, 0, 1, 2]);
}

#[test]
fn going_down_stops_at_the_target_while_it_flows() {
    let mut b = simulcast(2);
    assert_eq!(b.picture(&[2], true), [2]);
    b.pictures(2, &[0, 1, 2]);
    b.target.spatial = 1;
    assert_eq!(b.picture(&[0, 1], true), [1]);
}

#[test]
fn silence_falls_back_and_a_returning_layer_is_taken_up() {
    let mut b = simulcast(2);
    b.picture(&[0, 1, 2], true);
    assert_eq!(b.pictures(30, &[0, 1, 2]), [2; 30]);
    let silent_since = b.now_us;
    assert!(b.pictures(6, &[0, 1]).is_empty());
    assert!(b.wishes.is_empty(), "200 ms are not silence yet");
    assert!(b.pictures(2, &[0, 1]).is_empty());
    assert_eq!(b.wishes.len(), 1);
    assert!(b.wishes[0] - silent_since > 250_000);
    assert_eq!(b.picture(&[0, 1], true), [1], "one step, not two");
    assert_eq!(b.pictures(40, &[0, 1]), [1; 40]);
    assert_eq!(b.wishes.len(), 1, "and content with it");
    assert_eq!(b.picture(&[0, 1, 2], false), [1], "it flows again: a keyframe of it is wanted");
    assert_eq!(b.wishes.len(), 2);
    assert_eq!(b.picture(&[0, 1, 2], true), [1, 2]);
}

#[test]
fn with_two_layers_gone_the_lowest_is_taken() {
    let mut b = simulcast(2);
    b.picture(&[0, 1, 2], true);
    b.pictures(3, &[0, 1, 2]);
    assert!(b.pictures(9, &[0]).is_empty());
    assert_eq!(b.picture(&[0], true), [0]);
    assert_eq!(b.picture(&[0, 1], true), [0, 1], "one is back");
}

#[test]
fn the_fallback_time_is_the_routes() {
    let mut b = simulcast(2);
    b.target.fallback_us = 600_000;
    b.picture(&[0, 2], true);
    assert!(b.pictures(17, &[0]).is_empty() && b.wishes.is_empty());
    b.pictures(2, &[0]);
    assert_eq!(b.wishes.len(), 1);
}

#[test]
fn a_layer_that_comes_back_before_the_switch_is_kept() {
    let mut b = simulcast(2);
    b.picture(&[0, 1, 2], true);
    b.pictures(9, &[0, 1]);
    assert_eq!(b.wishes.len(), 1);
    assert_eq!(b.picture(&[0, 1, 2], false), [2]);
    assert_eq!(b.picture(&[0, 1, 2], true), [2]);
}

#[test]
fn few_pictures_a_second_are_not_silence() {
    let mut b = simulcast(2);
    b.picture(&[0, 1, 2], true);
    for _ in 0..10 {
        b.now_us += 400_000;
        assert_eq!(b.picture(&[0, 1, 2], false), [2]);
    }
    assert!(b.wishes.is_empty());
}

#[test]
fn a_sink_whose_layer_died_takes_what_there_is() {
    let mut b = simulcast(0);
    b.picture(&[0], true);
    assert!(b.pictures(20, &[1]).is_empty());
    assert_eq!(b.picture(&[1], true), [] as [u8; 0], "not yet");
    assert!(b.pictures(20, &[1]).is_empty());
    assert_eq!(b.picture(&[1], true), [1]);
    assert_eq!(b.picture(&[0, 1], true), [0], "and comes back");
}

/// A VP8 frame of three temporal layers: 0 2 1 2, with the layer sync bits of a fresh pattern
/// where `fresh`.
fn vp8(n: usize, fresh: bool) -> Frame {
    let temporal = [0, 2, 1, 2][n % 4];
    let sync = fresh && n % 4 != 3 && temporal > 0;
    let step_up = if sync { StepUp::FromBelow } else { StepUp::No };
    Frame { start: true, end: true, temporal: Some(temporal), step_up, ..Frame::default() }
}

fn temporal_run(b: &mut Bench, frames: std::ops::Range<usize>, fresh: bool) -> Vec<u8> {
    let mut sent = Vec::new();
    for n in frames {
        b.now_us += FRAME_US;
        let frame = vp8(n, fresh);
        match b.packet(0, frame, false) {
            Verdict::Relay { .. } => sent.extend(frame.temporal),
            verdict => assert_eq!(verdict, Verdict::Skip, "left out of the stream that flows"),
        }
    }
    sent
}

#[test]
fn temporal_layers_go_down_at_once_and_up_at_sync_frames() {
    let mut b = simulcast(2);
    b.packet(0, vp8(0, false), true);
    assert_eq!(temporal_run(&mut b, 1..9, false), [2, 1, 2, 0, 2, 1, 2, 0]);
    b.told.clear();
    b.target.temporal = 0;
    assert_eq!(temporal_run(&mut b, 1..9, true), [0, 0]);
    assert_eq!(b.told(), [(LayerKind::Temporal, 0)]);
    b.target.temporal = 2;
    assert_eq!(temporal_run(&mut b, 1..9, false), [0, 0], "nothing to step up at");
    assert_eq!(temporal_run(&mut b, 1..5, true), [1, 0], "2 needs 1 first");
    assert_eq!(temporal_run(&mut b, 5..9, true), [2, 1, 2, 0]);
    assert_eq!(b.told(), [(LayerKind::Temporal, 1), (LayerKind::Temporal, 2)]);
    b.target.temporal = 1;
    assert_eq!(temporal_run(&mut b, 1..9, true), [1, 0, 1, 0]);
}

#[test]
fn a_temporal_layer_out_of_reach_wants_a_keyframe_which_opens_all() {
    let mut b = simulcast(2);
    b.target.temporal = 0;
    b.packet(0, vp8(0, false), true);
    b.target.temporal = 2;
    temporal_run(&mut b, 1..61, false);
    assert_eq!(b.wishes.len(), 1);
    b.now_us += FRAME_US;
    b.packet(0, vp8(0, false), true);
    assert_eq!(temporal_run(&mut b, 1..5, false), [2, 1, 2, 0]);
}

#[test]
fn a_frame_goes_out_whole_or_not_at_all() {
    let mut b = simulcast(2);
    b.packet(0, vp8(0, false), true);
    b.now_us += FRAME_US;
    let first = Frame { end: false, ..vp8(1, true) };
    assert_eq!(b.packet(0, first, false), Verdict::Relay { marker: false });
    b.target.temporal = 0;
    assert_eq!(
        b.packet(0, Frame { start: false, ..first }, false),
        Verdict::Relay { marker: false }
    );
    b.now_us += FRAME_US;
    assert_eq!(b.packet(0, first, false), Verdict::Skip);
    b.target.temporal = 2;
    assert_eq!(b.packet(0, Frame { start: false, ..first }, false), Verdict::Skip);
}

#[test]
fn a_stream_without_temporal_layers_tells_none() {
    let mut b = simulcast(2);
    b.picture(&[0], true);
    b.pictures(40, &[0]);
    assert_eq!(b.told(), [(LayerKind::Substream, 0)], "-1 is what was known before");
    temporal_run(&mut b, 0..4, true);
    assert_eq!(b.told().last(), Some(&(LayerKind::Temporal, 2)));
    b.pictures(40, &[0]);
    assert_eq!(b.told(), [(LayerKind::Temporal, -1)], "it has none any more");
}

#[test]
fn another_source_tells_its_substream_again() {
    let mut b = simulcast(2);
    b.picture(&[0], true);
    b.choice = b.choice.anew();
    assert!(b.pictures(2, &[0]).is_empty());
    b.picture(&[0], true);
    assert_eq!(b.told(), [(LayerKind::Substream, 0), (LayerKind::Substream, 0)]);
}

/// One layer frame of an SVC picture: two packets, of which `last` is the second.
fn svc_frame(spatial: u8, temporal: u8, step_up: StepUp, flexible: bool, last: bool) -> Frame {
    let (start, end) = (!last, last);
    Frame { start, end, spatial, temporal: Some(temporal), step_up, flexible }
}

/// A picture of spatial layers 0..=2; what went out as (spatial, marker).
fn svc_picture(
    b: &mut Bench,
    key: bool,
    temporal: u8,
    up: StepUp,
    flexible: bool,
) -> Vec<(u8, bool)> {
    b.now_us += FRAME_US;
    let mut sent = Vec::new();
    for spatial in 0..3 {
        for last in [false, true] {
            let frame = svc_frame(spatial, temporal, up, flexible, last);
            let keyframe = key && spatial == 0 && !last;
            if let Verdict::Relay { marker } = b.packet(0, frame, keyframe) {
                sent.push((spatial, marker));
            }
        }
    }
    sent
}

fn layers_of(sent: &[(u8, bool)]) -> Vec<u8> {
    let mut layers: Vec<_> = sent.iter().map(|&(layer, _)| layer).collect();
    layers.dedup();
    layers
}

#[test]
fn svc_begins_with_a_keyframe_and_marks_the_highest_layer_kept() {
    let mut b = Bench::new(Selection::Svc, 1, 2);
    assert!(svc_picture(&mut b, false, 0, StepUp::No, true).is_empty());
    let sent = svc_picture(&mut b, true, 0, StepUp::No, true);
    assert_eq!(sent, [(0, false), (0, false), (1, false), (1, true)]);
    assert_eq!(b.told(), [(LayerKind::Spatial, 1), (LayerKind::SvcTemporal, 0)]);
}

#[test]
fn svc_keeps_to_the_substream_it_began_with() {
    let mut b = Bench::new(Selection::Svc, 2, 0);
    let frame = svc_frame(0, 0, StepUp::No, true, false);
    assert_eq!(b.packet(1, frame, true), Verdict::Relay { marker: false });
    assert_eq!(b.packet(0, frame, true), Verdict::Ignore);
    b.now_us += FRAME_US;
    assert_eq!(b.packet(1, Frame { temporal: Some(1), ..frame }, false), Verdict::Skip);
    assert_eq!(b.packet(0, Frame { temporal: Some(1), ..frame }, false), Verdict::Ignore);
}

#[test]
fn svc_goes_up_with_a_keyframe_and_down_where_the_stream_allows_it() {
    let mut b = Bench::new(Selection::Svc, 0, 2);
    svc_picture(&mut b, true, 0, StepUp::No, true);
    b.target.spatial = 2;
    let sent: Vec<_> =
        (0..31).flat_map(|_| svc_picture(&mut b, false, 0, StepUp::No, true)).collect();
    assert_eq!(layers_of(&sent), [0]);
    assert_eq!(b.wishes.len(), 1, "a keyframe is wanted for it");
    b.told.clear();
    assert_eq!(layers_of(&svc_picture(&mut b, true, 0, StepUp::No, true)), [0, 1, 2]);
    assert_eq!(b.told(), [(LayerKind::Spatial, 2)], "seen before, so told at once");
    b.target.spatial = 1;
    assert_eq!(layers_of(&svc_picture(&mut b, false, 0, StepUp::No, true)), [0, 1], "flexible");
    assert_eq!(b.told(), [(LayerKind::Spatial, 1)]);
    b.target.spatial = 0;
    assert_eq!(layers_of(&svc_picture(&mut b, false, 0, StepUp::No, false)), [0, 1]);
    assert_eq!(layers_of(&svc_picture(&mut b, true, 0, StepUp::No, false)), [0], "with a keyframe");
}

#[test]
fn an_svc_layer_that_the_sender_drops_is_told_and_one_it_adds_flows() {
    let mut b = Bench::new(Selection::Svc, 2, 2);
    svc_picture(&mut b, true, 0, StepUp::No, true);
    b.told.clear();
    for _ in 0..40 {
        b.now_us += FRAME_US;
        b.packet(0, svc_frame(0, 0, StepUp::No, true, false), false);
    }
    assert_eq!(b.told(), [(LayerKind::Spatial, 0)]);
    assert_eq!(layers_of(&svc_picture(&mut b, false, 0, StepUp::No, true)), [0, 1, 2]);
    assert_eq!(b.told().last(), Some(&(LayerKind::Spatial, 2)));
}

#[test]
fn svc_temporal_layers_step_up_where_vp9_says_so() {
    let mut b = Bench::new(Selection::Svc, 0, 0);
    svc_picture(&mut b, true, 0, StepUp::Above, false);
    assert!(svc_picture(&mut b, false, 1, StepUp::Above, false).is_empty());
    b.target.temporal = 2;
    assert!(svc_picture(&mut b, false, 2, StepUp::No, false).is_empty());
    assert!(!svc_picture(&mut b, false, 0, StepUp::Above, false).is_empty());
    assert!(!svc_picture(&mut b, false, 2, StepUp::No, false).is_empty(), "from the next on");
    b.target.temporal = 1;
    assert!(svc_picture(&mut b, false, 2, StepUp::No, false).is_empty());
    let told: Vec<_> =
        b.told().into_iter().filter(|(kind, _)| *kind == LayerKind::SvcTemporal).collect();
    assert_eq!(told.iter().map(|&(_, layer)| layer).collect::<Vec<_>>(), [0, 2, 1]);
}

#[test]
fn svc_temporal_layers_step_up_where_a_decode_target_can_be_switched_to() {
    let mut b = Bench::new(Selection::Svc, 2, 0);
    let switch = |t| StepUp::Targets(frame::target_bit(2, t));
    svc_picture(&mut b, true, 0, StepUp::Targets(0), true);
    b.target.temporal = 1;
    assert!(svc_picture(&mut b, false, 1, switch(2), true).is_empty(), "another target's switch");
    assert!(!svc_picture(&mut b, false, 1, switch(1), true).is_empty());
}

#[test]
fn readings_of_the_codecs() {
    let none = &mut None;
    // VP8: 15-bit id, TL0PICIDX, TID 2 with Y, KEYIDX; an interframe's first packet.
    let p = [0x90, 0xF0, 0x81, 0x02, 7, 0xA5, 0x11, 0, 0];
    let r = Reading::of(Codec::Vp8, &p, true, None, none);
    assert_eq!((r.frame.temporal, r.frame.step_up), (Some(2), StepUp::FromBelow));
    assert!(r.frame.start && r.frame.end && !r.keyframe && r.vp8.is_some());
    // VP9: P F B E; T1 U S1 D.
    let r = Reading::of(Codec::Vp9, &[0b1111_1100, 5, 0b0011_0011, 2], false, None, none);
    assert_eq!((r.frame.spatial, r.frame.temporal), (1, Some(1)));
    assert_eq!((r.frame.step_up, r.frame.flexible), (StepUp::Above, true));
    assert!(r.frame.start && r.frame.end && !r.keyframe);
    // H.264: nothing but the keyframe.
    let r = Reading::of(Codec::H264, &[0x65, 0], true, None, none);
    assert_eq!((r.frame.temporal, r.keyframe), (None, true));
    assert_eq!(Reading::of(Codec::Vp9, &[], true, None, none), Reading::default());
    assert!(none.is_none());
}

#[test]
fn an_av1_reading_follows_the_structure_its_sender_stated() {
    // Two spatial layers of two temporal ones, id offset 60; decode targets S0T0, S0T1, S1T1; no
    // chains, no sizes.
    let mut bits = String::new();
    bits += "10111100"; // first packet, template 60
    bits += "0001001000110100"; // frame 0x1234
    bits += "10000"; // states a structure
    bits += "11110000010"; // offset 60, three targets
    bits += "01100111"; // next temporal, next spatial, next temporal, end
    bits += "101010000110000011000001"; // indications: switch to all with the first
    bits += "0000"; // no references
    bits += "00"; // no chains: ns(4) of 0
    bits += "0";
    let bytes = |bits: &str| -> Vec<u8> {
        let bit = |c: &u8| c - b'0';
        bits.as_bytes()
            .chunks(8)
            .map(|c| c.iter().map(bit).zip((0..8).rev()).map(|(b, at)| b << at).sum())
            .collect()
    };
    let structure = &mut None;
    let r = Reading::of(Codec::Av1, &[0x08], false, Some(&bytes(&bits)), structure);
    assert!(r.keyframe && r.frame.start && !r.frame.end);
    assert_eq!((r.frame.spatial, r.frame.temporal), (0, Some(0)));
    let all = frame::target_bit(0, 0) | frame::target_bit(0, 1) | frame::target_bit(1, 1);
    assert_eq!(r.frame.step_up, StepUp::Targets(all));
    let later = bytes("011111110001001000110101"); // last packet, template 63
    let r = Reading::of(Codec::Av1, &[0x00], true, Some(&later), structure);
    assert_eq!((r.frame.spatial, r.frame.temporal, r.frame.end), (1, Some(1), true));
}
