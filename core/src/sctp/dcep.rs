//! The Data Channel Establishment Protocol (RFC 8832): two messages.

use super::Reliability;

/// `DATA_CHANNEL_OPEN` (RFC 8832 §8.2.1).
const OPEN: u8 = 0x03;
/// `DATA_CHANNEL_ACK`.
const ACK: u8 = 0x02;
/// Set in the channel type where order does not matter.
const UNORDERED: u8 = 0x80;
/// Bytes of an OPEN before its label.
const HEADER: usize = 12;

/// What an OPEN says (RFC 8832 §5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Whether messages may overtake each other.
    pub unordered: bool,
    /// What becomes of lost messages.
    pub reliability: Reliability,
    /// 0..=65535, 256 = normal; carried and not acted upon.
    pub priority: u16,
    /// Its name, at most 65535 bytes; need not be unique.
    pub label: Box<str>,
    /// The subprotocol, at most 65535 bytes.
    pub protocol: Box<str>,
}

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dcep {
    /// Opens a channel.
    Open(Open),
    /// Answers an OPEN.
    Ack,
}

impl Dcep {
    /// Reads a message; `None` for what is none: unknown type, lengths that do not add up, text
    /// that is not UTF-8.
    pub fn parse(bytes: &[u8]) -> Option<Dcep> {
        match bytes {
            // Trailing bytes of an ACK mean nothing (§5.2).
            [ACK, ..] => Some(Dcep::Ack),
            [OPEN, kind, p0, p1, r0, r1, r2, r3, l0, l1, s0, s1, rest @ ..] => {
                let parameter = u32::from_be_bytes([*r0, *r1, *r2, *r3]);
                let label_len = usize::from(u16::from_be_bytes([*l0, *l1]));
                let protocol_len = usize::from(u16::from_be_bytes([*s0, *s1]));
                let (label, rest) = rest.split_at_checked(label_len)?;
                let protocol = rest.get(..protocol_len).filter(|_| rest.len() == protocol_len)?;
                let reliability = match kind & !UNORDERED {
                    0 => Reliability::Reliable,
                    1 => Reliability::Retransmits(parameter),
                    2 => Reliability::LifetimeMs(parameter),
                    _ => return None,
                };
                Some(Dcep::Open(Open {
                    unordered: kind & UNORDERED != 0,
                    reliability,
                    priority: u16::from_be_bytes([*p0, *p1]),
                    label: std::str::from_utf8(label).ok()?.into(),
                    protocol: std::str::from_utf8(protocol).ok()?.into(),
                }))
            }
            _ => None,
        }
    }

    /// Writes the message. `None` if a name is longer than 65535 bytes.
    pub fn write(&self) -> Option<Vec<u8>> {
        let open = match self {
            Dcep::Ack => return Some(vec![ACK]),
            Dcep::Open(open) => open,
        };
        let label_len = u16::try_from(open.label.len()).ok()?;
        let protocol_len = u16::try_from(open.protocol.len()).ok()?;
        let (kind, parameter) = match open.reliability {
            Reliability::Reliable => (0, 0),
            Reliability::Retransmits(count) => (1, count),
            Reliability::LifetimeMs(ms) => (2, ms),
        };
        let kind = if open.unordered { kind | UNORDERED } else { kind };
        let mut out = Vec::with_capacity(HEADER + open.label.len() + open.protocol.len());
        out.extend_from_slice(&[OPEN, kind]);
        out.extend_from_slice(&open.priority.to_be_bytes());
        out.extend_from_slice(&parameter.to_be_bytes());
        out.extend_from_slice(&label_len.to_be_bytes());
        out.extend_from_slice(&protocol_len.to_be_bytes());
        out.extend_from_slice(open.label.as_bytes());
        out.extend_from_slice(open.protocol.as_bytes());
        Some(out)
    }
}

/// Fuzz entry: what can be read can be written and read again, the same.
pub fn fuzz_dcep(bytes: &[u8]) {
    if let Some(message) = Dcep::parse(bytes) {
        let written = message.write();
        assert_eq!(written.as_deref().and_then(Dcep::parse), Some(message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_open_is_read_as_chromium_writes_it() {
        let bytes = b"\x03\x81\x01\x00\x00\x00\x00\x05\x00\x04\x00\x02chatv1";
        let expected = Open {
            unordered: true,
            reliability: Reliability::Retransmits(5),
            priority: 256,
            label: "chat".into(),
            protocol: "v1".into(),
        };
        assert_eq!(Dcep::parse(bytes), Some(Dcep::Open(expected.clone())));
        assert_eq!(Dcep::Open(expected).write().as_deref(), Some(&bytes[..]));
    }

    #[test]
    fn what_does_not_add_up_is_no_open() {
        let good = b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01abc";
        assert!(Dcep::parse(good).is_some());
        assert_eq!(Dcep::parse(&good[..good.len() - 1]), None, "cut");
        assert_eq!(Dcep::parse(&[&good[..], b"x"].concat()), None, "too long");
        assert_eq!(Dcep::parse(b"\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), None, "type");
        assert_eq!(Dcep::parse(b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\xff"), None);
        assert_eq!(Dcep::parse(b""), None);
        assert_eq!(Dcep::parse(b"\x04"), None);
        assert_eq!(Dcep::parse(b"\x02"), Some(Dcep::Ack));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            fuzz_dcep(&bytes);
        }

        #[test]
        fn opens_survive_the_wire(
            unordered: bool, kind in 0u8..3, value: u32, priority: u16,
            label in "\\PC{0,20}", protocol in "\\PC{0,20}",
        ) {
            let reliability = match kind {
                0 => Reliability::Reliable,
                1 => Reliability::Retransmits(value),
                _ => Reliability::LifetimeMs(value),
            };
            let open = Dcep::Open(Open {
                unordered, reliability, priority, label: label.into(), protocol: protocol.into(),
            });
            prop_assert_eq!(Dcep::parse(&open.write().unwrap()), Some(open));
        }
    }
}
