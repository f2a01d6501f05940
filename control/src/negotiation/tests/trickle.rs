//! Candidates of clients (core-api §3.11).

use super::*;
use crate::negotiation::PassedOver;

const HOST: &str = "candidate:1 1 udp 2122260223 192.0.2.7 50123 typ host";

fn candidates(bench: &Bench) -> Vec<String> {
    let candidate = |(_, command)| match command {
        ShardCommand::Candidate { candidate, .. } => candidate.to_string(),
        ShardCommand::EndOfCandidates { .. } => "end".to_owned(),
        other => panic!("not about candidates: {other:?}"),
    };
    bench.sent().into_iter().map(candidate).collect()
}

#[test]
fn core_api_33_candidates_wait_until_the_exchange_is_complete() {
    let mut bench = Bench::new(1);
    assert!(!bench.negotiation.accepts_candidates(ADA));
    let offer = bench.offer(ADA, CHROMIUM);
    assert!(!bench.negotiation.accepts_candidates(ADA));
    bench.answer(ADA, &offer);
    assert!(bench.negotiation.accepts_candidates(ADA));
    bench.sent();
    bench.negotiation.candidate(ADA, HOST);
    bench.negotiation.candidate(ADA, HOST.trim_start_matches("candidate:"));
    assert_eq!(candidates(&bench), [HOST, HOST]);
}

#[test]
fn core_api_35_the_end_of_candidates_is_told_once() {
    let mut bench = Bench::new(1);
    bench.connect(ADA, CHROMIUM);
    bench.sent();
    bench.negotiation.end_of_candidates(ADA);
    bench.negotiation.end_of_candidates(ADA);
    assert_eq!(candidates(&bench), ["end"]);
    // A restart expects new ones.
    bench.connect(ADA, &CHROMIUM.replace("ice-ufrag:pzjr", "ice-ufrag:new1"));
    assert!(!bench.update().end_of_candidates);
    bench.negotiation.end_of_candidates(ADA);
    assert_eq!(candidates(&bench), ["end"]);
}

#[test]
fn core_api_36_what_cannot_be_used_is_passed_over() {
    let mut bench = Bench::new(1);
    bench.connect(ADA, CHROMIUM);
    bench.sent();
    for line in [
        "nonsense",
        "candidate:1 2 udp 2122260223 192.0.2.7 50123 typ host",
        "candidate:1 1 udp 0 192.0.2.7 50123 typ host",
        "candidate:1 1 tcp 2122260223 192.0.2.7 9 typ host tcptype active",
        "candidate:1 1 udp 2122260223 5f2c-11.local 50123 typ host",
    ] {
        bench.negotiation.candidate(ADA, line);
    }
    assert!(candidates(&bench).is_empty());
    assert_eq!(bench.negotiation.passed_over(), PassedOver { mdns: 1, others: 4 });
}

#[test]
fn webrtc_36_names_in_local_are_passed_over_counted_and_shown() {
    let mut bench = Bench::new(1);
    let name = "1 1 udp 2122260223 8f2a1b3c-0d1e-4f5a-9b8c-7d6e5f4a3b2c.local 50123 typ host";
    let sdp = CHROMIUM.replace("a=mid:0", &format!("a=candidate:{name}\r\na={HOST}\r\na=mid:0"));
    let offer = bench.remote(ADA, json!({ "type": "offer", "sdp": sdp }));
    bench.answer(ADA, &offer.expect("sound"));
    let transport = bench.setup().transport;
    let used: Vec<_> = transport.candidates.iter().map(ToString::to_string).collect();
    assert_eq!(used, [HOST]);
    bench.negotiation.candidate(ADA, &format!("candidate:{name}"));
    assert!(bench.sent().is_empty());
    assert_eq!(bench.negotiation.passed_over(), PassedOver { mdns: 2, others: 0 });
    let view = bench.negotiation.view(ADA).expect("a PeerConnection");
    assert!(view.remote_candidates.contains(&name.to_owned()), "operators see it");
}

#[test]
fn core_api_37_the_first_line_is_known_by_its_mid() {
    let mut bench = Bench::new(1);
    assert_eq!(bench.negotiation.first_mid(ADA), None);
    bench.connect(ADA, &CHROMIUM.replace("a=mid:0", "a=mid:sound"));
    assert_eq!(bench.negotiation.first_mid(ADA), Some("sound"));
}

#[test]
fn a_client_that_does_not_trickle_has_said_all() {
    let mut bench = Bench::new(1);
    let sdp = CHROMIUM.replace("a=mid:0", &format!("a={HOST}\r\na=mid:0"));
    let offer = bench.remote(ADA, json!({ "type": "offer", "sdp": sdp, "trickle": false }));
    bench.answer(ADA, &offer.expect("sound"));
    let transport = bench.setup().transport;
    assert!(transport.end_of_candidates);
    assert_eq!(transport.candidates.len(), 1);
    bench.negotiation.end_of_candidates(ADA);
    assert!(bench.sent().is_empty(), "that was known");
}

#[test]
fn candidates_of_nobody_are_nobodys() {
    let mut bench = Bench::new(1);
    bench.negotiation.candidate(ADA, HOST);
    bench.negotiation.end_of_candidates(ADA);
    assert!(bench.sent().is_empty());
}
