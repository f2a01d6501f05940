//! One turn of a shard, in its order.

use super::{Now, Shard};
use crate::departure::Moment;
use crate::engine::Engine;
use bifrons_core::media::ShardEvent;
use std::io;
use std::time::{Duration, Instant};

impl Shard {
    /// Takes the time of the turn, read once.
    #[inline]
    pub fn begin(&mut self, instant: Instant) -> Now {
        self.now = self.clock.at(instant);
        self.now
    }

    /// Ends a turn, by the time there is then; the next one is told in [`Shard::woke`] whether it
    /// slept in between. Both together measure how busy the shard is.
    pub fn rest(&mut self, instant: Instant) {
        self.rested = instant;
        if self.came {
            self.worked = instant;
        }
        if self.vain {
            return;
        }
        if let Some(load) = self.load.rest(self.clock.at(instant).us) {
            self.gate.set_hold(self.config.coalescing.hold_us(load));
        }
    }

    /// When the last turn ended.
    pub fn rested(&self) -> Instant {
        self.rested
    }

    /// Whether the thread has to look again instead of sleeping: something came in not longer than
    /// the time of busy polling ago.
    pub fn looks_on(&self) -> bool {
        self.rested.saturating_duration_since(self.worked) < self.config.busy_poll
    }

    /// Begins a turn whose time is known, after having `slept` or not; something `came` in, or only
    /// time passed. Looking for packets in vain counts as rest, however often it is done.
    pub fn woke(&mut self, slept: bool, came: bool) {
        self.vain = !came && self.looks_on();
        self.came = came;
        self.load.wake(self.now.us, slept || self.vain);
    }

    /// Lets time pass for the peers whose deadline has come.
    pub fn tick(&mut self) {
        while let Some(slot) = self.timers.due(self.now.us) {
            self.ice_timeout(slot);
            self.report_timeout(slot);
            self.catch_up(slot);
            self.data_timeout(slot);
        }
        self.watch_ingests();
        self.gate.release(self.now.us);
    }

    /// Sends everything that waits: protocol answers first, then each peer's packets, then data
    /// channels.
    ///
    /// # Errors
    /// Only those that make the engine useless.
    pub fn depart(&mut self, engine: &mut dyn Engine) -> io::Result<()> {
        if !self.ports.is_settled() {
            let events = &mut self.events;
            self.ports.settle(engine, |port| events.push_back(ShardEvent::PortClosed { port }));
        }
        self.depart_forwarded(engine)?;
        self.send_outbox(engine)?;
        let now = self.now;
        let Shard { departure, gate, peers, sources, tap, outward, .. } = self;
        let moment = Moment::new(sources, now);
        let departed = departure.depart(gate, peers, moment, engine, tap, outward)?;
        self.counters.forwarded += departed.packets;
        self.counters.shed += departed.shed;
        engine.flush()?;
        if self.data_turn() {
            self.send_outbox(engine)?;
            engine.flush()?;
        }
        let counted = engine.counters();
        self.counters.sent = counted.datagrams_out;
        self.counters.bypass = counted.bypass;
        self.unsent = counted.shed + counted.refused;
        Ok(())
    }

    fn send_outbox(&mut self, engine: &mut dyn Engine) -> io::Result<()> {
        let mut result = Ok(());
        self.outbox.drain(|socket, to, bytes| {
            if result.is_err() {
                return;
            }
            match engine.room(bytes.len()) {
                Ok(room) => {
                    room[..bytes.len()].copy_from_slice(bytes);
                    engine.send(socket, to, bytes.len(), 0);
                }
                Err(error) => result = Err(error),
            }
        });
        result
    }

    /// How long the thread may sleep; `None` when nothing is due.
    pub fn sleep(&self, now: Instant) -> Option<Duration> {
        if self.data.has_work() {
            return Some(Duration::ZERO);
        }
        let due = [self.timers.next_us(), self.ingests_due_us(), self.gate.next_us()];
        let next_us = due.into_iter().flatten().min()?;
        Some(Duration::from_micros(next_us.saturating_sub(self.clock.at(now).us)))
    }

    /// Whether something waits for a ring that was full.
    pub fn has_backlog(&self) -> bool {
        !self.events.is_empty() || !self.to_lane.is_empty() || !self.data.posts.is_empty()
    }
}
