//! The values of the known extensions of one packet, read once on arrival and kept beside it.

use super::{ElementIter, Extension, ExtensionIds, Mid, Packet, Rid, SdesItem};
use std::ops::Range;

/// Client-to-mixer audio level (RFC 6464 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AudioLevel {
    /// Level as -dBov: 0 is loudest, 127 is silence.
    pub level: u8,
    /// The sender believes it is voice.
    pub voice: bool,
}

impl AudioLevel {
    /// From the element's byte.
    #[must_use]
    pub const fn from_byte(b: u8) -> Self {
        Self { level: b & 0x7F, voice: b & 0x80 != 0 }
    }

    /// The element's byte.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        self.level & 0x7F | (self.voice as u8) << 7
    }
}

/// Coordination of video orientation (3GPP TS 26.114 §7.4.5), the byte `0000CFRR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct VideoOrientation(pub u8);

impl VideoOrientation {
    /// Clockwise rotation the receiver has to undo: 0, 90, 180 or 270 degrees.
    #[must_use]
    pub const fn rotation_deg(self) -> u16 {
        (self.0 & 0b11) as u16 * 90
    }

    /// Mirrored horizontally.
    #[must_use]
    pub const fn flipped(self) -> bool {
        self.0 & 0b100 != 0
    }

    /// Taken by the back-facing camera.
    #[must_use]
    pub const fn back_camera(self) -> bool {
        self.0 & 0b1000 != 0
    }
}

/// Bounds on how long a receiver may hold frames, each a 12-bit count of 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PlayoutDelay {
    /// Least delay, units of 10 ms, 0..=4095.
    pub min: u16,
    /// Most delay, units of 10 ms, 0..=4095.
    pub max: u16,
}

impl PlayoutDelay {
    /// From the element's three bytes.
    #[must_use]
    pub const fn from_bytes(b: [u8; 3]) -> Self {
        let min = (b[0] as u16) << 4 | (b[1] as u16) >> 4;
        let max = (b[1] as u16 & 0x0F) << 8 | b[2] as u16;
        Self { min, max }
    }

    /// The element's three bytes; values above 4095 are cut to it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 3] {
        let (min, max) = (self.min.min(0xFFF), self.max.min(0xFFF));
        [(min >> 4) as u8, ((min & 0x0F) << 4 | max >> 8) as u8, max as u8]
    }
}

/// Highest active layers of the packet's own stream (video-layers-allocation00).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct VideoLayers {
    /// Highest active spatial layer, 0..=3.
    pub spatial: u8,
    /// Highest temporal layer among the active spatial layers, 0..=3.
    pub temporal: u8,
}

/// Where the bytes of an element lie in the packet they came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ByteRange {
    /// Offset from the start of the packet, bytes.
    pub start: u16,
    /// Length, bytes.
    pub len: u16,
}

impl ByteRange {
    /// As an index range.
    #[must_use]
    pub const fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }

    /// The bytes in `packet`; empty when they do not lie in it.
    #[must_use]
    pub fn of(self, packet: &[u8]) -> &[u8] {
        packet.get(self.range()).unwrap_or_default()
    }
}

/// What the known extensions of one packet say (`webrtc-behaviour` §4). An element that is absent,
/// not negotiated or of a wrong length is `None`; of two with one id the last counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ExtensionValues {
    /// Level and voice activity.
    pub audio_level: Option<AudioLevel>,
    /// Rotation, flip, camera.
    pub orientation: Option<VideoOrientation>,
    /// Playout delay bounds.
    pub playout_delay: Option<PlayoutDelay>,
    /// Capture time, NTP 32.32; the optional clock offset of the 16-byte form is not kept.
    pub abs_capture_time: Option<u64>,
    /// Transport-wide sequence number.
    pub transport_seq: Option<u16>,
    /// Mid of the m-line.
    pub mid: Option<Mid>,
    /// Stream id of a simulcast layer.
    pub rid: Option<Rid>,
    /// Stream id of the layer this retransmission repairs.
    pub repaired_rid: Option<Rid>,
    /// Where the dependency descriptor lies in the packet, 1..=255 bytes.
    pub dependency_descriptor: Option<ByteRange>,
    /// Highest active layers.
    pub layers: Option<VideoLayers>,
}

/// Reads the negotiated extensions of `packet`. Never fails: what makes no sense is left out.
#[must_use]
pub fn parse_extensions(packet: &Packet<'_>, ids: &ExtensionIds) -> ExtensionValues {
    collect(packet.extensions(), ids)
}

fn collect(elements: ElementIter<'_>, ids: &ExtensionIds) -> ExtensionValues {
    let mut v = ExtensionValues::default();
    for e in elements {
        let Some(ext) = ids.by_id(e.id) else { continue };
        match ext {
            Extension::Mid => v.mid = SdesItem::new(e.data),
            Extension::Rid => v.rid = SdesItem::new(e.data),
            Extension::RepairedRid => v.repaired_rid = SdesItem::new(e.data),
            Extension::AudioLevel => {
                v.audio_level = e.data.first().copied().map(AudioLevel::from_byte);
            }
            Extension::VideoOrientation => {
                v.orientation = e.data.first().copied().map(VideoOrientation);
            }
            Extension::PlayoutDelay => {
                v.playout_delay = e.data.first_chunk().copied().map(PlayoutDelay::from_bytes);
            }
            Extension::TransportCc => {
                v.transport_seq = e.data.first_chunk().copied().map(u16::from_be_bytes);
            }
            Extension::AbsCaptureTime => {
                v.abs_capture_time = e.data.first_chunk().copied().map(u64::from_be_bytes);
            }
            Extension::DependencyDescriptor => {
                let len = e.data.len() as u16;
                v.dependency_descriptor = (len > 0).then_some(ByteRange { start: e.offset, len });
            }
            Extension::VideoLayersAllocation => v.layers = video_layers(e.data),
            Extension::AbsSendTime | Extension::TransmissionOffset => {}
        }
    }
    v
}

/// Reads the layer bitmaps and temporal counts at the head of a video layers allocation: one byte
/// `stream(2) streams-1(2) shared-bitmap(4)`, per-stream bitmaps of four bits when the shared one
/// is zero, then two bits of temporal index for each active layer of each stream.
fn video_layers(data: &[u8]) -> Option<VideoLayers> {
    let first = *data.first()?;
    let own = usize::from(first >> 6);
    let streams = usize::from(first >> 4 & 0b11) + 1;
    let shared = first & 0x0F;
    if own >= streams {
        return None;
    }
    let mut at = 1;
    let mut bitmaps = [shared; 4];
    if shared == 0 {
        for (i, bitmap) in bitmaps.iter_mut().take(streams).enumerate() {
            let byte = *data.get(1 + i / 2)?;
            *bitmap = if i % 2 == 0 { byte >> 4 } else { byte & 0x0F };
        }
        at += streams.div_ceil(2);
    }
    let before: u32 = bitmaps.iter().take(own).map(|b| b.count_ones()).sum();
    let bitmap = *bitmaps.get(own)?;
    let mut temporal = 0;
    for i in before..before + bitmap.count_ones() {
        let byte = *data.get(at + i as usize / 4)?;
        temporal = temporal.max(byte >> (6 - 2 * (i % 4)) & 0b11);
    }
    Some(VideoLayers { spatial: bitmap.checked_ilog2()? as u8, temporal })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(profile: u16, elements: &[(u8, &[u8])]) -> Vec<u8> {
        let mut block = Vec::new();
        for (id, data) in elements {
            if profile == 0xBEDE {
                block.push(id << 4 | (data.len() - 1) as u8);
            } else {
                block.extend([*id, data.len() as u8]);
            }
            block.extend(*data);
        }
        block.resize(block.len().next_multiple_of(4), 0);
        let mut p = vec![0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        p.extend(profile.to_be_bytes());
        p.extend(((block.len() / 4) as u16).to_be_bytes());
        p.extend(block);
        p
    }

    fn all_ids() -> ExtensionIds {
        let mut ids = ExtensionIds::new();
        for (i, ext) in Extension::ALL.into_iter().enumerate() {
            assert!(ids.set(ext, i as u8 + 1));
        }
        ids
    }

    #[test]
    fn every_value_is_read_in_both_forms() {
        let elements: &[(u8, &[u8])] = &[
            (1, b"0"),
            (2, b"h"),
            (3, b"m"),
            (4, &[0x85]),
            (5, &[0b1101]),
            (6, &[0x01, 0x20, 0x03]),
            (7, &[0xAB, 0xCD]),
            (8, &[1, 2, 3]),
            (9, &[0, 0, 0, 1, 0, 0, 0, 2]),
            (10, &[0x80, 0, 7]),
        ];
        for profile in [0xBEDE, 0x1000] {
            let bytes = packet(profile, elements);
            let p = Packet::parse(&bytes).unwrap();
            let v = parse_extensions(&p, &all_ids());
            assert_eq!(v.mid, Mid::new(b"0"));
            assert_eq!(v.rid, Rid::new(b"h"));
            assert_eq!(v.repaired_rid, Rid::new(b"m"));
            assert_eq!(v.audio_level, Some(AudioLevel { level: 5, voice: true }));
            let o = v.orientation.unwrap();
            assert_eq!((o.rotation_deg(), o.flipped(), o.back_camera()), (90, true, true));
            assert_eq!(v.playout_delay, Some(PlayoutDelay { min: 0x012, max: 0x003 }));
            assert_eq!(v.transport_seq, Some(0xABCD));
            assert_eq!(v.abs_capture_time, Some(0x1_0000_0002));
            assert_eq!(v.dependency_descriptor.unwrap().of(&bytes), [0x80, 0, 7]);
            assert_eq!(parse_extensions(&p, &ExtensionIds::new()), ExtensionValues::default());
        }
    }

    #[test]
    fn elements_of_a_wrong_length_are_left_out() {
        let bytes = packet(0xBEDE, &[(6, &[1, 2]), (7, &[1]), (9, &[1, 2, 3, 4, 5, 6, 7])]);
        let v = parse_extensions(&Packet::parse(&bytes).unwrap(), &all_ids());
        assert_eq!(v, ExtensionValues::default());
        let long = [b'x'; 17];
        let bytes = packet(0x1000, &[(1, &long), (2, &[]), (4, &[])]);
        let v = parse_extensions(&Packet::parse(&bytes).unwrap(), &all_ids());
        assert_eq!(v, ExtensionValues::default());
    }

    #[test]
    fn values_survive_their_bytes() {
        let d = PlayoutDelay { min: 0xABC, max: 0x123 };
        assert_eq!(PlayoutDelay::from_bytes(d.to_bytes()), d);
        assert_eq!(PlayoutDelay { min: 9999, max: 9999 }.to_bytes(), [0xFF; 3]);
        for b in 0..=255 {
            assert_eq!(AudioLevel::from_byte(b).to_byte(), b);
        }
    }

    #[test]
    fn layers_of_the_own_stream_are_found() {
        let layers = |d: &[u8]| video_layers(d).map(|l| (l.spatial, l.temporal));
        // One stream, layers 0-2 shared, temporal indexes 2, 1, 0.
        assert_eq!(layers(&[0x07, 0b1001_0000]), Some((2, 2)));
        // Second of three streams, one layer each, temporal 0, 2, 1.
        assert_eq!(layers(&[0b0110_0001, 0b0010_0100]), Some((0, 2)));
        // Bitmaps of their own: stream 0 has layers 0-1, stream 1 only layer 0.
        assert_eq!(layers(&[0b0001_0000, 0b0011_0001, 0b0110_1100]), Some((1, 2)));
        assert_eq!(layers(&[0b0101_0000, 0b0011_0001, 0b0110_1100]), Some((0, 3)));
        assert_eq!(layers(&[0]), None);
        assert_eq!(layers(&[0b1100_0001, 0]), None);
        assert_eq!(layers(&[0x0F]), None);
    }
}
