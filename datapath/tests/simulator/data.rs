//! Data channels in bad weather, between shards, and beside media.

use super::net::Conditions;
use super::spec::{AUDIO, Spec};
use super::world::World;
use bifrons_core::media::{
    DataCommand, DataEvent, DataKind, DataLine, DataMessage, DataPlan, Line, MediaKind,
    ShardCommand, ShardEvent, SinkId, SourceId,
};
use bifrons_core::rtp::Ssrc;
use std::time::Duration;

const LINE: DataLine = DataLine { remote_port: 5000, max_send: 262_144, max_receive: 262_144 };

/// The data line of every client here comes behind its media.
pub(crate) const MINDEX: u16 = 9;

fn data_line() -> Line {
    Line {
        mindex: MINDEX,
        mid: MINDEX.to_string().into(),
        kind: MediaKind::Data,
        ssrc: Ssrc(1),
        rtx_ssrc: None,
        receive: None,
        send: None,
        data: Some(LINE),
    }
}

impl World {
    /// A client with these lines and a data channel.
    pub(crate) fn join_with_data(&mut self, shard: usize, specs: &[Spec]) -> usize {
        let client = self.arrive(specs);
        self.clients[client].data_label = Some("mine");
        self.open_with(client, shard, specs, |setup| setup.lines.push(data_line()));
        client
    }

    fn data_plan(&mut self, shard: u8, plan: DataPlan) {
        self.command(shard.into(), ShardCommand::Data(DataCommand::Plan(plan)));
    }

    /// Messages of one client to another, under this label, as control does it.
    fn route_data(&mut self, from: usize, to: usize, label: &str) {
        let source = SourceId::Line(self.line(from, MINDEX));
        let sink = SinkId::Line(self.line(to, MINDEX));
        if source.shard() != sink.shard() {
            let export = DataCommand::Export { source, shard: sink.shard(), on: true };
            self.command(source.shard().into(), ShardCommand::Data(export));
        }
        self.data_plan(sink.shard(), DataPlan::Route { source, sink, label: Some(label.into()) });
    }

    pub(crate) fn say(&mut self, client: usize, binary: bool, bytes: &[u8]) -> bool {
        let now = self.now();
        let them = &mut self.clients[client];
        them.due = Some(now);
        them.say(binary, bytes)
    }

    /// What a plugin was given of a client's messages.
    fn delivered(&self, client: usize) -> Vec<DataMessage> {
        let peer = self.peer(client);
        let of = |event: &ShardEvent| match event {
            ShardEvent::Data(DataEvent::Message { peer: from, message }) if *from == peer => {
                Some((**message).clone())
            }
            _ => None,
        };
        self.events.iter().filter_map(|(_, event)| of(event)).collect()
    }

    fn send(&mut self, client: usize, message: DataMessage) {
        let peer = self.peer(client);
        let command = DataCommand::Send { peer, message: Box::new(message) };
        self.command(peer.shard.into(), ShardCommand::Data(command));
    }
}

#[test]
fn messages_go_to_the_plugin_and_back_in_bad_weather() {
    for seed in [1, 77, 4_711] {
        let mut world = World::new(seed, 1);
        let client = world.join_with_data(0, &[]);
        world.connect();
        world.run_for(Duration::from_secs(3));
        let storm = Conditions { loss: 100, duplicated: 20, delay_us: 20_000, jitter_us: 15_000 };
        (world.net.up, world.net.down) = (storm, storm);
        for n in 0..60u8 {
            let block = vec![n; 10 + usize::from(n) * 90];
            while !world.say(client, n % 2 == 0, &block) {
                world.run_for(Duration::from_millis(100));
            }
            world.run_for(Duration::from_millis(40));
        }
        world.run_for(Duration::from_secs(60));
        let came = world.delivered(client);
        let sizes: Vec<_> = came.iter().map(|message| message.bytes.len()).collect();
        assert_eq!(sizes, (0..60).map(|n| 10 + n * 90).collect::<Vec<_>>(), "seed {seed}");
        for (n, message) in came.into_iter().enumerate() {
            let kind = if n % 2 == 0 { DataKind::Binary } else { DataKind::Text };
            assert_eq!((&*message.label, message.kind), ("mine", kind));
            world.send(client, message);
        }
        let news = DataMessage { label: "ours".into(), ..DataMessage::text("hello") };
        world.send(client, news);
        world.run_for(Duration::from_secs(60));
        let heard = &world.clients[client].heard;
        assert_eq!(heard.iter().filter(|(_, label, ..)| label == "mine").count(), 60);
        let ours: Vec<_> = heard.iter().filter(|(_, label, ..)| label == "ours").collect();
        assert_eq!(ours.len(), 1, "a channel that the server opens");
        assert_eq!((ours[0].2, ours[0].3.as_slice()), (false, &b"hello"[..]));
    }
}

#[test]
fn a_source_fans_out_over_shards_without_control() {
    let mut world = World::new(5, 3);
    let source = world.join_with_data(0, &[]);
    let sinks = [0, 1, 1, 2].map(|shard| world.join_with_data(shard, &[]));
    for sink in sinks {
        world.route_data(source, sink, "feed");
    }
    let line = world.line(source, MINDEX);
    world.data_plan(0, DataPlan::Deliver { source: SourceId::Line(line), on: false });
    world.connect();
    world.run_for(Duration::from_secs(3));
    // Control is gone from here on.
    world.stalled_until_us = world.now_us + 30_000_000;
    for n in 0..50u8 {
        assert!(world.say(source, true, &vec![n; 3000]));
        world.run_for(Duration::from_millis(20));
    }
    world.run_for(Duration::from_secs(5));
    for sink in sinks {
        let heard = &world.clients[sink].heard;
        assert_eq!(heard.len(), 50, "sink {sink}");
        for (n, (_, label, binary, bytes)) in heard.iter().enumerate() {
            assert_eq!((label.as_str(), *binary), ("feed", true));
            assert_eq!(*bytes, vec![n as u8; 3000]);
        }
    }
    world.run_for(Duration::from_secs(30));
    assert!(world.delivered(source).is_empty(), "the plugin was not to see them");
}

#[test]
fn a_stalled_control_loses_no_message_and_holds_the_sender_back() {
    let mut world = World::new(6, 1);
    let client = world.join_with_data(0, &[]);
    world.connect();
    world.run_for(Duration::from_secs(3));
    world.stalled_until_us = world.now_us + 60_000_000;
    let (mut said, block) = (0, vec![3; 60_000]);
    for _ in 0..400 {
        said += usize::from(world.say(client, true, &block));
        world.run_for(Duration::from_millis(100));
    }
    // What shard, windows and the client's own buffer hold, not what it would have sent.
    assert!((130..180).contains(&said), "{said} messages of 60 kB");
    world.run_for(Duration::from_secs(40));
    let first = world.delivered(client);
    let weight = first.iter().map(DataMessage::weight).sum();
    world.command(0, ShardCommand::Data(DataCommand::Taken { weight }));
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.delivered(client).len(), said);
}

#[test]
fn media_go_on_beside_data_and_after_their_end() {
    let mut world = World::new(7, 2);
    let specs = [AUDIO];
    let source = world.join_with_data(0, &specs);
    let sink = world.join_with_data(1, &specs);
    world.route((source, 0), (sink, 0));
    world.route_data(source, sink, "feed");
    world.connect();
    world.run_for(Duration::from_secs(3));
    let before = world.clients[sink].got_on(0).len();
    for _ in 0..40 {
        world.say(source, true, &vec![9; 60_000]);
        world.run_for(Duration::from_millis(100));
    }
    let got = world.clients[sink].got_on(0);
    let gaps = got[before..].windows(2).map(|pair| pair[1].at_us - pair[0].at_us);
    assert!(got.len() - before >= 195, "{} audio packets in 4 s", got.len() - before);
    assert!(gaps.max() < Some(25_000), "audio is not held up by data");
    world.close(source);
    world.run_for(Duration::from_secs(2));
    assert!(world.closed_us(source).is_some());
    assert!(world.clients[source].died_us.is_some(), "the close alert came from the shard");
}
