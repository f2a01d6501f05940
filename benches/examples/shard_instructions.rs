//! A fixed amount of forwarding, for counting its instructions: run by `cargo xtask bench
//! instructions` under callgrind.
//!
//!     shard_instructions video|audio|burst TURNS
//!
//! The real shard with one publisher and [`SUBSCRIBERS`], no cipher on either side (valgrind knows no
//! VAES, and a cipher's instructions are its kernel's affair), an engine that drops everything. Two
//! runs with different numbers of turns differ by those turns alone; each forwards
//! [`SUBSCRIBERS`] packets for each that arrives.

use bifrons_benches::room::{AUDIO, Layout, Nowhere, Publisher, Room, VIDEO};
use bifrons_core::srtp::SrtpProfile;
use bifrons_datapath::engine::Engine;
use bifrons_datapath::seal::Kernel;

const SUBSCRIBERS: usize = 50;

fn main() -> Result<(), String> {
    let usage = "shard_instructions video|audio|burst TURNS";
    let mut words = std::env::args().skip(1);
    let (stream, together) = match words.next().as_deref() {
        Some("video") => (VIDEO, 1),
        Some("burst") => (VIDEO, 8),
        Some("audio") => (AUDIO, 1),
        _ => return Err(usage.to_owned()),
    };
    let turns: usize = words.next().and_then(|turns| turns.parse().ok()).ok_or(usage)?;
    let (from, to) = (SrtpProfile::Plain, SrtpProfile::AeadAes128Gcm);
    let kernel = Kernel::Identity;
    let mut room = Room::new(Layout { stream, from, to, subscribers: SUBSCRIBERS, kernel });
    let mut publisher = Publisher::new(stream, from);
    let mut engine = Nowhere::new();
    for _ in 0..turns {
        let mut packets = publisher.packets(together);
        room.turn(&mut packets, &mut engine).map_err(|error| error.to_string())?;
    }
    let sent = engine.counters().datagrams_out;
    // The publisher is asked for a keyframe beside.
    if sent < (turns * together * SUBSCRIBERS) as u64 {
        return Err(format!("{sent} packets were forwarded"));
    }
    println!("{sent} packets");
    Ok(())
}
