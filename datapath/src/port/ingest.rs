//! One ingest: what arrives at ports for one source, and by which rules it goes on.

use super::{Numbers, Shift, Skew};
use crate::forward::SourceKey;
use crate::peer::{Layer, MAX_LAYERS, MAX_STREAMS};
use crate::retransmit::Meta;
use bifrons_core::codec::{Codec, h264_has_sps, h264_starts_idr};
use bifrons_core::media::{IngestId, IngestSetup, KeyframeBuffer, MediaKind, PortId};
use bifrons_core::rtp::{Seq, Ssrc};
use bifrons_core::srtp::{MasterKey, OpenKey, RtpIndex, SrtpError};

/// See the module.
#[derive(Debug)]
pub struct Ingest {
    /// Its name.
    pub id: IngestId,
    /// What it yields.
    pub setup: IngestSetup,
    /// Its source.
    pub source: SourceKey,
    /// Its substreams; without simulcast the first is the only one.
    pub layers: [Layer; MAX_LAYERS],
    /// Where its RTCP comes in, and keyframe requests go out.
    pub rtcp: Option<PortId>,
    /// The SSRC to ask by before anything came.
    pub expected: Ssrc,
    /// What its viewers can take.
    pub remb: LowestRemb,
    rules: [Rules; MAX_LAYERS],
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It goes on.
    Plain,
    /// It goes on, behind one with the parameter sets, which gets this number.
    AfterSets(Seq),
    /// It is left out.
    LeftOut,
}

impl Ingest {
    /// An ingest that nothing feeds yet.
    pub fn new(id: IngestId, setup: IngestSetup, source: SourceKey) -> Self {
        let layers = std::array::from_fn(|_| Layer::new(setup.clock_hz));
        let rules = [Rules::default(); MAX_LAYERS];
        let (rtcp, remb) = (None, LowestRemb::default());
        Ingest { id, setup, source, layers, rtcp, expected: Ssrc(0), remb, rules }
    }

    /// What viewers find kept for them.
    pub fn keyframe_buffer(&self) -> KeyframeBuffer {
        let IngestSetup { kind, simulcast, enabled, keyframe_buffer, .. } = self.setup;
        let keeps = kind == MediaKind::Video && !simulcast && enabled;
        if keeps { keyframe_buffer } else { KeyframeBuffer::default() }
    }

    /// Whether a packet of this SSRC comes in between while another one is active.
    #[inline]
    pub fn collides(&self, layer: u8, ssrc: Ssrc, now_us: u64) -> bool {
        let silence_us = u64::from(self.setup.collision_ms) * 1000;
        let track = self.layers.get(usize::from(layer));
        silence_us > 0
            && track.is_some_and(|track| {
                track.ssrc.is_some_and(|have| have != ssrc) && now_us < track.last_us + silence_us
            })
    }

    /// Applies the rules to a packet that was taken: may change its number and timestamp. Returns
    /// by how much timestamps moved with it, too.
    #[inline]
    pub fn pass(&mut self, meta: &mut Meta, payload: &[u8], now_us: u64) -> (Passage, u32) {
        let sets = self.setup.parameter_sets.is_some() && self.setup.codec == Some(Codec::H264);
        if !self.setup.skew && !sets {
            return (Passage::Plain, 0);
        }
        match self.rules.get_mut(usize::from(meta.layer)) {
            Some(rules) => rules.pass(&self.setup, sets, meta, payload, now_us),
            None => (Passage::Plain, 0),
        }
    }

    /// A timestamp of the sender as it goes on now.
    pub fn shifted(&self, layer: usize, timestamp: u32) -> u32 {
        let skew = self.rules.get(layer).and_then(|rules| rules.skew.as_ref());
        timestamp.wrapping_add(skew.map_or(0, Skew::offset))
    }
}

/// What the rules remember of one substream.
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    ssrc: Option<Ssrc>,
    numbers: Numbers,
    skew: Option<Skew>,
    /// The timestamp of the last picture that came with parameter sets, its sender's or ours.
    sets_at: Option<u32>,
}

impl Rules {
    fn pass(
        &mut self,
        setup: &IngestSetup,
        sets: bool,
        meta: &mut Meta,
        payload: &[u8],
        now_us: u64,
    ) -> (Passage, u32) {
        if self.ssrc != Some(meta.ssrc) {
            *self = Rules { ssrc: Some(meta.ssrc), ..Rules::default() };
        }
        let (seq, timestamp) = (meta.seq, meta.timestamp);
        let newest = self.numbers.is_newest(seq);
        let mut moved = 0;
        if setup.skew {
            let video = setup.kind == MediaKind::Video;
            let skew = self.skew.get_or_insert_with(|| Skew::new(setup.clock_hz, video));
            let before = skew.offset();
            let shift = skew.packet(seq, timestamp, newest, now_us);
            meta.timestamp = timestamp.wrapping_add(skew.offset());
            moved = skew.offset().wrapping_sub(before);
            match shift {
                Shift::Keep => {}
                Shift::Drop => {
                    self.numbers.leave_out(seq);
                    return (Passage::LeftOut, moved);
                }
                Shift::Jump(count) => drop(self.numbers.insert(seq, count)),
            }
        }
        let mut passage = Passage::Plain;
        if sets && self.lacks_sets(payload, timestamp) && newest {
            passage = Passage::AfterSets(self.numbers.insert(seq, 1));
        }
        match self.numbers.number(seq) {
            Some(seq) => meta.seq = seq,
            None => passage = Passage::LeftOut,
        }
        (passage, moved)
    }

    /// Whether an IDR picture begins here, and no parameter sets came with it.
    fn lacks_sets(&mut self, payload: &[u8], timestamp: u32) -> bool {
        let (has, begins) = (h264_has_sps(payload), h264_starts_idr(payload));
        if !has && !begins {
            return false;
        }
        let known = self.sets_at.replace(timestamp) == Some(timestamp);
        !has && !known
    }
}

/// The lowest bandwidth estimate of a source's viewers since the last one was told to its sender,
/// and when that was (plugin-streaming §6.2).
#[derive(Clone, Copy, Debug, Default)]
pub struct LowestRemb {
    lowest_bps: Option<u64>,
    told_us: Option<u64>,
}

impl LowestRemb {
    /// Shortest time between two REMBs to one sender.
    const GAP_US: u64 = 1_000_000;

    /// A viewer's estimate.
    pub fn note(&mut self, bps: u64) {
        self.lowest_bps = Some(self.lowest_bps.map_or(bps, |lowest| lowest.min(bps)));
    }

    /// Whether something may be told now.
    #[inline]
    pub fn is_due(&self, now_us: u64) -> bool {
        self.lowest_bps.is_some() && self.told_us.is_none_or(|told| now_us >= told + Self::GAP_US)
    }

    /// What to tell now, if anything; it is then taken as told.
    pub fn take(&mut self, now_us: u64) -> Option<u64> {
        if !self.is_due(now_us) {
            return None;
        }
        self.told_us = Some(now_us);
        self.lowest_bps.take()
    }
}

/// Opens the SRTP of one port: a roll-over counter and a replay window for each SSRC that was found
/// genuine, at most [`MAX_STREAMS`].
#[derive(Debug)]
pub struct Opener {
    key: OpenKey,
    rtp: Vec<(Ssrc, RtpIndex)>,
}

impl Opener {
    /// For what is sealed with this key.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`], which a checked [`MasterKey`] never gives.
    pub fn new(key: &MasterKey) -> Result<Self, SrtpError> {
        Ok(Opener { key: OpenKey::new(key)?, rtp: Vec::new() })
    }

    /// Opens an RTP packet in place; returns the plain packet's length.
    ///
    /// # Errors
    /// Every reason not to take the packet.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let word = packet.get(8..12).and_then(|word| word.first_chunk::<4>());
        let ssrc = Ssrc(u32::from_be_bytes(*word.ok_or(SrtpError::TooShort)?));
        match self.rtp.binary_search_by_key(&ssrc, |&(ssrc, _)| ssrc) {
            Ok(at) => Ok(self.key.open_rtp(packet, &mut self.rtp[at].1)?.len),
            Err(at) => {
                let mut state = RtpIndex::default();
                let opened = self.key.open_rtp(packet, &mut state)?;
                if self.rtp.len() < MAX_STREAMS {
                    self.rtp.insert(at, (ssrc, state));
                }
                Ok(opened.len)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bifrons_core::codec::ParameterSets;

    fn ingest(setup: IngestSetup) -> Ingest {
        let id = IngestId { shard: 0, number: 1 };
        Ingest::new(id, setup, SourceKey { index: 0, generation: 1 })
    }

    fn meta(ssrc: u32, seq: u16, timestamp: u32) -> Meta {
        Meta { ssrc: Ssrc(ssrc), seq: Seq(seq), timestamp, len: 100, ..Meta::default() }
    }

    #[test]
    fn another_ssrc_waits_until_the_first_was_silent_for_long_enough() {
        let setup = IngestSetup::new(MediaKind::Audio, Some(Codec::Opus), 48_000);
        let mut ingest = ingest(IngestSetup { collision_ms: 1000, ..setup });
        assert!(!ingest.collides(0, Ssrc(1), 0), "the first");
        ingest.layers[0].take(&meta(1, 1, 0), false, false, 500_000);
        assert!(!ingest.collides(0, Ssrc(1), 500_001));
        assert!(ingest.collides(0, Ssrc(2), 1_499_999));
        assert!(!ingest.collides(1, Ssrc(2), 1_499_999), "another substream");
        assert!(!ingest.collides(0, Ssrc(2), 1_500_000));
        ingest.setup.collision_ms = 0;
        assert!(!ingest.collides(0, Ssrc(2), 500_001), "no rule");
    }

    #[test]
    fn parameter_sets_come_once_a_picture_that_lacks_them() {
        let sets = ParameterSets::new(&[0x67, 1], &[0x68, 2]);
        let setup = IngestSetup::new(MediaKind::Video, Some(Codec::H264), 90_000);
        let mut ingest = ingest(IngestSetup { parameter_sets: sets, ..setup });
        let mut pass = |seq, timestamp, payload: &[u8]| {
            let mut meta = meta(1, seq, timestamp);
            let (passage, moved) = ingest.pass(&mut meta, payload, 0);
            assert_eq!((moved, meta.timestamp), (0, timestamp));
            (passage, meta.seq.0)
        };
        assert_eq!(pass(10, 0, &[0x61, 0]), (Passage::Plain, 10));
        assert_eq!(pass(11, 3000, &[0x65, 0]), (Passage::AfterSets(Seq(11)), 12));
        assert_eq!(pass(12, 3000, &[0x65, 0]), (Passage::Plain, 13), "a second slice");
        assert_eq!(pass(13, 6000, &[0x67, 9]), (Passage::Plain, 14), "it has its own");
        assert_eq!(pass(14, 6000, &[0x7C, 0x85, 0]), (Passage::Plain, 15));
        assert_eq!(pass(15, 9000, &[0x7C, 0x85, 0]), (Passage::AfterSets(Seq(16)), 17), "FU-A");
        assert_eq!(pass(16, 9000, &[0x7C, 0x05, 0]), (Passage::Plain, 18));
    }

    #[test]
    fn a_clock_that_runs_fast_loses_packets_and_leaves_no_gap() {
        let setup = IngestSetup::new(MediaKind::Audio, Some(Codec::Opus), 48_000);
        let mut ingest = ingest(IngestSetup { skew: true, ..setup });
        let (mut left_out, mut moved_by, mut before) = (0, 0u32, None);
        // A packet each 19.9 ms that says 20.
        for n in 0..6000u32 {
            let mut meta = meta(1, n as u16, n * 960);
            let (passage, moved) = ingest.pass(&mut meta, &[], u64::from(n) * 19_900);
            moved_by = moved_by.wrapping_add(moved);
            assert_eq!(ingest.shifted(0, 7), moved_by.wrapping_add(7));
            if passage == Passage::LeftOut {
                left_out += 1;
                continue;
            }
            let now = (meta.seq, meta.timestamp);
            let follows = |(seq, timestamp): (Seq, u32)| (seq.next(), timestamp + 960);
            assert_eq!(Some(now), before.map(follows).or(Some(now)), "at {n}");
            before = Some(now);
        }
        assert!((18..=30).contains(&left_out), "600 ms are 30 packets: {left_out}");
        assert_eq!(moved_by, 0u32.wrapping_sub(left_out * 960));
        let mut other = meta(2, 9, 5);
        assert_eq!(ingest.pass(&mut other, &[], 0), (Passage::Plain, 0));
        assert_eq!((other.seq, other.timestamp), (Seq(9), 5), "another SSRC has its own clock");
    }

    #[test]
    fn the_lowest_estimate_is_told_once_a_second() {
        let mut remb = LowestRemb::default();
        assert_eq!(remb.take(0), None);
        for bps in [700_000, 300_000, 500_000] {
            remb.note(bps);
        }
        assert_eq!(remb.take(0), Some(300_000));
        remb.note(900_000);
        assert_eq!(remb.take(999_999), None);
        assert_eq!(remb.take(1_000_000), Some(900_000), "what came since");
        assert_eq!(remb.take(2_000_000), None);
    }
}
