//! Long polls, transports-auth §2.5.

use crate::client::code_of;
use crate::target::{Setup, Target, run, run_paused};
use bifrons_control::dispatch::CoreSettings;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn transports_auth_10_one_event_or_an_array() {
    run(async {
        let target = Target::start().await;
        let http = target.http();
        let (session, handle, path) = http.attached().await;
        http.provoke(&path, "one").await;
        let event = http.get(&format!("/{session}")).await.json();
        assert_eq!((&event["janus"], &event["sender"]), (&json!("event"), &json!(handle)));
        assert_eq!(event["transaction"], "one");
        http.provoke(&path, "two").await;
        let events = http.get(&format!("/{session}?maxev=10&rid=5")).await.json();
        assert_eq!(events.as_array().map(Vec::len), Some(1));
        assert_eq!(events[0]["transaction"], "two");
    });
}

#[test]
fn transports_auth_11_an_idle_poll_ends_after_30_seconds() {
    run_paused(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let http = target.http();
        let session = http.create().await;
        for (query, want) in
            [("", json!({"janus": "keepalive"})), ("?maxev=3", json!([{"janus": "keepalive"}]))]
        {
            let start = Instant::now();
            assert_eq!(http.get(&format!("/{session}{query}")).await.json(), want);
            assert_eq!(start.elapsed().as_secs(), 30);
        }
    });
}

#[test]
fn transports_auth_12_polls_keep_a_session_alive() {
    run_paused(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let http = target.http();
        let session = http.create().await;
        for _ in 0..5 {
            let poll = http.get(&format!("/{session}")).await.json();
            assert_eq!(poll, json!({"janus": "keepalive"}));
        }
        let core = CoreSettings { session_timeout: seconds(12), ..CoreSettings::default() };
        let Some(target) = Target::with(Setup { core, ..Setup::default() }).await else { return };
        let http = target.http();
        let session = http.create().await;
        let poll = http.get(&format!("/{session}")).await.json();
        assert_eq!(poll, json!({"janus": "timeout", "session_id": session}));
        assert_eq!(http.get(&format!("/{session}")).await.status, 404);
    });
}

#[test]
fn transports_auth_13_queued_events_come_in_order() {
    run(async {
        let target = Target::start().await;
        let http = target.http();
        let (session, _, path) = http.attached().await;
        for transaction in ["1", "2", "3"] {
            http.provoke(&path, transaction).await;
        }
        // A real Janus answers in its own time: let all three be queued.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut seen = Vec::new();
        for count in [2, 1] {
            let events = http.get(&format!("/{session}?maxev=2")).await.json();
            let events = events.as_array().expect("an array");
            assert_eq!(events.len(), count);
            seen.extend(events.iter().map(|event| event["transaction"].clone()));
        }
        assert_eq!(seen, ["1", "2", "3"]);
    });
}

#[test]
fn transports_auth_14_parallel_polls_share_nothing() {
    run(async {
        let target = Target::start().await;
        let http = target.http();
        let (session, _, path) = http.attached().await;
        let poll = || {
            let (http, path) = (http.clone(), format!("/{session}"));
            tokio::task::spawn_local(async move { http.get(&path).await.json() })
        };
        let (one, two) = (poll(), poll());
        tokio::time::sleep(Duration::from_millis(50)).await;
        http.provoke(&path, "once").await;
        let both = [one.await.expect("ends"), two.await.expect("ends")];
        let events = both.iter().filter(|poll| poll["janus"] == "event").count();
        let idle = both.iter().filter(|poll| **poll == json!({"janus": "keepalive"})).count();
        assert_eq!((events, idle), (1, 1), "{both:?}");
    });
}

#[test]
fn a_waiting_poll_is_answered_at_once() {
    run(async {
        let target = Target::start().await;
        let http = target.http();
        let (session, _, path) = http.attached().await;
        let waiting = {
            let (http, path) = (http.clone(), format!("/{session}?maxev=5"));
            tokio::task::spawn_local(async move { http.get(&path).await.json() })
        };
        tokio::time::sleep(Duration::from_millis(50)).await;
        http.provoke(&path, "now").await;
        let events = waiting.await.expect("ends");
        assert_eq!(events[0]["transaction"], "now");
    });
}

/// Lets a poll wait, does something, and returns what the poll got and when.
async fn poll_while<F: Future<Output = ()>>(
    http: &crate::client::Http,
    session: u64,
    meanwhile: F,
) -> (Value, u64) {
    let start = Instant::now();
    let waiting = {
        let (http, path) = (http.clone(), format!("/{session}"));
        tokio::task::spawn_local(async move { http.get(&path).await.json() })
    };
    tokio::time::sleep(seconds(1)).await;
    meanwhile.await;
    (waiting.await.expect("ends"), start.elapsed().as_secs())
}

#[test]
fn a_poll_does_not_hear_of_a_destroy() {
    run_paused(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let http = target.http();
        let session = http.create().await;
        let destroy = async {
            let reply = http.post(&format!("/{session}"), json!({"janus": "destroy"})).await;
            assert_eq!(reply["janus"], "success");
        };
        let polled = poll_while(&http, session, destroy).await;
        assert_eq!(polled, (json!({"janus": "keepalive"}), 30));
        assert_eq!(http.get(&format!("/{session}")).await.status, 404);
    });
}

#[test]
fn transports_auth_59_a_session_claimed_away_from_http() {
    run_paused(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let http = target.http();
        let session = http.create().await;
        let mut ws = target.ws().await;
        let claim = async {
            let reply = ws.ask(json!({"janus": "claim", "session_id": session})).await;
            assert_eq!(reply["janus"], "success");
        };
        let polled = poll_while(&http, session, claim).await;
        assert_eq!(polled, (json!({"janus": "keepalive"}), 30));
        assert_eq!(http.get(&format!("/{session}")).await.status, 404, "new polls are refused");
        // And back again, with an empty queue.
        let claim = http.post(&format!("/{session}"), json!({"janus": "claim"})).await;
        assert_eq!(claim["janus"], "success");
        let attach = json!({"janus": "attach", "plugin": "janus.plugin.echotest"});
        let reply = http.post(&format!("/{session}"), attach).await;
        let path = format!("/{session}/{}", reply["data"]["id"]);
        http.provoke(&path, "back").await;
        assert_eq!(http.get(&format!("/{session}")).await.json()["transaction"], "back");
    });
}

#[test]
fn asynchronous_answers_never_come_in_the_post() {
    run(async {
        let target = Target::start().await;
        let http = target.http();
        let (session, _, path) = http.attached().await;
        let message = json!({"janus": "message", "body": {"audio": true}});
        let reply = http.post(&path, message).await;
        assert_eq!((&reply["janus"], &reply["session_id"]), (&json!("ack"), &json!(session)));
        assert!(reply.get("plugindata").is_none());
        assert_eq!(http.get(&format!("/{session}")).await.json()["janus"], "event");
        let detach = http.post(&path, json!({"janus": "detach"})).await;
        assert_eq!(detach["janus"], "success");
        assert_eq!(http.get(&format!("/{session}")).await.json()["janus"], "detached");
        assert_eq!(code_of(&http.post(&path, json!({"janus": "detach"})).await), 459);
    });
}
