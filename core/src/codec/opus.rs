//! The first byte of an Opus packet (RFC 6716 §3.1).

/// Longest packet, µs (RFC 6716 §3.2.5, R5).
const MAX_DURATION_US: u32 = 120_000;

/// What the table-of-contents byte of an Opus packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusToc {
    /// Length of one frame, µs: 2500 to 60000.
    pub frame_us: u32,
    /// Frames in the packet, 1..=48.
    pub frames: u8,
    /// Two channels.
    pub stereo: bool,
}

impl OpusToc {
    /// Reads the head of `payload`; `None` for an empty packet, one without frames or one longer
    /// than 120 ms.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let toc = *payload.first()?;
        let config = toc >> 3;
        let frame_us = match config {
            0..=11 => [10_000, 20_000, 40_000, 60_000][usize::from(config & 3)],
            12..=15 => [10_000, 20_000][usize::from(config & 1)],
            _ => [2_500, 5_000, 10_000, 20_000][usize::from(config & 3)],
        };
        let frames = match toc & 3 {
            0 => 1,
            1 | 2 => 2,
            _ => payload.get(1)? & 0x3F,
        };
        let toc = Self { frame_us, frames, stereo: toc & 4 != 0 };
        (frames > 0 && toc.duration_us() <= MAX_DURATION_US).then_some(toc)
    }

    /// Length of the packet, µs.
    #[must_use]
    pub const fn duration_us(self) -> u32 {
        self.frame_us * self.frames as u32
    }

    /// Length of the packet on the 48 kHz RTP clock.
    #[must_use]
    pub const fn duration_ticks(self) -> u32 {
        self.duration_us() / 1000 * 48 + self.duration_us() % 1000 * 48 / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_the_configuration_and_frame_count() {
        let us = |p: &[u8]| OpusToc::read(p).map(OpusToc::duration_us);
        assert_eq!(us(&[0x78]), Some(20_000), "hybrid fullband 20 ms");
        assert_eq!(us(&[0x18]), Some(60_000));
        assert_eq!(us(&[0x80]), Some(2_500));
        assert_eq!(us(&[0xF9]), Some(40_000), "two frames of equal size");
        assert_eq!(us(&[0xFB, 0x03]), Some(60_000), "three of any size");
        assert_eq!(us(&[0xFB, 0x07]), None, "140 ms");
        assert_eq!(us(&[0x83, 48]), Some(120_000));
        assert_eq!((us(&[]), us(&[0xFB]), us(&[0xFB, 0x40])), (None, None, None));
        assert!(OpusToc::read(&[0xFC]).unwrap().stereo);
        assert_eq!(OpusToc::read(&[0x80]).unwrap().duration_ticks(), 120);
        assert_eq!(OpusToc::read(&[0xFC]).unwrap().duration_ticks(), 960);
    }
}
