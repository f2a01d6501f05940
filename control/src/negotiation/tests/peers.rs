//! What shards say, and how PeerConnections end.

use super::*;
use bifrons_core::media::{DownReason, Fact};
use bifrons_core::plugin::Home;
use bifrons_core::srtp::SrtpProfile;

fn up(peer: PeerId) -> ShardEvent {
    ShardEvent::Up { peer, profile: Some(SrtpProfile::PREFERENCE[0]) }
}

fn is_close(sent: &[(u8, ShardCommand)], of: PeerId) -> bool {
    matches!(sent, [(shard, ShardCommand::Close { peer })] if *peer == of && *shard == of.shard)
}

#[test]
fn a_peer_comes_up_and_its_facts_find_the_handle() {
    let mut bench = Bench::new(2);
    bench.connect(ADA, CHROMIUM);
    let peer = bench.peer(ADA);
    assert!(!bench.negotiation.is_up(ADA));
    assert_eq!(bench.say(up(peer)), [(ADA, PeerEvent::Up(peer))]);
    assert!(bench.negotiation.is_up(ADA));
    let fact = Fact::Receiving { mindex: 1, substream: None, receiving: true };
    assert_eq!(bench.say(ShardEvent::Fact { peer, fact }), [(ADA, PeerEvent::Fact(fact))]);
    // Of a former tenant of the slot nobody hears.
    let stale = PeerId { generation: peer.generation.wrapping_sub(1), ..peer };
    assert!(bench.say(ShardEvent::Fact { peer: stale, fact }).is_empty());
    assert!(bench.say(up(stale)).is_empty());
}

#[test]
fn a_peer_that_ends_by_itself_is_closed_and_reported_once() {
    let mut bench = Bench::new(1);
    bench.connect(ADA, CHROMIUM);
    let peer = bench.peer(ADA);
    bench.say(up(peer));
    bench.sent();
    let reason = DownReason::DtlsAlert;
    assert_eq!(bench.say(ShardEvent::Down { peer, reason }), [(ADA, PeerEvent::Down(reason))]);
    assert!(is_close(&bench.sent(), peer));
    assert!(!bench.negotiation.has_pc(ADA) && bench.negotiation.peer(ADA).is_none());
    assert!(bench.say(ShardEvent::Down { peer, reason }).is_empty());
    assert!(!bench.negotiation.hangup(ADA, DownReason::JanusApi), "there is nothing left");
}

#[test]
fn webrtc_43_after_a_hangup_the_handle_negotiates_anew() {
    let mut bench = Bench::new(1);
    bench.connect(ADA, CHROMIUM);
    let first = bench.peer(ADA);
    bench.sent();
    assert!(bench.negotiation.hangup(ADA, DownReason::JanusApi));
    assert!(is_close(&bench.sent(), first) && bench.events().is_empty());
    // At once, though the shard has not yet put the former one away.
    let offer = bench.offer(ADA, CHROMIUM);
    assert!(!offer.update);
    bench.answer(ADA, &offer);
    let second = bench.setup().peer;
    assert_ne!(second.slot, first.slot);
    bench.say(ShardEvent::Closed { peer: first });
    bench.connect(BOB, CHROMIUM);
    let third = bench.peer(BOB);
    assert_eq!((third.slot, third.generation), (first.slot, first.generation + 1));
}

#[test]
fn an_offer_that_is_never_answered_costs_the_shard_nothing() {
    let mut bench = Bench::new(1);
    bench.offer(ADA, CHROMIUM);
    let peer = bench.peer(ADA);
    assert!(bench.negotiation.hangup(ADA, DownReason::JanusApi));
    assert!(bench.sent().is_empty());
    bench.offer(BOB, CHROMIUM);
    assert_eq!(bench.peer(BOB).slot, peer.slot, "the slot is free at once");
}

#[test]
fn a_dead_shard_takes_its_own_peers_only() {
    let mut bench = Bench::new(2);
    bench.connect(ADA, CHROMIUM);
    bench.connect(BOB, CHROMIUM);
    let (ada, bob) = (bench.peer(ADA), bench.peer(BOB));
    assert_ne!(ada.shard, bob.shard, "strangers are spread");
    let died = ShardEvent::Stopped { shard: ada.shard, failure: Some("panicked".into()) };
    assert_eq!(bench.say(died), [(ADA, PeerEvent::Down(DownReason::ShardFailed))]);
    assert!(bench.negotiation.has_pc(BOB) && !bench.negotiation.has_pc(ADA));
    bench.connect(ADA, CHROMIUM);
    assert_eq!(bench.peer(ADA).shard, bob.shard, "the living one takes over");
}

#[test]
fn without_a_living_shard_an_offer_is_refused() {
    let mut bench = Bench::new(1);
    bench.say(ShardEvent::Stopped { shard: 0, failure: Some("panicked".into()) });
    let offer = bench.remote(ADA, json!({ "type": "offer", "sdp": CHROMIUM }));
    assert_eq!(refused(offer), "490 Error setting ICE locally");
}

#[test]
fn handles_of_a_session_share_a_shard() {
    let mut bench = Bench::new(4);
    let cleo = HandleKey(3);
    bench.negotiation.attached(cleo, 100, None);
    for handle in [ADA, BOB, cleo] {
        bench.connect(handle, CHROMIUM);
    }
    assert_eq!(bench.peer(ADA).shard, bench.peer(cleo).shard);
    assert_ne!(bench.peer(ADA).shard, bench.peer(BOB).shard);
    assert_eq!(bench.negotiation.load().iter().sum::<usize>(), 3);
}

#[test]
fn a_forgotten_handle_leaves_no_trace() {
    let mut bench = Bench::with(1, |settings| settings.full_trickle = true);
    bench.connect(ADA, CHROMIUM);
    bench.negotiation.forget(ADA);
    assert!(bench.events().is_empty(), "its candidates are nobody's now");
    assert!(!bench.negotiation.has_pc(ADA));
}

#[test]
fn an_operator_sees_no_passwords() {
    let mut bench = Bench::new(1);
    let answer = bench.connect(ADA, CHROMIUM);
    bench.sent();
    let ticket = bench.negotiation.ask_statistics(ADA).expect("a PeerConnection");
    let ShardCommand::Query { ticket: asked, peer } = bench.only() else { panic!("a question") };
    assert_eq!((asked, peer), (ticket, bench.peer(ADA)));
    assert_eq!(bench.negotiation.ask_statistics(BOB), None);
    let theirs = "1 1 udp 2122260223 192.0.2.7 50123 typ host";
    bench.negotiation.candidate(ADA, &format!("candidate:{theirs}"));
    let view = bench.negotiation.view(ADA).expect("a PeerConnection");
    for sdp in [view.local_sdp, view.remote_sdp] {
        assert!(sdp.expect("a description").contains("a=ice-pwd:***"));
    }
    assert!(answer.media[0].value("ice-pwd").is_some());
    assert_eq!(view.remote_candidates, [theirs]);
    assert!(!view.local_candidates.is_empty());
}

#[test]
fn a_peer_moves_to_its_home_as_long_as_no_shard_knows_of_it() {
    let mut bench = Bench::new(3);
    let offer = bench.offer(ADA, CHROMIUM);
    let first = bench.peer(ADA);
    let home = (first.shard + 1) % 3;
    bench.negotiation.place(ADA, Home::Shard(home));
    let answer = bench.answer(ADA, &offer).to_string();
    assert_eq!(bench.peer(ADA).shard, home);
    let [(shard, ShardCommand::Open(setup))] = &bench.sent()[..] else { panic!("one opening") };
    assert_eq!((*shard, setup.peer), (home, bench.peer(ADA)));
    assert!(answer.contains(&setup.transport.local.ufrag), "the credentials name the new one");
    assert!(answer.contains(&format!(" {} typ host", 9000 + u16::from(home))));
    // The slot it had serves the next one.
    bench.negotiation.place(BOB, Home::Shard(first.shard));
    bench.offer(BOB, CHROMIUM);
    assert_eq!(bench.peer(BOB).slot, first.slot);
    // One that a shard has stays.
    bench.negotiation.place(ADA, Home::Shard(first.shard));
    assert_eq!(bench.peer(ADA).shard, home);
}
