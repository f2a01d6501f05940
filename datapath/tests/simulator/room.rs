//! A room of eight in bad weather: everybody publishes and watches the other seven, over two
//! shards, while datagrams are lost, overtaken and repeated and control goes missing for a second.

use super::flow::assert_continuous;
use super::net::Conditions;
use super::rng::{Seeded, seeds};
use super::spec::{AUDIO, Spec, VIDEO};
use super::world::World;
use bifrons_datapath::shard::Coalescing;
use std::time::Duration;

/// Seeds every change is tested with; what a search finds is added here.
const SEEDS: [u64; 4] = [1, 2, 3, 0xb1f2];

const MEMBERS: usize = 8;
const SECOND_US: u64 = 1_000_000;

const WEATHER: Conditions =
    Conditions { loss: 50, duplicated: 10, delay_us: 15_000, jitter_us: 20_000 };

/// The line on which a member watches another: audio, and video behind it.
fn watching(me: usize, other: usize) -> u16 {
    let place = if other < me { other } else { other - 1 };
    2 + 2 * place as u16
}

fn room(seed: u64, video: Spec, coalescing: Coalescing) -> World {
    let mut world = World::with_config(seed, 2, |config| config.coalescing = coalescing);
    (world.net.up, world.net.down) = (WEATHER, WEATHER);
    let mut specs = vec![AUDIO.sends(), video.sends()];
    for _ in 1..MEMBERS {
        specs.extend([AUDIO.receives(), video.receives()]);
    }
    for member in 0..MEMBERS {
        world.join(member % 2, &specs);
        let camera = &mut world.clients[member].cameras[1];
        (camera.frame_packets, camera.period_us) = (3, 66_667);
    }
    for me in 0..MEMBERS {
        for other in (0..MEMBERS).filter(|&other| other != me) {
            let line = watching(me, other);
            world.route((other, 0), (me, line));
            world.route((other, 1), (me, line + 1));
        }
    }
    world.connect();
    world
}

/// Runs the room, and returns it with the bounds of the second in which control was absent.
fn run(seed: u64, video: Spec, coalescing: Coalescing) -> (World, std::ops::Range<u64>) {
    let mut world = room(seed, video, coalescing);
    world.run_for(Duration::from_secs(2));
    let stall = world.now_us..world.now_us + SECOND_US;
    world.stalled_until_us = stall.end;
    world.run_for(Duration::from_secs(3));
    for client in &mut world.clients {
        client.cameras.iter_mut().for_each(|camera| camera.on = false);
    }
    // What was asked for again still comes.
    world.run_for(Duration::from_secs(1));
    (world, stall)
}

/// Packets of all video streams that came, and that never came.
fn assert_room(world: &World, stall: &std::ops::Range<u64>) -> (u64, u64) {
    let (mut came, mut missing) = (0, 0);
    for me in 0..MEMBERS {
        for other in (0..MEMBERS).filter(|&other| other != me) {
            let line = watching(me, other);
            let client = &world.clients[me];
            // Nobody asks for lost audio: two hops of 5 % are what may be missing, and chance.
            for (line, least) in [(line, 150), (line + 1, 120)] {
                let count = assert_continuous(client, line, 200);
                assert!(count > least, "client {me} line {line}: {count} packets from {other}");
            }
            for (line, rate, longest_us) in [(line, 50, 400_000), (line + 1, 45, 800_000)] {
                let got = client.got_on(line);
                assert!(got.iter().all(|got| got.author == other as u32), "somebody else's media");
                let within = got.iter().filter(|got| stall.contains(&got.at_us)).count();
                assert!(
                    within * 100 >= rate * 65,
                    "client {me} line {line}: {within} packets while control was absent"
                );
                let longest = got.windows(2).map(|pair| pair[1].at_us - pair[0].at_us).max();
                assert!(longest < Some(longest_us), "client {me} line {line} starved: {longest:?}");
            }
            let got = client.got_on(line + 1);
            let (first, last) =
                got.iter().fold((u64::MAX, 0), |(a, b), g| (a.min(g.seq), b.max(g.seq)));
            came += got.len() as u64;
            missing += last - first + 1 - got.len() as u64;
        }
    }
    assert_eq!(world.counters().shed, 0);
    assert!(world.counters().forwarded > 20_000);
    for node in &world.nodes {
        let a_second = node.turns * SECOND_US / world.now_us;
        assert!(a_second < 20_000, "shard spins: {a_second} turns a second");
    }
    (came, missing)
}

#[test]
fn plugin_api_16_a_room_of_eight_outlives_loss_disorder_and_an_absent_control() {
    for seed in seeds(&SEEDS) {
        let _seeded = Seeded(seed);
        let (world, stall) = run(seed, VIDEO, Coalescing::default());
        let (came, missing) = assert_room(&world, &stall);
        // Without questions 10 % would be missing. Two of them on the way up leave 0.05 %; sent
        // packets are kept for 200 ms, which at this rate is time for one question on the way down.
        assert!(
            missing * 1000 < (came + missing) * 18,
            "{missing} of {came} video packets were not recovered"
        );
    }
}

#[test]
fn a_room_of_eight_recovers_without_retransmission_streams() {
    for seed in seeds(&SEEDS) {
        let _seeded = Seeded(seed);
        let (world, stall) =
            run(seed, VIDEO.without_rtx(), Coalescing { up_to_us: 5_000, from_permille: 0 });
        let (came, missing) = assert_room(&world, &stall);
        // str0m sends nothing again without rtx, so what the way up lost (5 %) stays lost; the
        // way down has to add next to nothing to it.
        assert!(missing * 1000 < (came + missing) * 80, "{missing} of {came} missing");
        assert!(world.seals.repeated > 100, "packets were repeated byte for byte");
    }
}
