//! DTLS 1.2 over OpenSSL: the [`DtlsEngine`](bifrons_core::dtls::DtlsEngine) that every WebRTC
//! client can talk to, RSA certificates included.
//!
//! [`Certificate`] and [`DtlsContext`] are made once a process and cloned (a reference count in
//! OpenSSL) to each handshake helper; an [`OpenSslEngine`] belongs to one peer. A handshake costs
//! 0.4–0.6 ms of CPU, so none of this runs on a shard.
//!
//! **After the handshake** OpenSSL is let go: its 40 KiB a connection serve nothing any more, and
//! a [`Session`](bifrons_core::dtls::Session) of ours carries alerts and application data.
//!
//! **Time.** OpenSSL times flights by the wall clock and offers no other. To live on the caller's
//! clock (and in a simulation), an engine lets OpenSSL write each flight several times over at
//! once, by a timer callback that says "expired" just so often and then "not for an hour"; the
//! copies are held back and sent when the caller's clock says so (see `flight`). They are
//! genuine retransmissions with record numbers of their own, so a peer's replay window takes them.

mod certificate;
mod context;
mod engine;
mod established;
mod flight;
mod library;
mod wire;

pub use certificate::{Certificate, CertificateError, KeyKind};
pub use context::{DEFAULT_CIPHERS, DtlsContext, DtlsSettings};
pub use engine::OpenSslEngine;
pub use established::{Opened, RecordLayer};

#[cfg(test)]
mod foreign_tests;
#[cfg(test)]
pub(crate) mod tests;
