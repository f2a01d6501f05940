//! Requests about the server as a whole.

use super::{Operator, SECRET, setup};
use crate::client::{code_of, error_of, merged};
use crate::target::{Target, run};
use serde_json::{Value, json};

#[test]
fn admin_01_info_and_ping_need_no_secret() {
    run(async {
        let target = Target::with_admin().await;
        for mut operator in Operator::both(&target).await {
            let info = operator.raw(json!({"janus": "info"})).await;
            assert_eq!(info["janus"], "server_info");
            assert!(info["plugins"]["janus.plugin.echotest"].is_object(), "{info}");
            let pong = operator.raw(json!({"janus": "PING", "id": "x", "transaction": "p"})).await;
            assert_eq!(pong, json!({"janus": "pong", "transaction": "p"}));
        }
    });
}

#[test]
fn admin_02_sessions_are_listed_to_who_knows_the_secret() {
    run(async {
        let target = Target::with_admin().await;
        let session = target.http().create().await;
        for mut operator in Operator::both(&target).await {
            for secret in [json!({}), json!({"admin_secret": "x"}), json!({"admin_secret": 5})] {
                let reply = operator.raw(merged(json!({"janus": "list_sessions"}), &secret)).await;
                let refused = "403 Unauthorized request (wrong or missing secret/token)";
                assert_eq!(error_of(&reply), refused);
            }
            let reply = operator.done(json!({"janus": "list_sessions"})).await;
            let sessions = reply["sessions"].as_array().expect("an array");
            assert!(sessions.contains(&json!(session)) && sessions.iter().all(Value::is_u64));
        }
    });
}

#[test]
fn admin_03_and_transports_auth_55_an_unknown_verb_is_named_after_the_secret_is_proven() {
    run(async {
        let target = Target::with_admin().await;
        for mut operator in Operator::both(&target).await {
            let refused = operator.refused(json!({"janus": "Nope"})).await;
            assert_eq!(refused, "457 Unhandled request 'Nope' at this path");
            assert_eq!(code_of(&operator.raw(json!({"janus": "Nope"})).await), 403);
        }
    });
}

#[test]
fn admin_04_a_handle_needs_a_session() {
    run(async {
        let target = Target::with_admin().await;
        let mut operator = Operator::ws(&target).await;
        let request = json!({"janus": "list_sessions", "handle_id": 5});
        assert_eq!(operator.refused(request).await, "458 Session not found");
        // 1.1.2 takes these for no handle at all.
        for id in [json!(0), json!("x"), json!(null)] {
            let reply = operator.ask(json!({"janus": "list_sessions", "handle_id": id})).await;
            if target.front.is_some() {
                assert_eq!(error_of(&reply), "458 Session not found");
            }
        }
    });
}

#[test]
fn admin_05_the_status() {
    run(async {
        let target = Target::with_admin().await;
        for mut operator in Operator::both(&target).await {
            let reply = operator.done(json!({"janus": "get_status"})).await;
            let status = reply["status"].as_object().expect("an object");
            for name in [
                "token_auth",
                "log_timestamps",
                "log_colors",
                "locking_debug",
                "refcount_debug",
                "nack-optimizations",
            ] {
                assert!(status[name].is_boolean(), "{name}");
            }
            for name in [
                "session_timeout",
                "reclaim_session_timeout",
                "candidates_timeout",
                "log_level",
                "min_nack_queue",
                "no_media_timer",
                "slowlink_threshold",
            ] {
                assert!(status[name].is_u64(), "{name}");
            }
            // 1.1.2 has `libnice_debug` in its place.
            assert!(status.get("log_rotate_sig").is_none_or(Value::is_i64));
            assert_eq!(status.len(), 14);
        }
    });
}

#[test]
fn admin_06_and_62_the_log_has_levels_0_to_7() {
    run(async {
        let target = Target::with_admin().await;
        let mut operator = Operator::http(&target);
        let level = |level: Value| json!({"janus": "set_log_level", "level": level});
        let wrong = "467 Invalid element type (level should be";
        assert_eq!(operator.refused(level(json!(8))).await, format!("{wrong} between 0 and 7)"));
        for bad in [json!(-1), json!("x"), json!(5.0), json!(null)] {
            assert_eq!(operator.refused(level(bad)).await, format!("{wrong} a positive integer)"));
        }
        let missing = operator.refused(json!({"janus": "set_log_level"})).await;
        assert_eq!(missing, "456 Missing mandatory element (level)");
        assert_eq!(operator.done(level(json!(5))).await["level"], 5);
        assert_eq!(operator.done(json!({"janus": "get_status"})).await["status"]["log_level"], 5);
        operator.done(level(json!(4))).await;
    });
}

#[test]
fn admin_07_the_session_timeout_can_be_changed() {
    run(async {
        let target = Target::with_admin().await;
        let mut operator = Operator::ws(&target).await;
        let set = |timeout: i64| json!({"janus": "set_session_timeout", "timeout": timeout});
        assert_eq!(operator.done(set(77)).await["timeout"], 77);
        let status = operator.done(json!({"janus": "get_status"})).await;
        assert_eq!(status["status"]["session_timeout"], 77);
        let wrong = "467 Invalid element type (timeout should be a positive integer)";
        assert_eq!(operator.refused(set(-1)).await, wrong);
        operator.done(set(60)).await;
    });
}

#[test]
fn admin_10_to_12_settings_answer_what_is_in_force() {
    run(async {
        let target = Target::with_admin().await;
        let mut operator = Operator::http(&target);
        for (verb, field, given, name, taken) in [
            ("set_min_nack_queue", "min_nack_queue", json!(5000), "min_nack_queue", json!(1000)),
            ("set_min_nack_queue", "min_nack_queue", json!(200), "min_nack_queue", json!(200)),
            ("set_no_media_timer", "no_media_timer", json!(3), "no_media_timer", json!(3)),
            (
                "set_slowlink_threshold",
                "slowlink_threshold",
                json!(9),
                "slowlink_threshold",
                json!(9),
            ),
            (
                "set_nack_optimizations",
                "nack_optimizations",
                json!(true),
                "nack-optimizations",
                json!(true),
            ),
            ("set_locking_debug", "debug", json!(true), "locking_debug", json!(true)),
            ("set_refcount_debug", "debug", json!(true), "refcount_debug", json!(true)),
            ("set_log_timestamps", "timestamps", json!(true), "log_timestamps", json!(true)),
            ("set_log_colors", "colors", json!(false), "log_colors", json!(false)),
        ] {
            let reply = operator.done(json!({"janus": verb, field: given})).await;
            assert_eq!(reply[name], taken, "{reply}");
            let status = operator.done(json!({"janus": "get_status"})).await;
            assert_eq!(status["status"][name], taken, "{name}");
            let back = match &taken {
                Value::Bool(on) => json!(!on),
                _ if verb == "set_no_media_timer" => json!(1),
                _ if verb == "set_slowlink_threshold" => json!(0),
                other => other.clone(),
            };
            operator.done(json!({"janus": verb, field: back})).await;
        }
        let refused = operator.refused(json!({"janus": "set_locking_debug", "debug": 1})).await;
        assert_eq!(refused, "467 Invalid element type (debug should be a boolean)");
    });
}

#[test]
fn admin_13_and_core_api_45_new_sessions_can_be_refused() {
    run(async {
        let Some(target) = Target::with(setup()).await else { return };
        let mut operator = Operator::ws(&target).await;
        let accept = |accept: bool| json!({"janus": "accept_new_sessions", "accept": accept});
        let mut ws = target.ws().await;
        let session = ws.create().await;
        assert_eq!(operator.done(accept(false)).await["accept"], false);
        let refused = ws.ask(json!({"janus": "create"})).await;
        assert_eq!(error_of(&refused), "472 Currently not accepting new sessions");
        assert_eq!(ws.ask(json!({"janus": "info"})).await["accepting-new-sessions"], false);
        ws.attach(session).await;
        assert_eq!(operator.done(accept(true)).await["accept"], true);
        ws.create().await;
    });
}

#[test]
fn admin_19_plugins_answer_operators() {
    run(async {
        let target = Target::with_admin().await;
        let mut operator = Operator::http(&target);
        let ask = |plugin: &str, body: Value| json!({"janus": "message_plugin", "plugin": plugin, "request": body});
        let unknown = operator.refused(ask("janus.plugin.none", json!({}))).await;
        assert_eq!(unknown, "460 Invalid plugin");
        let list = ask("janus.plugin.videoroom", json!({"request": "list"}));
        let reply = operator.done(list).await;
        assert_eq!(reply["response"]["videoroom"], "success");
        assert!(reply["response"]["list"].is_array());
        let none = json!({"janus": "message_plugin", "plugin": "janus.plugin.videoroom"});
        assert_eq!(operator.done(none).await["response"]["error_code"], 429);
        let wrong = operator.refused(ask("janus.plugin.videoroom", json!(5))).await;
        assert_eq!(wrong, "467 Invalid element type (request should be an object)");
    });
}

#[test]
fn admin_21_names_are_looked_up() {
    run(async {
        let target = Target::with_admin().await;
        for mut operator in Operator::both(&target).await {
            let ask = |address: &str| json!({"janus": "resolve_address", "address": address});
            let reply = operator.done(ask("localhost")).await;
            assert!(["127.0.0.1", "::1"].contains(&reply["ip"].as_str().expect("an address")));
            assert!(reply["elapsed"].is_u64());
            let refused = operator.refused(ask("no such name")).await;
            assert_eq!(refused, "490 Could not resolve address");
            let missing = operator.refused(json!({"janus": "resolve_address"})).await;
            assert_eq!(missing, "456 Missing mandatory element (address)");
        }
    });
}

#[test]
fn a_stun_server_is_asked() {
    run(async {
        // A stock Janus answers nobody else meanwhile.
        let Some(target) = Target::with(setup()).await else { return };
        let mut operator = Operator::http(&target);
        let nobody = json!({"janus": "test_stun", "address": "127.0.0.1", "port": 1});
        assert_eq!(operator.refused(nobody).await, "490 STUN request failed");
        let missing = operator.refused(json!({"janus": "test_stun", "address": "x"})).await;
        assert_eq!(missing, "456 Missing mandatory element (port)");
    });
}

#[test]
fn admin_65_verbs_belong_to_their_level() {
    run(async {
        let target = Target::with_admin().await;
        let (session, handle, _) = target.http().attached().await;
        let mut operator = Operator::ws(&target).await;
        let both = json!({"session_id": session, "handle_id": handle});
        for (place, verbs) in [
            (json!({}), &["list_handles", "handle_info", "destroy_session"][..]),
            (json!({"session_id": session}), &["list_sessions", "info", "ping", "handle_info"]),
            (both, &["list_handles", "set_session_timeout", "list_sessions", "info"]),
        ] {
            for verb in verbs {
                let refused = operator.refused(merged(json!({"janus": verb}), &place)).await;
                assert_eq!(refused, format!("457 Unhandled request '{verb}' at this path"));
            }
        }
    });
}

#[test]
fn admin_68_an_event_of_the_operators_own_is_checked() {
    run(async {
        let target = Target::with_admin().await;
        let mut operator = Operator::http(&target);
        let event = |data: Value| json!({"janus": "custom_event", "schema": "x", "data": data});
        let wrong = operator.refused(event(json!(5))).await;
        assert_eq!(wrong, "467 Invalid element type (data should be an object)");
        let missing = operator.refused(json!({"janus": "custom_event", "schema": "x"})).await;
        assert_eq!(missing, "456 Missing mandatory element (data)");
        operator.done(event(json!({"a": 1}))).await;
        for (handler, refused) in [
            (json!({"janus": "query_eventhandler", "handler": "x"}), "460 Invalid event handler"),
            (json!({"janus": "query_logger", "logger": "x"}), "460 Invalid logger"),
        ] {
            assert_eq!(operator.refused(handler).await, refused);
        }
    });
}

#[test]
fn a_line_of_the_operators_own_is_logged() {
    run(async {
        let target = Target::with_admin().await;
        let mut operator = Operator::http(&target);
        operator.done(json!({"janus": "custom_logline", "line": "hello"})).await;
        operator.done(json!({"janus": "custom_logline", "line": "hello", "level": 9})).await;
        let refused = json!({"janus": "custom_logline", "line": "hello", "level": -1});
        let text = "467 Invalid element type (level should be a positive integer)";
        assert_eq!(operator.refused(refused).await, text);
    });
}

#[test]
fn the_loops_are_the_shards() {
    run(async {
        let target = Target::with_admin().await;
        let reply = Operator::http(&target).done(json!({"janus": "loops_info"})).await;
        for one in reply["loops"].as_array().expect("an array") {
            assert!(one["id"].is_u64() && one["handles"].is_u64(), "{one}");
        }
    });
}

#[test]
fn transports_auth_54_and_64_transports_answer_operators() {
    run(async {
        let target = Target::with_admin().await;
        let mut operator = Operator::ws(&target).await;
        let query = |package: &str, request: Value| {
            let transport = format!("janus.transport.{package}");
            json!({"janus": "query_transport", "transport": transport, "request": request})
        };
        let connections = json!({"request": "connections"});
        let before = operator.done(query("websockets", connections.clone())).await;
        let _one_more = target.ws().await;
        let after = operator.done(query("websockets", connections.clone())).await;
        assert_eq!(after["response"]["result"], 200);
        let count = |reply: &Value| reply["response"]["connections"].as_u64().expect("a count");
        // Others may come and go on a server that is not ours alone.
        assert!(count(&after) > 0);
        if target.front.is_some() {
            assert_eq!(count(&after), count(&before) + 1);
        }
        let http = operator.done(query("http", connections)).await;
        assert!(http["response"]["connections"]["http"].is_u64(), "{http}");
        assert!(http["response"]["messages"].is_u64(), "{http}");
        let none = json!({"janus": "query_transport", "transport": "janus.transport.http"});
        let missing = "Missing mandatory element (request)";
        for request in [none, query("http", json!({}))] {
            let reply = operator.done(request).await;
            assert_eq!(reply["response"], json!({"error_code": 412, "error": missing}));
        }
        let reply = operator.done(query("http", json!({"request": "dance"}))).await;
        let unknown = json!({"error_code": 411, "error": "Unknown request 'dance'"});
        assert_eq!(reply["response"], unknown);
        let refused = operator.refused(query("none", json!({}))).await;
        assert_eq!(refused, "460 Invalid transport");
    });
}

#[test]
fn a_transport_can_be_configured() {
    run(async {
        let Some(target) = Target::with(setup()).await else { return };
        let mut operator = Operator::http(&target);
        let configure = |more: Value| {
            let request = merged(json!({"request": "configure"}), &more);
            let transport = "janus.transport.http";
            json!({"janus": "query_transport", "transport": transport, "request": request})
        };
        let reply = operator.done(configure(json!({"json": "indented"}))).await;
        assert_eq!(reply["response"], json!({"result": 200}));
        let response = target.http().get("/ping").await;
        let text = String::from_utf8(response.body).expect("text");
        assert!(text.starts_with("{\n   \"janus\""), "{text}");
        let reply = operator.done(configure(json!({"json": "round", "events": true}))).await;
        let notes = json!([
            "Event handlers disabled at the core level",
            "Ignored unsupported indentation format"
        ]);
        assert_eq!(reply["response"], json!({"result": 200, "notes": notes}));
        let reply = operator.done(configure(json!({"json": 5}))).await;
        assert_eq!(reply["response"]["error_code"], 413);
    });
}

#[test]
fn the_envelope_is_checked_first() {
    run(async {
        let target = Target::with_admin().await;
        let mut operator = Operator::http(&target);
        let Operator::Http(http) = &mut operator else { return };
        for (text, missing) in
            [("{\"janus\":\"x\"}", "transaction"), ("{\"transaction\":\"t\"}", "janus")]
        {
            let reply = http.post_text("", text).await.json();
            assert_eq!(error_of(&reply), format!("456 Missing mandatory element ({missing})"));
            assert_eq!(reply.get("transaction"), None);
        }
        // The secret is looked for where it belongs.
        let reply = http.post("", json!({"janus": "get_status", "apisecret": SECRET})).await;
        assert_eq!(code_of(&reply), 403);
    });
}
