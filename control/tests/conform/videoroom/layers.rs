//! Simulcast, as a subscriber sees it.

use super::stage::{Guest, Stage, run};
use bifrons_loadtest::peer::{Line, Shape};
use serde_json::json;
use std::time::Duration;

/// A publisher of three layers, best first.
async fn simulcaster(stage: &Stage) -> Guest {
    let sender = stage.publish(vec![Line::simulcast(&["h", "m", "l"])]).await;
    for (rid, rate_bps) in [("h", 300_000), ("m", 150_000), ("l", 75_000)] {
        let shape = Shape::video(rate_bps);
        sender.peer.send(&sender.mids[0], Some(rid), shape).await.expect("sends");
    }
    sender
}

#[test]
fn videoroom_63_a_substream_is_taken_with_its_keyframe() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let sender = simulcaster(&stage).await;
        let mut watcher = stage.watch(json!([{"feed": sender.id}])).await;
        watcher.hears("the best", |data| data["substream"] == 2).await;
        watcher.frames("0", 5).await;
        let body = json!({"request": "configure", "mid": "0", "substream": 0});
        assert_eq!(watcher.ask(body).await["configured"], "ok");
        let told = watcher.hears("the least", |data| data["substream"] == 0).await;
        assert_eq!(told["plugindata"]["data"]["mid"], "0");
        watcher.frames("0", 5).await;
        let got = watcher.received("0").await;
        assert_eq!((got.ssrcs.len(), got.lost(), got.timestamp_steps_back), (1, 0, 0));
        assert_eq!(got.picture_id_jumps, 0);
        assert!(got.keyframes >= 2);
    });
}

#[test]
fn videoroom_97_the_rid_that_was_named_first_is_the_best() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let sender = stage.publish(vec![Line::simulcast(&["h", "m", "l"])]).await;
        // Only this one ever shows a keyframe.
        let shape = Shape::video(300_000);
        sender.peer.send(&sender.mids[0], Some("h"), shape).await.expect("sends");
        let mut watcher = stage.watch(json!([{"feed": sender.id}])).await;
        let told = watcher.hears("a substream", |data| data.get("substream").is_some()).await;
        assert_eq!(told["plugindata"]["data"]["substream"], 2);
        watcher.frames("0", 5).await;
    });
}

#[test]
fn videoroom_65_a_silent_substream_is_left() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let sender = stage.publish(vec![Line::simulcast(&["h", "m", "l"])]).await;
        // The best one never comes.
        for (rid, rate_bps) in [("m", 150_000), ("l", 75_000)] {
            let shape = Shape::video(rate_bps);
            sender.peer.send(&sender.mids[0], Some(rid), shape).await.expect("sends");
        }
        let mut watcher = stage.watch(json!([{"feed": sender.id}])).await;
        watcher.hears("the next best", |data| data["substream"] == 1).await;
        let stats = watcher.frames("0", 5).await;
        assert_eq!(stats.lost(), 0);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(watcher.received("0").await.frames > 5);
    });
}
