//! The client's candidates (core-api §3.11).

use super::*;
use crate::session::early::MAX_EARLY;

fn one(candidate: Value) -> Value {
    json!({"janus": "trickle", "candidate": candidate})
}

fn many(candidates: Value) -> Value {
    json!({"janus": "trickle", "candidates": candidates})
}

fn line(text: &str) -> Value {
    json!({"candidate": text, "sdpMid": "0", "sdpMLineIndex": 0})
}

/// A server with a handle whose exchange is complete.
fn negotiated() -> (Fixture, (u64, u64)) {
    let mut server = Fixture::new();
    let at = server.attached();
    server.negotiate(at);
    server.log.take();
    (server, at)
}

#[test]
fn core_api_33_early_candidates_wait_for_the_exchange() {
    let mut server = Fixture::new();
    let at = server.attached();
    let ack = json!({"janus": "ack", "session_id": at.0, "transaction": "t"});
    assert_eq!(server.on(at, one(line("old"))), ack);
    server.wait(30);
    // Queued unread: even nonsense is acknowledged.
    assert_eq!(server.on(at, one(json!({}))), ack);
    assert_eq!(server.on(at, many(json!("no array"))), ack);
    assert_eq!(server.on(at, one(line("young"))), ack);
    assert_eq!(server.on(at, one(json!(null))), ack);
    server.wait(20);
    server.log.take();
    server.negotiate(at);
    assert_eq!(server.log.take(), ["message answer", "candidate young", "end of candidates"]);
}

#[test]
fn early_candidates_are_bounded() {
    let mut server = Fixture::new();
    let at = server.attached();
    for n in 0..MAX_EARLY + 5 {
        server.on(at, one(line(&n.to_string())));
    }
    assert_eq!(server.core.counters().early_dropped, 5);
    server.log.take();
    server.negotiate(at);
    assert_eq!(server.log.take().len(), 1 + MAX_EARLY);
}

#[test]
fn core_api_34_both_fields_or_none_or_no_locator() {
    let (mut server, at) = negotiated();
    let both = json!({"janus": "trickle", "candidate": null, "candidates": []});
    let reply = server.on(at, both);
    assert_eq!(error_of(&reply), "454 Can't have both candidate and candidates");
    assert_eq!(reply["session_id"], at.0);
    assert_eq!(
        error_of(&server.on(at, json!({"janus": "trickle"}))),
        "456 Missing mandatory element (candidate|candidates)"
    );
    assert_eq!(
        error_of(&server.on(at, one(json!({})))),
        "456 Trickle error: missing mandatory element (sdpMid or sdpMLineIndex)"
    );
    assert_eq!(error_of(&server.on(at, many(json!(3)))), "467 candidates is not an array");
}

#[test]
fn core_api_35_what_ends_the_candidates() {
    let (mut server, at) = negotiated();
    for end in [json!(null), json!(1), json!({"completed": true}), json!({"completed": false})] {
        assert_eq!(server.on(at, one(end))["janus"], "ack");
        assert_eq!(server.log.take(), ["end of candidates"]);
    }
    for not_end in ["", "a=end-of-candidates"] {
        assert_eq!(server.on(at, one(line(not_end)))["janus"], "ack");
    }
    assert!(server.log.take().is_empty());
}

#[test]
fn core_api_36_bad_elements_of_an_array_are_skipped() {
    let (mut server, at) = negotiated();
    let list = json!([{}, "x", null, line("good"), {"sdpMid": 3}, {"completed": 1}]);
    assert_eq!(server.on(at, many(list))["janus"], "ack");
    assert_eq!(server.log.take(), ["candidate good", "end of candidates"]);
    assert_eq!(server.on(at, many(json!([])))["janus"], "ack");
}

#[test]
fn core_api_37_only_the_first_line_matters() {
    let (mut server, at) = negotiated();
    for other in [
        json!({"candidate": "x", "sdpMLineIndex": 1}),
        json!({"candidate": "x", "sdpMid": "1"}),
        json!({"candidate": "x", "sdpMid": "0", "sdpMLineIndex": 1}),
    ] {
        assert_eq!(server.on(at, one(other))["janus"], "ack");
    }
    assert!(server.log.take().is_empty());
    server.on(at, one(json!({"candidate": "y", "sdpMLineIndex": 0})));
    assert_eq!(server.log.take(), ["candidate y"]);
}

#[test]
fn a_hangup_forgets_early_candidates() {
    let (mut server, at) = negotiated();
    server.on(at, json!({"janus": "hangup"}));
    server.on(at, one(line("for the next call")));
    server.log.take();
    server.negotiate(at);
    assert_eq!(server.log.take(), ["message answer", "candidate for the next call"]);
}
