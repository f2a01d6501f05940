//! Forwarders: plans about them, and their packets' departure (`crate::port`).

use super::Shard;
use crate::departure::{TRAIN_BYTES, Train};
use crate::engine::Engine;
use crate::forward::{SourceKey, Sources};
use crate::port::{Forwarder, MAX_FORWARDERS, Seals, Waiting};
use bifrons_core::media::{ForwarderId, ForwarderSetup, PortId, Route, SourceId};
use std::io;

/// What is sent to the RTCP address of a forwarder's far side, so that it knows ours: the header of
/// an RTP packet, all zero but the version (plugin-videoroom §9.1).
const HELLO: [u8; 12] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

impl Shard {
    pub(super) fn set_forwarder(&mut self, id: ForwarderId, setup: &ForwarderSetup) {
        self.end_forwarder(id);
        if self.forwarders.len() >= MAX_FORWARDERS {
            self.counters.shed += 1;
            return;
        }
        let seal = match &setup.key {
            None => None,
            Some(key) => match self.seals.enter(key) {
                Some(place) => Some(place),
                None => {
                    self.counters.shed += 1;
                    return;
                }
            },
        };
        let shared = PortId { shard: self.config.id, number: u32::from(setup.to.is_ipv6()) };
        let Some(forwarder) = Forwarder::new(id, setup, shared, seal) else { return };
        let place = self.forwarders.insert(forwarder) as u32;
        self.forwarder_places.insert(id, place);
        if let Some(port) = setup.rtcp.and_then(|port| self.ports.get_mut(port)) {
            port.forwarders.push(place);
        }
    }

    pub(super) fn end_forwarder(&mut self, id: ForwarderId) {
        self.starve_forwarder(id);
        let Some(place) = self.forwarder_places.remove(&id) else { return };
        let forwarder = self.forwarders.remove(place as usize);
        if let Some(port) = forwarder.setup.rtcp.and_then(|port| self.ports.get_mut(port)) {
            port.forwarders.retain(|&have| have != place);
        }
        self.forwarding.retain(|&have| have != place);
        if let Some(seal) = forwarder.seal {
            self.seals.leave(seal);
        }
    }

    pub(super) fn feed_forwarder(&mut self, source: SourceId, id: ForwarderId, route: Route) {
        let Some(place) = self.forwarder_place(id) else { return };
        let Some(kind) = self.forwarders.get(place as usize).map(|f| f.setup.kind) else { return };
        let Some(key) = self.source_for(source, kind) else { return };
        let Some(forwarder) = self.forwarders.get_mut(place as usize) else { return };
        let left = forwarder.feed(key, route).filter(|&left| left != key);
        if let Some(left) = left {
            self.unlist_forwarder(left, place);
        }
        if let Some(source) = self.sources.get_mut(key)
            && !source.forwarders.contains(&place)
        {
            source.forwarders.push(place);
        }
    }

    /// Takes a forwarder off its source.
    pub(super) fn starve_forwarder(&mut self, id: ForwarderId) {
        let Some(place) = self.forwarder_place(id) else { return };
        let Some(forwarder) = self.forwarders.get_mut(place as usize) else { return };
        forwarder.queue.clear();
        if let (Some(key), _) = forwarder.sink.leave() {
            self.unlist_forwarder(key, place);
        }
    }

    /// Strikes a forwarder from a source's list. The SSRCs it sealed are free for the next source,
    /// unless another forwarder of the same key sends them too.
    fn unlist_forwarder(&mut self, key: SourceKey, place: u32) {
        let Some(source) = self.sources.get_mut(key) else { return };
        source.forwarders.retain(|&have| have != place);
        let me = self.forwarders.get(place as usize);
        if let Some((me, seal)) = me.and_then(|me| Some((me, me.seal?))) {
            let forwarders = &self.forwarders;
            let flow = &source.flow;
            let others = || source.forwarders.iter().filter_map(|&at| forwarders.get(at as usize));
            self.seals.vacate(seal, |ssrc, tenant| {
                let mine = tenant.source == key && me.sends(ssrc, flow);
                mine && !others().any(|other| other.seal == Some(seal) && other.sends(ssrc, flow))
            });
        }
        let idle = source.sinks.is_empty() && source.forwarders.is_empty();
        if idle && source.id.shard() != self.config.id {
            self.sources.remove(key);
        }
    }

    /// A source is gone: its forwarders are without one.
    pub(super) fn orphan_forwarders(&mut self, key: SourceKey, places: &[u32]) {
        for &place in places {
            if let Some(forwarder) = self.forwarders.get_mut(place as usize) {
                forwarder.sink.lose(key);
                forwarder.queue.clear();
                if let Some(seal) = forwarder.seal {
                    self.seals.vacate(seal, |_, tenant| tenant.source == key);
                }
            }
        }
    }

    /// Sends what waits for the forwarders, and greetings that are due.
    pub(super) fn depart_forwarded(&mut self, engine: &mut dyn Engine) -> io::Result<()> {
        for (port, to) in self.greetings.drain(..) {
            if let Some(socket) = self.ports.get(port).and_then(|port| port.socket) {
                self.outbox.push(socket, to, &HELLO);
            }
        }
        let mut forwarding = std::mem::take(&mut self.forwarding);
        for &place in &forwarding {
            self.depart_one(place, engine)?;
        }
        forwarding.clear();
        self.forwarding = forwarding;
        Ok(())
    }

    fn depart_one(&mut self, place: u32, engine: &mut dyn Engine) -> io::Result<()> {
        let Shard { forwarders, ports, sources, seals, counters, .. } = self;
        let Some(forwarder) = forwarders.get_mut(place as usize) else { return Ok(()) };
        let mut queue = std::mem::take(&mut forwarder.queue);
        let socket = ports.get(forwarder.from).and_then(|port| port.socket);
        let mut rest = queue.as_slice();
        while let (Some(socket), false) = (socket, rest.is_empty()) {
            let room = engine.room(TRAIN_BYTES)?;
            let mut train = Train::default();
            let taken = fill(room, &mut train, forwarder, place, sources, seals, rest);
            if train.len > 0 {
                counters.forwarded += train.segments as u64;
                engine.send(socket, forwarder.setup.to, train.len, train.segment);
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
        counters.shed += rest.len() as u64;
        queue.clear();
        forwarder.queue = queue;
        Ok(())
    }
}

/// Fills one train from the front of `waiting`; returns how many it used up, at least one.
fn fill(
    room: &mut [u8],
    train: &mut Train,
    forwarder: &Forwarder,
    place: u32,
    sources: &Sources,
    seals: &mut Seals,
    waiting: &[Waiting],
) -> usize {
    for (used, waiting) in waiting.iter().enumerate() {
        let ring = sources.get(waiting.source).and_then(|source| source.ring());
        let Some((meta, bytes)) = ring.and_then(|ring| ring.get(waiting.packet)) else { continue };
        let size = bytes.len() + forwarder.seal.map_or(0, |seal| seals.overhead(seal));
        if !train.takes(size) {
            return used.max(1);
        }
        let Some(out) = room.get_mut(train.len..) else { return used.max(1) };
        let Some(plain) = out.get_mut(..bytes.len()) else { return used.max(1) };
        plain.copy_from_slice(bytes);
        let Some(head) = plain.first_chunk_mut::<12>() else { continue };
        let onward = &waiting.onward;
        let pt = forwarder.sink.payload_type(meta) & 0x7F;
        head[1] = pt | u8::from(onward.marker) << 7;
        head[2..4].copy_from_slice(&onward.seq.0.to_be_bytes());
        head[4..8].copy_from_slice(&onward.timestamp.to_be_bytes());
        head[8..12].copy_from_slice(&forwarder.ssrc(meta).0.to_be_bytes());
        if let (Some((descriptor, ids)), Some(payload)) =
            (meta.vp8.zip(onward.pictures), plain.get_mut(meta.payload()))
        {
            descriptor.rewrite(payload, ids);
        }
        let lens = (meta.payload().start, bytes.len());
        let sealed = match forwarder.seal {
            None => Some(bytes.len()),
            Some(seal) => {
                let tenant = forwarder.tenant(waiting.source, meta, place);
                seals.seal(seal, tenant, waiting.packet, out, lens)
            }
        };
        if let Some(size) = sealed {
            train.add(size);
        }
    }
    waiting.len()
}
