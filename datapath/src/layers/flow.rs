//! Which layers of a source flow: noted once for each packet, read by all its sinks.

use crate::peer::MAX_LAYERS;
use crate::retransmit::Meta;
use bifrons_core::rtp::{Seq, Ssrc};

/// Sequence numbers a packet may be behind the newest and count as late; one further back is the
/// first of a stream that counts anew.
const LATE: i16 = 1000;
/// Spatial layers noted; higher ones cannot be asked for.
const SPATIAL: usize = 4;
/// A spatial layer flows if it was seen within so long, in microseconds (plugin-videoroom §8.3).
const SPATIAL_US: u64 = 250_000;
/// Frames of a lower substream that have to pass before a silent one counts as such: one alone may
/// just be ahead of its sisters, which carry the same picture.
const MISSED_FRAMES: u8 = 2;

/// One substream.
#[derive(Clone, Copy, Debug, Default)]
struct Track {
    ssrc: Option<Ssrc>,
    newest: Seq,
    timestamp: u32,
    /// When its last packet came; `None` = never.
    seen_us: Option<u64>,
    /// Frames of a lower substream since: how many, and of which.
    missed: u8,
    missed_of: u8,
    /// What its timestamps lack to the clock that all substreams share.
    common: Option<u32>,
}

impl Track {
    /// A frame of a lower substream begins. Those of one substream are counted, the lowest that
    /// flows: its sisters show the same pictures.
    fn miss(&mut self, layer: u8) {
        if self.missed == 0 || layer < self.missed_of {
            (self.missed, self.missed_of) = (1, layer);
        } else if layer == self.missed_of {
            self.missed = self.missed.saturating_add(1);
        }
    }
}

/// See the module. State of a source: about 150 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    tracks: [Track; MAX_LAYERS],
    spatial_us: [Option<u64>; SPATIAL],
    late: bool,
}

impl Flow {
    /// Notes a packet. `now_us` is this shard's time: the packet may have come from another shard,
    /// whose clock began elsewhere.
    pub fn arrived(&mut self, meta: &Meta, now_us: u64) {
        let layer = usize::from(meta.layer);
        let Some(track) = self.tracks.get_mut(layer) else { return };
        let step = meta.seq.distance(track.newest);
        self.late = track.ssrc == Some(meta.ssrc) && (-LATE..=0).contains(&step);
        track.seen_us = Some(now_us);
        track.missed = 0;
        if track.ssrc != Some(meta.ssrc) {
            track.common = None;
        } else if meta.common_clock.is_some() {
            track.common = meta.common_clock;
        }
        if let Some(seen) = self.spatial_us.get_mut(usize::from(meta.frame.spatial)) {
            *seen = Some(now_us);
        }
        if self.late {
            return;
        }
        let begins = track.ssrc != Some(meta.ssrc) || track.timestamp != meta.timestamp;
        (track.ssrc, track.newest, track.timestamp) = (Some(meta.ssrc), meta.seq, meta.timestamp);
        if begins {
            for higher in self.tracks.iter_mut().skip(layer + 1) {
                higher.miss(meta.layer);
            }
        }
    }

    /// Whether a substream has this SSRC.
    #[must_use]
    pub fn has(&self, ssrc: Ssrc) -> bool {
        self.tracks.iter().any(|track| track.ssrc == Some(ssrc))
    }

    /// Whether the packet just noted came behind others of its substream.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        self.late
    }

    /// What flows, for packets that are looked at again, in order.
    #[must_use]
    pub const fn in_order(self) -> Self {
        Flow { late: false, ..self }
    }

    /// Whether nothing of a substream came for longer than `for_us` while lower ones went on.
    #[must_use]
    pub fn is_silent(&self, substream: u8, now_us: u64, for_us: u64) -> bool {
        let track = self.tracks.get(usize::from(substream));
        let Some((seen_us, missed)) = track.and_then(|t| t.seen_us.map(|at| (at, t.missed))) else {
            return true;
        };
        now_us > seen_us + for_us && missed >= MISSED_FRAMES
    }

    /// By how many ticks the timestamps of substream `to` are ahead of those of `from`, where
    /// sender reports told.
    #[must_use]
    pub fn ahead(&self, from: u8, to: u8) -> Option<u32> {
        let common = |layer: u8| self.tracks.get(usize::from(layer))?.common;
        Some(common(from)?.wrapping_sub(common(to)?))
    }

    /// The highest spatial layer up to `limit` that was seen lately; 0 if none.
    #[must_use]
    pub fn highest_spatial(&self, limit: u8, now_us: u64) -> u8 {
        let flows = |seen: &Option<u64>| seen.is_some_and(|at| now_us <= at + SPATIAL_US);
        let seen = self.spatial_us.iter().take(usize::from(limit) + 1);
        seen.enumerate()
            .filter(|(_, at)| flows(at))
            .map(|(layer, _)| layer as u8)
            .max()
            .unwrap_or(0)
    }
}
