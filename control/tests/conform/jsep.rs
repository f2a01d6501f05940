//! Offers, answers and candidates through EchoTest, core-api §3.11 and §4. No media flows.

use crate::client::{Ws, code_of, error_of};
use crate::target::{Setup, Target, run, run_paused};
use bifrons_core::media::ShardCommand;
use serde_json::{Value, json};
use std::time::Duration;

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
fn sdp() -> String {
    OFFER.lines().collect::<Vec<_>>().join("\r\n") + "\r\n"
}

/// Offers and returns the answer's SDP.
async fn negotiate(ws: &mut Ws, at: (u64, u64), sdp: &str) -> String {
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

/// How many candidates, and ends of them, a shard was told of since the last call; setups count
/// with what they carry.
fn told(target: &Target) -> (usize, usize) {
    let mut count = (0, 0);
    for command in target.commands.borrow_mut().drain(..) {
        match command {
            ShardCommand::Open(setup) => {
                count.0 += setup.transport.candidates.len();
                count.1 += usize::from(setup.transport.end_of_candidates);
            }
            ShardCommand::Candidate { .. } => count.0 += 1,
            ShardCommand::EndOfCandidates { .. } => count.1 += 1,
            _ => {}
        }
    }
    count
}

fn trickle(candidate: Value) -> Value {
    json!({"janus": "trickle", "candidate": candidate})
}

fn host(number: u8) -> Value {
    let line = format!("candidate:{number} 1 udp 2122260223 198.51.100.{number} 50123 typ host");
    json!({"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0})
}

#[test]
fn core_api_33_early_candidates_are_used_after_the_offer_or_dropped() {
    run_paused(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        assert_eq!(ws.on(at, trickle(host(1))).await["janus"], "ack");
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(ws.on(at, trickle(host(2))).await["janus"], "ack");
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(told(&target), (0, 0));
        negotiate(&mut ws, at, &sdp()).await;
        assert_eq!(told(&target), (1, 0), "the one that is younger than 45 s");
        assert_eq!(ws.on(at, trickle(host(3))).await["janus"], "ack");
        assert_eq!(told(&target), (1, 0));
    });
}

#[test]
fn core_api_34_a_candidate_has_to_say_where_it_belongs() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        negotiate(&mut ws, at, &sdp()).await;
        assert_eq!(
            error_of(&ws.on(at, trickle(json!({}))).await),
            "456 Trickle error: missing mandatory element (sdpMid or sdpMLineIndex)"
        );
        let reply = ws.on(at, json!({"janus": "trickle", "candidates": "x"})).await;
        assert_eq!(error_of(&reply), "467 candidates is not an array");
        let reply = ws.on(at, trickle(json!({"sdpMid": 0, "candidate": ""}))).await;
        assert_eq!(
            error_of(&reply),
            "467 Trickle error: invalid element type (sdpMid should be a string)"
        );
    });
}

#[test]
fn core_api_35_completed_in_all_its_forms() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        for (end, ends) in [
            (json!({"completed": true}), 1),
            (json!({"completed": false}), 1),
            (json!(null), 1),
            (json!("anything"), 1),
            (json!({"candidate": "", "sdpMid": "0"}), 0),
        ] {
            let at = ws.attached().await;
            negotiate(&mut ws, at, &sdp()).await;
            told(&target);
            let reply = ws.on(at, trickle(end.clone())).await;
            assert_eq!((&reply["janus"], &reply["session_id"]), (&json!("ack"), &json!(at.0)));
            if target.front.is_some() {
                assert_eq!(told(&target), (0, ends), "{end}");
            }
        }
    });
}

#[test]
fn core_api_37_candidates_of_other_lines_do_not_matter() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        negotiate(&mut ws, at, &sdp()).await;
        told(&target);
        let mut other = host(1);
        other["sdpMLineIndex"] = json!(1);
        other["sdpMid"] = json!("1");
        assert_eq!(ws.on(at, trickle(other)).await["janus"], "ack");
        assert_eq!(told(&target), (0, 0));
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

#[test]
fn core_api_51_our_candidates_end_with_completed() {
    run(async {
        let setup = Setup { full_trickle: true, ..Setup::default() };
        let Some(target) = Target::with(setup).await else { return };
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let answer = negotiate(&mut ws, at, &sdp()).await;
        assert!(!answer.contains("a=candidate"), "{answer}");
        let mut candidates = 0;
        loop {
            let event = ws.event().await;
            assert_eq!((&event["janus"], &event["sender"]), (&json!("trickle"), &json!(at.1)));
            if event["candidate"] == json!({"completed": true}) {
                break;
            }
            assert!(event["candidate"]["candidate"].is_string());
            assert_eq!(event["candidate"]["sdpMLineIndex"], 0);
            candidates += 1;
        }
        assert!(candidates > 0);
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
