//! Sessions: how they end, and who owns them.

use crate::client::{code_of, error_of, merged};
use crate::target::{Setup, Target, run, run_paused};
use bifrons_control::dispatch::CoreSettings;
use serde_json::{Value, json};
use std::time::Duration;

fn keepalive(session: u64) -> Value {
    json!({"janus": "keepalive", "session_id": session})
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn core_api_17_detach_gives_one_detached_event() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let reply = ws.on(at, json!({"janus": "detach", "transaction": "d"})).await;
        let want = json!({"janus": "success", "session_id": at.0, "transaction": "d"});
        assert_eq!(reply, want);
        let want = json!({"janus": "detached", "session_id": at.0, "sender": at.1});
        assert_eq!(ws.event().await, want);
        ws.no_event().await;
    });
}

#[test]
fn core_api_18_hangup_without_a_peerconnection_is_silent() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let reply = ws.on(at, json!({"janus": "hangup", "transaction": "h"})).await;
        let want = json!({"janus": "success", "session_id": at.0, "transaction": "h"});
        assert_eq!(reply, want);
        // A plugin may say something of its own (EchoTest 1.1.2 does); the core says nothing.
        ws.ask(json!({"janus": "ping"})).await;
        while let Some(event) = ws.kept_event() {
            assert_eq!(event["janus"], "event", "{event}");
        }
    });
}

#[test]
fn core_api_20_destroy_is_silent_and_final() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let (session, _) = ws.attached().await;
        let ask = json!({"janus": "destroy", "session_id": session, "transaction": "x"});
        let want = json!({"janus": "success", "session_id": session, "transaction": "x"});
        assert_eq!(ws.ask(ask).await, want);
        ws.no_event().await;
        assert_eq!(code_of(&ws.ask(keepalive(session)).await), 458);
    });
}

#[test]
fn core_api_21_claim_moves_events_and_not_replies() {
    run(async {
        let target = Target::start().await;
        let (mut a, mut b) = (target.ws().await, target.ws().await);
        let at = a.attached().await;
        assert_eq!(b.ask(json!({"janus": "claim", "session_id": at.0})).await["janus"], "success");
        let reply = a.on(at, json!({"janus": "message", "body": {"audio": true}})).await;
        assert_eq!(reply["janus"], "ack");
        assert_eq!(b.event().await["janus"], "event");
        a.no_event().await;
    });
}

#[test]
fn core_api_22_claim_is_answered_with_the_session_on_top() {
    run(async {
        let target = Target::start().await;
        let mut a = target.ws().await;
        let session = a.create().await;
        let ask = json!({"janus": "claim", "session_id": session, "transaction": "r"});
        let want = json!({"janus": "success", "session_id": session, "transaction": "r"});
        assert_eq!(target.ws().await.ask(ask).await, want);
    });
}

#[test]
fn core_api_23_closing_the_socket_ends_its_sessions() {
    run(async {
        let target = Target::start().await;
        let (mut a, mut b) = (target.ws().await, target.ws().await);
        let session = a.create().await;
        assert_eq!(b.ask(keepalive(session)).await["janus"], "ack");
        a.socket.close(None).await.expect("closes");
        assert!(a.closes_within(seconds(2)).await);
        drop(a);
        // The server hears of it through another socket: give it the turn it needs.
        let mut reply = b.ask(keepalive(session)).await;
        for _ in 0..50 {
            if reply["janus"] == "error" {
                break;
            }
            reply = b.ask(keepalive(session)).await;
        }
        assert_eq!(code_of(&reply), 458);
    });
}

fn reclaiming(seconds: u64) -> Setup {
    let reclaim_timeout = Duration::from_secs(seconds);
    Setup { core: CoreSettings { reclaim_timeout, ..CoreSettings::default() }, ..Setup::default() }
}

#[test]
fn core_api_24_a_session_can_be_claimed_for_a_while() {
    run_paused(async {
        let Some(target) = Target::with(reclaiming(10)).await else { return };
        let (mut a, mut b) = (target.ws().await, target.ws().await);
        let (kept, lost) = (a.create().await, a.create().await);
        drop(a);
        tokio::time::sleep(seconds(8)).await;
        assert_eq!(b.ask(keepalive(kept)).await["janus"], "ack", "extends the wait");
        tokio::time::sleep(seconds(7)).await;
        assert_eq!(code_of(&b.ask(keepalive(lost)).await), 458);
        let claim = json!({"janus": "claim", "session_id": kept});
        assert_eq!(b.ask(claim).await["janus"], "success");
        tokio::time::sleep(seconds(30)).await;
        assert_eq!(b.ask(keepalive(kept)).await["janus"], "ack");
    });
}

#[test]
fn core_api_25_an_idle_session_times_out() {
    run_paused(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let start = tokio::time::Instant::now();
        let event = ws.event_within(seconds(70)).await.expect("a timeout");
        assert_eq!(event, json!({"janus": "timeout", "session_id": session}));
        let after = start.elapsed();
        assert!(after >= seconds(60) && after <= seconds(62), "{after:?}");
        assert_eq!(code_of(&ws.ask(keepalive(session)).await), 458);
    });
}

#[test]
fn core_api_26_a_wrong_handle_counts_as_activity() {
    run_paused(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let mut ws = target.ws().await;
        let session = ws.create().await;
        for _ in 0..3 {
            tokio::time::sleep(seconds(40)).await;
            let reply = ws.on((session, 5), json!({"janus": "detach"})).await;
            assert_eq!(error_of(&reply), format!("459 No such handle 5 in session {session}"));
        }
    });
}

#[test]
fn core_api_45_draining_refuses_new_sessions_only() {
    run(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let mut ws = target.ws().await;
        let session = ws.create().await;
        target.front().with(|core, _| core.set_accepting(false));
        let reply = ws.ask(json!({"janus": "create"})).await;
        assert_eq!(error_of(&reply), "472 Currently not accepting new sessions");
        assert_eq!(ws.ask(keepalive(session)).await["janus"], "ack");
        ws.attach(session).await;
    });
}

#[test]
fn core_api_54_a_thousand_keepalives_within_a_second() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let start = std::time::Instant::now();
        for n in 0..1000 {
            let ask =
                json!({"janus": "keepalive", "session_id": session, "transaction": n.to_string()});
            ws.send_text(&ask.to_string()).await;
        }
        for n in 0..1000 {
            let reply = ws.next().await;
            assert_eq!(
                (&reply["janus"], &reply["transaction"]),
                (&json!("ack"), &json!(n.to_string()))
            );
        }
        assert!(start.elapsed() < seconds(1), "{:?}", start.elapsed());
    });
}

#[test]
fn core_api_58_timeout_ends_what_is_said_of_a_session() {
    run_paused(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let mut words = Vec::new();
        while let Some(event) = ws.event_within(seconds(70)).await {
            assert_eq!(event["session_id"], at.0);
            words.push(event["janus"].as_str().unwrap_or_default().to_owned());
        }
        words.retain(|word| word != "detached");
        assert_eq!(words, ["timeout"]);
    });
}

#[test]
fn core_api_64_claiming_ones_own_session() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let claim = json!({"janus": "claim", "session_id": at.0, "transaction": "r"});
        let want = json!({"janus": "success", "session_id": at.0, "transaction": "r"});
        assert_eq!(ws.ask(claim.clone()).await, want);
        assert_eq!(ws.ask(merged(claim, &json!({"handle_id": at.1}))).await, want);
        ws.no_event().await;
    });
}
