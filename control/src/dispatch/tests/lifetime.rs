//! Owners, timeouts, reclaiming and draining (core-api §3.4, §7).

use super::*;

fn keepalive(session: u64) -> Value {
    json!({"janus": "keepalive", "transaction": "k", "session_id": session})
}

#[test]
fn core_api_21_claim_moves_events_not_replies() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.all_sent();
    let claim = json!({"janus": "claim", "transaction": "r", "session_id": at.0});
    let reply = server.ask_from(B, claim);
    assert_eq!(reply, json!({"janus": "success", "session_id": at.0, "transaction": "r"}));
    let ask = json!({"janus": "message", "body": {"do": "event"}});
    assert_eq!(server.ask_from(A, place(at, ask))["janus"], "ack");
    assert_eq!(words(&server.events_to(B)), ["event"]);
    assert!(server.events_to(A).is_empty());
    server.core.connection_gone(server.now, A);
    assert_eq!(server.ask_from(B, keepalive(at.0))["janus"], "ack", "A owns nothing any more");
}

#[test]
fn core_api_64_claiming_ones_own_changes_nothing() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.all_sent();
    let claim = json!({"janus": "claim", "transaction": "r", "session_id": at.0});
    assert_eq!(server.ask(claim.clone())["janus"], "success");
    assert_eq!(server.on(at, claim)["janus"], "success");
    assert!(server.all_sent().is_empty());
}

#[test]
fn core_api_23_without_reclaim_a_session_ends_with_its_connection() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.log.take();
    server.core.connection_gone(server.now, A);
    assert!(error_of(&server.ask_from(B, keepalive(at.0))).starts_with("458"));
    assert_eq!(server.log.take(), ["destroy_session"]);
}

#[test]
fn core_api_24_reclaim_counts_from_the_last_activity() {
    let reclaim = Duration::from_secs(10);
    let settings = CoreSettings { reclaim_timeout: reclaim, ..CoreSettings::default() };
    let mut server = Fixture::with(settings, Authority::default());
    let (kept, left) = (server.create(), server.create());
    server.core.connection_gone(server.now, A);
    server.wait(8);
    // A request by anyone counts, without a claim.
    assert_eq!(server.ask_from(B, keepalive(kept))["janus"], "ack");
    server.wait(6);
    assert!(error_of(&server.ask_from(B, keepalive(left))).starts_with("458"));
    let claim = json!({"janus": "claim", "transaction": "r", "session_id": kept});
    assert_eq!(server.ask_from(B, claim)["janus"], "success");
    server.wait(30);
    assert_eq!(server.ask_from(B, keepalive(kept))["janus"], "ack", "claimed: it waits no more");
}

#[test]
fn core_api_25_and_58_an_idle_session_times_out() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.all_sent();
    server.wait(59);
    assert!(server.events().is_empty());
    server.wait(4);
    assert_eq!(server.events(), [json!({"janus": "timeout", "session_id": at.0})]);
    let sent = server.all_sent();
    let over = Outgoing::Over { owner: A, session_id: at.0, why: SessionEnd::TimedOut };
    assert_eq!(sent, [over]);
    assert!(error_of(&server.ask(keepalive(at.0))).starts_with("458"));
}

#[test]
fn core_api_26_a_failing_request_still_counts() {
    let mut server = Fixture::new();
    let session = server.create();
    for _ in 0..3 {
        server.wait(40);
        assert!(error_of(&server.on((session, 5), json!({"janus": "message"}))).starts_with("459"));
    }
    let unknown = json!({"janus": "nope", "transaction": "t", "session_id": session});
    assert!(error_of(&server.ask(unknown)).starts_with("453"));
}

#[test]
fn an_unauthorised_request_does_not_count() {
    let authority = Authority::new(Some("s".into()), false, None);
    let mut server = Fixture::with(CoreSettings::default(), authority);
    let create = json!({"janus": "create", "transaction": "c", "apisecret": "s"});
    let session = server.ask(create)["data"]["id"].as_u64().expect("an id");
    server.wait(40);
    assert!(error_of(&server.ask(keepalive(session))).starts_with("403"));
    server.wait(22);
    assert_eq!(words(&server.events()), ["timeout"]);
}

#[test]
fn a_session_can_have_its_own_timeout_or_none() {
    let settings = CoreSettings { session_timeout: Duration::ZERO, ..CoreSettings::default() };
    let mut server = Fixture::with(settings, Authority::default());
    let (eternal, brief) = (server.create(), server.create());
    assert!(server.core.set_session_timeout(brief, Some(Duration::from_secs(5))));
    server.wait(3600);
    assert_eq!(server.events(), [json!({"janus": "timeout", "session_id": brief})]);
    assert_eq!(server.ask(keepalive(eternal))["janus"], "ack");
}

#[test]
fn core_api_45_draining_refuses_new_sessions_only() {
    let mut server = Fixture::new();
    let session = server.create();
    server.core.set_accepting(false);
    let create = json!({"janus": "create", "transaction": "c"});
    assert_eq!(error_of(&server.ask(create.clone())), "472 Currently not accepting new sessions");
    server.attach(session);
    let info = server.ask(json!({"janus": "info", "transaction": "i"}));
    assert_eq!(info["accepting-new-sessions"], false);
    server.core.set_accepting(true);
    assert_eq!(server.ask(create)["janus"], "success");
}

#[test]
fn info_names_the_kernel_that_seals_media() {
    let mut server = Fixture::new();
    let info = server.ask(json!({"janus": "info", "transaction": "i"}));
    assert_eq!(info["bifrons"], json!({"srtp-kernel": "scalar"}));
}

#[test]
fn stopping_ends_sessions_then_plugins() {
    let mut server = Fixture::new();
    server.attached();
    server.log.take();
    server.core.stop(server.now);
    assert_eq!(server.log.take(), ["destroy_session", "stop"]);
    assert!(server.core.sessions().is_empty());
}
