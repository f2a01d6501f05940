//! Plans, and the sources that have to cross between shards for them.

use super::*;
use bifrons_core::media::{
    DataCommand, DataPlan, DownReason, Fact, ForwarderId, IngestId, Plan, Route, SinkId, SourceId,
    SwitchRule,
};

/// A publisher on shard 0, and viewers' sinks on the shards named.
struct Stage {
    bench: Bench,
    peers: Vec<PeerId>,
}

const fn handle(index: usize) -> HandleKey {
    HandleKey(10 + index as u64)
}

impl Stage {
    fn new(shards: usize, peers: usize) -> Self {
        let mut bench = Bench::new(shards);
        for index in 0..peers {
            bench.negotiation.attached(handle(index), 1000 + index as u64, None);
            bench.connect(handle(index), CHROMIUM);
        }
        bench.sent();
        let peers = (0..peers).map(|index| bench.peer(handle(index))).collect();
        Stage { bench, peers }
    }

    fn source(&self, peer: usize) -> SourceId {
        SourceId::Line(self.peers[peer].line(1))
    }

    fn sink(&self, peer: usize) -> SinkId {
        SinkId::Line(self.peers[peer].line(1))
    }

    fn route(&mut self, from: usize, to: usize, switch: SwitchRule) -> Vec<String> {
        let route = Route { switch, ..Route::default() };
        let (source, sink) = (self.source(from), self.sink(to));
        self.bench.negotiation.plan(Plan::Route { source, sink, route });
        self.told()
    }

    fn join(&mut self, source: SourceId, sink: SinkId) -> Vec<String> {
        self.bench.negotiation.plan_data(DataPlan::Route { source, sink, label: None });
        self.told()
    }

    fn unroute(&mut self, to: usize) -> Vec<String> {
        let sink = self.sink(to);
        self.bench.negotiation.plan(Plan::Unroute { sink });
        self.told()
    }

    /// `shard: what`, in short words.
    fn told(&self) -> Vec<String> {
        let word = |(to, command)| match command {
            ShardCommand::Plan(Plan::Route { .. }) => format!("{to}: route"),
            ShardCommand::Plan(Plan::Unroute { .. }) => format!("{to}: unroute"),
            ShardCommand::Plan(Plan::Policy { .. }) => format!("{to}: policy"),
            ShardCommand::Plan(Plan::Keyframe { .. }) => format!("{to}: keyframe"),
            ShardCommand::Plan(Plan::Remb { .. }) => format!("{to}: remb"),
            ShardCommand::Export { source, shard, on } => {
                let SourceId::Line(line) = source else { panic!("{source:?}") };
                let publisher = self.peers.iter().position(|peer| *peer == line.peer).unwrap();
                format!("{to}: {} {publisher} to {shard}", if on { "export" } else { "keep" })
            }
            ShardCommand::Data(DataCommand::Plan(DataPlan::Route { .. })) => format!("{to}: join"),
            ShardCommand::Data(DataCommand::Plan(DataPlan::Unroute { .. })) => {
                format!("{to}: part")
            }
            ShardCommand::Data(DataCommand::Export { shard, on, .. }) => {
                format!("{to}: {} data to {shard}", if on { "export" } else { "keep" })
            }
            ShardCommand::Plan(Plan::EndForwarder { .. }) => format!("{to}: end"),
            ShardCommand::Plan(Plan::EndIngest { .. }) => format!("{to}: end"),
            ShardCommand::Close { .. } => format!("{to}: close"),
            other => panic!("not expected here: {other:?}"),
        };
        self.bench.sent().into_iter().map(word).collect()
    }
}

#[test]
fn one_copy_crosses_for_all_the_sinks_of_a_shard() {
    // Peers 0 and 2 are on shard 0, peers 1 and 3 on shard 1.
    let mut stage = Stage::new(2, 4);
    assert_eq!(stage.route(0, 2, SwitchRule::Now), ["0: route"]);
    assert_eq!(stage.route(0, 1, SwitchRule::Now), ["0: export 0 to 1", "1: route"]);
    assert_eq!(stage.route(0, 3, SwitchRule::Now), ["1: route"]);
    assert_eq!(stage.route(0, 3, SwitchRule::Now), ["1: route"], "new rules, same source");
    assert_eq!(stage.unroute(1), ["1: unroute"]);
    assert_eq!(stage.unroute(1), ["1: unroute"], "twice does no harm");
    assert_eq!(stage.unroute(3), ["1: unroute", "0: keep 0 to 1"]);
    assert_eq!(stage.unroute(2), ["0: unroute"]);
    assert_eq!(stage.bench.negotiation.fed_sinks(), 0);
}

#[test]
fn a_switch_at_a_keyframe_keeps_the_former_source_until_then() {
    let mut stage = Stage::new(2, 4);
    stage.route(0, 1, SwitchRule::Now);
    let switched = stage.route(2, 1, SwitchRule::AtKeyframe);
    assert_eq!(switched, ["0: export 2 to 1", "1: route"]);
    let SinkId::Line(sink) = stage.sink(1) else { panic!("a line") };
    let peer = stage.peers[1];
    stage.bench.say(ShardEvent::Fact { peer, fact: Fact::Switched { sink } });
    assert_eq!(stage.told(), ["0: keep 0 to 1"]);
    // A switch that takes effect at once lets go at once.
    assert_eq!(
        stage.route(0, 1, SwitchRule::Now),
        ["0: export 0 to 1", "0: keep 2 to 1", "1: route"]
    );
}

#[test]
fn switching_back_before_the_keyframe_lets_the_other_go() {
    let mut stage = Stage::new(2, 4);
    stage.route(0, 1, SwitchRule::Now);
    stage.route(2, 1, SwitchRule::AtKeyframe);
    assert_eq!(stage.route(0, 1, SwitchRule::AtKeyframe), ["0: keep 2 to 1", "1: route"]);
    let SinkId::Line(sink) = stage.sink(1) else { panic!("a line") };
    let peer = stage.peers[1];
    stage.bench.say(ShardEvent::Fact { peer, fact: Fact::Switched { sink } });
    assert!(stage.told().is_empty(), "the source that flows is still wanted");
    assert_eq!(stage.unroute(1), ["1: unroute", "0: keep 0 to 1"]);
}

#[test]
fn a_viewer_that_leaves_lets_go_of_what_it_saw() {
    let mut stage = Stage::new(2, 2);
    stage.route(0, 1, SwitchRule::Now);
    stage.bench.negotiation.hangup(handle(1), DownReason::JanusApi);
    assert_eq!(stage.told(), ["0: keep 0 to 1", "1: close"]);
    assert_eq!(stage.bench.negotiation.fed_sinks(), 0);
}

#[test]
fn a_publisher_that_leaves_takes_its_routes_along() {
    let mut stage = Stage::new(2, 4);
    stage.route(0, 1, SwitchRule::Now);
    stage.route(0, 2, SwitchRule::Now);
    stage.route(0, 3, SwitchRule::Now);
    stage.route(2, 3, SwitchRule::AtKeyframe);
    stage.told();
    stage.bench.negotiation.hangup(handle(0), DownReason::JanusApi);
    // Its own shard knows by itself; sink 3 was about to see another one and goes on.
    assert_eq!(stage.told(), ["1: unroute", "0: close"]);
    assert_eq!(stage.bench.negotiation.fed_sinks(), 1);
    assert_eq!(stage.unroute(3), ["1: unroute", "0: keep 2 to 1"]);
}

#[test]
fn plans_about_sources_and_peers_go_to_their_shard() {
    let mut stage = Stage::new(2, 2);
    let (source, peer) = (stage.source(1), stage.peers[1]);
    stage.bench.negotiation.plan(Plan::Policy { source, policy: Default::default() });
    stage.bench.negotiation.plan(Plan::Keyframe { source });
    stage.bench.negotiation.plan(Plan::Remb { peer, bps: 100_000 });
    assert_eq!(stage.told(), ["1: policy", "1: keyframe", "1: remb"]);
}

#[test]
fn data_have_many_sources_and_end_with_either_side() {
    let mut stage = Stage::new(2, 4);
    let (one, two) = (stage.source(0), stage.source(2));
    let far = stage.sink(1);
    assert_eq!(stage.join(one, far), ["0: export data to 1", "1: join"]);
    assert_eq!(stage.join(two, far), ["0: export data to 1", "1: join"]);
    assert_eq!(stage.join(one, stage.sink(3)), ["1: join"]);
    let forwarder = ForwarderId { shard: 1, number: 4 };
    assert_eq!(stage.join(two, SinkId::Forwarder(forwarder)), ["1: join"]);
    stage.bench.negotiation.plan(Plan::EndForwarder { forwarder });
    assert_eq!(stage.told(), ["1: end", "1: part"]);
    stage.bench.negotiation.hangup(handle(1), DownReason::JanusApi);
    assert_eq!(stage.told(), ["1: part", "1: part", "0: keep data to 1", "1: close"]);
    stage.bench.negotiation.hangup(handle(0), DownReason::JanusApi);
    assert_eq!(stage.told(), ["1: part", "0: keep data to 1", "0: close"]);
    let ingest = IngestId { shard: 0, number: 9 };
    let source = SourceId::Ingest(ingest);
    assert_eq!(stage.join(source, stage.sink(3)), ["0: export data to 1", "1: join"]);
    stage.bench.negotiation.plan(Plan::EndIngest { ingest });
    assert_eq!(stage.told(), ["0: end", "1: part", "0: keep data to 1"]);
}
