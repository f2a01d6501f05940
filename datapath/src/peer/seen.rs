//! Which media sequence numbers of one layer were already taken.
//!
//! SRTP's replay window works per SSRC and so lets a packet in twice: once as itself, once as a
//! retransmission on the rtx SSRC. Forwarding both would give one packet two departures under one
//! outgoing index, so the second is stopped here.

use bifrons_core::rtp::Seq;

const WORDS: usize = 8;
/// Sequence numbers remembered.
const WINDOW: u16 = 64 * WORDS as u16;

/// A bitmap over the last 512 sequence numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    highest: Option<Seq>,
    bits: [u64; WORDS],
}

impl Seen {
    /// Whether the packet is new; it is then remembered. Too old counts as not new. A jump of
    /// more than the window either way starts over (the sender restarted its numbers).
    pub fn is_new(&mut self, seq: Seq) -> bool {
        let Some(highest) = self.highest else {
            self.restart(seq);
            return true;
        };
        let step = seq.distance(highest);
        if step.unsigned_abs() >= WINDOW {
            if step < 0 && step > -(8 * WINDOW as i16) {
                return false;
            }
            self.restart(seq);
            return true;
        }
        if step > 0 {
            for skipped in 1..step.unsigned_abs() {
                self.clear(highest.add(skipped));
            }
            self.highest = Some(seq);
            self.set(seq);
            return true;
        }
        let (word, bit) = place(seq);
        let new = self.bits[word] & bit == 0;
        self.set(seq);
        new
    }

    fn restart(&mut self, seq: Seq) {
        self.bits = [0; WORDS];
        self.highest = Some(seq);
        self.set(seq);
    }

    fn set(&mut self, seq: Seq) {
        let (word, bit) = place(seq);
        self.bits[word] |= bit;
    }

    fn clear(&mut self, seq: Seq) {
        let (word, bit) = place(seq);
        self.bits[word] &= !bit;
    }
}

fn place(seq: Seq) -> (usize, u64) {
    let at = seq.0 % WINDOW;
    (usize::from(at / 64), 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_new_once() {
        let mut seen = Seen::default();
        assert!(seen.is_new(Seq(65_530)));
        assert!(!seen.is_new(Seq(65_530)));
        assert!(seen.is_new(Seq(5)));
        assert!(seen.is_new(Seq(65_535)), "late, but not seen yet");
        assert!(!seen.is_new(Seq(65_535)));
        assert!(seen.is_new(Seq(200)));
        assert!(seen.is_new(Seq(199)));
        assert!(!seen.is_new(Seq(200).sub(WINDOW)), "too old");
    }

    #[test]
    fn a_sender_that_restarts_is_followed() {
        let mut seen = Seen::default();
        assert!(seen.is_new(Seq(10)));
        assert!(seen.is_new(Seq(30_000)));
        assert!(seen.is_new(Seq(30_001)));
        assert!(!seen.is_new(Seq(30_001)));
    }

    #[test]
    fn numbers_are_forgotten_after_a_whole_window() {
        let mut seen = Seen::default();
        for n in 0..2 * WINDOW {
            assert!(seen.is_new(Seq(n)), "{n}");
        }
    }
}
