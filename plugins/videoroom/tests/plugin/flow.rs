//! The way of a call: create, join, publish, subscribe, start.

use crate::stage::{AV, Rooms, Stage, keys, of};
use bifrons_core::media::{Plan, SinkId, SourceId};
use bifrons_stage::offer;
use serde_json::json;

#[test]
fn a_publisher_reaches_a_subscriber() {
    let mut stage = Stage::new();
    stage.create(json!({ "room": 1234 }));
    let (alice, joined) = stage.join(1234, 1);
    assert_eq!(
        keys(&joined),
        ["videoroom", "room", "description", "id", "private_id", "publishers"]
    );
    let (bob, _) = stage.join(1234, 2);
    let configured = stage.answer(alice, json!({ "request": "configure" }), Some(offer(AV)));
    assert_eq!(configured.data["audio_codec"], "opus");
    assert_eq!(configured.data["video_codec"], "vp8");
    let answer = configured.jsep.expect("an answer").sdp.to_string();
    assert!(answer.contains("s=VideoRoom 1234\r\n"), "{answer}");
    assert_eq!(answer.matches("a=recvonly").count(), 2, "{answer}");
    assert!(of(&stage.events(), bob).is_empty(), "told before ICE and DTLS are done");
    let source = stage.up(alice);
    let told = of(&stage.events(), bob);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["publishers"][0]["streams"][1]["mid"], "v");
    let (carol, attached) = stage.subscriber(1234, json!([{ "feed": 1 }]));
    assert_eq!(attached.data["videoroom"], "attached");
    assert_eq!(attached.data["streams"][1]["feed_mid"], "v");
    let jsep = attached.jsep.expect("an offer");
    let text = jsep.sdp.to_string();
    assert_eq!(text.matches("a=sendonly").count(), 2, "{text}");
    stage.plans();
    let started = stage.start_with(carol, &jsep);
    assert_eq!(started[0].data["started"], "ok");
    assert!(stage.plans().is_empty(), "nothing flows before the subscriber is up");
    let sink = stage.up(carol);
    let plans = stage.plans();
    for mindex in 0..2 {
        let (wanted_source, wanted_sink) =
            (SourceId::Line(source.line(mindex)), SinkId::Line(sink.line(mindex)));
        assert!(
            plans.iter().any(|plan| matches!(plan, Plan::Route { source, sink, route }
                if *source == wanted_source && *sink == wanted_sink && route.enabled)),
            "{plans:?}"
        );
    }
    let keyframe = Plan::Keyframe { source: SourceId::Line(source.line(1)) };
    assert!(plans.contains(&keyframe), "{plans:?}");
}
