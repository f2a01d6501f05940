//! NTP time as RTCP carries it (RFC 3550 §4). Wall time is always handed in.

/// Seconds from 1900 to 1970.
const UNIX_EPOCH: u64 = 2_208_988_800;

/// Seconds since 1900 in 32.32 fixed point; wraps in 2036 as the protocol does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// From microseconds since 1970.
    #[must_use]
    pub const fn from_unix_us(us: u64) -> Self {
        let seconds = (us / 1_000_000).wrapping_add(UNIX_EPOCH) & 0xFFFF_FFFF;
        // Rounded up, so that a microsecond comes back as itself.
        let fraction = ((us % 1_000_000) << 32).div_ceil(1_000_000);
        Self(seconds << 32 | fraction)
    }

    /// Microseconds since 1970, taken to lie between 1970 and 2106.
    #[must_use]
    pub const fn to_unix_us(self) -> u64 {
        let seconds = (self.0 >> 32).wrapping_sub(UNIX_EPOCH) & 0xFFFF_FFFF;
        seconds * 1_000_000 + (((self.0 & 0xFFFF_FFFF) * 1_000_000) >> 32)
    }

    /// The middle 32 bits: 16.16 fixed point seconds, as in LSR and DLSR.
    #[must_use]
    pub const fn compact(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// A span in 1/65536 s, from microseconds; saturates at 18 hours.
#[must_use]
pub(super) fn compact_span(us: u64) -> u32 {
    u32::try_from((u128::from(us) << 16) / 1_000_000).unwrap_or(u32::MAX)
}

/// Microseconds of a span in 1/65536 s.
#[must_use]
pub(super) const fn span_us(compact: u32) -> u64 {
    (compact as u64 * 1_000_000) >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_time_survives_and_wraps_in_2036() {
        assert_eq!(NtpTime::from_unix_us(0).0, UNIX_EPOCH << 32);
        for us in [0, 1, 999_999, 1_000_000, 1_795_000_000_123_457, 2_085_978_496_000_001] {
            assert_eq!(NtpTime::from_unix_us(us).to_unix_us(), us);
        }
        // 7 February 2036, 06:28:16 UTC: the era ends.
        assert_eq!(NtpTime::from_unix_us(2_085_978_496_000_000).0, 0);
    }

    #[test]
    fn spans_are_sixteen_sixteen_fixed_point() {
        assert_eq!(compact_span(500_000), 0x8000);
        assert_eq!(span_us(0x1_8000), 1_500_000);
        assert_eq!(compact_span(u64::MAX), u32::MAX);
    }
}
