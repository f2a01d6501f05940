//! Many sources, one peer: what its queue holds arrives, and what it does not is counted.

use super::reports::header;
use super::spec::{AUDIO, their_ssrc};
use super::world::World;
use bifrons_core::media::{Route, RtcpRule, ShardCounters};
use bifrons_core::rtcp::{Compound, packet_type};
use bifrons_core::rtp::{Packet, Ssrc};
use std::collections::BTreeMap;
use std::time::Duration;

const SOURCES: usize = 8;
const SHARDS: usize = 4;

/// Eight publishers over four shards, all heard by one viewer on the first.
fn crowd(seed: u64) -> (World, Vec<usize>, usize) {
    let mut world = World::new(seed, SHARDS);
    let publishers: Vec<_> =
        (0..SOURCES).map(|number| world.join_raw(number % SHARDS, &[AUDIO.sends()])).collect();
    let viewer = world.join_raw(0, &[AUDIO.receives(); SOURCES]);
    for (mindex, &publisher) in publishers.iter().enumerate() {
        world.route((publisher, 0), (viewer, mindex as u16));
    }
    world.connect();
    world.raw(viewer).rtp.clear();
    (world, publishers, viewer)
}

/// Every publisher sends so many packets at the same instant; what each line of the viewer got,
/// and what the shards counted meanwhile.
fn flood(
    world: &mut World,
    publishers: &[usize],
    viewer: usize,
    first: u64,
    each: u64,
) -> (BTreeMap<u32, Vec<u16>>, ShardCounters) {
    let before = world.counters();
    for &publisher in publishers {
        let header = header(111, 960, their_ssrc(publisher, 0));
        for number in first..first + each {
            world.raw(publisher).send_rtp(number, &header, &[7; 40]);
        }
    }
    world.run_for(Duration::from_millis(200));
    let mut lines: BTreeMap<u32, Vec<u16>> = BTreeMap::new();
    for (_, plain, _) in std::mem::take(&mut world.raw(viewer).rtp) {
        let packet = Packet::parse(&plain).expect("RTP");
        lines.entry(packet.ssrc().0).or_default().push(packet.seq().0);
    }
    let mut counted = world.counters();
    counted.shed -= before.shed;
    counted.forwarded -= before.forwarded;
    (lines, counted)
}

#[test]
fn plugin_api_09_a_flood_from_eight_sources_is_whole_below_the_bound_and_counted_above_it() {
    let (mut world, publishers, viewer) = crowd(9);
    // 480 packets in one instant: less than what is kept of a source (64 packets of audio), what the
    // rings between shards and what a peer's queue hold.
    let (lines, counted) = flood(&mut world, &publishers, viewer, 1, 60);
    assert_eq!((counted.forwarded, counted.shed), (480, 0));
    assert_eq!(lines.len(), SOURCES);
    for seqs in lines.values() {
        let whole: Vec<u16> = (seqs[0]..seqs[0] + 60).collect();
        assert_eq!(*seqs, whole, "whole and in order");
    }
    // 4800 overrun all three.
    let (lines, counted) = flood(&mut world, &publishers, viewer, 101, 600);
    let came: usize = lines.values().map(Vec::len).sum();
    assert!(counted.shed > 500, "{counted:?}");
    assert_eq!(counted.forwarded + counted.shed, 4800, "{counted:?}");
    assert_eq!(came as u64, counted.forwarded);
    assert_eq!(lines.len(), SOURCES, "no source is starved by the others");
    for seqs in lines.values() {
        assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "in order all the same");
    }
    // Nobody waited for anybody: the next packets are through at once.
    let (lines, counted) = flood(&mut world, &publishers, viewer, 701, 10);
    assert_eq!((counted.forwarded, counted.shed), (80, 0));
    assert!(lines.values().all(|seqs| seqs.len() == 10));
}

#[test]
fn feedback_that_is_passed_on_crosses_to_the_senders_shard() {
    let mut world = World::new(11, 2);
    let publisher = world.join_raw(1, &[AUDIO.sends()]);
    let viewer = world.join_raw(0, &[AUDIO.receives()]);
    let route = Route { rtcp: RtcpRule::Relay, ..Route::default() };
    world.route_with((publisher, 0), (viewer, 0), route);
    world.connect();
    let theirs = their_ssrc(publisher, 0);
    world.raw(publisher).send_rtp(1, &header(111, 960, theirs), &[7; 40]);
    world.run_for(Duration::from_millis(50));
    let heard = Packet::parse(&world.raw(viewer).rtp[0].1).expect("RTP").ssrc();
    world.raw(publisher).rtcp.clear();
    let body = |second: u32, more: usize| {
        let mut body = [1u32.to_be_bytes(), second.to_be_bytes()].concat();
        body.resize(8 + more, 0xAB);
        body
    };
    world.raw(viewer).send_rtcp(|out| {
        out.receiver_report(Ssrc(1), &[]).expect("room");
        out.raw(packet_type::PSFB, 2, &body(heard.0, 4)).expect("room");
        out.raw(packet_type::APP, 5, &body(u32::from_be_bytes(*b"name"), 4)).expect("room");
        // Longer than what crosses.
        out.raw(packet_type::APP, 6, &body(u32::from_be_bytes(*b"long"), 200)).expect("room");
    });
    world.run_for(Duration::from_millis(50));
    let mut came = Vec::new();
    for (_, bytes) in &world.raw(publisher).rtcp {
        for part in Compound::parse(bytes).expect("a compound").raw() {
            if [packet_type::PSFB, packet_type::APP].contains(&part.packet_type) {
                came.push((part.packet_type, part.count, part.body()[4..].to_vec()));
            }
        }
    }
    let psfb = (packet_type::PSFB, 2, body(theirs, 4)[4..].to_vec());
    let app = (packet_type::APP, 5, body(u32::from_be_bytes(*b"name"), 4)[4..].to_vec());
    assert_eq!(came, [psfb, app]);
    assert_eq!(world.counters().feedback_lost, 1);
}
