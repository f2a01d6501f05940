//! How long to wait before the next try.

use std::time::Duration;

/// Delays that double, up to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    first: Duration,
    longest: Duration,
    tries: u32,
}

impl BackOff {
    /// `first`, twice that, and so on, never more than `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        BackOff { first, longest, tries: 0 }
    }

    /// The delay before the next try.
    pub fn next_delay(&mut self) -> Duration {
        let factor = 1_u32.checked_shl(self.tries).unwrap_or(u32::MAX);
        self.tries = self.tries.saturating_add(1);
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// A try succeeded: the next failure begins with the first delay.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_bound() {
        let second = Duration::from_secs(1);
        let mut back_off = BackOff::new(second, 8 * second);
        let delays: Vec<_> = (0..6).map(|_| back_off.next_delay().as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 8, 8]);
        (0..100).for_each(|_| assert_eq!(back_off.next_delay(), 8 * second));
        back_off.reset();
        assert_eq!(back_off.next_delay(), second);
    }
}
