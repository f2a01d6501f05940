//! Data of publishers: what is routed where, and what is shown of it.

use crate::stage::{AV, Rooms, Stage, code, of};
use bifrons_core::media::{
    Carries, DataPlan, ForwardSsrc, MediaKind, PeerId, Plan, SinkId, SourceId,
};
use bifrons_core::plugin::{HandleKey, Plugin};
use bifrons_core::rtp::Ssrc;
use bifrons_stage::offer;
use serde_json::{Value, json};

const DATA: &str = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d\r\n\
    a=sctp-port:5000\r\n";

fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.create(json!({ "room": 1 }));
    stage
}

/// Publishes data behind audio and video.
fn publisher(stage: &mut Stage, id: u64) -> (HandleKey, PeerId) {
    let (handle, _) = stage.join(1, id);
    let media = format!("{AV}{DATA}");
    stage.answer(handle, json!({ "request": "publish" }), Some(offer(&media)));
    let peer = stage.up(handle);
    stage.events();
    stage.plans();
    (handle, peer)
}

fn data_of(peer: PeerId) -> SourceId {
    SourceId::Line(peer.line(2))
}

fn taken(stage: &mut Stage) -> Vec<DataPlan> {
    std::mem::take(&mut stage.world.data_plans)
}

fn route(source: SourceId, sink: SinkId, label: &str) -> DataPlan {
    DataPlan::Route { source, sink, label: Some(label.into()) }
}

#[test]
fn videoroom_95_messages_are_routed_under_the_publishers_id_and_not_to_the_plugin() {
    let mut stage = stage();
    let (publishing, peer) = publisher(&mut stage, 5);
    let off = DataPlan::Deliver { source: data_of(peer), on: false };
    assert_eq!(taken(&mut stage), [off]);
    let watching = stage.watcher(1, json!([{ "feed": 5, "mid": "2" }]));
    let line = stage.world.peers[&watching].line(0);
    let deaf = DataPlan::Deliver { source: SourceId::Line(line), on: false };
    let sink = SinkId::Line(line);
    assert_eq!(taken(&mut stage), [deaf, route(data_of(peer), sink, "5")]);
    stage.ask(watching, json!({ "request": "pause" }), None);
    let unroute = DataPlan::Unroute { source: data_of(peer), sink };
    assert_eq!(taken(&mut stage), std::slice::from_ref(&unroute));
    stage.ask(watching, json!({ "request": "start" }), None);
    assert_eq!(taken(&mut stage), [route(data_of(peer), sink, "5")]);
    stage.events();
    stage.down(publishing);
    assert_eq!(taken(&mut stage), [unroute]);
    assert!(of(&stage.events(), watching).is_empty(), "data alone: nothing is offered anew");
}

#[test]
fn videoroom_57_many_sources_share_a_line() {
    let mut stage = stage();
    let (_, one) = publisher(&mut stage, 5);
    let (second, two) = publisher(&mut stage, 6);
    let watching = stage.watcher(1, json!([{ "feed": 5, "mid": "2" }, { "feed": 5, "mid": "a" }]));
    let sink = SinkId::Line(stage.world.peers[&watching].line(0));
    taken(&mut stage);
    let wish = json!({ "request": "subscribe", "streams": [{ "feed": 6, "mid": "2" }] });
    let done = stage.answer(watching, wish.clone(), None);
    assert_eq!(done.data, json!({ "videoroom": "updated", "room": 1 }));
    assert!(done.jsep.is_none());
    assert_eq!(taken(&mut stage), [route(data_of(two), sink, "6")]);
    let again = stage.answer(watching, wish, None);
    assert_eq!(again.data["videoroom"], "updated");
    assert!(taken(&mut stage).is_empty(), "it is there already");
    let shown = stage.plugin.query_session(watching);
    let line = json!({
        "type": "data", "active": true, "mindex": 0, "mid": "0", "ready": true, "send": true,
        "sources": 2, "source_ids": [5, 6],
    });
    assert_eq!(shown["streams"][0], line);
    assert_eq!(stage.plugin.query_session(second)["streams"][2]["subscribers"], 1);
    let drop = json!({ "request": "unsubscribe", "streams": [{ "feed": 5, "mid": "2" }] });
    let done = stage.answer(watching, drop, None);
    assert_eq!(done.data, json!({ "videoroom": "updated", "room": 1 }));
    assert_eq!(taken(&mut stage), [DataPlan::Unroute { source: data_of(one), sink }]);
    // With media beside it an offer follows; the data line stays in it.
    let drop = json!({ "request": "unsubscribe", "streams": [{ "feed": 6 }, { "feed": 5 }] });
    let done = stage.answer(watching, drop, None);
    assert_eq!(taken(&mut stage), [DataPlan::Unroute { source: data_of(two), sink }]);
    let bare = json!({
        "type": "data", "active": true, "mindex": 0, "mid": "0", "ready": true, "send": true,
    });
    assert_eq!(done.data["streams"][0], bare);
    let text = done.jsep.expect("an offer").sdp.to_string();
    assert!(text.contains("m=application 9 UDP/DTLS/SCTP"), "{text}");
    assert!(text.contains("a=sendonly\r\na=mid:0"), "data are always sendonly: {text}");
}

#[test]
fn a_switch_leaves_data_lines_alone() {
    let mut stage = stage();
    publisher(&mut stage, 5);
    publisher(&mut stage, 6);
    let watching = stage.watcher(1, json!([{ "feed": 5, "mid": "2" }]));
    taken(&mut stage);
    for wish in
        [json!({ "streams": [{ "feed": 6, "mid": "2", "sub_mid": "0" }] }), json!({ "feed": 6 })]
    {
        let mut body = wish;
        body["request"] = json!("switch");
        let done = stage.answer(watching, body, None);
        assert_eq!((&done.data["switched"], &done.data["changes"]), (&json!("ok"), &json!(0)));
    }
    assert!(taken(&mut stage).is_empty());
}

#[test]
fn videoroom_40_moderation_mutes_data() {
    let mut stage = stage();
    let (publishing, peer) = publisher(&mut stage, 5);
    let muted = |plans: &[Plan]| {
        plans.iter().find_map(|plan| match plan {
            Plan::Policy { source, policy } if *source == data_of(peer) => Some(policy.muted),
            _ => None,
        })
    };
    let moderate =
        |mute: bool| json!({ "request": "moderate", "room": 1, "id": 5, "mid": "2", "mute": mute });
    stage.sync(moderate(true));
    assert_eq!(muted(&stage.plans()), Some(true));
    stage.ask(publishing, json!({ "request": "configure", "data": false }), None);
    stage.plans();
    stage.sync(moderate(false));
    assert_eq!(muted(&stage.plans()), None, "its own wish stands");
    stage.ask(publishing, json!({ "request": "configure", "data": true }), None);
    assert_eq!(muted(&stage.plans()), Some(false));
}

fn ask(stage: &mut Stage, name: &str, extra: Value) -> Value {
    let mut body = json!({ "request": name, "room": 1 });
    for (key, value) in extra.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    stage.sync(body)
}

#[test]
fn videoroom_71_and_76_data_leave_by_forwarders_of_their_own_kind() {
    let mut stage = stage();
    let (_, peer) = publisher(&mut stage, 5);
    taken(&mut stage);
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd";
    let wish = json!({
        "publisher_id": 5, "host": "192.0.2.9", "srtp_suite": 80, "srtp_crypto": key,
        "streams": [{ "mid": "2", "port": 5002, "pt": 9, "ssrc": 9, "rtcp_port": 5003 }],
    });
    let reply = ask(&mut stage, "rtp_forward", wish);
    let shown = &reply["forwarders"][0];
    let want = json!({
        "stream_id": shown["stream_id"], "type": "data", "host": "192.0.2.9", "port": 5002,
    });
    assert_eq!(*shown, want);
    let far = json!({
        "publisher_id": 5, "remote_id": "r", "host": "192.0.2.8", "port": 7000,
        "srtp_suite": 80, "srtp_crypto": key,
    });
    assert_eq!(ask(&mut stage, "publish_remotely", far)["videoroom"], "success");
    let made: Vec<_> = stage
        .plans()
        .into_iter()
        .filter_map(|plan| match plan {
            Plan::Forwarder { forwarder, setup } if setup.kind == MediaKind::Data => {
                Some((forwarder, setup.ssrc, setup.key.is_some()))
            }
            _ => None,
        })
        .collect();
    let ways: Vec<_> = made.iter().map(|one| (one.1, one.2)).collect();
    assert_eq!(ways, [(ForwardSsrc::Source, false), (ForwardSsrc::Layered(Ssrc(1020)), false)]);
    let source = data_of(peer);
    let routes: Vec<_> = made
        .iter()
        .map(|one| DataPlan::Route { source, sink: SinkId::Forwarder(one.0), label: None })
        .collect();
    assert_eq!(taken(&mut stage), routes);
}

#[test]
fn videoroom_75_a_remote_publishers_data_are_an_ingest() {
    let mut stage = stage();
    let wish = json!({ "id": 9, "streams": [{ "mid": "0", "mindex": 0, "type": "data" }] });
    assert_eq!(ask(&mut stage, "add_remote_publisher", wish)["videoroom"], "success");
    let plans = stage.plans();
    let feeds: Vec<_> = plans
        .iter()
        .filter_map(|plan| match plan {
            Plan::Feed { ingest, carries, .. } => Some((*ingest, *carries)),
            _ => None,
        })
        .collect();
    let [(ingest, carries)] = feeds[..] else { panic!("{plans:?}") };
    assert_eq!(carries, Carries::Ssrcs(Ssrc(1000)));
    let watching = stage.watcher(1, json!([{ "feed": 9 }]));
    let sink = SinkId::Line(stage.world.peers[&watching].line(0));
    let source = SourceId::Ingest(ingest);
    assert!(taken(&mut stage).contains(&route(source, sink, "9")));
    assert_eq!(code(&ask(&mut stage, "kick", json!({ "id": 9 }))), 428);
    ask(&mut stage, "remove_remote_publisher", json!({ "id": 9 }));
    assert_eq!(taken(&mut stage), [DataPlan::Unroute { source, sink }]);
}
