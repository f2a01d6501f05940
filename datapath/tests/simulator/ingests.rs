//! Ingests as a mountpoint wants them: what senders do, what viewers see, what goes back
//! (plugin-streaming §6). Names that begin with `streaming_` are lines of its checklist.

use super::spec::{Spec, VIDEO, line, our_ssrc};
use super::wire::master;
use super::world::World;
use bifrons_core::codec::{Codec, ParameterSets};
use bifrons_core::media::{
    Carries, Delay, Fact, IngestId, IngestSetup, KeyframeBuffer, LayerKind, LayerTarget, MediaKind,
    PeerUpdate, Plan, PortId, Route, Selection, ShardCommand, SinkId, SourceId,
};
use bifrons_core::rtcp::{Compound, CompoundWriter, NtpTime, ReportBlock, Rtcp, SenderInfo};
use bifrons_core::rtp::{Extension, ExtensionIds, Packet, PlayoutDelay, Ssrc, parse_extensions};
use bifrons_core::srtp::SealKey;
use std::net::SocketAddr;
use std::time::Duration;

const RTP: PortId = PortId { shard: 0, number: 5 };
const RTCP: PortId = PortId { shard: 0, number: 6 };
const INGEST: IngestId = IngestId { shard: 0, number: 1 };
const SOURCE: SourceId = SourceId::Ingest(INGEST);
/// Packets of a frame, and its length.
const PARTS: u16 = 3;
const FRAME: Duration = Duration::from_micros(33_333);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn vp8() -> IngestSetup {
    IngestSetup::new(MediaKind::Video, Some(Codec::Vp8), 90_000)
}

/// One packet a viewer saw.
#[derive(Clone, Debug)]
struct Seen {
    at_us: u64,
    ssrc: u32,
    seq: u16,
    timestamp: u32,
    pt: u8,
    payload: Vec<u8>,
    bytes: Vec<u8>,
}

/// A mountpoint of one stream, and its sender.
struct Stage {
    world: World,
    to: SocketAddr,
    back: SocketAddr,
    sender: usize,
    exported: bool,
    /// Of the next frame.
    seq: u16,
    timestamp: u32,
    ssrc: u32,
}

impl Stage {
    fn new(seed: u64, shards: usize, setup: IngestSetup) -> Self {
        let mut world = World::new(seed, shards);
        let (to, back) = (world.open_port(RTP, None), world.open_port(RTCP, None));
        world.ingest(INGEST, setup);
        for (port, carries) in [(RTP, Carries::Layer(0)), (RTCP, Carries::Rtcp)] {
            let feed = Plan::Feed { port, ingest: INGEST, carries };
            world.command(0, ShardCommand::Plan(feed));
        }
        let sender = world.wire(None);
        let mut stage = Stage {
            world,
            to,
            back,
            sender,
            exported: false,
            seq: 65_000,
            timestamp: 9_000,
            ssrc: 1,
        };
        stage.run(ms(10));
        stage
    }

    fn run(&mut self, time: Duration) {
        self.world.run_for(time);
    }

    /// The setup, changed.
    fn set(&mut self, setup: IngestSetup) {
        self.world.ingest(INGEST, setup);
        self.run(ms(1));
    }

    fn route(&mut self, viewer: usize, route: Route) {
        let sink = SinkId::Line(self.world.line(viewer, 0));
        let plan = Plan::Route { source: SOURCE, sink, route };
        self.world.command(sink.shard().into(), ShardCommand::Plan(plan));
    }

    /// A viewer that is not up yet.
    fn invite(&mut self, shard: usize) -> usize {
        let viewer = self.world.join_raw(shard, &[VIDEO.receives()]);
        if shard != 0 && !std::mem::replace(&mut self.exported, true) {
            let export = ShardCommand::Export { source: SOURCE, shard: shard as u8, on: true };
            self.world.command(0, export);
        }
        self.route(viewer, Route::default());
        viewer
    }

    /// A viewer, up.
    fn viewer(&mut self, shard: usize) -> usize {
        let viewer = self.invite(shard);
        self.world.connect_only(&[viewer]);
        self.run(ms(20));
        viewer
    }

    fn send(&mut self, ssrc: u32, seq: u16, timestamp: u32, payload: &[u8]) {
        let mut bytes = vec![0x80, 96];
        bytes.extend(seq.to_be_bytes());
        bytes.extend(timestamp.to_be_bytes());
        bytes.extend(ssrc.to_be_bytes());
        bytes.extend(payload);
        self.world.send_from(self.sender, self.to, &bytes);
    }

    /// Sends one VP8 frame, and lets its time pass.
    fn frame(&mut self, keyframe: bool) {
        for part in 0..PARTS {
            let start = if part == 0 { 0x10 } else { 0 };
            let mut payload = vec![start, u8::from(!keyframe)];
            payload.extend([0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01]);
            payload.extend([7; 500]);
            self.send(self.ssrc, self.seq, self.timestamp, &payload);
            self.seq = self.seq.wrapping_add(1);
        }
        self.timestamp = self.timestamp.wrapping_add(3000);
        self.run(FRAME);
    }

    fn frames(&mut self, count: usize) {
        (0..count).for_each(|_| self.frame(false));
    }

    /// RTCP of the sender, or anything else that shows where it is.
    fn say(&mut self, bytes: &[u8]) {
        self.world.send_from(self.sender, self.back, bytes);
        self.run(ms(1));
    }

    fn seen(&mut self, viewer: usize) -> Vec<Seen> {
        let raw = self.world.raw(viewer);
        let read = |(at_us, bytes, _): &(u64, Vec<u8>, Vec<u8>)| {
            let packet = Packet::parse(bytes).expect("RTP");
            Seen {
                at_us: *at_us,
                ssrc: packet.ssrc().0,
                seq: packet.seq().0,
                timestamp: packet.timestamp(),
                pt: packet.payload_type().get(),
                payload: packet.payload().to_vec(),
                bytes: bytes.clone(),
            }
        };
        raw.rtp.iter().map(read).collect()
    }

    /// What came back to the sender: keyframe requests, and REMB with their rates.
    fn asked(&self) -> (Vec<u64>, Vec<(u64, u64)>) {
        let (mut plis, mut rembs) = (Vec::new(), Vec::new());
        for (at_us, _, bytes) in &self.world.wires[self.sender].got {
            for part in Compound::parse(bytes).expect("RTCP").parts() {
                match part {
                    Rtcp::Pli(pli) => {
                        assert_eq!(pli.media.0, self.ssrc);
                        plis.push(*at_us);
                    }
                    Rtcp::Remb(remb) => rembs.push((*at_us, remb.bitrate_bps)),
                    _ => {}
                }
            }
        }
        (plis, rembs)
    }

    /// A viewer's bandwidth estimate.
    fn remb(&mut self, viewer: usize, bps: u64) {
        let ours = Ssrc(our_ssrc(viewer, 0));
        self.world.raw(viewer).send_rtcp(|writer| {
            writer.receiver_report(Ssrc(5), &[]).expect("room");
            writer.remb(Ssrc(5), bps, &[ours]).expect("room");
        });
    }
}

/// Steps between the sequence numbers of what came, less one: how many are missing where.
fn gaps(seen: &[Seen]) -> Vec<u16> {
    let steps = seen.windows(2).map(|pair| pair[1].seq.wrapping_sub(pair[0].seq));
    steps.map(|step| step.wrapping_sub(1)).filter(|missing| *missing != 0).collect()
}

/// Times at least so far apart, in microseconds.
fn assert_apart(times: &[u64], least_us: u64) {
    assert!(times.windows(2).all(|pair| pair[1] >= pair[0] + least_us), "{times:?}");
}

#[test]
fn streaming_43_source_ssrc_changes_unseen() {
    let mut stage = Stage::new(61, 2, vp8());
    let viewers = [stage.viewer(0), stage.viewer(1)];
    stage.frame(true);
    stage.frames(9);
    let before = stage.seq;
    stage.run(ms(500));
    (stage.ssrc, stage.seq, stage.timestamp) = (77, 20_000, 4_000_000_000);
    assert_ne!(before, stage.seq);
    stage.frame(true);
    stage.frames(9);
    for viewer in viewers {
        let seen = stage.seen(viewer);
        assert_eq!(seen.len(), 20 * usize::from(PARTS));
        assert!(gaps(&seen).is_empty());
        assert!(seen.iter().all(|seen| seen.ssrc == our_ssrc(viewer, 0)));
        let (last, first) = (&seen[29], &seen[30]);
        let ticks = first.timestamp.wrapping_sub(last.timestamp);
        assert!((45_000..=51_000).contains(&ticks), "half a second went by: {ticks}");
    }
}

#[test]
fn streaming_44_an_interloper_is_dropped_while_the_first_is_active() {
    let mut stage = Stage::new(62, 1, IngestSetup { collision_ms: 1000, ..vp8() });
    let viewer = stage.viewer(0);
    stage.frame(true);
    for n in 0..10 {
        stage.frame(false);
        stage.send(666, n, 0, &[0x10, 0, 6, 6, 6, 6]);
        stage.run(ms(1));
    }
    let seen = stage.seen(viewer);
    assert_eq!((seen.len(), gaps(&seen)), (11 * usize::from(PARTS), vec![]));
    assert!(seen.iter().all(|seen| seen.payload.len() > 6), "none of the interloper's");
    stage.run(ms(900));
    stage.send(666, 100, 0, &[0x10, 0, 6, 6, 6, 6]);
    stage.run(ms(110));
    assert_eq!(stage.seen(viewer).len(), seen.len(), "not silent for long enough");
    stage.send(666, 101, 0, &[0x10, 0, 6, 6, 6, 6]);
    stage.run(ms(10));
    let after = stage.seen(viewer);
    assert_eq!((after.len(), gaps(&after)), (seen.len() + 1, vec![]), "it takes over");
}

#[test]
fn streaming_45_a_latched_sender_is_asked_for_keyframes_once_a_second() {
    let mut stage = Stage::new(63, 2, vp8());
    let early = stage.viewer(0);
    stage.frame(true);
    stage.frames(10);
    assert_eq!(stage.asked().0.len(), 0, "nobody knows where it is");
    let pli = |stage: &mut Stage, viewer: usize| {
        let ours = Ssrc(our_ssrc(viewer, 0));
        stage.world.raw(viewer).send_rtcp(|writer| writer.pli(Ssrc(5), ours).expect("room"));
    };
    pli(&mut stage, early);
    stage.frames(1);
    assert_eq!(stage.asked().0.len(), 0);
    stage.say(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    stage.frames(2);
    assert_eq!(stage.asked().0.len(), 1, "what was asked before is asked now");
    stage.frames(31);
    let late = stage.viewer(1);
    stage.frames(5);
    assert!(stage.asked().0.len() >= 2, "a new viewer on another shard");
    let before = stage.asked().0.len();
    for n in 0..100 {
        pli(&mut stage, if n % 2 == 0 { early } else { late });
        stage.frames(1);
    }
    let (plis, rembs) = stage.asked();
    assert!((3..=4).contains(&(plis.len() - before)), "{plis:?}");
    assert_apart(&plis, 1_000_000);
    assert_eq!(rembs, []);
}

#[test]
fn streaming_46_the_lowest_estimate_of_all_viewers_goes_upstream_once_a_second() {
    let mut stage = Stage::new(64, 2, IngestSetup { relay_remb: true, ..vp8() });
    let viewers = [stage.viewer(0), stage.viewer(1)];
    stage.say(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    stage.frame(true);
    for n in 0..120 {
        stage.remb(viewers[0], 900_000);
        let low = if n < 60 { 300_000 } else { 600_000 };
        stage.remb(viewers[1], low);
        stage.frames(1);
    }
    let (_, rembs) = stage.asked();
    assert!((4..=5).contains(&rembs.len()), "{rembs:?}");
    assert_apart(&rembs.iter().map(|(at_us, _)| *at_us).collect::<Vec<_>>(), 1_000_000);
    let near = |have: u64, want: u64| have.abs_diff(want) < want / 100;
    assert!(near(rembs[1].1, 300_000), "{rembs:?}");
    assert!(near(rembs[rembs.len() - 1].1, 600_000), "{rembs:?}");
    let mut stage = Stage::new(64, 1, vp8());
    let viewer = stage.viewer(0);
    stage.say(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    stage.frame(true);
    stage.remb(viewer, 100_000);
    stage.frames(3);
    assert_eq!(stage.asked().1, [], "unless it was not asked for");
}

#[test]
fn streaming_47_a_new_viewer_sees_what_was_kept_since_the_last_keyframe() {
    let keyframe_buffer = KeyframeBuffer { ms: 20_000, bytes: 0 };
    let mut stage = Stage::new(65, 2, IngestSetup { keyframe_buffer, ..vp8() });
    stage.frames(3);
    stage.frame(true);
    stage.frames(60);
    for shard in [0, 1, 1] {
        let viewer = stage.invite(shard);
        while stage.world.up_us(viewer).is_none() {
            stage.frame(false);
        }
        stage.frames(30);
        let seen = stage.seen(viewer);
        assert!(gaps(&seen).is_empty(), "burst and live are one stream: {:?}", gaps(&seen));
        assert!(seen[0].payload[..2] == [0x10, 0], "it begins with the keyframe");
        assert!(seen.len() >= 91 * usize::from(PARTS), "all since then: {}", seen.len());
        let first_us = seen[0].at_us;
        let at_once = seen.iter().filter(|seen| seen.at_us < first_us + 4_000).count();
        assert!(at_once <= 40, "{at_once} at once");
        let within = seen.iter().filter(|seen| seen.at_us < first_us + 100_000).count();
        assert!(within >= 61 * usize::from(PARTS), "{within} in the first 100 ms");
    }
    // A viewer that is up already is given nothing of the past when it comes back.
    let old = stage.viewer(0);
    stage.frames(20);
    let before = stage.seen(old).len();
    stage.route(old, Route { enabled: false, ..Route::default() });
    stage.frames(3);
    stage.route(old, Route::default());
    stage.frames(3);
    let seen = stage.seen(old);
    assert_eq!((seen.len(), gaps(&seen)), (before + 3 * usize::from(PARTS), vec![]));
}

#[test]
fn a_keyframe_buffer_ends_at_its_limits_and_with_its_mountpoint() {
    let keyframe_buffer = KeyframeBuffer { ms: 100, bytes: 0 };
    let setup = IngestSetup { keyframe_buffer, ..vp8() };
    let mut stage = Stage::new(66, 2, setup);
    stage.frame(true);
    stage.frames(30);
    let first = stage.viewer(0);
    let kept = stage.seen(first);
    assert_eq!(kept.len(), 4 * usize::from(PARTS), "100 ms");
    stage.frames(2);
    let seen = stage.seen(first);
    let missing = 27 * PARTS;
    assert_eq!(gaps(&seen), [missing], "what was not kept is missing, and can be seen to be");
    let far = stage.viewer(1);
    stage.frames(2);
    stage.set(IngestSetup { enabled: false, ..setup });
    stage.run(ms(50));
    for shard in [0, 1] {
        let viewer = stage.viewer(shard);
        stage.frames(3);
        assert_eq!(stage.seen(viewer).len(), 0, "nothing of a past that is over, shard {shard}");
    }
    assert!(!stage.seen(far).is_empty());
}

#[test]
fn streaming_62_disabling_leaves_a_gap_and_pausing_none() {
    let mut stage = Stage::new(67, 2, vp8());
    let viewers = [stage.viewer(0), stage.viewer(1)];
    stage.frame(true);
    stage.frames(5);
    stage.set(IngestSetup { enabled: false, ..vp8() });
    stage.run(ms(50));
    let before: Vec<_> = viewers.iter().map(|viewer| stage.seen(*viewer).len()).collect();
    stage.frames(20);
    let during: Vec<_> = viewers.iter().map(|viewer| stage.seen(*viewer).len()).collect();
    assert_eq!(before, during, "received, not relayed");
    stage.set(vp8());
    stage.frames(5);
    for viewer in viewers {
        assert_eq!(gaps(&stage.seen(viewer)), [20 * PARTS]);
        stage.route(viewer, Route { enabled: false, ..Route::default() });
    }
    stage.run(ms(10));
    stage.frames(20);
    let paused: Vec<_> = viewers.iter().map(|viewer| stage.seen(*viewer).len()).collect();
    viewers.iter().for_each(|viewer| stage.route(*viewer, Route::default()));
    stage.run(ms(10));
    stage.frames(5);
    for (viewer, paused) in viewers.into_iter().zip(paused) {
        let seen = stage.seen(viewer);
        assert_eq!(seen.len(), paused + 5 * usize::from(PARTS));
        assert_eq!(gaps(&seen), [20 * PARTS], "no other gap");
    }
}

#[test]
fn streaming_50_a_wrong_key_relays_nothing() {
    let mut stage = Stage::new(73, 1, vp8());
    let sealed = PortId { shard: 0, number: 20 };
    let to = stage.world.open_port(sealed, Some(7));
    let feed = Plan::Feed { port: sealed, ingest: INGEST, carries: Carries::Layer(0) };
    stage.world.command(0, ShardCommand::Plan(feed));
    let viewer = stage.viewer(0);
    let send = |stage: &mut Stage, key: u8, number: u16| {
        let seal = SealKey::new(&master(key)).expect("it fits");
        let mut bytes = vec![0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        bytes[2..4].copy_from_slice(&number.to_be_bytes());
        bytes.extend([0x10, 0, 1, 2, 3, 4, 5, 6]);
        let len = bytes.len();
        bytes.resize(len + 16, 0);
        let len = seal.seal_rtp_in_place(number.into(), &mut bytes, 12, len).expect("room");
        stage.world.send_from(stage.sender, to, &bytes[..len]);
        stage.run(ms(20));
    };
    let stray = stage.world.counters().stray;
    for number in 1..20 {
        send(&mut stage, 8, number);
    }
    assert_eq!(stage.seen(viewer).len(), 0);
    assert_eq!(stage.world.counters().stray, stray + 19, "counted");
    for number in 1..20 {
        send(&mut stage, 7, number);
    }
    let seen = stage.seen(viewer);
    assert_eq!((seen.len(), gaps(&seen)), (19, vec![]), "the right key");
    assert_eq!(seen[0].payload, [0x10, 0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn streaming_53_parameter_sets_take_a_number_and_leave_no_gap() {
    let sets = ParameterSets::new(&[0x67, 0x42, 1, 2], &[0x68, 0xCE, 3]).expect("a pair");
    let h264 = IngestSetup::new(MediaKind::Video, Some(Codec::H264), 90_000);
    let setup = IngestSetup { parameter_sets: Some(sets), ..h264 };
    let mut stage = Stage::new(68, 2, setup);
    let viewers = [stage.viewer(0), stage.viewer(1)];
    for n in 0..40u16 {
        let head: &[u8] = if n % 10 == 0 { &[0x7C, 0x85] } else { &[0x7C, 0x81] };
        for (part, head) in [head, &[0x7C, 0x05], &[0x7C, 0x45]].into_iter().enumerate() {
            let mut payload = head.to_vec();
            payload.extend([9; 300]);
            let seq = 65_500u16.wrapping_add(n * PARTS + part as u16);
            stage.send(4, seq, u32::from(n) * 3000, &payload);
        }
        stage.run(FRAME);
    }
    for viewer in viewers {
        let seen = stage.seen(viewer);
        assert_eq!((seen.len(), gaps(&seen)), (124, vec![]));
        for picture in 0..4 {
            let (put, next) = (&seen[picture * 31], &seen[picture * 31 + 1]);
            assert_eq!(put.payload, sets.payload());
            assert_eq!((put.timestamp, put.bytes[1] & 0x80), (next.timestamp, 0));
            assert_eq!(next.payload[..2], [0x7C, 0x85]);
        }
    }
}

#[test]
fn three_ports_are_the_substreams_of_one_stream() {
    let mut stage = Stage::new(72, 2, IngestSetup { simulcast: true, ..vp8() });
    let mut to = vec![stage.to];
    for layer in [1, 2] {
        let port = PortId { shard: 0, number: 10 + u32::from(layer) };
        to.push(stage.world.open_port(port, None));
        let carries = Carries::Layer(layer);
        stage.world.command(0, ShardCommand::Plan(Plan::Feed { port, ingest: INGEST, carries }));
    }
    let layers = LayerTarget { selection: Selection::Simulcast, ..LayerTarget::default() };
    let route = Route { layers, ..Route::default() };
    let viewers = [stage.viewer(0), stage.viewer(1)];
    viewers.iter().for_each(|viewer| stage.route(*viewer, route));
    stage.run(ms(10));
    let picture = |stage: &mut Stage, flowing: usize, keyframe: bool| {
        let (seq, timestamp) = (stage.seq, stage.timestamp);
        for (layer, port) in to.iter().enumerate().take(flowing) {
            // Each encoder counts for itself.
            stage.to = *port;
            let tag = [0x10, u8::from(!keyframe), 0, 0, 0x9d, 0x01, 0x2a];
            let payload = [&tag[..], &[layer as u8, 0, 0, 0]].concat();
            let seq = seq.wrapping_add(1000 * layer as u16);
            stage.send(1 + layer as u32, seq, timestamp, &payload);
        }
        stage.seq = stage.seq.wrapping_add(1);
        stage.timestamp = stage.timestamp.wrapping_add(3000);
        stage.run(FRAME);
    };
    for n in 0..60 {
        picture(&mut stage, 3, n % 30 == 0);
    }
    // The highest one falls silent.
    for n in 60..120 {
        picture(&mut stage, 2, n % 30 == 0);
    }
    for viewer in viewers {
        let told: Vec<_> = stage.world.facts(viewer).into_iter().collect();
        let layers = told.iter().filter_map(|(_, fact)| match fact {
            Fact::Layer { kind: LayerKind::Substream, layer, .. } => Some(*layer),
            _ => None,
        });
        let layers: Vec<_> = layers.collect();
        assert!(layers.contains(&2) && layers.ends_with(&[1]), "{layers:?}");
        let seen = stage.seen(viewer);
        assert!(gaps(&seen).is_empty());
        let of: Vec<_> = seen.iter().map(|seen| (seen.payload[7], seen.payload[1] == 0)).collect();
        for pair in of.windows(2).filter(|pair| pair[0].0 != pair[1].0) {
            assert!(pair[1].1, "a change begins with a keyframe: {pair:?}");
        }
        assert_eq!(of.last().map(|(layer, _)| *layer), Some(1));
    }
}

#[test]
fn viewers_are_told_the_wall_clock_of_the_sender() {
    let mut stage = Stage::new(69, 2, vp8());
    let viewers = [stage.viewer(0), stage.viewer(1)];
    // Its clock shows 1970, and its timestamps are of when it filmed: 400 ms before it sends.
    let theirs = |stage: &Stage| NtpTime::from_unix_us(stage.world.now_us + 5_000_000);
    let mut sent = None;
    for n in 0..90 {
        stage.frame(n == 0);
        if n % 30 == 10 {
            let info = SenderInfo {
                ntp: theirs(&stage),
                rtp_timestamp: stage.timestamp + 36_000,
                packets: 1,
                octets: 1,
            };
            sent = Some((info.ntp, info.rtp_timestamp));
            let mut bytes = vec![0; 64];
            let mut writer = CompoundWriter::new(&mut bytes);
            writer.sender_report(Ssrc(1), &info, &[]).expect("room");
            let len = writer.len();
            stage.say(&bytes[..len]);
        }
    }
    let (ntp, timestamp) = sent.expect("reports");
    for viewer in viewers {
        let offset = stage.seen(viewer)[0].timestamp.wrapping_sub(9_000);
        let reports = stage.world.raw(viewer).rtcp.clone();
        let last = reports.iter().rev().find_map(|(_, bytes)| {
            let compound = Compound::parse(bytes).expect("RTCP");
            compound.parts().find_map(|part| match part {
                Rtcp::SenderReport(report) => Some(report.info),
                _ => None,
            })
        });
        let last = last.expect("a report");
        let since_us = last.ntp.to_unix_us().wrapping_sub(ntp.to_unix_us()) as i64;
        assert!(since_us.abs() < 2_000_000, "its wall clock: {since_us}");
        let want = timestamp.wrapping_add((since_us * 9 / 100) as u32).wrapping_add(offset);
        let off = last.rtp_timestamp.wrapping_sub(want).cast_signed();
        assert!(off.abs() <= 200, "its time: {off} ticks off");
        // A round trip counted against such a report is one all the same.
        let block = ReportBlock {
            ssrc: Ssrc(our_ssrc(viewer, 0)),
            last_sr: last.ntp.compact(),
            ..ReportBlock::default()
        };
        stage.world.raw(viewer).send_rtcp(|writer| {
            writer.receiver_report(Ssrc(5), &[block]).expect("room");
        });
        stage.run(ms(50));
        let rtt_ms = stage.world.statistics(viewer).rtt_ms;
        assert!((1..2000).contains(&rtt_ms), "{rtt_ms}");
    }
}

#[test]
fn capture_times_are_copied_and_delays_are_the_viewers() {
    let mut extensions = ExtensionIds::new();
    extensions.set(Extension::AbsCaptureTime, 3);
    let mut stage = Stage::new(70, 1, IngestSetup { extensions, ..vp8() });
    let viewer = stage.viewer(0);
    let spec: Spec = VIDEO.receives();
    let mut changed = line(viewer, 0, spec);
    let mut ids = ExtensionIds::new();
    let send = changed.send.as_mut().expect("we send");
    for (extension, id) in [(Extension::AbsCaptureTime, 7), (Extension::PlayoutDelay, 12)] {
        send.extensions.set(extension, id);
        ids.set(extension, id);
    }
    stage.world.update(viewer, PeerUpdate { lines: Some(vec![changed]), ..PeerUpdate::default() });
    let delay = Some(Delay { min: 5, max: 40 });
    stage.route(viewer, Route { delay, payload_type: Some(101), ..Route::default() });
    stage.run(ms(10));
    // Ids 3 (capture time) and 1 (something else), RFC 8285 §4.2.
    let mut bytes = vec![0x90, 96, 0, 9, 0, 0, 0, 9, 0, 0, 0, 1, 0xBE, 0xDE, 0, 3, 0x37];
    bytes.extend(0x0102_0304_0506_0708_u64.to_be_bytes());
    bytes.extend([0x10, 0xFF, 0]);
    bytes.extend([0x10, 0, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01]);
    stage.world.send_from(stage.sender, stage.to, &bytes);
    stage.run(ms(50));
    let seen = stage.seen(viewer);
    let [seen] = seen.as_slice() else { panic!("one packet: {seen:?}") };
    assert_eq!(seen.pt, 101);
    let packet = Packet::parse(&seen.bytes).expect("RTP");
    let values = parse_extensions(&packet, &ids);
    assert_eq!(values.abs_capture_time, Some(0x0102_0304_0506_0708));
    assert_eq!(values.playout_delay, Some(PlayoutDelay { min: 5, max: 40 }));
    assert_eq!(values.audio_level, None);
}

#[test]
fn a_port_knows_when_it_last_heard_something() {
    let mut stage = Stage::new(71, 1, vp8());
    let port = PortId { shard: 0, number: 9 };
    let (to, clock) = stage.world.open_port_with_clock(port);
    stage.run(ms(700));
    let age = |stage: &Stage| clock.age(stage.world.now()).as_millis();
    assert_eq!((age(&stage), clock.has_heard()), (700, false));
    for _ in 0..10 {
        // Whatever it is.
        stage.world.send_from(stage.sender, to, b"?");
        stage.run(ms(50));
    }
    assert!(clock.has_heard() && age(&stage) <= 150, "{}", age(&stage));
    stage.run(ms(1000));
    assert!((1000..=1150).contains(&age(&stage)), "{}", age(&stage));
}
