//! Trains: what waits for the rest of its frame, what never does, and how bursts are spaced.

use super::reports::header;
use super::spec::{AUDIO, VIDEO, our_ssrc, their_ssrc};
use super::world::World;
use bifrons_core::rtp::{Packet, Seq, Ssrc};
use bifrons_datapath::departure::{BURST, DRAIN_US, GAP_US};
use bifrons_datapath::shard::Coalescing;
use std::time::Duration;

/// One way through the network is half of it.
const NETWORK_US: u64 = 10_000;
const ALWAYS: Coalescing = Coalescing { up_to_us: 4_000, from_permille: 0 };

/// A packet that came: its line's SSRC, its sequence number, what its sender numbered it, when it was
/// sent and how long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Came {
    ssrc: u32,
    seq: u16,
    number: u64,
    at_us: u64,
    took_us: u64,
}

/// A publisher of audio and video, and one viewer of both, on one shard.
struct Pair {
    world: World,
    publisher: usize,
    viewer: usize,
    sent: [u64; 2],
}

impl Pair {
    fn new(seed: u64, coalescing: Coalescing) -> Self {
        let mut world = World::with_config(seed, 1, |config| config.coalescing = coalescing);
        let publisher = world.join_raw(0, &[AUDIO.sends(), VIDEO.sends()]);
        let viewer = world.join_raw(0, &[AUDIO.receives(), VIDEO.receives()]);
        world.route((publisher, 0), (viewer, 0));
        world.route((publisher, 1), (viewer, 1));
        world.connect();
        let mut pair = Pair { world, publisher, viewer, sent: [0; 2] };
        // The first window of the load's measure ends.
        pair.world.run_for(Duration::from_millis(100));
        pair.world.nodes[0].engine.record = true;
        pair.world.raw(viewer).rtp.clear();
        pair
    }

    /// One packet, `len` bytes of payload long.
    fn send(&mut self, mindex: u16, marker: bool, len: usize) {
        let sent = &mut self.sent[usize::from(mindex)];
        *sent += 1;
        let number = *sent;
        let pt = [111, 96][usize::from(mindex)] | u8::from(marker) << 7;
        let head = header(pt, 3000, their_ssrc(self.publisher, mindex));
        // A VP8 keyframe's first bytes; whatever for Opus.
        let mut payload = vec![0x10, u8::from(number != 1), 0, 0, 0x9d, 1, 0x2a, 1, 1, 1, 1];
        payload.resize(len - 16, 0x77);
        payload.extend(number.to_be_bytes());
        payload.extend(self.world.now_us.to_be_bytes());
        self.world.raw(self.publisher).send_rtp(number, &head, &payload);
    }

    fn video(&mut self, marker: bool) {
        self.send(1, marker, 200);
    }

    fn audio(&mut self) {
        self.send(0, false, 60);
    }

    fn run_us(&mut self, us: u64) {
        self.world.run_for(Duration::from_micros(us));
    }

    /// So many packets of one frame, `gap_us` between two of them.
    fn frame(&mut self, packets: usize, gap_us: u64) {
        for n in 1..=packets {
            self.video(n == packets);
            self.run_us(gap_us);
        }
    }

    /// What has come on a line since it was last asked for.
    fn came(&mut self, mindex: u16) -> Vec<Came> {
        self.run_us(60_000);
        let ours = our_ssrc(self.viewer, mindex);
        let word = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
        let all = self.world.raw(self.viewer).rtp.iter().map(|(at_us, plain, _)| {
            let packet = Packet::parse(plain).expect("RTP");
            let (rest, sent) = packet.payload().split_at(packet.payload().len() - 8);
            let (seq, took_us) = (packet.seq().0, at_us - word(sent));
            let number = word(&rest[rest.len() - 8..]);
            Came { ssrc: packet.ssrc().0, seq, number, at_us: *at_us, took_us }
        });
        let came: Vec<_> = all.filter(|came| came.ssrc == ours).collect();
        assert!(came.is_sorted_by_key(|came| came.at_us));
        for pair in came.windows(2) {
            assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1), "in order and whole");
            assert_eq!(pair[1].number, pair[0].number + 1);
        }
        came
    }

    /// Lengths of the media packets in each send towards the viewer.
    fn trains(&mut self) -> Vec<Vec<usize>> {
        let to = self.world.raw(self.viewer).address;
        let sends = std::mem::take(&mut self.world.nodes[0].engine.sends);
        let media = |first: u8, second: u8| first >= 128 && !(192..=223).contains(&second);
        let ours =
            sends.into_iter().filter(|send| send.to == to && media(send.head[0], send.head[1]));
        ours.map(|send| send.lens).collect()
    }

    fn clear(&mut self) {
        self.run_us(60_000);
        self.trains();
        self.world.raw(self.viewer).rtp.clear();
    }
}

fn took(came: &[Came]) -> Vec<u64> {
    came.iter().map(|came| came.took_us - NETWORK_US).collect()
}

#[test]
fn nothing_waits_while_the_shard_has_time_to_spare() {
    let mut pair = Pair::new(1, Coalescing::default());
    for _ in 0..20 {
        pair.frame(8, 1_000);
        pair.run_us(20_000);
    }
    let came = pair.came(1);
    assert_eq!(took(&came), [0; 160]);
}

#[test]
fn a_frame_waits_for_its_marker_and_leaves_as_one_train() {
    let mut pair = Pair::new(2, ALWAYS);
    for _ in 0..20 {
        pair.frame(4, 1_000);
        pair.run_us(20_000);
    }
    assert_eq!(took(&pair.came(1)), [3_000, 2_000, 1_000, 0].repeat(20));
    let trains = pair.trains();
    assert_eq!(trains.len(), 20);
    assert!(trains.iter().all(|train| train.len() == 4), "{trains:?}");
}

#[test]
fn nothing_waits_longer_than_it_may() {
    let mut pair = Pair::new(3, ALWAYS);
    pair.frame(21, 1_000);
    let wait = u64::from(ALWAYS.up_to_us);
    let full = [4_000, 3_000, 2_000, 1_000, 0];
    // The fifth packet comes at the instant at which the first has waited its time.
    assert_eq!(took(&pair.came(1)), [&full.repeat(4)[..], &[0]].concat());
    assert!(full.iter().all(|&waited| waited <= wait));
    let sizes: Vec<_> = pair.trains().iter().map(Vec::len).collect();
    assert_eq!(sizes, [5, 5, 5, 5, 1]);
}

#[test]
fn a_frame_without_a_marker_is_let_go_in_time() {
    let mut pair = Pair::new(4, ALWAYS);
    pair.video(false);
    assert_eq!(took(&pair.came(1)), [4_000]);
}

#[test]
fn audio_is_never_held_and_ends_the_train_of_its_peer() {
    let mut pair = Pair::new(5, ALWAYS);
    for _ in 0..10 {
        // Audio comes while two packets of video wait, and one more comes with it.
        pair.video(false);
        pair.run_us(1_000);
        pair.video(false);
        pair.run_us(500);
        pair.audio();
        pair.video(false);
        pair.run_us(500);
        pair.video(true);
        pair.run_us(17_000);
    }
    assert_eq!(took(&pair.came(0)), [0; 10]);
    assert_eq!(took(&pair.came(1)), [1_500, 500, 0, 0].repeat(10));
    let trains = pair.trains();
    assert_eq!(trains.len(), 20, "no send of its own for audio");
    for pair in trains.chunks(2) {
        let [three, one] = pair else { panic!("{trains:?}") };
        assert_eq!((three.len(), one.len()), (4, 1), "{trains:?}");
        let [a, b, c, audio] = three[..] else { panic!("{trains:?}") };
        assert!(a == b && b == c && audio < c, "audio is the short last segment: {three:?}");
    }
}

#[test]
fn audio_that_was_held_up_on_its_way_leaves_at_once_in_several_trains() {
    let mut pair = Pair::new(6, Coalescing::default());
    for _ in 0..40 {
        pair.audio();
    }
    assert_eq!(took(&pair.came(0)), [0; 40]);
    let lengths: Vec<_> = pair.trains().iter().map(Vec::len).collect();
    assert_eq!(lengths, [16, 16, 8]);
}

#[test]
fn packets_of_almost_one_length_become_one_train_and_keep_their_payloads() {
    let mut pair = Pair::new(9, Coalescing::default());
    let lens = [196, 200, 200, 201, 201, 90];
    for (n, len) in lens.into_iter().enumerate() {
        pair.send(1, n == 5, len);
    }
    // Too far apart, longer ones behind: as they are.
    for (n, len) in [100, 200, 300].into_iter().enumerate() {
        pair.run_us(1_000);
        pair.send(1, false, len);
        pair.send(1, n == 2, len + 60);
    }
    let came = pair.came(1);
    assert_eq!(came.len(), 12);
    let viewer = pair.viewer;
    let payload = |plain: &Vec<u8>| Packet::parse(plain).expect("RTP").payload().len();
    let got: Vec<_> =
        pair.world.raw(viewer).rtp.iter().map(|(_, plain, _)| payload(plain)).collect();
    assert_eq!(got, [196, 200, 200, 201, 201, 90, 100, 160, 200, 260, 300, 360]);
    let padded = |plain: &Vec<u8>| plain[0] & 0x20 != 0;
    let got: Vec<_> =
        pair.world.raw(viewer).rtp.iter().map(|(_, plain, _)| padded(plain)).collect();
    assert_eq!(got[..6], [true, true, true, false, false, false]);
    assert!(!got[6..].contains(&true));
    let trains = pair.trains();
    assert_eq!(trains.len(), 7, "{trains:?}");
    assert!(trains[0].len() == 6 && trains[0][..5].iter().all(|&len| len == trains[0][0]));
}

#[test]
fn a_padded_packet_is_repeated_byte_for_byte() {
    let video = VIDEO.without_rtx();
    let mut world = World::new(10, 1);
    let publisher = world.join_raw(0, &[AUDIO.sends(), video.sends()]);
    let viewer = world.join_raw(0, &[AUDIO.receives(), video.receives()]);
    world.route((publisher, 1), (viewer, 1));
    world.connect();
    let mut pair = Pair { world, publisher, viewer, sent: [0; 2] };
    for len in [200, 201, 202] {
        pair.send(1, len == 202, len);
    }
    pair.run_us(60_000);
    let (_, first, _) = &pair.world.raw(viewer).rtp[0];
    let first = Packet::parse(first).expect("RTP");
    assert_eq!((first.payload().len(), first.bytes()[0] & 0x20), (200, 0x20));
    let (seq, ours) = (first.seq(), Ssrc(our_ssrc(viewer, 1)));
    let viewer = pair.world.raw(viewer);
    viewer.send_rtcp(|out| out.nack(Ssrc(1), ours, [seq]).expect("room"));
    pair.run_us(60_000);
    assert_eq!(pair.world.seals.repeated, 1);
}

#[test]
fn waits_come_with_load_and_go_with_it() {
    let mut pair = Pair::new(6, Coalescing::default());
    let second = |pair: &mut Pair| {
        for _ in 0..25 {
            pair.frame(20, 2_000);
        }
        // By the last of them what was before is forgotten.
        let took = took(&pair.came(1)).split_off(300);
        pair.clear();
        took
    };
    assert_eq!(second(&mut pair).iter().max(), Some(&0));
    // Each turn takes three quarters of the time between two packets.
    pair.world.nodes[0].work_us = 1_500;
    let loaded = second(&mut pair);
    let most = u64::from(Coalescing::default().up_to_us);
    let longest = loaded.iter().copied().max();
    assert!(longest > Some(1_000) && longest <= Some(most), "{loaded:?}");
    pair.world.nodes[0].work_us = 0;
    assert_eq!(second(&mut pair).iter().max(), Some(&0));
}

#[test]
fn a_keyframe_leaves_in_bursts_and_audio_passes_it() {
    let mut pair = Pair::new(7, Coalescing::default());
    pair.frame(1, 0);
    pair.clear();
    for n in 1..=100 {
        pair.video(n == 100);
    }
    for _ in 0..10 {
        pair.audio();
        pair.run_us(700);
    }
    assert_eq!(took(&pair.came(0)), [0; 10], "audio waits for nobody");
    let video = pair.came(1);
    assert_eq!(video.len(), 100);
    assert!(took(&video).iter().all(|&us| us <= DRAIN_US));
    for came in &video {
        let burst = video.iter().filter(|b| (came.at_us..came.at_us + GAP_US).contains(&b.at_us));
        assert!(burst.count() <= BURST, "{:?}", took(&video));
    }
    assert_eq!(took(&video).last(), Some(&6_000), "seven bursts");
    assert!(pair.trains().iter().all(|train| train.len() <= BURST + 1));
    assert_eq!(pair.world.counters().shed, 0);
}

#[test]
fn what_a_peer_asks_for_again_does_not_wait_and_nothing_is_sealed_twice() {
    for rtx in [true, false] {
        let video = if rtx { VIDEO } else { VIDEO.without_rtx() };
        let mut world = World::with_config(8, 1, |config| config.coalescing = ALWAYS);
        let publisher = world.join_raw(0, &[AUDIO.sends(), video.sends()]);
        let viewer = world.join_raw(0, &[AUDIO.receives(), video.receives()]);
        world.route((publisher, 1), (viewer, 1));
        world.connect();
        let mut pair = Pair { world, publisher, viewer, sent: [0; 2] };
        pair.frame(6, 1_000);
        pair.run_us(60_000);
        let before = pair.world.raw(viewer).rtp.len();
        // While the next frame's first packet is held the viewer misses one of the last frame.
        let (_, plain, _) = &pair.world.raw(viewer).rtp[2];
        let missed = Packet::parse(plain).expect("RTP").seq();
        pair.video(false);
        let ours = Ssrc(our_ssrc(viewer, 1));
        let ask = |pair: &mut Pair, seq: Seq| {
            let viewer = pair.viewer;
            pair.world.raw(viewer).send_rtcp(|out| out.nack(Ssrc(1), ours, [seq]).expect("room"));
        };
        ask(&mut pair, missed);
        pair.run_us(NETWORK_US);
        assert_eq!(pair.world.raw(viewer).rtp.len(), before + 2, "both came at once, rtx {rtx}");
        pair.run_us(80_000);
        ask(&mut pair, missed);
        pair.run_us(NETWORK_US + 1_000);
        assert_eq!(pair.world.raw(viewer).rtp.len(), before + 3);
        assert_eq!(pair.world.seals.repeated, if rtx { 0 } else { 2 });
    }
}
