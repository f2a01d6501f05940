//! Secrets and tokens, transports-auth §8–§10.

use crate::client::{Ws, code_of, error_of};
use crate::target::{Setup, Target, run};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bifrons_control::auth::Tokens;
use ring::hmac;
use serde_json::{Value, json};

const ECHOTEST: &str = "janus.plugin.echotest";

/// Adds a stored token, as the Admin API does.
fn add_token(target: &Target, token: &str, plugins: &[&str]) {
    target.front().with(|core, _| {
        let Tokens::Stored(stored) = core.authority_mut().tokens_mut() else {
            panic!("not the stored kind")
        };
        stored.add(token, plugins.iter().map(|p| (*p).to_owned())).expect("room");
    });
}

/// A token of this content.
pub(crate) fn signed(data: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"sign me");
    format!("{data}:{}", STANDARD.encode(hmac::sign(&key, data.as_bytes())))
}

async fn create(ws: &mut Ws, extra: Value) -> Result<u64, String> {
    let reply = ws.ask(crate::client::merged(json!({"janus": "create"}), &extra)).await;
    reply["data"]["id"].as_u64().ok_or_else(|| error_of(&reply))
}

async fn attach(ws: &mut Ws, session: u64, token: &str) -> Value {
    ws.ask(json!({"janus": "attach", "session_id": session, "plugin": ECHOTEST, "token": token}))
        .await
}

const REFUSED: &str = "403 Unauthorized request (wrong or missing secret/token)";

#[test]
fn transports_auth_41_either_secret_or_token_authorises() {
    run(async {
        let setup = Setup { secret: Some("s3cret"), token_auth: true, ..Setup::default() };
        let Some(target) = Target::with(setup).await else { return };
        let mut ws = target.ws().await;
        assert_eq!(create(&mut ws, json!({"token": "t1"})).await, Err(REFUSED.to_owned()));
        add_token(&target, "t1", &[ECHOTEST]);
        assert!(create(&mut ws, json!({"token": "t1"})).await.is_ok());
        assert!(create(&mut ws, json!({"apisecret": "s3cret"})).await.is_ok());
        assert!(create(&mut ws, json!({"apisecret": "no", "token": "t1"})).await.is_ok());
        assert_eq!(create(&mut ws, json!({})).await, Err(REFUSED.to_owned()));
        assert_eq!(create(&mut ws, json!({"token": 5})).await, Err(REFUSED.to_owned()));
    });
}

#[test]
fn transports_auth_42_unauthorised_comes_before_unknown() {
    run(async {
        let Some(target) = Target::with(Setup { token_auth: true, ..Setup::default() }).await
        else {
            return;
        };
        let mut ws = target.ws().await;
        add_token(&target, "t1", &[]);
        let ask = |token| json!({"janus": "keepalive", "session_id": 77, "token": token});
        assert_eq!(code_of(&ws.ask(ask("wrong")).await), 403);
        assert_eq!(code_of(&ws.ask(ask("t1")).await), 458);
    });
}

#[test]
fn transports_auth_43_and_44_a_token_opens_only_its_plugins() {
    run(async {
        let Some(target) = Target::with(Setup { token_auth: true, ..Setup::default() }).await
        else {
            return;
        };
        let mut ws = target.ws().await;
        add_token(&target, "other", &["janus.plugin.videoroom"]);
        add_token(&target, "none", &[]);
        add_token(&target, "echo", &[ECHOTEST]);
        for token in ["other", "none"] {
            let session = create(&mut ws, json!({"token": token})).await.expect("authorised");
            let reply = attach(&mut ws, session, token).await;
            let want = format!("405 Provided token can't access plugin '{ECHOTEST}'");
            assert_eq!(error_of(&reply), want);
        }
        let session = create(&mut ws, json!({"token": "echo"})).await.expect("authorised");
        assert_eq!(attach(&mut ws, session, "echo").await["janus"], "success");
    });
}

#[test]
fn a_removed_token_ends_no_session_but_opens_nothing() {
    run(async {
        let Some(target) = Target::with(Setup { token_auth: true, ..Setup::default() }).await
        else {
            return;
        };
        let mut ws = target.ws().await;
        add_token(&target, "t1", &[ECHOTEST]);
        add_token(&target, "t2", &[ECHOTEST]);
        let session = create(&mut ws, json!({"token": "t1"})).await.expect("authorised");
        target.front().with(|core, _| {
            let Tokens::Stored(stored) = core.authority_mut().tokens_mut() else { panic!() };
            stored.remove("t1").expect("known");
        });
        let ask = |token| json!({"janus": "keepalive", "session_id": session, "token": token});
        assert_eq!(code_of(&ws.ask(ask("t1")).await), 403);
        assert_eq!(ws.ask(ask("t2")).await["janus"], "ack");
    });
}

fn signing() -> Setup {
    Setup { token_auth: true, token_secret: Some("sign me"), ..Setup::default() }
}

#[test]
fn transports_auth_45_signed_tokens_are_checked() {
    run(async {
        let Some(target) = Target::with(signing()).await else { return };
        let mut ws = target.ws().await;
        let good = signed(&format!("99999999999,janus,{ECHOTEST}"));
        assert!(create(&mut ws, json!({"token": good})).await.is_ok());
        let changed = good.replacen("echotest", "echotesu", 1);
        let expired = signed(&format!("1000000000,janus,{ECHOTEST}"));
        let realm = signed(&format!("99999999999,janus.plugin.videoroom,{ECHOTEST}"));
        for bad in [changed, expired, realm] {
            let refused = create(&mut ws, json!({"token": bad})).await;
            assert_eq!(refused, Err(REFUSED.to_owned()), "{bad}");
        }
    });
}

#[test]
fn transports_auth_46_a_signed_token_names_its_plugins() {
    run(async {
        let Some(target) = Target::with(signing()).await else { return };
        let mut ws = target.ws().await;
        let other = signed("99999999999,janus,janus.plugin.videoroom");
        let session = create(&mut ws, json!({"token": other})).await.expect("authorised");
        assert_eq!(code_of(&attach(&mut ws, session, &other).await), 405);
        let good = signed(&format!("99999999999,janus,janus.plugin.videoroom,{ECHOTEST}"));
        assert_eq!(attach(&mut ws, session, &good).await["janus"], "success");
    });
}
