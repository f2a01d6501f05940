//! What two honest agents achieve.

use super::*;

fn two_full(now: Instant) -> [End; 2] {
    [End::full(now, 0, &["192.0.2.1:9000"], true), End::full(now, 1, &["192.0.2.2:9001"], false)]
}

fn full_and_lite(now: Instant) -> [End; 2] {
    [End::full(now, 0, &["192.0.2.1:9000"], true), End::lite(1, &["192.0.2.2:9001"])]
}

#[test]
fn two_full_agents_connect_at_once() {
    let mut w = World::new(1, two_full);
    w.signal_all();
    w.connect();
    w.assert_paths_meet();
    assert!(w.now - w.start < Duration::from_secs(1), "took {:?}", w.now - w.start);
    for end in &w.ends {
        assert_eq!(end.events.last(), Some(&IceEvent::Connected));
        let validated = end.events.iter().position(|e| matches!(e, IceEvent::ValidatedAddress(_)));
        let selected = end.events.iter().position(|e| matches!(e, IceEvent::SelectedPair(_)));
        assert!(validated < selected, "{:?}", end.events);
    }
}

#[test]
fn an_agent_that_has_a_relay_alone_is_reached_through_it() {
    let relayed = addr("203.0.113.9:50000");
    let mut w = World::new(3, |now| {
        [End::full(now, 0, &["192.0.2.1:9000"], true), End::full(now, 1, &[], false)]
    });
    w.signal_all();
    assert!(!w.run(Duration::from_secs(2), |w| w.both(IceState::Connected)));
    // It comes late, as allocations do, and the peer never hears of it: our checks show it.
    w.ends[1].sockets.push(relayed);
    let now = w.now;
    w.ends[1].agent.add_relayed(now, relayed);
    w.connect();
    w.assert_paths_meet();
    let selected = w.ends[1].selected().expect("selected");
    assert_eq!((selected.pair.local, selected.local_kind), (relayed, CandidateKind::Relayed));
    let seen = w.ends[0].selected().expect("selected");
    assert_eq!((seen.pair.remote, seen.remote_kind), (relayed, CandidateKind::PeerReflexive));
    // A restart keeps it.
    w.restart(1, 9);
    w.restart(0, 8);
    w.signal_all();
    w.connect();
    assert_eq!(w.ends[1].selected().expect("selected").pair.local, relayed);
}

#[test]
fn two_full_agents_connect_over_many_addresses_and_loss() {
    for seed in 0..30 {
        let mut w = World::new(seed, |now| {
            [
                End::full(now, 0, &["192.0.2.1:9000", "[2001:db8::1]:9000", "10.0.0.1:9000"], true),
                End::full(now, 1, &["192.0.2.2:9001", "[2001:db8::2]:9001"], false),
            ]
        });
        w.loss_percent = 30;
        w.signal_all();
        w.connect();
        // Renomination may still be on its way; it settles.
        w.loss_percent = 0;
        w.run(Duration::from_secs(10), |_| false);
        assert!(w.both(IceState::Connected), "seed {seed}");
        w.assert_paths_meet();
    }
}

#[test]
fn a_full_agent_connects_to_a_lite_one() {
    for seed in 0..30 {
        let mut w = World::new(seed, full_and_lite);
        w.loss_percent = seed;
        w.signal_all();
        w.connect();
        w.assert_paths_meet();
        let selected = w.ends[1].selected().expect("selected");
        assert_eq!(selected.remote_kind, CandidateKind::Host, "it was signalled");
    }
}

#[test]
fn a_lite_agent_that_hears_no_candidates_learns_the_address() {
    let mut w = World::new(2, full_and_lite);
    w.exchange_credentials();
    w.signal_candidates(0);
    w.connect();
    let selected = w.ends[1].selected().expect("selected");
    assert_eq!(selected.remote_kind, CandidateKind::PeerReflexive);
    assert_eq!(selected.pair.remote, addr("192.0.2.1:9000"));
}

#[test]
fn a_full_agent_learns_the_address_behind_a_translator() {
    let mut w = World::new(3, two_full);
    // The controlled end is known by nothing it signalled, and seen at another address.
    w.nat.push((addr("192.0.2.2:9001"), addr("203.0.113.9:40000")));
    w.exchange_credentials();
    w.signal_candidates(1);
    w.connect();
    let selected = w.ends[0].selected().expect("selected");
    assert_eq!(selected.pair.remote, addr("203.0.113.9:40000"));
    assert_eq!(selected.remote_kind, CandidateKind::PeerReflexive);
    let inside = w.ends[1].selected().expect("selected");
    assert_eq!(inside.pair.local, addr("192.0.2.2:9001"), "it sends from its own socket");
}

#[test]
fn an_answer_that_comes_late_still_connects() {
    let mut w = World::new(4, two_full);
    // The offerer (controlling) does not know the answer yet; the other side checks already.
    let offered = w.ends[0].local.clone();
    w.ends[1].agent.set_remote_credentials(w.now, &offered);
    w.signal_candidates(1);
    w.run(Duration::from_secs(2), |_| false);
    assert!(!w.both(IceState::Connected));
    w.exchange_credentials();
    w.signal_candidates(0);
    w.connect();
}

#[test]
fn both_claiming_the_lead_settle_it() {
    let mut w = World::new(5, |now| {
        [End::full(now, 0, &["192.0.2.1:9000"], true), End::full(now, 1, &["192.0.2.2:9001"], true)]
    });
    w.signal_all();
    w.connect();
    w.assert_paths_meet();
}

#[test]
fn a_controlled_full_agent_takes_the_lead_over_a_lite_one() {
    let mut w = World::new(6, |now| {
        [End::full(now, 0, &["192.0.2.1:9000"], false), End::lite(1, &["192.0.2.2:9001"])]
    });
    w.signal_all();
    w.connect();
}

#[test]
fn a_restart_keeps_the_path_and_connects_again() {
    for ends in [two_full as fn(Instant) -> [End; 2], full_and_lite] {
        let mut w = World::new(7, ends);
        w.signal_all();
        w.connect();
        let before = [0, 1].map(|i| w.ends[i].selected());
        // The side that answers restarts first, as its peer's offer makes it.
        w.restart(1, 2);
        w.run(Duration::from_secs(4), |_| false);
        assert_eq!(w.ends[1].agent.state(), IceState::Checking);
        assert_eq!(
            w.ends[0].agent.state(),
            IceState::Connected,
            "the old credentials are still answered",
        );
        w.restart(0, 2);
        w.signal_all();
        w.connect();
        let after = [0, 1].map(|i| w.ends[i].selected());
        assert_eq!(before, after);
        for end in &w.ends {
            assert_eq!(end.count(|e| matches!(e, IceEvent::SelectedPair(_))), 1, "one DTLS start");
            assert_eq!(end.count(|e| *e == IceEvent::Connected), 2);
        }
    }
}

#[test]
fn a_restart_moves_to_a_new_address() {
    let mut w = World::new(8, two_full);
    w.signal_all();
    w.connect();
    // The peer moved: its old socket is gone, a new one appears.
    w.restart(0, 2);
    w.ends[1] = End::full(w.now, 1, &["198.51.100.7:5000"], false);
    w.signal_all();
    w.connect();
    w.assert_paths_meet();
    assert_eq!(w.ends[0].selected().map(|s| s.pair.remote), Some(addr("198.51.100.7:5000")));
}

#[test]
fn consent_is_lost_in_silence_and_comes_back() {
    for ends in [two_full as fn(Instant) -> [End; 2], full_and_lite] {
        let mut w = World::new(9, ends);
        w.signal_all();
        w.connect();
        w.run(Duration::from_secs(120), |w| !w.both(IceState::Connected));
        assert!(w.both(IceState::Connected), "idle for two minutes is fine");

        let cut_at = w.now;
        w.cut = true;
        assert!(w.run(Duration::from_secs(60), |w| w.both(IceState::Disconnected)));
        let took = w.now - cut_at;
        assert!((10..=40).contains(&took.as_secs()), "{took:?}");

        // A restart rescues it, as §1.4 wants it to.
        w.cut = false;
        w.restart(0, 3);
        w.restart(1, 3);
        w.signal_all();
        w.connect();
    }
}

#[test]
fn keepalives_are_few() {
    let mut w = World::new(10, full_and_lite);
    w.signal_all();
    w.connect();
    let before = w.ends[0].sent;
    w.run(Duration::from_secs(300), |_| false);
    let checks = w.ends[0].sent - before;
    assert!((60..=150).contains(&checks), "{checks} checks in 300 s");
}

#[test]
fn unreachable_candidates_fail_and_a_late_one_recovers() {
    let mut w = World::new(11, two_full);
    w.exchange_credentials();
    let nowhere = host(addr("203.0.113.1:1"));
    for end in &mut w.ends {
        assert_eq!(end.agent.add_remote_candidate(&nowhere), Ok(()));
    }
    assert!(w.run(Duration::from_secs(60), |w| w.both(IceState::Failed)));
    assert_eq!(w.ends[0].events.last(), Some(&IceEvent::Failed));
    w.signal_candidates(0);
    w.signal_candidates(1);
    w.connect();
}

#[test]
fn a_lite_agent_that_nobody_checks_fails() {
    let mut w = World::new(12, full_and_lite);
    assert!(!w.run(Duration::from_secs(60), |w| w.ends[1].agent.state() == IceState::Failed));
    w.exchange_credentials();
    assert!(w.run(LITE_CONSENT, |w| w.ends[1].agent.state() == IceState::Failed));
}
