//! Plans: who gets what, changed between two packets (design §4).

use super::Shard;
use crate::forward::{SinkPlace, SourceKey};
use crate::handoff::Feedback;
use bifrons_core::media::{
    LineId, MediaKind, Mindex, PeerId, Plan, Route, SinkId, SourceId, SourcePolicy,
};

impl Shard {
    pub(super) fn plan(&mut self, plan: Plan) {
        match plan {
            Plan::Route { source, sink: SinkId::Line(sink), route } => {
                self.set_route(source, sink, route);
            }
            Plan::Route { source, sink: SinkId::Forwarder(sink), route } => {
                self.feed_forwarder(source, sink, route);
            }
            Plan::Unroute { sink: SinkId::Forwarder(sink) } => self.starve_forwarder(sink),
            Plan::Ingest { ingest, setup } => self.set_ingest(ingest, setup),
            Plan::Feed { port, ingest, carries } => self.feed_ingest(port, ingest, carries),
            Plan::EndIngest { ingest } => self.end_ingest(ingest),
            Plan::Forwarder { forwarder, setup } => self.set_forwarder(forwarder, &setup),
            Plan::Greet { port, to } => self.greetings.push((port, to)),
            Plan::EndForwarder { forwarder } => self.end_forwarder(forwarder),
            Plan::Unroute { sink: SinkId::Line(sink) } => {
                if self.peers.get(sink.peer).is_some() {
                    self.leave_source(sink.peer.slot, sink.mindex);
                }
            }
            Plan::Policy { source, policy } => {
                self.mute_messages(source, policy.muted);
                self.set_policy(source, policy);
            }
            Plan::Keyframe { source } => self.want_keyframe(source),
            Plan::Remb { peer, bps } => self.remb_now(peer, bps),
        }
    }

    fn set_route(&mut self, source: SourceId, sink: LineId, route: Route) {
        let place = SinkPlace { slot: sink.peer.slot, mindex: sink.mindex };
        let Some(kind) = self
            .peers
            .get(sink.peer)
            .and_then(|peer| peer.line(sink.mindex))
            .filter(|line| line.sink.is_some())
            .map(|line| line.kind)
        else {
            return;
        };
        let Some(key) = self.source_for(source, kind) else { return };
        let line = self.peers.get_mut(sink.peer).and_then(|peer| peer.line_mut(sink.mindex));
        let Some(sink) = line.and_then(|line| line.sink.as_mut()) else { return };
        let was_on = sink.source == Some(key) && sink.route.enabled;
        let left = sink.set_route(key, route);
        let begins = route.enabled && !was_on;
        if let Some(left) = left {
            self.unlist(left, place);
        }
        if let Some(source) = self.sources.get_mut(key)
            && !source.sinks.contains(&place)
        {
            source.sinks.push(place);
        }
        if begins && kind == MediaKind::Video {
            self.begin_bursts(place.slot);
            self.want_keyframe(source);
        }
    }

    /// The place of a source that is here, or of the local image of one elsewhere.
    pub(super) fn source_for(&mut self, id: SourceId, kind: MediaKind) -> Option<SourceKey> {
        if id.shard() == self.config.id {
            return self.sources.find(id);
        }
        Some(self.sources.find_or_make(id, kind))
    }

    /// Takes a sink off its sources; its sequence space stays.
    pub(super) fn leave_source(&mut self, slot: u32, mindex: Mindex) {
        let line = self.peers.at_mut(slot).and_then(|peer| peer.line_mut(mindex));
        let Some(sink) = line.and_then(|line| line.sink.as_mut()) else { return };
        let (source, pending) = sink.leave();
        for key in [source, pending].into_iter().flatten() {
            self.unlist(key, SinkPlace { slot, mindex });
        }
    }

    /// Strikes a sink from a source's list; the image of a far source goes with its last sink.
    pub(super) fn unlist(&mut self, key: SourceKey, place: SinkPlace) {
        let Some(source) = self.sources.get_mut(key) else { return };
        source.sinks.retain(|&have| have != place);
        let idle = source.sinks.is_empty() && source.forwarders.is_empty();
        if idle && source.id.shard() != self.config.id {
            self.sources.remove(key);
        }
    }

    /// After a keyframe let sinks change over: takes them off the sources they left.
    pub(super) fn settle_switches(&mut self, key: SourceKey) {
        let Some(source) = self.sources.get(key) else { return };
        let places = source.sinks.clone();
        for place in places {
            let line = self.peers.at_mut(place.slot).and_then(|peer| peer.line_mut(place.mindex));
            let left = line.and_then(|line| line.sink.as_mut()?.left.take());
            if let Some(left) = left {
                self.unlist(left, place);
            }
        }
    }

    /// A source of this shard is gone: its sinks are without one.
    pub(super) fn drop_source(&mut self, id: SourceId) {
        let Some(source) = self.sources.find(id).and_then(|key| self.sources.remove(key)) else {
            return;
        };
        for place in source.sinks {
            let line = self.peers.at_mut(place.slot).and_then(|peer| peer.line_mut(place.mindex));
            if let Some(sink) = line.and_then(|line| line.sink.as_mut()) {
                sink.lose(source.key);
            }
        }
        self.orphan_forwarders(source.key, &source.forwarders);
    }

    fn set_policy(&mut self, id: SourceId, policy: SourcePolicy) {
        let Some(source) = self.sources.find(id).and_then(|key| self.sources.get_mut(key)) else {
            return;
        };
        let lifted = source.policy.muted && !policy.muted;
        let muted = policy.muted && !source.policy.muted;
        source.policy = policy;
        source.talk.configure(policy.level_packets, policy.level_average);
        let video = source.kind == MediaKind::Video;
        source.export_resumes |= muted;
        if muted {
            self.pause_sinks(id);
        }
        if lifted && video {
            self.want_keyframe(id);
        }
        self.arm_keyframe_interval(id);
    }

    /// Tells a muted source's sinks that their sequence numbers will go on without a gap.
    pub(super) fn pause_sinks(&mut self, id: SourceId) {
        let Some(source) = self.sources.find(id).and_then(|key| self.sources.get(key)) else {
            return;
        };
        for place in &source.sinks {
            let line = self.peers.at_mut(place.slot).and_then(|peer| peer.line_mut(place.mindex));
            if let Some(sink) = line.and_then(|line| line.sink.as_mut()) {
                sink.continuity.pause();
            }
        }
        for &place in &source.forwarders {
            if let Some(forwarder) = self.forwarders.get_mut(place as usize) {
                forwarder.sink.continuity.pause();
            }
        }
    }

    pub(super) fn export(&mut self, id: SourceId, shard: u8, on: bool) {
        let Some(source) = self.sources.find(id).and_then(|key| self.sources.get_mut(key)) else {
            return;
        };
        source.exports.retain(|&have| have != shard);
        source.replays.retain(|&have| have != shard);
        if on && shard != self.config.id {
            source.exports.push(shard);
            if source.burst.buffer().is_on() {
                source.replays.push(shard);
            }
        }
    }

    /// Somebody needs a keyframe: asked of the sender here, or of the shard that has it.
    pub(super) fn want_keyframe(&mut self, id: SourceId) {
        if id.shard() != self.config.id {
            self.feedback.push((id.shard(), Feedback::Keyframe(id)));
            return;
        }
        let Some(source) = self.sources.find(id).and_then(|key| self.sources.get_mut(key)) else {
            return;
        };
        source.keyframes.want();
        match id {
            SourceId::Line(line) => self.timers.arm(line.peer.slot, self.now.us),
            SourceId::Ingest(ingest) => self.ask_ingest(ingest),
        }
    }

    /// A viewer came up: each of its videos begins with a keyframe.
    pub(super) fn want_keyframes_for(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(id) else { return };
        let keys: Vec<_> = peer
            .lines
            .iter()
            .filter(|line| line.kind == MediaKind::Video)
            .filter_map(|line| line.sink.as_ref()?.source)
            .collect();
        for key in keys {
            if let Some(id) = self.sources.get(key).map(|source| source.id) {
                self.want_keyframe(id);
            }
        }
    }
}
