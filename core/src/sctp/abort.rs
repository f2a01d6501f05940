//! The ABORT that tells a peer why its association ends (RFC 9260 §3.3.7): `sctp-proto` closes one
//! whose messages it refuses without a word, and the peer would go on for half a minute.

use bytes::{BufMut, Bytes, BytesMut};

/// The common header (RFC 9260 §3.1).
const HEADER: usize = 12;
const ABORT: u8 = 6;
/// "Protocol Violation" (RFC 9260 §3.3.10.13).
const PROTOCOL_VIOLATION: u16 = 13;
/// INIT, whose packet has no tag yet.
const INIT: u8 = 1;
/// SHUTDOWN, SHUTDOWN ACK, SHUTDOWN COMPLETE.
const SHUTDOWNS: [u8; 3] = [7, 8, 14];

/// The tag that a packet of ours carries for the peer.
pub(super) fn tag_of(packet: &[u8]) -> Option<[u8; 4]> {
    let tag = packet.get(4..8)?.first_chunk::<4>()?;
    (packet.get(HEADER) != Some(&INIT)).then_some(*tag)
}

/// Whether a packet of the peer's ends the association.
pub(super) fn ends(packet: &[u8]) -> bool {
    let mut chunks = packet.get(HEADER..).unwrap_or_default();
    while let [kind, _, high, low, ..] = *chunks {
        if kind == ABORT || SHUTDOWNS.contains(&kind) {
            return true;
        }
        let length = usize::from(u16::from_be_bytes([high, low])).max(4).next_multiple_of(4);
        chunks = chunks.get(length..).unwrap_or_default();
    }
    false
}

/// The packet, between these ports.
pub(super) fn packet(local: u16, remote: u16, tag: [u8; 4], text: &str) -> Bytes {
    let cause = 4 + text.len();
    let mut packet = BytesMut::with_capacity(HEADER + 4 + cause + 3);
    packet.put_u16(local);
    packet.put_u16(remote);
    packet.put_slice(&tag);
    packet.put_u32(0);
    packet.put_u8(ABORT);
    packet.put_u8(0);
    packet.put_u16(4 + cause as u16);
    packet.put_u16(PROTOCOL_VIOLATION);
    packet.put_u16(cause as u16);
    packet.put_slice(text.as_bytes());
    packet.put_bytes(0, text.len().next_multiple_of(4) - text.len());
    let sum = crc32c(&packet).to_le_bytes();
    if let Some(place) = packet.get_mut(8..HEADER) {
        place.copy_from_slice(&sum);
    }
    packet.freeze()
}

/// CRC32c (RFC 9260 appendix A), bit by bit: this is one packet in an association's life.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn an_abort_is_known_for_one() {
        let packet = packet(5000, 5001, [1, 2, 3, 4], "no");
        assert_eq!(packet.len(), 12 + 4 + 4 + 4);
        assert!(ends(&packet));
        assert_eq!(tag_of(&packet), Some([1, 2, 3, 4]));
        assert!(!ends(&[0; 11]) && !ends(&[0; 40]));
    }
}
