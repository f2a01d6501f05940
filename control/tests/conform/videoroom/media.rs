//! What flows, stops and goes on.

use super::stage::{PATIENCE, Stage, hears, run};
use bifrons_loadtest::peer::Stats;
use serde_json::json;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn videoroom_28_and_29_others_hear_of_a_publisher_that_is_up() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let mut other = stage.lurk().await;
        let sender = stage.sender(true).await;
        let told = hears(&mut other, "publishers", |data| data.get("publishers").is_some()).await;
        let publishers = &told["plugindata"]["data"]["publishers"];
        assert_eq!(publishers.as_array().map(Vec::len), Some(1));
        assert_eq!(publishers[0]["id"], sender.id);
        let mids = [0, 1].map(|at| publishers[0]["streams"][at]["mid"].clone());
        assert_eq!(mids, [json!(sender.mids[0]), json!(sender.mids[1])]);
    });
}

#[test]
fn videoroom_52_media_begin_with_a_keyframe_that_was_asked_for() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let sender = stage.sender(true).await;
        let early = stage.watch(json!([{"feed": sender.id}])).await;
        early.frames("0", 10).await;
        // Past the second in which the first subscriber's request would do for both.
        tokio::time::sleep(SECOND).await;
        let before = plis(&sender.peer.stats().await.expect("counts"));
        let late = stage.watch(json!([{"feed": sender.id}])).await;
        late.frames("0", 10).await;
        late.frames("1", 10).await;
        assert!(late.received("0").await.keyframes >= 1);
        let after = plis(&sender.peer.stats().await.expect("counts"));
        assert!(after > before, "no PLI reached the publisher: {before} {after}");
    });
}

fn plis(stats: &Stats) -> u64 {
    stats.sent.values().map(|sent| sent.plis + sent.firs).sum()
}

#[test]
fn videoroom_53_pause_and_start_leave_no_gap() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let sender = stage.sender(true).await;
        let mut watcher = stage.watch(json!([{"feed": sender.id}])).await;
        watcher.frames("0", 5).await;
        watcher.frames("1", 5).await;
        assert_eq!(watcher.ask(json!({"request": "pause"})).await["paused"], "ok");
        assert_eq!(watcher.packets_within("0", SECOND).await, 0);
        assert_eq!(watcher.packets_within("1", SECOND).await, 0);
        assert_eq!(watcher.ask(json!({"request": "start"})).await["started"], "ok");
        let stats = watcher.frames("0", 10).await;
        assert_eq!(stats.lost(), 0, "sequence numbers go on where they stopped");
        assert_eq!(watcher.received("0").await.ssrcs.len(), 1);
    });
}

#[test]
fn videoroom_40_and_41_moderation_stops_media_for_all() {
    run(async {
        let mut stage = Stage::set(json!({})).await;
        let mut sender = stage.sender(true).await;
        let first = stage.watch(json!([{"feed": sender.id}])).await;
        let second = stage.watch(json!([{"feed": sender.id}])).await;
        for watcher in [&first, &second] {
            watcher.frames("0", 5).await;
        }
        let (id, mid) = (sender.id.clone(), sender.mids[0].clone());
        let moderate = |mute| json!({"request": "moderate", "id": id, "mid": mid, "mute": mute});
        assert_eq!(stage.manage(moderate(true)).await["videoroom"], "success");
        sender.hears("moderation", |data| data["moderation"] == "muted").await;
        assert_eq!(first.packets_within("0", SECOND).await, 0);
        assert_eq!(second.packets_within("0", SECOND).await, 0);
        assert!(second.packets_within("1", SECOND).await > 0, "other mids flow on");
        let mute = json!({"request": "configure", "streams": [{"mid": mid, "send": false}]});
        sender.ask(mute).await;
        stage.manage(moderate(false)).await;
        assert_eq!(first.packets_within("0", SECOND).await, 0, "muted by itself still");
        let unmute = json!({"request": "configure", "streams": [
            {"mid": mid, "send": true, "keyframe": true}]});
        sender.ask(unmute).await;
        let stats = first.frames("0", 5).await;
        assert_eq!(stats.lost(), 0);
    });
}

#[test]
fn videoroom_60_a_switch_is_continuous() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let (first, second) = (stage.sender(false).await, stage.sender(false).await);
        let mut watcher = stage.watch(json!([{"feed": first.id}])).await;
        watcher.frames("0", 10).await;
        let body = json!({"request": "switch", "streams": [
            {"feed": second.id, "mid": second.mids[0], "sub_mid": "0"}]});
        let switched = watcher.ask(body).await;
        assert_eq!((&switched["switched"], &switched["changes"]), (&json!("ok"), &json!(1)));
        tokio::time::sleep(SECOND).await;
        first.peer.hold(true).await.expect("holds");
        watcher.frames("0", 20).await;
        let got = watcher.received("0").await;
        assert_eq!((got.ssrcs.len(), got.lost(), got.timestamp_steps_back), (1, 0, 0));
        assert!(got.keyframes >= 2, "the new source begins with one");
        assert_eq!(got.picture_id_jumps, 0);
    });
}

#[test]
fn videoroom_55_and_56_lines_are_given_up_and_taken_again() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let (first, second) = (stage.sender(false).await, stage.sender(false).await);
        let mut watcher = stage.watch(json!([{"feed": first.id}, {"feed": second.id}])).await;
        watcher.frames("1", 5).await;
        let body = json!({"request": "unsubscribe", "streams": [{"sub_mid": "0"}]});
        let updated = watcher.handle.ask(body, None).await.expect("an answer");
        assert_eq!(updated.data["streams"][0]["active"], false);
        let sdp = super::stage::jsep(&updated).sdp;
        watcher.start(&sdp).await;
        assert_eq!(watcher.packets_within("0", SECOND).await, 0);
        let body = json!({"request": "subscribe", "streams": [{"feed": second.id}]});
        let updated = watcher.handle.ask(body, None).await.expect("an answer");
        assert_eq!(updated.data["streams"].as_array().map(Vec::len), Some(2));
        let sdp = super::stage::jsep(&updated).sdp;
        watcher.start(&sdp).await;
        watcher.frames("0", 5).await;
        watcher.frames("1", 5).await;
    });
}

#[test]
fn videoroom_36_and_59_unpublish() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let mut other = stage.lurk().await;
        let mut sender = stage.sender(false).await;
        let mut watcher = stage.watch(json!([{"feed": sender.id}])).await;
        watcher.frames("0", 2).await;
        assert_eq!(sender.ask(json!({"request": "unpublish"})).await["unpublished"], "ok");
        sender.handle.event_of("hangup").await.expect("the server closes");
        sender.peer.until("close", PATIENCE, |stats| stats.closed || !stats.connected).await.ok();
        let id = sender.id.clone();
        hears(&mut other, "unpublished", |data| data["unpublished"] == id).await;
        let updated = watcher.hears("updated", |data| data["videoroom"] == "updated").await;
        assert_eq!(updated["plugindata"]["data"]["streams"][0]["active"], false);
        assert!(updated["jsep"]["sdp"].as_str().is_some_and(|sdp| sdp.contains("a=inactive")));
        assert!(updated.get("transaction").is_none());
    });
}
