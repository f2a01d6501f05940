//! Envelope, levels and order of checks (core-api §1, §2).

use super::*;

#[test]
fn core_api_01_ping_needs_no_credentials() {
    let authority = Authority::new(Some("s".into()), true, None);
    let mut server = Fixture::with(CoreSettings::default(), authority);
    let reply = server.ask(json!({"janus": "ping", "transaction": "p"}));
    assert_eq!(reply, json!({"janus": "pong", "transaction": "p"}));
}

#[test]
fn core_api_02_info_lists_modules() {
    let authority = Authority::new(Some("s".into()), false, None);
    let mut server = Fixture::with(CoreSettings::default(), authority);
    let info = server.ask(json!({"janus": "info", "transaction": "i"}));
    assert_eq!(info["janus"], "server_info");
    for list in ["transports", "events", "loggers", "plugins"] {
        assert!(info[list].is_object(), "{list}");
    }
    assert_eq!(info["plugins"][PLUGIN]["version"], 1);
    assert_eq!((&info["api_secret"], &info["auth_token"]), (&json!(true), &json!(false)));
    assert_eq!(info["session-timeout"], 60);
    assert!(info.get("session_id").is_none() && info.get("log-path").is_none());
}

#[test]
fn core_api_03_created_ids_are_exact_numbers() {
    let mut server = Fixture::new();
    for _ in 0..100 {
        let reply = server.ask(json!({"janus": "create", "transaction": "c"}));
        let id = reply["data"]["id"].as_u64().expect("an integer");
        assert!((1..=(1 << 53) - 1).contains(&id));
        assert!(reply.get("session_id").is_none());
    }
}

#[test]
fn core_api_04_wanted_id_and_conflict() {
    let mut server = Fixture::new();
    let request = json!({"janus": "create", "transaction": "c", "id": 1234});
    assert_eq!(server.ask(request.clone())["data"]["id"], 1234);
    let reply = server.ask(request);
    assert_eq!(error_of(&reply), "468 Session ID already in use");
    assert_eq!((&reply["session_id"], &reply["transaction"]), (&json!(1234), &json!("c")));
}

#[test]
fn core_api_05_id_zero_means_any() {
    let mut server = Fixture::new();
    let reply = server.ask(json!({"janus": "create", "transaction": "c", "id": 0}));
    assert!(reply["data"]["id"].as_u64().is_some_and(|id| id > 0));
}

#[test]
fn core_api_06_and_07_a_bad_envelope_has_no_transaction() {
    let mut server = Fixture::new();
    for (request, code) in [
        (json!({"janus": "create", "transaction": "c", "id": "x"}), 467),
        (json!({"janus": "create"}), 456),
        (json!({"transaction": "t"}), 456),
        (json!({"transaction": "t", "janus": 1}), 467),
        (json!([]), 456),
    ] {
        let reply = server.ask(request.clone());
        assert_eq!(reply["error"]["code"], code, "{request}");
        assert!(reply.get("transaction").is_none());
    }
    let reply = server.ask(json!({"janus": "keepalive", "session_id": 9}));
    assert_eq!(reply["session_id"], 9, "an error names the session all the same");
}

#[test]
fn core_api_08_and_09_attach_without_session() {
    let mut server = Fixture::new();
    for session in [json!(null), json!("12"), json!(1.5), json!(0)] {
        let reply = server
            .ask(json!({"janus": "attach", "transaction": "t", "session_id": session,
            "plugin": PLUGIN}));
        assert_eq!(error_of(&reply), "457 Unhandled request 'attach' at this path");
        assert_eq!(reply["transaction"], "t");
    }
}

#[test]
fn core_api_10_and_55_unknown_sessions() {
    let mut server = Fixture::new();
    let ask = json!({"janus": "keepalive", "transaction": "t", "session_id": 77});
    let reply = server.ask(ask);
    assert_eq!(error_of(&reply), "458 No such session 77");
    assert_eq!(reply["session_id"], 77);
    let reply = server.ask(json!({"janus": "keepalive", "transaction": "t", "session_id": -5}));
    assert_eq!(error_of(&reply), "458 No such session 18446744073709551611");
    let reply = server.ask(json!({"janus": "detach", "transaction": "t", "handle_id": 5}));
    assert_eq!(error_of(&reply), "458 Session not found");
}

#[test]
fn core_api_11_authorisation_comes_before_the_session() {
    let authority = Authority::new(Some("s3cret".into()), false, None);
    let mut server = Fixture::with(CoreSettings::default(), authority);
    let ask = |secret: &str, handle: Value| {
        json!({"janus": "keepalive", "transaction": "t", "session_id": 5, "apisecret": secret,
            "handle_id": handle})
    };
    let wrong = server.ask(ask("wrong", json!(null)));
    assert_eq!(error_of(&wrong), "403 Unauthorized request (wrong or missing secret/token)");
    assert_eq!((&wrong["session_id"], &wrong["transaction"]), (&json!(5), &json!("t")));
    assert_eq!(error_of(&server.ask(ask("s3cret", json!(null)))), "458 No such session 5");
    assert_eq!(error_of(&server.ask(ask("wrong", json!("x")))), "459 Handle not found");
    let create = server.ask(json!({"janus": "create", "transaction": "t"}));
    assert!(error_of(&create).starts_with("403"));
}

#[test]
fn core_api_12_unknown_verbs() {
    let mut server = Fixture::new();
    let at = server.attached();
    let reply = server.ask(json!({"janus": "Nope", "transaction": "t", "session_id": at.0}));
    assert_eq!(error_of(&reply), "453 Unknown request 'Nope'");
    for verb in ["info", "ping", "create", "nope"] {
        assert!(error_of(&server.on(at, json!({"janus": verb}))).starts_with("453"), "{verb}");
    }
    let reply = server.ask(json!({"janus": "nope", "transaction": "t"}));
    assert_eq!(error_of(&reply), "457 Unhandled request 'nope' at this path");
}

#[test]
fn core_api_15_wrong_levels() {
    let mut server = Fixture::new();
    let at = server.attached();
    for verb in ["attach", "destroy"] {
        let want = format!("457 Unhandled request '{verb}' at this path");
        assert_eq!(error_of(&server.on(at, json!({"janus": verb, "plugin": PLUGIN}))), want);
    }
    for verb in ["detach", "hangup", "message", "trickle"] {
        let reply = server.ask(json!({"janus": verb, "transaction": "t", "session_id": at.0}));
        assert_eq!(error_of(&reply), format!("457 Unhandled request '{verb}' at this path"));
    }
    for verb in ["keepalive", "claim"] {
        let reply = server.ask(json!({"janus": verb, "transaction": "t"}));
        assert!(error_of(&reply).starts_with("457"), "{verb}");
    }
}

#[test]
fn core_api_13_14_16_22_and_47_replies_in_a_session() {
    let mut server = Fixture::new();
    let session = server.create();
    let mut ask = |mut request: Value| {
        request["session_id"] = json!(session);
        request["transaction"] = json!("t");
        server.ask(request)
    };
    let ack = json!({"janus": "ack", "session_id": session, "transaction": "t"});
    assert_eq!(ask(json!({"janus": "keepalive"})), ack);
    let done = json!({"janus": "success", "session_id": session, "transaction": "t"});
    assert_eq!(ask(json!({"janus": "claim"})), done);
    let attached = ask(json!({"janus": "attach", "plugin": PLUGIN}));
    assert_eq!(attached["session_id"], session);
    assert!(attached["data"]["id"].as_u64().is_some_and(|id| id > 0 && id < 1 << 53));
    let missing = ask(json!({"janus": "attach", "plugin": "janus.plugin.Test"}));
    assert_eq!(error_of(&missing), "460 No such plugin 'janus.plugin.Test'");
    assert_eq!(missing["session_id"], session);
    assert_eq!(
        error_of(&ask(json!({"janus": "attach"}))),
        "456 Missing mandatory element (plugin)"
    );
    let bad = ask(json!({"janus": "attach", "plugin": PLUGIN, "loop_index": -1}));
    assert_eq!(
        error_of(&bad),
        "467 Invalid element type (loop_index should be a positive integer)"
    );
}

#[test]
fn core_api_42_verbs_ignore_case() {
    let mut server = Fixture::new();
    assert_eq!(server.ask(json!({"janus": "PING", "transaction": "t"}))["janus"], "pong");
}

#[test]
fn core_api_46_and_56_odd_handles() {
    let mut server = Fixture::new();
    let at = server.attached();
    for handle in [json!(0), json!("5"), json!(1.5)] {
        let reply = server.ask(json!({"janus": "detach", "transaction": "t", "session_id": at.0,
            "handle_id": handle}));
        assert_eq!(error_of(&reply), "459 Handle not found");
    }
    let reply = server.on((at.0, 7), json!({"janus": "detach"}));
    assert_eq!(error_of(&reply), format!("459 No such handle 7 in session {}", at.0));
    let reply = server.ask(json!({"janus": "keepalive", "transaction": "t", "session_id": at.0,
        "handle_id": null}));
    assert_eq!(reply["janus"], "ack");
}
