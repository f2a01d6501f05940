//! The full agent: `is` checks, nominates and keeps consent; this wraps it for hostile peers.
//!
//! What `is` sees has passed our reader first: size, fingerprint, integrity, symmetry. Checks leave
//! with a transaction id that names this agent (see [`TransactionId::tagged`]) and are written
//! anew; responses are matched, verified and handed on in canonical form, with our own address as
//! the mapped one, so that no peer can grow the engine's list of local candidates. Bounds: 100
//! pairs, [`super::MAX_SIGNALLED`] + [`super::MAX_LEARNED`] remote addresses a generation,
//! [`MAX_IN_FLIGHT`] checks remembered.
//!
//! Nomination: the engine selects the best valid pair and repeats its check with USE-CANDIDATE
//! (RFC 8445 §8.1.1), and moves to a better one later; `ice_nomination` makes no difference to it.
//! Every pair is checked again each 3 s at most, which is consent and keepalive in one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use is::stun::{StunMessage, StunPacket};
use is::{IceAgentEvent, IceConnectionState, IceCreds, Protocol};

use super::agent::{AddressPair, IceAgent, IceEvent, IceState, IceStats, SelectedPair, Transmit};
use super::candidate::{Candidate, CandidateKind, Transport, Unusable};
use super::credentials::Credentials;
use super::local_key::{Generation, LocalKeys, Verdict};
use super::remote::RemoteCandidates;
use super::reply::{Answer, Replies, Reply};
use super::report::Report;
use super::stun::{
    BindingRequest, Class, ErrorCode, IntegrityKey, MAX_MESSAGE, Message, TransactionId,
    write_error, write_request, write_success,
};
use super::ufrag::Ufrag;
use crate::media::PeerId;

/// Checks whose answers are recognised. At most one leaves every 50 ms, so an answer may take
/// 1.6 s even while all pairs are tried; later ones belong to checks that were repeated.
const MAX_IN_FLIGHT: usize = 32;

/// What a full agent is made from.
#[derive(Debug, Clone, Copy)]
pub struct FullConfig<'a> {
    /// Our credentials.
    pub local: &'a Credentials,
    /// The sockets checks leave from, in the order their candidates are advertised in: one host
    /// candidate each.
    pub addresses: &'a [SocketAddr],
    /// Whether we nominate: when we offered, or when the peer is lite.
    pub controlling: bool,
    /// Random; decides role conflicts (RFC 8445 §7.3.1.1).
    pub tie_breaker: u64,
}

/// The full agent.
#[derive(Debug)]
pub struct FullAgent {
    engine: is::IceAgent,
    keys: LocalKeys,
    remote: Option<(String, IntegrityKey)>,
    tag: PeerId,
    sent: SentChecks,
    candidates: RemoteCandidates,
    replies: Replies,
    report: Report,
    stats: IceStats,
    relayed: Option<SocketAddr>,
}

impl FullAgent {
    /// A new agent at `now`. Addresses that no socket can be bound to one by one (unspecified,
    /// multicast) are left out.
    #[must_use]
    pub fn new(now: Instant, config: &FullConfig<'_>) -> Self {
        let mut engine = is::IceAgent::new(engine_credentials(config.local));
        engine.set_controlling(config.controlling);
        engine.set_control_tie_breaker(config.tie_breaker);
        // The same priorities as the candidates we advertise, so that both ends rank pairs alike.
        let order = config.addresses.to_vec();
        engine.set_local_preference(move |candidate: &is::Candidate, _: usize| {
            let index = order.iter().position(|addr| *addr == candidate.addr()).unwrap_or_default();
            u32::from(u16::MAX).saturating_sub(index as u32)
        });
        for addr in config.addresses {
            if let Ok(host) = is::Candidate::host(*addr, Protocol::Udp) {
                engine.add_local_candidate(host);
            }
        }
        let mut agent = Self {
            engine,
            keys: LocalKeys::new(config.local),
            remote: None,
            tag: tag_of(config.local),
            sent: SentChecks::default(),
            candidates: RemoteCandidates::default(),
            replies: Replies::default(),
            report: Report::default(),
            stats: IceStats::default(),
            relayed: None,
        };
        agent.engine.handle_timeout(now);
        agent
    }

    /// Round trip of the last answered check on the selected pair.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.engine.nominated_pair_rtt()
    }

    /// Whether we nominate now; role conflicts change it.
    #[must_use]
    pub fn is_controlling(&self) -> bool {
        self.engine.controlling()
    }

    fn refuse(&mut self) -> bool {
        self.stats.refused += 1;
        false
    }

    fn answer(&mut self, answer: Answer, message: &Message<'_>, pair: AddressPair, g: Generation) {
        let reply = Reply { answer, transaction: message.transaction, pair, generation: g };
        if !self.replies.push(reply) {
            self.stats.overflows += 1;
        }
    }

    fn handle_request(
        &mut self,
        now: Instant,
        pair: AddressPair,
        check: &Message<'_>,
        bytes: &[u8],
    ) -> bool {
        match self.keys.judge(check) {
            Verdict::Foreign => return self.refuse(),
            Verdict::Forged => {
                let error = match check.integrity_offset() {
                    Some(_) => ErrorCode::Unauthorized,
                    None => ErrorCode::BadRequest,
                };
                self.answer(Answer::Unauthenticated(error), check, pair, Generation::Current);
                return self.refuse();
            }
            Verdict::Genuine(g) if check.priority.is_none() => {
                self.answer(Answer::Refusal(ErrorCode::BadRequest), check, pair, g);
                return self.refuse();
            }
            Verdict::Genuine(Generation::Previous) => {
                // The engine has forgotten that generation; its pair still carries media.
                self.answer(Answer::Success, check, pair, Generation::Previous);
                self.note_heard(now, pair);
                return true;
            }
            Verdict::Genuine(Generation::Current) => {}
        }
        if !self.candidates.learn(pair.remote) {
            self.stats.overflows += 1;
            return true;
        }
        let Ok(message) = StunMessage::parse(bytes) else { return self.refuse() };
        if !self.feed(now, pair, message) {
            return self.refuse();
        }
        self.stats.requests += 1;
        self.note_heard(now, pair);
        true
    }

    /// An answer to one of our checks: verified with the peer's password, from where it was sent
    /// to (RFC 8445 §7.2.5.2.1), then rewritten under the engine's own transaction id.
    fn handle_response(&mut self, now: Instant, pair: AddressPair, answer: &Message<'_>) -> bool {
        let Some((_, key)) = self.remote.as_ref().filter(|(_, key)| answer.verify(key)) else {
            return self.refuse();
        };
        let Some(engine_id) = self.sent.take(answer.transaction, pair) else {
            return self.refuse();
        };
        let mut canonical = [0; MAX_MESSAGE];
        let written = match (answer.class, answer.mapped, answer.error) {
            (Class::Success, Some(_), _) => {
                write_success(&mut canonical, engine_id, pair.local, key)
            }
            (Class::Error, _, Some(487)) => {
                write_error(&mut canonical, engine_id, ErrorCode::RoleConflict, Some(key))
            }
            _ => None,
        };
        let message = written
            .and_then(|len| canonical.get(..len))
            .and_then(|bytes| StunMessage::parse(bytes).ok());
        let Some(message) = message else { return self.refuse() };
        if !self.feed(now, pair, message) {
            return self.refuse();
        }
        self.stats.responses += 1;
        self.note_heard(now, pair);
        true
    }

    fn feed(&mut self, now: Instant, pair: AddressPair, message: StunMessage<'_>) -> bool {
        self.engine.handle_packet(
            now,
            StunPacket {
                proto: Protocol::Udp,
                source: pair.remote,
                destination: pair.local,
                message,
            },
        )
    }

    fn note_heard(&mut self, now: Instant, pair: AddressPair) {
        if !self.report.heard(now, pair, false) {
            self.stats.overflows += 1;
        }
    }

    /// Takes over what the engine has to say.
    fn absorb(&mut self, now: Instant) {
        while let Some(event) = self.engine.poll_event() {
            match event {
                IceAgentEvent::IceConnectionStateChange(state) => self.change_state(state),
                IceAgentEvent::NominatedSend { source, destination, .. } => {
                    self.select(now, AddressPair { local: source, remote: destination });
                }
                // Addresses are noted where their packets are verified.
                IceAgentEvent::DiscoveredRecv { .. } | IceAgentEvent::IceRestart(_) => {}
            }
        }
    }

    fn select(&mut self, now: Instant, pair: AddressPair) {
        self.report.heard(now, pair, true);
        self.report.select(SelectedPair {
            pair,
            local_kind: match self.relayed == Some(pair.local) {
                true => CandidateKind::Relayed,
                false => CandidateKind::Host,
            },
            remote_kind: self.candidates.kind(pair.remote),
        });
    }

    fn change_state(&mut self, state: IceConnectionState) {
        let state = match state {
            IceConnectionState::New => IceState::New,
            IceConnectionState::Checking => IceState::Checking,
            IceConnectionState::Connected | IceConnectionState::Completed => {
                self.keys.forget_previous();
                IceState::Connected
            }
            // The engine has one word for both.
            IceConnectionState::Disconnected if self.report.selected().is_some() => {
                IceState::Disconnected
            }
            IceConnectionState::Disconnected => IceState::Failed,
        };
        self.report.set_state(state);
    }

    /// Writes one datagram of the engine's; `None` if it cannot be.
    fn rewrite(&mut self, from_engine: &str0m_proto::Transmit, out: &mut [u8]) -> Option<Transmit> {
        let pair = AddressPair { local: from_engine.source, remote: from_engine.destination };
        let message = Message::parse(&from_engine.contents).ok()?;
        if message.class != Class::Request {
            let bytes: &[u8] = &from_engine.contents;
            out.get_mut(..bytes.len())?.copy_from_slice(bytes);
            return Some(Transmit { pair, len: bytes.len() });
        }
        let (to_ufrag, key) = self.remote.as_ref()?;
        let request = BindingRequest {
            transaction: self.sent.remember(message.transaction, pair, self.tag),
            to_ufrag,
            from_ufrag: self.keys.ufrag(),
            priority: message.priority?,
            role: message.role?,
            use_candidate: message.use_candidate,
        };
        let len = write_request(out, &request, key)?;
        Some(Transmit { pair, len })
    }
}

impl IceAgent for FullAgent {
    fn handle_packet(
        &mut self,
        now: Instant,
        local: SocketAddr,
        from: SocketAddr,
        bytes: &[u8],
    ) -> bool {
        let pair = AddressPair { local, remote: from };
        let accepted = match Message::parse(bytes) {
            Ok(m) if m.class == Class::Request => self.handle_request(now, pair, &m, bytes),
            Ok(m) if m.class != Class::Indication => self.handle_response(now, pair, &m),
            _ => self.refuse(),
        };
        self.absorb(now);
        accepted
    }

    fn add_remote_candidate(&mut self, candidate: &Candidate) -> Result<(), Unusable> {
        let remote_ufrag = self.remote.as_ref().map(|(ufrag, _)| ufrag.as_str());
        match self.candidates.signalled(candidate, remote_ufrag) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(reason) => {
                self.stats.overflows += u64::from(reason == Unusable::TooMany);
                return Err(reason);
            }
        }
        if let Some(addr) = candidate.socket_addr() {
            debug_assert_eq!(candidate.transport, Transport::Udp);
            self.engine.add_remote_candidate(is::Candidate::from_parts(
                candidate.foundation.clone(),
                1,
                Protocol::Udp,
                candidate.priority,
                addr,
                engine_kind(candidate.kind),
                None,
                None,
                None,
            ));
        }
        Ok(())
    }

    fn add_relayed(&mut self, now: Instant, relayed: SocketAddr) {
        // The base of a relayed candidate is itself (RFC 8445 §5.1.1.3).
        if let Ok(candidate) = is::Candidate::relayed(relayed, relayed, Protocol::Udp) {
            self.relayed = Some(relayed);
            self.engine.add_local_candidate(candidate);
        }
        self.handle_timeout(now);
    }

    fn set_remote_credentials(&mut self, now: Instant, remote: &Credentials) {
        self.remote = Some((remote.ufrag.clone(), IntegrityKey::new(&remote.pwd)));
        self.engine.set_remote_credentials(engine_credentials(remote));
        self.handle_timeout(now);
    }

    fn restart(&mut self, now: Instant, local: &Credentials) {
        self.keys.rotate(local);
        self.tag = tag_of(local);
        self.remote = None;
        self.sent = SentChecks::default();
        self.candidates = RemoteCandidates::default();
        self.replies = Replies::default();
        self.engine.ice_restart(engine_credentials(local), true);
        self.absorb(now);
    }

    fn poll_transmit(&mut self, out: &mut [u8]) -> Option<Transmit> {
        while let Some(reply) = self.replies.pop() {
            match reply.write(&self.keys, out) {
                Some(transmit) => return Some(transmit),
                None => self.stats.overflows += 1,
            }
        }
        while let Some(transmit) = self.engine.poll_transmit() {
            match self.rewrite(&transmit, out) {
                Some(transmit) => return Some(transmit),
                None => self.stats.overflows += 1,
            }
        }
        None
    }

    fn poll_event(&mut self) -> Option<IceEvent> {
        self.report.poll()
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.engine.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.engine.handle_timeout(now);
        self.absorb(now);
    }

    fn state(&self) -> IceState {
        self.report.state()
    }

    fn stats(&self) -> IceStats {
        self.stats
    }
}

/// Checks under way: what the engine calls them and where they went. On the wire the first half of
/// the engine's id is the second, behind our tag.
#[derive(Debug)]
struct SentChecks {
    ring: [Option<SentCheck>; MAX_IN_FLIGHT],
    next: usize,
}

#[derive(Debug, Clone, Copy)]
struct SentCheck {
    engine_id: TransactionId,
    pair: AddressPair,
}

impl SentCheck {
    fn random(&self) -> [u8; 6] {
        let [a, b, c, d, e, f, ..] = self.engine_id.0;
        [a, b, c, d, e, f]
    }
}

impl Default for SentChecks {
    fn default() -> Self {
        Self { ring: [None; MAX_IN_FLIGHT], next: 0 }
    }
}

impl SentChecks {
    /// Returns the id to send.
    fn remember(
        &mut self,
        engine_id: TransactionId,
        pair: AddressPair,
        tag: PeerId,
    ) -> TransactionId {
        let check = SentCheck { engine_id, pair };
        self.ring[self.next] = Some(check);
        self.next = (self.next + 1) % MAX_IN_FLIGHT;
        TransactionId::tagged(tag, check.random())
    }

    /// The engine's id of the check that `wire_id` answers over `pair`; each is answered once.
    fn take(&mut self, wire_id: TransactionId, pair: AddressPair) -> Option<TransactionId> {
        let (_, random) = wire_id.split();
        let matches = |c: &SentCheck| c.random() == random && c.pair == pair;
        let place = self.ring.iter_mut().find(|p| p.as_ref().is_some_and(matches))?;
        place.take().map(|check| check.engine_id)
    }
}

fn tag_of(local: &Credentials) -> PeerId {
    let decoded = Ufrag::decode(local.ufrag.as_bytes());
    debug_assert!(decoded.is_some(), "our credentials are generated");
    decoded.unwrap_or(PeerId { shard: 0, slot: 0, generation: 0 })
}

fn engine_credentials(credentials: &Credentials) -> IceCreds {
    IceCreds { ufrag: credentials.ufrag.clone(), pass: credentials.pwd.clone() }
}

fn engine_kind(kind: CandidateKind) -> is::CandidateKind {
    match kind {
        CandidateKind::Host => is::CandidateKind::Host,
        CandidateKind::ServerReflexive => is::CandidateKind::ServerReflexive,
        CandidateKind::PeerReflexive => is::CandidateKind::PeerReflexive,
        CandidateKind::Relayed => is::CandidateKind::Relayed,
    }
}
