//! One peer's DTLS connection: OpenSSL between two in-memory queues, timed by its caller.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bifrons_core::dtls::{
    Connected, DtlsEngine, DtlsEvent, EXPORTER_LABEL, Failure, Fingerprint, FingerprintHash,
    KeyingMaterial, MAX_DATAGRAM, MAX_RECORD_OVERHEAD, Role, SendError, State,
};
use bifrons_core::srtp::SrtpProfile;
use openssl::error::ErrorStack;
use openssl::ssl::{self, ErrorCode, Ssl, SslStream};
use openssl::x509::X509;

use super::certificate::digest_of;
use super::context::Limits;
use super::flight::{self, Flight};
use super::wire::Wire;

/// Messages of application data that may wait for `recv`.
const MAX_INBOX: usize = 64;

/// OpenSSL's reason codes for alerts received: this plus the alert (<openssl/ssl.h>).
const ALERT_REASON: i32 = 1000;

/// A DTLS 1.2 endpoint over OpenSSL. Make one with
/// [`DtlsContext::engine`](super::DtlsContext::engine).
///
/// Memory: about 60 KiB during a handshake, less once idle; the tests print it.
pub struct OpenSslEngine {
    stream: SslStream<Wire>,
    role: Role,
    state: State,
    limits: Limits,
    remote: Option<Fingerprint>,
    flight: Flight,
    /// The flight that `resend_at` is for.
    timed_flight: u32,
    resend_at: Option<Instant>,
    wait: Duration,
    give_up_at: Option<Instant>,
    retransmissions: u32,
    events: VecDeque<DtlsEvent>,
    inbox: VecDeque<Vec<u8>>,
    refused: u64,
    /// The record buffers were given back.
    resting: bool,
}

impl OpenSslEngine {
    pub(super) fn new(ssl: Ssl, role: Role, limits: Limits) -> Result<OpenSslEngine, ErrorStack> {
        Ok(OpenSslEngine {
            stream: SslStream::new(ssl, Wire::default())?,
            role,
            state: State::Created,
            limits,
            remote: None,
            flight: Flight::new(limits.copies),
            timed_flight: 0,
            resend_at: None,
            wait: limits.retransmission,
            give_up_at: None,
            retransmissions: 0,
            events: VecDeque::new(),
            inbox: VecDeque::new(),
            refused: 0,
            resting: false,
        })
    }

    /// Records and messages refused so far: implausible, unencrypted after the handshake, or for
    /// want of room in a queue.
    pub fn refused(&self) -> u64 {
        self.refused + self.stream.get_ref().dropped
    }

    /// The cipher suite in OpenSSL's spelling, once negotiated.
    pub fn cipher(&self) -> Option<&'static str> {
        self.stream.ssl().current_cipher().map(|cipher| cipher.name())
    }

    fn call<R>(&mut self, call: impl FnOnce(&mut SslStream<Wire>) -> R) -> R {
        let stream = &mut self.stream;
        if std::mem::take(&mut self.resting) {
            // Out of memory ends this peer; the write path would follow a null pointer.
            assert!(flight::make_buffers(stream), "no memory for record buffers");
        }
        flight::during(&mut self.flight, || call(stream))
    }

    fn rest(&mut self) {
        flight::free_buffers(&mut self.stream);
        self.resting = true;
    }

    fn advance(&mut self, now: Instant) {
        match self.state {
            State::Handshaking => self.shake_hands(now),
            State::Unverified | State::Connected => self.read(),
            State::Created | State::Closed | State::Failed => {}
        }
    }

    fn shake_hands(&mut self, now: Instant) {
        let result = self.call(SslStream::do_handshake);
        if self.flight.number != self.timed_flight {
            self.timed_flight = self.flight.number;
            self.wait = self.limits.retransmission;
            self.resend_at = Some(now + self.wait);
        }
        match result {
            Ok(()) => {
                self.resend_at = None;
                self.stream.get_mut().settle();
                self.state = State::Unverified;
                self.verify();
                self.read();
            }
            Err(error) if pending(&error) => {}
            Err(error) => self.fail(failure_of(&error)),
        }
    }

    /// Compares the peer's certificate with what signalling said, if it has spoken yet.
    fn verify(&mut self) {
        let (State::Unverified, Some(remote)) = (self.state, self.remote) else { return };
        let certificate: Option<X509> = self.stream.ssl().peer_certificate();
        let shown = |hash| certificate.as_ref().and_then(|x509| digest_of(x509, hash));
        if shown(remote.hash()) != Some(remote) {
            self.farewell();
            return self.fail(Failure::FingerprintMismatch);
        }
        let Some(peer_certificate) = shown(FingerprintHash::Sha256) else {
            return self.fail(Failure::Certificate);
        };
        match self.export() {
            Ok(srtp) => {
                self.state = State::Connected;
                self.give_up_at = None;
                self.events.push_back(DtlsEvent::Connected(Connected { srtp, peer_certificate }));
            }
            Err(failure) => self.fail(failure),
        }
    }

    /// The SRTP keys, `None` if no profile was negotiated (RFC 5764 clause 4.2).
    fn export(&self) -> Result<Option<KeyingMaterial>, Failure> {
        let Some(selected) = self.stream.ssl().selected_srtp_profile() else { return Ok(None) };
        let id = u16::try_from(selected.id().as_raw()).unwrap_or(0);
        let profile = SrtpProfile::from_id(id).ok_or(Failure::Protocol(u32::from(id)))?;
        let mut bytes = [0; 128];
        let len = KeyingMaterial::len(profile);
        let out = bytes.get_mut(..len).ok_or(Failure::Protocol(0))?;
        self.stream
            .ssl()
            .export_keying_material(out, EXPORTER_LABEL, None)
            .map_err(|stack| Failure::Protocol(reason_of(&stack)))?;
        Ok(KeyingMaterial::new(profile, out))
    }

    /// Reads application data and alerts until the input is used up.
    fn read(&mut self) {
        while matches!(self.state, State::Unverified | State::Connected) {
            let mut buf = [0; MAX_DATAGRAM];
            match self.call(|stream| stream.ssl_read(&mut buf)) {
                Ok(len) if self.state == State::Connected && self.inbox.len() < MAX_INBOX => {
                    self.inbox.push_back(buf[..len].to_vec());
                }
                // Before the fingerprint is known nobody has said that this peer may speak.
                Ok(_) => self.refused += 1,
                Err(error) if pending(&error) => break,
                Err(error) => self.ended(&error),
            }
        }
        self.rest();
    }

    fn ended(&mut self, error: &ssl::Error) {
        self.farewell();
        if self.state == State::Connected {
            self.state = State::Closed;
            self.events.push_back(DtlsEvent::Closed);
        } else {
            self.fail(failure_of(error));
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.state = State::Failed;
        self.resend_at = None;
        self.give_up_at = None;
        self.stream.get_mut().settle();
        self.events.push_back(DtlsEvent::Failed(failure));
    }

    /// Sends `close_notify`, if the connection is still fit for it.
    fn farewell(&mut self) {
        // Fails when a fatal alert went one way or the other, and then nothing is owed.
        let _ = self.call(SslStream::shutdown);
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
            self.advance(now);
        }
    }

    fn set_remote_fingerprint(&mut self, _now: Instant, fingerprint: Fingerprint) {
        self.remote = Some(fingerprint);
        self.verify();
    }

    fn handle_packet(&mut self, now: Instant, datagram: &[u8]) {
        if matches!(self.state, State::Created | State::Closed | State::Failed) {
            self.refused += 1;
            return;
        }
        let encrypted = matches!(self.state, State::Unverified | State::Connected);
        self.stream.get_mut().receive(self.role, encrypted, datagram);
        self.advance(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.give_up_at.is_some_and(|at| at <= now) {
            return self.fail(Failure::Timeout);
        }
        if self.resend_at.is_some_and(|at| at <= now) {
            self.wait = self.wait.saturating_mul(2);
            let more = self.stream.get_mut().resend();
            self.retransmissions += u32::from(more);
            self.resend_at = more.then(|| now + self.wait);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.resend_at.into_iter().chain(self.give_up_at).min()
    }

    fn poll_output(&mut self, out: &mut [u8]) -> Option<usize> {
        self.stream.get_mut().next_output(out)
    }

    fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.events.pop_front()
    }

    fn send(&mut self, _now: Instant, data: &[u8]) -> Result<(), SendError> {
        if self.state != State::Connected {
            return Err(SendError::NotConnected);
        }
        let most = usize::from(self.limits.mtu).saturating_sub(MAX_RECORD_OVERHEAD);
        if data.is_empty() || data.len() > most {
            return Err(SendError::Length);
        }
        if self.stream.get_ref().output_is_full() {
            return Err(SendError::Full);
        }
        self.call(|stream| stream.ssl_write(data)).map_err(|_| SendError::NotConnected)?;
        self.rest();
        Ok(())
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

fn pending(error: &ssl::Error) -> bool {
    matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE)
}

fn reason_of(stack: &ErrorStack) -> u32 {
    stack.errors().last().map_or(0, |error| error.reason_code().unsigned_abs())
}

fn failure_of(error: &ssl::Error) -> Failure {
    /// `SSL_R_CERTIFICATE_VERIFY_FAILED`.
    const VERIFY_FAILED: i32 = 134;
    /// `SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE`.
    const NO_CERTIFICATE: i32 = 199;
    if error.code() == ErrorCode::ZERO_RETURN {
        return Failure::Alert(0);
    }
    let Some(stack) = error.ssl_error() else { return Failure::Protocol(0) };
    for reason in stack.errors().iter().map(|error| error.reason_code()) {
        match reason {
            VERIFY_FAILED | NO_CERTIFICATE => return Failure::Certificate,
            _ => {}
        }
        if let Ok(alert) = u8::try_from(reason - ALERT_REASON) {
            return Failure::Alert(alert);
        }
    }
    Failure::Protocol(reason_of(stack))
}
