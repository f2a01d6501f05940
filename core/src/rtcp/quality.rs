//! Link qualities (`webrtc-behaviour` §7.2): four numbers from 0 to 100, each smoothed as two
//! thirds of the old value and one third of the new.

/// Least time between two updates of a sending quality, µs.
const OUT_INTERVAL_US: u64 = 2_000_000;

/// A smoothed quality in percent, 100 at first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality(f32);

impl Default for Quality {
    fn default() -> Self {
        Self(100.0)
    }
}

impl Quality {
    /// The quality, 0..=100, rounded down.
    #[must_use]
    pub fn percent(self) -> u8 {
        self.0 as u8
    }

    /// Takes in that `bad` of `total` went wrong; nothing happens when `total` is 0.
    fn update(&mut self, bad: u64, total: u64) {
        if total == 0 {
            return;
        }
        let now = 100.0 * (1.0 - bad.min(total) as f32 / total as f32);
        self.0 = self.0 * (2.0 / 3.0) + now / 3.0;
    }
}

/// Qualities of a received stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct InQuality {
    /// `in-link-quality`: loss as if nothing had been retransmitted.
    pub link: Quality,
    /// `in-media-link-quality`: loss that retransmissions did not repair.
    pub media: Quality,
    expected: u64,
    received: u64,
    retransmitted: u64,
}

impl InQuality {
    /// Takes in the stream's totals when a report is made: packets expected, packets received with
    /// recovered ones, and of these the recovered ones.
    pub fn update(&mut self, expected: u64, received: u64, retransmitted: u64) {
        let expected_now = expected.saturating_sub(self.expected);
        let received_now = received.saturating_sub(self.received);
        let retransmitted_now = retransmitted.saturating_sub(self.retransmitted);
        let lost_now = expected_now.saturating_sub(received_now);
        self.media.update(lost_now, expected_now);
        self.link.update(lost_now + retransmitted_now, expected_now);
        (self.expected, self.received, self.retransmitted) = (expected, received, retransmitted);
    }
}

/// Qualities of a sent stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutQuality {
    /// `out-link-quality`: packets the peer asked for again, of those sent.
    pub link: Quality,
    /// `out-media-link-quality`: packets the peer reports as lost, of those it expected.
    pub media: Quality,
    updated_us: Option<u64>,
    sent: u64,
    nacked: u64,
    highest_seq: Option<u32>,
    lost: i32,
}

impl OutQuality {
    /// Takes in our totals and the peer's last report; does nothing within 2 s of the last time.
    pub fn update(&mut self, sent: u64, nacked: u64, highest_seq: u32, lost: i32, now_us: u64) {
        if self.updated_us.is_some_and(|at| now_us < at + OUT_INTERVAL_US) {
            return;
        }
        self.updated_us = Some(now_us);
        self.link.update(nacked.saturating_sub(self.nacked), sent.saturating_sub(self.sent));
        if let Some(before) = self.highest_seq {
            let expected = highest_seq.wrapping_sub(before).cast_signed().max(0);
            let lost_now = lost.saturating_sub(self.lost).max(0);
            self.media
                .update(u64::from(lost_now.unsigned_abs()), u64::from(expected.unsigned_abs()));
        }
        (self.sent, self.nacked) = (sent, nacked);
        (self.highest_seq, self.lost) = (Some(highest_seq), lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retransmissions_repair_the_media_but_not_the_link() {
        let mut q = InQuality::default();
        assert_eq!((q.link.percent(), q.media.percent()), (100, 100));
        q.update(100, 100, 30);
        assert_eq!((q.link.percent(), q.media.percent()), (90, 100));
        q.update(200, 170, 30);
        assert_eq!((q.link.percent(), q.media.percent()), (83, 90));
        q.update(200, 170, 30);
        assert_eq!(
            (q.link.percent(), q.media.percent()),
            (83, 90),
            "nothing expected, nothing new"
        );
        q.update(300, 500, 30);
        assert!(q.media.percent() <= 100);
    }

    #[test]
    fn sending_qualities_move_every_two_seconds() {
        let mut q = OutQuality::default();
        q.update(100, 0, 1000, 0, 0);
        q.update(200, 60, 1100, 30, 1_999_999);
        assert_eq!((q.link.percent(), q.media.percent()), (100, 100));
        q.update(200, 60, 1100, 30, 2_000_000);
        assert_eq!((q.link.percent(), q.media.percent()), (80, 90));
        q.update(300, 60, 1050, 20, 4_000_000);
        assert_eq!((q.link.percent(), q.media.percent()), (86, 90), "a report that went back");
    }
}
