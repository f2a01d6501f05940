//! Stored tokens.

use super::{Operator, setup};
use crate::client::{code_of, error_of};
use crate::target::{Setup, Target, run};
use serde_json::{Value, json};

const ECHOTEST: &str = "janus.plugin.echotest";
const VIDEOROOM: &str = "janus.plugin.videoroom";

async fn stored() -> Option<Target> {
    Target::with(Setup { token_auth: true, ..setup() }).await
}

fn token(verb: &str, token: &str, plugins: Value) -> Value {
    json!({"janus": format!("{verb}_token"), "token": token, "plugins": plugins})
}

/// The plugins that an answer names, sorted.
fn plugins(reply: &Value) -> Vec<&str> {
    let list = reply["data"]["plugins"].as_array().expect("a list");
    let mut list: Vec<_> = list.iter().filter_map(Value::as_str).collect();
    list.sort_unstable();
    list
}

#[test]
fn admin_14_and_transports_auth_65_no_plugins_means_all() {
    run(async {
        let Some(target) = stored().await else { return };
        for mut operator in Operator::both(&target).await {
            let reply = operator.done(json!({"janus": "add_token", "token": "a"})).await;
            let every = plugins(&reply);
            assert!([ECHOTEST, VIDEOROOM].iter().all(|one| every.contains(one)), "{every:?}");
            let other = operator.done(token("add", "b", json!([]))).await;
            assert_eq!(plugins(&other), every);
            let some = json!(["none", 5, ECHOTEST]);
            assert_eq!(plugins(&operator.done(token("add", "c", some)).await), [ECHOTEST]);
            let more = operator.done(token("add", "c", json!([VIDEOROOM]))).await;
            assert_eq!(plugins(&more), [ECHOTEST, VIDEOROOM]);
            let none = operator.done(token("add", "d", json!(["none"]))).await;
            assert_eq!(plugins(&none), [""; 0]);
            let wrong = operator.refused(token("add", "e", json!(5))).await;
            assert_eq!(wrong, "467 Invalid element type (plugins should be an array)");
            let missing = operator.refused(json!({"janus": "add_token"})).await;
            assert_eq!(missing, "456 Missing mandatory element (token)");
            for token in ["a", "b", "c", "d"] {
                operator.done(json!({"janus": "remove_token", "token": token})).await;
            }
        }
    });
}

#[test]
fn admin_15_to_17_plugins_are_allowed_and_disallowed() {
    run(async {
        let Some(target) = stored().await else { return };
        let mut operator = Operator::ws(&target).await;
        for verb in ["allow", "disallow"] {
            let unknown = operator.refused(token(verb, "zz", json!([ECHOTEST]))).await;
            assert_eq!(unknown, "470 Token zz not found");
        }
        operator.done(token("add", "a", json!([ECHOTEST]))).await;
        for verb in ["allow", "disallow"] {
            let empty = operator.refused(token(verb, "a", json!([]))).await;
            assert_eq!(empty, "467 Invalid element type (plugins should be a non-empty array)");
            for bad in ["none", ""] {
                let mixed = operator.refused(token(verb, "a", json!([ECHOTEST, bad]))).await;
                let text = "467 Invalid element type (some of the provided plugins are invalid)";
                assert_eq!(mixed, text);
            }
        }
        let list = operator.done(json!({"janus": "list_tokens"})).await;
        let only = json!([{"token": "a", "allowed_plugins": [ECHOTEST]}]);
        assert_eq!(list["data"]["tokens"], only);
        let more = operator.done(token("allow", "a", json!([VIDEOROOM]))).await;
        assert_eq!(plugins(&more), [ECHOTEST, VIDEOROOM]);
        let none = operator.done(token("disallow", "a", json!([VIDEOROOM, ECHOTEST]))).await;
        assert_eq!(plugins(&none), [""; 0]);
        let list = operator.done(json!({"janus": "list_tokens"})).await;
        assert_eq!(list["data"]["tokens"], json!([]));
    });
}

#[test]
fn admin_18_a_removed_token_fails_at_once() {
    run(async {
        let Some(target) = stored().await else { return };
        let mut operator = Operator::http(&target);
        operator.done(json!({"janus": "add_token", "token": "a"})).await;
        let mut ws = target.ws().await;
        let session = ws.create_with(json!({"token": "a"})).await;
        let keepalive = json!({"janus": "keepalive", "session_id": session, "token": "a"});
        assert_eq!(ws.ask(keepalive.clone()).await["janus"], "ack");
        operator.done(json!({"janus": "remove_token", "token": "a"})).await;
        assert_eq!(code_of(&ws.ask(keepalive).await), 403);
        let again = operator.refused(json!({"janus": "remove_token", "token": "a"})).await;
        assert_eq!(again, "490 Error removing token");
    });
}

#[test]
fn transports_auth_47_no_stored_tokens_in_signed_mode_or_without_tokens() {
    run(async {
        let signed = Setup { token_auth: true, token_secret: Some("sign me"), ..setup() };
        for setup in [signed, setup()] {
            let Some(target) = Target::with(setup).await else { return };
            for mut operator in Operator::both(&target).await {
                for verb in ["add", "allow", "disallow", "remove"] {
                    let reply = operator.ask(token(verb, "a", json!([ECHOTEST]))).await;
                    let text = "490 Stored-Token based authentication disabled";
                    assert_eq!(error_of(&reply), text);
                }
                assert_eq!(code_of(&operator.ask(json!({"janus": "list_tokens"})).await), 490);
            }
        }
    });
}

#[test]
fn transports_auth_43_and_44_what_a_token_opens_is_checked_at_attach() {
    run(async {
        let Some(target) = stored().await else { return };
        let mut operator = Operator::ws(&target).await;
        operator.done(token("add", "a", json!([VIDEOROOM]))).await;
        let mut ws = target.ws().await;
        let session = ws.create_with(json!({"token": "a"})).await;
        let attach = |plugin: &str| json!({"janus": "attach", "session_id": session, "plugin": plugin, "token": "a"});
        let refused = format!("405 Provided token can't access plugin '{ECHOTEST}'");
        assert_eq!(error_of(&ws.ask(attach(ECHOTEST)).await), refused);
        assert_eq!(ws.ask(attach(VIDEOROOM)).await["janus"], "success");
        operator.done(token("disallow", "a", json!([VIDEOROOM]))).await;
        assert_eq!(code_of(&ws.ask(attach(VIDEOROOM)).await), 405);
    });
}
