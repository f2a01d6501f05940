//! VP9 payload descriptor (RFC 9628 §4.2), flexible and non-flexible mode.

use super::PictureId;

/// Most spatial layers a scalability structure can announce.
pub const MAX_SPATIAL_LAYERS: usize = 8;

/// A VP9 payload descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9Descriptor {
    /// Its length; the VP9 data follows.
    pub len: usize,
    /// The picture is predicted from earlier pictures (P).
    pub inter_picture: bool,
    /// References are listed packet by packet (F).
    pub flexible: bool,
    /// First packet of a layer frame (B).
    pub frame_start: bool,
    /// Last packet of a layer frame (E).
    pub frame_end: bool,
    /// No higher spatial layer refers to this frame (Z).
    pub not_referenced_above: bool,
    /// Picture id, if present.
    pub picture_id: Option<PictureId>,
    /// Layer indices, if present.
    pub layer: Option<Vp9Layer>,
    /// Running number of temporal base layer pictures, non-flexible mode only.
    pub tl0_pic_idx: Option<u8>,
    /// Scalability structure, if present; only with keyframes.
    pub structure: Option<Vp9Structure>,
}

/// Layer indices of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Vp9Layer {
    /// Temporal layer, 0..=7.
    pub temporal: u8,
    /// A receiver may step up to this temporal layer here (U).
    pub switching_up: bool,
    /// Spatial layer, 0..=7.
    pub spatial: u8,
    /// The frame is predicted from the next lower spatial layer of its picture (D).
    pub inter_layer: bool,
}

/// The announced spatial layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Vp9Structure {
    /// Number of spatial layers, 1..=8.
    pub spatial_layers: u8,
    /// Width and height of each, pixels; zero when not given.
    pub resolutions: [(u16, u16); MAX_SPATIAL_LAYERS],
}

impl Vp9Descriptor {
    /// Reads the descriptor at the front of `payload`; `None` when it is cut off or lists more
    /// than three references.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let first = *payload.first()?;
        let bit = |mask: u8| first & mask != 0;
        let mut d = Self {
            len: 1,
            inter_picture: bit(0x40),
            flexible: bit(0x10),
            frame_start: bit(0x08),
            frame_end: bit(0x04),
            not_referenced_above: bit(0x01),
            picture_id: None,
            layer: None,
            tl0_pic_idx: None,
            structure: None,
        };
        let mut at = 1;
        if bit(0x80) {
            let (id, next) = PictureId::read(payload, at)?;
            (d.picture_id, at) = (Some(id), next);
        }
        if bit(0x20) {
            let byte = *payload.get(at)?;
            at += 1;
            d.layer = Some(Vp9Layer {
                temporal: byte >> 5,
                switching_up: byte & 0x10 != 0,
                spatial: byte >> 1 & 0x07,
                inter_layer: byte & 0x01 != 0,
            });
            if !d.flexible {
                d.tl0_pic_idx = Some(*payload.get(at)?);
                at += 1;
            }
        }
        if d.flexible && d.inter_picture {
            at = references_end(payload, at)?;
        }
        if bit(0x02) {
            let (structure, next) = read_structure(payload, at)?;
            (d.structure, at) = (Some(structure), next);
        }
        d.len = at;
        Some(d)
    }

    /// Spatial layer, 0 when there are no layer indices.
    #[must_use]
    pub fn spatial(&self) -> u8 {
        self.layer.map_or(0, |l| l.spatial)
    }

    /// Temporal layer, 0 when there are no layer indices.
    #[must_use]
    pub fn temporal(&self) -> u8 {
        self.layer.map_or(0, |l| l.temporal)
    }

    /// Whether the packet begins a keyframe: the base layer of a picture predicted from nothing.
    #[must_use]
    pub fn is_keyframe(&self) -> bool {
        let alone = self.layer.is_none_or(|l| l.spatial == 0 && !l.inter_layer);
        self.frame_start && !self.inter_picture && alone
    }
}

/// Skips the reference list: `P_DIFF(7) N(1)`, at most three.
fn references_end(payload: &[u8], at: usize) -> Option<usize> {
    for end in at + 1..=at + 3 {
        if payload.get(end - 1)? & 1 == 0 {
            return Some(end);
        }
    }
    None
}

fn read_structure(payload: &[u8], at: usize) -> Option<(Vp9Structure, usize)> {
    let head = *payload.get(at)?;
    let mut at = at + 1;
    let spatial_layers = (head >> 5) + 1;
    let mut s = Vp9Structure { spatial_layers, ..Default::default() };
    if head & 0x10 != 0 {
        for slot in s.resolutions.iter_mut().take(usize::from(spatial_layers)) {
            let size = payload.get(at..)?.first_chunk::<4>()?;
            *slot =
                (u16::from_be_bytes([size[0], size[1]]), u16::from_be_bytes([size[2], size[3]]));
            at += 4;
        }
    }
    if head & 0x08 != 0 {
        let pictures = *payload.get(at)?;
        at += 1;
        for _ in 0..pictures {
            let references = usize::from(*payload.get(at)? >> 2 & 0x03);
            at += 1 + references;
        }
        // The last picture's references must lie in the payload too.
        payload.get(..at)?;
    }
    Some((s, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_non_flexible_svc_keyframe_is_read_whole() {
        // I L B V; 15-bit id; T0 S0; TL0PICIDX; two layers with sizes; two pictures in the group.
        let mut p = vec![0b1010_1010, 0x81, 0x02, 0b0001_0000, 9];
        p.extend([0b0011_1000, 1, 64, 0, 180, 2, 128, 1, 104]);
        p.extend([2, 0b0001_0100, 1, 0b0100_0000]);
        let len = p.len();
        p.push(0x82);
        let d = Vp9Descriptor::read(&p).unwrap();
        assert_eq!(d.len, len);
        assert_eq!(d.picture_id.map(|i| (i.value, i.long)), Some((0x102, true)));
        assert_eq!((d.spatial(), d.temporal(), d.tl0_pic_idx), (0, 0, Some(9)));
        let s = d.structure.unwrap();
        assert_eq!(
            (s.spatial_layers, s.resolutions[0], s.resolutions[1]),
            (2, (320, 180), (640, 360))
        );
        assert!(d.is_keyframe() && d.layer.unwrap().switching_up);
        for cut in 0..len {
            assert_eq!(Vp9Descriptor::read(&p[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn flexible_references_are_skipped_and_bounded() {
        // I P L F B; 7-bit id; T1 U S1 D; references 3 and 5.
        let d = Vp9Descriptor::read(&[0b1111_1000, 5, 0b0011_0011, 7, 10, 0xAA]).unwrap();
        assert_eq!((d.len, d.tl0_pic_idx), (5, None));
        let l = d.layer.unwrap();
        assert_eq!((l.temporal, l.switching_up, l.spatial, l.inter_layer), (1, true, 1, true));
        assert!(!d.is_keyframe());
        assert_eq!(Vp9Descriptor::read(&[0b0101_0000, 1, 1, 1, 0]), None, "four references");
    }

    #[test]
    fn keyframes_begin_at_the_base_layer() {
        let is = |p: &[u8]| Vp9Descriptor::read(p).is_some_and(|d| d.is_keyframe());
        assert!(is(&[0b0000_1000]));
        assert!(!is(&[0b0100_1000]), "predicted");
        assert!(!is(&[0b0000_0100]), "not its start");
        assert!(!is(&[0b0010_1000, 0b0000_0011, 0]), "an upper layer of a keyframe");
    }
}
