//! Data channels: what control asks, what routes say, and how a peer's association begins and ends.

use super::Shard;
use crate::data::{DataPost, DataSink, DataSource, Export, PeerData, Pipe};
use crate::dtls_openssl::RecordLayer;
use crate::handshake::{Datagram, ToLane};
use bifrons_core::media::{
    DataCommand, DataEnd, DataEvent, DataPlan, Line, LineId, MediaKind, PeerId, ShardEvent, SinkId,
    SourceId,
};
use bifrons_core::sctp::{Config, DataTransport};

impl Shard {
    pub(super) fn data_command(&mut self, command: DataCommand) {
        match command {
            DataCommand::Send { peer: id, message } => {
                let weight = message.weight();
                let data = self.peers.get_mut(id).and_then(|peer| peer.data.as_mut());
                match data {
                    Some(data) => {
                        data.waiting.push_back(message);
                        self.data_busy(id.slot);
                    }
                    None => self.tell_sent(id, weight, false),
                }
            }
            DataCommand::Plan(plan) => self.data_plan(plan),
            DataCommand::Export { source, shard, on } => self.data_export(source, shard, on),
            DataCommand::Taken { weight } => {
                self.data.credit = self.data.credit.saturating_add_unsigned(weight as u64);
            }
        }
    }

    fn data_plan(&mut self, plan: DataPlan) {
        match plan {
            DataPlan::Route { source, sink: SinkId::Line(sink), label } => {
                if self.peers.get(sink.peer).is_some() {
                    self.join_source(source, sink, label);
                }
            }
            DataPlan::Unroute { source, sink: SinkId::Line(sink) } => {
                self.part_source(source, |entry| entry.sinks.retain(|have| have.line != sink));
            }
            DataPlan::Route { source, sink: SinkId::Forwarder(sink), .. } => {
                let known = self.forwarder_place(sink).is_some();
                let Some(entry) = self.data_source(source).filter(|_| known) else { return };
                if !entry.forwarders.contains(&sink) {
                    entry.forwarders.push(sink);
                }
            }
            DataPlan::Unroute { source, sink: SinkId::Forwarder(sink) } => {
                self.part_source(source, |entry| entry.forwarders.retain(|have| *have != sink));
            }
            DataPlan::Deliver { source, on } => {
                if self.is_ours(source) {
                    self.data.sources.entry(source).or_default().deliver = on;
                }
            }
        }
    }

    /// The entry of a source that is here, or of the image of one elsewhere, made if it is new.
    fn data_source(&mut self, source: SourceId) -> Option<&mut DataSource> {
        let afar = source.shard() != self.config.id;
        if !afar && !self.is_ours(source) {
            return None;
        }
        if afar && !self.data.sources.contains_key(&source) {
            let image = DataPost::Image { source, shard: self.config.id };
            self.data.posts.push_back((source.shard(), image));
        }
        Some(self.data.sources.entry(source).or_default())
    }

    fn join_source(&mut self, source: SourceId, line: LineId, label: Option<Box<str>>) {
        let Some(entry) = self.data_source(source) else { return };
        match entry.sinks.iter_mut().find(|have| have.line == line) {
            Some(have) => have.label = label,
            None => entry.sinks.push(DataSink { line, label, served: false }),
        }
        if entry.last.is_some() {
            self.give_last(source);
        }
    }

    /// Takes sinks off a source; the image of a far one goes with its last.
    fn part_source(&mut self, source: SourceId, part: impl FnOnce(&mut DataSource)) {
        let Some(entry) = self.data.sources.get_mut(&source) else { return };
        part(entry);
        if entry.is_idle() && source.shard() != self.config.id {
            self.take_arrived(source);
            self.data.sources.remove(&source);
        }
    }

    fn data_export(&mut self, source: SourceId, shard: u8, on: bool) {
        if !self.is_ours(source) || shard == self.config.id {
            return;
        }
        let exports = &mut self.data.sources.entry(source).or_default().exports;
        exports.retain(|have| have.shard != shard);
        if on {
            exports.push(Export { shard, under_way: 0 });
        }
    }

    fn is_ours(&self, source: SourceId) -> bool {
        match source {
            SourceId::Line(line) => self.peers.get(line.peer).is_some(),
            SourceId::Ingest(id) => self.is_data_ingest(id),
        }
    }

    /// Nobody is left who would take them: their credit goes back.
    fn take_arrived(&mut self, source: SourceId) {
        let Some(entry) = self.data.sources.get_mut(&source) else { return };
        let weight = entry.arrived.drain(..).map(|(message, _)| message.weight()).sum();
        let taken = DataPost::Taken { source, shard: self.config.id, weight };
        self.data.posts.push_back((source.shard(), taken));
    }

    /// Takes what another shard has for this one.
    pub fn from_neighbour_data(&mut self, post: DataPost) {
        match post {
            DataPost::Message { source, message, keep } => {
                let weight = message.weight();
                let Some(entry) = self.data.sources.get_mut(&source) else {
                    let taken = DataPost::Taken { source, shard: self.config.id, weight };
                    self.data.posts.push_back((source.shard(), taken));
                    return;
                };
                entry.arrived.push_back((message, keep));
                if entry.arrived.len() == 1 {
                    self.data.arrivals.push_back(source);
                }
            }
            DataPost::Image { source, shard } => {
                let last = self.data.sources.get(&source).and_then(|entry| entry.last.clone());
                if let Some(message) = last {
                    self.data.posts.push_back((shard, DataPost::Last { source, message }));
                }
            }
            DataPost::Last { source, message } => {
                let entry = self.data.sources.get_mut(&source);
                if let Some(entry) = entry.filter(|entry| entry.last.is_none()) {
                    entry.last = Some(message);
                    self.give_last(source);
                }
            }
            DataPost::Taken { source, shard, weight } => {
                let Some(entry) = self.data.sources.get_mut(&source) else { return };
                for export in entry.exports.iter_mut().filter(|export| export.shard == shard) {
                    export.under_way = export.under_way.saturating_sub(weight);
                }
                if let SourceId::Line(line) = source {
                    self.data_busy(line.peer.slot);
                }
            }
        }
    }

    /// The data line of a new or renegotiated peer.
    pub(super) fn set_data_line(&mut self, id: PeerId, lines: &[Line]) {
        let line = lines.iter().find(|line| line.kind == MediaKind::Data);
        let wanted = line.and_then(|line| Some((line.mindex, line.data?)));
        let Some(peer) = self.peers.get_mut(id) else { return };
        match (wanted, &mut peer.data) {
            (Some((mindex, line)), None) => {
                peer.data = Some(Box::new(PeerData::new(mindex, line)));
                self.begin_data(id.slot);
            }
            (None, Some(data)) => {
                // Its records may be here already; only the association goes.
                if data.transport.take().is_some() {
                    let end = DataEnd::LineGone;
                    self.tell(ShardEvent::Data(DataEvent::Lost { peer: id, end }));
                }
                self.data.forget(id);
            }
            (Some((_, line)), Some(data)) => {
                data.line = line;
                self.begin_data(id.slot);
            }
            (None, None) => {}
        }
    }

    /// Starts the association, once keys are agreed, and has the record layer brought here.
    pub(super) fn begin_data(&mut self, slot: u32) {
        let now = self.now.instant;
        let Some(peer) = self.peers.at_mut(slot).filter(|peer| peer.secured && !peer.closing)
        else {
            return;
        };
        let (id, role) = (peer.id, peer.role);
        let (Some(data), Some(role)) = (&mut peer.data, role) else { return };
        if data.transport.is_some() {
            return;
        }
        data.transport = Some(DataTransport::new(now, Config { role, line: data.line }));
        if matches!(data.pipe, Pipe::Lane) {
            data.pipe = Pipe::Moving(Vec::new());
            self.to_lane.push_back(ToLane::Yield { peer: id });
        }
        self.data_busy(slot);
    }

    /// The record layer has come, or stays away.
    pub(super) fn take_records(&mut self, id: PeerId, layer: Option<Box<RecordLayer>>) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let Some(data) = &mut peer.data else { return };
        let pipe = layer.map_or(Pipe::Lane, Pipe::Here);
        let here = matches!(pipe, Pipe::Here(_));
        if let Pipe::Moving(kept) = std::mem::replace(&mut data.pipe, pipe) {
            for datagram in kept {
                if here {
                    self.data.inbox.push_back((id, datagram));
                } else {
                    self.to_lane.push_back(ToLane::Record { peer: id, datagram });
                }
            }
        }
        self.data_busy(id.slot);
    }

    /// An SCTP packet from the lane, where the records stayed there or have not moved yet.
    pub(super) fn data_from_lane(&mut self, id: PeerId, packet: &Datagram) {
        let now = self.now.instant;
        let data = self.peers.get_mut(id).and_then(|peer| peer.data.as_mut());
        let Some(transport) = data.and_then(|data| data.transport.as_mut()) else { return };
        transport.handle_packet(now, packet.bytes());
        self.data_busy(id.slot);
    }

    /// Says goodbye for a peer whose records are here.
    pub(super) fn close_data(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let Some(mut data) = peer.data.take() else { return };
        self.data.forget(id);
        if let (Pipe::Here(layer), Some(path)) = (&mut data.pipe, peer.path) {
            let len = layer.farewell(self.outbox.room(64));
            path.send(id, &mut self.outbox, &mut self.outward, len.unwrap_or(0));
        }
    }

    /// Has a peer looked after in this turn.
    pub(super) fn data_busy(&mut self, slot: u32) {
        let data = self.peers.at_mut(slot).and_then(|peer| peer.data.as_mut());
        if let Some(data) = data
            && !std::mem::replace(&mut data.busy, true)
        {
            self.data.busy.push_back(slot);
        }
    }

    pub(super) fn tell_sent(&mut self, peer: PeerId, weight: usize, drained: bool) {
        self.tell(ShardEvent::Data(DataEvent::Sent { peer, weight, drained }));
    }

    pub(super) fn data_line(&self, slot: u32) -> Option<LineId> {
        let peer = self.peers.at(slot)?;
        Some(peer.id.line(peer.data.as_ref()?.mindex))
    }
}
