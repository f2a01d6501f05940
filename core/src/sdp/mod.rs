//! Session descriptions (RFC 8866, RFC 9429) for both sides of the house.
//!
//! Four steps, each a pure function of text and plain values:
//! 1. [`Sdp::parse`] reads a peer's text into an ordered model that gives every line back byte for
//!    byte; methods of [`Sdp`] and [`Media`] are typed reads of it.
//! 2. [`anonymise()`] makes what plugins see: no transport, no SSRCs, no FEC or RTX.
//! 3. Plugins build [`Answer`]s and [`Offer`]s from choices.
//! 4. [`complete()`] adds the core's share (ICE, DTLS, BUNDLE, SSRCs, RTX, rids, candidates) and
//!    [`read_remote`] says what offer and answer come to.
//!
//! A plugin's part, here EchoTest's with VP9 preferred:
//! ```
//! use bifrons_core::codec::Codec;
//! use bifrons_core::rtp::Extension;
//! use bifrons_core::sdp::{Answer, Sdp, anonymise};
//!
//! # fn main() -> Result<(), bifrons_core::sdp::SdpError> {
//! let offer = Sdp::parse(
//!     "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n\
//!      m=video 9 UDP/TLS/RTP/SAVPF 96 98\r\na=mid:v\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
//!      a=rtpmap:96 VP8/90000\r\na=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=0\r\n",
//! )?;
//! let seen = anonymise(&offer);
//! let mut answer = Answer::for_offer(&seen).named("EchoTest");
//! for line in &mut answer.lines {
//!     line.codecs = vec![Codec::Vp9, Codec::Vp8];
//!     line.extensions = vec![Extension::Mid];
//! }
//! let video = answer.chosen(0).expect("a codec in common");
//! assert_eq!(video.codec.map(|(codec, pt)| (codec, pt.get())), Some((Codec::Vp9, 98)));
//! let sdp = answer.build();
//! assert_eq!(sdp.media[0].value("fmtp"), Some("98 profile-id=0"));
//! # Ok(())
//! # }
//! ```
//!
//! What an RTSP server presents is read apart from that, by [`presentation()`].
//!
//! All input is hostile: texts are bounded by [`MAX_BYTES`], [`MAX_LINES`] and [`MAX_MEDIA`],
//! malformed attributes count as absent, nothing panics. Control thread only: it allocates
//! freely. The facts are those of `webrtc-behaviour` §3, §4, §9 and `core-api` §4, §8.

mod anonymise;
mod answer;
mod attribute;
mod choose;
mod complete;
mod error;
mod fuzz;
mod line;
mod model;
mod negotiated;
mod offer;
mod payload;
mod presentation;
mod remote;
mod rtx;
mod simulcast;
mod view;

pub use anonymise::{anonymise, is_disabled};
pub use answer::{Answer, LineAnswer, OpusParameters, Verdict};
pub use attribute::{
    Direction, Extmap, GroupKind, MAX_MSID, MAX_RID, MAX_RIDS, Msid, RidLine, RtcpFeedback, Rtpmap,
    Setup, Simulcast, SsrcGroup,
};
pub use choose::Chosen;
pub use complete::{Completion, LineCompletion, complete};
pub use error::SdpError;
pub use fuzz::fuzz_sdp;
pub use line::Line;
pub use model::{Kind, MAX_BYTES, MAX_LINES, MAX_MEDIA, Media, MediaLine, Origin, Sdp};
pub use negotiated::{
    Negotiated, NegotiatedCodec, NegotiatedData, NegotiatedLine, ReadOptions, SdpType, read_remote,
};
pub use offer::{Offer, OfferCodec, OfferLine, offered_payload_type};
pub use presentation::{MAX_FMTP, PresentedMedium, fuzz_presentation, presentation};
pub use remote::Remote;
pub use rtx::{RtxTable, usable_rtx};
pub use simulcast::{
    RidMirror, RidOrder, SimulcastForm, SimulcastOffer, SimulcastStreams, simulcast_offers,
};
pub use view::{MAX_SSRCS, Rtx, fmtp_param};

/// RTP profile of our offers, and of answers to an offer without an RTP line.
pub const DEFAULT_PROFILE: &str = "UDP/TLS/RTP/SAVPF";

#[cfg(test)]
mod tests;
