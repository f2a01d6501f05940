//! Lines of the checklist about what is on the wire rather than in the plugin: acknowledgements,
//! errors of the core, descriptions.

use super::stage::{PATIENCE, Stage, hears, run};
use bifrons_loadtest::janus::{Handle, Jsep};
use serde_json::{Value, json};

/// What a browser offers: audio and video.
fn offer(ufrag: &str) -> String {
    let text = include_str!("../../../../core/src/sdp/fixtures/chromium156.sdp");
    let text = text.lines().collect::<Vec<_>>().join("\r\n") + "\r\n";
    let (before, rest) = text.split_once("a=ice-ufrag:").expect("credentials");
    let former = rest.lines().next().expect("a ufrag").to_owned();
    before.to_owned() + "a=ice-ufrag:" + &rest.replace(&former, ufrag).replacen(&former, ufrag, 1)
}

fn join(room: &Value) -> Value {
    json!({"request": "join", "ptype": "publisher", "room": room})
}

fn code(reply: &Value) -> u64 {
    assert_eq!(reply["janus"], "error", "{reply}");
    reply["error"]["code"].as_u64().expect("a number")
}

async fn message(handle: &Handle, extra: Value) -> Value {
    handle.request("message", extra).await.expect("a reply")
}

#[test]
fn videoroom_18_an_unknown_request_is_423_without_an_ack() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let reply = message(&stage.keeper, json!({"body": {"request": "dance"}})).await;
        assert_eq!(reply["janus"], "success", "{reply}");
        assert_eq!(reply["plugindata"]["data"]["error_code"], 423);
    });
}

#[test]
fn videoroom_84_one_ack_and_one_event_for_each_request() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let mut handle = stage.attach().await;
        handle.ask(join(&stage.room), None).await.expect("joined");
        for _ in 0..20 {
            let body = json!({"request": "configure", "bitrate": 128_000});
            let ack = message(&handle, json!({"body": body})).await;
            assert_eq!(ack["janus"], "ack", "{ack}");
            let transaction = ack["transaction"].clone();
            let its = |event: &Value| event["transaction"] == transaction;
            let event = handle.event_where("the answer", its).await.expect("an event");
            assert_eq!(event["plugindata"]["data"]["configured"], "ok");
        }
        let left = handle.take_events();
        assert!(left.iter().all(|event| event["janus"] != "event"), "{left:?}");
    });
}

#[test]
fn videoroom_85_the_core_refuses_what_is_no_message() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let handle = stage.attach().await;
        assert_eq!(code(&message(&handle, json!({})).await), 456);
        assert_eq!(code(&message(&handle, json!({"body": [1]})).await), 467);
        let body = json!({"request": "publish"});
        let broken = json!({"type": "offer", "sdp": "no description"});
        assert_eq!(code(&message(&handle, json!({"body": body, "jsep": broken})).await), 465);
        let answer = json!({"type": "answer", "sdp": offer("abcd")});
        let start = json!({"request": "start"});
        assert_eq!(code(&message(&handle, json!({"body": start, "jsep": answer})).await), 469);
    });
}

#[test]
fn videoroom_86_after_a_refused_publish_a_hangup_clears_the_way() {
    run(async {
        let mut stage = Stage::set(json!({"publishers": 1})).await;
        let _first = stage.sender(false).await;
        let mut second = stage.attach().await;
        second.ask(join(&stage.room), None).await.expect("joined");
        let publish = json!({"request": "publish"});
        let try_with = |ufrag: &str| Some(Jsep::offer(offer(ufrag)));
        let refused = second.ask(publish.clone(), try_with("aaaa")).await.expect("an event");
        assert_eq!(refused.data["error_code"], 432, "{}", refused.data);
        stage.manage(json!({"request": "edit", "new_publishers": 2})).await;
        // Janus keeps the half-made PeerConnection and refuses other credentials; ours take them.
        let jsep = json!({"type": "offer", "sdp": offer("bbbb")});
        let again = message(&second, json!({"body": publish, "jsep": jsep})).await;
        if again["janus"] == "ack" {
            let its = |event: &Value| event["transaction"] == again["transaction"];
            let event = second.event_where("the answer", its).await.expect("an event");
            assert_eq!(event["plugindata"]["data"]["configured"], "ok", "{event}");
        } else {
            assert_eq!(code(&again), 490);
        }
        second.hangup().await.expect("hung up");
        let done = second.ask(publish, try_with("cccc")).await.expect("an event");
        assert_eq!(done.data["configured"], "ok", "{}", done.data);
    });
}

#[test]
fn videoroom_90_updated_comes_before_unpublished() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let mut other = stage.lurk().await;
        let sender = stage.sender(false).await;
        let mut watcher = stage.watch(json!([{"feed": sender.id}])).await;
        watcher.frames("0", 2).await;
        sender.handle.hangup().await.expect("hung up");
        // Both handles belong to one session: whoever has heard the later has the earlier.
        let id = sender.id.clone();
        hears(&mut other, "unpublished", |data| data["unpublished"] == id).await;
        let have = watcher.handle.take_events();
        let updated = |event: &Value| event["plugindata"]["data"]["videoroom"] == "updated";
        assert!(have.iter().any(updated), "{have:?}");
    });
}

#[test]
fn videoroom_98_svc_is_named_by_a_text() {
    run(async {
        let stage = Stage::set(json!({"videocodec": "vp9"})).await;
        for (svc, wanted) in [(json!(true), Value::Null), (json!("L2T1"), json!(true))] {
            let mut handle = stage.attach().await;
            let body = json!({
                "request": "joinandconfigure", "ptype": "publisher", "room": stage.room,
            });
            let mut jsep = Jsep::offer(offer("abcd"));
            jsep.extra.insert("svc".to_owned(), json!([{"mindex": 1, "svc": svc}]));
            let joined = handle.ask(body, Some(jsep)).await.expect("an event").data;
            let streams = joined["streams"].as_array().expect("streams");
            let video = streams.iter().find(|stream| stream["type"] == "video").expect("video");
            assert_eq!(video["svc"], wanted, "{joined}");
        }
    });
}

#[test]
fn videoroom_100_restarts_and_updates_are_bare_offers() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let sender = stage.sender(false).await;
        let mut watcher = stage.watch(json!([{"feed": sender.id}])).await;
        for key in ["update", "restart"] {
            let body = json!({"request": "configure", key: true});
            let answer = watcher.handle.ask(body, None).await.expect("an answer");
            assert_eq!(answer.data["configured"], "ok", "{}", answer.data);
            let jsep = answer.jsep.expect("an offer");
            assert_eq!(jsep.kind, "offer");
            assert!(jsep.extra.is_empty(), "{:?}", jsep.extra);
            assert_eq!(watcher.start(&jsep.sdp).await["started"], "ok");
        }
        watcher.peer.connected(PATIENCE).await.expect("connected again");
        watcher.frames("0", 2).await;
    });
}
