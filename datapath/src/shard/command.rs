//! What control asks of a shard.

use super::Shard;
use crate::departure::Waiting;
use crate::handshake::ToLane;
use crate::peer::{Peer, PeerLine, StreamRole, Streams};
use crate::report::Reports;
use bifrons_core::ice::{
    FailureTimer, FullAgent, FullConfig, IceAgent, LITE_CONSENT, LiteAgent, SignallingProgress,
};
use bifrons_core::media::{
    Fact, Line, MediaKind, Mindex, PeerId, PeerSetup, PeerUpdate, ShardCommand, ShardEvent,
    SourceId, Transport, Tuning, WayStatistics,
};
use std::time::Duration;

impl Shard {
    /// Carries out one command. About a peer that is gone: nothing happens.
    pub fn command(&mut self, command: ShardCommand) {
        match command {
            ShardCommand::Open(setup) => self.open(*setup),
            ShardCommand::Update { peer, update } => self.update(peer, *update),
            ShardCommand::Candidate { peer, candidate } => {
                if let Some(peer) = self.peers.get_mut(peer) {
                    // An unusable candidate is ignored (webrtc-behaviour §1.4).
                    let _ = peer.agent.add_remote_candidate(&candidate);
                }
                self.pump_ice(peer.slot);
            }
            ShardCommand::Relay { peer, relayed } => self.add_relay(peer, relayed),
            ShardCommand::EndOfCandidates { peer } => {
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.signalling.trickling_done = true;
                }
            }
            ShardCommand::Close { peer } => self.close(peer),
            ShardCommand::Plan(plan) => self.plan(plan),
            ShardCommand::OpenPort { port, socket, open } => self.open_port(port, socket, open),
            ShardCommand::ClosePort { port } => self.close_port(port),
            ShardCommand::Data(command) => self.data_command(command),
            ShardCommand::Export { source, shard, on } => self.export(source, shard, on),
            ShardCommand::Query { ticket, peer } => {
                let statistics = self.statistics(peer).map(Box::new);
                self.tell(ShardEvent::Statistics { ticket, statistics });
            }
            ShardCommand::Tune(tuning) => self.tune(tuning),
            ShardCommand::Tap { peer, tap } => {
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.tapping = tap.map(Into::into);
                }
            }
            ShardCommand::Count => {
                let counters = self.counters();
                self.tell(ShardEvent::Counters { shard: self.config.id, counters });
            }
            ShardCommand::Stop => {
                self.stopping = true;
                for id in self.peers.ids() {
                    self.close(id);
                }
            }
        }
    }

    /// Peers that are up follow with their next report or round trip.
    fn tune(&mut self, tuning: Tuning) {
        self.config.min_nack_queue = Duration::from_millis(tuning.min_nack_queue_ms.into());
        self.config.no_media = Duration::from_secs(tuning.no_media_timer_s.into());
        self.config.slow_link_losses = tuning.slow_link_losses;
    }

    pub(super) fn open(&mut self, setup: PeerSetup) {
        let id = setup.peer;
        let transport = setup.transport;
        let mut agent = self.agent(id, &transport);
        if let Some(remote) = &transport.remote {
            agent.set_remote_credentials(self.now.instant, remote);
        }
        for candidate in &transport.candidates {
            let _ = agent.add_remote_candidate(candidate);
        }
        let former = self.peers.insert(Box::new(Peer {
            id,
            agent,
            failure: FailureTimer::new(self.config.hangup_on_failed),
            signalling: SignallingProgress {
                trickling_done: transport.end_of_candidates,
                answered: transport.remote.is_some(),
            },
            path: None,
            relay: None,
            addresses: Vec::new(),
            role: transport.dtls_role,
            fingerprint: transport.fingerprint,
            way: WayStatistics::default(),
            handshake: false,
            secured: false,
            data: None,
            keys: None,
            lines: Vec::new(),
            streams: Streams::default(),
            waiting: Waiting::default(),
            transport_seq: 0,
            reports: Reports::default(),
            unopened: 0,
            tapping: None,
            down: false,
            closing: false,
        }));
        debug_assert!(former.is_none(), "control gave a slot away twice");
        self.set_lines(id, &setup.lines);
        self.pump_ice(id.slot);
    }

    fn agent(&self, id: PeerId, transport: &Transport) -> Box<dyn IceAgent> {
        if self.config.ice_lite {
            return Box::new(LiteAgent::new(&transport.local, LITE_CONSENT));
        }
        Box::new(FullAgent::new(
            self.now.instant,
            &FullConfig {
                local: &transport.local,
                addresses: if transport.relay_only { &[] } else { &self.config.sockets },
                controlling: transport.controlling,
                tie_breaker: self.config.secret.rotate_left(17) ^ id.to_bits(),
            },
        ))
    }

    fn update(&mut self, id: PeerId, update: PeerUpdate) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        if let Some(local) = &update.local {
            peer.agent.restart(self.now.instant, local);
        }
        if let Some(remote) = &update.remote {
            peer.agent.set_remote_credentials(self.now.instant, remote);
            peer.signalling.answered = true;
        }
        for candidate in &update.candidates {
            let _ = peer.agent.add_remote_candidate(candidate);
        }
        peer.signalling.trickling_done =
            update.end_of_candidates || (peer.signalling.trickling_done && update.local.is_none());
        peer.role = peer.role.or(update.dtls_role);
        if let Some(fingerprint) = update.fingerprint {
            peer.fingerprint = Some(fingerprint);
            if peer.handshake {
                self.to_lane.push_back(ToLane::Fingerprint { peer: id, fingerprint });
            }
        }
        if let Some(lines) = &update.lines {
            self.set_lines(id, lines);
        }
        self.start_handshake(id.slot);
        self.pump_ice(id.slot);
    }

    /// Replaces a peer's line table; what goes on keeps its state.
    fn set_lines(&mut self, id: PeerId, lines: &[Line]) {
        let Some(peer) = self.peers.get(id) else { return };
        let gone: Vec<_> = peer
            .lines
            .iter()
            .map(|line| line.mindex)
            .filter(|have| !lines.iter().any(|line| line.mindex == *have))
            .collect();
        for mindex in gone {
            self.drop_source(SourceId::Line(id.line(mindex)));
            self.leave_source(id.slot, mindex);
            self.tell_silent(id, mindex);
            if let Some(peer) = self.peers.get_mut(id) {
                peer.streams.forget(mindex);
                if let Some(line) = peer.line_mut(mindex) {
                    line.retire();
                }
            }
        }
        for line in lines.iter().filter(|line| line.kind != MediaKind::Data) {
            self.set_line(id, line);
        }
        self.set_data_line(id, lines);
    }

    fn set_line(&mut self, id: PeerId, line: &Line) {
        let name = SourceId::Line(id.line(line.mindex));
        if line.send.is_none() {
            self.leave_source(id.slot, line.mindex);
        }
        if line.receive.is_none() {
            self.tell_silent(id, line.mindex);
        }
        // A source outlives an inactive spell of its line: routes stay, packets just do not come.
        let source = line.receive.is_some().then(|| self.sources.find_or_make(name, line.kind));
        let Some(peer) = self.peers.get_mut(id) else { return };
        match peer.line_mut(line.mindex) {
            Some(have) => have.renegotiate(line, source),
            None => {
                peer.lines.push(PeerLine::new(line, source));
                peer.lines.sort_by_key(|line| line.mindex);
            }
        }
        let Some(receive) = &line.receive else { return };
        for (layer, announced) in receive.layers.iter().take(3).enumerate() {
            let role = StreamRole { mindex: line.mindex, layer: layer as u8, rtx: false };
            peer.streams.set(announced.ssrc, role);
            if let Some(rtx) = announced.rtx {
                peer.streams.set(rtx, StreamRole { rtx: true, ..role });
            }
        }
    }

    /// A line will not be listened to any more: what was arriving on it has ceased.
    fn tell_silent(&mut self, id: PeerId, mindex: Mindex) {
        let line = self.peers.get_mut(id).and_then(|peer| peer.line_mut(mindex));
        let Some(receive) = line.and_then(|line| line.receive.as_mut()) else { return };
        let simulcast = receive.simulcast;
        for (substream, layer) in receive.layers.iter_mut().enumerate() {
            if std::mem::replace(&mut layer.receiving, false) {
                let substream = simulcast.then_some(substream as u8);
                let fact = Fact::Receiving { mindex, substream, receiving: false };
                self.events.push_back(ShardEvent::Fact { peer: id, fact });
            }
        }
    }

    fn close(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(id).filter(|peer| !peer.closing) else { return };
        let lines: Vec<_> = peer.lines.iter().map(|line| line.mindex).collect();
        for mindex in lines {
            self.leave_source(id.slot, mindex);
            self.drop_source(SourceId::Line(id.line(mindex)));
        }
        self.close_data(id);
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.keys = None;
        peer.closing = true;
        if peer.handshake {
            self.to_lane.push_back(ToLane::Close { peer: id });
        } else {
            self.forget(id);
        }
    }

    /// The last trace of a peer goes: after its close alert, if it had a handshake.
    pub(super) fn forget(&mut self, id: PeerId) {
        let Some(peer) = self.peers.remove(id) else { return };
        for (socket, from) in peer.addresses {
            self.addresses.remove(socket, from, id.slot);
        }
        self.gate.forget(id.slot);
        self.tell(ShardEvent::Closed { peer: id });
    }
}
