//! Time as a shard sees it: read once a turn, then passed by value.

use std::time::{Duration, Instant};

/// One reading of the clock.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For the protocol engines.
    pub instant: Instant,
    /// Microseconds since the shard's clock began; what the packet path computes with.
    pub us: u64,
    /// Wall clock in microseconds since 1970, for NTP stamps.
    pub wall_us: u64,
}

/// Where a shard's time began. Virtual in simulations.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    wall_us: u64,
}

impl Clock {
    /// Time begins at `start`, when the wall clock shows `wall_us`. It runs by the monotonic
    /// clock from there, so that a step of the wall clock bends no stream.
    pub fn new(start: Instant, wall_us: u64) -> Self {
        Clock { start, wall_us }
    }

    /// The reading at `instant`.
    pub fn at(&self, instant: Instant) -> Now {
        let us = instant.saturating_duration_since(self.start).as_micros() as u64;
        Now { instant, us, wall_us: self.wall_us + us }
    }

    /// An instant in microseconds of this clock, rounded up so that a deadline has really come.
    pub fn us_of(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.start) + Duration::from_nanos(999);
        since.as_micros() as u64
    }
}
