//! Relays of our own, from their request to their candidate.

use super::*;
use crate::service::relay::{RelayCommand, RelayEvent, Relays};
use std::net::IpAddr;

const RELAYED: &str = "203.0.113.9:50000";

/// Writes down what it is asked.
#[derive(Clone, Default)]
struct Asked(Rc<RefCell<Vec<RelayCommand>>>);

impl Relays for Asked {
    fn ask(&mut self, command: RelayCommand) -> bool {
        self.0.borrow_mut().push(command);
        true
    }
}

impl Asked {
    fn take(&self) -> Vec<RelayCommand> {
        std::mem::take(&mut self.0.borrow_mut())
    }
}

fn bench(change: impl FnOnce(&mut NegotiationSettings)) -> (Bench, Asked) {
    let mut bench = Bench::with(1, change);
    let asked = Asked::default();
    bench.negotiation.set_relays(Box::new(asked.clone()));
    (bench, asked)
}

fn ready(peer: PeerId) -> RelayEvent {
    RelayEvent::Ready { peer, relayed: RELAYED.parse().expect("an address") }
}

/// What the client hears: candidates, and "end".
fn heard(bench: &mut Bench) -> Vec<String> {
    let line = |(_, event)| match event {
        PeerEvent::Candidate(Some((_, line))) => line,
        PeerEvent::Candidate(None) => "end".to_owned(),
        other => panic!("no candidate: {other:?}"),
    };
    bench.events().into_iter().map(line).collect()
}

#[test]
fn the_answer_does_not_wait_for_its_relay() {
    let (mut bench, asked) = bench(|_| {});
    bench.negotiation.attached(ADA, 100, Some("ada"));
    let answer = bench.connect(ADA, CHROMIUM).to_string();
    assert!(answer.contains("10.0.0.5 9000 typ host"), "{answer}");
    assert!(!answer.contains("a=end-of-candidates"), "{answer}");
    let peer = bench.peer(ADA);
    let open = RelayCommand::Open { peer, username: "ada".to_owned() };
    assert_eq!(asked.take().first(), Some(&open));
    bench.sent();
    bench.negotiation.relay_event(ready(peer));
    let told = bench.only();
    assert!(matches!(told, ShardCommand::Relay { peer: of, relayed } if of == peer
        && relayed == RELAYED.parse().expect("an address")));
    let [line, end] = <[_; 2]>::try_from(heard(&mut bench)).expect("a candidate and its end");
    assert!(line.contains(" 203.0.113.9 50000 typ relay raddr ") && end == "end", "{line}");
    // From then on descriptions say it all.
    let answer = bench.connect(ADA, CHROMIUM).to_string();
    assert!(answer.contains("typ relay") && answer.contains("a=end-of-candidates"), "{answer}");
    assert!(asked.take().is_empty(), "one relay a PeerConnection");
    assert!(bench.negotiation.hangup(ADA, bifrons_core::media::DownReason::JanusApi));
    assert_eq!(asked.take(), [RelayCommand::Close { peer }]);
    bench.negotiation.relay_event(RelayEvent::Lost { peer });
    assert!(bench.events().is_empty(), "nobody is left to hear of it");
}

#[test]
fn without_an_opaque_id_the_session_stands_for_the_user() {
    let (mut bench, asked) = bench(|_| {});
    bench.local(BOB, sending()).expect("an offer");
    let open = RelayCommand::Open { peer: bench.peer(BOB), username: "200".to_owned() };
    assert_eq!(asked.take(), [open]);
}

#[test]
fn a_relay_that_is_not_to_be_had_ends_our_candidates() {
    let (mut bench, _) = bench(|settings| settings.full_trickle = true);
    bench.connect(ADA, CHROMIUM);
    let lines = heard(&mut bench);
    assert!(lines.len() == 1 && lines[0].contains("typ host"), "{lines:?}");
    let peer = bench.peer(ADA);
    bench.negotiation.relay_event(RelayEvent::Failed { peer });
    assert_eq!(heard(&mut bench), ["end"]);
}

#[test]
fn the_clients_addresses_are_let_in() {
    let (mut bench, asked) = bench(|_| {});
    bench.connect(ADA, CHROMIUM);
    asked.take();
    bench.negotiation.candidate(ADA, "candidate:1 1 udp 2122260223 192.0.2.7 50123 typ host");
    let remote: IpAddr = [192, 0, 2, 7].into();
    assert_eq!(asked.take(), [RelayCommand::Permit { peer: bench.peer(ADA), remote }]);
}

#[test]
fn a_forced_relay_is_all_there_is_where_that_is_allowed() {
    for allowed in [true, false] {
        let (mut bench, _) = bench(|settings| settings.allow_force_relay = allowed);
        let offer = json!({ "type": "offer", "sdp": CHROMIUM, "force_relay": true });
        let offer = bench.remote(ADA, offer).expect("a sound offer");
        let answer = bench.answer(ADA, &offer).to_string();
        assert_eq!(answer.contains("a=candidate"), !allowed, "{answer}");
        assert_eq!(bench.setup().transport.relay_only, allowed);
    }
}
