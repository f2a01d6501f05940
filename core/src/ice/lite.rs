//! ICE-lite (RFC 8445 §2.5): answers checks, follows the peer's nomination, sends none of its own.
//!
//! ```text
//! New ──credentials──► Checking ──USE-CANDIDATE──► Connected ──silence──► Disconnected
//!                        │   ▲                        ▲                        │
//!                silence │   │ a check                └─ a check on the pair ──┘
//!                        ▼   │
//!                       Failed
//! ```
//!
//! Nothing is allocated once the peer's candidates are in: a check costs one integrity hash, a walk
//! over at most eight addresses, and the answer's hash when it is sent.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::agent::{AddressPair, IceAgent, IceEvent, IceState, IceStats, SelectedPair, Transmit};
use super::candidate::{Candidate, CandidateKind, Unusable};
use super::credentials::Credentials;
use super::local_key::{Generation, LocalKeys, Verdict};
use super::remote::RemoteCandidates;
use super::reply::{Answer, Replies, Reply};
use super::report::Report;
use super::stun::{Class, ErrorCode, Message, Role};

/// How long the peer may be silent before consent counts as gone. RFC 7675 §5.1 lets a sender go
/// on for 30 s; browsers check at least every 5 s, so 20 s is three checks in a row lost.
pub const LITE_CONSENT: Duration = Duration::from_secs(20);

/// The lite agent, always controlled.
#[derive(Debug)]
pub struct LiteAgent {
    keys: LocalKeys,
    remote_ufrag: Option<String>,
    candidates: RemoteCandidates,
    replies: Replies,
    report: Report,
    /// Last sign of life of this generation, or when it began to be expected.
    watched_from: Option<Instant>,
    consent: Duration,
    stats: IceStats,
}

impl LiteAgent {
    /// An agent that answers to `local`'s credentials and gives up after `consent` of silence
    /// ([`LITE_CONSENT`] unless a test knows better). Allocates the room for candidates.
    #[must_use]
    pub fn new(local: &Credentials, consent: Duration) -> Self {
        Self {
            keys: LocalKeys::new(local),
            remote_ufrag: None,
            candidates: RemoteCandidates::default(),
            replies: Replies::default(),
            report: Report::default(),
            watched_from: None,
            consent,
            stats: IceStats::default(),
        }
    }

    fn answer(&mut self, answer: Answer, message: &Message<'_>, pair: AddressPair, g: Generation) {
        let reply = Reply { answer, transaction: message.transaction, pair, generation: g };
        if !self.replies.push(reply) {
            self.stats.overflows += 1;
        }
    }

    fn refuse(&mut self) -> bool {
        self.stats.refused += 1;
        false
    }

    /// A check that proved to come from the peer.
    fn handle_check(
        &mut self,
        now: Instant,
        check: &Message<'_>,
        pair: AddressPair,
        generation: Generation,
    ) {
        self.stats.requests += 1;
        if check.priority.is_none() {
            // RFC 8445 §7.1.1 makes PRIORITY mandatory.
            return self.answer(Answer::Refusal(ErrorCode::BadRequest), check, pair, generation);
        }
        if matches!(check.role, Some(Role::Controlled(_))) {
            // A lite agent cannot control a full one (RFC 8445 §6.1.1): the peer has to switch,
            // whatever the tie-breakers say.
            return self.answer(Answer::Refusal(ErrorCode::RoleConflict), check, pair, generation);
        }
        self.answer(Answer::Success, check, pair, generation);
        let nominated = check.use_candidate && generation == Generation::Current;
        if !self.report.heard(now, pair, nominated) {
            self.stats.overflows += 1;
        }
        if generation == Generation::Current {
            self.watched_from = Some(now);
        }
        if nominated {
            self.nominate(pair);
        } else {
            self.revive(pair);
        }
    }

    /// The last nomination wins: browsers move it to the pair they have switched to, often one of
    /// lower priority, and send it on that pair alone.
    fn nominate(&mut self, pair: AddressPair) {
        if self.report.selected().map(|s| s.pair) != Some(pair) {
            let remote_kind = self.candidates.kind(pair.remote);
            self.report.select(SelectedPair { pair, local_kind: CandidateKind::Host, remote_kind });
        }
        self.keys.forget_previous();
        self.report.set_state(IceState::Connected);
    }

    /// A check without nomination: the pair that had consent has it again.
    fn revive(&mut self, pair: AddressPair) {
        let on_selected = self.report.selected().is_some_and(|s| s.pair == pair);
        match self.report.state() {
            IceState::Disconnected if on_selected => self.report.set_state(IceState::Connected),
            IceState::New | IceState::Failed => self.report.set_state(IceState::Checking),
            _ => {}
        }
    }

    /// When silence becomes a change of state.
    fn deadline(&self) -> Option<Instant> {
        let since = match self.report.state() {
            IceState::New | IceState::Disconnected | IceState::Failed => None,
            IceState::Connected => {
                self.report.selected().and_then(|s| self.report.last_heard(s.pair))
            }
            // A restart under way: either generation keeps the association alive.
            IceState::Checking => self
                .report
                .selected()
                .and_then(|s| self.report.last_heard(s.pair))
                .max(self.watched_from),
        };
        since.map(|since| since + self.consent)
    }
}

impl IceAgent for LiteAgent {
    fn handle_packet(
        &mut self,
        now: Instant,
        local: SocketAddr,
        from: SocketAddr,
        bytes: &[u8],
    ) -> bool {
        let pair = AddressPair { local, remote: from };
        let check = match Message::parse(bytes) {
            Ok(message) if message.class == Class::Request => message,
            _ => return self.refuse(),
        };
        match self.keys.judge(&check) {
            Verdict::Genuine(generation) => {
                self.handle_check(now, &check, pair, generation);
                true
            }
            Verdict::Forged => {
                let error = match check.integrity_offset() {
                    Some(_) => ErrorCode::Unauthorized,
                    None => ErrorCode::BadRequest,
                };
                self.answer(Answer::Unauthenticated(error), &check, pair, Generation::Current);
                self.refuse()
            }
            Verdict::Foreign => self.refuse(),
        }
    }

    /// Kept only to name the kind of the selected pair: a lite agent sends nothing there.
    fn add_remote_candidate(&mut self, candidate: &Candidate) -> Result<(), Unusable> {
        let added = self.candidates.signalled(candidate, self.remote_ufrag.as_deref());
        if added == Err(Unusable::TooMany) {
            self.stats.overflows += 1;
        }
        added.map(|_| ())
    }

    fn set_remote_credentials(&mut self, now: Instant, remote: &Credentials) {
        if self.remote_ufrag.as_deref() == Some(&remote.ufrag) {
            return;
        }
        self.remote_ufrag = Some(remote.ufrag.clone());
        self.watched_from = self.watched_from.max(Some(now));
        if self.report.state() == IceState::New {
            self.report.set_state(IceState::Checking);
        }
    }

    fn restart(&mut self, now: Instant, local: &Credentials) {
        self.keys.rotate(local);
        self.remote_ufrag = None;
        self.candidates = RemoteCandidates::default();
        self.replies = Replies::default();
        self.watched_from = Some(now);
        self.report.set_state(IceState::Checking);
    }

    fn poll_transmit(&mut self, out: &mut [u8]) -> Option<Transmit> {
        while let Some(reply) = self.replies.pop() {
            match reply.write(&self.keys, out) {
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
        self.deadline()
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            let worked_once = self.report.selected().is_some();
            let state = if worked_once { IceState::Disconnected } else { IceState::Failed };
            self.report.set_state(state);
        }
    }

    fn state(&self) -> IceState {
        self.report.state()
    }

    fn stats(&self) -> IceStats {
        self.stats
    }
}
