//! What goes back to sources.

use super::feed::{Control, Feed};
use super::stage::{SECOND, Stage, run, steered};
use bifrons_loadtest::peer::str0m::bwe::Bitrate;
use serde_json::{Value, json};
use std::time::Duration;

/// Ports of media and of RTCP of the only stream.
async fn source(stage: &mut Stage) -> (Value, u16, Control) {
    let (id, made) = stage.create(json!({ "media": [steered("0")] })).await;
    let port = &made["stream"]["ports"][0];
    let number = |name: &str| port[name].as_u64().expect("a port") as u16;
    (id, number("port"), Control::latched(number("rtcp_port")).await)
}

#[test]
fn streaming_45_viewers_cause_a_pli_at_most_once_a_second() {
    run(async {
        let mut stage = Stage::set().await;
        let (id, port, control) = source(&mut stage).await;
        let feed = Feed::video(port, 0);
        tokio::time::sleep(SECOND).await;
        assert_eq!(control.within(SECOND / 10).await.0, 0, "nobody asks");
        let first = stage.watch(&id).await;
        first.packets("0", 5).await;
        assert!(control.within(SECOND).await.0 >= 1, "a new viewer does");
        let mut viewers = vec![first];
        viewers.push(stage.watch(&id).await);
        viewers[1].packets("0", 5).await;
        control.within(SECOND + SECOND / 2).await;
        let asking = async {
            for _ in 0..30 {
                for viewer in &viewers {
                    viewer.peer.request_keyframe("0").await.expect("asks");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let (_, (plis, _)) = tokio::join!(asking, control.within(3 * SECOND));
        assert!((2..=5).contains(&plis), "{plis} in three seconds");
        feed.key();
    });
}

#[test]
fn streaming_46_the_lowest_remb_reaches_the_source() {
    run(async {
        let mut stage = Stage::set().await;
        let (id, port, control) = source(&mut stage).await;
        let _feed = Feed::video(port, 10);
        let viewers = [stage.watch(&id).await, stage.watch(&id).await];
        for viewer in &viewers {
            viewer.frames("0", 5).await;
        }
        control.within(SECOND + SECOND / 2).await;
        let asking = async {
            for _ in 0..20 {
                for (viewer, bps) in viewers.iter().zip([900_000, 400_000]) {
                    viewer
                        .peer
                        .with(move |engine| {
                            let mut direct = engine.rtc().direct_api();
                            let stream = direct.stream_rx_by_mid("0".into(), None);
                            stream.expect("it receives").request_remb(Bitrate::bps(bps));
                        })
                        .await
                        .expect("a peer");
                }
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
        };
        let (_, (_, rembs)) = tokio::join!(asking, control.within(3 * SECOND));
        assert!((1..=4).contains(&rembs.len()), "{rembs:?} in three seconds");
        assert!(rembs.iter().all(|bps| (395_000..=905_000).contains(bps)), "{rembs:?}");
        assert!(rembs.iter().any(|bps| (395_000..=405_000).contains(bps)), "the lowest: {rembs:?}");
    });
}
