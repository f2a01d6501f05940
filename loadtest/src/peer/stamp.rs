//! The send time a packet carries.

/// Marks a stamp; no encoder's output is likely to end so.
const MARK: [u8; 8] = *b"bifrons:";

/// Nanoseconds since the start of the sending process' clock, in a packet's last 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(pub u64);

impl Stamp {
    /// Bytes it takes at the end of a payload.
    pub const LEN: usize = 16;

    /// Writes it over the end of `payload`; a shorter payload stays unstamped.
    pub fn write(self, payload: &mut [u8]) {
        if let Some(tail) = payload.last_chunk_mut::<{ Self::LEN }>() {
            let (mark, time) = tail.split_at_mut(MARK.len());
            mark.copy_from_slice(&MARK);
            time.copy_from_slice(&self.0.to_be_bytes());
        }
    }

    /// Reads it from the end of `payload`, if there is one.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let tail = payload.last_chunk::<{ Self::LEN }>()?;
        let (mark, time) = tail.split_first_chunk::<8>()?;
        let time = time.first_chunk::<8>()?;
        (*mark == MARK).then(|| Self(u64::from_be_bytes(*time)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_at_the_end_only() {
        let mut payload = [0u8; 40];
        Stamp(12_345).write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(Stamp(12_345)));
        assert_eq!(Stamp::read(&payload[..39]), None);
        assert_eq!(Stamp::read(&payload[..3]), None);
    }
}
