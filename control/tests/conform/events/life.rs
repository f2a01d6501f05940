//! A whole VideoRoom life, of which every event is held to the schema.

use super::heard_with_media;
use super::receiver::WebServer;
use super::schema::check;
use crate::call::PATIENCE;
use crate::client::Ws;
use crate::target::run;
use bifrons_control::dispatch::CoreSettings;
use bifrons_loadtest::peer::str0m::media::Direction;
use bifrons_loadtest::peer::{Line, Peer, PeerConfig, Shape};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

const ROOM: u64 = 4711;

/// A handle of the VideoRoom.
async fn attach(ws: &mut Ws, session: u64, opaque_id: &str) -> (u64, u64) {
    let request = json!({"janus": "attach", "session_id": session, "opaque_id": opaque_id,
        "plugin": "janus.plugin.videoroom"});
    (session, ws.ask(request).await["data"]["id"].as_u64().expect("a handle"))
}

/// A request that is answered by an event; the event.
async fn ask(ws: &mut Ws, at: (u64, u64), body: Value, jsep: Option<Value>) -> Value {
    let mut request = json!({"janus": "message", "body": body});
    if let Some(jsep) = jsep {
        request["jsep"] = jsep;
    }
    let ack = ws.on(at, request).await;
    assert_eq!(ack["janus"], "ack", "{ack}");
    loop {
        let event = ws.event_within(PATIENCE).await.expect("an answer");
        if event["transaction"] == ack["transaction"] {
            return event;
        }
    }
}

async fn peer() -> Peer {
    Peer::bind(PeerConfig::new(Ipv4Addr::LOCALHOST.into())).await.expect("a peer")
}

/// Data of the plugin's own events, in order.
fn data(web: &WebServer) -> Vec<Value> {
    web.of(64, 0).into_iter().map(|event| event["event"]["data"].clone()).collect()
}

fn name(data: &Value) -> &str {
    data["event"].as_str().or(data["videoroom"].as_str()).unwrap_or_default()
}

#[test]
fn a_whole_videoroom_life_is_told_as_the_reference_says() {
    run(async {
        let Some((target, web)) = heard_with_media(CoreSettings::default()).await else { return };
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let keeper = attach(&mut ws, session, "keeper").await;
        let create = json!({"request": "create", "room": ROOM});
        let made = ws.on(keeper, json!({"janus": "message", "body": create})).await;
        assert_eq!(made["plugindata"]["data"]["videoroom"], "created", "{made}");

        let ada = attach(&mut ws, session, "ada").await;
        let join = json!({"request": "join", "ptype": "publisher", "room": ROOM, "id": 7,
            "display": "Ada"});
        ask(&mut ws, ada, join, None).await;
        let publisher = peer().await;
        let lines = vec![Line::audio(Direction::SendOnly), Line::video(Direction::SendOnly)];
        let (mids, sdp) = publisher.offer(lines).await.expect("an offer");
        let offer = json!({"type": "offer", "sdp": sdp});
        let answer = ask(&mut ws, ada, json!({"request": "publish"}), Some(offer)).await;
        publisher.accept_answer(answer["jsep"]["sdp"].as_str().expect("SDP")).await.expect("fits");
        publisher.connected(PATIENCE).await.expect("up");
        publisher.send(&mids[0], None, Shape::audio()).await.expect("audio");
        publisher.send(&mids[1], None, Shape::video(200_000)).await.expect("video");

        let bob = attach(&mut ws, session, "bob").await;
        let join = json!({"request": "join", "ptype": "subscriber", "room": ROOM,
            "streams": [{"feed": 7}]});
        // The room knows of the stream once the publisher is up.
        web.event("published", |event| name(&event["event"]["data"]) == "published").await;
        let attached = ask(&mut ws, bob, join, None).await;
        let subscriber = peer().await;
        let sdp = attached["jsep"]["sdp"].as_str().unwrap_or_else(|| panic!("{attached}"));
        let answer = subscriber.accept_offer(sdp).await.expect("an answer");
        let answer = json!({"type": "answer", "sdp": answer});
        ask(&mut ws, bob, json!({"request": "start"}), Some(answer)).await;
        subscriber.connected(PATIENCE).await.expect("up");
        web.event("subscribed", |event| name(&event["event"]["data"]) == "subscribed").await;
        web.until("statistics", |web| web.of(32, 3).len() >= 4).await;

        ask(&mut ws, ada, json!({"request": "configure", "bitrate": 100_000}), None).await;
        ask(&mut ws, ada, json!({"request": "unpublish"}), None).await;
        ask(&mut ws, ada, json!({"request": "leave"}), None).await;
        let destroy = json!({"request": "destroy", "room": ROOM});
        ws.on(keeper, json!({"janus": "message", "body": destroy})).await;
        ws.ask(json!({"janus": "destroy", "session_id": session})).await;
        drop(ws);
        web.event("gone", |event| event["event"]["data"]["event"] == "disconnected").await;
        let hangups = |web: &WebServer| {
            let all = web.of(16, 6).into_iter();
            all.filter(|event| event["event"]["connection"] == "hangup").count()
        };
        web.until("both ends", |web| hangups(web) == 2).await;

        let events = web.events();
        for event in &events {
            assert_eq!(check(event), Ok(()));
            assert_eq!(event["emitter"], "tester");
        }
        let times: Vec<u64> =
            events.iter().filter_map(|event| event["timestamp"].as_u64()).collect();
        assert!(times.is_sorted() && times.len() == events.len(), "in order");
        for (handle, opaque_id) in [(keeper, "keeper"), (ada, "ada"), (bob, "bob")] {
            let of = events.iter().filter(|event| event["handle_id"] == handle.1);
            assert!(of.into_iter().all(|event| event["opaque_id"] == opaque_id));
        }
        plugin_events(&web, keeper.1);
    });
}

/// What the plugin tells, in order, and the bodies that the reference spells out.
fn plugin_events(web: &WebServer, keeper: u64) {
    let data = data(web);
    let names: Vec<&str> = data.iter().map(name).collect();
    let wanted = [
        "created",
        "joined",
        "configured",
        "published",
        "subscribing",
        "subscribed",
        "configured",
        "unpublished",
        "leaving",
        "destroyed",
    ];
    let mut rest = names.iter();
    for name in wanted {
        assert!(rest.any(|have| *have == name), "{name} in {names:?}");
    }
    let find = |wanted: &str| data.iter().find(|data| name(data) == wanted).expect("told");
    assert_eq!(*find("created"), json!({"event": "created", "room": ROOM}));
    let by = web.of(64, 0).into_iter().next().expect("the first");
    assert_eq!(by["handle_id"], keeper, "who asked is named");
    let joined = find("joined");
    assert_eq!((&joined["room"], &joined["id"]), (&json!(ROOM), &json!(7)));
    assert!(joined["private_id"].is_u64() && joined["display"] == "Ada", "{joined}");
    let published = find("published");
    let streams = published["streams"].as_array().expect("streams");
    assert_eq!((streams.len(), &streams[1]["codec"]), (2, &json!("vp8")));
    let subscribing = find("subscribing");
    assert!(subscribing["streams"].is_array() && subscribing["private_id"].is_u64());
    assert_eq!(*find("subscribed"), json!({"event": "subscribed", "room": ROOM}));
    let gone = json!({"event": "leaving", "room": ROOM, "id": 7, "display": "Ada"});
    assert_eq!(*find("leaving"), gone);
}
