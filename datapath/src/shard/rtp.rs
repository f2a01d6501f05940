//! A media packet's way in: open, know, keep, route (design §3.3-3.5).

use super::Shard;
use crate::departure::Departing;
use crate::forward::{SourceKey, TalkChange};
use crate::handoff::Parcel;
use crate::layers::Reading;
use crate::peer::{Layer, Peer, PeerLine, ReceiveLine, StreamRole, Streams};
use crate::port::Waiting;
use crate::retransmit::{Meta, PacketRing, SLOT_BYTES};
use crate::tap::{Direction, TappedKind};
use bifrons_core::codec::Codec;
use bifrons_core::media::{Fact, MediaKind, ShardEvent, SourceId};
use bifrons_core::rtp::{
    Extension, ExtensionValues, MAX_PACKET, Packet, PayloadType, PlayoutDelay, parse_extensions,
    rtx,
};

impl Shard {
    #[inline]
    pub(super) fn receive_rtp(&mut self, slot: u32, bytes: &mut [u8]) {
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let Some(keys) = peer.keys.as_mut() else {
            peer.unopened += 1;
            return;
        };
        if bytes.len() > MAX_PACKET {
            peer.unopened += 1;
            return;
        }
        let Ok(len) = keys.open_rtp(bytes) else {
            peer.unopened += 1;
            return;
        };
        self.tap.note(&mut peer.tapping, self.now, Direction::In, TappedKind::Rtp, &bytes[..len]);
        self.accept_rtp(slot, &mut bytes[..len]);
    }

    /// Takes an opened packet of a peer.
    fn accept_rtp(&mut self, slot: u32, bytes: &mut [u8]) {
        let now = self.now;
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let Ok(packet) = Packet::parse(bytes) else { return };
        let Some(role) = role_of(peer, &packet) else {
            self.counters.unmatched += 1;
            return;
        };
        let Some(line) = peer.lines.iter_mut().find(|line| line.mindex == role.mindex) else {
            return;
        };
        let Some(receive) = line.receive.as_mut() else { return };
        let extensions = parse_extensions(&packet, &receive.ids);
        if let (Some(number), true) = (extensions.transport_seq, receive.transport_cc) {
            peer.reports.arrived(number, now.us, self.config.twcc_period.as_micros() as u64);
        }
        let packet = match role.rtx {
            false => packet,
            true => match restore(bytes, receive, role.layer) {
                // The header's extensions stay where they were.
                Some(packet) => packet,
                None => return,
            },
        };
        let payload = receive.payload(packet.payload_type().get());
        let codec = payload.and_then(|(payload, _)| payload.codec);
        let layer = &mut receive.layers[usize::from(role.layer)];
        let place = (role.layer, line.kind);
        let meta = describe(&packet, extensions, codec, layer, place, now.us);
        let bytes = packet.bytes();
        if !layer.take(&meta, role.rtx, receive.nack, now.us) {
            return;
        }
        let (source, substream) = (receive.source, receive.simulcast.then_some(role.layer));
        let begins = !std::mem::replace(&mut layer.receiving, true);
        let id = peer.id;
        if begins {
            let mindex = role.mindex;
            let fact = Fact::Receiving { mindex, substream, receiving: true };
            self.tell(ShardEvent::Fact { peer: id, fact });
        }
        if begins && self.sources.get_mut(source).is_some_and(|s| s.keyframes.begins()) {
            self.timers.arm(slot, now.us);
        }
        self.keep_and_route(source, bytes, meta);
        self.arm_reports(slot, role);
    }

    fn tell_talking(&mut self, key: SourceKey, change: TalkChange) {
        let Some(id) = self.sources.get(key).map(|source| source.id) else { return };
        if id.shard() != self.config.id {
            return;
        }
        let TalkChange { talking, average_dbov } = change;
        let fact = |mindex| Fact::Talking { mindex, talking, average_dbov };
        self.tell(match id {
            SourceId::Line(line) => ShardEvent::Fact { peer: line.peer, fact: fact(line.mindex) },
            SourceId::Ingest(ingest) => ShardEvent::IngestFact { ingest, fact: fact(0) },
        });
    }

    /// Arms what an arrived packet may have made due: feedback, and questions for lost ones.
    fn arm_reports(&mut self, slot: u32, role: StreamRole) {
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let nack_us = peer
            .line(role.mindex)
            .and_then(|line| line.receive.as_ref())
            .and_then(|receive| receive.layers.get(usize::from(role.layer)))
            .and_then(|layer| layer.nacks.as_ref()?.deadline_us());
        if let Some(at_us) = nack_us {
            let due = peer.reports.nack_due_us.get_or_insert(at_us);
            *due = at_us.min(*due);
        }
        if let Some(due_us) = peer.reports.due() {
            self.timers.arm(slot, due_us);
        }
    }

    /// Stores a packet in its source's ring and sends a reference to each sink, a copy to each
    /// other shard.
    pub(super) fn keep_and_route(&mut self, key: SourceKey, bytes: &[u8], meta: Meta) {
        let now = self.now;
        let Some(source) = self.sources.get_mut(key) else { return };
        let Some(packet) = source.ring_mut().push(bytes, meta) else { return };
        source.flow.arrived(&meta, now.us);
        if source.burst.buffer().is_on() {
            let slots = source.ring().map_or(0, PacketRing::slots);
            source.burst.stored(&meta, packet, slots, now.us);
        }
        if meta.keyframe {
            source.keyframes.arrived(now.us);
        }
        let remb = match source.kind {
            MediaKind::Video => source.remb.packet(source.policy.remb_bps, now.us),
            _ => None,
        };
        let level = meta.extensions.audio_level.filter(|_| !source.policy.muted);
        let talking = level.and_then(|level| source.talk.level(level.level));
        let replays = !source.replays.is_empty();
        if let Some(bps) = remb {
            self.send_remb(key, bps);
        }
        if let Some(change) = talking {
            self.tell_talking(key, change);
        }
        if replays {
            self.replay(key);
        }
        self.export_packet(key, bytes, meta);
        let Some(source) = self.sources.get(key) else { return };
        let muted = source.policy.muted;
        let (mut switched, mut wanted) = (false, false);
        let name = source.id;
        for place in &source.sinks {
            let Some(peer) = self.peers.at_mut(place.slot) else { continue };
            let id = peer.id;
            // Before it is up a peer gets nothing (webrtc-behaviour §8).
            let ready = peer.keys.is_some();
            let Some(sink) = peer.line_mut(place.mindex).and_then(|line| line.sink.as_mut()) else {
                continue;
            };
            if sink.source != Some(key) {
                if !(meta.keyframe && !source.flow.is_late() && sink.take_over(key)) {
                    continue;
                }
                switched = true;
            }
            let chosen = match muted || !ready {
                true => None,
                false => sink.choose(&meta, &source.flow, now.us),
            };
            if sink.layers.has_news() {
                wanted |= sink.layers.take_wish();
                for (kind, layer) in sink.layers.take_changes().into_iter().flatten() {
                    let fact = Fact::Layer { mindex: place.mindex, kind, layer };
                    self.events.push_back(ShardEvent::Fact { peer: id, fact });
                }
            }
            let Some(onward) = chosen else { continue };
            let kind = sink.kind;
            let (mindex, len) = (place.mindex, meta.payload().len() as u16);
            let departing = Departing::First { mindex, source: key, packet, len, onward };
            if peer.waiting.push(kind, departing) {
                let prompt = kind != MediaKind::Video || onward.marker;
                self.gate.offer(place.slot, prompt, now.us);
            } else {
                self.counters.shed += 1;
            }
        }
        if !source.forwarders.is_empty() && !muted {
            wanted |= self.offer_forwarders(key, packet, &meta);
        }
        if switched {
            self.settle_switches(key);
        }
        if wanted {
            self.want_keyframe(name);
        }
    }

    /// Sends a reference to each forwarder of the source. True if one of them needs a keyframe.
    fn offer_forwarders(&mut self, key: SourceKey, packet: u64, meta: &Meta) -> bool {
        let now_us = self.now.us;
        let mut wanted = false;
        let Some(source) = self.sources.get(key) else { return false };
        for &place in &source.forwarders {
            let Some(forwarder) = self.forwarders.get_mut(place as usize) else { continue };
            let chosen = forwarder.choose(meta, &source.flow, now_us);
            if forwarder.sink.layers.has_news() {
                wanted |= forwarder.sink.layers.take_wish();
                // Nobody is told of the layers of a forwarder.
                let _ = forwarder.sink.layers.take_changes();
            }
            let Some(onward) = chosen else { continue };
            match forwarder.enqueue(Waiting { source: key, packet, onward }) {
                Some(true) => self.forwarding.push(place),
                Some(false) => {}
                None => self.counters.shed += 1,
            }
        }
        wanted
    }

    fn export_packet(&mut self, key: SourceKey, bytes: &[u8], meta: Meta) {
        let Some(source) = self.sources.get_mut(key) else { return };
        if source.policy.muted {
            return;
        }
        let resumes = std::mem::take(&mut source.export_resumes);
        let (id, standing) = (source.id, source.standing());
        for &shard in &source.exports {
            let mut parcel = self.empties.pop().unwrap_or_else(|| {
                Box::new(Parcel { source: id, meta, resumes, standing, bytes: [0; SLOT_BYTES] })
            });
            parcel.source = id;
            parcel.meta = meta;
            parcel.resumes = resumes;
            parcel.standing = standing;
            if let Some(delay) = source.policy.delay {
                let delay = PlayoutDelay { min: delay.min, max: delay.max };
                parcel.meta.extensions.playout_delay = Some(delay);
            }
            parcel.meta.len = bytes.len() as u16;
            parcel.bytes[..bytes.len()].copy_from_slice(bytes);
            self.parcels.push((shard, parcel));
        }
    }

    /// Takes a packet that another shard handed over; the box goes back to it.
    pub fn from_neighbour(&mut self, parcel: &Parcel) {
        let Some(key) = self.sources.find(parcel.source) else { return };
        if parcel.resumes {
            self.pause_sinks(parcel.source);
        }
        if let Some(image) = self.sources.get_mut(key) {
            image.clock = parcel.standing.clock;
            image.burst.configure(parcel.standing.buffer);
        }
        let len = usize::from(parcel.meta.len).min(SLOT_BYTES);
        self.keep_and_route(key, &parcel.bytes[..len], parcel.meta);
    }
}

/// Whose packet it is: by SSRC, else learnt from mid and rid (webrtc-behaviour §5.2). A sender that
/// neither names its SSRCs nor its mids is known by payload type, where one line only can have
/// sent it.
fn role_of(peer: &mut Peer, packet: &Packet<'_>) -> Option<StreamRole> {
    if let Some(role) = peer.streams.get(packet.ssrc()) {
        return Some(role);
    }
    let role = learn(&peer.lines, &peer.streams, packet)?;
    peer.streams.set(packet.ssrc(), role).then_some(role)
}

fn learn(lines: &[PeerLine], streams: &Streams, packet: &Packet<'_>) -> Option<StreamRole> {
    let pt = packet.payload_type().get();
    let (mut by_payload, mut claims) = (None, 0);
    for line in lines {
        let Some(receive) = &line.receive else { continue };
        let values = parse_extensions(packet, &receive.ids);
        let Some((_, rtx)) = receive.payload(pt) else { continue };
        if let Some(mid) = values.mid {
            if line.mid != Some(mid) {
                continue;
            }
        } else if receive.ids.get(Extension::Mid).is_some() || streams.knows(line.mindex, rtx) {
            continue;
        }
        let layer = match values.rid.or(values.repaired_rid) {
            Some(rid) => receive.rids.iter().position(|&have| have == rid),
            None if receive.rids.is_empty() => Some(0),
            None => None,
        };
        let Some(layer) = layer else { continue };
        let role = StreamRole { mindex: line.mindex, layer: layer as u8, rtx };
        if values.mid.is_some() {
            return Some(role);
        }
        by_payload = Some(role);
        claims += 1;
    }
    by_payload.filter(|_| claims == 1)
}

/// Turns a retransmission back into the packet it repeats.
fn restore<'a>(bytes: &'a mut [u8], receive: &ReceiveLine, layer: u8) -> Option<Packet<'a>> {
    let pt = PayloadType::from_low_bits(*bytes.get(1)?);
    let (payload, _) = receive.payload(pt.get())?;
    let original = PayloadType::from_low_bits(payload.pt);
    let ssrc = receive.layers.get(usize::from(layer))?.ssrc?;
    let len = rtx::unwrap(bytes, ssrc, original).ok()??;
    Packet::parse(bytes.get(..len)?).ok()
}

/// Reads once what every sink will want to know.
pub(super) fn describe(
    packet: &Packet<'_>,
    extensions: ExtensionValues,
    codec: Option<Codec>,
    track: &mut Layer,
    (layer, kind): (u8, MediaKind),
    now_us: u64,
) -> Meta {
    let bytes = packet.bytes();
    let payload = packet.layout().payload();
    let mut meta = Meta {
        ssrc: packet.ssrc(),
        seq: packet.seq(),
        timestamp: packet.timestamp(),
        pt: packet.payload_type().get(),
        marker: packet.marker(),
        layer,
        common_clock: track.common_clock,
        arrived_us: now_us,
        len: bytes.len() as u16,
        payload: (payload.start as u16, payload.end as u16),
        extensions,
        ..Meta::default()
    };
    if let (MediaKind::Video, Some(codec)) = (kind, codec) {
        let descriptor = extensions.dependency_descriptor.map(|d| d.of(bytes));
        let (payload, structure) = (packet.payload(), &mut track.structure);
        Reading::of(codec, payload, meta.marker, descriptor, structure).note(&mut meta);
    }
    meta
}
