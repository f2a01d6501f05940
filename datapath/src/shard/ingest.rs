//! An ingest's packets on their way in, by its rules, and what goes back to its sender: keyframe
//! requests and the lowest REMB of its viewers (`crate::port`, plugin-streaming §6).

use super::Shard;
use crate::handoff::Feedback;
use crate::port::Passage;
use crate::retransmit::Meta;
use bifrons_core::codec::ParameterSets;
use bifrons_core::media::{Carries, Fact, IngestId, IngestSetup, MediaKind, ShardEvent, SourceId};
use bifrons_core::rtcp::{CompoundWriter, NtpTime, SenderInfo};
use bifrons_core::rtp::{ExtensionValues, Packet, Seq, Ssrc, parse_extensions};
use std::net::SocketAddr;

/// The SSRC of what we tell a sender.
const OURS: Ssrc = Ssrc(1);
/// Videos of one viewer whose sources hear of its REMB.
const TOLD: usize = 16;
/// A fixed RTP header (RFC 3550 §5.1).
const HEADER: usize = 12;

impl Shard {
    /// Takes a plain RTP packet for a substream of an ingest.
    pub(super) fn accept_ingest(&mut self, place: u32, layer: u8, bytes: &[u8]) {
        let now_us = self.now.us;
        let Some(ingest) = self.ingests.get_mut(place as usize) else { return };
        let IngestSetup { kind, codec, simulcast, extensions, enabled, .. } = ingest.setup;
        let Ok(packet) = Packet::parse(bytes) else { return };
        let collides = ingest.collides(layer, packet.ssrc(), now_us);
        let Some(track) = ingest.layers.get_mut(usize::from(layer)) else { return };
        if collides {
            track.dropped += 1;
            return;
        }
        let values = parse_extensions(&packet, &extensions);
        let mut meta = super::rtp::describe(&packet, values, codec, track, (layer, kind), now_us);
        if !track.take(&meta, false, false, now_us) {
            return;
        }
        let begins = !std::mem::replace(&mut track.receiving, true);
        let (id, key, reachable) = (ingest.id, ingest.source, ingest.rtcp.is_some());
        let (passage, moved) = match enabled {
            true => ingest.pass(&mut meta, packet.payload(), now_us),
            false => (Passage::LeftOut, 0),
        };
        let (sets, told) = (ingest.setup.parameter_sets, ingest.remb.is_due(now_us));
        if begins {
            let substream = simulcast.then_some(layer);
            let fact = Fact::Receiving { mindex: 0, substream, receiving: true };
            self.tell(ShardEvent::IngestFact { ingest: id, fact });
        }
        if moved != 0
            && let Some(source) = self.sources.get_mut(key)
        {
            source.clock.shift(usize::from(layer), moved);
        }
        let asks = reachable && self.wants_to_ask(place, begins);
        if let (Passage::AfterSets(seq), Some(sets)) = (passage, sets) {
            self.put_sets_before(place, &meta, seq, &sets);
        }
        if passage != Passage::LeftOut {
            self.keep_and_route(key, bytes, meta);
        }
        if asks {
            self.ask_ingest(id);
        }
        if told {
            self.tell_remb(place);
        }
    }

    /// Whether a keyframe request is due with this packet.
    fn wants_to_ask(&mut self, place: u32, begins: bool) -> bool {
        let now_us = self.now.us;
        let key = self.ingests.get(place as usize).map(|ingest| ingest.source);
        let Some(source) = key.and_then(|key| self.sources.get_mut(key)) else { return false };
        let gap_us = u64::from(source.policy.keyframe_interval_s) * 1_000_000;
        if gap_us > 0 && now_us >= source.keyframes.seen_us.unwrap_or(now_us) + gap_us {
            source.keyframes.want();
            source.keyframes.seen_us = Some(now_us);
        }
        source.keyframes.begins() && begins
            || source.keyframes.due_us().is_some_and(|at| at <= now_us)
    }

    /// Routes a packet with parameter sets, just before the one that `next` is about.
    fn put_sets_before(&mut self, place: u32, next: &Meta, seq: Seq, sets: &ParameterSets) {
        let mut bytes = [0; HEADER + ParameterSets::MAX];
        bytes[..2].copy_from_slice(&[0x80, next.pt & 0x7F]);
        bytes[2..4].copy_from_slice(&seq.0.to_be_bytes());
        bytes[4..8].copy_from_slice(&next.timestamp.to_be_bytes());
        bytes[8..HEADER].copy_from_slice(&next.ssrc.0.to_be_bytes());
        let len = HEADER + sets.payload().len();
        let Some(payload) = bytes.get_mut(HEADER..len) else { return };
        payload.copy_from_slice(sets.payload());
        let Some(bytes) = bytes.get(..len) else { return };
        let Some(ingest) = self.ingests.get_mut(place as usize) else { return };
        let (key, codec, now_us) = (ingest.source, ingest.setup.codec, self.now.us);
        let Some(track) = ingest.layers.get_mut(usize::from(next.layer)) else { return };
        let Ok(packet) = Packet::parse(bytes) else { return };
        let (values, what) = (ExtensionValues::default(), (next.layer, MediaKind::Video));
        let meta = super::rtp::describe(&packet, values, codec, track, what, now_us);
        self.keep_and_route(key, bytes, meta);
    }

    /// The way back to an ingest's sender, once its RTCP was heard of.
    fn way_back(&self, place: u32) -> Option<(u16, SocketAddr)> {
        let port = self.ports.get(self.ingests.get(place as usize)?.rtcp?)?;
        Some((port.socket?, port.latched?))
    }

    /// Asks whoever feeds an ingest for a keyframe, if its RTCP was heard of: now, or with a packet
    /// when a second has passed since the last time (plugin-videoroom §8.5).
    pub(super) fn ask_ingest(&mut self, id: IngestId) {
        let now_us = self.now.us;
        let Some(place) = self.ingest_place(id) else { return };
        let way = self.way_back(place);
        let Some(ingest) = self.ingests.get_mut(place as usize) else { return };
        let Some(source) = self.sources.get_mut(ingest.source) else { return };
        let Some((socket, to)) = way else {
            source.keyframes.unsent();
            return;
        };
        if !source.keyframes.take(now_us) {
            return;
        }
        let room = self.outbox.room(super::rtcp::COMPOUND);
        let mut writer = CompoundWriter::new(room);
        // Three questions fit behind an empty report.
        let _ = writer.receiver_report(OURS, &[]);
        let mut known = false;
        for layer in &mut ingest.layers {
            let Some(ssrc) = layer.ssrc else { continue };
            known = true;
            layer.keyframe_requests += 1;
            let _ = writer.pli(OURS, ssrc);
        }
        if !known {
            let _ = writer.pli(OURS, ingest.expected);
        }
        let len = writer.len();
        self.outbox.send(socket, to, len);
    }

    /// A viewer's estimate, for the senders of all ingests whose video it gets.
    pub(super) fn pass_remb(&mut self, slot: u32, bps: u64) {
        let Some(peer) = self.peers.at(slot) else { return };
        let sinks = peer.lines.iter().filter_map(|line| line.sink.as_ref());
        let keys = sinks.filter(|sink| sink.kind == MediaKind::Video).filter_map(|s| s.source);
        let mut sources = [None; TOLD];
        let found = keys.filter_map(|key| Some(self.sources.get(key)?.id));
        for (place, source) in sources.iter_mut().zip(found) {
            *place = Some(source);
        }
        for source in sources.into_iter().flatten() {
            let SourceId::Ingest(id) = source else { continue };
            if id.shard == self.config.id {
                self.note_remb(id, bps);
            } else {
                self.feedback.push((id.shard, Feedback::Remb(id, bps)));
            }
        }
    }

    /// Keeps a viewer's estimate if it is the lowest, and tells the sender if it is time; else with
    /// a packet when it is.
    pub(super) fn note_remb(&mut self, id: IngestId, bps: u64) {
        let Some(place) = self.ingest_place(id) else { return };
        let Some(ingest) = self.ingests.get_mut(place as usize) else { return };
        if ingest.setup.relay_remb && ingest.rtcp.is_some() {
            ingest.remb.note(bps);
            self.tell_remb(place);
        }
    }

    fn tell_remb(&mut self, place: u32) {
        let Some((socket, to)) = self.way_back(place) else { return };
        let Some(ingest) = self.ingests.get_mut(place as usize) else { return };
        let Some(bps) = ingest.remb.take(self.now.us) else { return };
        let mut ssrcs = [Ssrc(0); 3];
        let mut known = 0;
        for ssrc in ingest.layers.iter().filter_map(|layer| layer.ssrc) {
            ssrcs[known] = ssrc;
            known += 1;
        }
        let room = self.outbox.room(super::rtcp::COMPOUND);
        let mut writer = CompoundWriter::new(room);
        let _ = writer.receiver_report(OURS, &[]);
        let _ = writer.remb(OURS, bps, &ssrcs[..known]);
        let len = writer.len();
        self.outbox.send(socket, to, len);
    }

    /// A sender report at a port: its sender's wall clock, for the reports of the viewers.
    pub(super) fn ingest_report(&mut self, socket: u16, sender: Ssrc, info: &SenderInfo) {
        let (now_us, ours) = (self.now.us, NtpTime::from_unix_us(self.now.wall_us));
        let Some(port) = self.ports.at_socket(socket) else { return };
        for feed in port.feeds.iter().filter(|feed| feed.carries == Carries::Rtcp) {
            let Some(ingest) = self.ingests.get_mut(feed.ingest as usize) else { continue };
            let at = ingest.layers.iter().position(|layer| layer.ssrc == Some(sender));
            let Some(at) = at else { continue };
            ingest.layers[at].stats.sender_report(info.ntp, now_us);
            let timestamp = ingest.shifted(at, info.rtp_timestamp);
            if let Some(source) = self.sources.get_mut(ingest.source) {
                source.clock.report(at, sender, (info.ntp, timestamp), ours);
            }
        }
    }
}
