//! One m-line of a peer on its shard: what arrives on it, and what leaves.

use super::Seen;
use crate::forward::{Sink, SourceKey};
use crate::layers::Structure;
use crate::report::LastSecond;
use crate::retransmit::Meta;
use bifrons_core::media::{Line, MediaKind, Mindex, Payload, Receive};
use bifrons_core::rtcp::{InQuality, NackTracker, NtpTime, ReceiverStats};
use bifrons_core::rtp::{ExtensionIds, Mid, Rid, Ssrc};

/// Simulcast layers of one line.
pub const MAX_LAYERS: usize = 3;

/// See the module.
#[derive(Debug)]
pub struct PeerLine {
    /// Its index in the SDP.
    pub mindex: Mindex,
    /// Its kind.
    pub kind: MediaKind,
    /// Its mid, by which packets of unknown SSRC find it.
    pub mid: Option<Mid>,
    /// Our SSRC on it.
    pub ssrc: Ssrc,
    /// What arrives, while the peer may send.
    pub receive: Option<ReceiveLine>,
    /// What leaves, while we may send.
    pub sink: Option<Sink>,
    /// What left until we might not send any more. Its numbers are kept: should the line come back
    /// with the same SSRC, none may be sealed again.
    parked: Option<Sink>,
}

impl PeerLine {
    /// A freshly negotiated line. `source` is its place among the shard's sources.
    pub fn new(line: &Line, source: Option<SourceKey>) -> Self {
        PeerLine {
            mindex: line.mindex,
            kind: line.kind,
            mid: Mid::new(line.mid.as_bytes()),
            ssrc: line.ssrc,
            receive: line.receive.as_ref().zip(source).map(|(r, key)| ReceiveLine::new(r, key)),
            sink: Sink::new(line),
            parked: None,
        }
    }

    /// Takes over a renegotiated line; what goes on keeps its state.
    pub fn renegotiate(&mut self, line: &Line, source: Option<SourceKey>) {
        self.mid = Mid::new(line.mid.as_bytes());
        self.kind = line.kind;
        self.ssrc = line.ssrc;
        match (&mut self.receive, line.receive.as_ref().zip(source)) {
            (Some(have), Some((receive, _))) => have.renegotiate(receive),
            (have, new) => *have = new.map(|(r, key)| ReceiveLine::new(r, key)),
        }
        if line.send.is_none() {
            self.parked = self.sink.take().or(self.parked.take());
            return;
        }
        let former = self.sink.take().or(self.parked.take());
        self.sink = match former.filter(|sink| sink.kind == line.kind) {
            Some(mut sink) => {
                sink.renegotiate(line);
                Some(sink)
            }
            None => Sink::new(line),
        };
    }

    /// The line was rejected: nothing arrives and nothing leaves until it is negotiated again.
    pub fn retire(&mut self) {
        self.receive = None;
        self.parked = self.sink.take().or(self.parked.take());
    }

    /// Whether it is negotiated in either direction.
    pub fn is_active(&self) -> bool {
        self.receive.is_some() || self.sink.is_some()
    }
}

/// The receiving half of a line.
#[derive(Debug)]
pub struct ReceiveLine {
    /// Where its packets go on.
    pub source: SourceKey,
    /// What may arrive.
    pub payloads: Vec<Payload>,
    /// Whether we ask for lost packets.
    pub nack: bool,
    /// Whether we send transport-wide feedback about it.
    pub transport_cc: bool,
    /// Under which ids extensions arrive.
    pub ids: ExtensionIds,
    /// Announced rids; index = substream.
    pub rids: Vec<Rid>,
    /// Whether there is more than one substream.
    pub simulcast: bool,
    /// The substreams.
    pub layers: [Layer; MAX_LAYERS],
}

impl ReceiveLine {
    fn new(receive: &Receive, source: SourceKey) -> Self {
        let clock_hz = receive.payloads.first().map_or(90_000, |payload| payload.clock_hz);
        let mut line = ReceiveLine {
            source,
            payloads: Vec::new(),
            nack: false,
            transport_cc: false,
            ids: ExtensionIds::new(),
            rids: Vec::new(),
            simulcast: false,
            layers: std::array::from_fn(|_| Layer::new(clock_hz)),
        };
        line.renegotiate(receive);
        line
    }

    fn renegotiate(&mut self, receive: &Receive) {
        self.payloads.clone_from(&receive.payloads);
        self.nack = receive.nack;
        self.transport_cc = receive.transport_cc;
        self.ids = receive.extensions;
        self.rids = receive.rids.iter().filter_map(|rid| Rid::new(rid.as_bytes())).collect();
        self.simulcast = receive.layers.len() > 1 || receive.rids.len() > 1;
    }

    /// A sender report of a substream says which instant its timestamp is. With the reports of
    /// several, their timestamps can be compared: the lowest one's clock is the common one.
    pub fn set_clock(&mut self, layer: u8, ntp: NtpTime, timestamp: u32) {
        let Some(layer) = self.layers.get_mut(usize::from(layer)) else { return };
        layer.clock = Some((ntp, timestamp));
        let hz = self.payloads.first().map_or(90_000, |payload| payload.clock_hz);
        let Some(base) = self.layers.iter().find_map(|layer| layer.clock) else { return };
        for layer in &mut self.layers {
            layer.common_clock = layer.clock.map(|clock| lack(clock, base, hz));
        }
    }

    /// The payload type's meaning; also finds what an rtx payload type stands for.
    pub fn payload(&self, pt: u8) -> Option<(&Payload, bool)> {
        let plain = self.payloads.iter().find(|payload| payload.pt == pt).map(|p| (p, false));
        plain.or_else(|| {
            self.payloads.iter().find(|payload| payload.rtx_pt == Some(pt)).map(|p| (p, true))
        })
    }
}

/// One substream as it arrives.
#[derive(Debug)]
pub struct Layer {
    /// Its SSRC, once known.
    pub ssrc: Option<Ssrc>,
    /// Which packets were taken.
    pub seen: Seen,
    /// When its last packet came, on the shard's clock; 0 = never.
    pub last_us: u64,
    /// Whether it counts as receiving (for `media` events).
    pub receiving: bool,
    /// What arrived, and what the next receiver report says about it.
    pub stats: ReceiverStats,
    /// Which packets are missing, where we ask for them.
    pub nacks: Option<Box<NackTracker>>,
    /// Keyframe requests sent.
    pub keyframe_requests: u64,
    /// Packets thrown away: seen before, or unreadable.
    pub dropped: u64,
    /// The count of losses at the last report, for slow links.
    pub lost_before: i64,
    /// How much came in the last second.
    pub second: LastSecond,
    /// How well it came.
    pub quality: InQuality,
    /// What its sender stated about its layers (AV1).
    pub structure: Structure,
    /// Its last sender report: wall time and timestamp of one instant.
    pub clock: Option<(NtpTime, u32)>,
    /// What its timestamps lack to those of the lowest substream that has a clock.
    pub common_clock: Option<u32>,
    clock_hz: u32,
}

/// Ticks that a timestamp of `clock` lacks to the one of the same instant by `base`.
fn lack(clock: (NtpTime, u32), base: (NtpTime, u32), hz: u32) -> u32 {
    let since = i128::from(clock.0.0.wrapping_sub(base.0.0).cast_signed());
    let ticks = ((since * i128::from(hz)) >> 32) as u32;
    base.1.wrapping_add(ticks).wrapping_sub(clock.1)
}

impl Layer {
    /// One that nothing arrived on yet.
    pub fn new(clock_hz: u32) -> Self {
        Layer {
            ssrc: None,
            seen: Seen::default(),
            last_us: 0,
            receiving: false,
            stats: ReceiverStats::new(clock_hz),
            nacks: None,
            keyframe_requests: 0,
            dropped: 0,
            lost_before: 0,
            second: LastSecond::default(),
            quality: InQuality::default(),
            clock_hz,
            structure: None,
            clock: None,
            common_clock: None,
        }
    }

    /// Counts a packet; false if it was taken before. Another SSRC than before starts the layer
    /// over.
    pub fn take(&mut self, meta: &Meta, rtx: bool, nack: bool, now_us: u64) -> bool {
        if !rtx && self.ssrc.is_some_and(|ssrc| ssrc != meta.ssrc) {
            (self.clock, self.common_clock) = (None, None);
            self.ssrc = Some(meta.ssrc);
            self.seen = Seen::default();
            self.nacks = None;
            self.stats = ReceiverStats::new(self.clock_hz);
            self.lost_before = 0;
            self.quality = InQuality::default();
        }
        if !self.seen.is_new(meta.seq) {
            self.dropped += 1;
            return false;
        }
        self.last_us = now_us;
        self.ssrc.get_or_insert(meta.ssrc);
        let len = usize::from(meta.len);
        if rtx {
            self.stats.recovered(meta.seq, len);
        } else {
            self.stats.received(meta.seq, meta.timestamp, len, now_us);
        }
        if nack {
            let nacks = self.nacks.get_or_insert_default();
            nacks.received(meta.seq, now_us);
            if meta.keyframe {
                // Nothing before it is needed any more (webrtc-behaviour §6).
                nacks.keyframe();
            }
        }
        true
    }
}
