//! RTP beside PeerConnections: forwarders to hosts, ports that hosts feed, and both in a row.

use super::client::read_payload;
use super::flow::{assert_continuous, assert_undisturbed};
use super::net::Conditions;
use super::rng::Rng;
use super::spec::{AUDIO, VIDEO, our_ssrc, their_ssrc};
use super::wire::master;
use super::world::World;
use bifrons_core::codec::Codec;
use bifrons_core::media::{
    Carries, Fact, ForwardSsrc, ForwarderId, ForwarderSetup, IngestId, IngestSetup, MediaKind,
    Plan, PortId, Route, ShardCommand, ShardEvent, SinkId, SourceId,
};
use bifrons_core::rtcp::{Compound, CompoundWriter, Rtcp};
use bifrons_core::rtp::Ssrc;
use std::net::SocketAddr;
use std::time::Duration;

const SHARED: PortId = PortId { shard: 0, number: 0 };

fn video_to(to: SocketAddr) -> ForwarderSetup {
    ForwarderSetup {
        kind: MediaKind::Video,
        to,
        from: None,
        ssrc: ForwardSsrc::Source,
        layer: None,
        continuous: false,
        key: None,
        rtcp: None,
    }
}

fn forwarder(number: u32) -> ForwarderId {
    ForwarderId { shard: 0, number }
}

fn pli(media: u32) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    let mut writer = CompoundWriter::new(&mut bytes);
    writer.receiver_report(Ssrc(1), &[]).expect("room");
    writer.pli(Ssrc(1), Ssrc(media)).expect("room");
    let len = writer.len();
    bytes.truncate(len);
    bytes
}

fn plis(bytes: &[u8]) -> Vec<u32> {
    let compound = Compound::parse(bytes).expect("RTCP");
    let plis = compound.parts().filter_map(|part| match part {
        Rtcp::Pli(pli) => Some(pli.media.0),
        _ => None,
    });
    plis.collect()
}

#[test]
fn a_forwarder_sends_what_came_with_the_names_it_was_given() {
    let mut world = World::new(21, 1);
    let publisher = world.join(0, &[AUDIO.sends(), VIDEO.sends()]);
    world.open_port(SHARED, None);
    let (plain, named) = (world.wire(None), world.wire(None));
    let source = world.source(publisher, 1);
    let to = world.wires[plain].address;
    world.forward(source, forwarder(1), video_to(to), Route::default());
    let to = world.wires[named].address;
    let setup = ForwarderSetup { ssrc: ForwardSsrc::Fixed(Ssrc(7)), ..video_to(to) };
    let route = Route { payload_type: Some(100), ..Route::default() };
    world.forward(source, forwarder(2), setup, route);
    world.connect();
    world.run_for(Duration::from_secs(2));
    let first_seq = world.clients[publisher].headers.len() as u16;
    assert_eq!(first_seq, 0, "nothing comes back");
    let (plain, named) = (world.wires[plain].rtp(), world.wires[named].rtp());
    assert!(plain.len() > 200, "{}", plain.len());
    assert_eq!(plain.len(), named.len());
    let begin = plain[0].1.wrapping_sub(read_payload(&plain[0].3).expect("whole").2 as u16);
    for ((ssrc, seq, pt, payload), other) in plain.iter().zip(&named) {
        let (_, author, number) = read_payload(payload).expect("whole");
        assert_eq!((author, *ssrc), (publisher as u32, their_ssrc(publisher, 1)));
        assert_eq!((*seq, *pt), (begin.wrapping_add(number as u16), VIDEO.pt()));
        assert_eq!((other.0, other.1, other.2, &other.3), (7, *seq, 100, payload));
    }
    world.command(0, ShardCommand::Plan(Plan::EndForwarder { forwarder: forwarder(1) }));
    world.run_for(Duration::from_millis(20));
    let ended = world.wires[0].got.len();
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.wires[0].got.len(), ended, "it has ended");
    assert!(world.wires[1].got.len() > ended + 50, "the other goes on");
}

#[test]
fn one_key_for_many_forwarders_seals_nothing_twice() {
    let mut world = World::new(22, 2);
    let publishers = [world.join(0, &[VIDEO.sends()]), world.join(1, &[VIDEO.sends()])];
    world.open_port(SHARED, None);
    let wires = [world.wire(Some(5)), world.wire(Some(5)), world.wire(Some(5))];
    let key = Some(master(5));
    let sources = publishers.map(|publisher| world.source(publisher, 0));
    let own =
        |world: &World, wire: usize| ForwarderSetup { key, ..video_to(world.wires[wire].address) };
    let fixed = |world: &World, wire: usize| ForwarderSetup {
        ssrc: ForwardSsrc::Fixed(Ssrc(9)),
        ..own(world, wire)
    };
    // The same to two hosts; then one SSRC for two publishers, one after the other.
    let setup = own(&world, wires[0]);
    world.forward(sources[0], forwarder(1), setup, Route::default());
    let setup = own(&world, wires[1]);
    world.forward(sources[0], forwarder(2), setup, Route::default());
    let setup = fixed(&world, wires[2]);
    world.forward(sources[0], forwarder(3), setup, Route::default());
    world.connect();
    world.run_for(Duration::from_secs(2));
    assert!(world.wires[wires[0]].got.len() > 200);
    assert_eq!(world.wires[wires[0]].rtp(), world.wires[wires[1]].rtp());
    world.forward(sources[1], forwarder(4), setup, Route::default());
    world.run_for(Duration::from_secs(1));
    let authors = |world: &World| -> Vec<u32> {
        let packets = world.wires[wires[2]].rtp();
        packets.iter().map(|packet| read_payload(&packet.3).expect("whole").1).collect()
    };
    assert!(authors(&world).iter().all(|&who| who == publishers[0] as u32), "one at a time");
    world.command(0, ShardCommand::Plan(Plan::EndForwarder { forwarder: forwarder(3) }));
    world.run_for(Duration::from_secs(1));
    let heard = authors(&world);
    assert_eq!(heard.last(), Some(&(publishers[1] as u32)), "the next one's turn");
    let seqs: Vec<u16> = world.wires[wires[2]].rtp().iter().map(|packet| packet.1).collect();
    let gaps = seqs.windows(2).filter(|pair| pair[1] != pair[0].wrapping_add(1)).count();
    assert_eq!(gaps, 0, "numbers go on");
    assert!(world.wires.iter().all(|wire| wire.damaged == 0), "one roll-over counter throughout");
}

#[test]
fn feedback_to_a_forwarder_reaches_the_publisher() {
    let mut world = World::new(23, 1);
    let publisher = world.join(0, &[VIDEO.sends()]);
    world.open_port(SHARED, None);
    let port = PortId { shard: 0, number: 5 };
    let address = world.open_port(port, None);
    let wire = world.wire(None);
    let to = world.wires[wire].address;
    world.command(0, ShardCommand::Plan(Plan::Greet { port, to }));
    let setup = ForwarderSetup { rtcp: Some(port), ..video_to(to) };
    let source = world.source(publisher, 0);
    world.forward(source, forwarder(1), setup, Route::default());
    world.connect();
    world.run_for(Duration::from_secs(2));
    let (_, from, hello) = &world.wires[wire].got[0];
    assert_eq!((*from, hello.as_slice()), (address, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]));
    let before = world.clients[publisher].keyframe_requests.len();
    world.send_from(wire, address, &pli(their_ssrc(publisher, 0)));
    world.run_for(Duration::from_millis(100));
    assert_eq!(world.clients[publisher].keyframe_requests.len(), before + 1);
    // What is no RTCP harms nobody.
    for noise in [&[0x80, 201][..], &[0x80, 206, 0, 0], &[0; 3], &[]] {
        world.send_from(wire, address, noise);
    }
    world.run_for(Duration::from_millis(100));
    assert_eq!(world.clients[publisher].keyframe_requests.len(), before + 1);
}

pub(super) fn vp8(simulcast: bool) -> IngestSetup {
    IngestSetup { simulcast, ..IngestSetup::new(MediaKind::Video, Some(Codec::Vp8), 90_000) }
}

pub(super) fn packet(ssrc: u32, seq: u16, author: u32, number: u64, key: bool) -> Vec<u8> {
    let mut bytes = vec![0x80, 0x80 | 96];
    bytes.extend(seq.to_be_bytes());
    bytes.extend((number as u32).wrapping_mul(3000).to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend([0x10, u8::from(!key), 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01]);
    bytes.extend(author.to_be_bytes());
    bytes.extend(number.to_be_bytes());
    bytes.push(u8::from(key));
    bytes.extend([number as u8; 100]);
    bytes
}

#[test]
fn a_port_feeds_viewers_and_asks_where_its_rtcp_came_from() {
    let mut world = World::new(24, 2);
    let viewers = [world.join(0, &[VIDEO.receives()]), world.join(1, &[VIDEO.receives()])];
    let (rtp, rtcp) = (PortId { shard: 0, number: 5 }, PortId { shard: 0, number: 6 });
    let (to, back) = (world.open_port(rtp, None), world.open_port(rtcp, None));
    let ingest = IngestId { shard: 0, number: 1 };
    world.ingest(ingest, vp8(false));
    for (port, carries) in [(rtp, Carries::Ssrcs(Ssrc(1010))), (rtcp, Carries::Rtcp)] {
        world.command(0, ShardCommand::Plan(Plan::Feed { port, ingest, carries }));
    }
    world.command(0, ShardCommand::Export { source: SourceId::Ingest(ingest), shard: 1, on: true });
    for viewer in viewers {
        let sink = SinkId::Line(world.line(viewer, 0));
        let (source, route) = (SourceId::Ingest(ingest), Route::default());
        let shard = usize::from(sink.shard());
        world.command(shard, ShardCommand::Plan(Plan::Route { source, sink, route }));
    }
    let wire = world.wire(None);
    world.connect();
    world.send_from(wire, back, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    world.run_for(Duration::from_millis(50));
    for number in 0..50u16 {
        let seq = 65_500u16.wrapping_add(number);
        let bytes = packet(1010, seq, 77, number.into(), number == 0);
        world.send_from(wire, to, &bytes);
        // Another's, and a copy.
        world.send_from(wire, to, &packet(1020, seq, 66, number.into(), false));
        world.send_from(wire, to, &bytes);
        world.run_for(Duration::from_millis(40));
    }
    for viewer in viewers {
        let client = &world.clients[viewer];
        assert_eq!(assert_continuous(client, 0, 0), 50);
        assert!(client.got_on(0).iter().all(|got| got.author == 77));
    }
    let began = world.events.iter().filter(|(_, event)| {
        matches!(event, ShardEvent::IngestFact { ingest: have, .. } if *have == ingest)
    });
    assert_eq!(began.count(), 1, "told once that it began");
    let asked = |world: &World| {
        let rtcp = world.wires[wire].got.iter().map(|(_, _, bytes)| plis(bytes));
        rtcp.flatten().collect::<Vec<_>>()
    };
    let before = asked(&world);
    let plan = Plan::Keyframe { source: SourceId::Ingest(ingest) };
    world.command(0, ShardCommand::Plan(plan));
    world.command(0, ShardCommand::Plan(plan));
    world.run_for(Duration::from_millis(100));
    let after = asked(&world);
    assert_eq!(after[before.len()..], [1010], "once, by the SSRC that came");
    world.command(0, ShardCommand::Plan(Plan::EndIngest { ingest }));
    world.command(0, ShardCommand::ClosePort { port: rtp });
    world.run_for(Duration::from_millis(20));
    world.send_from(wire, to, &packet(1010, 9, 77, 50, true));
    world.run_for(Duration::from_millis(100));
    assert_eq!(world.clients[viewers[0]].got_on(0).len(), 50, "closed");
    let closed =
        |event: &ShardEvent| matches!(event, ShardEvent::PortClosed { port } if *port == rtp);
    assert_eq!(world.events.iter().filter(|(_, event)| closed(event)).count(), 1, "told once");
}

#[test]
fn an_ingest_that_falls_silent_is_told() {
    let mut world = World::new(26, 1);
    let port = PortId { shard: 0, number: 5 };
    let to = world.open_port(port, None);
    let ingest = IngestId { shard: 0, number: 1 };
    world.ingest(ingest, vp8(true));
    let carries = Carries::Layer(1);
    world.command(0, ShardCommand::Plan(Plan::Feed { port, ingest, carries }));
    let wire = world.wire(None);
    world.run_for(Duration::from_millis(10));
    for number in 0..3 {
        world.send_from(wire, to, &packet(5, number, 1, number.into(), number == 0));
        world.run_for(Duration::from_millis(500));
    }
    world.run_for(Duration::from_secs(4));
    let told: Vec<_> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            ShardEvent::IngestFact { ingest: have, fact } if *have == ingest => Some(*fact),
            _ => None,
        })
        .collect();
    let fact = |receiving| Fact::Receiving { mindex: 0, substream: Some(1), receiving };
    assert_eq!(told, [fact(true), fact(false)]);
}

#[test]
fn noise_at_ports_touches_nobody() {
    for seed in [31, 32, 33] {
        let mut world = World::new(seed, 1);
        let publisher = world.join(0, &[VIDEO.sends()]);
        let viewer = world.join(0, &[VIDEO.receives()]);
        world.route((publisher, 0), (viewer, 0));
        world.open_port(SHARED, None);
        let ids = [5, 6, 7, 8].map(|number| PortId { shard: 0, number });
        let ports = [None, Some(9), None, None];
        let to: Vec<_> = ids.iter().zip(ports).map(|(id, key)| world.open_port(*id, key)).collect();
        let ingest = IngestId { shard: 0, number: 1 };
        world.ingest(ingest, vp8(true));
        let feeds = [
            (ids[0], Carries::Ssrcs(Ssrc(1000))),
            (ids[1], Carries::Layer(2)),
            (ids[2], Carries::Rtcp),
            (ids[3], Carries::Layer(200)),
        ];
        for (port, carries) in feeds {
            world.command(0, ShardCommand::Plan(Plan::Feed { port, ingest, carries }));
        }
        let wire = world.wire(None);
        let setup = ForwarderSetup { rtcp: Some(ids[2]), ..video_to(world.wires[wire].address) };
        let source = SourceId::Ingest(ingest);
        world.forward(source, forwarder(1), setup, Route::default());
        world.connect();
        let mut rng = Rng::new(seed);
        for _ in 0..300 {
            for _ in 0..6 {
                let mut bytes = match rng.below(3) {
                    0 => pli(rng.next() as u32),
                    1 => packet(1000 + rng.below(4) as u32, rng.next() as u16, 1, rng.next(), true),
                    _ => (0..rng.below(1600)).map(|_| rng.next() as u8).collect(),
                };
                if let Some(byte) = bytes.get_mut(rng.below(40) as usize) {
                    *byte ^= rng.next() as u8;
                }
                bytes.truncate(rng.below(2000) as usize);
                let at = rng.below(to.len() as u64) as usize;
                world.send_from(wire, to[at], &bytes);
            }
            world.run_for(Duration::from_millis(10));
        }
        assert!(assert_undisturbed(&world.clients[viewer], 0) > 300);
        assert_eq!(world.counters().peers, 2);
        assert!(world.counters().stray > 50, "what is no RTP is counted");
    }
}

#[test]
fn two_shards_cascade_in_bad_weather_and_a_keyframe_request_finds_its_way_back() {
    let mut world = World::new(25, 2);
    let publisher = world.join(0, &[VIDEO.sends()]);
    let viewer = world.join(1, &[VIDEO.receives()]);
    world.connect();
    world.open_port(SHARED, None);
    let near = PortId { shard: 0, number: 7 };
    let (rtp, rtcp) = (PortId { shard: 1, number: 5 }, PortId { shard: 1, number: 6 });
    world.open_port(near, None);
    let (to, back) = (world.open_port(rtp, Some(3)), world.open_port(rtcp, None));
    let ingest = IngestId { shard: 1, number: 1 };
    world.ingest(ingest, vp8(true));
    for (port, carries) in [(rtp, Carries::Ssrcs(Ssrc(1000))), (rtcp, Carries::Rtcp)] {
        world.command(1, ShardCommand::Plan(Plan::Feed { port, ingest, carries }));
    }
    let sink = SinkId::Line(world.line(viewer, 0));
    let (source, route) = (SourceId::Ingest(ingest), Route::default());
    world.command(1, ShardCommand::Plan(Plan::Route { source, sink, route }));
    world.run_for(Duration::from_millis(50));
    let setup = ForwarderSetup {
        ssrc: ForwardSsrc::Layered(Ssrc(1000)),
        key: Some(master(3)),
        rtcp: Some(near),
        ..video_to(to)
    };
    world.command(0, ShardCommand::Plan(Plan::Greet { port: near, to: back }));
    let source = world.source(publisher, 0);
    world.forward(source, forwarder(1), setup, Route::default());
    world.run_for(Duration::from_secs(2));
    world.net.down = Conditions { loss: 20, duplicated: 10, delay_us: 10_000, jitter_us: 15_000 };
    world.run_for(Duration::from_secs(4));
    let came = assert_continuous(&world.clients[viewer], 0, 40);
    assert!(came > 600, "{came}");
    // A request that gets lost is the viewer's to repeat.
    world.net.down = Conditions { delay_us: 10_000, ..Conditions::default() };
    world.run_for(Duration::from_secs(1));
    let before = world.clients[publisher].keyframe_requests.len();
    assert!(before >= 1, "the viewer's first wish came through");
    let our = our_ssrc(viewer, 0);
    let ask = str0m::media::KeyframeRequestKind::Pli;
    let mut api = world.clients[viewer].rtc.direct_api();
    api.stream_rx(&our.into()).expect("a stream").request_keyframe(ask);
    world.clients[viewer].due = Some(world.now());
    world.run_for(Duration::from_secs(3));
    assert!(world.clients[publisher].keyframe_requests.len() > before, "end to end");
}
