//! Session descriptions (RFC 8866, RFC 9429) for both sides of the house.
//!
//! Four steps, each a pure function of text and plain values:
//! 1. [`Sdp::parse`] reads a peer's text into an ordered model that gives every line back byte for
//!    byte; methods of [`Sdp`] and [`Media`] are typed reads of it.
//! 2. [`anonymise`] makes what plugins see: no transport, no SSRCs, no FEC or RTX.
//! 3. Plugins build [`Answer`]s and [`Offer`]s from choices.
//!
//! All input is hostile: texts are bounded by [`MAX_BYTES`], [`MAX_LINES`] and [`MAX_MEDIA`],
//! malformed attributes count as absent, nothing panics. Control thread only: it allocates
//! freely. The facts are those of `webrtc-behaviour` §3, §4, §9 and `core-api` §4, §8.

mod anonymise;
mod answer;
mod attribute;
mod choose;
mod error;
mod line;
mod model;
mod offer;
mod view;

pub use anonymise::{anonymise, is_disabled};
pub use answer::{Answer, LineAnswer, OpusParameters, Verdict};
pub use attribute::{
    Direction, Extmap, Fingerprint, FingerprintHash, GroupKind, MAX_MSID, MAX_RID, MAX_RIDS, Msid,
    RidLine, RtcpFeedback, Rtpmap, Setup, Simulcast, SsrcGroup,
};
pub use choose::Chosen;
pub use error::SdpError;
pub use line::Line;
pub use model::{Kind, MAX_BYTES, MAX_LINES, MAX_MEDIA, Media, MediaLine, Origin, Sdp};
pub use offer::{Offer, OfferCodec, OfferLine};
pub use view::{MAX_SSRCS, Rtx, fmtp_param};

/// RTP profile of our offers, and of answers to an offer without an RTP line.
pub const DEFAULT_PROFILE: &str = "UDP/TLS/RTP/SAVPF";
