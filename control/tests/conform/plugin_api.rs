//! The contract between host and plugins (plugin-api checklist), seen from both of its sides.

use crate::client::{Ws, code_of, error_of};
use crate::spy::{Notes, SPY};
use crate::target::{Setup, Target, run};
use crate::tokens::signed;
use bifrons_control::transport::moment;
use serde_json::{Value, json};

/// A server with a spy, without media.
pub(crate) async fn spied(setup: Setup) -> Option<(Target, Notes)> {
    let notes = Notes::default();
    let plugins = vec![notes.plugin()];
    Some((Target::with(Setup { plugins, ..setup }).await?, notes))
}

/// Attaches to the spy.
pub(crate) async fn attach(ws: &mut Ws, session: u64) -> (u64, u64) {
    let attach = json!({"janus": "attach", "session_id": session, "plugin": SPY});
    let reply = ws.ask(attach).await;
    (session, reply["data"]["id"].as_u64().unwrap_or_else(|| panic!("no handle: {reply}")))
}

/// A request that has the spy do something.
fn order(word: &str, with: Value) -> Value {
    json!({"janus": "message", "body": {"do": word, "with": with}})
}

#[test]
fn plugin_api_01_a_plugin_that_does_not_start_is_left_out() {
    run(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        for broken in [true, false] {
            let notes = Notes::default();
            notes.broken.set(broken);
            notes.old.set(!broken);
            let plugin = notes.plugin();
            let added = target.front().with(|core, now| core.add_plugin(now, plugin, None));
            assert!(added.is_err(), "broken {broken}");
            let mut ws = target.ws().await;
            let session = ws.create().await;
            let attach = json!({"janus": "attach", "session_id": session, "plugin": SPY});
            assert_eq!(error_of(&ws.ask(attach).await), format!("460 No such plugin '{SPY}'"));
            ws.attach(session).await;
            assert_eq!(notes.hooks(), [""; 0]);
        }
    });
}

#[test]
fn plugin_api_02_a_refused_session_sees_no_further_hook() {
    run(async {
        let Some((target, notes)) = spied(Setup::default()).await else { return };
        notes.refuses.set(true);
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let attach = json!({"janus": "attach", "session_id": session, "plugin": SPY});
        assert_eq!(code_of(&ws.ask(attach).await), 461);
        let destroy = json!({"janus": "destroy", "session_id": session});
        assert_eq!(ws.ask(destroy).await["janus"], "success");
        assert_eq!(notes.hooks(), ["create_session"]);
    });
}

#[test]
fn plugin_api_03_verdicts_become_replies() {
    run(async {
        let Some((target, _)) = spied(Setup::default()).await else { return };
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let at = attach(&mut ws, session).await;
        let reply = ws.on(at, order("reply", json!({"n": 1}))).await;
        assert_eq!(reply["janus"], "success");
        assert_eq!(reply["plugindata"], json!({"plugin": SPY, "data": {"n": 1}}));
        let reply = ws.on(at, order("ack", json!("soon"))).await;
        assert_eq!((&reply["janus"], &reply["hint"]), (&json!("ack"), &json!("soon")));
        let reply = ws.on(at, order("ack", json!(null))).await;
        assert_eq!((&reply["janus"], reply.get("hint")), (&json!("ack"), None));
        for broken in [
            order("error", json!("no luck")),
            order("error", json!(null)),
            order("reply", json!(["no object"])),
            order("empty", json!(null)),
        ] {
            assert_eq!(code_of(&ws.on(at, broken).await), 462);
        }
        let reply = ws.on(at, order("error", json!("no luck"))).await;
        assert_eq!(error_of(&reply), "462 no luck");
    });
}

#[test]
fn plugin_api_04_events_follow_the_reply() {
    run(async {
        let Some((target, _)) = spied(Setup::default()).await else { return };
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let at = attach(&mut ws, session).await;
        for (with, first) in [("ack", "ack"), ("reply", "success")] {
            let request = json!({"janus": "message", "session_id": at.0, "handle_id": at.1,
                "transaction": with, "body": {"do": "events", "with": with}});
            let reply = ws.ask_raw(&request.to_string()).await;
            assert_eq!((&reply["janus"], &reply["transaction"]), (&json!(first), &json!(with)));
            for number in 0..3 {
                let event = ws.next().await;
                assert_eq!(
                    (&event["janus"], &event["transaction"]),
                    (&json!("event"), &json!(with))
                );
                assert_eq!(event["plugindata"]["data"]["number"], number);
            }
        }
    });
}

#[test]
fn plugin_api_06_closing_what_never_began_does_nothing() {
    run(async {
        let Some((target, notes)) = spied(Setup::default()).await else { return };
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let at = attach(&mut ws, session).await;
        assert_eq!(ws.on(at, order("close", json!(null))).await["janus"], "ack");
        ws.no_event().await;
        assert_eq!(notes.hooks(), ["create_session", "handle_message"]);
        let offer = include_str!("../../../core/src/sdp/fixtures/chromium156.sdp");
        let offer = json!({"janus": "message", "body": {"audio": true},
            "jsep": {"type": "offer", "sdp": offer}});
        assert_eq!(ws.on(at, offer).await["janus"], "ack");
        assert_eq!(ws.event().await["jsep"]["type"], "answer");
        assert_eq!(ws.on(at, order("close", json!(null))).await["janus"], "ack");
        let done = ws.event().await;
        assert_eq!(done["plugindata"]["data"]["result"], "done", "{done}");
        let hangup = ws.event().await;
        assert_eq!((&hangup["janus"], &hangup["reason"]), (&json!("hangup"), &json!("Close PC")));
        assert_eq!((notes.count("hangup_media"), notes.count("destroy_session")), (1, 0));
        assert_eq!(ws.on(at, order("ack", json!(null))).await["janus"], "ack", "still there");
    });
}

#[test]
fn plugin_api_07_an_ended_handle_is_destroyed_once() {
    run(async {
        let Some((target, notes)) = spied(Setup::default()).await else { return };
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let at = attach(&mut ws, session).await;
        assert_eq!(ws.on(at, order("end", json!(null))).await["janus"], "ack");
        assert_eq!(ws.event().await["plugindata"]["data"], json!({"last": "words"}));
        let detached = json!({"janus": "detached", "session_id": at.0, "sender": at.1});
        assert_eq!(ws.event().await, detached);
        assert_eq!(code_of(&ws.on(at, order("ack", json!(null))).await), 459);
        ws.no_event().await;
        assert_eq!(notes.hooks(), ["create_session", "handle_message", "destroy_session"]);
    });
}

#[test]
fn plugin_api_14_what_is_no_object_is_left_out() {
    run(async {
        let Some((target, notes)) = spied(Setup::default()).await else { return };
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let at = attach(&mut ws, session).await;
        for mumbles in [false, true] {
            notes.mumbles.set(mumbles);
            let described = target.front().with(|core, _| {
                let key = core.handle_key(at.0, at.1).expect("a handle");
                core.query_handle(key)
            });
            assert_eq!(described.is_some(), !mumbles);
        }
    });
}

#[test]
fn plugin_api_15_a_token_grants_what_it_says() {
    run(async {
        let token_auth = true;
        let setup = Setup { token_auth, token_secret: Some("sign me"), ..Setup::default() };
        let Some((target, _)) = spied(setup).await else { return };
        let now_s = moment().wall_us / 1_000_000;
        let (later, earlier) = (now_s + 60, now_s - 60);
        let pass = signed(&format!("{later},janus,{SPY}"));
        let mut ws = target.ws().await;
        let session = ws.create_with(json!({"token": pass})).await;
        let attach =
            json!({"janus": "attach", "session_id": session, "plugin": SPY, "token": pass});
        let handle = ws.ask(attach).await["data"]["id"].as_u64().expect("a handle");
        for (data, grants) in [
            (format!("{later},{SPY},room=1"), true),
            (format!("{later},{SPY},room=2,room=1"), true),
            (format!("{later},janus,room=1"), false),
            (format!("{earlier},{SPY},room=1"), false),
            (format!("{later},{SPY},room=10"), false),
            (format!("{later},{SPY}"), false),
        ] {
            let mut request = order("grants", json!({"token": signed(&data), "for": "room=1"}));
            request["token"] = json!(pass);
            let reply = ws.on((session, handle), request).await;
            let want = json!({"signed": true, "grants": grants});
            assert_eq!(reply["plugindata"]["data"], want, "{data}: {reply}");
        }
        let forged = signed(&format!("{later},{SPY},room=1")).replace("room=1", "room=7");
        let mut request = order("grants", json!({"token": forged, "for": "room=7"}));
        request["token"] = json!(pass);
        let reply = ws.on((session, handle), request).await;
        assert_eq!(reply["plugindata"]["data"]["grants"], false);
    });
}
