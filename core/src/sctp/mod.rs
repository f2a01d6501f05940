//! Data channels of one peer: an SCTP association inside DTLS (RFC 8831), and the channels on it
//! (RFC 8832).
//!
//! [`DataTransport`] is sans-IO: SCTP packets and time go in, SCTP packets and [`Event`]s come out.
//! The association itself is `sctp-proto`'s; it draws its tags from the system's random source,
//! which is the one thing here that a seed does not decide.
//!
//! ```text
//!          connect, or the peer's INIT            COOKIE exchange
//!  Waiting ──────────────────────────► Connecting ───────────────► Up ──► Lost
//! ```
//! Bounds: [`MAX_CHANNELS`] channels, [`MAX_NAMES`] bytes of labels and protocols, [`SEND_BUFFER`]
//! bytes (and one message) waiting to be sent, twice the longest message we take waiting to be
//! read. Cost: nothing until the association begins; measured figures are in `docs/data.md`.

mod abort;
mod channel;
mod dcep;
mod fuzz;
#[cfg(test)]
mod tests;
mod transport;

pub use channel::{Channel, MAX_CHANNELS, MAX_NAMES};
pub use dcep::{Dcep, Open, fuzz_dcep};
pub use fuzz::fuzz_sctp;
pub use transport::{Config, DataTransport, Event, MAX_PACKET, SEND_BUFFER, SendError};

/// What becomes of messages that were lost (RFC 8832 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reliability {
    /// Sent again until they arrive.
    Reliable,
    /// Sent again at most so many times.
    Retransmits(u32),
    /// Sent again for so many milliseconds.
    LifetimeMs(u32),
}
