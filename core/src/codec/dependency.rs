//! The dependency descriptor (AV1 RTP payload format, appendix A), which AV1 and VP9 senders attach
//! as a header extension: which layer a frame belongs to and who needs it, without looking into
//! the payload.
//!
//! A sender states its structure with a keyframe and afterwards only names a template of it, so a
//! source keeps one [`DependencyStructure`] (0.7 KiB) and each packet is read against it.

/// Most templates of a structure: the id has six bits.
pub const MAX_TEMPLATES: usize = 64;
/// Most decode targets of a structure.
pub const MAX_DECODE_TARGETS: usize = 32;
/// Highest spatial layer AV1 has.
const MAX_SPATIAL: u8 = 3;
/// Highest temporal layer AV1 has.
const MAX_TEMPORAL: u8 = 7;

/// What a frame is to a decode target (§A.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeTargetIndication {
    /// Not part of it.
    NotPresent,
    /// Part of it, and nothing of it depends on the frame.
    Discardable,
    /// Part of it, and a receiver may switch to it here.
    Switch,
    /// Part of it, and later frames depend on it.
    Required,
}

/// A layer of a scalable stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Layer {
    /// Spatial layer, 0..=3.
    pub spatial: u8,
    /// Temporal layer, 0..=7.
    pub temporal: u8,
}

/// The structure a sender stated last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependencyStructure {
    id_offset: u8,
    template_count: u8,
    target_count: u8,
    chain_count: u8,
    layers: [Layer; MAX_TEMPLATES],
    /// Two bits a decode target, target 0 lowest.
    indications: [u64; MAX_TEMPLATES],
    targets: [Layer; MAX_DECODE_TARGETS],
    resolutions: [(u16, u16); MAX_SPATIAL as usize + 1],
    max: Layer,
}

impl DependencyStructure {
    /// The decode targets as the highest layer each of them needs, 1..=32.
    #[must_use]
    pub fn targets(&self) -> &[Layer] {
        &self.targets[..usize::from(self.target_count)]
    }

    /// Highest spatial and highest temporal layer.
    #[must_use]
    pub const fn max(&self) -> Layer {
        self.max
    }

    /// Width and height of a spatial layer, pixels, if stated.
    #[must_use]
    pub fn resolution(&self, spatial: u8) -> Option<(u16, u16)> {
        self.resolutions.get(usize::from(spatial)).copied().filter(|&r| r != (0, 0))
    }
}

/// The descriptor of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependencyDescriptor {
    /// First packet of its frame.
    pub frame_start: bool,
    /// Last packet of its frame.
    pub frame_end: bool,
    /// Running number of the frame, modulo 2^16.
    pub frame_number: u16,
    /// The frame's layer.
    pub layer: Layer,
    /// It states a structure: the frame is a keyframe.
    pub states_structure: bool,
    /// Bitmask of the decode targets that are active from here on, if it says so.
    pub active_targets: Option<u32>,
    indications: u64,
}

impl DependencyDescriptor {
    /// Reads the extension's bytes against what the source stated before; a structure stated in it
    /// replaces `structure`. `None`, with `structure` untouched, when it is cut off, names a
    /// template nobody stated, or exceeds the layers AV1 has.
    #[must_use]
    pub fn read(bytes: &[u8], structure: &mut Option<DependencyStructure>) -> Option<Self> {
        let mut bits = Bits { bytes, at: 0 };
        let (frame_start, frame_end) = (bits.flag()?, bits.flag()?);
        let template_id = bits.take(6)? as u8;
        let frame_number = bits.take(16)? as u16;
        let mut d = Self {
            frame_start,
            frame_end,
            frame_number,
            layer: Layer::default(),
            states_structure: false,
            active_targets: None,
            indications: 0,
        };
        let (mut stated, mut custom_indications) = (None, false);
        if bytes.len() > 3 {
            d.states_structure = bits.flag()?;
            let active = bits.flag()?;
            custom_indications = bits.flag()?;
            bits.take(2)?; // custom frame differences and chains, both behind what we read
            if d.states_structure {
                stated = Some(read_structure(&mut bits)?);
            }
            if active {
                let count = stated.as_ref().or(structure.as_ref())?.target_count;
                d.active_targets = Some(bits.take(u32::from(count))?);
            }
        }
        let known = stated.as_ref().or(structure.as_ref())?;
        let template = usize::from((template_id + 64 - known.id_offset) % 64);
        if template >= usize::from(known.template_count) {
            return None;
        }
        d.layer = known.layers[template];
        d.indications = if custom_indications {
            read_indications(&mut bits, known.target_count)?
        } else {
            known.indications[template]
        };
        if stated.is_some() {
            *structure = stated;
        }
        Some(d)
    }

    /// What the frame is to decode target `target`, 0..=31.
    #[must_use]
    pub const fn indication(&self, target: u8) -> DecodeTargetIndication {
        match self.indications >> (2 * (target as u32 % 32)) & 0b11 {
            0 => DecodeTargetIndication::NotPresent,
            1 => DecodeTargetIndication::Discardable,
            2 => DecodeTargetIndication::Switch,
            _ => DecodeTargetIndication::Required,
        }
    }
}

/// Reads bits, most significant first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn flag(&mut self) -> Option<bool> {
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// The next `count` bits, at most 32.
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Some(value)
    }

    /// A number below `limit` in as few bits as needed (`ns(n)` of §A.8.1).
    fn below(&mut self, limit: u32) -> Option<u32> {
        let width = limit.checked_ilog2()? + 1;
        let short = (1 << width) - limit;
        let value = self.take(width - 1)?;
        if value < short {
            return Some(value);
        }
        Some((value << 1) - short + self.take(1)?)
    }
}

fn read_indications(bits: &mut Bits<'_>, targets: u8) -> Option<u64> {
    let mut all = 0;
    for target in 0..u32::from(targets) {
        all |= u64::from(bits.take(2)?) << (2 * target);
    }
    Some(all)
}

fn read_structure(bits: &mut Bits<'_>) -> Option<DependencyStructure> {
    let mut s = DependencyStructure {
        id_offset: bits.take(6)? as u8,
        template_count: 0,
        target_count: bits.take(5)? as u8 + 1,
        chain_count: 0,
        layers: [Layer::default(); MAX_TEMPLATES],
        indications: [0; MAX_TEMPLATES],
        targets: [Layer::default(); MAX_DECODE_TARGETS],
        resolutions: Default::default(),
        max: Layer::default(),
    };
    read_layers(bits, &mut s)?;
    let templates = usize::from(s.template_count);
    for slot in &mut s.indications[..templates] {
        *slot = read_indications(bits, s.target_count)?;
    }
    for _ in 0..templates {
        while bits.flag()? {
            bits.take(4)?;
        }
    }
    read_chains(bits, &mut s)?;
    s.targets = target_layers(&s);
    if bits.flag()? {
        for slot in &mut s.resolutions[..=usize::from(s.max.spatial)] {
            // Sizes are sent less one; 65536 does not fit and no layer has it.
            let size = |v: u32| u16::try_from(v + 1).ok();
            *slot = (size(bits.take(16)?)?, size(bits.take(16)?)?);
        }
    }
    Some(s)
}

fn read_layers(bits: &mut Bits<'_>, s: &mut DependencyStructure) -> Option<()> {
    let mut layer = Layer::default();
    loop {
        *s.layers.get_mut(usize::from(s.template_count))? = layer;
        s.template_count += 1;
        s.max.spatial = s.max.spatial.max(layer.spatial);
        s.max.temporal = s.max.temporal.max(layer.temporal);
        match bits.take(2)? {
            0 => {}
            1 => layer.temporal += 1,
            2 => layer = Layer { spatial: layer.spatial + 1, temporal: 0 },
            _ => return Some(()),
        }
        if layer.spatial > MAX_SPATIAL || layer.temporal > MAX_TEMPORAL {
            return None;
        }
    }
}

/// Chains are walked over to reach what follows; which frames protect a target is not used.
fn read_chains(bits: &mut Bits<'_>, s: &mut DependencyStructure) -> Option<()> {
    let targets = u32::from(s.target_count);
    let chains = bits.below(targets + 1)?;
    s.chain_count = chains as u8;
    if chains == 0 {
        return Some(());
    }
    for _ in 0..targets {
        bits.below(chains)?;
    }
    for _ in 0..u32::from(s.template_count) * chains {
        bits.take(4)?;
    }
    Some(())
}

/// A target needs the highest layers of the templates that are present in it (§A.8.3).
fn target_layers(s: &DependencyStructure) -> [Layer; MAX_DECODE_TARGETS] {
    let mut out = [Layer::default(); MAX_DECODE_TARGETS];
    for (target, layer) in out.iter_mut().enumerate().take(usize::from(s.target_count)) {
        for i in 0..usize::from(s.template_count) {
            if s.indications[i] >> (2 * target) & 0b11 != 0 {
                layer.spatial = layer.spatial.max(s.layers[i].spatial);
                layer.temporal = layer.temporal.max(s.layers[i].temporal);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Writer(Vec<bool>);

    impl Writer {
        fn put(&mut self, count: u32, value: u32) -> &mut Self {
            self.0.extend((0..count).rev().map(|i| value >> i & 1 == 1));
            self
        }

        fn bytes(&self) -> Vec<u8> {
            let fold =
                |c: &[bool]| c.iter().zip(0..).fold(0, |b, (&on, i)| b | u8::from(on) << (7 - i));
            self.0.chunks(8).map(fold).collect()
        }
    }

    /// Two spatial layers of two temporal ones, one template each, id offset 60; decode targets
    /// S0T0, S0T1, S1T1; one chain.
    fn keyframe(template: u32) -> Vec<u8> {
        let mut w = Writer::default();
        w.put(2, 0b10).put(6, template).put(16, 0x1234).put(5, 0b10000);
        w.put(6, 60).put(5, 2);
        w.put(2, 1).put(2, 2).put(2, 1).put(2, 3);
        for indications in [0b11_11_11, 0b00_01_11, 0b00_00_11, 0b00_00_01] {
            w.put(6, indications);
        }
        w.put(1, 0).put(6, 0b10_0000).put(1, 0).put(6, 0b10_0010);
        // One chain of at most three: ns(4) of 1, then ns(1) takes no bits.
        w.put(2, 1).put(16, 0x1234);
        w.put(1, 1);
        for size in [319, 179, 639, 359] {
            w.put(16, size);
        }
        w.bytes()
    }

    #[test]
    fn a_keyframe_states_the_structure() {
        let mut s = None;
        let d = DependencyDescriptor::read(&keyframe(60), &mut s).unwrap();
        assert_eq!((d.frame_start, d.frame_end, d.frame_number), (true, false, 0x1234));
        assert!(d.states_structure && d.active_targets.is_none());
        assert_eq!(d.layer, Layer { spatial: 0, temporal: 0 });
        assert_eq!(d.indication(0), DecodeTargetIndication::Required);
        let s = s.unwrap();
        let layer = |spatial, temporal| Layer { spatial, temporal };
        assert_eq!(s.targets(), [layer(0, 0), layer(0, 1), layer(1, 1)]);
        assert_eq!((s.max(), s.chain_count), (layer(1, 1), 1));
        assert_eq!((s.resolution(0), s.resolution(1)), (Some((320, 180)), Some((640, 360))));
        assert_eq!(s.resolution(2), None);
    }

    #[test]
    fn later_frames_name_a_template_whose_id_wraps() {
        let mut s = None;
        DependencyDescriptor::read(&keyframe(60), &mut s).unwrap();
        let frame = |id: u8| [0x40 | id, 0, 9];
        let d = DependencyDescriptor::read(&frame(63), &mut s).unwrap();
        assert_eq!((d.frame_end, d.frame_number), (true, 9));
        assert_eq!(d.layer, Layer { spatial: 1, temporal: 1 });
        assert_eq!(d.indication(0), DecodeTargetIndication::NotPresent);
        assert_eq!(d.indication(2), DecodeTargetIndication::Discardable);
        assert_eq!(DependencyDescriptor::read(&frame(0), &mut s), None, "no such template");
        assert_eq!(DependencyDescriptor::read(&frame(60), &mut None), None, "nothing stated");
    }

    #[test]
    fn active_targets_and_custom_indications_are_read() {
        let mut s = None;
        DependencyDescriptor::read(&keyframe(60), &mut s).unwrap();
        let mut w = Writer::default();
        w.put(2, 0b11).put(6, 61).put(16, 7).put(5, 0b01100).put(3, 0b011).put(6, 0b10_00_01);
        let d = DependencyDescriptor::read(&w.bytes(), &mut s).unwrap();
        assert_eq!(d.active_targets, Some(0b011));
        assert_eq!(d.indication(0), DecodeTargetIndication::Switch);
        assert_eq!(d.indication(1), DecodeTargetIndication::NotPresent);
        assert_eq!(d.indication(2), DecodeTargetIndication::Discardable);
    }

    #[test]
    fn what_is_cut_off_changes_nothing() {
        let whole = keyframe(60);
        for cut in 0..whole.len() {
            let mut s = None;
            assert_eq!(DependencyDescriptor::read(&whole[..cut], &mut s), None, "{cut}");
            assert_eq!(s, None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_hold(mut data in proptest::collection::vec(any::<u8>(), 0..256)) {
            let mut s = None;
            let _ = DependencyDescriptor::read(&keyframe(60), &mut s);
            let _ = DependencyDescriptor::read(&data, &mut s);
            if let Some(flags) = data.get_mut(3) {
                *flags |= 0x80;
            }
            let mut fresh = None;
            if DependencyDescriptor::read(&data, &mut fresh).is_some() && data.len() > 3 {
                let s = fresh.unwrap();
                prop_assert!(s.max().spatial <= 3 && !s.targets().is_empty());
            }
        }
    }
}
