//! Lines of the checklist that other tests meet on the way, each by itself.

use crate::stage::{AV, Rooms, Stage, code, of, svc_offer};
use bifrons_core::media::{MediaKind, Plan};
use bifrons_stage::offer;
use serde_json::{Value, json};

fn stage(mut room: Value) -> Stage {
    let mut stage = Stage::new();
    room["room"] = json!(1);
    stage.create(room);
    stage
}

fn request(name: &str, mut fields: Value) -> Value {
    fields["request"] = json!(name);
    fields
}

/// Whether any policy among the plans mutes.
fn muted(plans: &[Plan]) -> Option<bool> {
    plans.iter().rev().find_map(|plan| match plan {
        Plan::Policy { policy, .. } => Some(policy.muted),
        _ => None,
    })
}

#[test]
fn videoroom_08_a_wrong_admin_key_lists_nothing() {
    let mut stage = Stage::with("general: { admin_key = \"s3cret\" }");
    assert_eq!(code(&stage.sync(request("list", json!({ "admin_key": "wrong" })))), 433);
    let right = stage.sync(request("list", json!({ "admin_key": "s3cret" })));
    assert_eq!(right["videoroom"], "success");
    // Without a key there is nothing to prove.
    let mut open = Stage::new();
    let any = open.sync(request("list", json!({ "admin_key": "wrong" })));
    assert_eq!(any["videoroom"], "success");
}

#[test]
fn videoroom_18_an_unknown_request_is_answered_at_once() {
    let mut stage = stage(json!({}));
    let (handle, _) = stage.join(1, 5);
    stage.events();
    // `sync_on` takes a reply only: an acknowledgement would not do.
    assert_eq!(code(&stage.sync_on(handle, request("dance", json!({})))), 423);
    assert!(stage.events().is_empty());
    assert_eq!(stage.sync_on(handle, request("LiSt", json!({})))["videoroom"], "success");
}

#[test]
fn videoroom_26_a_mere_join_is_told_to_nobody() {
    let mut stage = stage(json!({}));
    let (first, _) = stage.join(1, 5);
    let second = stage.attach();
    let body = request("join", json!({ "ptype": "publisher", "room": 1, "display": "x" }));
    let events = stage.ask(second, body, None);
    assert_eq!(of(&events, second)[0]["videoroom"], "joined");
    assert!(of(&events, first).is_empty());
}

#[test]
fn videoroom_29_one_publisher_with_the_mids_of_its_offer() {
    let mut stage = stage(json!({}));
    let (other, _) = stage.join(1, 4);
    let (handle, _) = stage.join(1, 5);
    let data =
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d\r\na=sctp-port:5000\r\n";
    let body = request("publish", json!({}));
    stage.answer(handle, body, Some(offer(&format!("{AV}{data}"))));
    stage.up(handle);
    let told = of(&stage.events(), other);
    assert_eq!(told.len(), 1);
    let publishers = told[0]["publishers"].as_array().expect("publishers");
    assert_eq!(publishers.len(), 1);
    let mids: Vec<_> = (0..3).map(|at| publishers[0]["streams"][at]["mid"].clone()).collect();
    assert_eq!(mids, ["a", "v", "2"], "data go by their place");
}

#[test]
fn videoroom_31_a_renegotiation_is_told_at_once() {
    let mut stage = stage(json!({}));
    let publisher = stage.publisher(1, 5);
    let (other, _) = stage.join(1, 6);
    stage.events();
    let more = format!("{AV}{}", AV.replace("mid:a", "mid:b").replace("mid:v", "mid:w"));
    let events = stage.ask(publisher, request("configure", json!({})), Some(offer(&more)));
    let told = of(&events, other);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["publishers"][0]["id"], 5);
    assert_eq!(told[0]["publishers"][0]["streams"].as_array().map(Vec::len), Some(4));
}

#[test]
fn videoroom_41_unmoderating_leaves_a_self_mute_alone() {
    let mut stage = stage(json!({}));
    let publisher = stage.publisher(1, 5);
    let own =
        |send: bool| request("configure", json!({ "streams": [{ "mid": "v", "send": send }] }));
    let moderate =
        |mute: bool| request("moderate", json!({ "room": 1, "id": 5, "mid": "v", "mute": mute }));
    stage.answer(publisher, own(false), None);
    assert_eq!(muted(&stage.plans()), Some(true));
    stage.sync(moderate(true));
    stage.sync(moderate(false));
    assert_ne!(muted(&stage.plans()), Some(false), "still muted by itself");
    stage.answer(publisher, own(true), None);
    assert_eq!(muted(&stage.plans()), Some(false));
}

#[test]
fn videoroom_50_kinds_are_left_out_of_an_old_join_only() {
    let mut stage = stage(json!({}));
    stage.publisher(1, 5);
    for (extra, kinds) in [
        (json!({ "feed": 5, "offer_video": false }), vec!["audio"]),
        (json!({ "streams": [{ "feed": 5 }], "offer_video": false }), vec!["audio", "video"]),
    ] {
        let handle = stage.attach();
        let mut body = request("join", json!({ "ptype": "subscriber", "room": 1 }));
        for (key, value) in extra.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        let attached = stage.answer(handle, body, None);
        let shown = attached.data["streams"].as_array().expect("streams");
        let have: Vec<_> = shown.iter().map(|stream| stream["type"].clone()).collect();
        assert_eq!(have, kinds);
        let sdp = attached.jsep.expect("an offer").sdp;
        assert_eq!(sdp.media.len(), kinds.len());
    }
}

#[test]
fn videoroom_56_an_idle_line_is_taken_by_the_same_codec_only() {
    let mut stage = stage(json!({ "videocodec": "vp8,vp9" }));
    stage.publisher(1, 5);
    let (other, _) = stage.join(1, 6);
    stage.answer(other, request("publish", json!({ "videocodec": "vp9" })), Some(offer(AV)));
    stage.up(other);
    stage.publisher(1, 7);
    let watcher = stage.watcher(1, json!([{ "feed": 5, "mid": "v" }]));
    let gone = request("unsubscribe", json!({ "streams": [{ "sub_mid": "0" }] }));
    let updated = stage.answer(watcher, gone, None);
    stage.start_with(watcher, updated.jsep.as_ref().expect("an offer"));
    let take =
        |feed: u64| request("subscribe", json!({ "streams": [{ "feed": feed, "mid": "v" }] }));
    let updated = stage.answer(watcher, take(6), None);
    assert_eq!(updated.data["streams"][1]["feed_id"], 6, "another codec, another line");
    stage.start_with(watcher, updated.jsep.as_ref().expect("an offer"));
    let updated = stage.answer(watcher, take(7), None);
    let line = &updated.data["streams"][0];
    assert_eq!((&line["feed_id"], &line["mid"]), (&json!(7), &json!("0")));
    assert_eq!(updated.data["streams"].as_array().map(Vec::len), Some(2));
}

#[test]
fn videoroom_89_leaving_closes_no_peerconnection() {
    let mut stage = stage(json!({}));
    let publisher = stage.publisher(1, 5);
    let left = stage.answer(publisher, request("leave", json!({})), None);
    assert_eq!(left.data["leaving"], "ok");
    assert!(stage.world.closed.is_empty());
    assert!(stage.world.peers.contains_key(&publisher));
}

#[test]
fn videoroom_90_subscribers_hear_before_participants() {
    let mut stage = stage(json!({}));
    let publisher = stage.publisher(1, 5);
    let (other, _) = stage.join(1, 6);
    let watcher = stage.watcher(1, json!([{ "feed": 5 }]));
    stage.events();
    stage.down(publisher);
    let events = stage.events();
    let place = |handle, key: &str| {
        let found =
            |event: &bifrons_stage::Event| event.handle == handle && event.data.get(key).is_some();
        events.iter().position(found).expect(key)
    };
    assert_eq!(events[place(watcher, "streams")].data["videoroom"], "updated");
    assert!(place(watcher, "streams") < place(other, "unpublished"));
}

#[test]
fn videoroom_98_svc_is_what_the_offer_says_it_is() {
    let mut stage = stage(json!({ "videocodec": "vp9" }));
    for (offered, wanted) in [(svc_offer(), json!(true)), (offer(AV), Value::Null)] {
        let handle = stage.attach();
        let body = request("join", json!({ "ptype": "publisher", "room": 1 }));
        let joined = stage.answer(handle, body, Some(offered)).data;
        let video = &joined["streams"][1];
        assert_eq!((&video["type"], &video["svc"]), (&json!(MediaKind::Video.name()), &wanted));
    }
}
