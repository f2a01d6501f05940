//! Requests about a handle without a PeerConnection.

use super::{Operator, at, setup};
use crate::call::PATIENCE;
use crate::client::{Ws, code_of, error_of};
use crate::target::{Target, run};
use serde_json::{Value, json};

/// The next event of the core: 1.1.2 has EchoTest say `done` whether or not a call had begun.
async fn own_event(ws: &mut Ws) -> Option<Value> {
    loop {
        let event = ws.event_within(PATIENCE).await?;
        if event["janus"] != "event" {
            return Some(event);
        }
    }
}

#[test]
fn admin_24_the_plugins_view_alone() {
    run(async {
        let target = Target::with_admin().await;
        let (session, handle, _) = target.http().attached().await;
        for mut operator in Operator::both(&target).await {
            let look = at((session, handle), json!({"janus": "handle_info", "plugin_only": true}));
            let reply = operator.done(look).await;
            assert_eq!(
                (&reply["session_id"], &reply["handle_id"]),
                (&json!(session), &json!(handle))
            );
            let info = reply["info"].as_object().expect("an object");
            assert_eq!(info["plugin"], "janus.plugin.echotest");
            assert!(info["plugin_specific"].is_object());
            for absent in ["flags", "sdps", "webrtc"] {
                assert_eq!(info.get(absent), None, "{absent}");
            }
            let wrong = at((session, handle), json!({"janus": "handle_info", "plugin_only": 1}));
            let text = "467 Invalid element type (plugin_only should be a boolean)";
            assert_eq!(operator.refused(wrong).await, text);
        }
    });
}

#[test]
fn admin_25_and_61_before_a_peer_connection_there_is_no_webrtc() {
    run(async {
        let target = Target::with_admin().await;
        let http = target.http();
        let session = http.create().await;
        let attach =
            json!({"janus": "attach", "plugin": "janus.plugin.echotest", "opaque_id": "u"});
        let reply = http.post(&format!("/{session}"), attach).await;
        let handle = reply["data"]["id"].as_u64().expect("a handle");
        let mut operator = Operator::http(&target);
        let reply = operator.done(at((session, handle), json!({"janus": "handle_info"}))).await;
        let info = &reply["info"];
        assert_eq!((&info["session_id"], &info["handle_id"]), (&json!(session), &json!(handle)));
        assert_eq!(info["session_transport"], "janus.transport.http");
        assert_eq!((&info["opaque_id"], &info["loop-running"]), (&json!("u"), &json!(true)));
        assert_eq!((info.get("webrtc"), &info["sdps"]), (None, &json!({})));
        for time in ["session_last_activity", "created", "current_time", "session_timeout"] {
            assert!(info[time].is_u64(), "{time}");
        }
        assert!(info["current_time"].as_u64() >= info["created"].as_u64());
        let flags = info["flags"].as_object().expect("flags");
        let names: Vec<_> = flags.keys().map(String::as_str).collect();
        let wanted = [
            "got-offer",
            "got-answer",
            "negotiated",
            "processing-offer",
            "starting",
            "ice-restart",
            "ready",
            "stopped",
            "alert",
            "trickle",
            "all-trickles",
            "resend-trickles",
            "trickle-synced",
            "data-channels",
            "has-audio",
            "has-video",
            "new-datachan-sdp",
            "rfc4588-rtx",
            "cleaning",
            "e2ee",
        ];
        assert_eq!(names, wanted);
        // 1.1.2 has no alert before a PeerConnection.
        let raised = flags.iter().filter(|(_, value)| **value == json!(true));
        assert!(raised.into_iter().all(|(name, _)| name == "alert"), "{flags:?}");
        assert!(flags.values().all(Value::is_boolean));
    });
}

#[test]
fn a_token_is_shown_at_the_handle_it_attached() {
    run(async {
        let setup = crate::target::Setup { token_auth: true, ..setup() };
        let Some(target) = Target::with(setup).await else { return };
        let mut operator = Operator::http(&target);
        operator.done(json!({"janus": "add_token", "token": "tok"})).await;
        let mut ws = target.ws().await;
        let session = ws.create_with(json!({"token": "tok"})).await;
        let attach = json!({"janus": "attach", "session_id": session, "token": "tok",
            "plugin": "janus.plugin.echotest"});
        let handle = ws.ask(attach).await["data"]["id"].as_u64().expect("a handle");
        let reply = operator.done(at((session, handle), json!({"janus": "handle_info"}))).await;
        assert_eq!(reply["info"]["token"], "tok");
        assert_eq!(reply["info"]["session_transport"], "janus.transport.websockets");
    });
}

#[test]
fn a_detached_handle_is_gone_and_its_owner_is_told() {
    run(async {
        let target = Target::with_admin().await;
        for mut operator in Operator::both(&target).await {
            let mut ws = target.ws().await;
            let (session, handle) = ws.attached().await;
            let detach = at((session, handle), json!({"janus": "detach_handle"}));
            assert_eq!(operator.done(detach.clone()).await["session_id"], session);
            let told = json!({"janus": "detached", "session_id": session, "sender": handle});
            assert_eq!(own_event(&mut ws).await, Some(told));
            let gone = format!("459 No such handle {handle} in session {session}");
            assert_eq!(error_of(&operator.ask(detach).await), gone);
        }
    });
}

#[test]
fn nothing_to_hang_up_is_no_failure_and_no_event() {
    run(async {
        let target = Target::with_admin().await;
        let mut operator = Operator::ws(&target).await;
        let mut ws = target.ws().await;
        let handle = ws.attached().await;
        let reply = operator.done(at(handle, json!({"janus": "hangup_webrtc"}))).await;
        assert_eq!(reply["session_id"], handle.0);
        assert_eq!(ws.ask(json!({"janus": "ping"})).await["janus"], "pong");
        assert_eq!(ws.kept_event().filter(|event| event["janus"] != "event"), None);
        let nobody = at((handle.0, 77), json!({"janus": "hangup_webrtc"}));
        assert_eq!(code_of(&operator.ask(nobody).await), 459);
    });
}
