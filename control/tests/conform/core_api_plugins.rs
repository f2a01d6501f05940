//! Messages to plugins, and the client's candidates.

use crate::client::{code_of, error_of};
use crate::target::{Setup, Target, run};
use bifrons_control::dispatch::CoreSettings;
use serde_json::{Value, json};

fn message(body: Value) -> Value {
    json!({"janus": "message", "body": body})
}

#[test]
fn core_api_27_a_message_needs_a_body() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let reply = ws.on(at, json!({"janus": "message"})).await;
        assert_eq!(error_of(&reply), "456 Missing mandatory element (body)");
        let reply = ws.on(at, message(json!("text"))).await;
        assert_eq!(error_of(&reply), "467 Invalid element type (body should be an object)");
    });
}

#[test]
fn core_api_28_jsep_null_is_refused_unseen_by_the_plugin() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let ask = json!({"janus": "message", "body": {"audio": true}, "jsep": null});
        assert_eq!(error_of(&ws.on(at, ask).await), "455 Invalid jsep object");
        ws.no_event().await;
    });
}

#[test]
fn core_api_29_other_jsep_types() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let jsep = json!({"type": "pranswer", "sdp": "v=0"});
        let ask = json!({"janus": "message", "body": {"audio": true}, "jsep": jsep});
        assert_eq!(code_of(&ws.on(at, ask).await), 464);
        ws.no_event().await;
    });
}

#[test]
fn core_api_31_an_asynchronous_request_is_acknowledged_then_answered() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let ack = ws.on(at, message(json!({"audio": true}))).await;
        assert_eq!((&ack["janus"], &ack["session_id"]), (&json!("ack"), &json!(at.0)));
        let event = ws.event().await;
        assert_eq!((&event["janus"], &event["sender"]), (&json!("event"), &json!(at.1)));
        assert_eq!(event["transaction"], ack["transaction"]);
        assert_eq!(event["plugindata"]["plugin"], "janus.plugin.echotest");
        assert_eq!(event["plugindata"]["data"], json!({"echotest": "event", "result": "ok"}));
    });
}

#[test]
fn core_api_31_a_synchronous_request_is_answered_at_once() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let attach = json!({"janus": "attach", "session_id": session,
            "plugin": "janus.plugin.videoroom"});
        let at = (session, ws.ask(attach).await["data"]["id"].as_u64().expect("a handle"));
        let reply = ws.on(at, message(json!({"request": "list"}))).await;
        assert_eq!((&reply["janus"], &reply["session_id"]), (&json!("success"), &json!(at.0)));
        assert_eq!(reply["sender"], at.1);
        assert_eq!(reply["plugindata"]["plugin"], "janus.plugin.videoroom");
        assert_eq!(reply["plugindata"]["data"]["videoroom"], "success");
        assert!(reply["plugindata"]["data"]["list"].is_array() && reply.get("data").is_none());
        // An error of the plugin is no error of the API (line 32).
        let reply = ws.on(at, message(json!({"request": "exists"}))).await;
        assert_eq!(reply["janus"], "success");
        assert!(reply["plugindata"]["data"]["error_code"].is_u64(), "{reply}");
        ws.no_event().await;
    });
}

#[test]
fn core_api_32_plugin_errors_stay_inside_plugindata() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let ack = ws.on(at, message(json!({"audio": "no boolean"}))).await;
        assert_eq!(ack["janus"], "ack");
        let event = ws.event().await;
        assert_eq!((&event["janus"], &event["sender"]), (&json!("event"), &json!(at.1)));
        assert!(event["plugindata"]["data"]["error_code"].is_u64(), "{event}");
        assert!(event["plugindata"]["data"]["error"].is_string() && event.get("error").is_none());
    });
}

#[test]
fn core_api_33_a_trickle_before_the_offer_is_acknowledged() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let candidate = json!({"candidate": "candidate:1 1 udp 1 192.0.2.7 5 typ host",
            "sdpMid": "0"});
        let ask = json!({"janus": "trickle", "candidate": candidate, "transaction": "t"});
        let want = json!({"janus": "ack", "session_id": at.0, "transaction": "t"});
        assert_eq!(ws.on(at, ask).await, want);
        ws.no_event().await;
    });
}

#[test]
fn core_api_34_candidate_or_candidates() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let both = json!({"janus": "trickle", "candidate": {}, "candidates": []});
        assert_eq!(
            error_of(&ws.on(at, both).await),
            "454 Can't have both candidate and candidates"
        );
        assert_eq!(
            error_of(&ws.on(at, json!({"janus": "trickle"})).await),
            "456 Missing mandatory element (candidate|candidates)"
        );
    });
}

#[test]
fn core_api_36_an_array_with_a_bad_element_is_acknowledged() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let list = json!([{"sdpMid": 5}, 7, {"completed": true}]);
        let reply = ws.on(at, json!({"janus": "trickle", "candidates": list})).await;
        assert_eq!((&reply["janus"], &reply["session_id"]), (&json!("ack"), &json!(at.0)));
    });
}

#[test]
fn core_api_41_opaque_ids_are_shown_when_configured() {
    run(async {
        for shown in [true, false] {
            let core = CoreSettings { opaque_id_in_api: shown, ..CoreSettings::default() };
            let setup = Setup { core, ..Setup::default() };
            let Some(target) = Target::with(setup).await else { return };
            let mut ws = target.ws().await;
            let session = ws.create().await;
            let reply = ws
                .ask(json!({"janus": "attach", "session_id": session, "opaque_id": "u-42",
                    "plugin": "janus.plugin.echotest"}))
                .await;
            let at = (session, reply["data"]["id"].as_u64().expect("a handle"));
            ws.on(at, message(json!({"audio": true}))).await;
            let event = ws.event().await;
            let want = if shown { json!("u-42") } else { Value::Null };
            assert_eq!((&event["janus"], &event["opaque_id"]), (&json!("event"), &want));
        }
    });
}

#[test]
fn core_api_50_the_final_event_has_the_requests_transaction() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        for transaction in ["one", "two", "", "two"] {
            let ask =
                json!({"janus": "message", "transaction": transaction, "body": {"video": true}});
            assert_eq!(ws.on(at, ask).await["janus"], "ack");
            let event = ws.event().await;
            assert_eq!(
                (&event["janus"], &event["transaction"]),
                (&json!("event"), &json!(transaction))
            );
            assert_eq!(event["plugindata"]["data"]["result"], "ok", "{event}");
        }
    });
}

#[test]
fn core_api_52_a_message_gets_ack_success_or_error() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        for body in [json!({}), json!({"audio": true}), json!({"audio": 1}), json!({"x": [1]})] {
            let reply = ws.on(at, message(body)).await;
            let fits = match reply["janus"].as_str() {
                Some("ack") => true,
                Some("success") => reply["plugindata"].is_object(),
                Some("error") => reply["error"]["code"].is_u64(),
                _ => false,
            };
            assert!(fits && reply["session_id"] == at.0, "{reply}");
        }
    });
}

#[test]
fn core_api_59_fifty_requests_back_to_back() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        for n in 0..50 {
            let ask = json!({"janus": "message", "transaction": n.to_string(),
                "session_id": at.0, "handle_id": at.1, "body": {"audio": true}});
            ws.send_text(&ask.to_string()).await;
        }
        let mut seen = vec![(0, 0); 50];
        for _ in 0..100 {
            let message = ws.next().await;
            let n: usize = message["transaction"].as_str().expect("one").parse().expect("ours");
            match message["janus"].as_str() {
                Some("ack") => seen[n].0 += 1,
                Some("event") if message["plugindata"]["data"]["result"] == "ok" => seen[n].1 += 1,
                _ => panic!("{message}"),
            }
        }
        assert!(seen.iter().all(|counts| *counts == (1, 1)), "{seen:?}");
    });
}

#[test]
fn core_api_60_info_lists_only_what_runs() {
    run(async {
        let target = Target::start().await;
        let info = target.ws().await.ask(json!({"janus": "info"})).await;
        let names = |list: &str| -> Vec<String> {
            info[list].as_object().expect("an object").keys().cloned().collect()
        };
        assert!(names("plugins").contains(&"janus.plugin.echotest".to_owned()));
        assert!(!names("plugins").contains(&"janus.plugin.echolua".to_owned()));
        assert!(names("transports").contains(&"janus.transport.websockets".to_owned()));
        assert!(!names("transports").contains(&"janus.transport.nanomsg".to_owned()));
    });
}
