//! What EchoTest sends back (plugin-echotest checklist).

use crate::call::{Call, both};
use crate::echotest::near;
use crate::target::{Target, run};
use bifrons_loadtest::peer::Stats;
use bifrons_loadtest::peer::str0m::media::Mid;
use bifrons_loadtest::peer::str0m::rtp::rtcp::Rtcp;
use serde_json::json;

#[test]
fn echotest_06_media_comes_back_under_one_ssrc_each() {
    run(async {
        let target = Target::with_media().await;
        let call = Call::start(&target, json!({"audio": true, "video": true}), both()).await;
        call.send_both().await;
        call.more_on(0, 50).await;
        call.more_on(1, 50).await;
        let stats = call.until("counts", |_| true).await;
        let lines = [0, 1].map(|line| stats.from_mid(&call.mids[line]).expect("a stream"));
        assert!(lines.iter().all(|line| line.ssrcs.len() == 1), "{lines:?}");
        assert_ne!(lines[0].ssrcs, lines[1].ssrcs);
        assert!(lines.iter().all(|line| line.lost() == 0 && line.reordered == 0), "{lines:?}");
        assert!(lines[1].keyframes > 0 && lines[1].frames > 5, "{:?}", lines[1]);
    });
}

#[test]
fn echotest_07_audio_stops_alone_and_resumes() {
    run(async {
        let target = Target::with_media().await;
        let mut call = Call::start(&target, json!({"audio": true}), both()).await;
        call.send_both().await;
        call.more_on(0, 10).await;
        call.change(json!({"audio": false})).await;
        // What was under way when the shard was told still comes.
        call.more_on(1, 10).await;
        let muted = call.packets().await[0];
        call.more_on(1, 40).await;
        assert_eq!(call.packets().await[0], muted);
        call.change(json!({"audio": true})).await;
        call.more_on(0, 20).await;
        let stats = call.until("counts", |_| true).await;
        let audio = stats.from_mid(&call.mids[0]).expect("audio");
        assert_eq!(audio.lost(), 0, "no gap where it was muted");
    });
}

/// Keyframe requests that came for the video.
fn plis(stats: &Stats) -> u64 {
    stats.sent.values().map(|sent| sent.plis).sum()
}

#[test]
fn echotest_08_video_on_again_asks_for_a_keyframe() {
    run(async {
        let target = Target::with_media().await;
        let mut call = Call::start(&target, json!({"audio": true}), both()).await;
        call.send_both().await;
        // Requests are a second apart: whatever the beginning brought has to be out of the way.
        call.more_on(0, 60).await;
        call.change(json!({"video": false})).await;
        call.more_on(0, 60).await;
        let before = plis(&call.until("counts", |_| true).await);
        call.change(json!({"video": true})).await;
        call.until("another request", move |stats| plis(stats) > before).await;
        call.more_on(1, 10).await;
    });
}

#[test]
fn echotest_09_a_bitrate_is_signalled_at_once() {
    run(async {
        let target = Target::with_media().await;
        let mut call = Call::start(&target, json!({"audio": true}), both()).await;
        call.send_both().await;
        call.more_on(1, 5).await;
        for (asked, signalled) in [(128_000, 128_000), (0, 10_000_000)] {
            call.change(json!({"bitrate": asked})).await;
            let as_wanted =
                move |stats: &Stats| stats.remb.is_some_and(|(bps, _)| near(bps, signalled));
            call.until("a REMB", as_wanted).await;
        }
    });
}

#[test]
fn echotest_10_a_peers_estimate_is_answered_with_ours() {
    run(async {
        let target = Target::with_media().await;
        let mut call = Call::start(&target, json!({"audio": true}), both()).await;
        call.send_both().await;
        call.more_on(1, 5).await;
        call.change(json!({"bitrate": 256_000})).await;
        call.until("ours", |stats| stats.remb.is_some()).await;
        let before = call.until("counts", |_| true).await.remb.map_or(0, |(_, count)| count);
        let mid = call.mids[1].clone();
        let asked = call.peer.with(move |engine| {
            let mut direct = engine.rtc().direct_api();
            let stream = direct.stream_rx_by_mid(Mid::from(mid.as_str()), None)?;
            stream.request_remb(77_000.into());
            Some(())
        });
        assert_eq!(asked.await.expect("a peer"), Some(()));
        let stats = call
            .until("ours again", move |stats| stats.remb.is_some_and(|(_, count)| count > before))
            .await;
        assert!(stats.remb.is_some_and(|(bps, _)| near(bps, 256_000)), "{:?}", stats.remb);
        let theirs =
            |rtcp: &&Rtcp| matches!(rtcp, Rtcp::Remb(remb) if near(remb.bitrate as u64, 77_000));
        assert_eq!(stats.rtcp.iter().filter(theirs).count(), 0);
    });
}
