//! What peers that lie do not achieve.

use super::stun::{
    BindingRequest, Class, IntegrityKey, Message, Role, TransactionId, write_request, write_success,
};
use super::*;

const OURS: &str = "192.0.2.2:9001";
const THEIRS: &str = "192.0.2.1:9000";

fn check(pwd: &str, edit: impl FnOnce(&mut BindingRequest<'_>)) -> Vec<u8> {
    let to = credentials(1, 1).ufrag;
    let mut request = BindingRequest {
        transaction: TransactionId([1; 12]),
        to_ufrag: &to,
        from_ufrag: &credentials(0, 1).ufrag,
        priority: 1,
        role: Role::Controlling(1),
        use_candidate: true,
    };
    edit(&mut request);
    let mut out = [0; MAX_MESSAGE];
    let n = write_request(&mut out, &request, &IntegrityKey::new(pwd)).expect("fits");
    out[..n].to_vec()
}

fn agents(now: Instant) -> [Box<dyn IceAgent>; 2] {
    let mut agents = [End::lite(1, &[OURS]).agent, End::full(now, 1, &[OURS], false).agent];
    for agent in &mut agents {
        agent.set_remote_credentials(now, &credentials(0, 1));
    }
    agents
}

/// Code of the error the agent answers with; 0 for success, `None` for silence.
fn answer(agent: &mut dyn IceAgent) -> Option<u16> {
    let mut out = [0; MAX_MESSAGE];
    let t = agent.poll_transmit(&mut out)?;
    let message = Message::parse(&out[..t.len]).expect("own message");
    match message.class {
        Class::Success => Some(0),
        Class::Error => message.error,
        _ => panic!("unexpected {:?}", message.class),
    }
}

#[test]
fn a_wrong_password_gets_401_and_no_address() {
    let now = Instant::now();
    for mut agent in agents(now) {
        let forged = check("wrong", |_| {});
        assert!(!agent.handle_packet(now, addr(OURS), addr(THEIRS), &forged));
        assert_eq!(answer(agent.as_mut()), Some(401));
        assert_eq!(agent.stats().refused, 1);
        let said: Vec<_> = std::iter::from_fn(|| agent.poll_event()).collect();
        assert_eq!(said, [IceEvent::Checking], "{said:?}");
    }
}

#[test]
fn checks_without_integrity_get_400_and_strangers_get_nothing() {
    let now = Instant::now();
    let pwd = credentials(1, 1).pwd;
    for mut agent in agents(now) {
        let mut unsigned = check(&pwd, |_| {});
        // Cut integrity and fingerprint off.
        unsigned.truncate(unsigned.len() - 32);
        let len = (unsigned.len() - 20) as u16;
        unsigned[2..4].copy_from_slice(&len.to_be_bytes());
        assert!(!agent.handle_packet(now, addr(OURS), addr(THEIRS), &unsigned));
        assert_eq!(answer(agent.as_mut()), Some(400));

        let stranger = check(&pwd, |r| r.to_ufrag = "AAAAAAAAAAAA");
        assert!(!agent.handle_packet(now, addr(OURS), addr(THEIRS), &stranger));
        assert_eq!(answer(agent.as_mut()), None);
    }
}

#[test]
fn a_lite_agent_answers_487_to_a_controlled_peer() {
    let now = Instant::now();
    let [mut lite, _] = agents(now);
    let controlled = check(&credentials(1, 1).pwd, |r| r.role = Role::Controlled(u64::MAX));
    assert!(lite.handle_packet(now, addr(OURS), addr(THEIRS), &controlled));
    assert_eq!(answer(lite.as_mut()), Some(487));
    assert_eq!(lite.state(), IceState::Checking);
}

#[test]
fn the_last_nomination_wins_in_a_lite_agent() {
    let now = Instant::now();
    let [mut lite, _] = agents(now);
    let nomination = check(&credentials(1, 1).pwd, |_| {});
    for from in [THEIRS, "198.51.100.1:5"] {
        assert!(lite.handle_packet(now, addr(OURS), addr(from), &nomination));
        let selected = std::iter::from_fn(|| lite.poll_event()).find_map(|e| match e {
            IceEvent::SelectedPair(s) => Some(s.pair.remote),
            _ => None,
        });
        assert_eq!(selected, Some(addr(from)));
    }
}

#[test]
fn ten_thousand_sources_fill_no_table() {
    let start = Instant::now();
    let check = check(&credentials(1, 1).pwd, |_| {});
    for mut agent in agents(start) {
        let mut valid: Vec<AddressPair> = Vec::new();
        for i in 0..10_000u32 {
            let now = start + Duration::from_millis(u64::from(i));
            let [_, _, a, b] = i.to_be_bytes();
            agent.handle_packet(now, addr(OURS), ([198, 51, a, b], 5000).into(), &check);
            let mut out = [0; MAX_MESSAGE];
            while agent.poll_transmit(&mut out).is_some() {}
            while let Some(event) = agent.poll_event() {
                match event {
                    IceEvent::ValidatedAddress(pair) => valid.push(pair),
                    IceEvent::RetiredAddress(pair) => valid.retain(|p| *p != pair),
                    _ => {}
                }
            }
            assert!(valid.len() <= MAX_ADDRESSES);
        }
        assert!(!valid.is_empty());
    }
}

#[test]
fn answers_nobody_polls_for_are_dropped_and_counted() {
    let now = Instant::now();
    let [mut lite, _] = agents(now);
    let check = check(&credentials(1, 1).pwd, |_| {});
    for _ in 0..100 {
        lite.handle_packet(now, addr(OURS), addr(THEIRS), &check);
    }
    let mut sent = 0;
    while answer(lite.as_mut()).is_some() {
        sent += 1;
    }
    assert_eq!((sent, lite.stats().overflows, lite.stats().requests), (8, 92, 100));
    // And a buffer too short costs the answer, not a panic.
    lite.handle_packet(now, addr(OURS), addr(THEIRS), &check);
    assert_eq!(lite.poll_transmit(&mut [0; 10]), None);
    assert_eq!(lite.stats().overflows, 93);
}

/// A full agent that has sent one check, with the check's transaction id.
fn checking(now: Instant) -> (Box<dyn IceAgent>, TransactionId) {
    let mut agent = End::full(now, 1, &[OURS], true).agent;
    agent.set_remote_credentials(now, &credentials(0, 1));
    assert_eq!(agent.add_remote_candidate(&host(addr(THEIRS))), Ok(()));
    let mut out = [0; MAX_MESSAGE];
    for step in 1..10 {
        agent.handle_timeout(now + Duration::from_millis(50 * step));
        if let Some(t) = agent.poll_transmit(&mut out) {
            let sent = Message::parse(&out[..t.len]).expect("own message");
            return (agent, sent.transaction);
        }
    }
    panic!("no check was sent");
}

#[test]
fn responses_are_taken_once_from_the_right_place_with_the_right_password() {
    let now = Instant::now();
    let (mut agent, id) = checking(now);
    let pwd = credentials(0, 1).pwd;
    let respond = |id, pwd: &str| {
        let mut out = [0; MAX_MESSAGE];
        let n = write_success(&mut out, id, addr("203.0.113.5:6"), &IntegrityKey::new(pwd));
        out[..n.expect("fits")].to_vec()
    };
    let later = now + Duration::from_secs(1);
    let mut take =
        |from: &str, bytes: &[u8]| agent.handle_packet(later, addr(OURS), addr(from), bytes);
    assert!(!take(THEIRS, &respond(id, "wrong")));
    assert!(!take(THEIRS, &respond(TransactionId([0; 12]), &pwd)));
    assert!(!take("198.51.100.1:5", &respond(id, &pwd)), "not where the check went");
    assert!(take(THEIRS, &respond(id, &pwd)));
    assert!(!take(THEIRS, &respond(id, &pwd)), "a replay");
}

#[test]
fn the_longest_credentials_a_peer_may_have_do_not_stop_us() {
    let now = Instant::now();
    let mut agent = End::full(now, 1, &[OURS], true).agent;
    let long = Credentials::remote(&"u".repeat(MAX_UFRAG), &"p".repeat(MAX_PWD)).expect("legal");
    agent.set_remote_credentials(now, &long);
    assert_eq!(agent.add_remote_candidate(&host(addr(THEIRS))), Ok(()));
    let mut out = [0; MAX_MESSAGE];
    let mut sent = 0;
    for step in 1..10 {
        agent.handle_timeout(now + Duration::from_millis(50 * step));
        sent += usize::from(agent.poll_transmit(&mut out).is_some());
    }
    assert!(sent > 0);
}

proptest::proptest! {
    /// Signed nonsense: whatever a peer that knows the password sends, nothing panics.
    #[test]
    fn authenticated_garbage_is_survived(
        priority: u32, tie: u64, controlling: bool, use_candidate: bool, from: (u32, u16),
        tail in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64),
    ) {
        let now = Instant::now();
        let from: SocketAddr = (std::net::Ipv4Addr::from_bits(from.0), from.1).into();
        let role = if controlling { Role::Controlling(tie) } else { Role::Controlled(tie) };
        let bytes = check(&credentials(1, 1).pwd, |r| {
            (r.priority, r.role, r.use_candidate) = (priority, role, use_candidate);
        });
        for mut agent in agents(now) {
            agent.handle_packet(now, addr(OURS), from, &bytes);
            let mut cut = bytes.clone();
            cut.extend(&tail);
            agent.handle_packet(now, addr(OURS), from, &cut);
            let mut out = [0; MAX_MESSAGE];
            for step in 1..20u64 {
                agent.handle_timeout(now + Duration::from_millis(step * 500));
                while agent.poll_transmit(&mut out).is_some() {}
                while agent.poll_event().is_some() {}
            }
        }
    }
}
