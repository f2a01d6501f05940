//! What senders do, and what goes back to them: latching, collisions, keys, feedback, substreams.

use super::*;

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
