//! A sink: the sending half of a peer's line, and the rules by which a source reaches it.

use super::clock::SenderClock;
use super::source::SourceKey;
use crate::layers::{Flow, LayerChoice, Verdict};
use crate::report::LastSecond;
use crate::retransmit::{History, Meta};
use bifrons_core::codec::{Vp8Continuity, Vp8Descriptor, Vp8Ids};
use bifrons_core::media::{self, Line, MediaKind, Payload, Route, SwitchRule};
use bifrons_core::rtcp::{NtpTime, OutQuality, SenderStats};
use bifrons_core::rtp::{Continuity, Extension, HeaderWriter, Mid, Seq, SeqUnwrapper, Ssrc};
use bifrons_core::srtp::ReplayWindow;

/// Packets remembered for video: about 2 s at 250 packets a second.
const VIDEO_HISTORY: usize = 512;
/// Packets remembered for audio: 1.2 s at 20 ms.
const AUDIO_HISTORY: usize = 64;
/// Seconds by which a sender's reports and its packets may differ.
const CLOCK_S: u32 = 10;

/// See the module.
#[derive(Debug)]
pub struct Sink {
    /// Its kind.
    pub kind: MediaKind,
    /// Our SSRC on this leg.
    pub ssrc: Ssrc,
    /// Our RFC 4588 SSRC, if rtx was negotiated.
    pub rtx_ssrc: Option<Ssrc>,
    /// The last sequence number used on the rtx stream; the first one used is 1.
    pub rtx_seq: u32,
    /// What may leave, and with which rtx payload type.
    pub payloads: Vec<Payload>,
    /// Whether the peer may ask for lost packets.
    pub nack: bool,
    /// Writes headers with the extensions negotiated on this line.
    pub writer: HeaderWriter,
    /// Whether the line takes part in transport-wide numbering.
    pub transport_cc: bool,
    /// Counts renegotiations: a packet stamped before one cannot be repeated after it.
    pub epoch: u8,
    /// Where packets come from.
    pub source: Option<SourceKey>,
    /// By which rules.
    pub route: Route,
    /// A switch that waits for its keyframe.
    pub pending: Option<(SourceKey, Route)>,
    /// A source it changed over from and still is listed at.
    pub left: Option<SourceKey>,
    /// What was kept of the source is being handed out; `route` counts as off until that is done.
    pub catching: Option<CatchUp>,
    /// Which layers of the source flow.
    pub layers: LayerChoice,
    /// The SSRC whose packets flow: another one has numbers of its own.
    pub from: Option<Ssrc>,
    /// Sequence numbers and timestamps on this leg.
    pub continuity: Continuity,
    /// VP8 picture numbers on this leg.
    pub pictures: Vp8Continuity,
    /// SRTP packet indexes of the media stream on this leg.
    pub index: SeqUnwrapper,
    /// Which of them were sealed: the last guard of the one-seal rule, whatever numbers a
    /// publisher made up.
    pub sealed: ReplayWindow,
    /// What left lately.
    pub history: History,
    /// Packets, bytes and the peer's reports about them.
    pub stats: SenderStats,
    /// The source's wall time and timestamp for the next report, where its sender tells them.
    pub told: Option<(NtpTime, u32)>,
    /// How far the wall clock of the last report was ahead of ours, in 1/2^32 s.
    pub ahead: i64,
    /// What else is counted.
    pub counts: SentCounts,
    /// How much left in the last second.
    pub second: LastSecond,
    /// How well it arrives.
    pub quality: OutQuality,
}

/// How far a viewer has come with what was kept for it ([`super::Burst`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// Of this source.
    pub source: SourceKey,
    /// The packet in its ring that comes next.
    pub next: u64,
}

/// The numbers a packet leaves with. They are given when it is routed, not when it departs:
/// packets that are left out and switches of source fall between two packets of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Onward {
    /// Sequence number.
    pub seq: Seq,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// VP8 picture numbers, where they are not the sender's own.
    pub pictures: Option<Vp8Ids>,
}

/// What a sink counts beside its [`SenderStats`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SentCounts {
    /// Packets sent again.
    pub retransmissions: u64,
    /// Keyframe requests from the peer.
    pub keyframe_requests: u64,
    /// References that found their packet overwritten.
    pub shed: u64,
}

impl Sink {
    /// The sink of a freshly negotiated line; `None` where we do not send on it.
    pub fn new(line: &Line) -> Option<Self> {
        let send = line.send.as_ref()?;
        let clock_hz = send.payloads.first().map_or(90_000, |payload| payload.clock_hz);
        Some(Sink {
            kind: line.kind,
            ssrc: line.ssrc,
            rtx_ssrc: line.rtx_ssrc,
            rtx_seq: 0,
            payloads: send.payloads.clone(),
            nack: send.nack,
            writer: writer(line, send),
            transport_cc: line.kind == MediaKind::Video
                && send.extensions.get(Extension::TransportCc).is_some(),
            epoch: 0,
            source: None,
            route: Route::default(),
            pending: None,
            left: None,
            catching: None,
            layers: LayerChoice::new(),
            from: None,
            continuity: Continuity::new(clock_hz),
            pictures: Vp8Continuity::new(),
            index: SeqUnwrapper::new(),
            sealed: ReplayWindow::default(),
            history: History::default(),
            stats: SenderStats::new(clock_hz),
            told: None,
            ahead: 0,
            counts: SentCounts::default(),
            second: LastSecond::default(),
            quality: OutQuality::default(),
        })
    }

    /// Takes over a renegotiated line; sequence space, history and route go on.
    pub fn renegotiate(&mut self, line: &Line) {
        let Some(send) = line.send.as_ref() else { return };
        if self.ssrc != line.ssrc {
            // A new stream on the wire: its roll-over counter begins at 0 (RFC 3711 §3.3.1).
            self.ssrc = line.ssrc;
            self.index = SeqUnwrapper::new();
            self.sealed = ReplayWindow::default();
            self.history = History::default();
        }
        if self.rtx_ssrc != line.rtx_ssrc {
            self.rtx_ssrc = line.rtx_ssrc;
            self.rtx_seq = 0;
        }
        self.payloads.clone_from(&send.payloads);
        self.nack = send.nack;
        self.writer = writer(line, send);
        self.transport_cc =
            line.kind == MediaKind::Video && send.extensions.get(Extension::TransportCc).is_some();
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// The SRTP index of a sequence number on the media stream (RFC 3711 §3.3.1: the roll-over
    /// counter begins at 0), which counts as sealed from now on. `None` for a number from before
    /// the first packet, and for one that was sealed before or may have been.
    #[inline]
    pub fn unsealed_index(&mut self, seq: Seq) -> Option<u64> {
        let index = self.index.unwrap(seq).0.checked_sub(1 << 16)?;
        if !self.sealed.accept_next(index) {
            self.sealed.check(index).ok()?;
            self.sealed.accept(index);
        }
        Some(index)
    }

    /// The history, allotted with the first packet.
    #[inline]
    pub fn history_mut(&mut self) -> &mut History {
        if self.history.is_empty() {
            self.allot_history();
        }
        &mut self.history
    }

    #[cold]
    fn allot_history(&mut self) {
        let video = self.kind == MediaKind::Video;
        self.history = History::new(if video { VIDEO_HISTORY } else { AUDIO_HISTORY });
    }

    /// The payload type a packet leaves with.
    pub fn payload_type(&self, meta: &Meta) -> u8 {
        self.route.payload_type.unwrap_or(meta.pt)
    }

    /// The rtx payload type that goes with a payload type.
    pub fn rtx_payload_type(&self, pt: u8) -> Option<u8> {
        self.payloads.iter().find(|payload| payload.pt == pt)?.rtx_pt
    }

    /// Gives the sink a source. A change that waits for a keyframe leaves the old one flowing.
    /// Returns the source that has to be left now, if any.
    pub fn set_route(&mut self, key: SourceKey, route: Route) -> Option<SourceKey> {
        if self.source == Some(key) {
            self.change_rules(route);
            return self.pending.take().map(|(waiting, _)| waiting).filter(|&left| left != key);
        }
        if route.switch == SwitchRule::AtKeyframe && self.source.is_some() {
            let left = self.pending.replace((key, route)).map(|(waiting, _)| waiting);
            return left.filter(|&left| left != key);
        }
        self.pending = None;
        self.enter(key, route)
    }

    fn change_rules(&mut self, route: Route) {
        if self.route.enabled && !route.enabled {
            self.continuity.pause();
        }
        self.route = route;
        if self.catching.is_none() {
            return;
        }
        if route.enabled {
            self.route.enabled = false;
        } else {
            self.catching = None;
            self.continuity.pause();
        }
    }

    /// Prepares the wall time that the next report tells, from its source's `clock`; our own is
    /// `ntp` now. One that is far off what leaves here is not believed.
    pub fn note_clock(&mut self, clock: Option<&SenderClock>, ntp: NtpTime, now_us: u64) {
        (self.told, self.ahead) = (None, 0);
        let hz = self.payloads.first().map_or(0, |payload| payload.clock_hz);
        let theirs = self.from.zip(clock).and_then(|(ssrc, clock)| clock.at(ssrc, ntp, hz));
        let Some((theirs, ahead, timestamp)) = theirs else { return };
        let ours = self.stats.sender_info(ntp, now_us);
        if let (Some(timestamp), Some(ours)) = (self.continuity.timestamp_of(timestamp), ours) {
            let apart = timestamp.wrapping_sub(ours.rtp_timestamp).cast_signed().unsigned_abs();
            if apart <= hz.saturating_mul(CLOCK_S) {
                (self.told, self.ahead) = (Some((theirs, timestamp)), ahead);
            }
        }
    }

    fn enter(&mut self, key: SourceKey, route: Route) -> Option<SourceKey> {
        self.begin_anew();
        self.route = route;
        self.source.replace(key)
    }

    /// A keyframe of `key` arrived: if a switch to it waits, it happens now.
    pub fn take_over(&mut self, key: SourceKey) -> bool {
        match self.pending {
            Some((waiting, route)) if waiting == key => {
                self.pending = None;
                self.left = self.enter(key, route);
                true
            }
            _ => false,
        }
    }

    /// Without a source; returns the ones it is listed at.
    pub fn leave(&mut self) -> (Option<SourceKey>, Option<SourceKey>) {
        let pending = self.pending.take().map(|(waiting, _)| waiting);
        self.begin_anew();
        (self.source.take(), pending)
    }

    /// A source is gone.
    pub fn lose(&mut self, key: SourceKey) {
        if self.pending.is_some_and(|(waiting, _)| waiting == key) {
            self.pending = None;
        }
        if self.source == Some(key) {
            self.source = None;
            self.begin_anew();
        }
    }

    /// The next packet comes from elsewhere: all numbers go on from the last ones sent.
    fn begin_anew(&mut self) {
        self.catching = None;
        self.continuity.switch_source();
        self.pictures.switch_source();
        self.layers = self.layers.anew();
    }

    /// Whether a packet of the sink's source goes out, and with which numbers: the route is on,
    /// its layers flow, and it is not too late to have a number. `flow` has just noted it.
    #[inline]
    pub fn choose(&mut self, meta: &Meta, flow: &Flow, now_us: u64) -> Option<Onward> {
        if !self.route.enabled {
            return None;
        }
        if self.kind != MediaKind::Video {
            return self.number(meta, meta.marker, now_us);
        }
        match self.layers.offer(meta, flow, &self.route.layers, now_us) {
            Verdict::Ignore => None,
            Verdict::Skip => {
                if self.from == Some(meta.ssrc) {
                    self.continuity.skip(meta.seq);
                    if let Some(vp8) = &meta.vp8 {
                        self.pictures.skip(vp8);
                    }
                }
                None
            }
            Verdict::Relay { marker } => self.number(meta, marker, now_us),
            Verdict::Switch { ahead } => {
                match ahead {
                    Some(ticks) => self.continuity.switch_layer(ticks),
                    None => self.continuity.switch_source(),
                }
                self.pictures.switch_source();
                self.from = Some(meta.ssrc);
                self.number(meta, meta.marker, now_us)
            }
        }
    }

    #[inline]
    fn number(&mut self, meta: &Meta, marker: bool, now_us: u64) -> Option<Onward> {
        if self.from.replace(meta.ssrc) != Some(meta.ssrc) {
            self.continuity.switch_source();
            self.pictures.switch_source();
        }
        let (seq, timestamp) = self.continuity.forward(meta.seq, meta.timestamp, now_us)?;
        let pictures = match &meta.vp8 {
            None => None,
            Some(vp8) => {
                let ids = match self.pictures.forward(vp8) {
                    Some(ids) => ids,
                    None => self.count_pictures_anew(vp8, seq)?,
                };
                (!vp8.shows(ids)).then_some(ids)
            }
        };
        Some(Onward { seq, timestamp, marker, pictures })
    }

    /// A new packet, `seq`, with an old picture id: the sender counts anew.
    #[cold]
    fn count_pictures_anew(&mut self, vp8: &Vp8Descriptor, seq: Seq) -> Option<Vp8Ids> {
        let newest = self.continuity.last().is_some_and(|(last, _)| last == seq);
        newest.then(|| {
            self.pictures.switch_source();
            self.pictures.forward(vp8)
        })?
    }

    /// The number of the next packet on the rtx stream (RFC 4588 §4: a space of its own).
    pub fn next_rtx_seq(&mut self) -> (Seq, u64) {
        self.rtx_seq = self.rtx_seq.wrapping_add(1);
        (Seq(self.rtx_seq as u16), u64::from(self.rtx_seq))
    }
}

fn writer(line: &Line, send: &media::Send) -> HeaderWriter {
    let mid = Mid::new(line.mid.as_bytes());
    HeaderWriter::new(&send.extensions, mid, line.kind == MediaKind::Video)
}
