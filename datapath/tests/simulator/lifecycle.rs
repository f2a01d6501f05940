//! How peers come, change and go.

use super::flow::{assert_continuous, assert_undisturbed};
use super::reports::send_video;
use super::spec::{AUDIO, Spec, VIDEO, line};
use super::world::World;
use bifrons_core::dtls::{Fingerprint, FingerprintHash, Role};
use bifrons_core::media::{
    DownReason, Fact, PeerUpdate, Plan, Route, ShardCommand, ShardEvent, SinkId, SourcePolicy,
    SwitchRule,
};
use std::time::Duration;

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A publisher and a viewer on two shards, connected, media flowing.
fn pair(seed: u64) -> (World, usize, usize) {
    let mut world = World::new(seed, 2);
    let publisher = world.join(0, &[AUDIO.sends(), VIDEO.sends()]);
    let viewer = world.join(1, &[AUDIO.receives(), VIDEO.receives()]);
    world.route((publisher, 0), (viewer, 0));
    world.route((publisher, 1), (viewer, 1));
    world.connect();
    world.run_for(second(1));
    (world, publisher, viewer)
}

fn ups(world: &World, client: usize) -> usize {
    let peer = world.peer(client);
    let is_up = |event: &&(u64, ShardEvent)| matches!(event.1, ShardEvent::Up { peer: have, .. } if have == peer);
    world.events.iter().filter(is_up).count()
}

/// Packets on a line that came in the last `time`.
fn lately(world: &World, client: usize, mindex: u16, time: Duration) -> usize {
    let since = world.now_us - time.as_micros() as u64;
    world.clients[client].got_on(mindex).iter().filter(|got| got.at_us >= since).count()
}

#[test]
fn webrtc_33_an_ice_restart_keeps_media_and_keys() {
    let (mut world, publisher, viewer) = pair(33);
    for client in [publisher, viewer] {
        world.restart_ice(client);
        world.run_for(second(4));
        assert_eq!(ups(&world, client), 1, "no second webrtcup");
        assert_eq!(world.down(client), None);
        assert!(lately(&world, viewer, 1, second(1)) > 100, "media goes on");
        let facts = world.facts(client);
        assert!(!facts.iter().any(|(_, fact)| *fact == Fact::IceFailed));
    }
    assert_undisturbed(&world.clients[viewer], 0);
    assert_undisturbed(&world.clients[viewer], 1);
    world.run_for(second(30));
    assert!(lately(&world, viewer, 1, second(1)) > 100, "consent is kept with the new words");
}

#[test]
fn a_renegotiation_adds_a_line_while_media_flows() {
    let mut world = World::new(34, 1);
    let me = world.join(0, &[AUDIO]);
    world.route((me, 0), (me, 0));
    world.connect();
    world.run_for(second(1));
    let now_us = world.now_us;
    world.clients[me].add_line(1, VIDEO, now_us);
    world.renegotiate(me, &[(0, AUDIO), (1, VIDEO)]);
    world.route((me, 1), (me, 1));
    world.run_for(second(2));
    assert!(assert_undisturbed(&world.clients[me], 0) > 3 * 45);
    assert!(assert_undisturbed(&world.clients[me], 1) > 2 * 110);
    assert_eq!(ups(&world, me), 1);
}

#[test]
fn webrtc_50_a_line_made_inactive_comes_back_with_its_ssrcs_and_numbers() {
    let mut world = World::new(50, 1);
    let me = world.join(0, &[AUDIO, VIDEO]);
    world.route((me, 0), (me, 0));
    world.route((me, 1), (me, 1));
    world.connect();
    world.run_for(second(1));
    let inactive = Spec { publishes: false, watches: false, ..VIDEO };
    // Once as an inactive line, once as a rejected one.
    for lines in [&[(0, AUDIO), (1, inactive)][..], &[(0, AUDIO)]] {
        world.clients[me].cameras[1].on = false;
        world.renegotiate(me, lines);
        world.run_for(second(1));
        assert_eq!(lately(&world, me, 1, ms(900)), 0);
        world.renegotiate(me, &[(0, AUDIO), (1, VIDEO)]);
        world.route((me, 1), (me, 1));
        let now_us = world.now_us;
        let camera = &mut world.clients[me].cameras[1];
        (camera.on, camera.keyframe_wanted, camera.next_us) = (true, true, now_us + 20_000);
        world.run_for(second(1));
        assert!(lately(&world, me, 1, second(1)) > 80, "it flows again");
    }
    // One stream to the end: nothing sealed twice (the wire is watched), nothing lost.
    let got = world.clients[me].got_on(1);
    assert!(got.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
    assert_undisturbed(&world.clients[me], 0);
}

#[test]
fn a_closed_peer_gets_its_alert_and_its_slot_is_free() {
    let mut world = World::new(35, 1);
    let publisher = world.join_raw(0, &[VIDEO.sends()]);
    let viewer = world.join_raw(0, &[VIDEO.receives()]);
    world.route((publisher, 0), (viewer, 0));
    world.connect();
    send_video(&mut world, publisher, 1..20);
    let closed_us = world.now_us;
    world.close(publisher);
    world.run_for(ms(100));
    let told_us = world.raw(publisher).closed_us.expect("the alert came");
    assert!(told_us < closed_us + 10_000);
    assert!(world.closed_us(publisher).is_some());
    assert_eq!(world.down(publisher), None, "who asked for it is not told");
    assert_eq!(world.counters().peers, 1);
    // Late packets of the gone one are strangers'.
    let stray = world.counters().stray;
    world.raw(publisher).send_rtp(30, &super::reports::header(96, 1, 1), &[0; 30]);
    world.run_for(ms(50));
    assert_eq!(world.counters().stray, stray + 1);
    assert_eq!(world.down(viewer), None);
}

#[test]
fn webrtc_43_a_slot_serves_its_next_tenant_from_scratch() {
    let mut world = World::new(43, 1);
    for round in 0..5u16 {
        let publisher = world.join(0, &[VIDEO.sends()]);
        let viewer = world.join(0, &[VIDEO.receives()]);
        world.route((publisher, 0), (viewer, 0));
        world.connect_only(&[publisher, viewer]);
        world.run_for(second(1));
        assert!(assert_undisturbed(&world.clients[viewer], 0) > 100, "round {round}");
        for client in [publisher, viewer] {
            world.close(client);
        }
        world.run_for(ms(100));
        assert!(world.closed_us(publisher).is_some() && world.closed_us(viewer).is_some());
        // The same slots again, as their next generation.
        world.reuse_slots();
    }
    assert_eq!(world.counters().peers, 0);
}

#[test]
fn a_peer_that_closes_is_down_with_an_alert() {
    let mut world = World::new(36, 1);
    let client = world.join_raw(0, &[VIDEO]);
    world.connect();
    let (now, now_us) = (world.now(), world.now_us);
    world.raw(client).hang_up(now, now_us);
    world.run_for(ms(100));
    assert_eq!(world.down(client).map(|down| down.1), Some(DownReason::DtlsAlert));
    assert!(world.closed_us(client).is_some());
}

#[test]
fn webrtc_08_a_wrong_fingerprint_ends_in_a_dtls_alert() {
    let mut world = World::new(48, 1);
    let client = world.arrive(&[AUDIO]);
    world.open_with(client, 0, &[AUDIO], |setup| {
        let wrong = Fingerprint::new(FingerprintHash::Sha256, &[7; 32]).expect("32 bytes");
        setup.transport.fingerprint = Some(wrong);
    });
    world.run_for(second(3));
    assert_eq!(world.up_us(client), None);
    assert_eq!(world.down(client).map(|down| down.1), Some(DownReason::DtlsAlert));
}

#[test]
fn webrtc_09_no_handshake_within_20_seconds_of_the_first_pair_is_a_timeout() {
    let mut world = World::new(9, 1);
    let client = world.arrive(&[AUDIO]);
    world.clients[client].mute_dtls = true;
    world.open(client, 0, &[AUDIO]);
    world.run_for(second(25));
    let (at_us, reason) = world.down(client).expect("down");
    assert_eq!(reason, DownReason::DtlsTimeout);
    assert!((20_000_000..20_500_000).contains(&at_us), "{at_us}");
}

#[test]
fn webrtc_05_either_dtls_role_leads_to_the_same_media() {
    for role in [Role::Server, Role::Client] {
        let mut world = World::new(5, 1);
        let client = world.arrive(&[AUDIO]);
        world.clients[client].dtls_active = role == Role::Server;
        world.open_with(client, 0, &[AUDIO], |setup| setup.transport.dtls_role = Some(role));
        world.route((client, 0), (client, 0));
        world.connect();
        world.run_for(second(1));
        assert!(assert_undisturbed(&world.clients[client], 0) > 40, "{role:?}");
    }
}

#[test]
fn an_answer_to_our_offer_brings_the_peer_up() {
    let mut world = World::new(6, 1);
    let client = world.arrive(&[AUDIO]);
    let mut held = None;
    world.open_with(client, 0, &[AUDIO], |setup| {
        let transport = &mut setup.transport;
        held = Some(PeerUpdate {
            remote: transport.remote.take(),
            candidates: std::mem::take(&mut transport.candidates),
            end_of_candidates: std::mem::take(&mut transport.end_of_candidates),
            dtls_role: transport.dtls_role.take(),
            fingerprint: transport.fingerprint.take(),
            ..PeerUpdate::default()
        });
        transport.controlling = true;
    });
    world.clients[client].set_controlled();
    world.route((client, 0), (client, 0));
    world.run_for(second(2));
    assert_eq!(world.up_us(client), None);
    world.update(client, held.expect("held back"));
    world.connect();
    world.run_for(second(1));
    assert!(assert_undisturbed(&world.clients[client], 0) > 40);
}

#[test]
fn lost_consent_is_told_and_ends_in_ice_failed() {
    let (mut world, publisher, viewer) = pair(37);
    let address = world.clients[viewer].address;
    world.net.cut.push(address);
    let cut_us = world.now_us;
    world.run_for(second(60));
    let told = world.facts(viewer).iter().find(|(_, fact)| *fact == Fact::IceFailed).map(|f| f.0);
    let told_us = told.expect("told");
    let (down_us, reason) = world.down(viewer).expect("down");
    assert_eq!(reason, DownReason::IceFailed);
    assert!(told_us > cut_us + 3_000_000 && told_us < cut_us + 35_000_000, "{}", told_us - cut_us);
    assert!(down_us >= told_us + 5_000_000 && down_us <= told_us + 16_000_000);
    assert!(world.closed_us(viewer).is_some());
    assert_eq!(world.down(publisher), None);
    assert!(world.clients[publisher].died_us.is_none());
}

#[test]
fn a_restart_rescues_a_peer_whose_path_was_lost() {
    let (mut world, _, viewer) = pair(38);
    let address = world.clients[viewer].address;
    world.net.cut.push(address);
    let told = |world: &World| world.facts(viewer).iter().any(|(_, fact)| *fact == Fact::IceFailed);
    for _ in 0..60 {
        if !told(&world) {
            world.run_for(second(1));
        }
    }
    assert!(told(&world));
    world.net.cut.clear();
    world.restart_ice(viewer);
    world.run_for(second(20));
    assert_eq!(world.down(viewer), None);
    assert!(lately(&world, viewer, 1, second(1)) > 100);
}

#[test]
fn mute_and_pause_leave_no_gap_on_any_shard() {
    for shard in [0, 1] {
        let mut world = World::new(39, 2);
        let publisher = world.join(0, &[AUDIO.sends(), VIDEO.sends()]);
        let viewer = world.join(shard, &[AUDIO.receives(), VIDEO.receives()]);
        world.route((publisher, 0), (viewer, 0));
        world.route((publisher, 1), (viewer, 1));
        world.connect();
        world.run_for(second(1));
        let source = world.source(publisher, 0);
        let mute = |world: &mut World, muted| {
            let policy = SourcePolicy { muted, ..SourcePolicy::default() };
            world.command(0, ShardCommand::Plan(Plan::Policy { source, policy }));
        };
        mute(&mut world, true);
        world.route_with((publisher, 1), (viewer, 1), Route { enabled: false, ..Route::default() });
        world.run_for(second(1));
        assert_eq!(lately(&world, viewer, 0, ms(900)), 0, "muted, shard {shard}");
        assert_eq!(lately(&world, viewer, 1, ms(900)), 0, "paused");
        mute(&mut world, false);
        world.route((publisher, 1), (viewer, 1));
        world.run_for(second(1));
        for mindex in [0, 1] {
            let got = world.clients[viewer].got_on(mindex);
            assert!(got.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "line {mindex}");
            assert!(lately(&world, viewer, mindex, ms(800)) > 30);
        }
    }
}

#[test]
fn a_switch_at_a_keyframe_goes_on_in_number_and_time() {
    for shard in [0, 1] {
        let mut world = World::new(40, 2);
        let first = world.join(0, &[VIDEO.sends()]);
        let second_one = world.join(shard, &[VIDEO.sends()]);
        let viewer = world.join(0, &[VIDEO.receives()]);
        world.route((first, 0), (viewer, 0));
        world.connect();
        world.run_for(second(2));
        let rule = Route { switch: SwitchRule::AtKeyframe, ..Route::default() };
        world.route_with((second_one, 0), (viewer, 0), rule);
        world.run_for(second(2));
        let got = world.clients[viewer].got_on(0);
        let seams: Vec<_> = got.windows(2).filter(|p| p[0].author != p[1].author).collect();
        assert_eq!(seams.len(), 1, "one switch");
        assert!(seams[0][1].keyframe, "at a keyframe");
        assert!(got.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "without a gap");
        assert!(got.windows(2).all(|pair| pair[1].timestamp >= pair[0].timestamp));
        assert!(lately(&world, viewer, 0, second(1)) > 100);
        // And back, at once, while the other's packets may be on their way between shards.
        world.route((first, 0), (viewer, 0));
        world.run_for(second(1));
        let got = world.clients[viewer].got_on(0);
        assert!(got.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "without a gap");
        assert_continuous(&world.clients[viewer], 0, 0);
    }
}

#[test]
fn an_unrouted_sink_is_silent_and_a_lost_source_harms_nobody() {
    let (mut world, publisher, viewer) = pair(41);
    let sink = SinkId::Line(world.line(viewer, 0));
    world.command(1, ShardCommand::Plan(Plan::Unroute { sink }));
    world.run_for(second(1));
    assert_eq!(lately(&world, viewer, 0, ms(900)), 0);
    assert!(lately(&world, viewer, 1, second(1)) > 100);
    world.close(publisher);
    world.run_for(second(1));
    assert_eq!(lately(&world, viewer, 1, ms(900)), 0);
    assert_eq!(world.down(viewer), None);
    let other = world.join(0, &[AUDIO.sends(), VIDEO.sends()]);
    world.route((other, 1), (viewer, 1));
    world.connect_only(&[other]);
    world.run_for(second(1));
    assert!(lately(&world, viewer, 1, second(1)) > 80);
    let got = world.clients[viewer].got_on(1);
    assert!(got.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
}

#[test]
fn a_stopped_shard_says_goodbye_to_every_peer() {
    let mut world = World::new(42, 1);
    let clients = [0; 3].map(|_| world.join_raw(0, &[VIDEO]));
    world.connect();
    world.command(0, ShardCommand::Stop);
    world.run_for(ms(100));
    for client in clients {
        assert!(world.raw(client).closed_us.is_some());
        assert!(world.closed_us(client).is_some());
    }
    assert!(world.nodes[0].shard.has_stopped());
}

#[test]
fn commands_about_the_gone_and_the_unknown_do_nothing() {
    let (mut world, publisher, viewer) = pair(44);
    let ghost = bifrons_core::media::PeerId { generation: 77, ..world.peer(viewer) };
    let far = bifrons_core::media::PeerId { slot: 4000, ..world.peer(viewer) };
    for peer in [ghost, far] {
        world.command(1, ShardCommand::Close { peer });
        let update = PeerUpdate { lines: Some(vec![line(viewer, 0, AUDIO)]), ..Default::default() };
        world.command(1, ShardCommand::Update { peer, update: Box::new(update) });
        world.command(1, ShardCommand::EndOfCandidates { peer });
        let candidate = Box::new(world.clients[viewer].candidate());
        world.command(1, ShardCommand::Candidate { peer, candidate });
        let (source, sink) = (world.source(publisher, 0), SinkId::Line(peer.line(0)));
        let route = Route::default();
        world.command(1, ShardCommand::Plan(Plan::Route { source, sink, route }));
        world.command(1, ShardCommand::Plan(Plan::Unroute { sink }));
        world.command(1, ShardCommand::Plan(Plan::Remb { peer, bps: 1 }));
    }
    world.run_for(second(1));
    assert!(assert_undisturbed(&world.clients[viewer], 0) > 80);
    assert!(assert_undisturbed(&world.clients[viewer], 1) > 200);
}
