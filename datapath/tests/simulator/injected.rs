//! Packets that helper threads inject instead of sockets.

use super::flow::{assert_continuous, assert_undisturbed};
use super::ports::{packet, vp8};
use super::rng::Rng;
use super::spec::VIDEO;
use super::world::World;
use bifrons_core::media::{
    Fact, IngestId, Plan, Route, ShardCommand, ShardEvent, SinkId, SourceId,
};
use std::time::Duration;

const INGEST: IngestId = IngestId { shard: 0, number: 1 };

fn view(world: &mut World, viewer: usize) {
    let sink = SinkId::Line(world.line(viewer, 0));
    let (source, route) = (SourceId::Ingest(INGEST), Route::default());
    let shard = usize::from(sink.shard());
    world.command(shard, ShardCommand::Plan(Plan::Route { source, sink, route }));
}

#[test]
fn an_injected_packet_goes_the_way_of_one_that_came_to_a_port() {
    let mut world = World::new(27, 2);
    let viewers = [world.join(0, &[VIDEO.receives()]), world.join(1, &[VIDEO.receives()])];
    world.ingest(INGEST, vp8(false));
    world.command(0, ShardCommand::Export { source: SourceId::Ingest(INGEST), shard: 1, on: true });
    viewers.iter().for_each(|viewer| view(&mut world, *viewer));
    world.connect();
    for number in 0..50u16 {
        let bytes = packet(9, number, 77, number.into(), number == 0);
        let injector = &mut world.nodes[0].injector;
        assert!(injector.put(INGEST, 0, &bytes) && injector.put(INGEST, 0, &bytes), "and a copy");
        injector.ring();
        world.run_for(Duration::from_millis(20));
    }
    for viewer in viewers {
        let client = &world.clients[viewer];
        assert_eq!(assert_continuous(client, 0, 0), 50);
    }
    world.run_for(Duration::from_secs(3));
    let told: Vec<_> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            ShardEvent::IngestFact { ingest: INGEST, fact } => Some(*fact),
            _ => None,
        })
        .collect();
    let fact = |receiving| Fact::Receiving { mindex: 0, substream: None, receiving };
    assert_eq!(told, [fact(true), fact(false)]);
}

#[test]
fn noise_and_packets_for_nobody_are_counted_and_harm_nobody() {
    let mut world = World::new(28, 1);
    let publisher = world.join(0, &[VIDEO.sends()]);
    let viewer = world.join(0, &[VIDEO.receives()]);
    world.route((publisher, 0), (viewer, 0));
    world.ingest(INGEST, vp8(true));
    world.connect();
    let before = world.counters();
    let mut rng = Rng::new(28);
    for _ in 0..200 {
        let injector = &mut world.nodes[0].injector;
        let mut bytes: Vec<u8> = (0..rng.below(1500)).map(|_| rng.next() as u8).collect();
        if rng.below(2) == 0 {
            bytes = packet(5, rng.next() as u16, 1, rng.next(), true);
            bytes.truncate(rng.below(130) as usize);
        }
        injector.put(INGEST, rng.below(5) as u8, &bytes);
        injector.put(IngestId { number: 99, ..INGEST }, 0, &packet(1, 1, 1, 1, true));
        injector.ring();
        world.run_for(Duration::from_millis(10));
    }
    assert!(assert_undisturbed(&world.clients[viewer], 0) > 200);
    let after = world.counters();
    assert_eq!(after.unmatched - before.unmatched, 200);
    assert!(after.stray - before.stray > 50);
}
