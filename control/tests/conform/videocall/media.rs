//! What flows between the two.

use super::stage::{PATIENCE, Stage, both, event, run};
use bifrons_loadtest::janus::Jsep;
use bifrons_loadtest::peer::{Line, Message, Shape, Stats};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn videocall_12_media_flow_both_ways() {
    run(async {
        let stage = Stage::set().await;
        let (alice, bob) = stage.call(both()).await;
        alice.talks().await;
        bob.talks().await;
        for user in [&alice, &bob] {
            user.gets(0, 50).await;
            user.gets(1, 50).await;
            assert!(user.received(1).await.keyframes >= 1);
        }
    });
}

#[test]
fn videocall_13_who_is_mute_is_not_heard_but_hears() {
    run(async {
        let stage = Stage::set().await;
        let (mut alice, bob) = stage.call(both()).await;
        alice.talks().await;
        bob.talks().await;
        for user in [&alice, &bob] {
            user.gets(0, 20).await;
            user.gets(1, 20).await;
        }
        let set = |field: &str, on: bool| {
            let mut body = json!({"request": "set"});
            body[field] = json!(on);
            body
        };
        assert_eq!(alice.ask(set("audio", false)).await, event(json!({"event": "set"})));
        assert_eq!(bob.packets_within_a_second(0).await, 0);
        bob.gets(1, 20).await;
        alice.gets(0, 20).await;
        alice.ask(set("audio", true)).await;
        bob.gets(0, 20).await;
        // Video that is seen again begins with a keyframe, which its sender is asked for.
        alice.ask(set("video", false)).await;
        assert_eq!(bob.packets_within_a_second(1).await, 0);
        let keyframes = bob.received(1).await.keyframes;
        alice.ask(set("video", true)).await;
        let mid = bob.mids[1].clone();
        let again =
            move |stats: &Stats| stats.from_mid(&mid).is_some_and(|got| got.keyframes > keyframes);
        bob.peer.until("a keyframe", PATIENCE, again).await.expect("a keyframe");
    });
}

#[test]
fn videocall_14_a_bitrate_is_a_remb_to_who_sets_it() {
    run(async {
        let stage = Stage::set().await;
        let (mut alice, bob) = stage.call(both()).await;
        alice.talks().await;
        bob.gets(1, 10).await;
        alice.ask(json!({"request": "set", "bitrate": 300_000})).await;
        let held = |stats: &Stats| stats.remb.is_some_and(|(bps, _)| is_near(bps, 300_000));
        alice.peer.until("a REMB", PATIENCE, held).await.expect("a REMB");
        alice.ask(json!({"request": "set", "bitrate": 0})).await;
        let free = |stats: &Stats| stats.remb.is_some_and(|(bps, _)| is_near(bps, 10_000_000));
        alice.peer.until("another", PATIENCE, free).await.expect("a REMB");
        let other = bob.peer.stats().await.expect("counts").remb;
        assert!(other.is_none_or(|(bps, _)| !is_near(bps, 300_000)), "not for bob: {other:?}");
    });
}

/// REMB has a mantissa of 18 bits.
fn is_near(bps: u64, wanted: u64) -> bool {
    bps.abs_diff(wanted) <= wanted / 1000
}

#[test]
fn videocall_18_the_callee_chooses_among_the_callers_layers() {
    run(async {
        let stage = Stage::set().await;
        let (mut alice, mut bob) = stage.call(vec![Line::simulcast(&["h", "m", "l"])]).await;
        for (rid, rate_bps) in [("h", 300_000), ("m", 150_000), ("l", 75_000)] {
            let shape = Shape::video(rate_bps);
            alice.peer.send(&alice.mids[0], Some(rid), shape).await.expect("sends");
        }
        let substream = |wanted: i64| {
            move |message: &Value| {
                let result = &message["plugindata"]["data"]["result"];
                result["event"] == "simulcast" && result["substream"] == wanted
            }
        };
        bob.handle.event_where("the best", substream(2)).await.expect("the best");
        bob.gets(0, 20).await;
        let told = bob.ask(json!({"request": "set", "substream": 0})).await;
        assert_eq!(told, event(json!({"event": "set"})));
        let told = bob.handle.event_where("the least", substream(0)).await.expect("the least");
        assert_eq!(told["plugindata"]["data"]["result"]["videocodec"], "vp8");
        bob.gets(0, 20).await;
        assert_eq!(bob.received(0).await.ssrcs.len(), 1);
        // A wish that is met already is confirmed at once.
        bob.ask(json!({"request": "set", "substream": 0})).await;
        bob.handle.event_where("at once", substream(0)).await.expect("at once");
        alice.has_heard_all().await;
    });
}

#[test]
fn videocall_22_messages_arrive_as_they_were_sent() {
    run(async {
        const LABEL: &str = "chalk";
        let stage = Stage::set().await;
        let (mut alice, mut bob) = stage.pair().await;
        let offer = alice.peer.offer_channel(LABEL).await.expect("an offer");
        let body = json!({"request": "call", "username": bob.name});
        alice.ask_with(body, Some(Jsep::offer(offer))).await;
        bob.pick_up(&mut alice).await;
        bob.peer.with(|engine| engine.open_channel(LABEL)).await.expect("a peer");
        for user in [&alice, &bob] {
            user.peer.connected(PATIENCE).await.expect("connects");
            let open = |stats: &Stats| stats.channels.iter().any(|label| label == LABEL);
            user.peer.until("a channel", PATIENCE, open).await.expect("a channel");
        }
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            // Janus relays nothing before the other side's stack has acknowledged its channel.
            let heard = |stats: &Stats| !stats.messages.is_empty();
            let early = Duration::from_millis(200);
            for tries in 0.. {
                assert!(tries < 50, "nothing arrives");
                from.peer.say(LABEL, false, b"early").await.expect("said");
                if to.peer.until("a message", early, heard).await.is_ok() {
                    break;
                }
            }
            tokio::time::sleep(early).await;
            to.peer.take_messages().await.expect("a peer");
            let sent = [(false, &b"text"[..]), (true, &[0, 159, 146, 150][..])];
            for (binary, bytes) in sent {
                from.peer.say(LABEL, binary, bytes).await.expect("said");
            }
            let some = |stats: &Stats| stats.messages.len() >= 2;
            to.peer.until("messages", PATIENCE, some).await.expect("messages");
            let came = to.peer.take_messages().await.expect("a peer");
            let expected = sent.map(|(binary, bytes)| Message {
                label: LABEL.to_owned(),
                binary,
                bytes: bytes.to_vec(),
            });
            assert_eq!(came, expected);
        }
    });
}
