//! New viewers are given what is kept of a video since its last keyframe, at a pace that neither
//! their queue nor their path overflows at (plugin-streaming §6.3, `crate::forward::Burst`).
//!
//! While it is being given a burst a sink's route counts as off, so that a packet's way does not
//! know of it; the timer of the peer hands out the next packets. It ends where the burst ends, or
//! where it has come up with the source.

use super::Shard;
use crate::departure::Departing;
use crate::forward::{CatchUp, Sink, SourceKey, Sources};
use crate::handoff::{Feedback, PACKETS, Parcel};
use crate::retransmit::SLOT_BYTES;
use bifrons_core::media::{Fact, KeyframeBuffer, MediaKind, Selection, ShardEvent, SourceId};

/// Packets of a burst that another shard is given at once: three quarters of the ring to it.
const REPLAYED: usize = PACKETS / 4 * 3;

impl Shard {
    /// What of a source of this shard is kept for new viewers from now on.
    pub(super) fn keep_bursts(&mut self, key: SourceKey, buffer: KeyframeBuffer) {
        let Some(source) = self.sources.get_mut(key) else { return };
        let ends = source.burst.buffer().is_on() && !buffer.is_on();
        source.burst.configure(buffer);
        if ends {
            for &shard in &source.exports {
                self.feedback.push((shard, Feedback::Forget(source.id)));
            }
        }
    }

    /// What is kept of a source elsewhere belongs to the past.
    pub(super) fn forget_burst(&mut self, id: SourceId) {
        let key = self.sources.find(id);
        if let Some(source) = key.and_then(|key| self.sources.get_mut(key)) {
            source.burst.forget();
        }
    }

    /// Gives shards that are new to a source what is kept of it, before the packet that was stored
    /// last.
    pub(super) fn replay(&mut self, key: SourceKey) {
        let Some(source) = self.sources.get_mut(key) else { return };
        let shards = std::mem::take(&mut source.replays);
        let (id, standing) = (source.id, source.standing());
        let Some(ring) = source.ring() else { return };
        let range = source.burst.range(ring.head());
        let end = range.end.min(ring.head().saturating_sub(1));
        for shard in shards {
            for index in (range.start..end).take(REPLAYED) {
                let Some((&meta, stored)) = ring.get(index) else { break };
                let mut bytes = [0; SLOT_BYTES];
                bytes[..stored.len()].copy_from_slice(stored);
                let parcel = Parcel { source: id, meta, resumes: false, standing, bytes };
                self.parcels.push((shard, Box::new(parcel)));
            }
        }
    }

    /// Begins to give a peer that is up what is kept for its lines that were never sent anything.
    pub(super) fn begin_bursts(&mut self, slot: u32) {
        let Some(peer) = self.peers.at_mut(slot).filter(|peer| peer.keys.is_some()) else { return };
        let mut begun = false;
        for sink in peer.lines.iter_mut().filter_map(|line| line.sink.as_mut()) {
            begun |= begin(sink, &self.sources);
        }
        if begun {
            self.catch_up(slot);
        }
    }

    /// Hands out the next packets to the sinks of a peer that are being given a burst.
    pub(super) fn catch_up(&mut self, slot: u32) {
        let mut index = 0;
        let mut waits = false;
        while let Some(line) = self.peers.at(slot).and_then(|peer| peer.lines.get(index)) {
            index += 1;
            if line.sink.as_ref().is_some_and(|sink| sink.catching.is_some()) {
                waits |= self.catch_up_line(slot, index - 1);
            }
        }
        if waits {
            let (_, pause_ms) = KeyframeBuffer::PACE;
            self.timers.arm(slot, self.now.us + pause_ms * 1000);
        }
    }

    /// One line's share. Whether there is more.
    fn catch_up_line(&mut self, slot: u32, index: usize) -> bool {
        let now_us = self.now.us;
        let Some(peer) = self.peers.at_mut(slot) else { return false };
        let Some(line) = peer.lines.get_mut(index) else { return false };
        let mindex = line.mindex;
        let Some(sink) = line.sink.as_mut() else { return false };
        let Some(CatchUp { source: key, mut next }) = sink.catching.take() else { return false };
        sink.route.enabled = true;
        let Some(source) = self.sources.get(key).filter(|source| !source.policy.muted) else {
            return false;
        };
        let Some(ring) = source.ring() else { return false };
        let (range, flow) = (source.burst.range(ring.head()), source.flow.in_order());
        if next < range.start {
            // Another keyframe came: what led up to it is of no use any more.
            sink.continuity.pause();
            next = range.start;
        }
        for _ in 0..KeyframeBuffer::PACE.0 {
            let Some((meta, _)) = ring.get(next).filter(|_| next < range.end) else { return false };
            let Some(sink) = peer.lines.get_mut(index).and_then(|line| line.sink.as_mut()) else {
                return false;
            };
            let chosen = sink.choose(meta, &flow, now_us);
            for (kind, layer) in sink.layers.take_changes().into_iter().flatten() {
                let fact = Fact::Layer { mindex, kind, layer };
                self.events.push_back(ShardEvent::Fact { peer: peer.id, fact });
            }
            let packet = next;
            next += 1;
            let Some(onward) = chosen else { continue };
            let len = meta.payload().len() as u16;
            let departing = Departing::First { mindex, source: key, packet, len, onward };
            if peer.waiting.push(MediaKind::Video, departing) {
                self.gate.offer(slot, true, now_us);
            } else {
                self.counters.shed += 1;
            }
        }
        let sink = peer.lines.get_mut(index).and_then(|line| line.sink.as_mut());
        let Some(sink) = sink.filter(|_| next < range.end) else { return false };
        sink.route.enabled = false;
        sink.catching = Some(CatchUp { source: key, next });
        true
    }
}

/// Whether a sink has something kept for it, and is given it from now on.
fn begin(sink: &mut Sink, sources: &Sources) -> bool {
    let fresh = sink.kind == MediaKind::Video
        && sink.route.enabled
        && sink.route.layers.selection != Selection::Simulcast
        && sink.continuity.last().is_none();
    let Some(key) = sink.source.filter(|_| fresh) else { return false };
    let Some(source) = sources.get(key) else { return false };
    let Some(ring) = source.ring() else { return false };
    let range = source.burst.range(ring.head());
    if range.is_empty() || ring.get(range.start).is_none() || source.policy.muted {
        return false;
    }
    sink.catching = Some(CatchUp { source: key, next: range.start });
    sink.route.enabled = false;
    true
}
