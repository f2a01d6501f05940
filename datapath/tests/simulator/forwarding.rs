//! Media from one client to others, on one shard and over two.

use super::flow::assert_undisturbed;
use super::spec::{AUDIO, VIDEO};
use super::world::World;
use std::time::Duration;

#[test]
fn a_lone_client_hears_and_sees_itself() {
    let mut world = World::new(1, 1);
    let me = world.join(0, &[AUDIO, VIDEO]);
    world.route((me, 0), (me, 0));
    world.route((me, 1), (me, 1));
    world.connect();
    world.run_for(Duration::from_secs(5));
    let me = &world.clients[me];
    assert!(assert_undisturbed(me, 0) > 5 * 45, "50 audio packets a second");
    assert!(assert_undisturbed(me, 1) > 5 * 110, "30 frames of 4 packets a second");
}

#[test]
fn a_publisher_reaches_three_subscribers_of_its_shard() {
    let mut world = World::new(2, 1);
    publish_to_three(&mut world, [0; 3]);
}

#[test]
fn plugin_api_17_a_publisher_reaches_subscribers_on_other_shards_in_order() {
    let mut world = World::new(3, 3);
    publish_to_three(&mut world, [0, 1, 2]);
}

fn publish_to_three(world: &mut World, shards: [usize; 3]) {
    let publisher = world.join(0, &[AUDIO.sends(), VIDEO.sends()]);
    let viewers = shards.map(|shard| world.join(shard, &[AUDIO.receives(), VIDEO.receives()]));
    for viewer in viewers {
        for mindex in [0, 1] {
            world.route((publisher, mindex), (viewer, mindex));
        }
    }
    world.connect();
    world.run_for(Duration::from_secs(5));
    for viewer in viewers {
        let viewer = &world.clients[viewer];
        assert!(assert_undisturbed(viewer, 0) > 5 * 45, "50 audio packets a second");
        assert!(assert_undisturbed(viewer, 1) > 5 * 110, "30 frames of 4 packets a second");
        assert!(viewer.got_on(1).iter().all(|got| got.author == publisher as u32));
    }
    assert_eq!(world.counters().shed, 0);
}
