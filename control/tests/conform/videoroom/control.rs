//! What goes back to publishers: keyframe requests and bitrates.

use super::stage::{PATIENCE, Stage, run};
use bifrons_loadtest::peer::Stats;
use serde_json::json;
use std::time::Duration;

fn plis(stats: &Stats) -> u64 {
    stats.sent.values().map(|sent| sent.plis + sent.firs).sum()
}

#[test]
fn videoroom_69_keyframes_are_asked_for_in_time() {
    run(async {
        let stage = Stage::set(json!({"fir_freq": 1})).await;
        let sender = stage.sender(false).await;
        // Nobody watches, so nobody else asks; answered requests put the next one off.
        let wanted = |stats: &Stats| plis(stats) >= 3;
        sender.peer.until("three PLIs", PATIENCE, wanted).await.expect("PLIs");
    });
}

#[test]
fn videoroom_70_a_storm_of_plis_is_one_a_second() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let sender = stage.sender(false).await;
        let mut watchers = Vec::new();
        for _ in 0..3 {
            watchers.push(stage.watch(json!([{"feed": sender.id}])).await);
        }
        for watcher in &watchers {
            watcher.frames("0", 2).await;
        }
        let before = plis(&sender.peer.stats().await.expect("counts"));
        for _ in 0..20 {
            for watcher in &watchers {
                watcher.peer.request_keyframe("0").await.expect("asks");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let came = plis(&sender.peer.stats().await.expect("counts")) - before;
        assert!((1..=4).contains(&came), "{came} in two seconds");
    });
}

#[test]
fn videoroom_96_the_bitrate_of_a_room_is_announced() {
    run(async {
        let stage = Stage::set(json!({"bitrate": 512_000})).await;
        let mut sender = stage.sender(false).await;
        let reached = |bps: u64| move |stats: &Stats| stats.remb.is_some_and(|(b, _)| b == bps);
        sender.peer.until("the ramp's end", PATIENCE, reached(512_000)).await.expect("REMB");
        let ramp = sender.peer.stats().await.expect("counts").remb.map(|(_, count)| count);
        assert!(ramp.is_some_and(|count| count >= 4), "{ramp:?}");
        sender.ask(json!({"request": "configure", "bitrate": 300_000})).await;
        sender.peer.until("the new one", PATIENCE, reached(300_000)).await.expect("REMB");
    });
}
