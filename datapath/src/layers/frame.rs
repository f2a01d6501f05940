//! What one packet shows of its layers, read once where it arrives.

use crate::retransmit::Meta;
use bifrons_core::codec::{
    self, Codec, DecodeTargetIndication, DependencyDescriptor, DependencyStructure, Vp8Descriptor,
    Vp9Descriptor,
};

/// When a receiver of fewer temporal layers may go on to more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepUp {
    /// Not here.
    #[default]
    No,
    /// To the frame's own layer, from the one below (RFC 7741 §4.2, Y).
    FromBelow,
    /// To any higher layer, with the next picture (RFC 9628 §4.2, U).
    Above,
    /// To the decode targets whose bit is set: spatial × 8 + temporal.
    Targets(u32),
}

/// A packet's place among the layers of its stream. A codec or sender that does not say leaves it
/// at one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// First packet of its (layer) frame.
    pub start: bool,
    /// Last packet of its (layer) frame.
    pub end: bool,
    /// Spatial layer, 0..=7.
    pub spatial: u8,
    /// Temporal layer, 0..=7, if the stream has any.
    pub temporal: Option<u8>,
    /// Whether more temporal layers may be taken from here.
    pub step_up: StepUp,
    /// Whether spatial layers may be left at the end of any picture, not only with a keyframe.
    pub flexible: bool,
}

/// Where a source's dependency structure is kept: allotted with the first packet that has a
/// descriptor.
pub type Structure = Option<Box<Option<DependencyStructure>>>;

/// What was read from a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Its layers.
    pub frame: Frame,
    /// Whether it begins a keyframe.
    pub keyframe: bool,
    /// Its VP8 descriptor.
    pub vp8: Option<Vp8Descriptor>,
}

impl Reading {
    /// Reads a video payload. `descriptor` are the bytes of its dependency descriptor, `structure`
    /// what its sender stated before.
    #[must_use]
    pub fn of(
        codec: Codec,
        payload: &[u8],
        marker: bool,
        descriptor: Option<&[u8]>,
        structure: &mut Structure,
    ) -> Self {
        match codec {
            Codec::Vp8 => Vp8Descriptor::read(payload)
                .map_or_else(Self::default, |d| of_vp8(d, payload, marker)),
            Codec::Vp9 => Vp9Descriptor::read(payload).map_or_else(Self::default, |d| of_vp9(&d)),
            _ => {
                let frame = descriptor.and_then(|bytes| of_descriptor(bytes, structure));
                let keyframe = codec::is_keyframe(codec, payload);
                let frame = frame.unwrap_or(Frame { end: marker, ..Frame::default() });
                Reading { frame, keyframe, vp8: None }
            }
        }
    }

    /// Puts it beside the packet.
    pub const fn note(self, meta: &mut Meta) {
        meta.frame = self.frame;
        meta.keyframe = self.keyframe;
        meta.vp8 = self.vp8;
    }
}

fn of_vp8(d: Vp8Descriptor, payload: &[u8], marker: bool) -> Reading {
    let frame = Frame {
        start: d.frame_start(),
        end: marker,
        spatial: 0,
        temporal: d.temporal,
        step_up: if d.layer_sync { StepUp::FromBelow } else { StepUp::No },
        flexible: false,
    };
    Reading { frame, keyframe: d.is_keyframe(payload), vp8: Some(d) }
}

fn of_vp9(d: &Vp9Descriptor) -> Reading {
    let up = d.layer.is_some_and(|layer| layer.switching_up) && d.frame_start;
    let frame = Frame {
        start: d.frame_start,
        end: d.frame_end,
        spatial: d.spatial(),
        temporal: d.layer.map(|layer| layer.temporal),
        step_up: if up { StepUp::Above } else { StepUp::No },
        flexible: d.flexible,
    };
    Reading { frame, keyframe: d.is_keyframe(), vp8: None }
}

fn of_descriptor(bytes: &[u8], structure: &mut Structure) -> Option<Frame> {
    let structure = structure.get_or_insert_default();
    let d = DependencyDescriptor::read(bytes, structure)?;
    let known = (**structure).as_ref()?;
    let mut targets = 0;
    for (target, layer) in known.targets().iter().enumerate() {
        if d.indication(target as u8) == DecodeTargetIndication::Switch {
            targets |= target_bit(layer.spatial, layer.temporal);
        }
    }
    // One layer only: the stream has no temporal ones to speak of.
    let layered = known.max().temporal > 0 || known.max().spatial > 0;
    Some(Frame {
        start: d.frame_start,
        end: d.frame_end,
        spatial: d.layer.spatial,
        temporal: layered.then_some(d.layer.temporal),
        step_up: StepUp::Targets(targets),
        flexible: true,
    })
}

/// The bit of a decode target in [`StepUp::Targets`].
pub(super) const fn target_bit(spatial: u8, temporal: u8) -> u32 {
    1 << ((spatial as u32 & 3) * 8 + (temporal as u32 & 7))
}
