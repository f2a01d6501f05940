//! RTCP (RFC 3550 §6, RFC 4585, RFC 5104): reading compound packets, writing them, and the state
//! behind them: reception and sending statistics, missing packets, transport-wide arrival times.
//!
//! Reading borrows the packet and is bounded by its 1500 bytes; a compound with one broken part is
//! refused as a whole (`webrtc-behaviour` §7). Writing goes into the caller's slice. Nothing
//! allocates; time comes in as microseconds of any monotonic clock, wall time as [`NtpTime`].

mod compound;
mod feedback;
mod fuzz;
mod nack;
mod ntp;
mod quality;
mod receiver;
mod report;
mod sender;
mod transport;
mod transport_writer;
mod writer;

pub use compound::{App, Bye, Compound, MAX_PARTS, Raw, Rtcp, Sdes, SdesChunk};
pub use feedback::{Fir, FirEntry, Nack, Pli, Remb};
pub use fuzz::fuzz_rtcp;
pub use nack::{NACK_AFTER_US, NACK_AGAIN_AFTER_US, NACK_WINDOW, NackTracker, Seen};
pub use ntp::NtpTime;
pub use quality::{InQuality, OutQuality, Quality};
pub use receiver::ReceiverStats;
pub use report::{ReceiverReport, ReportBlock, SenderInfo, SenderReport};
pub use sender::SenderStats;
pub use transport::{MAX_STATUSES, TransportFeedback};
pub use transport_writer::{ArrivalRecorder, MAX_REPORTED};
pub use writer::CompoundWriter;

/// Packet types (RFC 3550 §12.1, RFC 4585 §6.1).
pub mod packet_type {
    /// Sender report.
    pub const SR: u8 = 200;
    /// Receiver report.
    pub const RR: u8 = 201;
    /// Source description.
    pub const SDES: u8 = 202;
    /// Goodbye.
    pub const BYE: u8 = 203;
    /// Application-defined.
    pub const APP: u8 = 204;
    /// Transport layer feedback.
    pub const RTPFB: u8 = 205;
    /// Payload-specific feedback.
    pub const PSFB: u8 = 206;
    /// Extended reports (RFC 3611); never read further.
    pub const XR: u8 = 207;
}

/// Why bytes are not a compound packet, or one cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    /// No bytes, or fewer than a header at the end.
    #[error("shorter than an RTCP header")]
    TooShort,
    /// More bytes than [`crate::rtp::MAX_PACKET`].
    #[error("longer than the largest packet we take")]
    TooLong,
    /// Version other than 2.
    #[error("not RTCP version 2")]
    Version,
    /// A length that reaches past the end, or padding that does not fit.
    #[error("a length that does not fit the packet")]
    Length,
    /// A part whose body contradicts its header.
    #[error("malformed part of type {0}")]
    Malformed(u8),
    /// More parts than [`MAX_PARTS`].
    #[error("too many parts")]
    TooMany,
    /// The output slice is too short for what is to be written.
    #[error("no room in the output")]
    NoRoom,
}
