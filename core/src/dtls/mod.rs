//! DTLS as the rest of the house sees it: the engine contract, fingerprints, keying material.
//!
//! An engine is sans-IO and belongs to one peer: datagrams and time go in, datagrams and events
//! come out. It runs on a handshake helper, never on a shard, for one handshake costs as much CPU
//! as hundreds of packets. What a shard gets is the [`KeyingMaterial`], once.
//!
//! ```text
//!            start                handshake done             fingerprint equal
//!  Created ────────► Handshaking ────────────────► Unverified ────────────────► Connected
//!                        │                             │  (waits, if not yet known)  │
//!                        │ limit, alert, refusal       │ limit, unequal              │ close, alert
//!                        └──────────────► Failed ◄─────┘                             ▼
//!                                                                                  Closed
//! ```

pub mod fingerprint;
pub mod keying;
pub mod record;
pub mod session;

use std::time::{Duration, Instant};

pub use fingerprint::{Fingerprint, FingerprintError, FingerprintHash};
pub use keying::KeyingMaterial;
pub use record::fuzz_dtls_record;
pub use session::{Secrets, Session, Suite};

/// Label of the DTLS-SRTP exporter (RFC 5764 clause 4.2).
pub const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";

/// Largest datagram an engine takes or makes, in bytes.
pub const MAX_DATAGRAM: usize = 1500;

/// Most bytes a record adds to application data (header 13, CBC with SHA-1: IV 16, MAC 20,
/// padding 16), so data of `MAX_DATAGRAM - MAX_RECORD_OVERHEAD` always fits one.
pub const MAX_RECORD_OVERHEAD: usize = 65;

/// How long a handshake may take from `start` to connected (webrtc-behaviour clause 2).
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(20);

/// Which side of the handshake we play (RFC 5763 clause 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// `a=setup:active`: we send the ClientHello.
    Client,
    /// `a=setup:passive`: we wait for it.
    Server,
}

impl Role {
    /// The role of the far end.
    pub const fn peer(self) -> Role {
        match self {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        }
    }
}

/// Where an engine stands; see the drawing at the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Made, not started.
    Created,
    /// Exchanging flights.
    Handshaking,
    /// Handshake done, the peer's fingerprint not yet known from signalling.
    Unverified,
    /// Keys are out, application data flows.
    Connected,
    /// Closed by either side after having been connected.
    Closed,
    /// Ended before it was connected.
    Failed,
}

impl State {
    /// The word of the Admin API (`created`, `trying`, `connected`, `failed`).
    pub const fn name(self) -> &'static str {
        match self {
            State::Created => "created",
            State::Handshaking | State::Unverified => "trying",
            State::Connected => "connected",
            State::Closed | State::Failed => "failed",
        }
    }
}

/// Why a handshake came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The overall limit passed.
    #[error("no handshake within the limit")]
    Timeout,
    /// The peer sent a fatal alert; its description (RFC 5246 clause 7.2).
    #[error("peer sent alert {0}")]
    Alert(u8),
    /// We refused the peer's certificate: none sent, expired, or not trusted.
    #[error("peer certificate refused")]
    Certificate,
    /// The certificate is not the one that signalling announced.
    #[error("peer certificate does not match the signalled fingerprint")]
    FingerprintMismatch,
    /// Anything else the handshake cannot recover from; the TLS library's reason code.
    #[error("protocol error {0}")]
    Protocol(u32),
}

impl Failure {
    /// The `reason` of the `hangup` event that clients know (core-api, `hangup`).
    pub const fn hangup_reason(self) -> &'static str {
        match self {
            Failure::Timeout => "DTLS timeout",
            Failure::Alert(_) | Failure::Certificate | Failure::FingerprintMismatch => "DTLS alert",
            Failure::Protocol(_) => "DTLS error",
        }
    }
}

/// What a finished handshake yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connected {
    /// SRTP profile and keys; `None` when the peer negotiated no SRTP (data channels only).
    pub srtp: Option<KeyingMaterial>,
    /// SHA-256 fingerprint of the certificate the peer showed.
    pub peer_certificate: Fingerprint,
}

/// What an engine reports, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtlsEvent {
    /// Handshake and fingerprint are good. At most once.
    Connected(Connected),
    /// The peer closed a connected session (alert, fatal or `close_notify`). The last event.
    Closed,
    /// It never got connected. The last event.
    Failed(Failure),
}

/// Why application data was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Not connected (yet, or any more).
    #[error("not connected")]
    NotConnected,
    /// Larger than `MAX_DATAGRAM - MAX_RECORD_OVERHEAD`, or empty.
    #[error("application data does not fit a datagram")]
    Length,
    /// The output queue is full; SCTP will repeat it.
    #[error("output queue is full")]
    Full,
}

/// One peer's DTLS, sans-IO.
///
/// After each call that takes `now`, drain `poll_output`, `poll_event` and `recv`; call
/// `handle_timeout` at or after `poll_timeout`. No call blocks or panics on what the wire brought.
pub trait DtlsEngine {
    /// The role it plays.
    fn role(&self) -> Role;

    /// Where it stands.
    fn state(&self) -> State;

    /// Flights sent again so far (`retransmissions` of the Admin API).
    fn retransmissions(&self) -> u32;

    /// Begins the handshake and its overall limit. A client's first flight is then ready to be
    /// polled. Ignored when already started.
    fn start(&mut self, now: Instant);

    /// The fingerprint from signalling; may come late (then `Connected` waits for it) and is
    /// without effect once connected, as a renegotiation never repeats the handshake.
    fn set_remote_fingerprint(&mut self, now: Instant, fingerprint: Fingerprint);

    /// Takes one received datagram, any bytes.
    fn handle_packet(&mut self, now: Instant, datagram: &[u8]);

    /// Retransmits or gives up, if `now` has come to it.
    fn handle_timeout(&mut self, now: Instant);

    /// When `handle_timeout` wants to be called; `None` when nothing is pending.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Writes the next datagram to send into `out` (at least [`MAX_DATAGRAM`] long; one that does
    /// not fit is dropped) and tells its length.
    fn poll_output(&mut self, out: &mut [u8]) -> Option<usize>;

    /// The next event.
    fn poll_event(&mut self) -> Option<DtlsEvent>;

    /// Takes one message of application data for the peer.
    fn send(&mut self, now: Instant, data: &[u8]) -> Result<(), SendError>;

    /// Writes the next message of application data from the peer into `out` and tells its length.
    fn recv(&mut self, out: &mut [u8]) -> Option<usize>;

    /// Sends `close_notify` when connected and ends. No event follows.
    fn close(&mut self, now: Instant);
}
