//! What codecs show in RTP: names, clock rates, payload descriptors, keyframes, packet duration.
//!
//! Only headers are read, never coded media. All functions borrow the payload, check each length
//! before use and allocate nothing; a payload that makes no sense gives `None` or `false`.

mod av1;
mod dependency;
mod h26x;
mod name;
mod opus;
mod parameter_sets;
mod red;
mod vp8;
mod vp9;

pub use av1::{Av1Aggregation, av1_is_keyframe};
pub use dependency::{
    DecodeTargetIndication, DependencyDescriptor, DependencyStructure, Layer, MAX_DECODE_TARGETS,
    MAX_TEMPLATES,
};
pub use h26x::{h264_has_sps, h264_is_keyframe, h264_starts_idr, h265_is_keyframe};
pub use name::Codec;
pub use opus::OpusToc;
pub use parameter_sets::ParameterSets;
pub use red::{MAX_RED_BLOCKS, RedBlock, RedBlocks};
pub use vp8::{PictureId, Vp8Continuity, Vp8Descriptor, Vp8Ids};
pub use vp9::{MAX_SPATIAL_LAYERS, Vp9Descriptor, Vp9Layer, Vp9Structure};

/// Whether `payload` is the first packet of a keyframe of `codec`. Every packet of an audio codec
/// can be started at.
#[must_use]
pub fn is_keyframe(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Vp8 => Vp8Descriptor::read(payload).is_some_and(|d| d.is_keyframe(payload)),
        Codec::Vp9 => Vp9Descriptor::read(payload).is_some_and(|d| d.is_keyframe()),
        Codec::H264 => h264_is_keyframe(payload),
        Codec::H265 => h265_is_keyframe(payload),
        Codec::Av1 => av1_is_keyframe(payload),
        _ => true,
    }
}
