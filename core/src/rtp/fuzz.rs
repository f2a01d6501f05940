//! The fuzz entry: any bytes through everything that reads or rewrites an RTP packet.

use super::{
    Continuity, Extension, ExtensionIds, Header, HeaderWriter, MAX_HEADER, MAX_PACKET, Packet,
    PacketMut, PayloadType, parse_extensions, rtx,
};
use crate::codec::{self, Codec, OpusToc, RedBlocks, Vp8Continuity, Vp8Descriptor};

/// Reads `data` as a packet, with all extensions at ids 1 to 12, and again after rewriting it,
/// after writing a header from its values, and after wrapping and unwrapping it.
///
/// # Panics
/// When an invariant breaks: ranges lie in the packet, a written header reads back as written, a
/// wrapped packet unwraps to itself.
pub fn fuzz_rtp(data: &[u8]) {
    let _ = Packet::parse_header(data).map(|p| p.extensions().count());
    let Ok(packet) = Packet::parse(data) else { return };
    let layout = packet.layout();
    assert!(layout.header_len() <= layout.payload().end && layout.payload().end <= data.len());
    assert_eq!(layout.payload().end + layout.padding_len(), data.len());
    for element in packet.extensions() {
        assert_eq!(data.get(element.range()), Some(element.data));
    }
    let mut ids = ExtensionIds::new();
    for (ext, id) in Extension::ALL.into_iter().zip(1..) {
        ids.set(ext, id);
    }
    rewritten(&packet, &ids);
    retransmitted(&packet);
    payload(packet.payload());
    let mut continuity = Continuity::new(90_000);
    for (step, now_us) in data.chunks(2).zip((0..).step_by(1000)) {
        match step {
            [1, _] => continuity.switch_source(),
            [2, _] => continuity.pause(),
            [3, n] => continuity.skip(packet.seq().add(u16::from(*n))),
            _ => {
                let n = step.iter().fold(0u16, |n, &b| n << 8 | u16::from(b));
                continuity.forward(packet.seq().add(n), packet.timestamp(), now_us);
            }
        }
    }
    let mut copy = data.to_vec();
    if let Ok(mut p) = PacketMut::parse(&mut copy) {
        p.set_seq(packet.seq().next());
        p.set_payload_type(PayloadType::from_low_bits(data[0]));
        for id in 0..=255 {
            p.extension_mut(id).unwrap_or_default().fill(0xFF);
        }
        p.payload_mut().fill(0);
        assert_eq!(p.as_packet().map(|p| p.seq()), Some(packet.seq().next()));
    }
}

fn rewritten(packet: &Packet<'_>, ids: &ExtensionIds) {
    let values = parse_extensions(packet, ids);
    if let Some(d) = values.dependency_descriptor {
        assert_eq!(d.of(packet.bytes()).len(), d.range().len());
    }
    let header = Header { seq: packet.seq(), ssrc: packet.ssrc(), ..Header::default() };
    for video in [true, false] {
        let writer = HeaderWriter::new(ids, values.mid, video);
        let mut out = [0; MAX_HEADER];
        let written = writer.write(&mut out, &header, &values, packet.bytes()).expect("room");
        let again = Packet::parse(&out[..written.len]).expect("a header we wrote");
        assert!(again.payload().is_empty() && again.seq() == packet.seq());
        let back = parse_extensions(&again, ids);
        assert_eq!((back.mid, back.abs_capture_time), (values.mid, values.abs_capture_time));
        let orientation = values.orientation.filter(|_| video);
        let level = values.audio_level.filter(|_| !video);
        assert_eq!((back.orientation, back.audio_level), (orientation, level));
    }
}

fn retransmitted(packet: &Packet<'_>) {
    let header_len = packet.layout().header_len();
    let mut out = [0; MAX_PACKET + rtx::OSN_LEN];
    out[..header_len].copy_from_slice(&packet.bytes()[..header_len]);
    out[0] &= !0x20;
    let len = rtx::wrap(&mut out, header_len, packet.seq(), packet.payload()).expect("room");
    let wrapped = &mut out[..len];
    if len > MAX_PACKET {
        return;
    }
    match rtx::unwrap(wrapped, packet.ssrc(), packet.payload_type()) {
        Ok(Some(len)) => {
            let again = Packet::parse(&wrapped[..len]).expect("a packet we wrote");
            assert_eq!((again.payload(), again.seq()), (packet.payload(), packet.seq()));
        }
        Ok(None) => assert!(packet.payload().is_empty()),
        Err(error) => panic!("a packet we wrote: {error}"),
    }
}

fn payload(payload: &[u8]) {
    for codec in Codec::ALL {
        let _ = codec::is_keyframe(codec, payload);
    }
    if let Some(toc) = OpusToc::read(payload) {
        assert!((2_500..=120_000).contains(&toc.duration_us()));
    }
    if let Some(blocks) = RedBlocks::read(payload) {
        assert!(blocks.clone().map(|b| b.data.len()).sum::<usize>() <= payload.len());
        assert!(blocks.primary().is_some());
    }
    if let Some(d) = Vp8Descriptor::read(payload) {
        assert!(d.len <= payload.len());
        let mut continuity = Vp8Continuity::new();
        let ids = continuity.forward(&d).expect("the first packet");
        let mut copy = payload.to_vec();
        d.rewrite(&mut copy, ids);
        assert_eq!(copy, payload, "the first packet keeps its numbers");
        continuity.switch_source();
        d.rewrite(&mut copy, continuity.forward(&d).expect("the first of a source"));
        assert_eq!(Vp8Descriptor::read(&copy).map(|d| d.len), Some(d.len));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A header of any shape whose extension block has a plausible length.
    fn packets() -> impl Strategy<Value = Vec<u8>> {
        let first = prop_oneof![Just(0x80u8), Just(0x90), Just(0x90), Just(0xB0), Just(0x93)];
        let profile = prop_oneof![Just(0xBEDEu16), Just(0x1000), Just(0x1003), any::<u16>()];
        let rest = proptest::collection::vec(any::<u8>(), 12..300);
        (first, profile, 0u8..40, rest, any::<u8>()).prop_map(
            |(first, profile, words, mut p, pad)| {
                p[0] = first;
                let at = 12 + 4 * usize::from(first & 0x0F);
                if let Some(head) = p.get_mut(at..at + 4) {
                    head[..2].copy_from_slice(&profile.to_be_bytes());
                    head[2..].copy_from_slice(&[0, words]);
                }
                if let Some(last) = p.last_mut() {
                    *last = pad % 32;
                }
                p
            },
        )
    }

    proptest! {
        #[test]
        fn shaped_packets_hold(data in packets()) {
            fuzz_rtp(&data);
        }

        #[test]
        fn any_bytes_hold(data in proptest::collection::vec(any::<u8>(), 0..1600)) {
            fuzz_rtp(&data);
            payload(&data);
        }
    }
}
