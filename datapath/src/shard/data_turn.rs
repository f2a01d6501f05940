//! The data channels' part of a turn: after media, and so much only (see [`crate::data`]).

use super::Shard;
use crate::data::{DataPost, MESSAGES, PACKETS, PACKETS_A_PEER, PEERS, Pipe, RECORDS, RETRY_US};
use crate::dtls_openssl::Opened;
use crate::handshake::{Datagram, ToLane};
use bifrons_core::dtls::MAX_DATAGRAM;
use bifrons_core::media::{
    DataEvent, DataMessage, DownReason, LineId, PeerId, ShardEvent, SourceId,
};
use bifrons_core::sctp::{Event, SendError};

/// Messages that may wait for the lane before packets are let go.
const LANE_BACKLOG: usize = 1024;

impl Shard {
    /// Does the turn's share of data work. Whether packets may be waiting to leave.
    pub(super) fn data_turn(&mut self) -> bool {
        if !self.data.has_work() && self.data.arrivals.is_empty() {
            return false;
        }
        for _ in 0..RECORDS {
            let Some((id, datagram)) = self.data.inbox.pop_front() else { break };
            self.open_record(id, &datagram);
            self.reuse(datagram);
        }
        self.data.pressing = false;
        for _ in 0..self.data.arrivals.len() {
            self.pass_arrived();
        }
        let mut budget = PACKETS;
        for _ in 0..self.data.busy.len().min(PEERS) {
            let Some(slot) = self.data.busy.pop_front() else { break };
            let data = self.peers.at_mut(slot).and_then(|peer| peer.data.as_mut());
            let Some(data) = data else { continue };
            data.busy = false;
            if self.look_after(slot, &mut budget) {
                self.data_busy(slot);
            }
        }
        true
    }

    /// When a peer's deadline has come: its association's may be it.
    pub(super) fn data_timeout(&mut self, slot: u32) {
        let now = self.now.instant;
        let data = self.peers.at_mut(slot).and_then(|peer| peer.data.as_mut());
        let Some(transport) = data.and_then(|data| data.transport.as_mut()) else { return };
        if transport.poll_timeout().is_some_and(|at| at <= now) {
            transport.handle_timeout(now);
        }
        self.data_busy(slot);
    }

    fn open_record(&mut self, id: PeerId, datagram: &Datagram) {
        let now = self.now.instant;
        let Some(peer) = self.peers.get_mut(id) else { return };
        let path = peer.path;
        let Some(data) = &mut peer.data else { return };
        let Pipe::Here(layer) = &mut data.pipe else { return };
        let (mut transport, mut closed) = (data.transport.as_mut(), false);
        let (outbox, outward) = (&mut self.outbox, &mut self.outward);
        peer.unopened += layer.open(datagram.bytes(), |opened| match opened {
            Opened::Data(packet) => {
                if let Some(transport) = &mut transport {
                    transport.handle_packet(now, packet);
                }
            }
            Opened::Closed(_) => closed = true,
            Opened::Again(datagram) => {
                if let Some(path) = path {
                    path.push(id, outbox, outward, datagram);
                }
            }
        });
        if closed {
            self.bring_down(id, DownReason::DtlsAlert);
        }
        self.data_busy(id.slot);
    }

    /// Everything a peer wants at the moment. Whether more is left to do at once.
    fn look_after(&mut self, slot: u32, budget: &mut usize) -> bool {
        let unread = self.read_messages(slot);
        self.send_waiting(slot);
        let unsent = self.send_packets(slot, budget);
        let Some(peer) = self.peers.at_mut(slot) else { return false };
        let Some(transport) = peer.data.as_ref().and_then(|data| data.transport.as_ref()) else {
            return false;
        };
        if let Some(at) = transport.poll_timeout() {
            self.timers.arm(slot, self.clock.us_of(at).max(self.now.us + 1));
        }
        unread || unsent
    }

    /// Reads and passes on what may be passed on. Whether more is there to read at once.
    fn read_messages(&mut self, slot: u32) -> bool {
        for _ in 0..MESSAGES {
            let Some(line) = self.data_line(slot) else { return false };
            let may = self.may_read(SourceId::Line(line));
            let Some(peer) = self.peers.at_mut(slot) else { return false };
            let Some(data) = &mut peer.data else { return false };
            let Some(transport) = &mut data.transport else { return false };
            match transport.poll_event(may) {
                Some(Event::Message(message)) => self.pass_on(line, message),
                Some(Event::Ready) => {
                    self.tell(ShardEvent::Data(DataEvent::Ready { peer: line.peer }));
                }
                Some(Event::Opened) => self.peer_opened(line.peer),
                Some(Event::Drained) => {
                    if std::mem::take(&mut data.from_plugin) {
                        self.tell_sent(line.peer, 0, true);
                    }
                }
                Some(Event::Lost(end)) => {
                    self.tell(ShardEvent::Data(DataEvent::Lost { peer: line.peer, end }));
                }
                None => {
                    if !may {
                        self.timers.arm(slot, self.now.us + RETRY_US);
                    }
                    return false;
                }
            }
        }
        true
    }

    /// Whether everybody who would get the next message has room for it.
    fn may_read(&mut self, source: SourceId) -> bool {
        let Some(entry) = self.data.sources.get(&source) else { return self.data.credit > 0 };
        if entry.deliver && self.data.credit <= 0 {
            return false;
        }
        entry.muted || (entry.may_export() && self.sinks_have_room(source))
    }

    fn sinks_have_room(&mut self, source: SourceId) -> bool {
        let Some(entry) = self.data.sources.get(&source) else { return true };
        let now_us = self.now.us;
        entry.sinks.iter().all(|sink| {
            let data = self.peers.get_mut(sink.line.peer).and_then(|peer| peer.data.as_mut());
            data.is_none_or(|data| data.has_room(now_us))
        })
    }

    fn pass_on(&mut self, line: LineId, message: DataMessage) {
        let source = SourceId::Line(line);
        let entry = self.data.sources.get(&source);
        let (deliver, muted) = entry.map_or((true, false), |entry| (entry.deliver, entry.muted));
        if !muted {
            self.spread(source, &message, false);
        }
        if deliver {
            let weight = message.weight();
            self.data.credit = self.data.credit.saturating_sub_unsigned(weight as u64);
            let message = Box::new(message);
            self.tell(ShardEvent::Data(DataEvent::Message { peer: line.peer, message }));
        }
    }

    /// Gives a message to the peers and forwarders here.
    pub(super) fn give_to_sinks(&mut self, source: SourceId, message: &DataMessage) {
        let Some(entry) = self.data.sources.get(&source) else { return };
        let (sinks, forwarders) = (entry.sinks.len(), entry.forwarders.len());
        for at in 0..sinks {
            self.give_to(source, at, message, false);
        }
        for at in 0..forwarders {
            let entry = self.data.sources.get(&source);
            if let Some(id) = entry.and_then(|entry| entry.forwarders.get(at).copied()) {
                self.forward_message(id, message);
            }
        }
    }

    /// Gives a message to one sink, if that can take one; with `first` only if it had none yet.
    pub(super) fn give_to(
        &mut self,
        source: SourceId,
        at: usize,
        message: &DataMessage,
        first: bool,
    ) {
        let entry = self.data.sources.get_mut(&source);
        let Some(sink) = entry.and_then(|entry| entry.sinks.get_mut(at)) else { return };
        let slot = sink.line.peer.slot;
        let data = self.peers.get_mut(sink.line.peer).and_then(|peer| peer.data.as_mut());
        let Some(data) = data else { return };
        // Whoever has not opened a channel yet misses it.
        let Some(transport) = data.transport.as_mut().filter(|it| it.is_open()) else { return };
        if first && sink.served {
            return;
        }
        let label = sink.label.as_deref().unwrap_or(&message.label);
        match transport.send(label, &message.protocol, message.kind, &message.bytes) {
            Ok(()) => {
                sink.served = true;
                if !std::mem::replace(&mut data.busy, true) {
                    self.data.busy.push_back(slot);
                }
            }
            Err(SendError::NotReady) => {}
            Err(SendError::TooLong | SendError::Full | SendError::NoChannel) => {
                data.dropped += 1;
                self.counters.shed += 1;
            }
        }
    }

    /// Gives messages that came over, or to a port, to their sinks.
    fn pass_arrived(&mut self) {
        let Some(source) = self.data.arrivals.pop_front() else { return };
        let left = match source.shard() == self.config.id {
            true => self.pass_datagrams(source),
            false => self.pass_parcels(source),
        };
        self.data.pressing |= left > 0;
        if self.data.sources.get(&source).is_some_and(|entry| !entry.arrived.is_empty()) {
            self.data.arrivals.push_back(source);
        }
    }

    /// Gives an image's messages to its sinks as far as they have room. Returns how many more could
    /// go at once.
    fn pass_parcels(&mut self, source: SourceId) -> usize {
        // Messages of datagrams wait for nobody.
        let waits = matches!(source, SourceId::Line(_));
        let (mut weight, mut left) = (0, 0);
        for passed in 0..=MESSAGES {
            if waits && !self.sinks_have_room(source) {
                break;
            }
            let Some(entry) = self.data.sources.get_mut(&source) else { break };
            if passed == MESSAGES {
                left = entry.arrived.len();
                break;
            }
            let Some((message, keep)) = entry.arrived.pop_front() else { break };
            weight += message.weight();
            self.give_to_sinks(source, &message);
            if keep && let Some(entry) = self.data.sources.get_mut(&source) {
                entry.last = Some(message);
            }
        }
        if weight > 0 {
            let taken = DataPost::Taken { source, shard: self.config.id, weight };
            self.data.posts.push_back((source.shard(), taken));
        }
        left
    }

    /// Gives the association what plugins have sent.
    fn send_waiting(&mut self, slot: u32) {
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let id = peer.id;
        let Some(data) = &mut peer.data else { return };
        let Some(transport) = &mut data.transport else { return };
        let (mut weight, mut shed) = (0, 0);
        data.from_plugin |= !data.waiting.is_empty();
        while let Some(message) = data.waiting.front() {
            let sent =
                transport.send(&message.label, &message.protocol, message.kind, &message.bytes);
            match sent {
                Ok(()) => {}
                Err(SendError::Full) => break,
                Err(SendError::NotReady) if !transport.is_lost() => break,
                Err(_) => shed += 1,
            }
            weight += message.weight();
            data.waiting.pop_front();
        }
        data.dropped += shed;
        self.counters.shed += shed;
        if weight > 0 {
            self.tell_sent(id, weight, false);
        }
    }

    /// Makes and seals packets. Whether more could be made at once.
    fn send_packets(&mut self, slot: u32, budget: &mut usize) -> bool {
        let now = self.now.instant;
        let Some(peer) = self.peers.at_mut(slot) else { return false };
        let (id, path) = (peer.id, peer.path);
        let (Some(data), Some(path)) = (&mut peer.data, path) else { return false };
        let Some(transport) = &mut data.transport else { return false };
        for _ in 0..PACKETS_A_PEER.min(*budget) {
            match &mut data.pipe {
                Pipe::Moving(_) => return false,
                Pipe::Here(layer) => {
                    let room = self.outbox.room(MAX_DATAGRAM);
                    if room.is_empty() {
                        return true;
                    }
                    let Some(packet) = transport.poll_packet(now) else { return false };
                    let len = layer.seal(&packet, room).unwrap_or(0);
                    peer.way.dtls_sent.count(len);
                    path.send(id, &mut self.outbox, &mut self.outward, len);
                }
                Pipe::Lane => {
                    if self.to_lane.len() >= LANE_BACKLOG {
                        return true;
                    }
                    let Some(packet) = transport.poll_packet(now) else { return false };
                    let mut data = self.datagrams.pop().unwrap_or_else(Datagram::boxed);
                    if data.fill(&packet) {
                        self.to_lane.push_back(ToLane::Send { peer: id, data });
                    }
                }
            }
            *budget -= 1;
        }
        true
    }
}
