//! Sources of a shard: what yields packets here, and who takes them.
//!
//! A source is a line of a peer on this shard, or the local image of one on another shard (then
//! its packets come through the hand-off rings, one copy for all sinks here). Sinks are listed by
//! place, so that routing a packet is one walk over a dense vector.

use super::burst::Burst;
use super::clock::SenderClock;
use super::talk::Talk;
use crate::layers::Flow;
use crate::retransmit::PacketRing;
use bifrons_core::media::{KeyframeBuffer, MediaKind, Mindex, SourceId, SourcePolicy};
use std::collections::HashMap;

/// Place of a sink on this shard: its peer's slot and its line's position in that peer's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkPlace {
    /// The peer's slot.
    pub slot: u32,
    /// The line's index.
    pub mindex: Mindex,
}

/// Place of a source on this shard; `generation` tells successive tenants apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceKey {
    /// Index in the shard's sources.
    pub index: u32,
    /// Counts all sources there ever were.
    pub generation: u32,
}

/// Packets kept for video: 2 s of 250 packets a second.
const VIDEO_SLOTS: usize = 512;
/// Packets kept for audio: 1.2 s at 20 ms.
const AUDIO_SLOTS: usize = 64;

/// See the module.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub id: SourceId,
    /// Its place.
    pub key: SourceKey,
    /// Audio or video; an image learns it from its first packet's size class only, so it is told.
    pub kind: MediaKind,
    /// Sinks on this shard.
    pub sinks: Vec<SinkPlace>,
    /// Places of the forwarders on this shard.
    pub forwarders: Vec<u32>,
    /// Other shards that want one copy of each packet.
    pub exports: Vec<u8>,
    /// Whether they have to be told that the source was muted.
    pub export_resumes: bool,
    /// Standing wishes of the plugin.
    pub policy: SourcePolicy,
    /// Keyframe requests and their limits.
    pub keyframes: Keyframes,
    /// REMB that we send to the source's peer.
    pub remb: RembRamp,
    /// Whether somebody talks.
    pub talk: Talk,
    /// Which of its layers flow.
    pub flow: Flow,
    /// Its sender's wall clock, where that is told to its viewers.
    pub clock: SenderClock,
    /// What is kept for new viewers.
    pub burst: Burst,
    /// Other shards that are to be given what is kept, with the next packet.
    pub replays: Vec<u8>,
    ring: Option<PacketRing>,
}

impl Source {
    /// The ring, allotted at the first packet.
    pub fn ring_mut(&mut self) -> &mut PacketRing {
        let slots = if self.kind == MediaKind::Video { VIDEO_SLOTS } else { AUDIO_SLOTS };
        let buffer = self.burst.buffer();
        self.ring.get_or_insert_with(|| PacketRing::new(Burst::slots(buffer, slots)))
    }

    /// What its image on another shard has to know.
    pub fn standing(&self) -> Standing {
        Standing { clock: self.clock, buffer: self.burst.buffer() }
    }

    /// The ring, if a packet ever came.
    pub fn ring(&self) -> Option<&PacketRing> {
        self.ring.as_ref()
    }
}

/// What the image of a source on another shard has to know of it besides its packets. It crosses
/// with each of them, so that none is ever behind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// Its sender's wall clock.
    pub clock: SenderClock,
    /// What is kept for new viewers.
    pub buffer: KeyframeBuffer,
}

/// Merges and limits keyframe requests: at most one a second, a request inside that second waits
/// for its end (plugin-videoroom §8.5).
#[derive(Clone, Copy, Debug, Default)]
pub struct Keyframes {
    last_us: Option<u64>,
    wanted: bool,
    /// The last request reached nobody.
    unsent: bool,
    /// When a keyframe last arrived (or media began).
    pub seen_us: Option<u64>,
}

/// Shortest time between two keyframe requests to one sender.
const KEYFRAME_GAP_US: u64 = 1_000_000;

impl Keyframes {
    /// Somebody wants a keyframe.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether a request goes out now; it is then taken as sent.
    pub fn take(&mut self, now_us: u64) -> bool {
        let free = self.last_us.is_none_or(|last| now_us >= last + KEYFRAME_GAP_US);
        let take = self.wanted && free;
        if take {
            (self.wanted, self.unsent) = (false, false);
            self.last_us = Some(now_us);
        }
        take
    }

    /// The request just taken could not be sent, and still waits.
    pub fn unsent(&mut self) {
        (self.wanted, self.unsent) = (true, true);
    }

    /// Media begins: whether a request that reached nobody goes out now.
    pub fn begins(&mut self) -> bool {
        let waits = self.wanted && self.unsent;
        if waits {
            self.last_us = None;
        }
        waits
    }

    /// When a waiting request may go.
    pub fn due_us(&self) -> Option<u64> {
        self.wanted.then(|| self.last_us.map_or(0, |last| last + KEYFRAME_GAP_US))
    }

    /// A keyframe arrived: a request that still waits for its turn is answered by it.
    pub fn arrived(&mut self, now_us: u64) {
        self.seen_us = Some(now_us);
        self.wanted = false;
    }
}

/// The REMB a room holds its publishers to: ramped over the first four video packets, then every
/// 5 s (plugin-videoroom §8.4).
#[derive(Clone, Copy, Debug, Default)]
pub struct RembRamp {
    sent: u8,
    last_us: u64,
}

impl RembRamp {
    /// Packets over which the target is ramped.
    const STEPS: u8 = 4;
    /// Time between two REMBs after the ramp.
    const GAP_US: u64 = 5_000_000;

    /// A video packet arrived: the REMB to send now, if any.
    pub fn packet(&mut self, target_bps: u32, now_us: u64) -> Option<u32> {
        if target_bps == 0 {
            return None;
        }
        if self.sent < Self::STEPS {
            self.sent += 1;
            self.last_us = now_us;
            return Some(target_bps / u32::from(Self::STEPS + 1 - self.sent));
        }
        if now_us < self.last_us + Self::GAP_US {
            return None;
        }
        self.last_us = now_us;
        Some(target_bps)
    }
}

/// All sources of a shard.
#[derive(Debug, Default)]
pub struct Sources {
    slab: slab::Slab<Source>,
    by_id: HashMap<SourceId, u32>,
    generation: u32,
}

impl Sources {
    /// The place of a source, if it is here.
    pub fn find(&self, id: SourceId) -> Option<SourceKey> {
        self.by_id.get(&id).map(|&index| self.slab[index as usize].key)
    }

    /// The place of a source, made if it is not here yet.
    pub fn find_or_make(&mut self, id: SourceId, kind: MediaKind) -> SourceKey {
        if let Some(key) = self.find(id) {
            return key;
        }
        self.generation = self.generation.wrapping_add(1);
        let entry = self.slab.vacant_entry();
        let key = SourceKey { index: entry.key() as u32, generation: self.generation };
        entry.insert(Source {
            id,
            key,
            kind,
            sinks: Vec::new(),
            forwarders: Vec::new(),
            exports: Vec::new(),
            export_resumes: false,
            policy: SourcePolicy::default(),
            keyframes: Keyframes::default(),
            remb: RembRamp::default(),
            talk: Talk::default(),
            flow: Flow::default(),
            clock: SenderClock::default(),
            burst: Burst::default(),
            replays: Vec::new(),
            ring: None,
        });
        self.by_id.insert(id, key.index);
        key
    }

    /// The source at a place, unless another one has moved in.
    pub fn get(&self, key: SourceKey) -> Option<&Source> {
        self.slab.get(key.index as usize).filter(|source| source.key == key)
    }

    /// As [`Sources::get`], to change it.
    pub fn get_mut(&mut self, key: SourceKey) -> Option<&mut Source> {
        self.slab.get_mut(key.index as usize).filter(|source| source.key == key)
    }

    /// Takes a source out; its sinks are the caller's to tell.
    pub fn remove(&mut self, key: SourceKey) -> Option<Source> {
        self.get(key)?;
        let source = self.slab.remove(key.index as usize);
        self.by_id.remove(&source.id);
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bifrons_core::media::PeerId;

    fn id(slot: u32) -> SourceId {
        SourceId::Line(PeerId { shard: 0, slot, generation: 0 }.line(0))
    }

    #[test]
    fn a_key_misses_the_next_tenant_of_its_place() {
        let mut sources = Sources::default();
        let first = sources.find_or_make(id(1), MediaKind::Video);
        assert_eq!(sources.find_or_make(id(1), MediaKind::Video), first);
        assert!(sources.remove(first).is_some());
        let second = sources.find_or_make(id(2), MediaKind::Audio);
        assert_eq!(second.index, first.index);
        assert!(sources.get(first).is_none());
        assert!(sources.get_mut(second).is_some());
    }

    #[test]
    fn keyframe_requests_are_merged_to_one_a_second() {
        let mut keyframes = Keyframes::default();
        keyframes.want();
        keyframes.want();
        assert!(keyframes.take(0));
        assert!(!keyframes.take(0));
        keyframes.want();
        assert!(!keyframes.take(999_999));
        assert_eq!(keyframes.due_us(), Some(1_000_000));
        assert!(keyframes.take(1_000_000));
        keyframes.want();
        keyframes.arrived(1_200_000);
        assert!(!keyframes.take(3_000_000), "the keyframe came by itself");
    }

    #[test]
    fn remb_is_ramped_over_four_packets() {
        let mut ramp = RembRamp::default();
        let sent: Vec<_> = (0..5).filter_map(|n| ramp.packet(512_000, n)).collect();
        assert_eq!(sent, [128_000, 170_666, 256_000, 512_000]);
        assert_eq!(ramp.packet(512_000, 5_000_003), Some(512_000));
        assert_eq!(ramp.packet(0, 60_000_000), None);
    }
}
