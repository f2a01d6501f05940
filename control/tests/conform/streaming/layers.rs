//! Simulcast and SVC, as a viewer sees them.

use super::feed::{Feed, rtp};
use super::stage::{SECOND, Stage, run};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A mountpoint of three layers, and what sends them, lowest first.
async fn simulcast(stage: &mut Stage) -> (Value, [Feed; 3]) {
    let stream = json!({
        "type": "video", "mid": "v", "port": 0, "pt": 96, "codec": "vp8", "rtcpport": 0,
        "simulcast": true, "port2": 0, "port3": 0,
    });
    let (id, made) = stage.create(json!({ "media": [stream] })).await;
    let ports = &made["stream"]["ports"][0];
    let port = |name: &str| ports[name].as_u64().expect("a port") as u16;
    let feeds = [("port", 1), ("port_2", 2), ("port_3", 3)].map(|(name, ssrc)| {
        let feed = Feed::video(port(name), 5);
        feed.state.borrow_mut().ssrc = ssrc;
        feed
    });
    (id, feeds)
}

#[test]
fn streaming_48_and_65_substreams_are_taken_with_their_keyframes() {
    run(async {
        let mut stage = Stage::set().await;
        let (id, feeds) = simulcast(&mut stage).await;
        let mut viewer = stage.watch(&id).await;
        let best = viewer.hears("the best", |result| result["substream"] == 2).await;
        assert_eq!(best["mid"], "v", "{best}");
        viewer.frames("v", 5).await;
        let body = json!({ "request": "configure", "mid": "v", "substream": 0 });
        assert_eq!(viewer.ask(body.clone()).await["event"], "configured");
        viewer.hears("the least", |result| result["substream"] == 0).await;
        viewer.frames("v", 10).await;
        viewer.is_continuous("v").await;
        assert_eq!(viewer.received("v").await.picture_id_jumps, 0);
        // What flows already is confirmed before the answer, without a mid.
        viewer.handle.take_events();
        assert_eq!(viewer.ask(body).await["event"], "configured");
        let told = viewer.hears("a confirmation", |result| result["substream"] == 0).await;
        assert_eq!(told, json!({ "substream": 0 }));
        viewer.ask(json!({ "request": "configure", "mid": "v", "substream": 2 })).await;
        viewer.hears("the best", |result| result["substream"] == 2).await;
        feeds[2].hold(true);
        viewer.hears("the next best", |result| result["substream"] == 1).await;
        viewer.frames("v", 5).await;
        viewer.is_continuous("v").await;
    });
}

/// VP9 of two spatial layers, one packet each, a keyframe every tenth picture.
fn svc(port: u16) -> JoinHandle<()> {
    tokio::task::spawn_local(async move {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        let mut seq = 0u16;
        for picture in 0u16.. {
            let key = picture % 10 == 0;
            for spatial in 0..2u8 {
                // I, P (unless a keyframe), L, B, E; not flexible.
                let first = 0x80 | if key { 0 } else { 0x40 } | 0x20 | 0x08 | 0x04;
                let [high, low] = (picture & 0x7FFF).to_be_bytes();
                let layer = spatial << 1 | u8::from(spatial > 0);
                let mut payload = vec![first, 0x80 | high, low, layer, picture as u8];
                if key && spatial == 0 {
                    payload[0] |= 0x02;
                    // Two spatial layers, no sizes, no picture group.
                    payload.push(1 << 5);
                }
                payload.extend([0x5A; 40]);
                let stamp = u32::from(picture) * 3600;
                let packet = rtp(98, seq, stamp, 0x3333, spatial == 1, &payload);
                let _ = socket.send_to(&packet, to).await;
                seq = seq.wrapping_add(1);
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    })
}

#[test]
fn streaming_49_and_66_spatial_layers_are_told_and_thinned_out() {
    run(async {
        let mut stage = Stage::set().await;
        let stream = json!({
            "type": "video", "mid": "v", "port": 0, "pt": 98, "codec": "vp9", "svc": true,
        });
        let (id, ports) = stage.streams(json!([stream])).await;
        let source = svc(ports[0]);
        let mut viewer = stage.watch(&id).await;
        let begun = viewer.hears("layers", |result| result.get("spatial_layer").is_some()).await;
        assert_eq!(begun["mid"], "v", "{begun}");
        assert_eq!(begun["temporal_layer"], 0, "{begun}");
        if begun["spatial_layer"] != 1 {
            viewer.hears("the best", |result| result["spatial_layer"] == 1).await;
        }
        let many = viewer.a_second_of("v").await;
        let body = json!({ "request": "configure", "mid": "v", "spatial_layer": 0 });
        viewer.ask(body).await;
        viewer.hears("the least", |result| result["spatial_layer"] == 0).await;
        tokio::time::sleep(SECOND / 2).await;
        let few = viewer.a_second_of("v").await;
        assert!(few * 3 < many * 2, "{few} of {many}");
        let got = viewer.received("v").await;
        let end = got.headers.iter().rev().take(10);
        assert!(end.clone().all(|header| header.marker), "each packet ends its picture");
        viewer.is_continuous("v").await;
        source.abort();
    });
}
