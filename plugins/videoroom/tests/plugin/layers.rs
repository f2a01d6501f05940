//! Layers and switching.

use crate::stage::{AV, Rooms, Stage, code, simulcast_offer, svc_offer};
use bifrons_core::media::{Fact, LayerKind, Plan, Route, Selection, SinkId, SourceId, SwitchRule};
use bifrons_core::plugin::{HandleKey, Jsep, Plugin};
use bifrons_stage::offer;
use serde_json::{Value, json};

/// A room whose publisher 5 sends this.
fn with(jsep: Jsep) -> (Stage, HandleKey) {
    let mut stage = Stage::new();
    stage.create(json!({ "room": 1, "videocodec": "vp8,vp9,h264" }));
    let (handle, _) = stage.join(1, 5);
    let codec = if jsep.svc.is_empty() { "vp8" } else { "vp9" };
    stage.answer(handle, json!({ "request": "publish", "videocodec": codec }), Some(jsep));
    stage.up(handle);
    stage.events();
    (stage, handle)
}

fn ask(stage: &mut Stage, handle: HandleKey, name: &str, extra: Value) -> Value {
    let mut body = json!({ "request": name });
    for (key, value) in extra.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    stage.answer(handle, body, None).data
}

/// The route last told for a line.
fn route(plans: &[Plan], mindex: u16) -> Option<(SourceId, Route)> {
    let route = |plan: &Plan| match *plan {
        Plan::Route { source, sink: SinkId::Line(line), route } if line.mindex == mindex => {
            Some((source, route))
        }
        _ => None,
    };
    plans.iter().rev().find_map(route)
}

fn has_keyframe(plans: &[Plan]) -> bool {
    plans.iter().any(|plan| matches!(plan, Plan::Keyframe { .. }))
}

#[test]
fn videoroom_63_simulcast_layers() {
    let (mut stage, _) = with(simulcast_offer());
    let streams = json!([{ "feed": 5, "mid": "v", "substream": 1, "fallback": 1000 }]);
    let handle = stage.watcher(1, streams);
    let (_, first) = route(&stage.plans(), 0).expect("a route");
    assert_eq!((first.layers.selection, first.layers.spatial), (Selection::Simulcast, 1));
    assert_eq!((first.layers.temporal, first.layers.fallback_us), (2, 1000));
    let changed = |kind, layer| Fact::Layer { mindex: 0, kind, layer };
    for (kind, key, layer) in
        [(LayerKind::Substream, "substream", 2), (LayerKind::Temporal, "temporal", 1)]
    {
        stage.plugin.fact(&mut stage.world, handle, &changed(kind, layer));
        stage.plugin.fact(&mut stage.world, handle, &changed(kind, layer));
        let mut want = json!({ "videoroom": "event", "room": 1, "mid": "0" });
        want[key] = json!(layer);
        let told: Vec<_> = stage.events().into_iter().map(|event| event.data).collect();
        assert_eq!(told, [want], "one for each change");
    }
    let body = json!({ "request": "configure", "streams": [{ "mid": "0", "substream": 2 }] });
    let events = stage.ask(handle, body, None);
    assert_eq!(
        (&events[0].data["substream"], &events[1].data["configured"]),
        (&json!(2), &json!("ok"))
    );
    assert!(!has_keyframe(&stage.plans()), "it flows already");
    ask(&mut stage, handle, "configure", json!({ "substream": 0, "temporal": 0 }));
    let plans = stage.plans();
    assert!(has_keyframe(&plans));
    let (_, now) = route(&plans, 0).expect("a route");
    assert_eq!((now.layers.spatial, now.layers.temporal), (0, 0));
    let shown = stage.plugin.query_session(handle)["streams"][0]["simulcast"].clone();
    let want = json!({
        "substream": 2, "substream-target": 0, "temporal-layer": 1, "temporal-layer-target": 0,
        "fallback": 1000,
    });
    assert_eq!(shown, want);
}

#[test]
fn videoroom_64_layers_end_at_two() {
    let (mut stage, _) = with(simulcast_offer());
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    for key in ["substream", "temporal", "spatial_layer", "temporal_layer"] {
        let mut extra = json!({});
        extra[key] = json!(3);
        assert_eq!(code(&ask(&mut stage, handle, "configure", extra.clone())), 430);
        extra["feed"] = json!(5);
        let wish = json!({ "streams": [extra] });
        assert_eq!(code(&ask(&mut stage, handle, "subscribe", wish)), 430);
    }
    let unknown = json!({ "streams": [{ "mid": "9", "send": true }] });
    assert_eq!(code(&ask(&mut stage, handle, "configure", unknown)), 428);
    let several = json!({ "streams": [{ "send": true }, { "mid": "0" }] });
    assert_eq!(code(&ask(&mut stage, handle, "configure", several)), 430);
}

#[test]
fn videoroom_66_and_98_svc_layers() {
    let (mut stage, publisher) = with(svc_offer());
    let info = stage.plugin.query_session(publisher);
    assert_eq!(
        (&info["streams"][1]["svc"], &info["streams"][1]["codec"]),
        (&json!(true), &json!("vp9"))
    );
    let handle = stage.watcher(1, json!([{ "feed": 5, "mid": "v", "spatial_layer": 1 }]));
    let (_, first) = route(&stage.plans(), 0).expect("a route");
    assert_eq!((first.layers.selection, first.layers.spatial), (Selection::Svc, 1));
    for (kind, key) in
        [(LayerKind::Spatial, "spatial_layer"), (LayerKind::SvcTemporal, "temporal_layer")]
    {
        let fact = Fact::Layer { mindex: 0, kind, layer: 0 };
        stage.plugin.fact(&mut stage.world, handle, &fact);
        assert_eq!(stage.events()[0].data[key], 0);
    }
    ask(&mut stage, handle, "configure", json!({ "substream": 0 }));
    assert!(stage.plans().is_empty(), "substreams are of simulcast");
}

#[test]
fn svc_of_a_codec_without_layers_is_forwarded_whole() {
    let (mut stage, _) = with(offer(AV));
    let handle = stage.watcher(1, json!([{ "feed": 5, "mid": "v", "substream": 0 }]));
    let (_, told) = route(&stage.plans(), 0).expect("a route");
    assert_eq!(told.layers.selection, Selection::Whole);
    let shown = stage.plugin.query_session(handle)["streams"][0].clone();
    assert!(shown.get("simulcast").is_none() && shown.get("svc").is_none());
}

#[test]
fn a_line_can_be_muted_and_delayed() {
    let (mut stage, _) = with(offer(AV));
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    stage.plans();
    ask(&mut stage, handle, "configure", json!({ "mid": "1", "send": false }));
    let plans = stage.plans();
    assert!(route(&plans, 0).is_none() && route(&plans, 1).is_some_and(|(_, r)| !r.enabled));
    ask(&mut stage, handle, "configure", json!({ "video": true }));
    let plans = stage.plans();
    assert!(route(&plans, 1).is_some_and(|(_, r)| r.enabled) && has_keyframe(&plans));
    ask(&mut stage, handle, "configure", json!({ "mid": "1", "min_delay": 0, "max_delay": 9 }));
    let delay = route(&stage.plans(), 1).and_then(|(_, r)| r.delay).expect("a delay");
    assert_eq!((delay.min, delay.max), (0, 9));
    let shown = stage.plugin.query_session(handle)["streams"][1]["playout-delay"].clone();
    assert_eq!(shown, json!({ "min-delay": 0, "max-delay": 9 }));
}

#[test]
fn videoroom_60_switch_to_the_same_codec() {
    let (mut stage, _) = with(offer(AV));
    let other = stage.publisher(1, 6);
    let source = stage.world.peers[&other];
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    stage.plans();
    let wish = json!({ "streams": [{ "feed": 6, "mid": "v", "sub_mid": "1" }] });
    let body = json!({ "request": "switch", "streams": wish["streams"] });
    let event = stage.answer(handle, body, None);
    assert_eq!((&event.data["switched"], &event.data["changes"]), (&json!("ok"), &json!(1)));
    assert_eq!(event.data["streams"][1]["feed_id"], 6);
    assert!(event.jsep.is_none());
    let plans = stage.plans();
    let (from, told) = route(&plans, 1).expect("a route");
    assert_eq!(from, SourceId::Line(source.line(1)));
    assert_eq!(told.switch, SwitchRule::AtKeyframe);
    assert!(plans.contains(&Plan::Keyframe { source: from }));
    let again = ask(&mut stage, handle, "switch", wish);
    assert_eq!(again["changes"], 0, "the same source");
}

#[test]
fn videoroom_61_switch_to_another_codec() {
    let (mut stage, _) = with(offer(AV));
    let (other, _) = stage.join(1, 6);
    let vp9 = json!({ "request": "publish", "videocodec": "vp9" });
    stage.answer(other, vp9, Some(offer(AV)));
    stage.up(other);
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    stage.plans();
    for sub_mid in ["0", "1", "8"] {
        let wish = json!({ "streams": [{ "feed": 6, "mid": "v", "sub_mid": sub_mid }] });
        assert_eq!(ask(&mut stage, handle, "switch", wish)["changes"], 0);
    }
    assert!(stage.plans().is_empty(), "the old source flows on");
    let wish =
        |feed: u64, mid: &str| json!({ "streams": [{ "feed": feed, "mid": mid, "sub_mid": "1" }] });
    assert_eq!(code(&ask(&mut stage, handle, "switch", wish(7, "v"))), 428);
    assert_eq!(code(&ask(&mut stage, handle, "switch", wish(6, "x"))), 428);
    assert_eq!(
        code(&ask(&mut stage, handle, "switch", json!({ "streams": [{ "feed": 6 }] }))),
        429
    );
}

#[test]
fn videoroom_62_switch_onto_an_idle_line() {
    let (mut stage, publisher) = with(offer(AV));
    stage.publisher(1, 6);
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    stage.down(publisher);
    let events = stage.events();
    let update = events.iter().find(|e| e.handle == handle).expect("updated");
    stage.start_with(handle, update.jsep.as_ref().expect("an offer"));
    let body = json!({
        "request": "switch", "streams": [{ "feed": 6, "mid": "v", "sub_mid": "1" }],
    });
    let events = stage.ask(handle, body, None);
    let [updated, switched] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(updated.data["videoroom"], "updated");
    assert_eq!(
        (&updated.transaction, &switched.data["switched"]),
        (&Some("tx".into()), &json!("ok"))
    );
    stage.plans();
    stage.start_with(handle, updated.jsep.as_ref().expect("an offer"));
    assert!(route(&stage.plans(), 1).is_some());
}

#[test]
fn videoroom_93_the_old_switch_maps_by_kind_and_codec() {
    let (mut stage, _) = with(offer(AV));
    stage.publisher(1, 6);
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    let switched = ask(&mut stage, handle, "switch", json!({ "feed": 6 }));
    assert_eq!(switched["changes"], 2);
    assert_eq!(switched["streams"][0]["feed_id"], 6);
    assert_eq!(code(&ask(&mut stage, handle, "switch", json!({}))), 428);
    assert_eq!(code(&ask(&mut stage, handle, "switch", json!({ "streams": [] }))), 428);
}

#[test]
fn slow_links_are_told_to_subscribers() {
    let (mut stage, _) = with(offer(AV));
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    let slow = |uplink| Fact::SlowLink { mindex: 1, uplink, lost: 20 };
    stage.plugin.fact(&mut stage.world, handle, &slow(true));
    stage.plugin.fact(&mut stage.world, handle, &slow(false));
    let told: Vec<_> = stage.events().into_iter().map(|event| event.data).collect();
    assert_eq!(told, [json!({ "videoroom": "slow_link" })]);
}
