//! Requests of viewers.

use crate::stage::{Mountpoints, Stage, audio, code, video};
use bifrons_core::media::{
    DataPlan, Fact, LayerKind, Plan, Selection, SinkId, SourceId, SwitchRule,
};
use bifrons_core::plugin::{HandleKey, JsepKind, Plugin};
use bifrons_stage::offer;
use serde_json::{Value, json};

fn watch(id: u64) -> Value {
    json!({ "request": "watch", "id": id })
}

#[test]
fn an_offer_has_the_mountpoints_own_lines() {
    let mut stage = Stage::new();
    let data = json!({ "type": "data", "mid": "d1", "port": 0 });
    let mut video = video();
    video["msid"] = json!("stream track");
    stage.create(json!({
        "type": "rtp", "id": 1, "e2ee": true, "playoutdelay_ext": true,
        "abscapturetime_src_ext_id": 2, "media": [audio(), video, data],
    }));
    let handle = stage.attach();
    let offered = stage.answer(handle, watch(1), None);
    let jsep = offered.jsep.expect("an offer");
    assert_eq!((jsep.kind, jsep.e2ee, jsep.restart), (JsepKind::Offer, true, false));
    let text = jsep.sdp.to_string();
    assert!(text.contains("s=Mountpoint 1\r\n"), "{text}");
    let [audio, video, data] = &jsep.sdp.media[..] else { panic!("{text}") };
    assert_eq!([audio, video, data].map(|media| media.mid()), [Some("a1"), Some("v1"), Some("d1")]);
    assert_eq!(audio.value("rtpmap"), Some("111 opus/48000/2"));
    assert_eq!(video.value("msid"), Some("stream track"));
    assert!(video.has("sendonly") && data.has("sendrecv"), "{text}");
    let ids = |media: &bifrons_core::sdp::Media| -> Vec<u8> {
        media.extmaps().map(|extmap| extmap.id).collect()
    };
    assert_eq!((ids(audio), ids(video)), (vec![4, 2, 7], vec![4, 2, 7, 12]));
}

#[test]
fn watching_is_refused_by_its_code() {
    let mut stage = Stage::new();
    stage.stage_of(1);
    stage.create(json!({ "type": "rtp", "id": 2, "pin": "42", "media": [audio()] }));
    let handle = stage.attach();
    for (body, wanted) in [
        (json!({ "request": "watch" }), 453),
        (json!({ "request": "watch", "id": 1, "media": [1] }), 454),
        (json!({ "request": "watch", "id": 1, "media": "v1" }), 454),
        (json!({ "request": "watch", "id": 1, "substream": 5 }), 454),
        (watch(9), 455),
        (watch(2), 453),
        (json!({ "request": "watch", "id": 2, "pin": "x" }), 457),
        (json!({ "request": "watch", "id": 1, "restart": true }), 455),
        (json!({ "request": "watch", "id": 1, "media": ["x"] }), 452),
        (json!({ "request": "start" }), 455),
        (json!({ "request": "pause" }), 455),
        (json!({ "request": "configure" }), 455),
        (json!({ "request": "switch", "id": 1 }), 455),
    ] {
        assert_eq!(code(&stage.say(handle, body.clone())), wanted, "{body}");
    }
    assert_eq!(stage.say(handle, json!({ "request": "stop" })), json!({ "status": "idle" }));
    let body = json!({ "request": "watch", "id": 1, "media": ["v1", "x", "v1"] });
    let offered = stage.answer(handle, body, None);
    assert_eq!(offered.jsep.expect("an offer").sdp.media.len(), 1);
    assert_eq!(code(&stage.say(handle, watch(2))), 453);
    assert_eq!(code(&stage.say(handle, watch(1))), 460, "not up yet");
}

/// What a viewer's lines get by the plans so far: the line, whether it flows, and its payload type.
fn routes(plans: &[Plan]) -> Vec<(u16, bool, Option<u8>)> {
    let route = |plan: &Plan| match plan {
        Plan::Route { sink: SinkId::Line(line), route, .. } => {
            Some((line.mindex, route.enabled, route.payload_type))
        }
        _ => None,
    };
    plans.iter().filter_map(route).collect()
}

#[test]
fn media_flow_when_up_and_stand_still_when_paused() {
    let mut stage = Stage::new();
    stage.stage_of(1);
    stage.plans();
    let handle = stage.viewer(json!({ "id": 1 }));
    let plans = stage.plans();
    assert_eq!(routes(&plans), [(0, true, Some(111)), (1, true, Some(96))]);
    let keyframes = plans.iter().filter(|plan| matches!(plan, Plan::Keyframe { .. })).count();
    assert_eq!(keyframes, 1, "of video alone");
    assert_eq!(stage.say(handle, json!({ "request": "pause" }))["status"], "pausing");
    assert_eq!(routes(&stage.plans()), [(0, false, Some(111)), (1, false, Some(96))]);
    assert_eq!(stage.say(handle, json!({ "request": "start" }))["status"], "started");
    let plans = stage.plans();
    assert_eq!(routes(&plans), [(0, true, Some(111)), (1, true, Some(96))]);
    assert!(!plans.iter().any(|plan| matches!(plan, Plan::Keyframe { .. })), "the viewer asks");
    let mute = json!({ "request": "configure", "streams": [{ "mid": "v1", "send": false }] });
    assert_eq!(stage.say(handle, mute)["event"], "configured");
    assert_eq!(routes(&stage.plans()), [(1, false, Some(96))]);
    let old = json!({ "request": "configure", "audio": false, "video": true });
    stage.say(handle, old);
    assert_eq!(routes(&stage.plans()), [(0, false, Some(111)), (1, true, Some(96))]);
    assert_eq!(stage.say(handle, json!({ "request": "stop" }))["status"], "stopping");
    let ended = stage.plans();
    assert_eq!(ended.iter().filter(|plan| matches!(plan, Plan::Unroute { .. })).count(), 2);
    assert_eq!(stage.world.closed, [handle]);
    stage.down(handle);
    assert_eq!(stage.say(handle, watch(1))["status"], "preparing");
}

#[test]
fn a_viewer_that_is_up_gets_further_offers() {
    let mut stage = Stage::new();
    stage.stage_of(1);
    let handle = stage.viewer(json!({ "id": 1 }));
    let mut version = |restart: bool| {
        let mut body = watch(1);
        body["restart"] = json!(restart);
        let event = stage.answer(handle, body, None);
        let jsep = event.jsep.expect("an offer");
        let status = event.data["result"]["status"].clone();
        (jsep.sdp.origin().version, status, jsep.restart)
    };
    let first = version(false).0;
    assert_eq!(version(true), (first + 1, json!("updating"), true));
    assert_eq!(version(false), (first + 2, json!("preparing"), false));
}

#[test]
fn viewers_are_told_and_lose_their_connections() {
    let mut stage = Stage::new();
    stage.stage_of(1);
    let handle = stage.viewer(json!({ "id": 1 }));
    let info = json!({ "request": "info", "id": 1 });
    assert_eq!(stage.sync(info.clone())["info"]["viewers"], 1);
    stage.sync(json!({ "request": "kick_all", "id": 1 }));
    let told = json!({ "streaming": "event", "result": { "status": "kicked_all" } });
    assert_eq!((stage.told(), stage.world.closed.len()), (vec![told], 1));
    stage.down(handle);
    assert_eq!(stage.sync(info)["info"]["viewers"], 0);
    stage.say(handle, watch(1));
    stage.sync(json!({ "request": "destroy", "id": 1 }));
    assert_eq!(stage.told()[0]["result"]["status"], "stopped");
    assert_eq!(stage.world.closed, [handle, handle]);
    stage.stage_of(2);
    stage.down(handle);
    assert_eq!(stage.say(handle, watch(2))["status"], "preparing");
}

#[test]
fn a_change_of_metadata_is_told_where_wished() {
    let mut stage = Stage::new();
    stage.create(json!({ "type": "rtp", "id": 1, "pin": "1", "secret": "s", "media": [audio()] }));
    stage.viewer(json!({ "id": 1, "pin": "1" }));
    let edit = |text: &str, event: bool| {
        json!({ "request": "edit", "id": 1, "secret": "s", "new_metadata": text, "new_pin": "",
            "new_secret": "", "edited_event": event })
    };
    assert_eq!(code(&stage.sync(json!({ "request": "edit", "id": 1 }))), 453);
    let done = stage.sync(edit("one", true));
    assert_eq!(done, json!({ "streaming": "edited", "id": 1, "permanent": false }));
    let told = json!({ "streaming": "edited", "event": "edited", "id": 1, "metadata": "one" });
    assert_eq!(stage.told(), [told]);
    stage.sync(edit("one", true));
    stage.sync(edit("two", false));
    assert_eq!(stage.told(), [] as [Value; 0]);
    let other = stage.attach();
    assert_eq!(stage.say(other, watch(1))["status"], "preparing", "the pin is gone");
}

#[test]
fn a_viewers_own_offer_is_answered() {
    let mut stage = Stage::new();
    stage.stage_of(1);
    let handle = stage.attach();
    let lines = "m=video 9 UDP/TLS/RTP/SAVPF 102 103\r\na=mid:x\r\na=recvonly\r\n\
        a=rtpmap:102 H264/90000\r\na=rtpmap:103 VP8/90000\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 8\r\na=mid:y\r\na=recvonly\r\na=rtpmap:8 PCMA/8000\r\n";
    let event = stage.answer(handle, watch(1), Some(offer(lines)));
    assert_eq!(event.data["result"]["status"], "starting", "{}", event.data);
    let jsep = event.jsep.expect("an answer");
    let [video, audio] = &jsep.sdp.media[..] else { panic!("{}", jsep.sdp) };
    assert!(video.has("sendonly") && audio.has("inactive"), "{}", jsep.sdp);
    stage.plans();
    stage.up(handle);
    assert_eq!(routes(&stage.plans()), [(0, true, Some(103))]);
    let answer = bifrons_stage::answer_to(&jsep);
    let other = stage.attach();
    let refused = stage.answer(other, watch(1), Some(answer));
    assert_eq!(code(&refused.data), 461);
}

fn layer(stage: &mut Stage, handle: HandleKey, kind: LayerKind, layer: i8) -> Vec<Value> {
    let fact = Fact::Layer { mindex: 0, kind, layer };
    stage.plugin.fact(&mut stage.world, handle, &fact);
    stage.told().into_iter().map(|event| event["result"].clone()).collect()
}

#[test]
fn layers_are_chosen_and_told() {
    let mut stage = Stage::new();
    let mut best = video();
    best["simulcast"] = json!(true);
    best["port2"] = json!(0);
    stage.create(json!({ "type": "rtp", "id": 1, "media": [best] }));
    let handle = stage.viewer(json!({ "id": 1, "substream": 1 }));
    let chosen = |plans: &[Plan]| -> Vec<_> {
        let target = |plan: &Plan| match plan {
            Plan::Route { route, .. } => Some((route.layers.selection, route.layers.spatial)),
            _ => None,
        };
        plans.iter().filter_map(target).collect()
    };
    assert_eq!(chosen(&stage.plans()), [(Selection::Simulcast, 1)]);
    let told = layer(&mut stage, handle, LayerKind::Substream, 1);
    assert_eq!(told, [json!({ "mid": "v1", "substream": 1 })]);
    let body = json!({ "request": "configure", "substream": 5 });
    assert_eq!(code(&stage.say(handle, body)), 454);
    let events = stage.ask(handle, json!({ "request": "configure", "substream": 1 }), None);
    let results: Vec<_> = events.iter().map(|event| event.data["result"].clone()).collect();
    assert_eq!(results, [json!({ "substream": 1 }), json!({ "event": "configured" })]);
    stage.plans();
    stage.say(handle, json!({ "request": "configure", "substream": 0 }));
    let plans = stage.plans();
    assert_eq!(chosen(&plans), [(Selection::Simulcast, 0)]);
    assert!(plans.iter().any(|plan| matches!(plan, Plan::Keyframe { .. })));
}

#[test]
fn svc_begins_with_one_event() {
    let mut stage = Stage::new();
    let video = json!({ "type": "video", "mid": "v", "port": 0, "codec": "vp9", "svc": true });
    stage.create(json!({ "type": "rtp", "id": 1, "media": [video] }));
    let handle = stage.viewer(json!({ "id": 1 }));
    assert_eq!(layer(&mut stage, handle, LayerKind::Spatial, 1), [] as [Value; 0]);
    let told = layer(&mut stage, handle, LayerKind::SvcTemporal, 0);
    assert_eq!(told, [json!({ "mid": "v", "spatial_layer": 1, "temporal_layer": 0 })]);
    let told = layer(&mut stage, handle, LayerKind::Spatial, 2);
    assert_eq!(told, [json!({ "mid": "v", "spatial_layer": 2 })]);
}

#[test]
fn a_switch_keeps_the_lines() {
    let mut stage = Stage::new();
    stage.stage_of(1);
    let mut other = video();
    other["pt"] = json!(100);
    stage.create(json!({ "type": "rtp", "id": 2, "pin": "x", "media": [audio(), other] }));
    let handle = stage.viewer(json!({ "id": 1 }));
    stage.say(handle, json!({ "request": "pause" }));
    stage.plans();
    assert_eq!(code(&stage.say(handle, json!({ "request": "switch", "id": 3 }))), 455);
    let done = stage.say(handle, json!({ "request": "switch", "id": 2 }));
    assert_eq!(done, json!({ "switched": "ok", "id": 2 }));
    let plans = stage.plans();
    assert_eq!(routes(&plans), [(0, true, Some(111)), (1, true, Some(96))]);
    let at_keyframe = |plan: &Plan| matches!(plan, Plan::Route { route, .. } if route.switch == SwitchRule::AtKeyframe);
    assert!(plans.iter().any(at_keyframe));
    let seen = stage.plugin.query_session(handle);
    assert_eq!((&seen["mountpoint_id"], &seen["state"]), (&json!(2), &json!("watching")));
    assert_eq!(stage.sync(json!({ "request": "info", "id": 1 }))["info"]["viewers"], 0);
}

#[test]
fn messages_are_routed_while_they_are_wanted() {
    let mut stage = Stage::new();
    let data = json!({ "type": "data", "mid": "d", "port": 0, "buffermsg": true });
    stage.create(json!({ "type": "rtp", "id": 1, "media": [data] }));
    let kept = stage
        .plans()
        .iter()
        .any(|plan| matches!(plan, Plan::Ingest { setup, .. } if setup.message.keep_last));
    assert!(kept);
    let handle = stage.viewer(json!({ "id": 1 }));
    let [DataPlan::Route { source: SourceId::Ingest(_), sink, label }] =
        &stage.world.data_plans[..]
    else {
        panic!("{:?}", stage.world.data_plans)
    };
    assert_eq!(label.as_deref(), Some("JanusDataChannel"));
    let sink = *sink;
    stage.world.data_plans.clear();
    stage.say(handle, json!({ "request": "pause" }));
    stage.say(handle, json!({ "request": "pause" }));
    let ends = |plan: &DataPlan| matches!(plan, DataPlan::Unroute { sink: s, .. } if *s == sink);
    assert!(stage.world.data_plans.len() == 1 && ends(&stage.world.data_plans[0]));
}
