//! What control would negotiate: m-lines and setups of simulated clients.

use bifrons_core::codec::Codec;
use bifrons_core::media::{LayerSsrc, Line, MediaKind, Payload, Receive, Send};
use bifrons_core::rtp::{Extension, ExtensionIds, Ssrc};

/// One m-line as a test asks for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) kind: MediaKind,
    /// The client sends on it.
    pub(crate) publishes: bool,
    /// The client receives on it.
    pub(crate) watches: bool,
    /// RFC 4588 is negotiated.
    pub(crate) rtx: bool,
    /// Lost packets may be asked for.
    pub(crate) nack: bool,
    /// Transport-wide feedback is negotiated.
    pub(crate) twcc: bool,
    /// The client's SSRCs are in its SDP.
    pub(crate) announced: bool,
    /// Simulcast substreams the client sends, by SSRC (`ssrc-group:SIM`).
    pub(crate) substreams: u16,
}

pub(crate) const VIDEO: Spec = Spec {
    kind: MediaKind::Video,
    publishes: true,
    watches: true,
    rtx: true,
    nack: true,
    twcc: true,
    announced: true,
    substreams: 1,
};

pub(crate) const AUDIO: Spec = Spec { kind: MediaKind::Audio, rtx: false, nack: false, ..VIDEO };

impl Spec {
    pub(crate) const fn sends(self) -> Self {
        Spec { publishes: true, watches: false, ..self }
    }

    pub(crate) const fn receives(self) -> Self {
        Spec { publishes: false, watches: true, ..self }
    }

    pub(crate) const fn without_rtx(self) -> Self {
        Spec { rtx: false, ..self }
    }

    pub(crate) const fn unannounced(self) -> Self {
        Spec { announced: false, ..self }
    }

    pub(crate) fn pt(self) -> u8 {
        if self.kind == MediaKind::Audio { 111 } else { 96 }
    }

    pub(crate) fn clock_hz(self) -> u32 {
        if self.kind == MediaKind::Audio { 48_000 } else { 90_000 }
    }
}

/// Our SSRC towards a client on a line.
pub(crate) fn our_ssrc(client: usize, mindex: u16) -> u32 {
    0x1000_0000 + ((client as u32) << 12) + u32::from(mindex) * 2
}

/// A client's SSRC on a line.
pub(crate) fn their_ssrc(client: usize, mindex: u16) -> u32 {
    our_ssrc(client, mindex) + 0x1000_0000
}

/// The RTX SSRC that goes with an SSRC.
pub(crate) fn rtx_of(ssrc: u32) -> u32 {
    ssrc + 1
}

/// The SSRC of a simulcast substream of a line.
pub(crate) fn substream_ssrc(theirs: u32, substream: u16) -> u32 {
    theirs + (u32::from(substream) << 28)
}

/// The ids that str0m's standard map gives, too.
pub(crate) fn extensions(spec: Spec) -> ExtensionIds {
    let mut ids = ExtensionIds::new();
    let known = [
        (Extension::AudioLevel, 1),
        (Extension::AbsSendTime, 2),
        (Extension::TransportCc, 3),
        (Extension::Mid, 4),
    ];
    for (extension, id) in known {
        if spec.twcc || extension != Extension::TransportCc {
            ids.set(extension, id);
        }
    }
    ids
}

/// The line as control would write it into a setup.
pub(crate) fn line(client: usize, mindex: u16, spec: Spec) -> Line {
    let payloads = vec![Payload {
        pt: spec.pt(),
        codec: Some(if spec.kind == MediaKind::Audio { Codec::Opus } else { Codec::Vp8 }),
        clock_hz: spec.clock_hz(),
        rtx_pt: spec.rtx.then_some(97),
    }];
    let ours = our_ssrc(client, mindex);
    let theirs = their_ssrc(client, mindex);
    let layer = |substream: u16| {
        let ssrc = substream_ssrc(theirs, substream);
        LayerSsrc { ssrc: Ssrc(ssrc), rtx: spec.rtx.then_some(Ssrc(rtx_of(ssrc))) }
    };
    let announced = if spec.announced { spec.substreams } else { 0 };
    Line {
        mindex,
        mid: mindex.to_string().into(),
        kind: spec.kind,
        ssrc: Ssrc(ours),
        rtx_ssrc: spec.rtx.then_some(Ssrc(rtx_of(ours))),
        receive: spec.publishes.then(|| Receive {
            layers: (0..announced).map(layer).collect(),
            rids: Vec::new(),
            payloads: payloads.clone(),
            nack: spec.nack,
            transport_cc: spec.twcc,
            extensions: extensions(spec),
        }),
        send: spec.watches.then(|| Send {
            payloads,
            nack: spec.nack,
            extensions: extensions(spec),
        }),
        data: None,
    }
}
