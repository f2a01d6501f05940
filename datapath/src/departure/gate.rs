//! Who leaves in this turn, and who waits: for more of a frame, or for its turn in the pace.
//!
//! **Holding.** A train is as long as what is ready for one peer, and from a sender that spaces its
//! packets that is one packet. While the shard is loaded ([`Gate::set_hold`]) a peer's video
//! therefore waits for more of its frame: until the packet with the marker comes, until something
//! comes that does not wait (audio, a retransmission), or until the oldest packet has waited
//! for the hold. All that waits then leaves together.
//!
//! **Pacing.** A peer gets at most [`BURST`] packets of video within a [`gap_us`]: more would be
//! lost in the short queues on its way. The rest follows in bursts, spaced so that what waits has
//! left within [`DRAIN_US`].
//!
//! Bounds: 48 bytes a slot; a list of held peers of four entries a slot, past which nobody waits
//! any more. Cost: a few loads and stores a reference, no clock, and two queue steps a hold.

use super::train::SEGMENTS;
use crate::shard::Timers;
use std::collections::VecDeque;

/// Packets of video a peer gets at once at most: one train.
pub const BURST: usize = SEGMENTS;
/// Time between two bursts of a peer at most, in microseconds.
pub const GAP_US: u64 = 1_000;
/// Time within which everything that waits for a peer leaves, in microseconds.
pub const DRAIN_US: u64 = 20_000;
/// No time.
const NEVER: u64 = u64::MAX;

/// Time between two bursts of a peer for whom so many packets wait.
#[inline]
fn gap_us(waiting: usize) -> u64 {
    if waiting as u64 <= BURST as u64 * (DRAIN_US / GAP_US) {
        return GAP_US;
    }
    let bursts = waiting.div_ceil(BURST).max(1) as u64;
    (DRAIN_US / bursts).min(GAP_US)
}

/// What is known of one slot.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Since when its video is held.
    held_us: u64,
    /// When its last burst began.
    burst_us: u64,
    /// Packets of it that have left.
    used: usize,
    /// Time to the next burst; it only shrinks while something waits.
    gap_us: u64,
    /// It leaves in this turn.
    listed: bool,
}

impl Place {
    const FREE: Place =
        Place { held_us: NEVER, burst_us: 0, used: BURST, gap_us: GAP_US, listed: false };
}

/// See the module.
#[derive(Debug, Default)]
pub struct Gate {
    hold_us: u64,
    places: Vec<Place>,
    departing: Vec<u32>,
    /// Since when which slots are held, oldest first; an entry counts while its slot agrees.
    held: VecDeque<(u64, u32)>,
    /// When the next burst of a slot is due.
    paced: Timers,
}

impl Gate {
    /// From now on video waits up to `hold_us` for more of its frame; 0: not at all.
    pub fn set_hold(&mut self, hold_us: u64) {
        self.hold_us = hold_us;
    }

    /// A reference was queued for the peer in `slot`; with a `prompt` one everything leaves in this
    /// turn.
    #[inline]
    pub fn offer(&mut self, slot: u32, prompt: bool, now_us: u64) {
        let index = slot as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, Place::FREE);
        }
        let most = 4 * self.places.len();
        let place = &mut self.places[index];
        if place.listed {
            return;
        }
        if prompt || self.hold_us == 0 {
            self.list(slot);
        } else if place.held_us == NEVER {
            if self.held.len() >= most {
                return self.list(slot);
            }
            place.held_us = now_us;
            self.held.push_back((now_us, slot));
        }
    }

    fn list(&mut self, slot: u32) {
        let Some(place) = self.places.get_mut(slot as usize) else { return };
        place.held_us = NEVER;
        if !std::mem::replace(&mut place.listed, true) {
            self.departing.push(slot);
        }
    }

    /// Lists whose time has come. To be called once a turn, when everything has been offered.
    pub fn release(&mut self, now_us: u64) {
        while let Some(&(since_us, slot)) = self.held.front() {
            let waits = self.places.get(slot as usize).is_some_and(|p| p.held_us == since_us);
            if waits && since_us + self.hold_us > now_us {
                break;
            }
            self.held.pop_front();
            if waits {
                self.list(slot);
            }
        }
        while let Some(slot) = self.paced.due(now_us) {
            self.list(slot);
        }
    }

    /// The slots that leave in this turn; to be given back.
    pub fn take(&mut self) -> Vec<u32> {
        let departing = std::mem::take(&mut self.departing);
        for &slot in &departing {
            self.places[slot as usize].listed = false;
        }
        departing
    }

    /// Takes back the list's memory.
    pub fn give_back(&mut self, mut departing: Vec<u32>) {
        departing.clear();
        self.departing = departing;
    }

    /// How many of `waiting` video packets for `slot` may leave now.
    #[inline]
    pub fn allowance(&mut self, slot: u32, waiting: usize, now_us: u64) -> usize {
        let Some(place) = self.places.get_mut(slot as usize) else { return waiting.min(BURST) };
        place.gap_us = place.gap_us.min(gap_us(waiting));
        if now_us >= place.burst_us + place.gap_us {
            (place.burst_us, place.used) = (now_us, 0);
        }
        waiting.min(BURST.saturating_sub(place.used))
    }

    /// So many have left, and so many wait on: they follow when the pace allows.
    #[inline]
    pub fn left(&mut self, slot: u32, left: usize, waiting: usize) {
        let Some(place) = self.places.get_mut(slot as usize) else { return };
        place.used += left;
        if waiting > 0 {
            self.paced.arm(slot, place.burst_us + place.gap_us);
        } else {
            place.gap_us = GAP_US;
        }
    }

    /// The peer in this slot is gone.
    pub fn forget(&mut self, slot: u32) {
        if let Some(place) = self.places.get_mut(slot as usize) {
            *place = Place { listed: place.listed, ..Place::FREE };
        }
    }

    /// When somebody's time comes next.
    pub fn next_us(&self) -> Option<u64> {
        let held_us = self.held.front().map(|&(since_us, _)| since_us + self.hold_us);
        [held_us, self.paced.next_us()].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(hold_us: u64) -> Gate {
        let mut gate = Gate::default();
        gate.set_hold(hold_us);
        gate
    }

    fn leaving(gate: &mut Gate, now_us: u64) -> Vec<u32> {
        gate.release(now_us);
        let slots = gate.take();
        gate.give_back(slots.clone());
        slots
    }

    #[test]
    fn without_a_hold_everything_leaves_at_once() {
        let mut gate = gate(0);
        gate.offer(3, false, 10);
        gate.offer(3, false, 10);
        gate.offer(1, false, 10);
        assert_eq!(leaving(&mut gate, 10), [3, 1]);
        assert_eq!(gate.next_us(), None);
    }

    #[test]
    fn held_slots_leave_when_the_oldest_packet_has_waited_long_enough() {
        let mut gate = gate(500);
        gate.offer(1, false, 100);
        gate.offer(2, false, 300);
        gate.offer(1, false, 400);
        assert_eq!(leaving(&mut gate, 599), [0; 0]);
        assert_eq!(gate.next_us(), Some(600));
        assert_eq!(leaving(&mut gate, 600), [1]);
        assert_eq!(gate.next_us(), Some(800));
        gate.set_hold(0);
        assert_eq!(leaving(&mut gate, 601), [2], "the load has gone");
    }

    #[test]
    fn what_is_prompt_releases_the_slot_and_its_deadline() {
        let mut gate = gate(500);
        gate.offer(1, false, 100);
        gate.offer(1, true, 150);
        assert_eq!(leaving(&mut gate, 150), [1]);
        assert_eq!(gate.next_us(), None, "nobody wakes for what has left");
        gate.offer(1, false, 200);
        assert_eq!((leaving(&mut gate, 600), gate.next_us()), (vec![], Some(700)));
    }

    #[test]
    fn a_full_list_holds_nobody_any_more() {
        let mut gate = gate(500);
        gate.offer(0, false, 1);
        for now_us in 2..6 {
            gate.forget(0);
            gate.offer(0, false, now_us);
        }
        assert_eq!(leaving(&mut gate, 6), [0]);
    }

    #[test]
    fn bursts_are_capped_and_spaced_and_end_in_time() {
        let mut gate = gate(0);
        for waiting in [17, 40, 100, 500, 1024] {
            let (mut left, mut now_us) = (waiting, 1_000_000 * waiting as u64);
            let (begin_us, mut bursts) = (now_us, 0);
            gate.offer(7, false, now_us);
            while left > 0 {
                assert_eq!(leaving(&mut gate, now_us), [7]);
                let allowed = gate.allowance(7, left, now_us);
                assert_eq!(allowed, left.min(BURST), "{waiting}: {left} left");
                left -= allowed;
                bursts += 1;
                gate.left(7, allowed, left);
                assert_eq!(gate.allowance(7, left, now_us + 200), 0, "not before its time");
                if let Some(next_us) = gate.next_us() {
                    assert!(next_us >= now_us + 300, "{waiting}: {}", next_us - now_us);
                    now_us = next_us;
                }
            }
            assert_eq!(bursts, usize::div_ceil(waiting, BURST));
            assert!(now_us - begin_us <= DRAIN_US.max(GAP_US), "{waiting}: {}", now_us - begin_us);
            assert_eq!(gate.next_us(), None);
        }
    }

    #[test]
    fn small_bursts_within_a_gap_count_as_one() {
        let mut gate = gate(0);
        gate.offer(0, false, 5_000);
        assert_eq!(gate.allowance(0, 10, 5_000), 10);
        gate.left(0, 10, 0);
        assert_eq!(gate.allowance(0, 10, 5_400), BURST - 10);
        gate.left(0, BURST - 10, 20 - BURST);
        assert_eq!(gate.next_us(), Some(6_000));
    }
}
