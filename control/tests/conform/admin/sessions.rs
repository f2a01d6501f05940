//! Requests about a session.

use super::{Operator, setup};
use crate::client::{code_of, error_of, merged};
use crate::target::{Setup, Target, run, run_paused};
use bifrons_control::dispatch::CoreSettings;
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn handles_are_listed() {
    run(async {
        let target = Target::with_admin().await;
        let (session, handle, _) = target.http().attached().await;
        for mut operator in Operator::both(&target).await {
            let list = json!({"janus": "list_handles", "session_id": session});
            let reply = operator.done(list).await;
            assert_eq!(reply["session_id"], session);
            assert_eq!(reply["handles"], json!([handle]));
            let refused = operator.refused(json!({"janus": "list_handles", "session_id": 4242}));
            assert_eq!(refused.await, "458 No such session 4242");
        }
    });
}

#[test]
fn admin_08_and_09_a_session_can_have_a_timeout_of_its_own() {
    run_paused(async {
        let timeout = Duration::from_secs(20);
        let core = CoreSettings { session_timeout: timeout, ..CoreSettings::default() };
        let Some(target) = Target::with(Setup { core, ..setup() }).await else { return };
        let mut operator = Operator::http(&target);
        let mut ws = target.ws().await;
        let (lasting, usual, back) = (ws.create().await, ws.create().await, ws.create().await);
        let set = |session: u64, timeout: Value| {
            let verb = "set_session_timeout";
            json!({"janus": verb, "session_id": session, "timeout": timeout})
        };
        assert_eq!(operator.done(set(lasting, json!(0))).await["timeout"], 0);
        assert_eq!(operator.done(set(back, json!(0))).await["timeout"], 0);
        assert_eq!(operator.done(set(back, json!(-1))).await["timeout"], -1);
        let below = "467 Invalid element type (timeout should be a non-negative integer or -1)";
        assert_eq!(operator.refused(set(lasting, json!(-2))).await, below);
        let wrong = "467 Invalid element type (timeout should be an integer)";
        assert_eq!(operator.refused(set(lasting, json!("x"))).await, wrong);
        tokio::time::sleep(Duration::from_secs(23)).await;
        let left = operator.done(json!({"janus": "list_sessions"})).await;
        assert_eq!(left["sessions"], json!([lasting]));
        let mut ended: Vec<_> = [ws.event().await, ws.event().await]
            .iter()
            .map(|event| (event["janus"].clone(), event["session_id"].as_u64()))
            .collect();
        ended.sort_by_key(|(_, session)| *session);
        let mut wanted = [usual, back];
        wanted.sort_unstable();
        assert_eq!(ended, wanted.map(|session| (json!("timeout"), Some(session))));
    });
}

#[test]
fn admin_22_a_destroyed_session_is_gone() {
    run(async {
        let target = Target::with_admin().await;
        for mut operator in Operator::both(&target).await {
            let mut ws = target.ws().await;
            let (session, _) = ws.attached().await;
            let destroy = json!({"janus": "destroy_session", "session_id": session});
            assert_eq!(operator.done(destroy.clone()).await["session_id"], session);
            let keepalive = json!({"janus": "keepalive", "session_id": session});
            assert_eq!(
                error_of(&ws.ask(keepalive).await),
                format!("458 No such session {session}")
            );
            assert_eq!(code_of(&operator.ask(destroy).await), 458);
            ws.no_event().await;
        }
    });
}

#[test]
fn admin_29_to_be_looked_at_is_no_activity() {
    run_paused(async {
        let timeout = Duration::from_secs(10);
        let core = CoreSettings { session_timeout: timeout, ..CoreSettings::default() };
        let Some(target) = Target::with(Setup { core, ..setup() }).await else { return };
        let mut operator = Operator::http(&target);
        let mut ws = target.ws().await;
        let (session, handle) = ws.attached().await;
        let look = json!({"janus": "handle_info", "session_id": session, "handle_id": handle});
        let begin = tokio::time::Instant::now();
        while operator.ask(look.clone()).await["janus"] == "success" {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let lived = begin.elapsed();
        assert!((10..=13).contains(&lived.as_secs()), "{lived:?}");
        let list = merged(json!({"janus": "list_sessions"}), &json!({}));
        assert_eq!(operator.done(list).await["sessions"], json!([]));
    });
}
