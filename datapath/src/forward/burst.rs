//! The keyframe buffer of a source: which of its stored packets a new viewer is given, so that it
//! sees a picture at once (plugin-streaming §6.3).
//!
//! Nothing is copied: a burst is a range of the source's ring, from a keyframe's first packet to
//! the last one within the limits. 48 bytes a source; without a buffer one comparison a received
//! packet.

use crate::retransmit::Meta;
use bifrons_core::media::KeyframeBuffer;
use bifrons_core::rtp::Ssrc;
use std::ops::Range;

/// Packets of a ring that no burst takes: they are for those that arrive while it is handed out.
const SPARE: usize = 256;
/// Bytes of a packet that a ring is made for, where a limit counts bytes.
const SMALL: usize = 400;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Burst {
    buffer: KeyframeBuffer,
    first: u64,
    next: u64,
    began_us: u64,
    bytes: u64,
    picture: Option<(Ssrc, u32)>,
    open: bool,
}

impl Burst {
    /// How much is kept from now on; nothing of what was.
    pub fn configure(&mut self, buffer: KeyframeBuffer) {
        if self.buffer != buffer {
            *self = Burst { buffer, ..Burst::default() };
        }
    }

    /// How much is kept.
    pub const fn buffer(&self) -> KeyframeBuffer {
        self.buffer
    }

    /// Packets a ring has to hold for such a buffer, at least `slots`.
    pub fn slots(buffer: KeyframeBuffer, slots: usize) -> usize {
        if !buffer.is_on() {
            return slots;
        }
        // A packet a millisecond is 10 Mbit/s and more.
        let by_time = Some(usize::from(buffer.ms)).filter(|packets| *packets > 0);
        let by_bytes = Some(buffer.bytes as usize / SMALL).filter(|packets| *packets > 0);
        let packets = [by_time, by_bytes].into_iter().flatten().min().unwrap_or(1);
        packets.clamp(slots, KeyframeBuffer::MAX_PACKETS) + SPARE
    }

    /// Takes note of a packet that was stored as the ring's number `index`; the ring has `slots`.
    #[inline]
    pub fn stored(&mut self, meta: &Meta, index: u64, slots: usize, now_us: u64) {
        if self.buffer.is_on() {
            self.keep(meta, index, slots, now_us);
        }
    }

    fn keep(&mut self, meta: &Meta, index: u64, slots: usize, now_us: u64) {
        let picture = Some((meta.ssrc, meta.timestamp));
        if meta.keyframe && !(self.open && self.picture == picture) {
            let (buffer, began_us) = (self.buffer, now_us);
            *self = Burst {
                buffer,
                first: index,
                next: index,
                began_us,
                bytes: 0,
                picture,
                open: true,
            };
        }
        if !self.open {
            return;
        }
        let KeyframeBuffer { ms, bytes } = self.buffer;
        self.bytes += u64::from(meta.len);
        let late = ms > 0 && now_us > self.began_us + u64::from(ms) * 1000;
        let full = bytes > 0 && self.bytes > u64::from(bytes);
        let held = (index + 1 - self.first) as usize > slots.saturating_sub(SPARE);
        let another = self.picture.is_none_or(|(ssrc, _)| ssrc != meta.ssrc);
        if held || another || ((late || full) && self.picture != picture) {
            self.open = false;
            return;
        }
        self.next = index + 1;
    }

    /// The numbers of the packets a new viewer is given; empty when there are none. While nothing
    /// was left out since, `head`, the next number of all, is their end.
    pub fn range(&self, head: u64) -> Range<u64> {
        self.first..if self.open { head } else { self.next }
    }

    /// What is kept belongs to a past that is over.
    pub fn forget(&mut self) {
        *self = Burst { buffer: self.buffer, ..Burst::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(timestamp: u32, keyframe: bool) -> Meta {
        Meta { ssrc: Ssrc(1), timestamp, keyframe, len: 1000, ..Meta::default() }
    }

    #[test]
    fn a_burst_runs_from_a_keyframe_to_the_first_limit() {
        let mut burst = Burst::default();
        burst.stored(&meta(0, true), 0, 512, 0);
        assert!(burst.range(1).is_empty(), "nothing is kept unless it was asked for");
        burst.configure(KeyframeBuffer { ms: 100, bytes: 0 });
        burst.stored(&meta(0, false), 1, 512, 0);
        assert!(burst.range(2).is_empty(), "it begins with a keyframe");
        burst.stored(&meta(3000, true), 2, 512, 10_000);
        burst.stored(&meta(3000, true), 3, 512, 10_000);
        burst.stored(&meta(6000, false), 4, 512, 110_000);
        assert_eq!(burst.range(5), 2..5);
        burst.stored(&meta(9000, false), 5, 512, 110_001);
        burst.stored(&meta(9000, false), 6, 512, 110_002);
        assert_eq!(burst.range(7), 2..5, "the limit");
        burst.stored(&meta(12_000, true), 7, 512, 150_000);
        assert_eq!(burst.range(8), 7..8, "another keyframe");
        burst.configure(KeyframeBuffer::default());
        assert!(burst.range(8).is_empty());
    }

    #[test]
    fn the_keyframe_is_kept_whatever_its_size() {
        let mut burst = Burst::default();
        burst.configure(KeyframeBuffer { ms: 0, bytes: 2500 });
        for index in 0..4 {
            burst.stored(&meta(0, index == 0), index, 512, 0);
        }
        burst.stored(&meta(3000, false), 4, 512, 0);
        assert_eq!(burst.range(5), 0..4);
    }

    #[test]
    fn no_burst_outgrows_its_ring() {
        let mut burst = Burst::default();
        burst.configure(KeyframeBuffer { ms: u16::MAX, bytes: 0 });
        for index in 0..400 {
            burst.stored(&meta(index as u32, index == 0), index, 512, index);
        }
        assert_eq!(burst.range(400), 0..256);
        let slots = |ms, bytes| Burst::slots(KeyframeBuffer { ms, bytes }, 512);
        assert_eq!((slots(0, 0), slots(100, 0), slots(2000, 0)), (512, 768, 2256));
        assert_eq!((slots(65_535, 0), slots(65_535, 800_000)), (4096, 2256));
    }
}
