//! Messages of data channels that come in by ports and leave as datagrams.

use super::data::MINDEX;
use super::world::World;
use bifrons_core::media::{
    Carries, DataCommand, DataKind, DataPlan, ForwardSsrc, ForwarderId, ForwarderSetup, IngestId,
    IngestSetup, MediaKind, MessageRule, Plan, PortId, ShardCommand, SinkId, SourceId,
    SourcePolicy,
};
use bifrons_core::rtp::Ssrc;
use std::net::SocketAddr;
use std::time::Duration;

const INGEST: IngestId = IngestId { shard: 0, number: 7 };
const SOURCE: SourceId = SourceId::Ingest(INGEST);
const SECOND: Duration = Duration::from_secs(1);

fn setup(kind: DataKind, keep_last: bool) -> IngestSetup {
    let message = MessageRule { kind, keep_last };
    IngestSetup { message, ..IngestSetup::new(MediaKind::Data, None, 1000) }
}

impl World {
    /// A data ingest on shard 0 and the address of its port.
    fn listen(&mut self, setup: IngestSetup, carries: Carries, open: Option<u8>) -> SocketAddr {
        let port = PortId { shard: 0, number: 5 };
        let at = self.open_port(port, open);
        self.ingest(INGEST, setup);
        self.command(0, ShardCommand::Plan(Plan::Feed { port, ingest: INGEST, carries }));
        at
    }

    fn join_data(&mut self, source: SourceId, sink: SinkId, label: &str) {
        if source.shard() != sink.shard() {
            let export = DataCommand::Export { source, shard: sink.shard(), on: true };
            self.command(source.shard().into(), ShardCommand::Data(export));
        }
        let label = Some(label.into());
        let plan = DataPlan::Route { source, sink, label };
        self.command(sink.shard().into(), ShardCommand::Data(DataCommand::Plan(plan)));
    }

    fn listens(&mut self, client: usize, label: &str) {
        let sink = SinkId::Line(self.line(client, MINDEX));
        self.join_data(SOURCE, sink, label);
    }

    fn mute(&mut self, source: SourceId, muted: bool) {
        let policy = SourcePolicy { muted, ..SourcePolicy::default() };
        let plan = Plan::Policy { source, policy };
        self.command(source.shard().into(), ShardCommand::Plan(plan));
    }

    fn heard(&self, client: usize) -> Vec<(&str, bool, &[u8])> {
        let heard = self.clients[client].heard.iter();
        heard.map(|(_, label, binary, bytes)| (label.as_str(), *binary, bytes.as_slice())).collect()
    }
}

#[test]
fn each_datagram_is_a_message_on_every_shard() {
    let mut world = World::new(31, 3);
    let at = world.listen(setup(DataKind::Text, false), Carries::Layer(0), None);
    let wire = world.wire(None);
    let sinks = [0, 1, 1, 2].map(|shard| world.join_with_data(shard, &[]));
    sinks.iter().for_each(|sink| world.listens(*sink, "news"));
    world.connect();
    world.run_for(3 * SECOND);
    // Control is gone from here on.
    world.stalled_until_us = world.now_us + 8_000_000;
    let texts: Vec<String> = (0..50).map(|n| format!("number {n}")).collect();
    for text in &texts {
        world.send_from(wire, at, text.as_bytes());
        world.run_for(Duration::from_millis(20));
    }
    world.send_from(wire, at, b"");
    world.run_for(2 * SECOND);
    let want: Vec<_> = texts.iter().map(|text| ("news", false, text.as_bytes())).collect();
    for sink in sinks {
        assert_eq!(world.heard(sink), want, "sink {sink}");
    }
    world.run_for(5 * SECOND);
    world.mute(SOURCE, true);
    world.run_for(SECOND);
    world.send_from(wire, at, b"muted");
    world.run_for(SECOND);
    world.mute(SOURCE, false);
    world.run_for(SECOND);
    world.send_from(wire, at, b"free");
    world.run_for(SECOND);
    for sink in sinks {
        assert_eq!(world.heard(sink)[50..], [("news", false, &b"free"[..])]);
    }
    world.command(0, ShardCommand::Plan(Plan::EndIngest { ingest: INGEST }));
    world.run_for(SECOND);
    world.send_from(wire, at, b"after the end");
    world.run_for(SECOND);
    assert_eq!(world.heard(sinks[0]).len(), 51);
}

#[test]
fn what_is_kept_is_the_first_that_a_newcomer_hears() {
    let mut world = World::new(32, 2);
    let at = world.listen(setup(DataKind::Binary, true), Carries::Layer(0), None);
    let wire = world.wire(None);
    for bytes in [b"old", b"new"] {
        world.send_from(wire, at, bytes);
        world.run_for(Duration::from_millis(50));
    }
    // One is there before its source, one joins a source that spoke; on both shards.
    let sinks = [0, 1].map(|shard| world.join_with_data(shard, &[]));
    world.listens(sinks[0], "a");
    world.listens(sinks[1], "b");
    world.connect();
    world.run_for(3 * SECOND);
    assert_eq!(world.heard(sinks[0]), [("a", true, &b"new"[..])]);
    assert_eq!(world.heard(sinks[1]), [("b", true, &b"new"[..])]);
    let late = [0, 1].map(|shard| world.join_with_data(shard, &[]));
    world.connect_only(&late);
    world.run_for(3 * SECOND);
    world.send_from(wire, at, b"newest");
    world.run_for(SECOND);
    late.iter().for_each(|sink| world.listens(*sink, "late"));
    world.run_for(3 * SECOND);
    for sink in late {
        assert_eq!(world.heard(sink), [("late", true, &b"newest"[..])], "sink {sink}");
    }
    for (sink, label) in sinks.into_iter().zip(["a", "b"]) {
        let want = [(label, true, &b"new"[..]), (label, true, &b"newest"[..])];
        assert_eq!(world.heard(sink), want, "those who heard it hear it once");
    }
}

#[test]
fn more_datagrams_than_there_is_room_for_are_counted() {
    let mut world = World::new(33, 1);
    let at = world.listen(setup(DataKind::Text, false), Carries::Layer(0), None);
    let wire = world.wire(None);
    let sink = world.join_with_data(0, &[]);
    world.listens(sink, "flood");
    world.connect();
    world.run_for(3 * SECOND);
    let before = world.counters().shed;
    for _ in 0..4000 {
        world.send_from(wire, at, &[7; 1200]);
    }
    world.run_for(20 * SECOND);
    let shed = (world.counters().shed - before) as usize;
    let heard = world.heard(sink).len();
    assert_eq!(heard + shed, 4000, "each is heard or counted");
    assert!(heard > 500 && shed > 500, "{heard} heard, {shed} shed");
}

#[test]
fn each_message_is_a_datagram_from_any_shard() {
    let mut world = World::new(34, 2);
    world.open_port(PortId { shard: 0, number: 0 }, None);
    let source = world.join_with_data(1, &[]);
    let (bare, between) = (world.wire(None), world.wire(None));
    let line = SourceId::Line(world.line(source, MINDEX));
    for (number, wire, ssrc) in
        [(1, bare, ForwardSsrc::Source), (2, between, ForwardSsrc::Layered(Ssrc(1020)))]
    {
        let forwarder = ForwarderId { shard: 0, number };
        let setup = ForwarderSetup {
            kind: MediaKind::Data,
            to: world.wires[wire].address,
            from: None,
            ssrc,
            layer: None,
            continuous: false,
            key: None,
            rtcp: None,
        };
        world.command(0, ShardCommand::Plan(Plan::Forwarder { forwarder, setup }));
        world.join_data(line, SinkId::Forwarder(forwarder), "unused");
    }
    world.connect();
    world.run_for(3 * SECOND);
    let said = [(false, &b"a text"[..]), (true, &[5; 4000]), (true, &[0, 1])];
    for (binary, bytes) in said {
        assert!(world.say(source, binary, bytes));
        world.run_for(SECOND);
    }
    world.mute(line, true);
    world.run_for(SECOND);
    assert!(world.say(source, false, b"muted"));
    world.run_for(SECOND);
    let got = |wire: usize| world.wires[wire].got.iter().map(|got| got.2.clone());
    let bodies: Vec<_> = said.iter().map(|(_, bytes)| bytes.to_vec()).collect();
    assert_eq!(got(bare).collect::<Vec<_>>(), bodies);
    let behind = got(between).zip(said);
    assert_eq!(behind.len(), 3);
    for (datagram, (binary, bytes)) in behind {
        assert_eq!(datagram[..2], [0x80, u8::from(binary)]);
        assert_eq!(datagram[8..12], 1020u32.to_be_bytes());
        assert_eq!(datagram[12..], bytes[..bytes.len().min(1488)]);
    }
}

#[test]
fn messages_between_servers_share_a_port_with_sealed_media() {
    let mut world = World::new(35, 1);
    let at = world.listen(setup(DataKind::Text, false), Carries::Ssrcs(Ssrc(1010)), Some(3));
    let wire = world.wire(None);
    let sink = world.join_with_data(0, &[]);
    world.listens(sink, "77");
    world.connect();
    world.run_for(3 * SECOND);
    let packet = |ssrc: u32, pt: u8, body: &[u8]| {
        let mut bytes = vec![0x80, pt, 0, 0, 0, 0, 0, 0];
        bytes.extend(ssrc.to_be_bytes());
        bytes.extend(body);
        bytes
    };
    let stray = world.counters().stray;
    for bytes in [
        packet(1010, 0, b"text"),
        packet(1010, 1, b"binary"),
        packet(1000, 96, b"media that is not sealed"),
        b"noise".to_vec(),
    ] {
        world.send_from(wire, at, &bytes);
        world.run_for(Duration::from_millis(100));
    }
    let want = [("77", false, &b"text"[..]), ("77", true, b"binary")];
    assert_eq!(world.heard(sink), want);
    assert_eq!(world.counters().stray - stray, 2);
}
