//! One forwarder: what of a source goes to an address, and with which numbers.

use super::Tenant;
use crate::forward::{Onward, Sink, SourceKey};
use crate::layers::Flow;
use crate::retransmit::Meta;
use bifrons_core::media::{
    ForwardSsrc, ForwarderId, ForwarderSetup, Line, MediaKind, Payload, PortId, Route, Selection,
    Send, SwitchRule,
};
use bifrons_core::rtp::{ExtensionIds, Ssrc};

/// References that wait in one turn at most.
const QUEUE: usize = 1024;
/// RTP clock of video in Hz.
const VIDEO_HZ: u32 = 90_000;
/// RTP clock of audio in Hz, for gaps between two sources: every codec that matters has it.
const AUDIO_HZ: u32 = 48_000;

/// A packet on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// Its source.
    pub source: SourceKey,
    /// Its index in the source's ring.
    pub packet: u64,
    /// The numbers it leaves with.
    pub onward: Onward,
}

/// See the module.
#[derive(Debug)]
pub struct Forwarder {
    /// Its name.
    pub id: ForwarderId,
    /// How RTP leaves.
    pub setup: ForwarderSetup,
    /// The port it leaves by.
    pub from: PortId,
    /// Layer choice and own numbers, where wanted; the source and the route in any case.
    pub sink: Box<Sink>,
    /// Place of its SRTP key.
    pub seal: Option<u32>,
    /// What leaves at the end of this turn.
    pub queue: Vec<Waiting>,
}

impl Forwarder {
    /// A forwarder without a source. `shared` is the port to leave by if it names none.
    pub fn new(
        id: ForwarderId,
        setup: &ForwarderSetup,
        shared: PortId,
        seal: Option<u32>,
    ) -> Option<Self> {
        let sink = Box::new(Sink::new(&line(setup))?);
        let mut forwarder = Forwarder {
            id,
            setup: *setup,
            from: setup.from.unwrap_or(shared),
            sink,
            seal,
            queue: Vec::new(),
        };
        forwarder.sink.continuity = bifrons_core::rtp::Continuity::after(clock_hz(setup.kind), 0);
        Some(forwarder)
    }

    /// Gives it a source under these rules; returns the one it leaves.
    pub fn feed(&mut self, key: SourceKey, route: Route) -> Option<SourceKey> {
        self.sink.set_route(key, Route { switch: SwitchRule::Now, ..route })
    }

    /// Whether it numbers packets itself.
    fn numbers(&self) -> bool {
        self.setup.continuous || self.sink.route.layers.selection != Selection::Whole
    }

    /// Whether a packet of its source goes out, and with which numbers.
    #[inline]
    pub fn choose(&mut self, meta: &Meta, flow: &Flow, now_us: u64) -> Option<Onward> {
        if self.numbers() {
            return self.sink.choose(meta, flow, now_us);
        }
        let wanted = self.setup.layer.is_none_or(|layer| layer == meta.layer);
        (wanted && self.sink.route.enabled).then_some(Onward {
            seq: meta.seq,
            timestamp: meta.timestamp,
            marker: meta.marker,
            pictures: None,
        })
    }

    /// Puts a packet behind the others. `None` when there is no room; true if it is the first.
    pub fn enqueue(&mut self, waiting: Waiting) -> Option<bool> {
        if self.queue.len() >= QUEUE {
            return None;
        }
        self.queue.push(waiting);
        Some(self.queue.len() == 1)
    }

    /// The SSRC a packet leaves with.
    pub fn ssrc(&self, meta: &Meta) -> Ssrc {
        match self.setup.ssrc {
            ForwardSsrc::Source => meta.ssrc,
            ForwardSsrc::Fixed(ssrc) => ssrc,
            ForwardSsrc::Layered(Ssrc(base)) => Ssrc(base.wrapping_add(u32::from(meta.layer))),
        }
    }

    /// Whether packets of its source leave with this SSRC.
    pub fn sends(&self, ssrc: Ssrc, flow: &Flow) -> bool {
        match self.setup.ssrc {
            ForwardSsrc::Source => flow.has(ssrc),
            ForwardSsrc::Fixed(_) | ForwardSsrc::Layered(_) => self.is_about(ssrc),
        }
    }

    /// Whether feedback about this SSRC is about what it sends.
    pub fn is_about(&self, media: Ssrc) -> bool {
        match self.setup.ssrc {
            ForwardSsrc::Source => false,
            ForwardSsrc::Fixed(ssrc) => ssrc == media,
            ForwardSsrc::Layered(Ssrc(base)) => media.0.wrapping_sub(base) < 3,
        }
    }

    /// Whose packets they are, for [`super::Seals`]. `number` is its own place's.
    pub fn tenant(&self, source: SourceKey, meta: &Meta, number: u32) -> Tenant {
        Tenant {
            source,
            payload_type: self.sink.route.payload_type,
            layer: if self.numbers() { 0 } else { meta.layer },
            forwarder: if self.numbers() { number + 1 } else { 0 },
        }
    }
}

fn clock_hz(kind: MediaKind) -> u32 {
    if kind == MediaKind::Video { VIDEO_HZ } else { AUDIO_HZ }
}

/// A line as a sink wants it: nothing was negotiated for an address.
fn line(setup: &ForwarderSetup) -> Line {
    let payload = Payload { pt: 0, codec: None, clock_hz: clock_hz(setup.kind), rtx_pt: None };
    let extensions = ExtensionIds::new();
    Line {
        mindex: 0,
        mid: "0".into(),
        kind: setup.kind,
        ssrc: Ssrc(0),
        rtx_ssrc: None,
        receive: None,
        send: Some(Send { payloads: vec![payload], nack: false, extensions }),
        data: None,
    }
}
