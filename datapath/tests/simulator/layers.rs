//! Simulcast: one substream at a time reaches each viewer, and its stream shows no seam.

use super::spec::{Spec, VIDEO, our_ssrc, rtx_of, substream_ssrc, their_ssrc};
use super::world::World;
use bifrons_core::codec::Vp8Descriptor;
use bifrons_core::media::{Fact, LayerKind, LayerTarget, Route, Selection};
use bifrons_core::rtcp::{Compound, NtpTime, Rtcp, SenderInfo};
use bifrons_core::rtp::{Packet, Seq, Ssrc};
use std::collections::BTreeMap;
use std::time::Duration;

const SIMULCAST: Spec = Spec { substreams: 3, ..VIDEO };
const FRAME_US: u64 = 33_333;

/// A sender of three VP8 substreams of three temporal layers each, which answers each PLI.
struct Sender {
    client: usize,
    index: [u64; 3],
    picture: [u16; 3],
    tl0: [u8; 3],
    clock: [u32; 3],
    frames: usize,
    heard: usize,
    keyframe: bool,
    plis: Vec<u64>,
}

impl Sender {
    fn new(client: usize) -> Self {
        Sender {
            client,
            index: [65_400, 12, 40_000],
            picture: [0x7FF0, 3, 900],
            tl0: [1, 250, 77],
            clock: [5, 4_000_000_000, 123_456_789],
            frames: 0,
            heard: 0,
            keyframe: false,
            plis: Vec::new(),
        }
    }

    fn ssrc(&self, layer: usize) -> u32 {
        substream_ssrc(their_ssrc(self.client, 0), layer as u16)
    }

    /// Looks for keyframe requests, which name all substreams.
    fn listen(&mut self, world: &mut World) {
        let raw = world.raw(self.client);
        let mut asked = Vec::new();
        for (at_us, bytes) in &raw.rtcp[self.heard..] {
            for part in Compound::parse(bytes).expect("a compound").parts() {
                if let Rtcp::Pli(pli) = part {
                    asked.push(pli.media);
                    self.plis.push(*at_us);
                }
            }
        }
        self.heard = raw.rtcp.len();
        if !asked.is_empty() {
            assert_eq!(asked.len() % 3, 0, "each request names all: {asked:?}");
            self.keyframe = true;
        }
    }

    /// One picture in these substreams; the highest takes two packets.
    fn film(&mut self, world: &mut World, layers: &[usize]) {
        self.listen(world);
        let key = std::mem::take(&mut self.keyframe);
        self.frames = if key { 0 } else { self.frames + 1 };
        for &layer in layers {
            let temporal = [0u8, 2, 1, 2][self.frames % 4];
            self.picture[layer] = self.picture[layer].wrapping_add(1) & 0x7FFF;
            self.tl0[layer] = self.tl0[layer].wrapping_add(u8::from(temporal == 0));
            let parts = if layer == 2 { 2 } else { 1 };
            for part in 1..=parts {
                let mut payload = vec![if part == 1 { 0x90 } else { 0x80 }, 0xE0];
                payload.extend((self.picture[layer] | 0x8000).to_be_bytes());
                payload.extend([self.tl0[layer], temporal << 6 | 0x20, u8::from(!key)]);
                payload.extend([0, 0, 0x9D, 1, 0x2A, layer as u8, u8::from(key)]);
                payload.resize(300 + 200 * layer, 0x5A);
                let header = self.header(world.now_us, layer, part == parts);
                self.index[layer] += 1;
                world.raw(self.client).send_rtp(self.index[layer], &header, &payload);
            }
        }
        world.run_for(Duration::from_micros(FRAME_US));
    }

    fn films(&mut self, world: &mut World, pictures: usize, layers: &[usize]) {
        (0..pictures).for_each(|_| self.film(world, layers));
    }

    fn timestamp(&self, now_us: u64, layer: usize) -> u32 {
        ((now_us * 9 / 100) as u32).wrapping_add(self.clock[layer])
    }

    fn header(&self, now_us: u64, layer: usize, marker: bool) -> Vec<u8> {
        let mut header = vec![0x80, u8::from(marker) << 7 | 96, 0, 0];
        header.extend(self.timestamp(now_us, layer).to_be_bytes());
        header.extend(self.ssrc(layer).to_be_bytes());
        header
    }

    /// Sender reports of all substreams, which have one wall clock.
    fn report(&self, world: &mut World) {
        let now_us = world.now_us;
        for layer in 0..3 {
            let info = SenderInfo {
                ntp: NtpTime::from_unix_us(1_600_000_000_000_000 + now_us),
                rtp_timestamp: self.timestamp(now_us, layer),
                packets: 1,
                octets: 1,
            };
            let ssrc = Ssrc(self.ssrc(layer));
            let raw = world.raw(self.client);
            raw.send_rtcp(|writer| writer.sender_report(ssrc, &info, &[]).expect("room"));
        }
        world.run_for(Duration::from_millis(10));
    }
}

/// One packet as a viewer has it.
#[derive(Clone, Copy, Debug)]
struct Shown {
    at_us: u64,
    timestamp: u32,
    picture: u16,
    tl0: u8,
    temporal: u8,
    layer: u8,
    marker: bool,
}

/// What a viewer has, by extended sequence number, retransmissions put in their place.
#[derive(Default)]
struct Viewer {
    client: usize,
    read: usize,
    have: BTreeMap<u64, Shown>,
    repaired: usize,
}

impl Viewer {
    fn read(&mut self, world: &mut World) {
        let ours = our_ssrc(self.client, 0);
        let rtp = &world.raw(self.client).rtp[self.read..];
        self.read += rtp.len();
        for (at_us, plain, _) in rtp {
            let Ok(packet) = Packet::parse(plain) else { continue };
            let (mut seq, mut payload) = (packet.seq(), packet.payload());
            if packet.ssrc() == Ssrc(rtx_of(ours)) {
                let original = payload.first_chunk().expect("an original number");
                (seq, payload) = (Seq(u16::from_be_bytes(*original)), &payload[2..]);
                self.repaired += 1;
            } else {
                assert_eq!(packet.ssrc(), Ssrc(ours));
            }
            let last = self.have.last_key_value().map_or(u64::from(seq.0) + (1 << 16), |l| *l.0);
            let index = last.wrapping_add_signed(i64::from(seq.distance(Seq(last as u16))));
            let d = Vp8Descriptor::read(payload).expect("a descriptor");
            let shown = Shown {
                at_us: *at_us,
                timestamp: packet.timestamp(),
                picture: d.picture_id.expect("an id").value,
                tl0: d.tl0_pic_idx.expect("a number"),
                temporal: d.temporal.expect("a layer"),
                layer: payload[12],
                marker: packet.marker(),
            };
            let whole = payload[14..].iter().all(|&byte| byte == 0x5A);
            assert!(whole, "a payload arrived damaged");
            self.have.insert(index, shown);
        }
    }

    /// Asks for what is missing.
    fn ask(&mut self, world: &mut World) {
        self.read(world);
        let (Some(first), Some(last)) = (self.have.keys().next(), self.have.keys().last()) else {
            return;
        };
        let missing = (*first..*last).rev().filter(|seq| !self.have.contains_key(seq));
        let missing: Vec<_> = missing.take(20).map(|seq| Seq(seq as u16)).collect();
        if !missing.is_empty() {
            let ours = Ssrc(our_ssrc(self.client, 0));
            let raw = world.raw(self.client);
            raw.send_rtcp(|writer| writer.nack(Ssrc(1), ours, missing).expect("room"));
        }
    }

    /// One stream: every number, every picture, time that goes on.
    fn assert_seamless(&self) {
        let mut last: Option<(u64, Shown)> = None;
        for (&seq, &now) in &self.have {
            let Some((before_seq, before)) = last.replace((seq, now)) else { continue };
            assert_eq!(seq, before_seq + 1, "{before:?} {now:?}");
            let step = now.timestamp.wrapping_sub(before.timestamp).cast_signed();
            let pictures = now.picture.wrapping_sub(before.picture) & 0x7FFF;
            assert_eq!(pictures, u16::from(step != 0), "{before:?} {now:?}");
            assert!((0..90_000).contains(&step), "{before:?} {now:?}");
            let base = u8::from(step != 0 && now.temporal == 0);
            assert_eq!(now.tl0.wrapping_sub(before.tl0), base, "{before:?} {now:?}");
        }
    }

    /// The substreams in the order they came.
    fn layers(&self, since_us: u64) -> Vec<u8> {
        let since = self.have.values().filter(|shown| shown.at_us >= since_us);
        let mut layers: Vec<_> = since.map(|shown| shown.layer).collect();
        layers.dedup();
        layers
    }
}

fn target(spatial: u8, temporal: u8) -> Route {
    let selection = Selection::Simulcast;
    let layers = LayerTarget { selection, spatial, temporal, fallback_us: 0 };
    Route { layers, ..Route::default() }
}

/// A sender on the first shard and a viewer on the last.
fn connected(seed: u64, shards: usize, spec: Spec) -> (World, Sender, Viewer) {
    let mut world = World::new(seed, shards);
    let sender = world.join_raw(0, &[spec.sends()]);
    let viewer = world.join_raw(shards - 1, &[Spec { substreams: 1, ..spec }.receives()]);
    world.connect();
    world.route_with((sender, 0), (viewer, 0), target(2, 2));
    (world, Sender::new(sender), Viewer { client: viewer, ..Viewer::default() })
}

fn retarget(world: &mut World, from: &Sender, to: &Viewer, route: Route) {
    world.route_with((from.client, 0), (to.client, 0), route);
}

fn told(world: &World, viewer: &Viewer) -> Vec<(LayerKind, i8)> {
    let facts = world.facts(viewer.client).into_iter();
    let layers = facts.filter_map(|(_, fact)| match fact {
        Fact::Layer { mindex: 0, kind, layer } => Some((kind, layer)),
        _ => None,
    });
    layers.collect()
}

#[test]
fn videoroom_63_targets_move_a_viewer_between_substreams_without_a_seam() {
    for shards in [1, 2] {
        let (mut world, mut sender, mut viewer) = connected(82, shards, SIMULCAST);
        let all = [0, 1, 2];
        sender.films(&mut world, 60, &all);
        viewer.read(&mut world);
        assert_eq!(viewer.layers(0), [0, 1, 2], "up with the keyframes");
        for (to, way) in [(0, vec![2, 0]), (1, vec![0, 1]), (2, vec![1, 2])] {
            let since_us = world.now_us;
            let wish = target(to, 2);
            retarget(&mut world, &sender, &viewer, wish);
            sender.films(&mut world, 45, &all);
            viewer.read(&mut world);
            let took = viewer.layers(since_us);
            assert!(took == way || took == [2, 1, 0], "{took:?} to {to}");
        }
        viewer.assert_seamless();
        let substreams: Vec<_> =
            told(&world, &viewer).into_iter().filter(|t| t.0 == LayerKind::Substream).collect();
        let mut once = substreams.clone();
        once.dedup();
        assert_eq!(once, substreams, "each change is told once");
        assert_eq!(substreams.last(), Some(&(LayerKind::Substream, 2)));
        assert!(told(&world, &viewer).contains(&(LayerKind::Temporal, 2)));
        assert!(sender.plis.len() / 3 <= world.now_us as usize / 1_000_000 + 1, "once a second");
    }
}

#[test]
fn temporal_layers_are_thinned_without_a_gap() {
    let (mut world, mut sender, mut viewer) = connected(83, 1, SIMULCAST);
    sender.films(&mut world, 30, &[0, 1, 2]);
    let wish = target(2, 0);
    retarget(&mut world, &sender, &viewer, wish);
    sender.films(&mut world, 40, &[0, 1, 2]);
    let since_us = world.now_us - 1_000_000;
    viewer.read(&mut world);
    viewer.assert_seamless();
    let late: Vec<_> = viewer.have.values().filter(|shown| shown.at_us > since_us).collect();
    assert!((14..=18).contains(&late.len()), "a quarter of 30 pictures: {}", late.len());
    assert!(late.iter().all(|shown| shown.temporal == 0));
    assert_eq!(late.iter().filter(|shown| shown.marker).count() * 2, late.len());
    assert_eq!(told(&world, &viewer).last(), Some(&(LayerKind::Temporal, 0)));
}

#[test]
fn videoroom_65_a_substream_that_falls_silent_is_replaced_and_taken_up_again() {
    let (mut world, mut sender, mut viewer) = connected(84, 1, SIMULCAST);
    sender.films(&mut world, 60, &[0, 1, 2]);
    let (silent_us, asked) = (world.now_us, sender.plis.len());
    sender.films(&mut world, 60, &[0, 1]);
    viewer.read(&mut world);
    assert_eq!(viewer.layers(silent_us), [1]);
    let fallback_us = sender.plis[asked] - silent_us;
    assert!((217_000..400_000).contains(&fallback_us), "{fallback_us}");
    let back_us = world.now_us;
    sender.films(&mut world, 60, &[0, 1, 2]);
    viewer.read(&mut world);
    assert_eq!(viewer.layers(back_us), [1, 2]);
    viewer.assert_seamless();
}

#[test]
fn sender_reports_keep_the_time_of_a_viewer_whatever_the_way_does() {
    let (mut world, mut sender, mut viewer) = connected(85, 1, SIMULCAST);
    sender.report(&mut world);
    sender.films(&mut world, 30, &[0, 1, 2]);
    world.net.up.delay_us = 120_000;
    world.run_for(Duration::from_millis(200));
    let wish = target(0, 2);
    retarget(&mut world, &sender, &viewer, wish);
    sender.films(&mut world, 60, &[0, 1, 2]);
    viewer.read(&mut world);
    viewer.assert_seamless();
    assert_eq!(viewer.have.values().last().map(|shown| shown.layer), Some(0));
    // Since the way got longer nothing but the sender's clock can have been followed.
    let times: Vec<_> = viewer.have.values().map(|shown| shown.timestamp).collect();
    let odd = times.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).filter(|&step| step > 0);
    let odd: Vec<_> = odd.filter(|step| !(2_980..=3_012).contains(step)).collect();
    // Steps within one picture, from its keyframe in one substream to that in the next, and the
    // two pauses of the test itself.
    assert!(odd.iter().all(|&step| !(12..=3_600).contains(&step)), "{odd:?}");
    assert!(odd.iter().filter(|&&step| step > 3_600).count() <= 2, "{odd:?}");
}

/// Loss on the way to the viewer, which asks for all that is missing.
fn lossy(spec: Spec) -> (World, Viewer) {
    let (mut world, mut sender, mut viewer) = connected(86, 1, spec);
    world.net.down.loss = 80;
    for n in 0..300 {
        if n % 50 == 0 {
            let wish = target((n / 50 % 3) as u8, 2);
            retarget(&mut world, &sender, &viewer, wish);
        }
        sender.film(&mut world, &[0, 1, 2]);
        viewer.ask(&mut world);
    }
    world.net.down.loss = 0;
    for _ in 0..5 {
        viewer.ask(&mut world);
        world.run_for(Duration::from_millis(45));
    }
    viewer.read(&mut world);
    (world, viewer)
}

/// Holds a lossy viewer's stream together as far as questions can: packets are kept 200 ms.
fn assert_repaired(viewer: &Viewer) {
    let (first, last) = (viewer.have.keys().next(), viewer.have.keys().last());
    let span = last.zip(first).map_or(0, |(last, first)| last - first + 1);
    let missing = span - viewer.have.len() as u64;
    assert!(missing * 1000 < span * 5, "{missing} of {span} missing");
    let mut last: Option<Shown> = None;
    for now in viewer.have.values() {
        if let Some(before) = last.replace(*now) {
            let pictures = now.picture.wrapping_sub(before.picture) & 0x7FFF;
            assert!(pictures < 10, "{before:?} {now:?}");
            assert_eq!(pictures == 0, now.timestamp == before.timestamp, "{before:?} {now:?}");
        }
    }
}

#[test]
fn rewritten_pictures_are_repeated_byte_for_byte() {
    let (world, viewer) = lossy(SIMULCAST.without_rtx());
    assert_repaired(&viewer);
    assert!(world.seals.repeated > 10, "{}", world.seals.repeated);
}

#[test]
fn rewritten_pictures_are_repaired_on_the_retransmission_stream() {
    let (_, viewer) = lossy(SIMULCAST);
    assert_repaired(&viewer);
    assert!(viewer.repaired > 10, "{}", viewer.repaired);
}
