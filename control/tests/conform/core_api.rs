//! Envelope and levels, lines 1–16 and relatives.

use crate::client::{code_of, error_of};
use crate::target::{Setup, Target, run};
use serde_json::json;

fn with_secret() -> Setup {
    Setup { secret: Some("s3cret"), ..Setup::default() }
}

#[test]
fn core_api_01_ping_needs_no_secret() {
    run(async {
        let Some(target) = Target::with(with_secret()).await else { return };
        let reply = target.ws().await.ask(json!({"janus": "ping", "transaction": "p"})).await;
        assert_eq!(reply, json!({"janus": "pong", "transaction": "p"}));
    });
}

#[test]
fn core_api_02_info_needs_no_secret_and_lists_modules() {
    run(async {
        let Some(target) = Target::with(with_secret()).await else { return };
        let info = target.ws().await.ask(json!({"janus": "info"})).await;
        assert_eq!(info["janus"], "server_info");
        for list in ["transports", "events", "loggers", "plugins"] {
            assert!(info[list].is_object(), "{list}");
        }
        assert!(info["plugins"]["janus.plugin.echotest"].is_object());
        assert!(info["transports"]["janus.transport.websockets"].is_object());
    });
}

#[test]
fn core_api_03_created_ids_are_exact_in_javascript() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let reply = ws.ask(json!({"janus": "create"})).await;
        let id = reply["data"]["id"].as_u64().expect("an integer");
        assert!((1..=9_007_199_254_740_991).contains(&id));
        assert!(reply.get("session_id").is_none());
        // It is a session, and the next one is another.
        let alive = ws.ask(json!({"janus": "keepalive", "session_id": id})).await;
        assert_eq!(alive["janus"], "ack", "{alive}");
        assert_ne!(ws.create().await, id);
    });
}

#[test]
fn core_api_04_a_wanted_id_is_given_once() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let create = json!({"janus": "create", "id": 123_454_321});
        assert_eq!(ws.ask(create.clone()).await["data"]["id"], 123_454_321);
        let reply = ws.ask(create).await;
        assert_eq!(error_of(&reply), "468 Session ID already in use");
        ws.ask(json!({"janus": "destroy", "session_id": 123_454_321})).await;
    });
}

#[test]
fn core_api_05_id_zero_means_any() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let any = ws.create_with(json!({"id": 0})).await;
        assert!(any > 0);
        assert_ne!(ws.create_with(json!({"id": 0})).await, any);
    });
}

#[test]
fn core_api_06_a_wanted_id_has_to_be_a_number() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let reply = ws.ask_raw(r#"{"janus":"create","transaction":"c","id":"x"}"#).await;
        assert_eq!(error_of(&reply), "467 Invalid element type (id should be a positive integer)");
        assert!(reply.get("transaction").is_none());
    });
}

#[test]
fn core_api_07_janus_and_transaction_are_mandatory() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let reply = ws.ask_raw(r#"{"janus":"create"}"#).await;
        assert_eq!(error_of(&reply), "456 Missing mandatory element (transaction)");
        let reply = ws.ask_raw(r#"{"transaction":"t"}"#).await;
        assert_eq!(error_of(&reply), "456 Missing mandatory element (janus)");
        assert!(reply.get("transaction").is_none());
    });
}

#[test]
fn core_api_08_attach_without_a_session() {
    run(async {
        let target = Target::start().await;
        let reply = target.ws().await.ask(json!({"janus": "attach", "plugin": "x"})).await;
        assert_eq!(error_of(&reply), "457 Unhandled request 'attach' at this path");
    });
}

#[test]
fn core_api_09_a_session_id_of_text_is_none() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let session = ws.create().await.to_string();
        let reply = ws.ask(json!({"janus": "attach", "plugin": "x", "session_id": session})).await;
        assert_eq!(error_of(&reply), "457 Unhandled request 'attach' at this path");
    });
}

#[test]
fn core_api_10_an_unknown_session() {
    run(async {
        let target = Target::start().await;
        let reply = target.ws().await.ask(json!({"janus": "keepalive", "session_id": 77})).await;
        assert_eq!(error_of(&reply), "458 No such session 77");
        assert_eq!(reply["session_id"], 77);
    });
}

#[test]
fn core_api_11_the_secret_comes_before_the_session() {
    run(async {
        let Some(target) = Target::with(with_secret()).await else { return };
        let mut ws = target.ws().await;
        let mut ask = json!({"janus": "keepalive", "session_id": 77, "apisecret": "wrong"});
        assert_eq!(
            error_of(&ws.ask(ask.clone()).await),
            "403 Unauthorized request (wrong or missing secret/token)"
        );
        ask["apisecret"] = json!("s3cret");
        assert_eq!(code_of(&ws.ask(ask).await), 458);
    });
}

#[test]
fn core_api_12_unknown_verbs() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let reply = ws.ask(json!({"janus": "nope", "session_id": session})).await;
        assert_eq!(error_of(&reply), "453 Unknown request 'nope'");
        let reply = ws.ask(json!({"janus": "nope"})).await;
        assert_eq!(error_of(&reply), "457 Unhandled request 'nope' at this path");
    });
}

#[test]
fn core_api_13_keepalive_is_acknowledged() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let ask = json!({"janus": "keepalive", "session_id": session, "transaction": "k"});
        let want = json!({"janus": "ack", "session_id": session, "transaction": "k"});
        assert_eq!(ws.ask(ask).await, want);
    });
}

#[test]
fn core_api_14_attach_names_session_and_handle() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let reply = ws
            .ask(json!({"janus": "attach", "session_id": session,
                "plugin": "janus.plugin.echotest"}))
            .await;
        assert_eq!((&reply["janus"], &reply["session_id"]), (&json!("success"), &json!(session)));
        assert!(reply["data"]["id"].as_u64().is_some_and(|id| id > 0));
        assert!(reply.get("sender").is_none());
    });
}

#[test]
fn core_api_15_attach_with_a_handle() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let reply = ws.on(at, json!({"janus": "attach", "plugin": "janus.plugin.echotest"})).await;
        assert_eq!(error_of(&reply), "457 Unhandled request 'attach' at this path");
    });
}

#[test]
fn core_api_16_attach_to_an_unknown_plugin() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let ask = json!({"janus": "attach", "session_id": session, "plugin": "janus.plugin.no"});
        assert_eq!(error_of(&ws.ask(ask).await), "460 No such plugin 'janus.plugin.no'");
    });
}

#[test]
fn core_api_42_verbs_ignore_case() {
    run(async {
        let target = Target::start().await;
        assert_eq!(target.ws().await.ask(json!({"janus": "PING"})).await["janus"], "pong");
    });
}

#[test]
fn core_api_46_handle_zero() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let session = ws.create().await;
        assert_eq!(code_of(&ws.on((session, 0), json!({"janus": "detach"})).await), 459);
    });
}

#[test]
fn core_api_47_everything_in_a_session_carries_its_id() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        for request in [
            json!({"janus": "keepalive"}),
            json!({"janus": "message", "body": {}}),
            json!({"janus": "message"}),
            json!({"janus": "message", "body": {}, "jsep": null}),
            json!({"janus": "trickle"}),
            json!({"janus": "trickle", "candidate": null}),
            json!({"janus": "hangup"}),
            json!({"janus": "attach"}),
            json!({"janus": "nope"}),
            json!({"janus": "detach"}),
            json!({"janus": "detach"}),
        ] {
            let reply = ws.on(at, request.clone()).await;
            assert_eq!(reply["session_id"], at.0, "{request} {reply}");
        }
    });
}

#[test]
fn core_api_48_root_replies_carry_no_session_id() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let info = ws.ask(json!({"janus": "info"})).await;
        assert_eq!(info["janus"], "server_info");
        let create = json!({"janus": "create", "id": 987_656_789});
        let created = ws.ask(create.clone()).await;
        assert_eq!(created["data"]["id"], 987_656_789);
        assert!(info.get("session_id").is_none() && created.get("session_id").is_none());
        assert_eq!(ws.ask(create).await["session_id"], 987_656_789, "but the 468 does");
        ws.ask(json!({"janus": "destroy", "session_id": 987_656_789})).await;
    });
}

#[test]
fn core_api_53_one_json_value_a_message() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        ws.send_text(&r#"{"janus":"ping","transaction":"x"}"#.repeat(20)).await;
        for _ in 0..20 {
            // The client refuses anything but one value.
            assert_eq!(ws.next().await, json!({"janus": "pong", "transaction": "x"}));
        }
    });
}

#[test]
fn core_api_55_a_negative_session_reads_as_unsigned() {
    run(async {
        let target = Target::start().await;
        let reply = target.ws().await.ask(json!({"janus": "keepalive", "session_id": -5})).await;
        assert_eq!(error_of(&reply), "458 No such session 18446744073709551611");
    });
}

#[test]
fn core_api_56_odd_handles_come_before_authorisation() {
    run(async {
        let Some(target) = Target::with(with_secret()).await else { return };
        let mut ws = target.ws().await;
        for handle in [json!("5"), json!(1.5)] {
            let ask = json!({"janus": "detach", "session_id": 5, "handle_id": handle});
            assert_eq!(error_of(&ws.ask(ask).await), "459 Handle not found");
        }
        let session = ws.create_with(json!({"apisecret": "s3cret"})).await;
        let ask = json!({"janus": "keepalive", "session_id": session, "handle_id": null,
            "apisecret": "s3cret"});
        assert_eq!(ws.ask(ask).await["janus"], "ack");
    });
}
