//! Random sequences of everything an owner and a hostile, authenticated peer can do to an agent:
//! nothing panics, tables stay bounded, and events keep their order.

use proptest::prelude::*;

use super::stun::{
    BindingRequest, Class, ErrorCode, IntegrityKey, Message, Role, TransactionId, write_error,
    write_request, write_success,
};
use super::*;

const OURS: [&str; 2] = ["192.0.2.2:9001", "[2001:db8::2]:9001"];

#[derive(Debug, Clone)]
enum Step {
    Check { from: u8, priority: u32, role: Role, nominate: bool, previous: bool },
    Respond { mapped: u8, elsewhere: bool },
    Conflict,
    Candidate { at: u8, priority: u32, kind: u8 },
    Credentials(u8),
    Restart(u8),
    Wait { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let role = (any::<bool>(), any::<u64>()).prop_map(|(controlling, tie)| {
        if controlling { Role::Controlling(tie) } else { Role::Controlled(tie) }
    });
    prop_oneof![
        4 => (any::<u8>(), any::<u32>(), role, any::<bool>(), any::<bool>()).prop_map(
            |(from, priority, role, nominate, previous)| Step::Check {
                from, priority, role, nominate, previous,
            },
        ),
        4 => (any::<u8>(), prop::bool::weighted(0.1))
            .prop_map(|(mapped, elsewhere)| Step::Respond { mapped, elsewhere }),
        1 => Just(Step::Conflict),
        2 => (any::<u8>(), any::<u32>(), any::<u8>())
            .prop_map(|(at, priority, kind)| Step::Candidate { at, priority, kind }),
        1 => any::<u8>().prop_map(|salt| Step::Credentials(salt % 3)),
        1 => any::<u8>().prop_map(|salt| Step::Restart(salt % 3)),
        4 => (0..8_000u64).prop_map(|ms| Step::Wait { ms }),
    ]
}

fn remote(at: u8) -> SocketAddr {
    match at % 2 {
        0 => ([198, 51, 100, at], 5000).into(),
        _ => (std::net::Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, at.into()), 5000).into(),
    }
}

fn local_for(remote: SocketAddr) -> SocketAddr {
    addr(OURS[usize::from(remote.is_ipv6())])
}

/// The owner's side of the contract, with what it has seen.
struct Owner {
    agent: Box<dyn IceAgent>,
    now: Instant,
    ours: Credentials,
    previous: Credentials,
    theirs: Credentials,
    asked: Vec<(TransactionId, AddressPair)>,
    valid: Vec<AddressPair>,
}

impl Owner {
    fn new(full: bool, controlling: bool) -> Self {
        let now = Instant::now();
        let end = if full { End::full(now, 1, &OURS, controlling) } else { End::lite(1, &OURS) };
        let ours = end.local;
        Self {
            agent: end.agent,
            now,
            previous: ours.clone(),
            ours,
            theirs: credentials(0, 0),
            asked: Vec::new(),
            valid: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Check { from, priority, role, nominate, previous } => {
                let (priority, role, use_candidate) = (*priority, *role, *nominate);
                let to = if *previous { self.previous.clone() } else { self.ours.clone() };
                let request = BindingRequest {
                    transaction: TransactionId([*from; 12]),
                    to_ufrag: &to.ufrag,
                    from_ufrag: &self.theirs.ufrag.clone(),
                    priority,
                    role,
                    use_candidate,
                };
                let mut out = [0; MAX_MESSAGE];
                let key = IntegrityKey::new(&to.pwd);
                let n = write_request(&mut out, &request, &key).expect("fits");
                self.deliver(remote(*from), &out[..n]);
            }
            Step::Respond { mapped, elsewhere } => {
                let Some((id, pair)) = self.asked.pop() else { return };
                let mut out = [0; MAX_MESSAGE];
                let key = IntegrityKey::new(&self.theirs.pwd);
                let n = write_success(&mut out, id, remote(*mapped), &key).expect("fits");
                let from = if *elsewhere { remote(*mapped) } else { pair.remote };
                self.deliver(from, &out[..n]);
            }
            Step::Conflict => {
                let Some((id, pair)) = self.asked.pop() else { return };
                let mut out = [0; MAX_MESSAGE];
                let key = IntegrityKey::new(&self.theirs.pwd);
                let n = write_error(&mut out, id, ErrorCode::RoleConflict, Some(&key));
                self.deliver(pair.remote, &out[..n.expect("fits")]);
            }
            Step::Candidate { at, priority, kind } => {
                let kinds = ["host", "srflx", "prflx", "relay"];
                let (addr, kind) = (remote(*at), kinds[usize::from(kind % 4)]);
                let line =
                    format!("tmp_prflx 1 udp {priority} {} {} typ {kind}", addr.ip(), addr.port());
                let _ = self.agent.add_remote_candidate(&line.parse().expect("candidate"));
            }
            Step::Credentials(salt) => {
                self.theirs = credentials(0, *salt);
                self.agent.set_remote_credentials(self.now, &self.theirs);
            }
            Step::Restart(salt) => {
                let new = credentials(1, *salt);
                self.agent.restart(self.now, &new);
                self.previous = std::mem::replace(&mut self.ours, new);
            }
            Step::Wait { ms } => self.wait(Duration::from_millis(*ms)),
        }
        self.drain();
    }

    fn deliver(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.agent.handle_packet(self.now, local_for(from), from, bytes);
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.agent.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.agent.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn drain(&mut self) {
        let mut out = [0; MAX_MESSAGE];
        while let Some(t) = self.agent.poll_transmit(&mut out) {
            let sent = Message::parse(&out[..t.len]).expect("own message");
            if sent.class == Class::Request {
                self.asked.push((sent.transaction, t.pair));
            }
        }
        while let Some(event) = self.agent.poll_event() {
            match event {
                IceEvent::ValidatedAddress(pair) => self.valid.push(pair),
                IceEvent::RetiredAddress(pair) => {
                    assert!(self.valid.contains(&pair), "retired what was never valid");
                    self.valid.retain(|p| *p != pair);
                }
                IceEvent::SelectedPair(s) => assert!(self.valid.contains(&s.pair)),
                IceEvent::Connected => assert_eq!(self.agent.state(), IceState::Connected),
                _ => {}
            }
        }
        assert!(self.valid.len() <= MAX_ADDRESSES);
    }
}

proptest! {
    #[test]
    fn no_sequence_breaks_an_agent(
        full: bool, controlling: bool, steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut owner = Owner::new(full, controlling);
        for step in &steps {
            owner.take(step);
        }
    }
}
