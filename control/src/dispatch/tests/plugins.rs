//! Messages, verdicts and tokens (core-api §3.6, §3.10, transports-auth §8–§10).

use super::*;
use crate::auth::Tokens;
use bifrons_core::media::{PortId, ShardEvent};

fn message(word: &str) -> Value {
    json!({"janus": "message", "transaction": "m", "body": {"do": word}})
}

#[test]
fn core_api_27_body_has_to_be_an_object() {
    let mut server = Fixture::new();
    let at = server.attached();
    let reply = server.on(at, json!({"janus": "message"}));
    assert_eq!(error_of(&reply), "456 Missing mandatory element (body)");
    for body in [json!(null), json!("list"), json!([])] {
        let reply = server.on(at, json!({"janus": "message", "body": body}));
        assert_eq!(error_of(&reply), "467 Invalid element type (body should be an object)");
    }
}

#[test]
fn core_api_28_29_30_and_44_a_bad_jsep_fails_the_whole_request() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.log.take();
    for (jsep, code) in [
        (json!(null), 455),
        (json!({"sdp": "v=0"}), 456),
        (json!({"type": "offer", "sdp": "v=0", "e2ee": 1}), 467),
        (json!({"type": "pranswer", "sdp": "v=0"}), 464),
        (json!({"type": "offer", "sdp": "nonsense"}), 465),
        (json!({"type": "answer", "sdp": "v=0"}), 469),
    ] {
        let mut request = message("ack");
        request["jsep"] = jsep;
        assert_eq!(server.on(at, request)["error"]["code"], code);
    }
    assert_eq!(server.log.take(), Vec::<String>::new(), "the plugin saw nothing");
}

#[test]
fn core_api_31_32_and_52_verdicts_become_replies() {
    let mut server = Fixture::new();
    let at = server.attached();
    let reply = server.on(at, message("reply"));
    let data = json!({"error_code": 7, "error": "inside"});
    assert_eq!(
        reply,
        json!({"janus": "success", "session_id": at.0, "transaction": "m", "sender": at.1,
            "plugindata": {"plugin": PLUGIN, "data": data}})
    );
    let ack = json!({"janus": "ack", "session_id": at.0, "transaction": "m"});
    assert_eq!(server.on(at, message("ack")), ack);
    assert_eq!(server.on(at, message("hint"))["hint"], "soon");
    for (word, want) in [
        ("array", "462 Plugin returned an invalid JSON response"),
        ("empty", "462 Plugin didn't provide any content for this synchronous response"),
        ("error", "462 broken"),
        ("severe", "462 Plugin returned a severe (unknown) error"),
    ] {
        assert_eq!(error_of(&server.on(at, message(word))), want);
    }
}

#[test]
fn core_api_31_and_50_an_event_follows_its_ack_with_the_same_transaction() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.all_sent();
    let origin = Origin { owner: A, request: 0 };
    server.core.request(server.now, origin, place(at, message("event")));
    let sent = server.all_sent();
    assert!(matches!(&sent[0], Outgoing::Reply { message, .. } if message["janus"] == "ack"));
    let Outgoing::Event { message, .. } = &sent[1] else { panic!("{sent:?}") };
    assert_eq!((&message["janus"], &message["transaction"]), (&json!("event"), &json!("m")));
    assert_eq!((&message["session_id"], &message["sender"]), (&json!(at.0), &json!(at.1)));
    assert_eq!(message["plugindata"], json!({"plugin": PLUGIN, "data": {"n": 1}}));
}

#[test]
fn core_api_49_attach_is_answered_before_the_first_event() {
    let mut server = Fixture::new();
    let session = server.create();
    server.all_sent();
    let request = json!({"janus": "attach", "transaction": "a", "session_id": session,
        "plugin": PLUGIN});
    server.core.request(server.now, Origin { owner: A, request: 0 }, request);
    let sent = server.all_sent();
    assert!(matches!(sent[0], Outgoing::Reply { .. }) && matches!(sent[1], Outgoing::Event { .. }));
}

#[test]
fn a_deferred_request_is_answered_once() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.all_sent();
    assert_eq!(server.post(A, place(at, message("defer"))), None);
    let other = place(
        at,
        json!({"janus": "message", "transaction": "u",
        "body": {"do": "undefer"}}),
    );
    server.core.request(server.now, Origin { owner: B, request: 0 }, other);
    let sent = server.all_sent();
    let Outgoing::Reply { to, message } = &sent[0] else { panic!("{sent:?}") };
    assert_eq!((to.owner, &message["transaction"]), (A, &json!("m")));
    assert_eq!(message["plugindata"]["data"]["late"], true);
    assert!(matches!(&sent[1], Outgoing::Reply { to, .. } if to.owner == B));
    assert_eq!(sent.len(), 2, "{sent:?}");
}

#[test]
fn a_handle_that_goes_fails_what_it_deferred() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.all_sent();
    assert_eq!(server.post(A, place(at, message("defer"))), None);
    server.core.destroy_session(server.now, at.0);
    let sent = server.all_sent();
    let Outgoing::Reply { message, .. } = &sent[0] else { panic!("{sent:?}") };
    assert_eq!(error_of(message), "462 No plugin to handle this message");
}

#[test]
fn core_api_41_opaque_ids_show_when_configured() {
    for shown in [false, true] {
        let settings = CoreSettings { opaque_id_in_api: shown, ..CoreSettings::default() };
        let mut server = Fixture::with(settings, Authority::default());
        let session = server.create();
        let reply = server.ask(json!({"janus": "attach", "transaction": "a", "plugin": PLUGIN,
            "session_id": session, "opaque_id": "u-42"}));
        let at = (session, reply["data"]["id"].as_u64().expect("an id"));
        let want = if shown { json!("u-42") } else { json!(null) };
        assert_eq!(server.on(at, message("reply"))["opaque_id"], want);
        server.on(at, message("event"));
        assert!(server.events().iter().all(|event| event["opaque_id"] == want));
    }
}

#[test]
fn transports_auth_43_44_and_46_tokens_open_plugins() {
    let mut server = Fixture::with(CoreSettings::default(), Authority::new(None, true, None));
    let Tokens::Stored(stored) = server.core.authority_mut().tokens_mut() else { panic!() };
    stored.add("all", [PLUGIN.to_owned()]).expect("room");
    stored.add("none", []).expect("room");
    let mut attach = |token: &str| {
        let create = json!({"janus": "create", "transaction": "c", "token": token});
        let session = server.ask(create)["data"]["id"].as_u64()?;
        let attach = json!({"janus": "attach", "transaction": "a", "session_id": session,
            "token": token, "plugin": PLUGIN});
        Some(server.ask(attach))
    };
    assert!(attach("unknown").is_none());
    assert_eq!(attach("all").expect("created")["janus"], "success");
    let refused = attach("none").expect("created");
    assert_eq!(error_of(&refused), format!("405 Provided token can't access plugin '{PLUGIN}'"));
}

#[test]
fn plugin_timers_fire_in_time() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.on(at, message("after"));
    server.log.take();
    server.wait(1);
    assert!(server.log.take().is_empty());
    server.wait(1);
    assert_eq!(server.log.take(), ["Elapsed"]);
}

#[test]
fn a_panic_in_a_hook_fails_that_request_only() {
    let mut server = Fixture::new();
    let at = server.attached();
    let reply = server.on(at, message("panic"));
    assert_eq!(error_of(&reply), "462 Plugin returned a severe (unknown) error");
    assert_eq!(server.on(at, message("reply"))["janus"], "success");
    assert_eq!(server.core.counters().hooks_failed, 1);
}

#[test]
fn who_closed_a_port_is_answered_when_it_is_free() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.all_sent();
    let said = |sent: Vec<Outgoing>| match sent.as_slice() {
        [] => false,
        [Outgoing::Reply { message, .. }] => message["plugindata"]["data"] == json!({"free": true}),
        other => panic!("{other:?}"),
    };
    assert_eq!(server.post(A, place(at, message("free"))), None, "the shard still has it");
    let other = PortId { shard: 0, number: 8 };
    server.core.shard_events(server.now, [ShardEvent::PortClosed { port: other }]);
    assert!(!said(server.all_sent()), "it waits for its own port");
    server.core.shard_events(server.now, [ShardEvent::PortClosed { port: fakes::PORT }]);
    assert!(said(server.all_sent()));
    assert_eq!(server.post(A, place(at, message("free"))), None);
    assert!(!said(server.all_sent()));
    server.wait(1);
    assert!(said(server.all_sent()), "a shard that is stuck makes nobody wait for long");
}
