//! A checked view of one RTP packet, read-only and in place.
//!
//! Parsing walks the fixed header, the contributing sources and the length of the extension block,
//! and nothing else: a few loads and compares. The result is a [`Layout`] of offsets that can be
//! kept beside a ring slot, so that a packet is parsed once however many sinks it has.

use super::{ElementIter, PayloadType, Seq, Ssrc};
use std::ops::Range;

/// Length of the fixed header, bytes (RFC 3550 §5.1).
pub const FIXED_HEADER: usize = 12;

/// Why bytes are not an RTP packet, or a packet cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Fewer bytes than a fixed header.
    #[error("shorter than an RTP header")]
    TooShort,
    /// More bytes than [`super::MAX_PACKET`].
    #[error("longer than the largest packet we take")]
    TooLong,
    /// Version other than 2.
    #[error("not RTP version 2")]
    Version,
    /// Contributing sources or the extension block reach past the end.
    #[error("header reaches past the end of the packet")]
    Truncated,
    /// A padding count of zero, or one that exceeds the payload.
    #[error("padding count does not fit the packet")]
    Padding,
    /// The output slice is too short for what is to be written.
    #[error("no room in the output")]
    NoRoom,
}

/// Where the parts of a packet lie, as byte offsets from its start. Plain data, 10 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Layout {
    extension_profile: u16,
    extension_start: u16,
    header_len: u16,
    payload_end: u16,
    len: u16,
}

impl Layout {
    /// The layout of the header of `bytes`, which may still be encrypted: padding is not looked
    /// at and the payload runs to the end.
    ///
    /// # Errors
    /// [`RtpError`] when the bytes are no RTP packet or exceed [`super::MAX_PACKET`].
    pub fn of_header(bytes: &[u8]) -> Result<Self, RtpError> {
        let Some(fixed) = bytes.first_chunk::<FIXED_HEADER>() else {
            return Err(RtpError::TooShort);
        };
        if bytes.len() > super::MAX_PACKET {
            return Err(RtpError::TooLong);
        }
        if fixed[0] >> 6 != 2 {
            return Err(RtpError::Version);
        }
        let mut end = FIXED_HEADER + 4 * usize::from(fixed[0] & 0x0F);
        let (mut profile, mut start) = (0, 0);
        if fixed[0] & 0x10 != 0 {
            let Some(head) = bytes.get(end..).and_then(<[u8]>::first_chunk::<4>) else {
                return Err(RtpError::Truncated);
            };
            profile = u16::from_be_bytes([head[0], head[1]]);
            start = end + 4;
            end = start + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
        }
        if end > bytes.len() {
            return Err(RtpError::Truncated);
        }
        Ok(Self {
            extension_profile: profile,
            extension_start: start as u16,
            header_len: end as u16,
            payload_end: bytes.len() as u16,
            len: bytes.len() as u16,
        })
    }

    /// The layout of the plain packet `bytes`, padding taken off the payload.
    ///
    /// # Errors
    /// As [`Layout::of_header`], and [`RtpError::Padding`].
    pub fn of_packet(bytes: &[u8]) -> Result<Self, RtpError> {
        let mut layout = Self::of_header(bytes)?;
        if bytes[0] & 0x20 != 0 {
            let padding = bytes.last().copied().map_or(0, u16::from);
            if padding == 0 || padding > layout.len - layout.header_len {
                return Err(RtpError::Padding);
            }
            layout.payload_end -= padding;
        }
        Ok(layout)
    }

    /// Length of the whole header: fixed part, contributing sources, extension block.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.header_len as usize
    }

    /// Where the payload lies, padding excluded.
    #[must_use]
    pub const fn payload(&self) -> Range<usize> {
        self.header_len as usize..self.payload_end as usize
    }

    /// Length of the padding, its count byte included.
    #[must_use]
    pub const fn padding_len(&self) -> usize {
        (self.len - self.payload_end) as usize
    }

    /// Profile of the extension block (0xBEDE, 0x100x) and where its elements lie, if there is
    /// one.
    #[must_use]
    pub const fn extension_block(&self) -> Option<(u16, Range<usize>)> {
        if self.extension_start == 0 {
            return None;
        }
        Some((self.extension_profile, self.extension_start as usize..self.header_len as usize))
    }
}

/// A checked, read-only view of a plain RTP packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    fixed: &'a [u8; FIXED_HEADER],
    layout: Layout,
}

impl<'a> Packet<'a> {
    /// Checks `bytes` and gives the view.
    ///
    /// # Errors
    /// [`RtpError`] when the bytes are no RTP packet (RFC 3550 §5.1, §A.1).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtpError> {
        Self::with(bytes, Layout::of_packet(bytes)?)
    }

    /// The view of a packet that is still encrypted: header fields and extensions are right, the
    /// payload is ciphertext with its tag.
    ///
    /// # Errors
    /// As [`Packet::parse`], but padding is not checked.
    pub fn parse_header(bytes: &'a [u8]) -> Result<Self, RtpError> {
        Self::with(bytes, Layout::of_header(bytes)?)
    }

    fn with(bytes: &'a [u8], layout: Layout) -> Result<Self, RtpError> {
        let fixed = bytes.first_chunk().ok_or(RtpError::TooShort)?;
        Ok(Self { bytes, fixed, layout })
    }

    /// The whole packet.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where its parts lie.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// Marker bit.
    #[must_use]
    pub const fn marker(&self) -> bool {
        self.fixed[1] & 0x80 != 0
    }

    /// Payload type.
    #[must_use]
    pub const fn payload_type(&self) -> PayloadType {
        PayloadType::from_low_bits(self.fixed[1])
    }

    /// Sequence number.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        Seq(u16::from_be_bytes([self.fixed[2], self.fixed[3]]))
    }

    /// Timestamp, in units of the payload's clock.
    #[must_use]
    pub const fn timestamp(&self) -> u32 {
        let h = self.fixed;
        u32::from_be_bytes([h[4], h[5], h[6], h[7]])
    }

    /// Synchronization source.
    #[must_use]
    pub const fn ssrc(&self) -> Ssrc {
        let h = self.fixed;
        Ssrc(u32::from_be_bytes([h[8], h[9], h[10], h[11]]))
    }

    /// Contributing sources, at most 15.
    pub fn csrcs(&self) -> impl ExactSizeIterator<Item = Ssrc> + 'a {
        let n = usize::from(self.fixed[0] & 0x0F);
        let list = self.bytes.get(FIXED_HEADER..FIXED_HEADER + 4 * n).unwrap_or_default();
        list.as_chunks::<4>().0.iter().map(|c| Ssrc(u32::from_be_bytes(*c)))
    }

    /// Payload without padding; empty for a padding-only packet.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(self.layout.payload()).unwrap_or_default()
    }

    /// The header extension elements (RFC 8285), empty when there is no block or its profile is
    /// neither of the two general forms.
    #[must_use]
    pub fn extensions(&self) -> ElementIter<'a> {
        ElementIter::new(self.bytes, self.layout)
    }
}

/// A checked view of a plain RTP packet that rewrites it in place; no length ever changes.
#[derive(Debug)]
pub struct PacketMut<'a> {
    bytes: &'a mut [u8],
    layout: Layout,
}

impl<'a> PacketMut<'a> {
    /// Checks `bytes` and gives the view.
    ///
    /// # Errors
    /// As [`Packet::parse`].
    pub fn parse(bytes: &'a mut [u8]) -> Result<Self, RtpError> {
        let layout = Layout::of_packet(bytes)?;
        Ok(Self { bytes, layout })
    }

    /// Where its parts lie.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// The read-only view of the same packet.
    #[must_use]
    pub fn as_packet(&self) -> Option<Packet<'_>> {
        Packet::with(self.bytes, self.layout).ok()
    }

    /// Replaces the marker bit.
    pub fn set_marker(&mut self, marker: bool) {
        self.bytes[1] = self.bytes[1] & 0x7F | u8::from(marker) << 7;
    }

    /// Replaces the payload type.
    pub fn set_payload_type(&mut self, pt: PayloadType) {
        self.bytes[1] = self.bytes[1] & 0x80 | pt.get();
    }

    /// Replaces the sequence number.
    pub fn set_seq(&mut self, seq: Seq) {
        self.bytes[2..4].copy_from_slice(&seq.0.to_be_bytes());
    }

    /// Replaces the timestamp.
    pub fn set_timestamp(&mut self, timestamp: u32) {
        self.bytes[4..8].copy_from_slice(&timestamp.to_be_bytes());
    }

    /// Replaces the synchronization source.
    pub fn set_ssrc(&mut self, ssrc: Ssrc) {
        self.bytes[8..12].copy_from_slice(&ssrc.0.to_be_bytes());
    }

    /// The payload, padding excluded.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.layout.payload()).unwrap_or_default()
    }

    /// The data of the first extension element with `id`, to be overwritten in place.
    pub fn extension_mut(&mut self, id: u8) -> Option<&mut [u8]> {
        let range = ElementIter::new(self.bytes, self.layout).find(|e| e.id == id)?.range();
        self.bytes.get_mut(range)
    }
}

/// Whether a packet with this second octet is RTCP rather than RTP when both share a port: payload
/// types 64..=95 are RTCP (RFC 5761 §4, `webrtc-behaviour` §2).
#[must_use]
pub const fn is_rtcp(second_octet: u8) -> bool {
    matches!(second_octet & 0x7F, 64..=95)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<u8> {
        let mut p = vec![0xB1, 0xE0, 0x12, 0x34, 0, 0, 0, 7, 0xDE, 0xAD, 0xBE, 0xEF];
        p.extend([0, 0, 0, 9]); // one contributing source
        p.extend([0xBE, 0xDE, 0, 1, 0x10, 0x85, 0, 0]);
        p.extend([1, 2, 3, 0, 0, 3]); // three bytes of payload, three of padding
        p
    }

    #[test]
    fn fields_and_ranges_are_read() {
        let bytes = sample();
        let p = Packet::parse(&bytes).unwrap();
        assert!(p.marker());
        assert_eq!(p.payload_type().get(), 96);
        assert_eq!(p.seq(), Seq(0x1234));
        assert_eq!(p.timestamp(), 7);
        assert_eq!(p.ssrc(), Ssrc(0xDEAD_BEEF));
        assert_eq!(p.csrcs().collect::<Vec<_>>(), [Ssrc(9)]);
        assert_eq!(p.payload(), [1, 2, 3]);
        assert_eq!(p.layout().padding_len(), 3);
        assert_eq!(p.layout().header_len(), 24);
        assert_eq!(
            p.extensions().map(|e| (e.id, e.data.to_vec())).collect::<Vec<_>>(),
            [(1, vec![0x85])]
        );
    }

    #[test]
    fn rewriting_in_place_touches_only_its_field() {
        let mut bytes = sample();
        let mut p = PacketMut::parse(&mut bytes).unwrap();
        p.set_seq(Seq(1));
        p.set_timestamp(2);
        p.set_ssrc(Ssrc(3));
        p.set_payload_type(PayloadType::from_low_bits(111));
        p.set_marker(false);
        p.payload_mut()[0] = 9;
        p.extension_mut(1).unwrap()[0] = 0x7F;
        assert!(p.extension_mut(2).is_none());
        let p = Packet::parse(&bytes).unwrap();
        assert_eq!((p.seq(), p.timestamp(), p.ssrc()), (Seq(1), 2, Ssrc(3)));
        assert_eq!((p.payload_type().get(), p.marker()), (111, false));
        assert_eq!(p.payload(), [9, 2, 3]);
        assert_eq!(p.extensions().next().unwrap().data, [0x7F]);
        assert_eq!(p.csrcs().len(), 1);
    }

    #[test]
    fn broken_packets_have_their_reason() {
        assert_eq!(Packet::parse(&[0x80; 11]).unwrap_err(), RtpError::TooShort);
        assert_eq!(Packet::parse(&[0x40; 12]).unwrap_err(), RtpError::Version);
        assert_eq!(Packet::parse(&[0x8F; 12]).unwrap_err(), RtpError::Truncated);
        assert_eq!(Packet::parse(&[0x90; 12]).unwrap_err(), RtpError::Truncated);
        assert_eq!(Packet::parse(&[0x80; 1501]).unwrap_err(), RtpError::TooLong);
        let mut p = [0u8; 13];
        p[0] = 0xA0;
        assert_eq!(Packet::parse(&p).unwrap_err(), RtpError::Padding);
        p[12] = 2;
        assert_eq!(Packet::parse(&p).unwrap_err(), RtpError::Padding);
        p[12] = 1;
        assert!(Packet::parse(&p).unwrap().payload().is_empty());
    }

    #[test]
    fn rtcp_is_told_from_rtp_by_payload_type() {
        assert!(is_rtcp(200) && is_rtcp(207) && is_rtcp(192) && is_rtcp(223));
        assert!(!is_rtcp(96) && !is_rtcp(0xE0) && !is_rtcp(63) && !is_rtcp(111));
    }

    fn rtp_like() -> impl Strategy<Value = Vec<u8>> {
        let first = prop_oneof![Just(0x80u8), Just(0x90), Just(0xA0), Just(0xB2), any::<u8>()];
        (first, proptest::collection::vec(any::<u8>(), 0..120), 0u8..12).prop_map(
            |(first, mut rest, words)| {
                let ext = 11 + 4 * usize::from(first & 0x0F);
                if let Some(len) = rest.get_mut(ext + 2..ext + 4) {
                    len.copy_from_slice(&[0, words]);
                }
                rest.insert(0, first);
                rest
            },
        )
    }

    proptest! {
        #[test]
        fn agrees_with_rtp_rs(bytes in rtp_like()) {
            match (Packet::parse(&bytes), rtp_rs::RtpReader::new(&bytes)) {
                (Ok(ours), Ok(theirs)) => {
                    prop_assert_eq!(ours.seq().0, u16::from(theirs.sequence_number()));
                    prop_assert_eq!(ours.timestamp(), theirs.timestamp());
                    prop_assert_eq!(ours.ssrc().0, theirs.ssrc());
                    prop_assert_eq!(ours.marker(), theirs.mark());
                    prop_assert_eq!(ours.payload_type().get(), theirs.payload_type());
                    prop_assert_eq!(ours.payload(), theirs.payload());
                    let csrcs: Vec<u32> = ours.csrcs().map(|s| s.0).collect();
                    prop_assert_eq!(csrcs, theirs.csrc().collect::<Vec<_>>());
                    let block = ours.layout().extension_block().map(|(p, r)| (p, &bytes[r]));
                    prop_assert_eq!(block, theirs.extension());
                }
                (Err(_), Err(_)) => {}
                (ours, theirs) => prop_assert!(
                    false, "ours {:?}, theirs {:?}", ours.err(), theirs.err()
                ),
            }
        }
    }
}
