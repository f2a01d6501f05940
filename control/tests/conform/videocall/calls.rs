//! How calls begin and end.

use super::stage::{PATIENCE, Stage, both, event, one_mid, run};
use bifrons_loadtest::janus::Jsep;
use serde_json::json;

#[test]
fn videocall_08_and_09_and_10_one_calls_and_the_other_accepts() {
    run(async {
        let stage = Stage::set().await;
        // Who hears what, and with which description, is looked at there.
        let (alice, bob) = stage.call(both()).await;
        assert_eq!(alice.mids, bob.mids);
    });
}

#[test]
fn videocall_07_who_is_rung_or_in_a_call_is_busy() {
    run(async {
        let stage = Stage::set().await;
        let (mut alice, mut bob) = stage.pair().await;
        let mut carol = stage.user("carol").await;
        alice.ring(&bob, both()).await;
        let busy =
            |name: &str| event(json!({"event": "hangup", "username": name, "reason": "User busy"}));
        assert_eq!(carol.dial(&bob.name).await, busy(&carol.name));
        carol.loses_its_connection().await;
        bob.pick_up(&mut alice).await;
        for callee in [&alice.name, &bob.name] {
            assert_eq!(carol.dial(callee).await, busy(&carol.name));
            carol.loses_its_connection().await;
        }
        let body = json!({"request": "call", "username": carol.name});
        assert_eq!(alice.refused(body, None).await, 480);
    });
}

#[test]
fn videocall_16_after_a_hangup_both_can_call_again() {
    run(async {
        let stage = Stage::set().await;
        let (mut alice, mut bob) = stage.call(both()).await;
        let told = alice.ask(json!({"request": "hangup"})).await;
        let over = json!({"event": "hangup", "username": alice.name, "reason": "Explicit hangup"});
        assert_eq!(told, event(over));
        bob.hears_hangup(&alice.name, "We did the hangup").await;
        alice.loses_its_connection().await;
        bob.loses_its_connection().await;
        let told = bob.dial(&alice.name).await;
        assert_eq!(told, event(json!({"event": "calling"})));
        let offer = alice.rung(&bob).await;
        assert!(offer.sdp.contains("m=video"));
    });
}

#[test]
fn videocall_24_the_other_side_is_told_the_reason_once() {
    run(async {
        let stage = Stage::set().await;
        let (mut alice, mut bob) = stage.call(both()).await;
        bob.ask(json!({"request": "hangup", "reason": "Dinner"})).await;
        alice.hears_hangup(&bob.name, "Dinner").await;
        alice.loses_its_connection().await;
        bob.loses_its_connection().await;
        if std::env::var_os("BIFRONS_CONFORM_WS").is_some() {
            return; // Janus tells a second time, as of a lost connection.
        }
        for user in [&mut alice, &mut bob] {
            user.has_heard_all().await;
        }
    });
}

#[test]
fn videocall_23_and_25_a_call_that_rings_can_be_declined() {
    run(async {
        let stage = Stage::set().await;
        let (mut alice, mut bob) = stage.pair().await;
        alice.ring(&bob, both()).await;
        bob.rung(&alice).await;
        // A reason that is no text does not count.
        bob.ask(json!({"request": "hangup", "reason": 7})).await;
        alice.hears_hangup(&bob.name, "We did the hangup").await;
        alice.loses_its_connection().await;
        assert_eq!(alice.dial(&bob.name).await, event(json!({"event": "calling"})));
        bob.rung(&alice).await;
        alice.ask(json!({"request": "hangup", "reason": "Never mind"})).await;
        bob.hears_hangup(&alice.name, "Never mind").await;
    });
}

#[test]
fn videocall_17_who_loses_the_other_side_is_told() {
    run(async {
        let stage = Stage::set().await;
        let (mut alice, mut bob) = stage.pair().await;
        alice.ring(&bob, both()).await;
        bob.rung(&alice).await;
        alice.leaves().await;
        bob.hears_hangup(&alice.name, "Remote WebRTC hangup").await;
        // The same when it was accepted, with the PeerConnection alone.
        let (alice, mut bob) = stage.call(both()).await;
        alice.handle.hangup().await.expect("hung up");
        bob.hears_hangup(&alice.name, "Remote WebRTC hangup").await;
        bob.loses_its_connection().await;
        assert_eq!(bob.dial(&alice.name).await, event(json!({"event": "calling"})));
    });
}

#[test]
fn videocall_15_either_side_may_renegotiate() {
    run(async {
        let stage = Stage::set().await;
        let (mut alice, mut bob) = stage.call(both()).await;
        let before = alice.peer.stats().await.expect("counts").ice_connections;
        let offer = alice.peer.offer_restart().await.expect("an offer");
        let done = event(json!({"event": "set"}));
        let set = json!({"request": "set"});
        assert_eq!(alice.ask_with(set.clone(), Some(Jsep::offer(offer))).await.data, done);
        let update = bob.hears("update").await;
        let offer = Jsep::read(&update["jsep"]).expect("an offer");
        assert_eq!(offer.kind, "offer");
        let answer = bob.peer.accept_offer(&one_mid(&offer.sdp)).await.expect("an answer");
        assert_eq!(bob.ask_with(set.clone(), Some(Jsep::answer(answer))).await.data, done);
        let update = alice.hears("update").await;
        let answer = Jsep::read(&update["jsep"]).expect("an answer");
        assert_eq!(answer.kind, "answer");
        alice.peer.accept_answer(&one_mid(&answer.sdp)).await.expect("it fits");
        let again = move |stats: &bifrons_loadtest::peer::Stats| stats.ice_connections > before;
        alice.peer.until("a restart", PATIENCE, again).await.expect("a restart");
        alice.talks().await;
        bob.gets(0, 20).await;
        bob.gets(1, 20).await;
        // Without a description `restart` does nothing.
        let body = json!({"request": "set", "restart": true});
        assert_eq!(bob.ask(body).await, done);
        alice.has_heard_all().await;
    });
}
