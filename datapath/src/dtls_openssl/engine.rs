//! One peer's DTLS connection: OpenSSL for the handshake, a session of ours after it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bifrons_core::dtls::{
    Connected, DtlsEngine, DtlsEvent, Failure, Fingerprint, FingerprintHash, MAX_DATAGRAM,
    MAX_RECORD_OVERHEAD, Role, SendError, State,
};
use openssl::error::ErrorStack;
use openssl::ssl::Ssl;

use super::context::Limits;
use super::established::{Established, Received, RecordLayer};
use super::library::{Library, Step};

/// Messages of application data that may wait for `recv`.
const MAX_INBOX: usize = 64;

/// What carries the records.
enum Carrier {
    /// OpenSSL: during the handshake, and after it for suites that [`Established`] does not know.
    Library(Box<Library>),
    /// Ours.
    Established(Box<Established>),
}

/// What the handshake proved about the peer, until signalling says whom to expect.
#[derive(Clone, Copy)]
pub(super) struct Proof {
    pub(super) connected: Connected,
    pub(super) sha1: Fingerprint,
}

/// A DTLS 1.2 endpoint over OpenSSL. Make one with
/// [`DtlsContext::engine`](super::DtlsContext::engine).
///
/// Memory: about 60 KiB during a handshake, 3 KiB after it (40 KiB if the peer insisted on a CBC
/// suite); a measurement beside the tests prints it.
pub struct OpenSslEngine {
    carrier: Carrier,
    role: Role,
    state: State,
    limits: Limits,
    remote: Option<Fingerprint>,
    proof: Option<Proof>,
    cipher: Option<&'static str>,
    /// The flight that `resend_at` is for.
    timed_flight: u32,
    resend_at: Option<Instant>,
    wait: Duration,
    give_up_at: Option<Instant>,
    retransmissions: u32,
    events: VecDeque<DtlsEvent>,
    inbox: VecDeque<Vec<u8>>,
    refused: u64,
}

impl OpenSslEngine {
    pub(super) fn new(ssl: Ssl, role: Role, limits: Limits) -> Result<OpenSslEngine, ErrorStack> {
        Ok(OpenSslEngine {
            carrier: Carrier::Library(Box::new(Library::new(ssl, limits.copies)?)),
            role,
            state: State::Created,
            limits,
            remote: None,
            proof: None,
            cipher: None,
            timed_flight: 0,
            resend_at: None,
            wait: limits.retransmission,
            give_up_at: None,
            retransmissions: 0,
            events: VecDeque::new(),
            inbox: VecDeque::new(),
            refused: 0,
        })
    }

    /// Records and messages refused so far: implausible, forged, replayed, unencrypted after the
    /// handshake, or for want of room in a queue.
    pub fn refused(&self) -> u64 {
        self.refused
            + match &self.carrier {
                Carrier::Library(library) => library.refused(),
                Carrier::Established(own) => own.refused + own.output.dropped,
            }
    }

    /// The cipher suite in OpenSSL's spelling, once negotiated.
    pub fn cipher(&self) -> Option<&'static str> {
        self.cipher
    }

    /// Whether [`OpenSslEngine::into_records`] has something to give: connected, by a suite that
    /// is not OpenSSL's alone, and nothing waits in it.
    pub fn has_records(&self) -> bool {
        self.state == State::Connected && matches!(self.carrier, Carrier::Established(_))
    }

    /// What is left of the connection when somebody else is to carry its datagrams.
    pub fn into_records(self) -> Option<RecordLayer> {
        match self.carrier {
            Carrier::Established(own) if self.state == State::Connected => Some(own.into_layer()),
            _ => None,
        }
    }

    /// Lets OpenSSL go on with the handshake as far as its input reaches.
    fn shake_hands(&mut self, now: Instant) {
        let Carrier::Library(library) = &mut self.carrier else { return };
        let step = library.shake_hands(self.role);
        if library.flight() != self.timed_flight {
            self.timed_flight = library.flight();
            self.wait = self.limits.retransmission;
            self.resend_at = Some(now + self.wait);
        }
        match step {
            Step::Pending => {}
            Step::Failed(failure) => self.fail(failure),
            Step::Done { proof, cipher, successor } => {
                self.resend_at = None;
                self.proof = Some(proof);
                self.cipher = cipher;
                self.state = State::Unverified;
                let unread = library.take_unread();
                if let Some(successor) = successor {
                    self.carrier = Carrier::Established(successor);
                }
                self.verify();
                self.receive(&unread);
            }
        }
    }

    /// Compares the peer's certificate with what signalling said, if it has spoken yet.
    fn verify(&mut self) {
        let (State::Unverified, Some(remote), Some(proof)) = (self.state, self.remote, self.proof)
        else {
            return;
        };
        let shown = match remote.hash() {
            FingerprintHash::Sha256 => proof.connected.peer_certificate,
            FingerprintHash::Sha1 => proof.sha1,
        };
        if shown != remote {
            self.farewell();
            return self.fail(Failure::FingerprintMismatch);
        }
        self.state = State::Connected;
        self.give_up_at = None;
        self.proof = None;
        self.events.push_back(DtlsEvent::Connected(proof.connected));
    }

    /// Takes records after the handshake.
    fn receive(&mut self, datagram: &[u8]) {
        let (role, mut received) = (self.role, Vec::new());
        match &mut self.carrier {
            Carrier::Library(library) => {
                library.receive(role, true, datagram);
                library.read(|record| received.push(record));
            }
            Carrier::Established(own) => own.receive(datagram, |record| received.push(record)),
        }
        for record in received {
            match record {
                Received::Data(data)
                    if self.state == State::Connected && self.inbox.len() < MAX_INBOX =>
                {
                    self.inbox.push_back(data);
                }
                // Before the fingerprint is known nobody has said that this peer may speak.
                Received::Data(_) => self.refused += 1,
                Received::Closed(alert) => self.ended(alert),
            }
        }
    }

    fn ended(&mut self, alert: u8) {
        if alert == 0 {
            self.farewell();
        }
        match self.state {
            State::Connected => {
                self.state = State::Closed;
                self.events.push_back(DtlsEvent::Closed);
            }
            State::Unverified => self.fail(Failure::Alert(alert)),
            _ => {}
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.state = State::Failed;
        self.resend_at = None;
        self.give_up_at = None;
        self.events.push_back(DtlsEvent::Failed(failure));
    }

    fn farewell(&mut self) {
        match &mut self.carrier {
            Carrier::Library(library) => library.farewell(),
            Carrier::Established(own) => own.farewell(),
        }
    }
}

impl DtlsEngine for OpenSslEngine {
    fn role(&self) -> Role {
        self.role
    }

    fn state(&self) -> State {
        self.state
    }

    fn retransmissions(&self) -> u32 {
        self.retransmissions
    }

    fn start(&mut self, now: Instant) {
        if self.state == State::Created {
            self.state = State::Handshaking;
            self.give_up_at = Some(now + self.limits.limit);
            self.shake_hands(now);
        }
    }

    fn set_remote_fingerprint(&mut self, _now: Instant, fingerprint: Fingerprint) {
        self.remote = Some(fingerprint);
        self.verify();
    }

    fn handle_packet(&mut self, now: Instant, datagram: &[u8]) {
        match (self.state, &mut self.carrier) {
            (State::Handshaking, Carrier::Library(library)) => {
                library.receive(self.role, false, datagram);
                self.shake_hands(now);
            }
            (State::Unverified | State::Connected, _) => self.receive(datagram),
            _ => self.refused += 1,
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.give_up_at.is_some_and(|at| at <= now) {
            return self.fail(Failure::Timeout);
        }
        let Carrier::Library(library) = &mut self.carrier else { return };
        if self.resend_at.is_some_and(|at| at <= now) {
            self.wait = self.wait.saturating_mul(2);
            let more = library.resend();
            self.retransmissions += u32::from(more);
            self.resend_at = more.then(|| now + self.wait);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.resend_at.into_iter().chain(self.give_up_at).min()
    }

    fn poll_output(&mut self, out: &mut [u8]) -> Option<usize> {
        match &mut self.carrier {
            Carrier::Library(library) => library.output().pop(out),
            Carrier::Established(own) => own.output.pop(out),
        }
    }

    fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.events.pop_front()
    }

    fn send(&mut self, _now: Instant, data: &[u8]) -> Result<(), SendError> {
        if self.state != State::Connected {
            return Err(SendError::NotConnected);
        }
        let most = MAX_DATAGRAM - MAX_RECORD_OVERHEAD;
        if data.is_empty() || data.len() > most {
            return Err(SendError::Length);
        }
        let taken = match &mut self.carrier {
            Carrier::Library(library) => library.send(data),
            Carrier::Established(own) => own.send(data),
        };
        if taken { Ok(()) } else { Err(SendError::Full) }
    }

    fn recv(&mut self, out: &mut [u8]) -> Option<usize> {
        let message = self.inbox.pop_front()?;
        let len = message.len().min(out.len());
        out[..len].copy_from_slice(&message[..len]);
        Some(len)
    }

    fn close(&mut self, _now: Instant) {
        if matches!(self.state, State::Unverified | State::Connected) {
            self.farewell();
        }
        self.state = State::Closed;
        self.resend_at = None;
        self.give_up_at = None;
    }
}
