//! Talking detection: the mean of the audio-level extension over a run of packets, told when it
//! crosses the threshold (plugin-videoroom §8.6).

/// State of one audio source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Talk {
    packets: u16,
    threshold: u8,
    counted: u16,
    sum: u32,
    talking: bool,
}

/// A change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TalkChange {
    /// Began or ceased.
    pub talking: bool,
    /// Mean level in -dBov.
    pub average_dbov: f32,
}

impl Talk {
    /// Averages over `packets` (0 = off); talking means a mean below `threshold`.
    pub fn configure(&mut self, packets: u16, threshold: u8) {
        if (self.packets, self.threshold) != (packets, threshold) {
            *self = Talk { packets, threshold, talking: self.talking, ..Talk::default() };
        }
    }

    /// Takes the level of one packet, in -dBov.
    pub fn level(&mut self, level: u8) -> Option<TalkChange> {
        if self.packets == 0 {
            return None;
        }
        self.counted += 1;
        self.sum += u32::from(level);
        if self.counted < self.packets {
            return None;
        }
        let average_dbov = self.sum as f32 / f32::from(self.counted);
        (self.counted, self.sum) = (0, 0);
        let talking = average_dbov < f32::from(self.threshold);
        let changed = talking != self.talking;
        self.talking = talking;
        changed.then_some(TalkChange { talking, average_dbov })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_of_the_mean_is_told() {
        let mut talk = Talk::default();
        assert_eq!(talk.level(0), None, "off");
        talk.configure(2, 25);
        assert_eq!(talk.level(10), None);
        assert_eq!(talk.level(20), Some(TalkChange { talking: true, average_dbov: 15.0 }));
        assert_eq!((talk.level(0), talk.level(30)), (None, None), "still talking");
        talk.level(127);
        let change = talk.level(20).expect("stopped");
        assert!(!change.talking && change.average_dbov > 73.0);
    }
}
