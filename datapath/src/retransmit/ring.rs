//! The plaintext ring of a source: the last packets it sent, opened and parsed, each kept once no
//! matter how many sinks it goes to.
//!
//! A packet is named by its index, which counts from the source's first packet and never wraps in
//! practice; a name is good until the ring has gone round. Memory: `slots` × (1536 + metadata)
//! bytes, allotted when the first packet arrives, so that a silent source costs nothing.

use crate::layers::Frame;
use bifrons_core::codec::Vp8Descriptor;
use bifrons_core::rtp::{ExtensionValues, Seq, Ssrc};
use std::ops::Range;

/// Bytes a slot holds: the largest packet we take (1500) rounded up to cache lines.
pub const SLOT_BYTES: usize = 1536;

/// What is known about a stored packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meta {
    /// The sender's SSRC (that of the media stream, for a retransmission too).
    pub ssrc: Ssrc,
    /// Its sequence number.
    pub seq: Seq,
    /// Its RTP timestamp.
    pub timestamp: u32,
    /// Its payload type.
    pub pt: u8,
    /// Its marker bit.
    pub marker: bool,
    /// The simulcast substream, 0..=2.
    pub layer: u8,
    /// Whether it begins a keyframe.
    pub keyframe: bool,
    /// Its place among the layers of its stream.
    pub frame: Frame,
    /// What its timestamp lacks to the clock that all substreams of its source share, in ticks,
    /// where sender reports told.
    pub common_clock: Option<u32>,
    /// Its VP8 payload descriptor, if it has one: picture numbers are rewritten sink by sink.
    pub vp8: Option<Vp8Descriptor>,
    /// When it arrived, on the shard's clock.
    pub arrived_us: u64,
    /// Length of the packet in its slot.
    pub len: u16,
    /// Where the payload lies in the slot, padding left out.
    pub payload: (u16, u16),
    /// Its header extensions.
    pub extensions: ExtensionValues,
}

impl Meta {
    /// The payload's place in the slot.
    pub fn payload(&self) -> Range<usize> {
        usize::from(self.payload.0)..usize::from(self.payload.1)
    }
}

/// See the module.
#[derive(Debug)]
pub struct PacketRing {
    head: u64,
    mask: u64,
    meta: Box<[Meta]>,
    bytes: Box<[u8]>,
}

impl PacketRing {
    /// A ring of `slots` packets, rounded up to a power of two, at least 2.
    pub fn new(slots: usize) -> Self {
        let slots = slots.max(2).next_power_of_two();
        PacketRing {
            head: 0,
            mask: slots as u64 - 1,
            meta: vec![Meta::default(); slots].into_boxed_slice(),
            bytes: vec![0; slots * SLOT_BYTES].into_boxed_slice(),
        }
    }

    /// Stores a packet (at most [`SLOT_BYTES`]; `None` if longer) and returns its index.
    pub fn push(&mut self, packet: &[u8], mut meta: Meta) -> Option<u64> {
        let at = self.slot(self.head);
        let to = self.bytes.get_mut(at * SLOT_BYTES..)?.get_mut(..packet.len().min(SLOT_BYTES))?;
        if packet.len() > SLOT_BYTES {
            return None;
        }
        to.copy_from_slice(packet);
        meta.len = packet.len() as u16;
        self.meta[at] = meta;
        self.head += 1;
        Some(self.head - 1)
    }

    /// The packet with this index, if the ring still has it.
    pub fn get(&self, index: u64) -> Option<(&Meta, &[u8])> {
        if index >= self.head || self.head - index > self.mask + 1 {
            return None;
        }
        let at = self.slot(index);
        let meta = &self.meta[at];
        let start = at * SLOT_BYTES;
        Some((meta, &self.bytes[start..start + usize::from(meta.len)]))
    }

    /// The index that the next packet will get.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// How many packets it holds.
    pub fn slots(&self) -> usize {
        self.meta.len()
    }

    fn slot(&self, index: u64) -> usize {
        (index & self.mask) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_named_until_the_ring_has_gone_round() {
        let mut ring = PacketRing::new(3);
        for n in 0..5u8 {
            let meta = Meta { pt: n, ..Meta::default() };
            assert_eq!(ring.push(&[n; 7], meta), Some(u64::from(n)));
        }
        assert!(ring.get(0).is_none());
        for n in 1..5u8 {
            let (meta, bytes) = ring.get(u64::from(n)).expect("still there");
            assert_eq!((meta.pt, meta.len, bytes), (n, 7, &[n; 7][..]));
        }
        assert!(ring.get(5).is_none());
    }

    #[test]
    fn a_packet_larger_than_a_slot_is_refused() {
        let mut ring = PacketRing::new(2);
        assert_eq!(ring.push(&[0; SLOT_BYTES + 1], Meta::default()), None);
        assert_eq!(ring.push(&[0; SLOT_BYTES], Meta::default()), Some(0));
    }
}
