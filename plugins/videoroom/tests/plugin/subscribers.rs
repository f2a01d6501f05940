//! Subscriptions: joining, starting, changing lines, leaving.

use crate::stage::{AV, Rooms, Stage, code, of};
use bifrons_core::media::{Plan, SinkId, SourceId};
use bifrons_core::plugin::{HandleKey, Jsep, JsepKind, Plugin};
use bifrons_core::sdp::Sdp;
use bifrons_stage::{Event, answer_to, offer};
use serde_json::{Value, json};

fn stage(room: Value) -> Stage {
    let mut stage = Stage::new();
    let mut room = room;
    room["room"] = json!(1);
    stage.create(room);
    stage
}

/// A room with one publisher, 5.
fn with_publisher() -> (Stage, HandleKey) {
    let mut stage = stage(json!({}));
    let publisher = stage.publisher(1, 5);
    (stage, publisher)
}

fn ask(stage: &mut Stage, handle: HandleKey, name: &str, extra: Value) -> Event {
    let mut body = json!({ "request": name });
    for (key, value) in extra.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    stage.answer(handle, body, None)
}

fn text_of(event: &Event) -> String {
    event.jsep.as_ref().map(|jsep| jsep.sdp.to_string()).unwrap_or_default()
}

/// The sinks that routes were told for, and whether they are on.
fn routes(plans: &[Plan]) -> Vec<(u16, bool)> {
    let route = |plan: &Plan| match *plan {
        Plan::Route { sink: SinkId::Line(line), route, .. } => Some((line.mindex, route.enabled)),
        _ => None,
    };
    plans.iter().filter_map(route).collect()
}

fn unrouted(plans: &[Plan]) -> Vec<u16> {
    let sink = |plan: &Plan| match *plan {
        Plan::Unroute { sink: SinkId::Line(line) } => Some(line.mindex),
        _ => None,
    };
    plans.iter().filter_map(sink).collect()
}

fn keyframes(plans: &[Plan]) -> Vec<SourceId> {
    let source = |plan: &Plan| match *plan {
        Plan::Keyframe { source } => Some(source),
        _ => None,
    };
    plans.iter().filter_map(source).collect()
}

#[test]
fn videoroom_46_attached_with_an_offer() {
    let (mut stage, _) = with_publisher();
    let (_, attached) = stage.subscriber(1, json!([{ "feed": 5, "crossrefid": "x" }]));
    let audio = json!({
        "type": "audio", "active": true, "mindex": 0, "mid": "0", "crossrefid": "x",
        "ready": false, "send": true, "feed_id": 5, "feed_mid": "a", "codec": "opus",
    });
    assert_eq!(attached.data["streams"][0], audio);
    assert_eq!(attached.data["room"], 1);
    let jsep = attached.jsep.expect("an offer");
    assert_eq!((jsep.kind, jsep.restart), (JsepKind::Offer, false));
    let text = jsep.sdp.to_string();
    for wanted in [
        "o=- 0 1 IN",
        "s=VideoRoom 1\r\n",
        "a=mid:0\r\n",
        "a=mid:1\r\n",
        "a=rtpmap:111 opus/48000/2\r\n",
        "a=fmtp:111 useinbandfec=1\r\n",
        "a=rtpmap:96 VP8/90000\r\n",
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n",
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n",
        "a=extmap:13 urn:3gpp:video-orientation\r\n",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert_eq!(text.matches("a=sendonly").count(), 2, "{text}");
    assert!(!text.contains("playout-delay") && !text.contains("a=msid"), "{text}");
}

#[test]
fn an_msid_names_publisher_and_line() {
    let (mut stage, _) = with_publisher();
    let handle = stage.attach();
    let body =
        json!({ "ptype": "subscriber", "room": 1, "streams": [{ "feed": 5 }], "use_msid": true });
    let attached = ask(&mut stage, handle, "join", body);
    assert!(text_of(&attached).contains("a=msid:5 1\r\n"), "{}", text_of(&attached));
}

#[test]
fn videoroom_47_unknown_feeds() {
    let (mut stage, _) = with_publisher();
    stage.join(1, 6);
    for streams in [
        json!([{ "feed": 7 }]),
        json!([{ "feed": 6 }]),
        json!([{ "feed": 5 }, { "feed": 6 }]),
        json!([{ "feed": 5, "mid": "x" }]),
    ] {
        let (_, refused) = stage.subscriber(1, streams.clone());
        assert_eq!(code(&refused.data), 428, "{streams}");
    }
    for (streams, wanted) in
        [(json!([{ "feed": "5" }]), 430), (json!([{}]), 429), (json!([]), 430), (json!([5]), 430)]
    {
        let (_, refused) = stage.subscriber(1, streams.clone());
        assert_eq!(code(&refused.data), wanted, "{streams}");
    }
}

#[test]
fn videoroom_48_neither_streams_nor_feed() {
    let (mut stage, _) = with_publisher();
    let handle = stage.attach();
    let refused = ask(&mut stage, handle, "join", json!({ "ptype": "subscriber", "room": 1 }));
    assert_eq!(code(&refused.data), 429);
    let body = json!({ "request": "join", "ptype": "subscriber", "room": 1, "feed": 5 });
    assert_eq!(code(&stage.answer(handle, body, Some(offer(AV))).data), 423);
}

#[test]
fn videoroom_49_and_50_the_old_form() {
    let mut stage = stage(json!({}));
    let (publisher, _) = stage.join(1, 5);
    let body = json!({ "request": "publish", "display": "Ann" });
    stage.answer(publisher, body, Some(offer(AV)));
    stage.up(publisher);
    let handle = stage.attach();
    let body = json!({ "ptype": "subscriber", "room": 1, "feed": 5, "offer_video": false });
    let attached = ask(&mut stage, handle, "join", body);
    let wanted = [json!(5), json!("Ann"), json!("deprecated_api")];
    assert_eq!(["id", "display", "warning"].map(|key| attached.data[key].clone()), wanted);
    assert!(!text_of(&attached).contains("m=video"));
    let handle = stage.attach();
    let body = json!({
        "ptype": "subscriber", "room": 1, "streams": [{ "feed": 5 }], "offer_video": false,
    });
    let attached = ask(&mut stage, handle, "join", body);
    assert!(text_of(&attached).contains("m=video"), "ignored with streams");
    assert!(attached.data.get("warning").is_none());
}

#[test]
fn videoroom_51_private_ids() {
    let mut stage = stage(json!({ "require_pvtid": true }));
    let publisher = stage.publisher(1, 5);
    let (_, refused) = stage.subscriber(1, json!([{ "feed": 5 }]));
    assert_eq!(code(&refused.data), 433);
    let private_id = stage.plugin.query_session(publisher)["private_id"].clone();
    let handle = stage.attach();
    let body = json!({
        "ptype": "subscriber", "room": 1, "streams": [{ "feed": 5 }], "private_id": private_id,
    });
    assert_eq!(ask(&mut stage, handle, "join", body).data["videoroom"], "attached");
}

#[test]
fn a_kick_cuts_off_the_subscriptions_of_the_kicked() {
    let mut stage = stage(json!({ "require_pvtid": true }));
    stage.publisher(1, 5);
    let victim = stage.publisher(1, 6);
    let private_id = stage.plugin.query_session(victim)["private_id"].clone();
    let handle = stage.attach();
    let body = json!({
        "ptype": "subscriber", "room": 1, "streams": [{ "feed": 5 }], "private_id": private_id,
    });
    let attached = ask(&mut stage, handle, "join", body);
    stage.start_with(handle, attached.jsep.as_ref().expect("an offer"));
    stage.up(handle);
    stage.plans();
    stage.sync(json!({ "request": "kick", "room": 1, "id": 6 }));
    assert_eq!(routes(&stage.plans()), [(0, false), (1, false)]);
    assert_eq!(code(&ask(&mut stage, handle, "configure", json!({})).data), 433);
    assert_eq!(ask(&mut stage, handle, "pause", json!({})).data["paused"], "ok");
}

#[test]
fn videoroom_52_start_brings_media_and_a_keyframe() {
    let (mut stage, publisher) = with_publisher();
    let source = stage.world.peers[&publisher];
    let (handle, attached) = stage.subscriber(1, json!([{ "feed": 5 }]));
    let jsep = attached.jsep.expect("an offer");
    let started = stage.start_with(handle, &jsep);
    assert_eq!(started[0].data, json!({ "videoroom": "event", "room": 1, "started": "ok" }));
    stage.up(handle);
    let plans = stage.plans();
    assert_eq!(routes(&plans), [(0, true), (1, true)]);
    assert_eq!(keyframes(&plans), [SourceId::Line(source.line(1))]);
    let body = json!({ "request": "start" });
    let refused = stage.answer(handle, body, Some(offer(AV)));
    assert_eq!(code(&refused.data), 431);
}

#[test]
fn videoroom_53_pause_and_resume() {
    let (mut stage, _) = with_publisher();
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    stage.plans();
    assert_eq!(ask(&mut stage, handle, "pause", json!({})).data["paused"], "ok");
    assert_eq!(routes(&stage.plans()), [(0, false), (1, false)]);
    assert_eq!(stage.plugin.query_session(handle)["paused"], true);
    assert_eq!(ask(&mut stage, handle, "start", json!({})).data["started"], "ok");
    let plans = stage.plans();
    assert_eq!((routes(&plans).len(), keyframes(&plans).len()), (2, 1));
}

#[test]
fn videoroom_54_changes_before_the_answer_come_as_one_offer() {
    let (mut stage, _) = with_publisher();
    stage.publisher(1, 6);
    stage.publisher(1, 7);
    let (handle, attached) = stage.subscriber(1, json!([{ "feed": 5 }]));
    for feed in [6, 7] {
        let wish = json!({ "streams": [{ "feed": feed }] });
        let updating = ask(&mut stage, handle, "subscribe", wish);
        assert_eq!(updating.data, json!({ "videoroom": "updating", "room": 1 }));
        assert!(updating.jsep.is_none());
    }
    let events = stage.start_with(handle, attached.jsep.as_ref().expect("an offer"));
    let [started, updated] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(started.data["started"], "ok");
    assert_eq!((&updated.data["videoroom"], &updated.transaction), (&json!("updated"), &None));
    assert_eq!(updated.data["streams"].as_array().map(Vec::len), Some(6));
    assert!(text_of(updated).contains("o=- 0 2 IN"), "{}", text_of(updated));
    let events = stage.start_with(handle, updated.jsep.as_ref().expect("an offer"));
    assert_eq!(events.len(), 1, "settled");
}

#[test]
fn videoroom_55_and_56_a_line_is_given_up_and_taken_again() {
    let (mut stage, _) = with_publisher();
    stage.publisher(1, 6);
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    stage.plans();
    let wish = json!({ "streams": [{ "sub_mid": "1" }] });
    let updated = ask(&mut stage, handle, "unsubscribe", wish);
    let gone = json!({
        "type": "video", "active": false, "mindex": 1, "mid": "1", "ready": false, "send": true,
    });
    assert_eq!(updated.data["streams"][1], gone);
    assert!(text_of(&updated).contains("a=inactive\r\na=mid:1\r\n"), "{}", text_of(&updated));
    assert_eq!(unrouted(&stage.plans()), [1]);
    stage.start_with(handle, updated.jsep.as_ref().expect("an offer"));
    let wish = json!({ "streams": [{ "feed": 6, "mid": "v", "send": false }] });
    let updated = ask(&mut stage, handle, "subscribe", wish);
    let line = &updated.data["streams"][1];
    assert_eq!(
        (&line["feed_id"], &line["mid"], &line["ready"], &line["send"]),
        (&json!(6), &json!("1"), &json!(false), &json!(false))
    );
    assert_eq!(updated.data["streams"].as_array().map(Vec::len), Some(2));
    assert!(stage.plans().is_empty(), "not before the answer");
    stage.start_with(handle, updated.jsep.as_ref().expect("an offer"));
    assert_eq!(routes(&stage.plans()), [(1, false)]);
}

#[test]
fn videoroom_58_update_has_to_say_something() {
    let (mut stage, _) = with_publisher();
    stage.publisher(1, 6);
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    assert_eq!(code(&ask(&mut stage, handle, "update", json!({})).data), 429);
    for empty in [json!({ "subscribe": [] }), json!({ "unsubscribe": [] })] {
        assert_eq!(code(&ask(&mut stage, handle, "update", empty).data), 430);
    }
    let both = json!({ "subscribe": [{ "feed": 6 }], "unsubscribe": [{ "feed": 5 }] });
    let updated = ask(&mut stage, handle, "update", both);
    let feeds: Vec<_> = updated.data["streams"].as_array().expect("streams").iter().collect();
    assert_eq!(feeds.len(), 2, "unsubscribing comes first");
    assert!(feeds.iter().all(|line| line["feed_id"] == 6));
    let nothing = json!({ "unsubscribe": [{ "feed": 99 }] });
    stage.start_with(handle, updated.jsep.as_ref().expect("an offer"));
    let bare = ask(&mut stage, handle, "update", nothing);
    assert_eq!(bare.data, json!({ "videoroom": "updated", "room": 1 }));
    assert!(bare.jsep.is_none());
    let unknown = json!({ "subscribe": [{ "feed": 99 }], "unsubscribe": [{ "feed": 6 }] });
    assert_eq!(code(&ask(&mut stage, handle, "update", unknown).data), 428);
    let info = stage.plugin.query_session(handle);
    assert_eq!(info["streams"][0]["active"], true, "an error changes nothing");
}

#[test]
fn videoroom_59_and_90_a_publisher_that_goes() {
    let (mut stage, publisher) = with_publisher();
    let (participant, _) = stage.join(1, 9);
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    let quiet = stage.attach();
    let body = json!({
        "ptype": "subscriber", "room": 1, "streams": [{ "feed": 5 }], "autoupdate": false,
    });
    let attached = ask(&mut stage, quiet, "join", body);
    stage.start_with(quiet, attached.jsep.as_ref().expect("an offer"));
    stage.up(quiet);
    stage.events();
    stage.plans();
    stage.down(publisher);
    let events = stage.events();
    let order: Vec<_> = events.iter().map(|event| event.handle).collect();
    assert_eq!(order, [handle, participant], "subscribers first, the quiet one not at all");
    assert_eq!(events[0].data["streams"][0]["active"], false);
    assert_eq!(events[0].transaction, None);
    assert_eq!(text_of(&events[0]).matches("a=inactive").count(), 2);
    assert_eq!(unrouted(&stage.plans()).len(), 4);
    let wish = json!({ "streams": [{ "sub_mid": "7" }] });
    let updated = ask(&mut stage, quiet, "unsubscribe", wish.clone());
    assert_eq!(updated.data["streams"][0]["active"], false, "what was skipped comes now");
    assert!(updated.jsep.is_some());
    let updating = ask(&mut stage, handle, "unsubscribe", wish);
    assert_eq!(updating.data["videoroom"], "updated", "nothing changed");
}

#[test]
fn videoroom_88_subscribers_of_who_left() {
    let (mut stage, publisher) = with_publisher();
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    let events = stage.ask(publisher, json!({ "request": "leave" }), None);
    assert!(of(&events, handle).is_empty());
    stage.down(publisher);
    assert!(of(&stage.events(), handle).is_empty());
    let wish = json!({ "streams": [{ "feed": 5 }] });
    let updated = ask(&mut stage, handle, "unsubscribe", wish);
    assert_eq!(updated.data["streams"][1]["active"], false);
    assert!(updated.jsep.is_some());
}

#[test]
fn subscribers_of_who_was_kicked_are_updated() {
    let (mut stage, _) = with_publisher();
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    stage.sync(json!({ "request": "kick", "room": 1, "id": 5 }));
    let told = of(&stage.events(), handle);
    assert_eq!(told[0]["videoroom"], "updated");
}

#[test]
fn videoroom_67_and_100_an_ice_restart() {
    let (mut stage, _) = with_publisher();
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    let done = ask(&mut stage, handle, "configure", json!({ "restart": true }));
    assert_eq!(done.data, json!({ "videoroom": "event", "room": 1, "configured": "ok" }));
    let jsep = done.jsep.expect("an offer");
    assert!(jsep.restart && jsep.kind == JsepKind::Offer);
    stage.start_with(handle, &jsep);
    let done = ask(&mut stage, handle, "configure", json!({ "update": true }));
    assert!(!done.jsep.expect("an offer").restart);
}

#[test]
fn videoroom_99_restart_while_an_offer_is_out() {
    let (mut stage, _) = with_publisher();
    let (handle, attached) = stage.subscriber(1, json!([{ "feed": 5 }]));
    let body = json!({ "request": "configure", "restart": true });
    assert!(stage.ask(handle, body, None).is_empty(), "the ack only");
    let events = stage.start_with(handle, attached.jsep.as_ref().expect("an offer"));
    let [started, updated] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(started.data["started"], "ok");
    assert_eq!((&updated.data["videoroom"], &updated.transaction), (&json!("updated"), &None));
    assert!(updated.jsep.as_ref().expect("an offer").restart);
}

#[test]
fn videoroom_81_encrypted_and_plain_do_not_mix() {
    let mut stage = stage(json!({}));
    let (secret, _) = stage.join(1, 5);
    let encrypted = Jsep { e2ee: true, ..offer(AV) };
    stage.answer(secret, json!({ "request": "publish" }), Some(encrypted));
    stage.up(secret);
    stage.publisher(1, 6);
    for streams in [json!([{ "feed": 5 }, { "feed": 6 }]), json!([{ "feed": 6 }, { "feed": 5 }])] {
        let (_, refused) = stage.subscriber(1, streams);
        assert_eq!(code(&refused.data), 438);
    }
    let (handle, attached) = stage.subscriber(1, json!([{ "feed": 5 }]));
    assert!(attached.jsep.expect("an offer").e2ee);
    let wish = json!({ "streams": [{ "feed": 6 }] });
    assert_eq!(code(&ask(&mut stage, handle, "subscribe", wish).data), 438);
}

#[test]
fn videoroom_83_handle_info_of_a_subscriber() {
    let (mut stage, _) = with_publisher();
    let (handle, attached) = stage.subscriber(1, json!([{ "feed": 5 }]));
    let state = |stage: &Stage| {
        let info = stage.plugin.query_session(handle);
        let count = info["streams"].as_array().map(Vec::len);
        assert_eq!((&info["type"], count), (&json!("subscriber"), Some(2)));
        ["answered", "pending_offer", "paused"].map(|key| info[key] == true)
    };
    assert_eq!(state(&stage), [false, true, false]);
    stage.start_with(handle, attached.jsep.as_ref().expect("an offer"));
    assert_eq!(state(&stage), [true, false, false]);
}

#[test]
fn videoroom_91_after_the_room_is_gone() {
    let (mut stage, _) = with_publisher();
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    stage.plans();
    stage.sync(json!({ "request": "destroy", "room": 1 }));
    assert!(of(&stage.events(), handle).is_empty());
    assert_eq!(unrouted(&stage.plans()), [0, 1]);
    stage.create(json!({ "room": 1 }));
    stage.publisher(1, 5);
    for name in ["pause", "start", "configure", "leave"] {
        let done = ask(&mut stage, handle, name, json!({}));
        assert_eq!(done.data["videoroom"], "event");
        assert!(done.data.get("error_code").is_none(), "{name}: {}", done.data);
        if name == "configure" {
            let wish = json!({ "streams": [{ "feed": 5 }] });
            assert_eq!(code(&ask(&mut stage, handle, "subscribe", wish).data), 428);
            let wish = json!({ "streams": [{ "feed": 5, "mid": "a", "sub_mid": "0" }] });
            assert_eq!(code(&ask(&mut stage, handle, "switch", wish).data), 426);
        }
    }
}

#[test]
fn videoroom_92_disabled_streams_get_no_line() {
    let mut stage = stage(json!({ "audiocodec": "pcma" }));
    let media = AV.replace("111 0", "111");
    for id in [5, 6] {
        let (publisher, _) = stage.join(1, id);
        stage.answer(publisher, json!({ "request": "publish" }), Some(offer(&media)));
        stage.up(publisher);
    }
    let (handle, attached) = stage.subscriber(1, json!([{ "feed": 5 }, { "feed": 6 }]));
    let lines = attached.data["streams"].as_array().expect("streams");
    let mids: Vec<_> = lines.iter().map(|line| (&line["type"], &line["mid"])).collect();
    assert_eq!(mids, [(&json!("video"), &json!("0")), (&json!("video"), &json!("1"))]);
    assert!(!text_of(&attached).contains("m=audio"));
    stage.start_with(handle, attached.jsep.as_ref().expect("an offer"));
    let wish = json!({ "streams": [{ "feed": 5, "mid": "a" }] });
    let bare = ask(&mut stage, handle, "subscribe", wish);
    assert_eq!(bare.data, json!({ "videoroom": "updated", "room": 1 }));
    let (_, refused) = stage.subscriber(1, json!([{ "feed": 5, "mid": "a" }]));
    assert_eq!(code(&refused.data), 437);
}

#[test]
fn videoroom_101_a_line_that_was_added() {
    let mut stage = stage(json!({}));
    let (participant, _) = stage.join(1, 9);
    let (publisher, _) = stage.join(1, 5);
    let audio =
        AV.split_inclusive("m=video").next().unwrap_or_default().trim_end_matches("m=video");
    stage.answer(publisher, json!({ "request": "publish" }), Some(offer(audio)));
    stage.up(publisher);
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    let events = stage.ask(publisher, json!({ "request": "configure" }), Some(offer(AV)));
    let told = of(&events, participant);
    assert_eq!(told[0]["publishers"][0]["streams"].as_array().map(Vec::len), Some(2));
    assert!(of(&events, handle).is_empty());
}

#[test]
fn videoroom_105_an_answer_that_declines_a_line() {
    let (mut stage, _) = with_publisher();
    let (handle, attached) = stage.subscriber(1, json!([{ "feed": 5 }]));
    let answer = answer_to(attached.jsep.as_ref().expect("an offer"));
    let text = answer.sdp.to_string().replacen("a=recvonly", "a=inactive", 1);
    let sdp = Sdp::parse(&text).expect("valid");
    stage.ask(handle, json!({ "request": "start" }), Some(Jsep { sdp, ..answer }));
    stage.up(handle);
    assert_eq!(routes(&stage.plans()), [(1, true)]);
    let info = stage.plugin.query_session(handle);
    assert_eq!(
        (&info["streams"][0]["ready"], &info["streams"][1]["ready"]),
        (&json!(false), &json!(true))
    );
}

#[test]
fn a_stream_that_turns_inactive_stops_and_nobody_is_told() {
    let (mut stage, publisher) = with_publisher();
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    stage.plans();
    let media = AV.replacen("a=sendonly", "a=inactive", 1);
    let events = stage.ask(publisher, json!({ "request": "configure" }), Some(offer(&media)));
    assert!(of(&events, handle).is_empty());
    assert_eq!(unrouted(&stage.plans()), [0]);
    let wish = json!({ "update": true });
    let done = ask(&mut stage, handle, "configure", wish);
    assert_eq!(text_of(&done).matches("a=inactive").count(), 1);
}

#[test]
fn leaving_is_for_good() {
    let (mut stage, _) = with_publisher();
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    stage.plans();
    let left = ask(&mut stage, handle, "leave", json!({}));
    assert_eq!(left.data, json!({ "videoroom": "event", "room": 1, "left": "ok" }));
    assert_eq!(stage.world.closed, [handle]);
    assert_eq!(unrouted(&stage.plans()), [0, 1]);
    stage.settle();
    let wish = json!({ "streams": [{ "feed": 5 }] });
    assert_eq!(ask(&mut stage, handle, "subscribe", wish).data["videoroom"], "updating");
    let join = json!({ "ptype": "subscriber", "room": 1, "streams": [{ "feed": 5 }] });
    assert_eq!(code(&ask(&mut stage, handle, "join", join).data), 425);
    assert_eq!(ask(&mut stage, handle, "leave", json!({})).data["left"], "ok");
}

#[test]
fn a_hung_up_subscription_starts_anew() {
    let (mut stage, _) = with_publisher();
    let handle = stage.watcher(1, json!([{ "feed": 5 }]));
    stage.down(handle);
    let wish = json!({ "streams": [{ "feed": 5, "mid": "v" }] });
    let updated = ask(&mut stage, handle, "subscribe", wish);
    assert_eq!(updated.data["streams"].as_array().map(Vec::len), Some(1));
    stage.start_with(handle, updated.jsep.as_ref().expect("an offer"));
    stage.plans();
    stage.up(handle);
    assert_eq!(routes(&stage.plans()), [(0, true)]);
    stage.detach(handle);
    stage.sync(json!({ "request": "kick", "room": 1, "id": 5 }));
}
