//! An OpenSSL connection over the in-memory wire: handshake, and records where it must.

use bifrons_core::dtls::{
    Connected, EXPORTER_LABEL, Failure, FingerprintHash, KeyingMaterial, MAX_DATAGRAM, Role,
};
use bifrons_core::srtp::SrtpProfile;
use openssl::error::ErrorStack;
use openssl::ssl::{self, ErrorCode, Ssl, SslStream};

use super::certificate::digest_of;
use super::engine::Proof;
use super::established::{Established, Received};
use super::flight::{self, Flight};
use super::wire::{Outgoing, Wire};

/// OpenSSL's reason codes for alerts received: this plus the alert (<openssl/ssl.h>).
const ALERT_REASON: i32 = 1000;
/// `SSL_R_CERTIFICATE_VERIFY_FAILED`.
const VERIFY_FAILED: i32 = 134;
/// `SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE`.
const NO_CERTIFICATE: i32 = 199;

/// How far the handshake has come.
pub(super) enum Step {
    /// It waits for the peer.
    Pending,
    /// It ended badly.
    Failed(Failure),
    /// It ended well.
    Done {
        proof: Proof,
        cipher: Option<&'static str>,
        /// What takes over; `None` when OpenSSL must go on itself.
        successor: Option<Box<Established>>,
    },
}

pub(super) struct Library {
    stream: SslStream<Wire>,
    flight: Flight,
    /// The record buffers were given back.
    resting: bool,
}

impl Library {
    pub(super) fn new(ssl: Ssl, copies: u8) -> Result<Library, ErrorStack> {
        let stream = SslStream::new(ssl, Wire::default())?;
        Ok(Library { stream, flight: Flight::new(copies), resting: false })
    }

    /// Counts the flights begun.
    pub(super) fn flight(&self) -> u32 {
        self.flight.number
    }

    pub(super) fn output(&mut self) -> &mut Outgoing {
        &mut self.stream.get_mut().output
    }

    pub(super) fn refused(&self) -> u64 {
        let wire = self.stream.get_ref();
        wire.dropped + wire.output.dropped
    }

    /// Makes a datagram the input of the next call.
    pub(super) fn receive(&mut self, role: Role, connected: bool, datagram: &[u8]) {
        self.stream.get_mut().receive(role, connected, datagram);
    }

    /// The input that no call has read.
    pub(super) fn take_unread(&mut self) -> Vec<u8> {
        self.stream.get_mut().take_unread()
    }

    /// Sends the current flight again; false when that was done as often as it can be.
    pub(super) fn resend(&mut self) -> bool {
        self.stream.get_mut().resend()
    }

    pub(super) fn shake_hands(&mut self, role: Role) -> Step {
        let sent = self.output().len();
        match self.call(SslStream::do_handshake) {
            Err(error) if pending(&error) => Step::Pending,
            Err(error) => Step::Failed(failure_of(&error)),
            Ok(()) => match self.prove() {
                Ok(proof) => self.finish(role, sent, proof),
                Err(failure) => Step::Failed(failure),
            },
        }
    }

    fn finish(&mut self, role: Role, sent: usize, proof: Proof) -> Step {
        let cipher = self.stream.ssl().current_cipher().map(|cipher| cipher.name());
        let last_flight = self.output().since(sent);
        let wire = self.stream.get_mut();
        wire.settle();
        let output = std::mem::take(&mut wire.output);
        let (ssl, wire) = (self.stream.ssl(), self.stream.get_ref());
        match Established::take_over(ssl, wire, role, last_flight) {
            Some(mut own) => {
                own.output = output;
                own.refused = self.refused();
                Step::Done { proof, cipher, successor: Some(Box::new(own)) }
            }
            None => {
                *self.output() = output;
                Step::Done { proof, cipher, successor: None }
            }
        }
    }

    /// Certificate and keys of a finished handshake.
    fn prove(&self) -> Result<Proof, Failure> {
        let certificate = self.stream.ssl().peer_certificate().ok_or(Failure::Certificate)?;
        let digest = |hash| digest_of(&certificate, hash).ok_or(Failure::Certificate);
        let srtp = self.export()?;
        let connected = Connected { srtp, peer_certificate: digest(FingerprintHash::Sha256)? };
        Ok(Proof { connected, sha1: digest(FingerprintHash::Sha1)? })
    }

    /// The SRTP keys, `None` if no profile was negotiated (RFC 5764 clause 4.2).
    fn export(&self) -> Result<Option<KeyingMaterial>, Failure> {
        let ssl = self.stream.ssl();
        let Some(selected) = ssl.selected_srtp_profile() else { return Ok(None) };
        let id = u16::try_from(selected.id().as_raw()).unwrap_or(0);
        let profile = SrtpProfile::from_id(id).ok_or(Failure::Protocol(u32::from(id)))?;
        let mut bytes = [0; 128];
        let out = bytes.get_mut(..KeyingMaterial::len(profile)).ok_or(Failure::Protocol(0))?;
        ssl.export_keying_material(out, EXPORTER_LABEL, None)
            .map_err(|stack| Failure::Protocol(reason_of(&stack)))?;
        Ok(KeyingMaterial::new(profile, out))
    }

    /// Reads records after the handshake until the input is used up or the peer has closed.
    pub(super) fn read(&mut self, mut each: impl FnMut(Received)) {
        loop {
            let mut buf = [0; MAX_DATAGRAM];
            match self.call(|stream| stream.ssl_read(&mut buf)) {
                Ok(len) => each(Received::Data(buf[..len].to_vec())),
                Err(error) if pending(&error) => break,
                Err(error) => {
                    let alert = match failure_of(&error) {
                        Failure::Alert(alert) => alert,
                        // internal_error: OpenSSL and the peer no longer understand each other.
                        _ => 80,
                    };
                    each(Received::Closed(alert));
                    break;
                }
            }
        }
        self.rest();
    }

    /// Seals application data; false when the output is full or the connection is not fit.
    pub(super) fn send(&mut self, data: &[u8]) -> bool {
        if self.output().is_full() {
            return false;
        }
        let taken = self.call(|stream| stream.ssl_write(data)).is_ok();
        self.rest();
        taken
    }

    /// Sends `close_notify`, if the connection is still fit for it.
    pub(super) fn farewell(&mut self) {
        // Fails when a fatal alert went one way or the other, and then nothing is owed.
        let _ = self.call(SslStream::shutdown);
    }

    fn call<R>(&mut self, call: impl FnOnce(&mut SslStream<Wire>) -> R) -> R {
        let stream = &mut self.stream;
        if std::mem::take(&mut self.resting) {
            // Out of memory ends this peer; the write path would follow a null pointer.
            assert!(flight::make_buffers(stream), "no memory for record buffers");
        }
        // What another connection left in the thread's error queue would be taken for ours.
        drop(ErrorStack::get());
        flight::during(&mut self.flight, || call(stream))
    }

    fn rest(&mut self) {
        flight::free_buffers(&mut self.stream);
        self.resting = true;
    }
}

fn pending(error: &ssl::Error) -> bool {
    matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE)
}

fn reason_of(stack: &ErrorStack) -> u32 {
    stack.errors().last().map_or(0, |error| error.reason_code().unsigned_abs())
}

fn failure_of(error: &ssl::Error) -> Failure {
    if error.code() == ErrorCode::ZERO_RETURN {
        return Failure::Alert(0);
    }
    let Some(stack) = error.ssl_error() else { return Failure::Protocol(0) };
    for reason in stack.errors().iter().map(|error| error.reason_code()) {
        if matches!(reason, VERIFY_FAILED | NO_CERTIFICATE) {
            return Failure::Certificate;
        }
        if let Ok(alert) = u8::try_from(reason - ALERT_REASON) {
            return Failure::Alert(alert);
        }
    }
    Failure::Protocol(reason_of(stack))
}
