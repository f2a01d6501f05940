//! Retransmission payloads (RFC 4588 §4): the original sequence number in front of the payload, in
//! a stream with an SSRC, payload type and sequence of its own.

use super::{Layout, PacketMut, PayloadType, RtpError, Seq, Ssrc};

/// Length of the original sequence number, bytes.
pub const OSN_LEN: usize = 2;

/// Puts `payload` behind the retransmission header of `header_len` bytes that already stands in
/// `out`, with `original` in front. Returns the packet's length.
///
/// # Errors
/// [`RtpError::NoRoom`] when `out` is too short.
pub fn wrap(
    out: &mut [u8],
    header_len: usize,
    original: Seq,
    payload: &[u8],
) -> Result<usize, RtpError> {
    let start = header_len + OSN_LEN;
    let end = start + payload.len();
    out.get_mut(header_len..start)
        .ok_or(RtpError::NoRoom)?
        .copy_from_slice(&original.0.to_be_bytes());
    out.get_mut(start..end).ok_or(RtpError::NoRoom)?.copy_from_slice(payload);
    Ok(end)
}

/// Turns the plain retransmission packet `bytes` back into the original in place: SSRC, payload
/// type and sequence restored, padding dropped, extensions left as they came. Returns the length
/// of the packet now at the front of `bytes`, or `None` when there is nothing to restore: a
/// padding-only packet, or one with a sequence number and no payload.
///
/// # Errors
/// [`RtpError`] when the bytes are no RTP packet.
pub fn unwrap(
    bytes: &mut [u8],
    ssrc: Ssrc,
    payload_type: PayloadType,
) -> Result<Option<usize>, RtpError> {
    let layout = Layout::of_packet(bytes)?;
    let payload = layout.payload();
    let Some(&[hi, lo, _, ..]) = bytes.get(payload.clone()) else { return Ok(None) };
    let mut packet = PacketMut::parse(bytes)?;
    packet.set_seq(Seq(u16::from_be_bytes([hi, lo])));
    packet.set_ssrc(ssrc);
    packet.set_payload_type(payload_type);
    bytes[0] &= !0x20;
    bytes.copy_within(payload.start + OSN_LEN..payload.end, payload.start);
    Ok(Some(payload.end - OSN_LEN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{ExtensionIds, ExtensionValues, Header, HeaderWriter, Packet};

    fn rtx_packet(payload: &[u8]) -> Vec<u8> {
        let header = Header {
            marker: true,
            payload_type: PayloadType::from_low_bits(97),
            seq: Seq(1),
            timestamp: 1234,
            ssrc: Ssrc(77),
            padding: false,
        };
        let mut out = vec![0; 200];
        let writer = HeaderWriter::new(&ExtensionIds::new(), None, true);
        let w = writer.write(&mut out, &header, &ExtensionValues::default(), &[]).unwrap();
        let len = wrap(&mut out, w.len, Seq(5000), payload).unwrap();
        out.truncate(len);
        out
    }

    #[test]
    fn unwrapping_restores_what_was_wrapped() {
        let mut p = rtx_packet(b"payload");
        let len = unwrap(&mut p, Ssrc(42), PayloadType::from_low_bits(96)).unwrap().unwrap();
        let view = Packet::parse(&p[..len]).unwrap();
        assert_eq!((view.seq(), view.ssrc(), view.payload_type().get()), (Seq(5000), Ssrc(42), 96));
        assert_eq!(
            (view.timestamp(), view.marker(), view.payload()),
            (1234, true, &b"payload"[..])
        );
    }

    #[test]
    fn padding_is_dropped_and_padding_only_packets_have_nothing_to_restore() {
        let mut p = rtx_packet(b"xy");
        p.extend([0, 0, 3]);
        p[0] |= 0x20;
        let len = unwrap(&mut p, Ssrc(42), PayloadType::from_low_bits(96)).unwrap().unwrap();
        assert_eq!(Packet::parse(&p[..len]).unwrap().payload(), b"xy");

        let mut probe = rtx_packet(&[]);
        probe.truncate(12);
        probe.extend([0, 0, 0, 4]);
        probe[0] |= 0x20;
        let before = probe.clone();
        assert_eq!(unwrap(&mut probe, Ssrc(1), PayloadType::default()), Ok(None));
        assert_eq!(probe, before);
        assert_eq!(unwrap(&mut rtx_packet(&[]), Ssrc(1), PayloadType::default()), Ok(None));
    }

    #[test]
    fn no_room_is_an_error() {
        assert_eq!(wrap(&mut [0; 20], 12, Seq(1), &[0; 7]), Err(RtpError::NoRoom));
        assert_eq!(wrap(&mut [0; 20], 30, Seq(1), &[]), Err(RtpError::NoRoom));
        assert_eq!(wrap(&mut [0; 20], 12, Seq(1), &[0; 6]), Ok(20));
    }
}
