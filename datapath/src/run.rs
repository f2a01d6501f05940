//! The thread around a shard: its engine, the near ends of its rings, and the loop that turns it.
//!
//! ```text
//! sleep in the engine ─► clock ─► datagrams ─► commands, hand-offs, handshake answers ─► timers
//!          ▲                                                                               │
//!          └──────────── events, records, parcels into their rings ◄── departure ◄─────────┘
//! ```

use crate::carry::CarrierEnds;
use crate::engine::Engine;
use crate::handoff::Neighbour;
use crate::handshake::{FromLane, ToLane};
use crate::inject::InjectorEnds;
use crate::queue::{Doorbell, Rx, Tx};
use crate::shard::Shard;
use bifrons_core::media::{ShardCommand, ShardEvent};
use std::io;
use std::time::{Duration, Instant};

/// Datagrams taken in one turn: enough to form trains, few enough that timers keep their time.
const BUDGET: u32 = 512;
/// Messages taken from one ring in one turn.
const MESSAGES: usize = 256;

/// The near ends of a shard's rings.
pub struct Ports {
    /// From control.
    pub commands: Rx<ShardCommand>,
    /// To control.
    pub events: Tx<ShardEvent>,
    /// To the handshake lane.
    pub to_lane: Tx<ToLane>,
    /// From it.
    pub from_lane: Rx<FromLane>,
    /// Rings with the carrier of relayed datagrams.
    pub carrier: CarrierEnds,
    /// Rings with the helpers that inject packets.
    pub injectors: Vec<InjectorEnds>,
    /// Rings with the other shards, by their index; `None` at our own.
    pub neighbours: Vec<Option<Neighbour>>,
    /// Rung by all of the above.
    pub bell: Doorbell,
}

impl Ports {
    /// Whether nothing waits in any of them.
    pub fn idle(&self) -> bool {
        self.commands.is_empty()
            && self.from_lane.is_empty()
            && self.carrier.from_carrier.is_empty()
            && self.injectors.iter().all(|injector| injector.packets.is_empty())
            && self.neighbours.iter().flatten().all(|n| {
                n.packets_in.is_empty() && n.feedback_in.is_empty() && n.data_in.is_empty()
            })
    }
}

/// Turns the shard until it has stopped.
///
/// # Errors
/// When the engine has become useless; the shard's peers are lost then.
pub fn run(shard: &mut Shard, engine: &mut dyn Engine, ports: &mut Ports) -> io::Result<()> {
    while !shard.has_stopped() || shard.has_backlog() {
        turn(shard, engine, ports, Instant::now)?;
    }
    Ok(())
}

/// One turn, by the time that `clock` shows: the system's, or a simulation's.
///
/// # Errors
/// As [`run`].
pub fn turn(
    shard: &mut Shard,
    engine: &mut dyn Engine,
    ports: &mut Ports,
    clock: impl Fn() -> Instant,
) -> io::Result<()> {
    let wait = if shard.has_backlog() {
        // A full ring empties at its reader's pace; look again soon.
        Some(Duration::from_millis(1))
    } else {
        shard.sleep(shard.rested())
    };
    let may_sleep = wait != Some(Duration::ZERO) && !shard.looks_on();
    let sleeps = may_sleep && ports.bell.may_sleep(|| ports.idle());
    let wait = if sleeps { wait } else { Some(Duration::ZERO) };
    let mut begun = false;
    engine.turn(wait, BUDGET, &mut |datagram| {
        if !std::mem::replace(&mut begun, true) {
            shard.begin(clock());
        }
        shard.receive(datagram);
    })?;
    ports.bell.awake();
    if !begun {
        shard.begin(clock());
    }
    let came = begun || !ports.idle();
    shard.woke(sleeps, came);
    take_messages(shard, ports);
    shard.tick();
    shard.depart(engine)?;
    hand_over(shard, ports);
    shard.rest(clock());
    Ok(())
}

fn take_messages(shard: &mut Shard, ports: &mut Ports) {
    for _ in 0..MESSAGES {
        let Some(command) = ports.commands.pop() else { break };
        shard.command(command);
    }
    for _ in 0..MESSAGES {
        let Some(message) = ports.from_lane.pop() else { break };
        shard.from_lane(message);
    }
    for _ in 0..MESSAGES {
        let Some(carried) = ports.carrier.from_carrier.pop() else { break };
        shard.from_carrier(carried);
    }
    for injector in &mut ports.injectors {
        for _ in 0..MESSAGES {
            let Some(injected) = injector.packets.pop() else { break };
            shard.take_injected(&injected);
            // A full return ring means the other side has boxes enough.
            let _ = injector.empties.put(injected.packet);
        }
    }
    for neighbour in ports.neighbours.iter_mut().flatten() {
        for _ in 0..MESSAGES {
            let Some(parcel) = neighbour.packets_in.pop() else { break };
            shard.from_neighbour(&parcel);
            // A full return ring means the other side has boxes enough.
            let _ = neighbour.empties_out.put(parcel);
        }
        for _ in 0..MESSAGES {
            let Some(feedback) = neighbour.feedback_in.pop() else { break };
            shard.from_neighbour_feedback(feedback);
        }
        for _ in 0..MESSAGES {
            let Some(post) = neighbour.data_in.pop() else { break };
            shard.from_neighbour_data(post);
        }
        while shard.empties.len() < MESSAGES {
            let Some(parcel) = neighbour.empties_in.pop() else { break };
            shard.empties.push(parcel);
        }
    }
}

fn hand_over(shard: &mut Shard, ports: &mut Ports) {
    let events = shard.events.len();
    flush(&mut shard.events, &mut ports.events);
    shard.events_stayed(events);
    flush(&mut shard.to_lane, &mut ports.to_lane);
    carry(shard, &mut ports.carrier);
    let mut rung = false;
    let mut parcels = std::mem::take(&mut shard.parcels);
    for (to, parcel) in parcels.drain(..) {
        let neighbour = ports.neighbours.get_mut(usize::from(to)).and_then(Option::as_mut);
        // A packet late for another shard is a lost one.
        match neighbour.map_or(Ok(()), |neighbour| neighbour.packets_out.put(parcel)) {
            Ok(()) => rung = true,
            Err(parcel) => shard.parcel_refused(parcel),
        }
    }
    shard.parcels = parcels;
    let mut lost = 0;
    for (to, feedback) in shard.feedback.drain(..) {
        if let Some(neighbour) = ports.neighbours.get_mut(usize::from(to)).and_then(Option::as_mut)
        {
            match neighbour.feedback_out.put(feedback) {
                Ok(()) => rung = true,
                Err(_) => lost += 1,
            }
        }
    }
    shard.feedback_refused(lost);
    rung |= post_data(shard, ports);
    if rung {
        for neighbour in ports.neighbours.iter().flatten() {
            neighbour.packets_out.ring();
        }
    }
}

/// Data messages for other shards, in order for each; what finds a full ring waits. Whether any
/// went.
fn post_data(shard: &mut Shard, ports: &mut Ports) -> bool {
    let mut any = false;
    let mut full = [false; 256];
    for _ in 0..shard.data.posts.len() {
        let Some((to, post)) = shard.data.posts.pop_front() else { break };
        let Some(neighbour) = ports.neighbours.get_mut(usize::from(to)).and_then(Option::as_mut)
        else {
            continue;
        };
        let refused = match full[usize::from(to)] {
            true => Err(post),
            false => neighbour.data_out.put(post),
        };
        match refused {
            Ok(()) => any = true,
            Err(post) => {
                full[usize::from(to)] = true;
                shard.data.posts.push_back((to, post));
            }
        }
    }
    any
}

/// Gives the carrier what it is to take; what finds its ring full is lost, as on any network.
fn carry(shard: &mut Shard, carrier: &mut CarrierEnds) {
    let mut any = false;
    while let Some(carried) = shard.outward.pop() {
        match carrier.to_carrier.put(carried) {
            Ok(()) => any = true,
            Err(carried) => shard.outward.lose(carried),
        }
    }
    if any {
        carrier.to_carrier.ring();
    }
}

/// Moves what waits into its ring, in order, as far as there is room.
fn flush<T>(waiting: &mut std::collections::VecDeque<T>, ring: &mut Tx<T>) {
    let mut any = false;
    while let Some(message) = waiting.pop_front() {
        match ring.put(message) {
            Ok(()) => any = true,
            Err(message) => {
                waiting.push_front(message);
                break;
            }
        }
    }
    if any {
        ring.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carry::Carrier;
    use crate::queue::link;
    use crate::shard::{Clock, Coalescing, ShardConfig};

    /// A shard whose ring to control holds two events, and control's end of it.
    fn shard_of_two() -> (Shard, Ports, Rx<ShardEvent>) {
        let config = ShardConfig {
            id: 0,
            sockets: Vec::new(),
            ice_lite: false,
            hangup_on_failed: false,
            consent_freshness: false,
            min_nack_queue: Duration::ZERO,
            twcc_period: Duration::from_millis(200),
            busy_poll: Duration::ZERO,
            no_media: Duration::ZERO,
            slow_link_losses: 0,
            coalescing: Coalescing::default(),
            plain: false,
            secret: 1,
        };
        let now = Instant::now();
        let clock = Clock::new(now, 0);
        let bell = Doorbell::new().expect("an eventfd");
        let (_, commands) = link(1, &bell);
        let (events, heard) = link(2, &bell);
        let (to_lane, _) = link(1, &bell);
        let (_, from_lane) = link(1, &bell);
        let (_, carried) = Carrier::link(std::slice::from_ref(&bell)).expect("an eventfd");
        let [carrier] = <[_; 1]>::try_from(carried).expect("one shard");
        let (injectors, neighbours) = (Vec::new(), Vec::new());
        let ports =
            Ports { commands, events, to_lane, from_lane, carrier, injectors, neighbours, bell };
        (Shard::new(config, clock, clock.at(now)), ports, heard)
    }

    #[test]
    fn an_event_that_finds_the_ring_full_waits_and_is_counted_once() {
        let (mut shard, mut ports, mut heard) = shard_of_two();
        let waited = |shard: &Shard| shard.counters().events_waited;
        for _ in 0..5 {
            shard.command(ShardCommand::Count);
        }
        hand_over(&mut shard, &mut ports);
        assert_eq!((heard.len(), waited(&shard)), (2, 3));
        assert!(shard.has_backlog());
        assert!(heard.pop().is_some());
        shard.command(ShardCommand::Count);
        hand_over(&mut shard, &mut ports);
        assert_eq!((heard.len(), waited(&shard)), (2, 4), "one went, a new one waits");
        while heard.pop().is_some() {
            hand_over(&mut shard, &mut ports);
        }
        assert_eq!((waited(&shard), shard.has_backlog()), (4, false));
    }
}
