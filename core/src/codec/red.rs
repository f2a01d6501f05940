//! Redundant audio (RFC 2198): the blocks of a payload, oldest first.

use crate::rtp::PayloadType;

/// Most blocks that are read; browsers send at most ten.
pub const MAX_RED_BLOCKS: usize = 16;

/// One block of a redundant payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedBlock<'a> {
    /// Its payload type.
    pub payload_type: PayloadType,
    /// How much older than the packet's timestamp it is, 0..=16383; 0 for the primary block.
    pub timestamp_offset: u16,
    /// Its data.
    pub data: &'a [u8],
}

/// Iterator over the blocks of one payload.
#[derive(Clone, Debug)]
pub struct RedBlocks<'a> {
    headers: &'a [u8],
    data: &'a [u8],
}

impl<'a> RedBlocks<'a> {
    /// Checks the headers of `payload`; `None` when they or the blocks do not fit, or there are
    /// more than [`MAX_RED_BLOCKS`].
    #[must_use]
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        let (mut at, mut redundant) = (0, 0);
        for _ in 0..MAX_RED_BLOCKS {
            if payload.get(at)? & 0x80 == 0 {
                let (headers, data) = payload.split_at_checked(at + 1)?;
                return (redundant <= data.len()).then_some(Self { headers, data });
            }
            redundant += usize::from(*payload.get(at + 2)? & 0x03) << 8;
            redundant += usize::from(*payload.get(at + 3)?);
            at += 4;
        }
        None
    }

    /// The block that is not redundant.
    #[must_use]
    pub fn primary(self) -> Option<RedBlock<'a>> {
        self.last()
    }
}

impl<'a> Iterator for RedBlocks<'a> {
    type Item = RedBlock<'a>;

    fn next(&mut self) -> Option<RedBlock<'a>> {
        let (&first, _) = self.headers.split_first()?;
        let payload_type = PayloadType::from_low_bits(first);
        if first & 0x80 == 0 {
            self.headers = &[];
            let data = std::mem::take(&mut self.data);
            return Some(RedBlock { payload_type, timestamp_offset: 0, data });
        }
        let (&[_, b, c, d], headers) = self.headers.split_first_chunk::<4>()?;
        let len = usize::from(c & 0x03) << 8 | usize::from(d);
        let (data, rest) = self.data.split_at_checked(len)?;
        (self.headers, self.data) = (headers, rest);
        let timestamp_offset = u16::from(b) << 6 | u16::from(c >> 2);
        Some(RedBlock { payload_type, timestamp_offset, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_oldest_first_and_the_last_is_primary() {
        // Offset 960 is 0b1111000000: eight bits in one byte, six in the next.
        let mut p = vec![0x80 | 111, 0b0000_1111, 0, 2, 111];
        p.extend([1, 2, 3, 4, 5]);
        let blocks: Vec<_> = RedBlocks::read(&p).unwrap().collect();
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].timestamp_offset, blocks[0].data), (960, &[1, 2][..]));
        let primary = RedBlocks::read(&p).unwrap().primary().unwrap();
        assert_eq!((primary.payload_type.get(), primary.data), (111, &[3, 4, 5][..]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(RedBlocks::read(&[]).is_none());
        assert!(RedBlocks::read(&[0x80 | 111, 0, 0]).is_none());
        assert!(RedBlocks::read(&[0x80 | 111, 0, 0, 2, 111, 1]).is_none());
        assert!(RedBlocks::read(&[0xEF, 0, 0, 0].repeat(20)).is_none());
        assert!(RedBlocks::read(&[111]).unwrap().primary().unwrap().data.is_empty());
    }
}
