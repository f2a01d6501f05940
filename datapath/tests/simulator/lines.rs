//! Which line a packet belongs to, what its header carries on, and what a client is told.

use super::reports::{header, send_video};
use super::spec::{AUDIO, Spec, VIDEO, our_ssrc, substream_ssrc, their_ssrc};
use super::world::World;
use bifrons_core::media::Fact;
use bifrons_core::rtcp::{Compound, Rtcp};
use bifrons_core::rtp::{Packet, Seq, Ssrc};
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A raw publisher of these lines and a raw viewer of all of them.
fn raw_pair(seed: u64, specs: &[Spec]) -> (World, usize, usize) {
    let mut world = World::new(seed, 1);
    let sends: Vec<_> = specs.iter().map(|spec| spec.sends()).collect();
    let watches: Vec<_> = specs.iter().map(|spec| spec.receives()).collect();
    let publisher = world.join_raw(0, &sends);
    let viewer = world.join_raw(0, &watches);
    for mindex in 0..specs.len() as u16 {
        world.route((publisher, mindex), (viewer, mindex));
    }
    world.connect();
    (world, publisher, viewer)
}

/// A header with one-byte extensions (RFC 8285 §4.2).
fn with_extensions(pt: u8, ssrc: u32, elements: &[(u8, &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (id, value) in elements {
        block.push(id << 4 | (value.len() - 1) as u8);
        block.extend(*value);
    }
    block.resize(block.len().next_multiple_of(4), 0);
    let mut bytes = header(pt, 0, ssrc);
    bytes[0] |= 0x10;
    bytes.extend([0xbe, 0xde, 0, (block.len() / 4) as u8]);
    bytes.extend(block);
    bytes
}

const KEYFRAME: [u8; 16] = [0x10, 0, 0, 0, 0x9d, 1, 0x2a, 1, 1, 1, 1, 5, 5, 5, 5, 5];

fn arrived(world: &mut World, viewer: usize) -> Vec<(u32, u8, Vec<u8>)> {
    world.run_for(ms(30));
    let all = world.raw(viewer).rtp.iter().map(|(_, plain, _)| {
        let packet = Packet::parse(plain).expect("RTP");
        (packet.ssrc().0, packet.payload_type().get(), packet.payload().to_vec())
    });
    all.collect()
}

#[test]
fn webrtc_20_an_unknown_ssrc_with_a_valid_mid_is_accepted() {
    // Two video lines: without mid nobody can tell which one a packet is for.
    let specs = [VIDEO, VIDEO];
    let (mut world, publisher, viewer) = raw_pair(20, &specs);
    let unmatched = world.counters().unmatched;
    let mid = |ssrc, mid: &[u8]| with_extensions(96, ssrc, &[(4, mid)]);
    world.raw(publisher).send_rtp(1, &mid(0x5151, b"1"), &KEYFRAME);
    assert_eq!(arrived(&mut world, viewer).len(), 1);
    assert_eq!(arrived(&mut world, viewer)[0].0, our_ssrc(viewer, 1), "the line of mid 1");
    world.raw(publisher).send_rtp(1, &mid(0x6161, b"7"), &KEYFRAME);
    world.raw(publisher).send_rtp(1, &header(96, 0, 0x7171), &KEYFRAME);
    assert_eq!(arrived(&mut world, viewer).len(), 1, "no such mid; none at all");
    assert_eq!(world.counters().unmatched, unmatched + 2);
}

#[test]
fn webrtc_49_a_learned_ssrc_needs_no_mid_any_more() {
    let unannounced = VIDEO.unannounced();
    let (mut world, publisher, viewer) = raw_pair(49, &[unannounced, unannounced]);
    let first = with_extensions(96, 0x5151, &[(4, b"1")]);
    world.raw(publisher).send_rtp(1, &first, &KEYFRAME);
    world.raw(publisher).send_rtp(2, &header(96, 0, 0x5151), &KEYFRAME);
    world.run_for(Duration::from_secs(5));
    world.raw(publisher).send_rtp(3, &header(96, 0, 0x5151), &KEYFRAME);
    let arrived = arrived(&mut world, viewer);
    assert_eq!(arrived.len(), 3);
    assert!(arrived.iter().all(|packet| packet.0 == our_ssrc(viewer, 1)));
}

#[test]
fn a_changed_ssrc_goes_on_in_the_viewers_stream() {
    let (mut world, publisher, viewer) = raw_pair(59, &[VIDEO]);
    send_video(&mut world, publisher, 1..20);
    for number in 0..10 {
        let header = with_extensions(96, 0x9999, &[(4, b"0")]);
        world.raw(publisher).send_rtp(40_000 - 20_000 + number, &header, &KEYFRAME);
        world.run_for(ms(10));
    }
    world.run_for(ms(30));
    let seqs: Vec<_> = world
        .raw(viewer)
        .rtp
        .iter()
        .map(|(_, plain, _)| Packet::parse(plain).expect("RTP").seq().0)
        .collect();
    assert_eq!(seqs, (1..30).collect::<Vec<u16>>());
    assert!(world.raw(viewer).rtp.iter().all(|(_, plain, _)| {
        Packet::parse(plain).expect("RTP").ssrc() == Ssrc(our_ssrc(viewer, 0))
    }));
}

#[test]
fn webrtc_21_the_mid_goes_out_and_what_was_not_negotiated_does_not() {
    let (mut world, publisher, viewer) = raw_pair(21, &[AUDIO]);
    // Id 9 means nothing here; id 1 is the audio level; the sender's mid is its own.
    let elements: [(u8, &[u8]); 3] = [(9, &[1, 2, 3]), (1, &[0x85]), (4, b"0")];
    let header = with_extensions(111, their_ssrc(publisher, 0), &elements);
    world.raw(publisher).send_rtp(1, &header, &[9; 50]);
    world.run_for(ms(30));
    let plain = &world.raw(viewer).rtp[0].1;
    let packet = Packet::parse(plain).expect("RTP");
    let elements: Vec<_> = packet.extensions().map(|e| (e.id, e.data.to_vec())).collect();
    assert_eq!(elements, [(1, vec![0x85]), (4, b"0".to_vec())]);
    assert_eq!(packet.payload(), [9; 50]);
}

#[test]
fn plugin_api_10_extensions_of_the_source_do_not_reach_the_wire_unnegotiated() {
    let mut world = World::new(210, 1);
    let publisher = world.join_raw(0, &[AUDIO.sends()]);
    let bare = Spec { twcc: false, ..AUDIO.receives() };
    let viewer = world.join_raw(0, &[bare]);
    world.route((publisher, 0), (viewer, 0));
    world.connect();
    let elements: [(u8, &[u8]); 3] = [(3, &[0, 9]), (2, &[1, 2, 3]), (12, &[7])];
    let header = with_extensions(111, their_ssrc(publisher, 0), &elements);
    world.raw(publisher).send_rtp(1, &header, &[9; 50]);
    world.run_for(ms(30));
    let plain = &world.raw(viewer).rtp[0].1;
    let ids: Vec<_> =
        Packet::parse(plain).expect("RTP").extensions().map(|element| element.id).collect();
    assert_eq!(ids, [4], "nothing but our mid");
}

#[test]
fn webrtc_53_video_extensions_are_rebuilt_in_order_and_counted_from_one() {
    let (mut world, publisher, viewer) = raw_pair(53, &[VIDEO]);
    send_video(&mut world, publisher, 1..6);
    world.run_for(ms(30));
    for (number, (_, plain, _)) in world.raw(viewer).rtp.iter().enumerate() {
        let packet = Packet::parse(plain).expect("RTP");
        let elements: Vec<_> = packet.extensions().map(|e| (e.id, e.data.to_vec())).collect();
        let ids: Vec<_> = elements.iter().map(|element| element.0).collect();
        assert_eq!(ids, [2, 3, 4], "abs-send-time, transport-wide number, mid");
        assert_eq!(elements[1].1, (number as u16 + 1).to_be_bytes());
    }
    assert_eq!(world.raw(viewer).rtp.len(), 5);
}

#[test]
fn webrtc_22_audio_carries_neither_departure_time_nor_transport_number() {
    let (mut world, publisher, viewer) = raw_pair(22, &[AUDIO, VIDEO]);
    for number in 1..10 {
        for (mindex, pt) in [(0, 111), (1, 96)] {
            let header = header(pt, 960, their_ssrc(publisher, mindex));
            world.raw(publisher).send_rtp(number, &header, &KEYFRAME);
        }
        world.run_for(ms(20));
    }
    let (mut audio, mut video) = (0, 0);
    for (_, plain, _) in &world.raw(viewer).rtp {
        let packet = Packet::parse(plain).expect("RTP");
        let stamped = packet.extensions().filter(|element| [2, 3].contains(&element.id)).count();
        if packet.payload_type().get() == 111 {
            audio += 1;
            assert_eq!(stamped, 0);
        } else {
            video += 1;
            assert_eq!(stamped, 2);
        }
    }
    assert_eq!((audio, video), (9, 9));
}

#[test]
fn webrtc_28_a_keyframe_is_asked_of_every_substream() {
    let simulcast = Spec { substreams: 3, ..VIDEO };
    let (mut world, publisher, viewer) = raw_pair(28, &[simulcast]);
    for number in 1..5 {
        for substream in 0..3 {
            let ssrc = substream_ssrc(their_ssrc(publisher, 0), substream);
            world.raw(publisher).send_rtp(number, &header(96, 0, ssrc), &KEYFRAME);
        }
        world.run_for(ms(20));
    }
    world.run_for(Duration::from_secs(3));
    world.raw(publisher).rtcp.clear();
    let ours = Ssrc(our_ssrc(viewer, 0));
    world.raw(viewer).send_rtcp(|writer| writer.pli(Ssrc(1), ours).expect("room"));
    world.run_for(ms(50));
    let mut asked = Vec::new();
    for (_, bytes) in &world.raw(publisher).rtcp {
        for part in Compound::parse(bytes).expect("a compound").parts() {
            if let Rtcp::Pli(pli) = part {
                asked.push(pli.media.0);
            }
        }
    }
    let all = [0, 1, 2].map(|substream| substream_ssrc(their_ssrc(publisher, 0), substream));
    assert_eq!(asked, all);
}

#[test]
fn webrtc_52_substreams_are_told_apart_in_events_and_statistics() {
    let simulcast = Spec { substreams: 3, ..VIDEO };
    let (mut world, publisher, _) = raw_pair(52, &[simulcast]);
    for substream in 0..3 {
        let ssrc = substream_ssrc(their_ssrc(publisher, 0), substream);
        world.raw(publisher).send_rtp(1, &header(96, 0, ssrc), &KEYFRAME);
        world.run_for(ms(20));
    }
    world.run_for(Duration::from_secs(3));
    let facts = world.facts(publisher);
    for expected in [true, false] {
        let told: Vec<_> = facts
            .iter()
            .filter_map(|(_, fact)| match fact {
                Fact::Receiving { mindex: 0, substream, receiving } if *receiving == expected => {
                    *substream
                }
                _ => None,
            })
            .collect();
        assert_eq!(told, [0, 1, 2], "receiving {expected}");
    }
    let statistics = world.statistics(publisher);
    assert_eq!(statistics.lines[0].received.len(), 3);
}

#[test]
fn webrtc_31_slow_links_are_told_only_where_a_threshold_says_so() {
    for threshold in [0, 3] {
        let mut world = World::with_config(31, 1, |config| config.slow_link_losses = threshold);
        let publisher = world.join_raw(0, &[VIDEO.sends()]);
        world.connect();
        // Every other packet of 200 is missing.
        for number in 1..200 {
            let header = header(96, 0, their_ssrc(publisher, 0));
            world.raw(publisher).send_rtp(2 * number, &header, &KEYFRAME);
            world.run_for(ms(20));
        }
        let told: Vec<_> = world
            .facts(publisher)
            .into_iter()
            .filter(|(_, fact)| matches!(fact, Fact::SlowLink { uplink: false, .. }))
            .map(|(at_us, _)| at_us)
            .collect();
        if threshold == 0 {
            assert!(told.is_empty());
        } else {
            assert!(told.len() >= 3, "{told:?}");
            // plugin-api, line 13: at most once a second.
            assert!(told.windows(2).all(|pair| pair[1] - pair[0] >= 999_000), "{told:?}");
        }
    }
}

#[test]
fn plugin_api_13_slow_link_is_told_at_most_once_a_second() {
    let mut world = World::with_config(131, 1, |config| config.slow_link_losses = 1);
    let publisher = world.join(0, &[VIDEO.sends()]);
    let viewer = world.join(0, &[VIDEO.receives()]);
    world.route((publisher, 0), (viewer, 0));
    world.connect();
    world.net.up.loss = 300;
    world.net.down.loss = 300;
    world.run_for(Duration::from_secs(10));
    for (client, up) in [(publisher, false), (viewer, true)] {
        let told: Vec<_> = world
            .facts(client)
            .into_iter()
            .filter(|(_, fact)| matches!(fact, Fact::SlowLink { uplink, .. } if *uplink == up))
            .map(|(at_us, _)| at_us)
            .collect();
        assert!(told.len() >= 4, "client {client}: {told:?}");
        let least = told.windows(2).map(|pair| pair[1] - pair[0]).min();
        assert!(least >= Some(990_000), "client {client}: {told:?}");
    }
}

#[test]
fn webrtc_32_an_inactive_line_is_told_as_silent() {
    let mut world = World::new(32, 1);
    let publisher = world.join_raw(0, &[VIDEO.sends()]);
    world.connect();
    send_video(&mut world, publisher, 1..20);
    let inactive = Spec { publishes: false, watches: false, ..VIDEO };
    world.renegotiate(publisher, &[(0, inactive)]);
    world.run_for(Duration::from_secs(3));
    let told: Vec<_> = world
        .facts(publisher)
        .into_iter()
        .filter_map(|(_, fact)| match fact {
            Fact::Receiving { mindex: 0, receiving, .. } => Some(receiving),
            _ => None,
        })
        .collect();
    assert_eq!(told, [true, false]);
}

#[test]
fn webrtc_51_each_second_holds_sender_report_name_and_receiver_report_in_turn() {
    let mut world = World::new(51, 1);
    let me = world.join_raw(0, &[AUDIO, VIDEO]);
    world.route((me, 0), (me, 0));
    world.route((me, 1), (me, 1));
    world.connect();
    for number in 1..150 {
        for (mindex, pt) in [(0, 111), (1, 96)] {
            let header = header(pt, 960, their_ssrc(me, mindex));
            world.raw(me).send_rtp(number, &header, &KEYFRAME);
        }
        world.run_for(ms(20));
    }
    let kinds_of = |(_, bytes): &(u64, Vec<u8>)| -> Vec<u8> {
        let compound = Compound::parse(bytes).expect("a compound");
        compound.raw().map(|raw| raw.packet_type).collect()
    };
    let kinds: Vec<_> = world.raw(me).rtcp.iter().map(kinds_of).collect();
    let full = [200, 202, 201, 200, 202, 201];
    let count = kinds.iter().filter(|kinds| **kinds == full).count();
    assert!(count >= 2, "{kinds:?}");
}

#[test]
fn webrtc_47_a_packet_three_seconds_old_is_not_sent_again() {
    let (mut world, publisher, viewer) = raw_pair(47, &[VIDEO]);
    send_video(&mut world, publisher, 1..11);
    let ours = Ssrc(our_ssrc(viewer, 0));
    let ask = |world: &mut World| {
        world.raw(viewer).send_rtcp(|writer| {
            writer.nack(Ssrc(1), ours, [Seq(10)]).expect("room");
        });
        world.run_for(ms(20));
        world.raw(viewer).rtp.len()
    };
    world.run_for(ms(20));
    assert_eq!(ask(&mut world), 11, "answered");
    assert_eq!(ask(&mut world), 11, "20 ms later it is not");
    world.run_for(ms(30));
    assert_eq!(ask(&mut world), 12, "70 ms after the first it is");
    world.run_for(Duration::from_secs(3));
    assert_eq!(ask(&mut world), 12);
}
