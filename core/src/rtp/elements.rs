//! The elements of a header extension block (RFC 8285), one-byte and two-byte form.
//!
//! The walk ends at the first element that does not fit the block, at the reserved id 15 and at a
//! padding byte with a length (RFC 8285 §4.2); what came before counts.

use super::Layout;
use std::ops::Range;

/// Profile of a block of one-byte elements (RFC 8285 §4.2).
pub const ONE_BYTE_PROFILE: u16 = 0xBEDE;
/// Profile of a block of two-byte elements, application bits zero (RFC 8285 §4.3).
pub const TWO_BYTE_PROFILE: u16 = 0x1000;

/// One extension element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Negotiated id, 1..=14 or 1..=255.
    pub id: u8,
    /// Offset of the data from the start of the packet, bytes.
    pub offset: u16,
    /// The data, 1..=16 bytes in the one-byte form, 0..=255 in the other.
    pub data: &'a [u8],
}

impl Element<'_> {
    /// Where the data lies in the packet.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        let start = usize::from(self.offset);
        start..start + self.data.len()
    }
}

/// Iterator over the elements of one packet; work is linear in the block, at most 1500 bytes.
#[derive(Clone, Debug)]
pub struct ElementIter<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
    two_byte: bool,
}

impl<'a> ElementIter<'a> {
    pub(super) fn new(bytes: &'a [u8], layout: Layout) -> Self {
        let (two_byte, range) = match layout.extension_block() {
            Some((ONE_BYTE_PROFILE, range)) => (false, range),
            Some((profile, range)) if profile & 0xFFF0 == TWO_BYTE_PROFILE => (true, range),
            _ => (false, 0..0),
        };
        Self { bytes, at: range.start, end: range.end.min(bytes.len()), two_byte }
    }

    /// Header of the element at the cursor: id, header length, data length. `None` ends the walk.
    fn head(&self) -> Option<(u8, usize, usize)> {
        let first = *self.bytes.get(self.at)?;
        if self.two_byte {
            let len = if first == 0 { 0 } else { *self.bytes.get(self.at + 1)? };
            return Some((first, 2, usize::from(len)));
        }
        match (first >> 4, first & 0x0F) {
            (15, _) | (0, 1..) => None,
            (id, len) => Some((id, 1, usize::from(len) + 1)),
        }
    }
}

impl<'a> Iterator for ElementIter<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        while self.at < self.end {
            let Some((id, head, len)) = self.head() else { break };
            if id == 0 {
                self.at += 1;
                continue;
            }
            let start = self.at + head;
            if start + len > self.end {
                break;
            }
            self.at = start + len;
            let data = self.bytes.get(start..start + len)?;
            return Some(Element { id, offset: start as u16, data });
        }
        self.at = self.end;
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::rtp::Packet;

    fn elements(profile: u16, block: &[u8]) -> Vec<(u8, Vec<u8>)> {
        assert_eq!(block.len() % 4, 0);
        let mut p = vec![0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        p.extend(profile.to_be_bytes());
        p.extend(((block.len() / 4) as u16).to_be_bytes());
        p.extend(block);
        p.extend([0xAA; 5]);
        let view = Packet::parse(&p).unwrap();
        for e in view.extensions() {
            assert_eq!(&p[e.range()], e.data);
        }
        view.extensions().map(|e| (e.id, e.data.to_vec())).collect()
    }

    #[test]
    fn one_byte_elements_with_padding_between() {
        let got = elements(0xBEDE, &[0x10, 0xAA, 0, 0, 0x21, 0xBB, 0xCC, 0]);
        assert_eq!(got, [(1, vec![0xAA]), (2, vec![0xBB, 0xCC])]);
    }

    #[test]
    fn two_byte_elements_may_be_empty_and_app_bits_are_ignored() {
        let got = elements(0x1005, &[1, 0, 0, 200, 2, 7, 8, 0]);
        assert_eq!(got, [(1, vec![]), (200, vec![7, 8])]);
    }

    #[test]
    fn walk_ends_at_reserved_id_bad_padding_and_overrun() {
        assert_eq!(elements(0xBEDE, &[0x10, 1, 0xF0, 2, 0x20, 3, 0, 0]), [(1, vec![1])]);
        assert_eq!(elements(0xBEDE, &[0x10, 1, 0x02, 0x20, 3, 0, 0, 0]), [(1, vec![1])]);
        assert_eq!(elements(0xBEDE, &[0x10, 1, 0x22, 9]), [(1, vec![1])]);
        assert_eq!(elements(0x1000, &[1, 1, 5, 2]), [(1, vec![5])]);
        assert_eq!(elements(0x1000, &[1, 200, 5, 2]), []);
    }

    #[test]
    fn other_profiles_have_no_elements() {
        assert_eq!(elements(0x1234, &[0x10, 0xAA, 0, 0]), []);
        assert_eq!(elements(0xBEDE, &[]), []);
    }
}
