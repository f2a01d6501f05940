//! How many datagrams of one peer the lane looks at: a token bucket a peer.
//!
//! Records reach the lane only from addresses that integrity-checked STUN has vouched for, so this
//! bounds a client that floods, not the open internet.

use std::time::{Duration, Instant};

/// Size and refill of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    /// Datagrams at once.
    pub(super) burst: u32,
    /// Datagrams a second in the long run.
    pub(super) per_second: u32,
}

/// Before keys: a handshake has about ten datagrams a side, five times over.
pub(super) const HANDSHAKING: Rate = Rate { burst: 64, per_second: 32 };

/// After: data channels, some 100 Mbit/s of them.
pub(super) const CONNECTED: Rate = Rate { burst: 1024, per_second: 10_000 };

/// A peer's bucket, full at first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    tokens: u32,
    filled_at: Instant,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Budget {
        Budget { tokens: HANDSHAKING.burst, filled_at: now }
    }

    /// Whether one more datagram may be looked at.
    pub(super) fn take(&mut self, now: Instant, rate: Rate) -> bool {
        let elapsed = now.saturating_duration_since(self.filled_at);
        let earned = elapsed.as_micros().saturating_mul(u128::from(rate.per_second)) / 1_000_000;
        if earned > 0 {
            // Advance by what was paid out only, so that fractions of a token add up.
            let paid_us = earned.saturating_mul(1_000_000) / u128::from(rate.per_second.max(1));
            let paid = Duration::from_micros(u64::try_from(paid_us).unwrap_or(u64::MAX));
            self.filled_at = self.filled_at.checked_add(paid).unwrap_or(now);
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.tokens = self.tokens.saturating_add(earned).min(rate.burst);
        }
        let granted = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let granted = (0..100).filter(|_| budget.take(start, HANDSHAKING)).count();
        assert_eq!(granted, 64);
        let granted = (0..2000u64)
            .filter(|ms| budget.take(start + Duration::from_millis(*ms), HANDSHAKING))
            .count();
        assert_eq!(granted, 63, "2 s at 32 a second, the last not yet earned");
    }

    #[test]
    fn a_long_silence_earns_no_more_than_a_burst() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let later = start + Duration::from_secs(100_000);
        assert_eq!((0..5000).filter(|_| budget.take(later, CONNECTED)).count(), 1024);
    }
}
