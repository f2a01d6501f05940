//! What the core tells of sessions, handles, transports and itself.

use super::receiver::{WebServer, is};
use super::{heard, telling};
use crate::admin::{Operator, SECRET};
use crate::client::merged;
use crate::target::{Setup, Target, run, run_paused};
use bifrons_control::admin::AdminSettings;
use bifrons_control::dispatch::CoreSettings;
use bifrons_control::event::Hub;
use serde_json::{Value, json};
use std::time::Duration;

const SAMPLE: &str = "janus.eventhandler.sampleevh";

/// A session that begins and ends, by way of a WebSocket.
async fn some_life(target: &Target) -> (u64, u64) {
    let mut ws = target.ws().await;
    let session = ws.create().await;
    let attach = json!({"janus": "attach", "session_id": session, "opaque_id": "u1",
        "plugin": "janus.plugin.echotest"});
    let handle = ws.ask(attach).await["data"]["id"].as_u64().expect("a handle");
    let message = json!({"janus": "message", "body": {"audio": true}});
    ws.on((session, handle), message).await;
    ws.ask(json!({"janus": "destroy", "session_id": session})).await;
    (session, handle)
}

fn types(web: &WebServer) -> Vec<u64> {
    web.events().iter().filter_map(|event| event["type"].as_u64()).collect()
}

#[test]
fn events_32_a_mask_lets_its_words_through_and_nothing_else() {
    run(async {
        let Some((target, web)) = heard("Sessions, handles,nonsense").await else { return };
        some_life(&target).await;
        web.event("detached", |event| event["event"]["name"] == "detached").await;
        let types = types(&web);
        assert_eq!(types, [1, 2, 1, 2], "created, attached, destroyed, detached");
    });
}

#[test]
fn events_33_plain_types_have_no_subtype() {
    run(async {
        let Some((target, web)) = heard("all").await else { return };
        some_life(&target).await;
        web.event("detached", |event| event["event"]["name"] == "detached").await;
        for kind in [1, 2, 64, 128] {
            let of: Vec<Value> =
                web.events().into_iter().filter(|event| event["type"] == kind).collect();
            assert!(!of.is_empty(), "type {kind}");
            assert!(of.iter().all(|event| event.get("subtype").is_none()), "{of:?}");
        }
    });
}

#[test]
fn events_34_a_session_names_the_connection_it_came_by() {
    run(async {
        let Some((target, web)) = heard("all").await else { return };
        let (session, _) = some_life(&target).await;
        let created = web.event("created", |event| event["event"]["name"] == "created").await;
        assert_eq!(created["session_id"], session);
        let transport = &created["event"]["transport"];
        assert_eq!(transport["transport"], "janus.transport.websockets");
        assert!(transport["id"].is_string());
        let gone = web.event("gone", |event| event["event"]["data"]["event"] == "disconnected");
        let gone = gone.await;
        let connected = web.events().into_iter().find(|event| event["type"] == 128);
        let connected = connected.expect("connected");
        for event in [&connected, &gone] {
            assert_eq!(event["event"]["transport"], "janus.transport.websockets");
            assert_eq!(event["event"]["id"], transport["id"]);
            assert!(event.get("session_id").is_none(), "{event}");
        }
        let data = &connected["event"]["data"];
        assert_eq!((&data["event"], &data["admin_api"]), (&json!("connected"), &json!(false)));
        assert!(data["ip"].as_str().is_some_and(|ip| ip.ends_with("127.0.0.1")), "{data}");
    });
}

#[test]
fn events_70_http_gives_every_request_an_id_of_its_own() {
    run(async {
        let Some((target, web)) = heard("sessions,transports").await else { return };
        let http = target.http();
        let (first, second) = (http.create().await, http.create().await);
        web.until("two sessions", |web| web.of(1, 0).len() == 2).await;
        let events = web.events();
        let requests: Vec<&Value> = events.iter().filter(|event| event["type"] == 128).collect();
        assert_eq!(requests.len(), 2, "{events:?}");
        assert_ne!(requests[0]["event"]["id"], requests[1]["event"]["id"]);
        for (request, session) in requests.iter().zip([first, second]) {
            let data = &request["event"]["data"];
            assert_eq!((&data["event"], &data["admin_api"]), (&json!("request"), &json!(false)));
            assert!(data["port"].is_u64() && data["ip"].is_string(), "{data}");
            let created = events.iter().find(|event| event["session_id"] == session);
            let transport = &created.expect("created")["event"]["transport"];
            assert_eq!(transport["transport"], "janus.transport.http");
            assert_eq!(transport["id"], request["event"]["id"]);
        }
    });
}

#[test]
fn events_66_each_end_of_a_session_is_told_and_a_timeout_as_such() {
    run(async {
        let web = WebServer::start().await;
        let core =
            CoreSettings { session_timeout: Duration::from_secs(2), ..CoreSettings::default() };
        let hub = web.hub("sessions,handles");
        let Some(target) = Target::with(telling(&hub, core)).await else { return };
        let mut ws = target.ws().await;
        let (late, handle) = ws.attached().await;
        web.event("a timeout", |event| event["event"]["name"] == "timeout").await;
        let dropped = ws.create().await;
        drop(ws);
        web.event("an end", |event| event["event"]["name"] == "destroyed").await;
        let ends: Vec<_> = web.events().into_iter().skip(2).collect();
        let seen: Vec<_> = ends.iter().map(|e| (&e["event"]["name"], &e["session_id"])).collect();
        let names = ["timeout", "detached", "created", "destroyed"].map(Value::from);
        let ids = [late, late, dropped, dropped].map(Value::from);
        assert_eq!(seen, names.iter().zip(&ids).collect::<Vec<_>>());
        assert_eq!(ends[1]["handle_id"], handle);
        assert_eq!(ends[1]["event"]["plugin"], "janus.plugin.echotest");
    });
}

#[test]
fn events_35_the_opaque_id_is_in_envelope_and_body() {
    run(async {
        let Some((target, web)) = heard("all").await else { return };
        let (session, handle) = some_life(&target).await;
        web.event("detached", |event| event["event"]["name"] == "detached").await;
        for event in web.events().iter().filter(|event| event.get("handle_id").is_some()) {
            assert_eq!(event["opaque_id"], "u1", "{event}");
            assert_eq!(
                (&event["session_id"], &event["handle_id"]),
                (&json!(session), &json!(handle))
            );
        }
        for attached in web.of(2, 0) {
            assert_eq!(attached["event"]["opaque_id"], "u1");
        }
        let plugin = web.of(64, 0);
        let body = json!({"plugin": "janus.plugin.echotest", "data": {
            "audio_active": true, "video_active": true, "bitrate": 0}});
        assert_eq!(plugin.iter().map(|event| &event["event"]).collect::<Vec<_>>(), [&body]);
    });
}

#[test]
fn events_39_the_server_tells_its_start_every_15_s_and_its_end() {
    run_paused(async {
        let Some((target, web)) = heard("core").await else { return };
        target.front().with(|core, now| core.announce_start(now));
        let mut ws = target.ws().await;
        ws.attached().await;
        web.until("two updates", |web| web.of(256, 1).len() == 3).await;
        target.front().with(|core, now| core.announce_stop(now, 15));
        web.event("the end", |event| is(event, 256, 2)).await;
        let events = web.events();
        assert_eq!(events.len(), 4, "{events:?}");
        let info = &events[0]["event"]["info"];
        assert_eq!(
            (&events[0]["event"]["status"], &info["janus"]),
            (&json!("started"), &json!("server_info"))
        );
        assert_eq!(info["server-name"], "MyJanusInstance");
        let update = json!({"status": "update", "info": {
            "sessions": 1, "handles": 1, "peerconnections": 0, "stats-period": 1}});
        assert_eq!((&events[1]["event"], &events[2]["event"]), (&update, &update));
        let at = |index: usize| events[index]["timestamp"].as_u64().expect("a time");
        assert!(at(0) <= at(1) && at(1) <= at(2) && at(2) <= at(3));
        assert_eq!(events[3]["event"], json!({"status": "shutdown", "signum": 15}));
        assert!(events.iter().all(|event| event.get("session_id").is_none()));
    });
}

/// A server with an Admin API and a handler.
async fn with_admin(events: &str) -> Option<(Target, std::rc::Rc<WebServer>)> {
    let web = WebServer::start().await;
    let secret = Some(SECRET.to_owned());
    let admin_settings = AdminSettings { secret, ..AdminSettings::default() };
    let setup = telling(&web.hub(events), CoreSettings::default());
    let target = Target::with(Setup { admin: true, admin_settings, ..setup }).await?;
    Some((target, web))
}

#[test]
fn events_40_what_an_operator_sends_is_of_type_4() {
    run(async {
        let Some((target, web)) = with_admin("external").await else { return };
        let mut operator = Operator::ws(&target).await;
        let data = json!({"a": [1, {"b": null}]});
        operator.done(json!({"janus": "custom_event", "schema": "s", "data": data})).await;
        let event = web.event("the event", |event| event["type"] == 4).await;
        assert_eq!(event["event"], json!({"schema": "s", "data": data}));
        assert!(event.get("session_id").is_none() && event.get("subtype").is_none());
    });
}

fn tweak(fields: Value) -> Value {
    let request = merged(json!({"request": "tweak"}), &fields);
    json!({"janus": "query_eventhandler", "handler": SAMPLE, "request": request})
}

#[test]
fn events_20_a_tweak_changes_what_is_delivered() {
    run(async {
        let Some((target, web)) = with_admin("external").await else { return };
        let mut operator = Operator::ws(&target).await;
        let done = operator.done(tweak(json!({"events": "sessions", "grouping": false}))).await;
        assert_eq!(done["response"], json!({"result": 200}));
        let custom = json!({"janus": "custom_event", "schema": "s", "data": {}});
        operator.done(custom.clone()).await;
        some_life(&target).await;
        let post = web.post().await.json();
        assert_eq!((&post["type"], &post["event"]["name"]), (&json!(1), &json!("created")));
        operator.done(tweak(json!({"events": "none"}))).await;
        some_life(&target).await;
        operator.done(tweak(json!({"events": "external"}))).await;
        operator.done(custom).await;
        web.event("the second", |event| event["type"] == 4).await;
        assert_eq!(types(&web), [1, 4], "the rest of the first life, and the second operator's");
    });
}

#[test]
fn events_69_a_bad_tweak_is_refused_inside_the_response_and_changes_nothing() {
    run(async {
        let Some((target, web)) = with_admin("external").await else { return };
        let mut operator = Operator::ws(&target).await;
        for (fields, code) in [
            (json!({"grouping": 3}), 413),
            (json!({"events": "none", "max_retransmissions": "x"}), 413),
            (json!({"events": "none", "backend": "ftp://x"}), 413),
            (json!({"request": "dance"}), 411),
            (json!({"request": 7}), 413),
        ] {
            let reply = operator.done(tweak(fields.clone())).await;
            assert_eq!(reply["response"]["error_code"], code, "{fields}: {reply}");
            assert!(reply["response"]["error"].is_string());
        }
        operator.done(json!({"janus": "custom_event", "schema": "s", "data": {}})).await;
        web.event("the event", |event| event["type"] == 4).await;
    });
}

#[test]
fn events_30_without_the_master_switch_nobody_hears_anything() {
    run(async {
        let web = WebServer::start().await;
        let hub = web.hub("all");
        let setup = telling(&hub, CoreSettings::default());
        let core = CoreSettings { events_enabled: false, ..setup.core.clone() };
        let Some(target) = Target::with(Setup { core, ..setup }).await else { return };
        some_life(&target).await;
        assert_eq!(hub.counters()[0].1.accepted, 0);
        let info = target.ws().await.ask(json!({"janus": "info"})).await;
        assert_eq!(info["event_handlers"], false);
        assert!(info["events"].get(SAMPLE).is_some(), "it is there all the same");
    });
}

#[test]
fn events_31_a_handler_without_a_mask_hears_nothing() {
    run(async {
        let web = WebServer::start().await;
        let mut settings = web.settings("all");
        settings.common.events = None;
        let hub = Hub::new("tester");
        bifrons_control::event::http::HttpEvents::start(&hub, &settings).expect("starts");
        let Some(target) = Target::with(telling(&hub, CoreSettings::default())).await else {
            return;
        };
        some_life(&target).await;
        assert_eq!(hub.counters()[0].1.accepted, 0);
        let info = target.ws().await.ask(json!({"janus": "info"})).await;
        assert_eq!(info["event_handlers"], true);
    });
}
