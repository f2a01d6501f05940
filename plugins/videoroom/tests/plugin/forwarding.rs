//! Forwarders and remotizations: what is asked of the datapath, and what is shown.

use crate::stage::{AV, Rooms, Stage, code, simulcast_offer};
use bifrons_core::media::{
    ForwardSsrc, ForwarderSetup, MediaKind, Plan, Route, Selection, SinkId, SourceId,
};
use bifrons_core::plugin::{Answer, HandleKey, Jsep, Plugin, Verdict};
use bifrons_core::rtp::Ssrc;
use bifrons_stage::offer;
use serde_json::{Value, json};

/// 30 bytes of key and salt.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd";

/// Room 1 with publisher 5 of this offer, up.
fn with(offer: Jsep) -> (Stage, HandleKey) {
    let mut stage = Stage::new();
    stage.create(json!({ "room": 1 }));
    let (handle, _) = stage.join(1, 5);
    stage.answer(handle, json!({ "request": "publish" }), Some(offer));
    stage.up(handle);
    stage.events();
    stage.plans();
    (stage, handle)
}

fn ask(stage: &mut Stage, name: &str, extra: Value) -> Value {
    let mut body = json!({ "request": name, "room": 1, "publisher_id": 5 });
    for (key, value) in extra.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    stage.sync(body)
}

/// Forwarders among plans, each with its route.
fn forwarders(plans: &[Plan]) -> Vec<(ForwarderSetup, SourceId, Route)> {
    let route_of = |id| {
        plans.iter().find_map(|plan| match *plan {
            Plan::Route { source, sink, route } if sink == SinkId::Forwarder(id) => {
                Some((source, route))
            }
            _ => None,
        })
    };
    let setup = |plan: &Plan| match *plan {
        Plan::Forwarder { forwarder, setup } => {
            let (source, route) = route_of(forwarder).expect("a route");
            Some((setup, source, route))
        }
        _ => None,
    };
    plans.iter().filter_map(setup).collect()
}

fn ended(plans: &[Plan]) -> usize {
    plans.iter().filter(|plan| matches!(plan, Plan::EndForwarder { .. })).count()
}

#[test]
fn videoroom_71_forwarders_are_made_and_listed() {
    let (mut stage, _) = with(offer(AV));
    let streams = |streams: Value| json!({ "host": "192.0.2.9", "streams": streams });
    assert_eq!(code(&ask(&mut stage, "rtp_forward", streams(json!([{ "mid": "v" }])))), 429);
    assert_eq!(code(&ask(&mut stage, "rtp_forward", streams(json!([{ "port": 9 }])))), 429);
    let high = json!([{ "mid": "v", "port": 70_000 }]);
    assert_eq!(code(&ask(&mut stage, "rtp_forward", streams(high))), 430);
    let wanted = json!([
        { "mid": "a", "port": 5002, "pt": 111, "ssrc": 1 },
        { "mid": "v", "port": 5004, "host": "::1", "rtcp_port": 5005 },
        { "mid": "nope", "port": 9 },
    ]);
    let reply = ask(&mut stage, "rtp_forward", streams(wanted));
    assert_eq!(reply["videoroom"], "rtp_forward");
    assert_eq!((&reply["room"], &reply["publisher_id"]), (&json!(1), &json!(5)));
    let list = reply["forwarders"].as_array().expect("a list");
    assert_eq!(list.len(), 2, "an unknown mid is skipped");
    assert!(list.iter().all(|one| one["stream_id"].as_u64().is_some_and(|id| id > 0)));
    let audio = json!({
        "stream_id": list[0]["stream_id"], "type": "audio", "host": "192.0.2.9", "port": 5002,
        "pt": 111, "ssrc": 1,
    });
    assert_eq!(list[0], audio);
    assert_eq!((&list[1]["host"], &list[1]["remote_rtcp_port"]), (&json!("::1"), &json!(5005)));
    let plans = stage.plans();
    let made = forwarders(&plans);
    let (setup, _, route) = made[0];
    assert_eq!(setup.to, "192.0.2.9:5002".parse().expect("an address"));
    assert_eq!((setup.ssrc, route.payload_type), (ForwardSsrc::Fixed(Ssrc(1)), Some(111)));
    let (setup, _, route) = made[1];
    assert_eq!((setup.ssrc, route.payload_type), (ForwardSsrc::Source, None));
    assert_eq!((setup.kind, setup.layer, setup.continuous), (MediaKind::Video, Some(0), false));
    let port = setup.rtcp.expect("feedback is wanted");
    let hello = Plan::Greet { port, to: "[::1]:5005".parse().expect("an address") };
    assert!(plans.contains(&hello), "{plans:?}");
    let shown = ask(&mut stage, "listforwarders", json!({}));
    assert_eq!(shown["publishers"][0]["publisher_id"], 5);
    assert_eq!(shown["publishers"][0]["forwarders"], reply["forwarders"]);
    assert_eq!(ask(&mut stage, "rtp_forward", streams(json!([])))["forwarders"], json!([]));
}

#[test]
fn videoroom_72_a_forwarder_is_stopped_once() {
    let (mut stage, publisher) = with(offer(AV));
    let streams = json!([{ "mid": "v", "port": 5004, "rtcp_port": 5005 }]);
    let wish = json!({ "host": "192.0.2.9", "streams": streams });
    let id = ask(&mut stage, "rtp_forward", wish.clone())["forwarders"][0]["stream_id"].clone();
    stage.plans();
    assert_eq!(code(&ask(&mut stage, "stop_rtp_forward", json!({ "stream_id": 0 }))), 428);
    let stop = json!({ "stream_id": id });
    let reply = ask(&mut stage, "stop_rtp_forward", stop.clone());
    let want = json!({
        "videoroom": "stop_rtp_forward", "room": 1, "publisher_id": 5, "stream_id": id,
    });
    assert_eq!((reply, ended(&stage.plans())), (want, 1));
    assert!(stage.world.ports.is_empty(), "its RTCP port too");
    assert_eq!(code(&ask(&mut stage, "stop_rtp_forward", stop)), 428);
    ask(&mut stage, "rtp_forward", wish);
    stage.plans();
    stage.down(publisher);
    assert_eq!(ended(&stage.plans()), 1, "with the stream");
    assert!(stage.world.ports.is_empty());
    assert_eq!(ask(&mut stage, "listforwarders", json!({}))["publishers"], json!([]));
}

#[test]
fn videoroom_73_a_port_for_each_substream() {
    let (mut stage, _) = with(simulcast_offer());
    let streams = json!([{ "mid": "v", "port": 1, "port_2": 2, "port_3": 3, "pt_2": 97 }]);
    let reply = ask(&mut stage, "rtp_forward", json!({ "host": "::1", "streams": streams }));
    let list = reply["forwarders"].as_array().expect("a list");
    let shown: Vec<_> = list.iter().map(|one| one.get("substream").cloned()).collect();
    assert_eq!(shown, [None, Some(json!(1)), Some(json!(2))]);
    let made = forwarders(&stage.plans());
    let layers: Vec<_> = made.iter().map(|(setup, ..)| setup.layer).collect();
    assert_eq!(layers, [Some(0), Some(1), Some(2)]);
    assert_eq!(made[1].2.payload_type, Some(97));
}

#[test]
fn what_is_forwarded_early_begins_with_the_media() {
    let mut stage = Stage::new();
    stage.create(json!({ "room": 1 }));
    let (handle, _) = stage.join(1, 5);
    let wish = json!({ "remote_id": "far", "host": "::1", "port": 6000, "rtcp_port": 6001 });
    ask(&mut stage, "publish_remotely", wish);
    assert!(stage.plans().is_empty() && stage.world.ports.is_empty(), "nothing to send yet");
    stage.answer(handle, json!({ "request": "publish" }), Some(offer(AV)));
    let plans = stage.plans();
    assert_eq!((forwarders(&plans).len(), stage.world.ports.len()), (2, 1));
    let streams = json!([{ "mid": "v", "port": 5004, "rtcp_port": 5005 }]);
    let reply = ask(&mut stage, "rtp_forward", json!({ "host": "::1", "streams": streams }));
    assert!(reply["forwarders"][0]["local_rtcp_port"].is_u64(), "{reply}");
    assert_eq!(forwarders(&stage.plans()).len(), 1);
    stage.up(handle);
    assert!(forwarders(&stage.plans()).is_empty(), "once is enough");
    stage.down(handle);
    assert!(stage.world.ports.is_empty());
}

#[test]
fn event_handlers_hear_of_forwarders() {
    let (mut stage, _) = with(simulcast_offer());
    stage.world.listens = true;
    let streams = json!([{ "mid": "v", "port": 1, "port_2": 2 }]);
    let reply = ask(&mut stage, "rtp_forward", json!({ "host": "::1", "streams": streams }));
    let id = reply["forwarders"][1]["stream_id"].clone();
    let want = json!({
        "event": "rtp_forward", "room": 1, "publisher_id": 5, "media": "video", "codec": "vp8",
        "stream_id": id, "host": "::1", "port": 2, "video_substream": 1,
    });
    assert_eq!(stage.world.notices[1], want);
    ask(&mut stage, "stop_rtp_forward", json!({ "stream_id": id }));
    let want = json!({
        "event": "stop_rtp_forward", "room": 1, "publisher_id": 5, "stream_id": id,
    });
    assert_eq!(stage.world.notices[2], want);
}

#[test]
fn videoroom_74_locked_forwarding_needs_the_admin_key() {
    let config = "general: { admin_key = \"k\"; lock_rtp_forward = true } room-1: { }";
    let mut stage = Stage::with(config);
    stage.publisher(1, 5);
    let base = json!({ "host": "127.0.0.1", "stream_id": 1, "remote_id": "r", "port": 9 });
    for name in ["rtp_forward", "stop_rtp_forward", "publish_remotely"] {
        let mut body = base.clone();
        assert_eq!(code(&ask(&mut stage, name, body.clone())), 429, "{name}");
        body["admin_key"] = json!("x");
        assert_eq!(code(&ask(&mut stage, name, body.clone())), 433, "{name}");
        body["admin_key"] = json!("k");
        let reply = ask(&mut stage, name, body);
        let wanted = if name == "stop_rtp_forward" { json!(428) } else { Value::Null };
        assert_eq!(reply["error_code"], wanted, "{name}: {reply}");
    }
}

#[test]
fn videoroom_102_the_simulcast_forwarder_numbers_by_itself() {
    let (mut stage, _) = with(simulcast_offer());
    let streams = json!([{ "mid": "v", "port": 5004, "simulcast": true, "port_2": 9 }]);
    let reply = ask(&mut stage, "rtp_forward", json!({ "host": "::1", "streams": streams }));
    let list = reply["forwarders"].as_array().expect("a list");
    assert_eq!(list.len(), 1, "one port for the best");
    let made = forwarders(&stage.plans());
    let (setup, _, route) = made[0];
    let id = list[0]["stream_id"].as_u64().expect("an id") as u32;
    assert_eq!((setup.ssrc, setup.continuous), (ForwardSsrc::Fixed(Ssrc(id)), true));
    assert_eq!((route.layers.selection, route.layers.spatial), (Selection::Simulcast, 2));
}

#[test]
fn the_old_form_of_rtp_forward_is_answered_in_its_own_way() {
    let (mut stage, _) = with(offer(AV));
    let wish = json!({
        "host": "192.0.2.9", "audio_port": 5002, "audio_pt": 111, "video_port": 5004,
        "video_rtcp_port": 5005, "video_port_2": 5006, "data_port": 5008,
    });
    let reply = ask(&mut stage, "rtp_forward", wish);
    let shown = &reply["rtp_stream"];
    assert!(reply.get("forwarders").is_none());
    assert_eq!(
        (&shown["host"], &shown["warning"]),
        (&json!("192.0.2.9"), &json!("deprecated_api"))
    );
    assert_eq!((&shown["audio"], &shown["video"]), (&json!(5002), &json!(5004)));
    assert_eq!((&shown["video_rtcp"], &shown["video_2"]), (&json!(5005), &json!(5006)));
    for id in ["audio_stream_id", "video_stream_id", "video_stream_id_2"] {
        assert!(shown[id].is_u64(), "{id}: {shown}");
    }
    assert!(shown.get("data").is_none(), "no data stream");
    let plans = stage.plans();
    assert_eq!(forwarders(&plans).len(), 3);
    assert!(plans.iter().any(|plan| matches!(plan, Plan::Keyframe { .. })), "{plans:?}");
}

#[test]
fn a_host_by_name_is_looked_up_before_the_answer() {
    let (mut stage, _) = with(offer(AV));
    let handle = stage.attach();
    let streams = json!([{ "mid": "a", "port": 7 }]);
    let body = |family: &str| {
        json!({
            "request": "rtp_forward", "room": 1, "publisher_id": 5, "host": "media.example",
            "host_family": family, "streams": streams,
        })
    };
    for (family, wanted) in [("ipv6", Some("2001:db8::1")), ("ipv4", None)] {
        assert_eq!(stage.message(handle, body(family), None), Verdict::Deferred);
        let (ticket, name) = stage.world.lookups.pop().expect("looked up");
        assert_eq!(name, "media.example");
        let found = vec!["2001:db8::1".parse().expect("an address")];
        stage.plugin.answered(&mut stage.world, ticket, Answer::Resolved(Ok(found)));
        let Some((_, Verdict::Reply(reply))) = stage.world.replies.pop() else {
            panic!("no reply")
        };
        match wanted {
            Some(address) => assert_eq!(reply["forwarders"][0]["host"], address),
            None => assert_eq!(code(&reply), 430, "none of that family"),
        }
    }
    stage.message(handle, body("ipv6"), None);
    let (ticket, _) = stage.world.lookups.pop().expect("looked up");
    let failed = Answer::Resolved(Err("no such name".to_owned()));
    stage.plugin.answered(&mut stage.world, ticket, failed);
    let Some((_, Verdict::Reply(reply))) = stage.world.replies.pop() else { panic!("no reply") };
    assert_eq!(code(&reply), 430);
    assert_eq!(code(&stage.sync(body("token-ring"))), 430);
}

#[test]
fn a_key_never_seals_two_streams_under_one_ssrc() {
    let (mut stage, _) = with(offer(AV));
    stage.publisher(1, 6);
    stage.world.shards = 5;
    let wish = |user: u64, ssrc: u64, suite: u64, crypto: &str| {
        json!({
            "publisher_id": user, "host": "::1", "srtp_suite": suite, "srtp_crypto": crypto,
            "streams": [{ "mid": "v", "port": 5004, "ssrc": ssrc }],
        })
    };
    assert_eq!(code(&ask(&mut stage, "rtp_forward", wish(5, 7, 33, KEY))), 430);
    assert_eq!(code(&ask(&mut stage, "rtp_forward", wish(5, 7, 80, "AAEC"))), 430);
    stage.plans();
    let reply = ask(&mut stage, "rtp_forward", wish(5, 7, 80, KEY));
    assert_eq!(reply["forwarders"][0]["srtp"], true);
    ask(&mut stage, "rtp_forward", wish(6, 8, 80, KEY));
    let shards: Vec<_> = stage
        .plans()
        .iter()
        .filter_map(|plan| match plan {
            Plan::Forwarder { forwarder, .. } => Some(forwarder.shard),
            _ => None,
        })
        .collect();
    assert_eq!(shards.len(), 2);
    assert_eq!(shards[0], shards[1], "one shard sees all of a key");
    assert_eq!(code(&ask(&mut stage, "rtp_forward", wish(6, 7, 80, KEY))), 430);
    let again = ask(&mut stage, "rtp_forward", wish(5, 7, 80, KEY));
    assert_eq!(again["videoroom"], "rtp_forward", "the same stream may go to two hosts");
    let remotize = |user: u64| {
        json!({
            "publisher_id": user, "remote_id": "x", "host": "::1", "port": 9, "srtp_suite": 80,
            "srtp_crypto": KEY,
        })
    };
    assert_eq!(ask(&mut stage, "publish_remotely", remotize(5))["videoroom"], "success");
    assert_eq!(code(&ask(&mut stage, "publish_remotely", remotize(6))), 430);
}

#[test]
fn videoroom_76_a_remotization_names_streams_by_ssrc() {
    let (mut stage, publisher) = with(simulcast_offer());
    let wish = json!({ "remote_id": "far", "host": "192.0.2.9", "port": 6000, "rtcp_port": 6001 });
    let reply = ask(&mut stage, "publish_remotely", wish);
    let want = json!({ "videoroom": "success", "room": 1, "id": 5, "remote_id": "far" });
    assert_eq!(reply, want);
    let plans = stage.plans();
    let made = forwarders(&plans);
    let ssrcs: Vec<_> = made.iter().map(|(setup, ..)| setup.ssrc).collect();
    assert_eq!(ssrcs, [ForwardSsrc::Layered(Ssrc(1000)), ForwardSsrc::Layered(Ssrc(1010))]);
    assert!(made.iter().all(|(setup, _, route)| {
        setup.layer.is_none() && route.payload_type.is_none() && setup.rtcp.is_some()
    }));
    let hellos = plans.iter().filter(|plan| matches!(plan, Plan::Greet { .. })).count();
    assert_eq!((hellos, stage.world.ports.len()), (1, 1), "one RTCP socket for all");
    // What a renegotiation adds goes along.
    let more = format!("{AV}{}", AV.replace("mid:a", "mid:b").replace("mid:v", "mid:w"));
    stage.answer(publisher, json!({ "request": "configure" }), Some(offer(&more)));
    let added: Vec<_> = forwarders(&stage.plans()).iter().map(|(setup, ..)| setup.ssrc).collect();
    assert_eq!(added, [ForwardSsrc::Layered(Ssrc(1020)), ForwardSsrc::Layered(Ssrc(1030))]);
    let shown = ask(&mut stage, "listforwarders", json!({}));
    assert_eq!(shown["publishers"][0]["forwarders"], json!([]), "hidden, yet the publisher shows");
    let end = json!({ "remote_id": "far" });
    let reply = ask(&mut stage, "unpublish_remotely", end.clone());
    assert_eq!(reply, json!({ "videoroom": "success", "room": 1, "id": 5 }));
    assert_eq!((ended(&stage.plans()), stage.world.ports.len()), (4, 0));
    assert_eq!(code(&ask(&mut stage, "unpublish_remotely", end)), 428);
}

#[test]
fn videoroom_77_a_remote_id_is_used_once_and_not_for_remote_publishers() {
    let (mut stage, _) = with(offer(AV));
    let wish = json!({ "remote_id": "far", "host": "192.0.2.9", "port": 6000 });
    assert_eq!(ask(&mut stage, "publish_remotely", wish.clone())["videoroom"], "success");
    assert_eq!(code(&ask(&mut stage, "publish_remotely", wish)), 436);
    let nowhere = json!({ "remote_id": "x", "host": "192.0.2.9", "port": 0 });
    assert_eq!(code(&ask(&mut stage, "publish_remotely", nowhere)), 430);
    let streams = json!([{ "mid": "0", "mindex": 0, "type": "audio", "codec": "opus" }]);
    ask(&mut stage, "add_remote_publisher", json!({ "id": 9, "streams": streams }));
    let onward = json!({ "publisher_id": 9, "remote_id": "x", "host": "192.0.2.9", "port": 6000 });
    assert_eq!(code(&ask(&mut stage, "publish_remotely", onward)), 430);
}

#[test]
fn videoroom_79_listremotes_under_both_names() {
    let (mut stage, _) = with(offer(AV));
    let wish = json!({ "remote_id": "far", "host": "192.0.2.9", "port": 6000, "rtcp_port": 1 });
    ask(&mut stage, "publish_remotely", wish);
    for name in ["listremotes", "list_remotes"] {
        let list =
            json!([{ "remote_id": "far", "host": "192.0.2.9", "port": 6000, "rtcp_port": 1 }]);
        let want = json!({ "videoroom": "success", "room": 1, "id": 5, "list": list });
        assert_eq!(ask(&mut stage, name, json!({})), want);
    }
    assert_eq!(code(&ask(&mut stage, "listremotes", json!({ "publisher_id": 6 }))), 428);
}

#[test]
fn forwarding_ends_with_the_room() {
    let (mut stage, _) = with(offer(AV));
    let streams = json!([{ "mid": "v", "port": 5004, "rtcp_port": 5005 }]);
    ask(&mut stage, "rtp_forward", json!({ "host": "::1", "streams": streams }));
    let wish = json!({ "remote_id": "far", "host": "::1", "port": 6000, "rtcp_port": 6001 });
    ask(&mut stage, "publish_remotely", wish);
    stage.plans();
    ask(&mut stage, "destroy", json!({}));
    assert_eq!((ended(&stage.plans()), stage.world.ports.len()), (3, 0));
}
