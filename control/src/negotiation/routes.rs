//! Plans on their way to shards: which shard each one is for, and which sources cross.
//!
//! A route goes to the shard of its sink. Where its source lives on another shard, that one is told
//! to export it, once for all the sinks there: one copy of a packet crosses, however many sinks
//! wait (design §3). A sink has one source at a time; while it switches at a keyframe it keeps its
//! former one too, until the shard says [`Fact::Switched`](bifrons_core::media::Fact).

use super::Shards;
use bifrons_core::media::{
    DataCommand, DataPlan, LineId, Mindex, PeerId, Plan, ShardCommand, SinkId, SourceId, SwitchRule,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Where a sink's packets come from.
#[derive(Clone, Copy, Debug)]
struct Feed {
    source: SourceId,
    /// What still flows until the switch.
    former: Option<SourceId>,
}

/// Who feeds whom.
#[derive(Debug, Default)]
pub(super) struct Routes {
    feeds: BTreeMap<SinkId, Feed>,
    /// Sinks by source and shard.
    exports: HashMap<SourceId, BTreeMap<u8, BTreeSet<SinkId>>>,
    /// As `exports`, of data: there a sink may have many sources.
    data: BTreeMap<SourceId, BTreeMap<u8, BTreeSet<SinkId>>>,
    /// The same by sink.
    data_sinks: BTreeMap<SinkId, BTreeSet<SourceId>>,
}

impl Routes {
    /// Sends a plan to the shards it concerns.
    pub(super) fn plan(&mut self, plan: Plan, shards: &mut dyn Shards) {
        let shard = match plan {
            Plan::Route { source, sink, route } => {
                self.feed(source, sink, route.switch, shards);
                sink.shard()
            }
            Plan::Unroute { sink } => {
                shards.send(sink.shard(), ShardCommand::Plan(plan));
                self.starve(sink, shards);
                return;
            }
            Plan::Policy { source, .. } | Plan::Keyframe { source } => source.shard(),
            Plan::Remb { peer, .. } => peer.shard,
            Plan::Ingest { ingest, .. } | Plan::Feed { ingest, .. } => ingest.shard,
            Plan::Forwarder { forwarder, .. } => forwarder.shard,
            Plan::Greet { port, .. } => port.shard,
            Plan::EndIngest { ingest } => {
                shards.send(ingest.shard, ShardCommand::Plan(plan));
                let source = SourceId::Ingest(ingest);
                self.end(source, shards);
                self.end_data(source, shards);
                return;
            }
            Plan::EndForwarder { forwarder } => {
                shards.send(forwarder.shard, ShardCommand::Plan(plan));
                let sink = SinkId::Forwarder(forwarder);
                self.starve(sink, shards);
                self.starve_data(sink, shards);
                return;
            }
        };
        shards.send(shard, ShardCommand::Plan(plan));
    }

    /// Sends a plan about data to the shards it concerns.
    pub(super) fn plan_data(&mut self, plan: DataPlan, shards: &mut dyn Shards) {
        let shard = match &plan {
            DataPlan::Route { source, sink, .. } => {
                self.join(*source, *sink, shards);
                sink.shard()
            }
            DataPlan::Unroute { source, sink } => {
                let (source, sink) = (*source, *sink);
                shards.send(sink.shard(), ShardCommand::Data(DataCommand::Plan(plan)));
                self.part(source, sink, shards);
                return;
            }
            DataPlan::Deliver { source, .. } => source.shard(),
        };
        shards.send(shard, ShardCommand::Data(DataCommand::Plan(plan)));
    }

    fn join(&mut self, source: SourceId, sink: SinkId, shards: &mut dyn Shards) {
        self.data_sinks.entry(sink).or_default().insert(source);
        let sinks = self.data.entry(source).or_default().entry(sink.shard()).or_default();
        let is_first = sinks.is_empty();
        sinks.insert(sink);
        if is_first {
            export_data(source, sink.shard(), true, shards);
        }
    }

    fn part(&mut self, source: SourceId, sink: SinkId, shards: &mut dyn Shards) {
        if let Some(sources) = self.data_sinks.get_mut(&sink) {
            sources.remove(&source);
            if sources.is_empty() {
                self.data_sinks.remove(&sink);
            }
        }
        let Some(by_shard) = self.data.get_mut(&source) else { return };
        let Some(sinks) = by_shard.get_mut(&sink.shard()) else { return };
        if !sinks.remove(&sink) || !sinks.is_empty() {
            return;
        }
        by_shard.remove(&sink.shard());
        if by_shard.is_empty() {
            self.data.remove(&source);
        }
        export_data(source, sink.shard(), false, shards);
    }

    /// A source of data is gone: its shard knows, but other shards hold images of it.
    fn end_data(&mut self, source: SourceId, shards: &mut dyn Shards) {
        let by_shard = self.data.get(&source);
        let sinks: Vec<SinkId> =
            by_shard.into_iter().flat_map(BTreeMap::values).flatten().copied().collect();
        for sink in sinks {
            self.plan_data(DataPlan::Unroute { source, sink }, shards);
        }
    }

    /// A sink of data is gone.
    fn starve_data(&mut self, sink: SinkId, shards: &mut dyn Shards) {
        let sources: Vec<SourceId> =
            self.data_sinks.get(&sink).into_iter().flatten().copied().collect();
        for source in sources {
            self.plan_data(DataPlan::Unroute { source, sink }, shards);
        }
    }

    /// A peer is gone, with its data lines.
    fn forget_data(&mut self, peer: PeerId, shards: &mut dyn Shards) {
        let (first, last) = (line(peer, 0), line(peer, Mindex::MAX));
        let sources = self.data.range(SourceId::Line(first)..=SourceId::Line(last));
        let sources: Vec<SourceId> = sources.map(|(source, _)| *source).collect();
        for source in sources {
            self.end_data(source, shards);
        }
        let sinks = self.data_sinks.range(SinkId::Line(first)..=SinkId::Line(last));
        let sinks: Vec<SinkId> = sinks.map(|(sink, _)| *sink).collect();
        for sink in sinks {
            self.starve_data(sink, shards);
        }
    }

    /// The sink's switch took place: its former source is not needed for it any more.
    pub(super) fn switched(&mut self, sink: SinkId, shards: &mut dyn Shards) {
        let former = self.feeds.get_mut(&sink).and_then(|feed| feed.former.take());
        if let Some(former) = former {
            self.release(former, sink, shards);
        }
    }

    /// A peer is gone, with its sources and sinks.
    pub(super) fn forget(&mut self, peer: PeerId, shards: &mut dyn Shards) {
        self.forget_data(peer, shards);
        let lines = || line(peer, 0)..=line(peer, Mindex::MAX);
        let (first, last) = lines().into_inner();
        let sinks: Vec<SinkId> = self
            .feeds
            .range(SinkId::Line(first)..=SinkId::Line(last))
            .map(|(sink, _)| *sink)
            .collect();
        for sink in sinks {
            self.starve(sink, shards);
        }
        let is_its = |source: &SourceId| matches!(source, SourceId::Line(id) if id.peer == peer);
        let sources: Vec<_> =
            self.exports.keys().filter(|source| is_its(source)).copied().collect();
        for source in sources {
            self.end(source, shards);
        }
    }

    fn feed(&mut self, source: SourceId, sink: SinkId, rule: SwitchRule, shards: &mut dyn Shards) {
        self.want(source, sink, shards);
        let Some(feed) = self.feeds.get_mut(&sink) else {
            self.feeds.insert(sink, Feed { source, former: None });
            return;
        };
        if feed.source == source {
            return;
        }
        let replaced = std::mem::replace(&mut feed.source, source);
        // Of several switches in a row, the source that still flows is the oldest.
        let (kept, dropped) = match (rule, feed.former) {
            (_, Some(former)) if former == source => (None, [Some(replaced), None]),
            (SwitchRule::AtKeyframe, None) => (Some(replaced), [None, None]),
            (SwitchRule::AtKeyframe, former) => (former, [Some(replaced), None]),
            (SwitchRule::Now, former) => (None, [Some(replaced), former]),
        };
        feed.former = kept;
        for dropped in dropped.into_iter().flatten() {
            self.release(dropped, sink, shards);
        }
    }

    fn starve(&mut self, sink: SinkId, shards: &mut dyn Shards) {
        let Some(feed) = self.feeds.remove(&sink) else { return };
        for source in [Some(feed.source), feed.former].into_iter().flatten() {
            self.release(source, sink, shards);
        }
    }

    fn want(&mut self, source: SourceId, sink: SinkId, shards: &mut dyn Shards) {
        let sinks = self.exports.entry(source).or_default().entry(sink.shard()).or_default();
        let is_first = sinks.is_empty();
        sinks.insert(sink);
        if is_first && source.shard() != sink.shard() {
            let export = ShardCommand::Export { source, shard: sink.shard(), on: true };
            shards.send(source.shard(), export);
        }
    }

    fn release(&mut self, source: SourceId, sink: SinkId, shards: &mut dyn Shards) {
        let Some(by_shard) = self.exports.get_mut(&source) else { return };
        let Some(sinks) = by_shard.get_mut(&sink.shard()) else { return };
        if !sinks.remove(&sink) || !sinks.is_empty() {
            return;
        }
        by_shard.remove(&sink.shard());
        if by_shard.is_empty() {
            self.exports.remove(&source);
        }
        if source.shard() != sink.shard() {
            let export = ShardCommand::Export { source, shard: sink.shard(), on: false };
            shards.send(source.shard(), export);
        }
    }

    /// A source ended. Its own shard knows; the others have to be told, for their sinks.
    fn end(&mut self, source: SourceId, shards: &mut dyn Shards) {
        let Some(by_shard) = self.exports.remove(&source) else { return };
        for sink in by_shard.into_values().flatten() {
            let Some(feed) = self.feeds.get_mut(&sink) else { continue };
            if feed.former == Some(source) {
                feed.former = None;
                continue;
            }
            if feed.source != source {
                continue;
            }
            let former = feed.former;
            self.feeds.remove(&sink);
            if let Some(former) = former {
                self.release(former, sink, shards);
            }
            if source.shard() != sink.shard() {
                shards.send(sink.shard(), ShardCommand::Plan(Plan::Unroute { sink }));
            }
        }
    }

    /// How many sinks are fed.
    pub(super) fn len(&self) -> usize {
        self.feeds.len()
    }
}

fn export_data(source: SourceId, shard: u8, on: bool, shards: &mut dyn Shards) {
    if source.shard() != shard {
        let export = DataCommand::Export { source, shard, on };
        shards.send(source.shard(), ShardCommand::Data(export));
    }
}

fn line(peer: PeerId, mindex: Mindex) -> LineId {
    LineId { peer, mindex }
}
