//! A train: datagrams of one size for one destination, the last of which may be shorter, that leave
//! as one `sendmsg`.

/// Segments in one train: what a peer's receive path takes in one burst without harm.
pub(super) const SEGMENTS: usize = 16;
/// The kernel's limit for the bytes of one train.
const LIMIT: usize = 65_000;

/// Padding that a packet may get so that it is as long as its train's others, in bytes (RFC 3550
/// §5.1): encoders split a frame about equally, so neighbours differ by a byte or by an extension of
/// the first. A send saved is worth far more than that; packets further apart are not levelled.
pub(super) const PADDING: usize = 32;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Train {
    /// Bytes so far.
    pub(crate) len: usize,
    /// Bytes of each datagram but the last.
    pub(crate) segment: u16,
    /// Datagrams so far.
    pub(crate) segments: usize,
    closed: bool,
    /// Bytes of payload up to which shorter packets are padded, while there are more to come.
    pub(super) level: usize,
}

impl Train {
    /// Whether a datagram of this size may follow.
    pub(crate) fn takes(&self, size: usize) -> bool {
        self.segments == 0
            || (!self.closed
                && size <= usize::from(self.segment)
                && self.segments < SEGMENTS
                && self.len + size <= LIMIT)
    }

    /// It follows.
    pub(crate) fn add(&mut self, size: usize) {
        if self.segments == 0 {
            self.segment = size as u16;
        }
        self.closed = size < usize::from(self.segment);
        self.segments += 1;
        self.len += size;
    }
}
