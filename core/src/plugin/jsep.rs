//! Session descriptions as plugins see them: without transport details (webrtc-behaviour §3.2).

use crate::media::Mindex;
use crate::sdp::Sdp;

pub use crate::sdp::SdpType as JsepKind;

/// A simulcast line of the client's offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulcastLine {
    /// Which m-line.
    pub mindex: Mindex,
    /// Its mid.
    pub mid: String,
    /// How many substreams it announced, 1..=3.
    pub layers: u8,
}

/// An entry of the client's `svc` array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SvcLine {
    /// Which m-line.
    pub mindex: Mindex,
    /// The scalability mode, as the client put it.
    pub mode: String,
}

/// What a client sent with a message (core-api §4.2).
#[derive(Clone, Debug)]
pub struct Jsep {
    /// Offer or answer.
    pub kind: JsepKind,
    /// The description, anonymised.
    pub sdp: Sdp,
    /// The handle completed an offer/answer round before: a renegotiation.
    pub update: bool,
    /// Media are end-to-end encrypted.
    pub e2ee: bool,
    /// Lines with simulcast.
    pub simulcast: Vec<SimulcastLine>,
    /// Lines with SVC.
    pub svc: Vec<SvcLine>,
}

/// What a plugin sends along with an event.
#[derive(Clone, Debug)]
pub struct OutgoingJsep {
    /// Offer or answer.
    pub kind: JsepKind,
    /// The description, as the plugin's builders made it; the host adds ICE, DTLS, SSRCs, rtx.
    pub sdp: Sdp,
    /// Shown to the client as `e2ee: true`.
    pub e2ee: bool,
    /// Fresh ICE credentials in an offer.
    pub restart: bool,
}
