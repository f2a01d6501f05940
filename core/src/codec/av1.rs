//! AV1 RTP payloads (AOM "RTP Payload Format For AV1" §4.4): aggregation header and OBU elements.

/// OBU type of a sequence header.
const SEQUENCE_HEADER: u8 = 1;

/// The aggregation header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Av1Aggregation {
    /// The first element goes on from the packet before (Z).
    pub continues: bool,
    /// The last element goes on in the next packet (Y).
    pub continued: bool,
    /// Number of elements, 1..=3, or 0 when each has a length (W).
    pub elements: u8,
    /// First packet of a coded video sequence (N).
    pub sequence_start: bool,
}

impl Av1Aggregation {
    /// Reads the first byte of `payload`.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let first = *payload.first()?;
        Some(Self {
            continues: first & 0x80 != 0,
            continued: first & 0x40 != 0,
            elements: first >> 4 & 0x03,
            sequence_start: first & 0x08 != 0,
        })
    }
}

/// Whether an AV1 payload begins a keyframe: it is marked as the start of a coded video sequence,
/// or an OBU that begins in it is a sequence header.
#[must_use]
pub fn av1_is_keyframe(payload: &[u8]) -> bool {
    let Some(head) = Av1Aggregation::read(payload) else { return false };
    if head.continues {
        // N may not be set then, and an encoder puts the sequence header first.
        return false;
    }
    head.sequence_start || any_sequence_header(payload.get(1..).unwrap_or_default(), head.elements)
}

fn any_sequence_header(mut rest: &[u8], elements: u8) -> bool {
    let mut n = 1;
    while !rest.is_empty() {
        let element = if elements != 0 && n >= elements {
            std::mem::take(&mut rest)
        } else {
            let Some((len, after)) = leb128(rest) else { return false };
            let Some((element, after)) = after.split_at_checked(len) else { return false };
            rest = after;
            element
        };
        if element.first().is_some_and(|obu| obu >> 3 & 0x0F == SEQUENCE_HEADER) {
            return true;
        }
        n = n.saturating_add(1);
    }
    false
}

/// A little-endian base-128 number of at most four bytes, which exceeds any packet, and the rest.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (i, &b) in bytes.iter().enumerate().take(4) {
        value |= usize::from(b & 0x7F) << (7 * i);
        if b & 0x80 == 0 {
            return Some((value, bytes.get(i + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_starts_and_sequence_headers_are_keyframes() {
        assert!(av1_is_keyframe(&[0x08]));
        assert!(av1_is_keyframe(&[0x10, 0x0A, 0]), "one element, no length");
        assert!(av1_is_keyframe(&[0x20, 2, 0x12, 0, 0x0A, 0]), "second of two");
        assert!(av1_is_keyframe(&[0x00, 2, 0x12, 0, 1, 0x08]), "each with a length");
        assert!(!av1_is_keyframe(&[0x10, 0x32, 0]), "a frame");
        assert!(!av1_is_keyframe(&[0x90, 0x0A, 0]), "goes on from before");
        assert!(!av1_is_keyframe(&[]) && !av1_is_keyframe(&[0x00]));
        assert!(!av1_is_keyframe(&[0x00, 200, 1, 0x0A]), "overrun");
        assert!(!av1_is_keyframe(&[0x00, 0x80, 0x80, 0x80, 0x80, 0x01, 0x0A]), "endless length");
    }

    #[test]
    fn aggregation_header_is_read() {
        let h = Av1Aggregation::read(&[0b0110_0000]).unwrap();
        assert_eq!(
            (h.continues, h.continued, h.elements, h.sequence_start),
            (false, true, 2, false)
        );
    }
}
