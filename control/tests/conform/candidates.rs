//! Candidates of clients and ours (core-api §3.11).

use crate::client::error_of;
use crate::jsep::{negotiate, sdp};
use crate::target::{Setup, Target, run, run_paused};
use bifrons_core::media::ShardCommand;
use serde_json::{Value, json};
use std::time::Duration;

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
