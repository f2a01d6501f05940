//! How busy a shard is, and how long video may wait for it (design §3.7; docs/media.md).
//!
//! Load is the share of the time in which the thread does not sleep, by the readings of the clock
//! that every turn makes anyway, over windows of [`WINDOW_US`] and smoothed over four of them.

/// How video is held back under load so that trains grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coalescing {
    /// The longest wait, in microseconds; 0 = nothing ever waits.
    pub up_to_us: u32,
    /// The load, in per mille, below which nothing waits. From there the wait grows to the longest
    /// at [`FULL`]. 0 = always the longest.
    pub from_permille: u32,
}

impl Default for Coalescing {
    fn default() -> Self {
        Coalescing { up_to_us: 5_000, from_permille: 500 }
    }
}

/// Load at which the wait is the longest, in per mille.
pub const FULL: u32 = 900;
/// Waits below this gather nothing that is worth a wake-up.
const LEAST_US: u32 = 500;
/// Length of a window.
pub const WINDOW_US: u64 = 20_000;

impl Coalescing {
    /// The wait under this load, in microseconds.
    pub fn hold_us(self, load_permille: u32) -> u64 {
        let Coalescing { up_to_us, from_permille: from } = self;
        if load_permille < from {
            return 0;
        }
        let hold_us = match FULL.checked_sub(from) {
            Some(span) if from > 0 && load_permille < FULL => {
                let part = u64::from(up_to_us) * u64::from(load_permille - from);
                (part / u64::from(span.max(1))) as u32
            }
            _ => up_to_us,
        };
        if hold_us < LEAST_US.min(up_to_us) { 0 } else { u64::from(hold_us) }
    }
}

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    rested_us: u64,
    begun_us: u64,
    window_us: u64,
    idle_us: u64,
    permille: u32,
}

impl Load {
    /// A turn begins at `now_us`, after having `slept` since the last one or not.
    pub fn wake(&mut self, now_us: u64, slept: bool) {
        if slept {
            self.idle_us += now_us.saturating_sub(self.rested_us);
            self.rested_us = now_us;
        }
        self.begun_us = now_us;
    }

    /// A turn ends. Says what the load is now if a window has ended with it.
    pub fn rest(&mut self, now_us: u64) -> Option<u32> {
        self.rested_us = now_us;
        let span_us = now_us.saturating_sub(self.window_us);
        if span_us < WINDOW_US {
            return None;
        }
        let busy_us = span_us.saturating_sub(self.idle_us);
        let permille = (busy_us * 1000 / span_us) as u32;
        // A window that a long sleep has stretched says as much as all those it stands for.
        let weight = (span_us / WINDOW_US).min(4) as u32;
        self.permille = (self.permille * (4 - weight) + permille * weight) / 4;
        (self.window_us, self.idle_us) = (now_us, 0);
        Some(self.permille)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_with_the_load_between_its_bounds() {
        let coalescing = Coalescing { up_to_us: 4_000, from_permille: 500 };
        let holds = [0, 499, 500, 549, 550, 700, 899, 900, 1000].map(|l| coalescing.hold_us(l));
        assert_eq!(holds, [0, 0, 0, 0, 500, 2_000, 3_990, 4_000, 4_000]);
        let always = Coalescing { up_to_us: 4_000, from_permille: 0 };
        assert_eq!([0, 1000].map(|load| always.hold_us(load)), [4_000; 2]);
        let never = Coalescing { up_to_us: 0, from_permille: 0 };
        assert_eq!(never.hold_us(1000), 0);
        let late = Coalescing { up_to_us: 4_000, from_permille: 950 };
        assert_eq!([949, 950].map(|load| late.hold_us(load)), [0, 4_000]);
    }

    #[test]
    fn load_follows_the_share_of_time_that_is_worked() {
        let mut load = Load::default();
        let (mut now_us, mut last) = (0, 0);
        for busy_us in [100, 900, 100] {
            for _ in 0..400 {
                now_us += 1_000 - busy_us;
                load.wake(now_us, true);
                now_us += busy_us;
                last = load.rest(now_us).unwrap_or(last);
            }
            assert!(u64::from(last).abs_diff(busy_us) < 20, "{last} of {busy_us}");
        }
        // Turns that never sleep.
        for _ in 0..400 {
            load.wake(now_us, false);
            now_us += 1_000;
            last = load.rest(now_us).unwrap_or(last);
        }
        assert!(last > 980, "{last}");
        // One long sleep ends it at once.
        now_us += 1_000_000;
        load.wake(now_us, true);
        assert_eq!(load.rest(now_us), Some(0));
    }
}
