//! Messages of data channels at UDP ports: in by data ingests, out by data forwarders
//! ([`crate::port`], [`crate::data`]).
//!
//! A datagram cannot be held back. It waits for the data part of its turn ([`WAITING`] and
//! `HANDOFF_CREDIT` bytes an ingest), and is let go, and counted, for each sink that has no room
//! then; nobody waits for anybody. Out, each message is one datagram in the turn in which it was
//! read.

use super::Shard;
use crate::data::{DataPost, MESSAGES};
use crate::port::{datagram_len, read_datagram, write_datagram};
use bifrons_core::media::{
    Carries, DEFAULT_LABEL, DataMessage, Fact, ForwardSsrc, ForwarderId, HANDOFF_CREDIT, IngestId,
    MediaKind, PeerId, ShardEvent, SourceId,
};

/// Messages that may wait at an ingest.
const WAITING: usize = 1024;

impl Shard {
    /// Takes a datagram for a data feed.
    pub(super) fn take_datagram(&mut self, place: u32, carries: Carries, datagram: &[u8]) {
        let now_us = self.now.us;
        let Some(ingest) = self.ingests.get_mut(place as usize) else { return };
        let (id, rule, enabled) = (ingest.id, ingest.setup.message, ingest.setup.enabled);
        let Some((kind, bytes)) = read_datagram(carries, rule, datagram) else {
            self.counters.stray += 1;
            return;
        };
        let begins = ingest.layers.first_mut().is_some_and(|layer| {
            layer.last_us = now_us;
            !std::mem::replace(&mut layer.receiving, true)
        });
        if begins {
            let fact = Fact::Receiving { mindex: 0, substream: None, receiving: true };
            self.tell(ShardEvent::IngestFact { ingest: id, fact });
        }
        let source = SourceId::Ingest(id);
        let Some(entry) =
            self.data.sources.get_mut(&source).filter(|entry| enabled && !entry.muted)
        else {
            return;
        };
        if entry.arrived.len() >= WAITING || entry.arrived_bytes + bytes.len() > HANDOFF_CREDIT {
            self.counters.shed += 1;
            return;
        }
        let (label, protocol) = (DEFAULT_LABEL.into(), "".into());
        let message = Box::new(DataMessage { label, protocol, kind, bytes: bytes.into() });
        entry.arrived_bytes += bytes.len();
        entry.arrived.push_back((message, rule.keep_last));
        if entry.arrived.len() == 1 {
            self.data.arrivals.push_back(source);
        }
    }

    /// Gives what arrived at ports for one ingest to everybody. Returns what is left undone.
    pub(super) fn pass_datagrams(&mut self, source: SourceId) -> usize {
        for _ in 0..MESSAGES {
            let Some(entry) = self.data.sources.get_mut(&source) else { return 0 };
            let Some((message, keep)) = entry.arrived.pop_front() else { return 0 };
            entry.arrived_bytes = entry.arrived_bytes.saturating_sub(message.bytes.len());
            if entry.muted {
                continue;
            }
            self.spread(source, &message, keep);
            if keep && let Some(entry) = self.data.sources.get_mut(&source) {
                entry.last = Some(message);
            }
        }
        self.data.sources.get(&source).map_or(0, |entry| entry.arrived.len())
    }

    /// Gives a message to everybody but the plugin: sinks here, forwarders, other shards.
    pub(super) fn spread(&mut self, source: SourceId, message: &DataMessage, keep: bool) {
        self.give_to_sinks(source, message);
        let weight = message.weight();
        let waits = matches!(source, SourceId::Line(_));
        let Some(entry) = self.data.sources.get_mut(&source) else { return };
        for export in &mut entry.exports {
            // Whoever can be held back was asked before the message was read.
            if !waits && export.under_way >= HANDOFF_CREDIT {
                self.counters.shed += 1;
                continue;
            }
            export.under_way += weight;
            let message = Box::new(message.clone());
            let post = DataPost::Message { source, message, keep };
            self.data.posts.push_back((export.shard, post));
        }
    }

    /// Sends a message as a datagram.
    pub(super) fn forward_message(&mut self, id: ForwarderId, message: &DataMessage) {
        let Some(place) = self.forwarder_place(id) else { return };
        let Some(forwarder) = self.forwarders.get(place as usize) else { return };
        if forwarder.setup.kind != MediaKind::Data {
            return;
        }
        let ssrc = match forwarder.setup.ssrc {
            ForwardSsrc::Layered(ssrc) => Some(ssrc),
            ForwardSsrc::Source | ForwardSsrc::Fixed(_) => None,
        };
        let socket = self.ports.get(forwarder.from).and_then(|port| port.socket);
        let len = datagram_len(ssrc, &message.bytes);
        let (Some(socket), Some(len)) = (socket, len) else {
            self.counters.shed += 1;
            return;
        };
        let room = self.outbox.room(len);
        if !room.is_empty() {
            write_datagram(room, ssrc, message.kind, &message.bytes);
            self.outbox.send(socket, forwarder.setup.to, len);
            self.counters.forwarded += 1;
        }
    }

    /// Whether somebody has to be shown what a source said last: a sink that has just begun.
    pub(super) fn give_last(&mut self, source: SourceId) {
        let Some(entry) = self.data.sources.get(&source) else { return };
        let (Some(last), false) = (entry.last.clone(), entry.muted) else { return };
        for at in 0..entry.sinks.len() {
            self.give_to(source, at, &last, true);
        }
    }

    /// A peer has opened its first channel: what was kept for it may go.
    pub(super) fn peer_opened(&mut self, peer: PeerId) {
        let kept = self.data.sources.iter().filter(|(_, entry)| {
            entry.last.is_some() && entry.sinks.iter().any(|sink| sink.line.peer == peer)
        });
        let kept: Vec<SourceId> = kept.map(|(source, _)| *source).collect();
        for source in kept {
            self.give_last(source);
        }
    }

    /// Mutes a source of messages, or no longer. About one of media: nothing happens.
    pub(super) fn mute_messages(&mut self, source: SourceId, muted: bool) {
        let of_messages = match source {
            SourceId::Ingest(id) => self.is_data_ingest(id),
            SourceId::Line(line) => {
                let data = self.peers.get(line.peer).and_then(|peer| peer.data.as_ref());
                data.is_some_and(|data| data.mindex == line.mindex)
            }
        };
        if of_messages {
            self.data.sources.entry(source).or_default().muted = muted;
        }
    }

    /// Whether there is such an ingest and it yields messages.
    pub(super) fn is_data_ingest(&self, id: IngestId) -> bool {
        let place = self.ingest_places.get(&id);
        let ingest = place.and_then(|place| self.ingests.get(*place as usize));
        ingest.is_some_and(|ingest| ingest.setup.kind == MediaKind::Data)
    }
}
