//! Offers, answers and candidates through EchoTest, core-api §3.11 and §4. No media flows.

use crate::client::{Ws, code_of, error_of};
use crate::target::{Setup, Target, run};
use serde_json::{Value, json};

const OFFER: &str = include_str!("../../../core/src/sdp/fixtures/chromium156.sdp");
const ANSWER: &str = include_str!("../../../core/src/sdp/fixtures/chromium156_answer.sdp");

fn offer(sdp: &str) -> Value {
    json!({"janus": "message", "body": {"audio": true, "video": true},
        "jsep": {"type": "offer", "sdp": sdp}})
}

fn answer() -> Value {
    json!({"janus": "message", "body": {}, "jsep": {"type": "answer", "sdp": ANSWER}})
}

/// The fixture with its line ends as they have to be.
pub(crate) fn sdp() -> String {
    OFFER.lines().collect::<Vec<_>>().join("\r\n") + "\r\n"
}

/// Offers and returns the answer's SDP.
pub(crate) async fn negotiate(ws: &mut Ws, at: (u64, u64), sdp: &str) -> String {
    let reply = ws.on(at, offer(sdp)).await;
    assert_eq!(reply["janus"], "ack", "{reply}");
    loop {
        let event = ws.event().await;
        if let Some(jsep) = event.get("jsep") {
            assert_eq!((&event["janus"], &event["sender"]), (&json!("event"), &json!(at.1)));
            assert_eq!(
                (&jsep["type"], &event["transaction"]),
                (&json!("answer"), &reply["transaction"])
            );
            return jsep["sdp"].as_str().expect("an SDP").to_owned();
        }
    }
}

/// Value of the first line that begins so.
fn value_of<'a>(sdp: &'a str, start: &str) -> &'a str {
    sdp.lines()
        .find_map(|line| line.strip_prefix(start))
        .unwrap_or_else(|| panic!("{start}: {sdp}"))
}

/// The words of what comes until the server says `word`; fails if it does not.
async fn words_until(ws: &mut Ws, word: &str) -> Vec<Value> {
    let mut seen = Vec::new();
    loop {
        let event = ws.event().await;
        let last = event["janus"] == word;
        seen.push(event);
        if last {
            return seen;
        }
    }
}

#[test]
fn core_api_17_detach_with_a_peerconnection_has_no_hangup() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        negotiate(&mut ws, at, &sdp()).await;
        assert_eq!(ws.on(at, json!({"janus": "detach"})).await["janus"], "success");
        let events = words_until(&mut ws, "detached").await;
        assert!(events.iter().all(|event| event["janus"] != "hangup"), "{events:?}");
        ws.no_event().await;
    });
}

#[test]
fn core_api_18_and_19_a_hung_up_handle_negotiates_again() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        for _ in 0..2 {
            let answer = negotiate(&mut ws, at, &sdp()).await;
            assert!(answer.starts_with("v=0\r\n"));
            assert_eq!(ws.on(at, json!({"janus": "hangup"})).await["janus"], "success");
            let events = words_until(&mut ws, "hangup").await;
            let want = json!({"janus": "hangup", "session_id": at.0, "sender": at.1,
                "reason": "Janus API"});
            assert_eq!(events.last(), Some(&want));
        }
    });
}

#[test]
fn core_api_20_destroy_with_a_peerconnection_is_silent() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        negotiate(&mut ws, at, &sdp()).await;
        let reply = ws.ask(json!({"janus": "destroy", "session_id": at.0})).await;
        assert_eq!(reply["janus"], "success");
        ws.no_event().await;
    });
}

#[test]
fn core_api_30_an_answer_without_an_offer() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let reply = ws.on(at, answer()).await;
        assert_eq!(error_of(&reply), "469 Unexpected ANSWER (did we offer?)");
        ws.no_event().await;
    });
}

#[test]
fn core_api_43_a_new_ufrag_is_answered_with_a_new_one() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let sdp = sdp();
        let first = negotiate(&mut ws, at, &sdp).await;
        let same = negotiate(&mut ws, at, &sdp).await;
        let ufrag = "a=ice-ufrag:";
        assert_eq!(value_of(&first, ufrag), value_of(&same, ufrag), "no restart, no change");
        let restart = sdp
            .replace(value_of(&sdp, ufrag), "fRsH")
            .replace(value_of(&sdp, "a=ice-pwd:"), "abcdefghijklmnopqrstuvwx");
        let renewed = negotiate(&mut ws, at, &restart).await;
        assert_ne!(value_of(&first, ufrag), value_of(&renewed, ufrag));
    });
}

#[test]
fn core_api_44_a_bad_sdp_first_and_later() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let good = sdp();
        let without: String = good
            .lines()
            .filter(|l| !l.starts_with("a=fingerprint"))
            .map(|l| format!("{l}\r\n"))
            .collect();
        let long_mid = good.replacen("a=mid:0", "a=mid:0123456789abcdef0", 1);
        let refused = |reply: Value| error_of(&reply);
        assert_eq!(
            refused(ws.on(at, offer("nonsense")).await),
            "465 Invalid SDP (doesn't start with v=)"
        );
        assert_eq!(refused(ws.on(at, offer(&long_mid)).await), "465 ");
        assert_eq!(refused(ws.on(at, offer(&without)).await), "465 Error processing SDP");
        let at = ws.attached().await;
        negotiate(&mut ws, at, &good).await;
        assert_eq!(refused(ws.on(at, offer(&without)).await), "469 Error processing SDP");
        assert_eq!(refused(ws.on(at, offer(&long_mid)).await), "465 ");
    });
}

/// 1.4.2 refuses the whole SDP; the better way, ours, is to reject that line alone
/// (webrtc-behaviour checklist 11).
#[test]
fn core_api_57_lines_of_another_kind_are_rejected() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let strange = sdp() + "m=text 9 UDP/TLS/RTP/SAVPF 98\r\na=mid:9\r\n";
        let reply = ws.on(at, offer(&strange)).await;
        if reply["janus"] == "error" {
            let want = "465 Invalid m= line: m=text 9 UDP/TLS/RTP/SAVPF 98";
            assert!(target.front.is_none() && error_of(&reply) == want, "{reply}");
            return;
        }
        let answer = ws.event().await["jsep"]["sdp"].as_str().expect("an SDP").to_owned();
        let lines = |sdp: &str| sdp.lines().filter(|line| line.starts_with("m=")).count();
        assert_eq!(lines(&answer), lines(&strange));
        assert_eq!(value_of(&answer, "m=text "), "0 UDP/TLS/RTP/SAVPF 0");
    });
}

#[test]
fn core_api_61_an_offer_without_mids_is_taken() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let keep = |line: &&str| !line.starts_with("a=mid") && !line.starts_with("a=group");
        let sdp: String = OFFER.lines().filter(keep).map(|line| format!("{line}\r\n")).collect();
        let answer = negotiate(&mut ws, at, &sdp).await;
        if target.front.is_some() {
            assert!(value_of(&answer, "a=group:BUNDLE ").starts_with('0'), "{answer}");
            assert_eq!(value_of(&answer, "a=mid:"), "0");
        }
    });
}

#[test]
fn core_api_62_an_answer_after_a_refused_offer() {
    run(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let without = sdp().replace("a=fingerprint", "a=x-fingerprint");
        assert_eq!(code_of(&ws.on(at, offer(&without)).await), 465);
        assert_eq!(code_of(&ws.on(at, answer()).await), 469);
    });
}

#[test]
fn core_api_63_wrong_types_in_jsep() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        for (name, kind) in [("e2ee", "boolean"), ("trickle", "boolean"), ("rid_order", "string")] {
            let mut request = offer(&sdp());
            request["jsep"][name] = json!(5);
            let want = format!("467 JSEP error: invalid element type ({name} should be a {kind})");
            assert_eq!(error_of(&ws.on(at, request).await), want);
        }
        let mut request = offer(&sdp());
        request["jsep"]["svc"] = json!("L3T3");
        assert_eq!(ws.on(at, request).await["janus"], "ack");
        assert_eq!(ws.event().await["jsep"]["type"], "answer");
    });
}
