//! Busy polling: how long a shard looks for packets before it sleeps.

use super::world::World;
use std::net::SocketAddr;
use std::time::Duration;

/// A shard alone, with or without busy polling, that sleeps at first.
fn lone(busy_poll: Duration) -> World {
    let mut world = World::with_config(1, 1, |config| config.busy_poll = busy_poll);
    world.now_us = 1_000_000;
    while world.turn_once(0).is_some_and(|wait| wait.is_zero()) {
        world.now_us += 1_000;
    }
    world
}

/// Noise arrives.
fn disturb(world: &mut World) {
    world.inject(0, SocketAddr::from(([10, 9, 9, 9], 9)), vec![0xff; 40]);
    world.turn_once(0);
}

#[test]
fn a_shard_looks_on_for_as_long_as_it_was_told_and_then_sleeps() {
    let mut world = lone(Duration::from_micros(300));
    disturb(&mut world);
    for _ in 0..3 {
        assert_eq!(world.turn_once(0), Some(Duration::ZERO));
        world.now_us += 99;
    }
    assert_eq!(world.turn_once(0), Some(Duration::ZERO));
    world.now_us += 99;
    world.turn_once(0);
    assert_ne!(world.turn_once(0), Some(Duration::ZERO), "nothing came for 300 us");
    disturb(&mut world);
    assert_eq!(world.turn_once(0), Some(Duration::ZERO), "it begins anew");
}

#[test]
fn a_shard_that_was_told_nothing_sleeps_at_once() {
    let mut world = lone(Duration::ZERO);
    disturb(&mut world);
    assert_ne!(world.turn_once(0), Some(Duration::ZERO));
}
