//! When a peer next wants to be looked at.
//!
//! Each peer has one deadline, the earliest of its protocols'. A heap orders them; an entry that
//! no longer is its peer's deadline is passed over when it comes up. Bounded: a peer adds an entry
//! only when its deadline moves forward, and each entry leaves when its time comes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Deadlines of a shard's peers, in microseconds of its clock.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    armed: Vec<u64>,
}

/// No deadline.
const NEVER: u64 = u64::MAX;

impl Timers {
    /// Wants the peer in `slot` looked at by `at_us`; a later deadline than the armed one changes
    /// nothing.
    pub fn arm(&mut self, slot: u32, at_us: u64) {
        let index = slot as usize;
        if self.armed.len() <= index {
            self.armed.resize(index + 1, NEVER);
        }
        if at_us < self.armed[index] {
            self.armed[index] = at_us;
            self.heap.push(Reverse((at_us, slot)));
        }
    }

    /// A peer whose time has come. Its deadline is cleared: whoever looks at it arms the next.
    pub fn due(&mut self, now_us: u64) -> Option<u32> {
        while let Some(&Reverse((at_us, slot))) = self.heap.peek() {
            if at_us > now_us {
                return None;
            }
            self.heap.pop();
            let armed = &mut self.armed[slot as usize];
            if *armed == at_us {
                *armed = NEVER;
                return Some(slot);
            }
        }
        None
    }

    /// The next deadline, perhaps one that has been overtaken.
    pub fn next_us(&self) -> Option<u64> {
        self.heap.peek().map(|&Reverse((at_us, _))| at_us)
    }
}

#[cfg(test)]
mod tests {
    use super::Timers;

    #[test]
    fn the_earliest_deadline_of_a_peer_counts_once() {
        let mut timers = Timers::default();
        timers.arm(3, 500);
        timers.arm(3, 200);
        timers.arm(1, 300);
        timers.arm(3, 900);
        assert_eq!(timers.next_us(), Some(200));
        assert_eq!(timers.due(100), None);
        assert_eq!(timers.due(600), Some(3));
        timers.arm(3, 550);
        assert_eq!(timers.due(600), Some(1));
        assert_eq!(timers.due(600), Some(3), "armed anew at 550");
        assert_eq!(timers.due(600), None);
    }
}
