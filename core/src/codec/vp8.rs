//! VP8 payload descriptor (RFC 7741 §4.2): read, and its picture numbers rewritten in place.

/// Bits of the long picture id.
const LONG_PICTURE_ID: u16 = 0x7FFF;
/// Bits of the short picture id.
const SHORT_PICTURE_ID: u16 = 0x7F;

/// Where a picture id stands and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureId {
    /// The id, 7 or 15 bits.
    pub value: u16,
    /// It has 15 bits (the M bit).
    pub long: bool,
    /// Offset of its first byte in the payload.
    at: u8,
}

impl PictureId {
    /// Reads the id at `at`.
    pub(super) fn read(payload: &[u8], at: usize) -> Option<(Self, usize)> {
        let first = *payload.get(at)?;
        if first & 0x80 == 0 {
            return Some((Self { value: u16::from(first), long: false, at: at as u8 }, at + 1));
        }
        let value = u16::from_be_bytes([first & 0x7F, *payload.get(at + 1)?]);
        Some((Self { value, long: true, at: at as u8 }, at + 2))
    }

    /// The values its width can hold.
    #[must_use]
    pub const fn mask(self) -> u16 {
        if self.long { LONG_PICTURE_ID } else { SHORT_PICTURE_ID }
    }

    fn write(self, payload: &mut [u8], value: u16) {
        let at = usize::from(self.at);
        if self.long {
            if let Some(slot) = payload.get_mut(at..at + 2) {
                slot.copy_from_slice(&(value | 0x8000).to_be_bytes());
            }
        } else if let Some(slot) = payload.get_mut(at) {
            *slot = value as u8 & 0x7F;
        }
    }
}

/// A VP8 payload descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// Its length; the VP8 data follows. At most 6 bytes.
    pub len: usize,
    /// The frame is discardable: nothing refers to it (N).
    pub non_reference: bool,
    /// First packet of a partition (S).
    pub partition_start: bool,
    /// Partition index, 0..=7.
    pub partition: u8,
    /// Picture id, if present.
    pub picture_id: Option<PictureId>,
    /// Running number of temporal base layer frames, if present.
    pub tl0_pic_idx: Option<u8>,
    /// Temporal layer, 0..=3, if present.
    pub temporal: Option<u8>,
    /// The frame refers to the base layer only, so a receiver may step up here (Y).
    pub layer_sync: bool,
    /// Number of the keyframe it depends on, 0..=31, if present.
    pub key_idx: Option<u8>,
    tl0_at: u8,
    tid_at: u8,
}

impl Vp8Descriptor {
    /// Reads the descriptor at the front of `payload`; `None` when it is cut off.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let first = *payload.first()?;
        let mut d = Self {
            len: 1,
            non_reference: first & 0x20 != 0,
            partition_start: first & 0x10 != 0,
            partition: first & 0x07,
            picture_id: None,
            tl0_pic_idx: None,
            temporal: None,
            layer_sync: false,
            key_idx: None,
            tl0_at: 0,
            tid_at: 0,
        };
        if first & 0x80 == 0 {
            return Some(d);
        }
        let extension = *payload.get(1)?;
        let mut at = 2;
        if extension & 0x80 != 0 {
            let (id, next) = PictureId::read(payload, at)?;
            (d.picture_id, at) = (Some(id), next);
        }
        if extension & 0x40 != 0 {
            d.tl0_pic_idx = Some(*payload.get(at)?);
            d.tl0_at = at as u8;
            at += 1;
        }
        if extension & 0x30 != 0 {
            let byte = *payload.get(at)?;
            if extension & 0x20 != 0 {
                d.temporal = Some(byte >> 6);
                d.layer_sync = byte & 0x20 != 0;
            }
            if extension & 0x10 != 0 {
                d.key_idx = Some(byte & 0x1F);
            }
            d.tid_at = at as u8;
            at += 1;
        }
        d.len = at;
        Some(d)
    }

    /// First packet of a frame.
    #[must_use]
    pub const fn frame_start(&self) -> bool {
        self.partition_start && self.partition == 0
    }

    /// Whether `payload`, which this descriptor was read from, begins a keyframe: its frame tag
    /// says so and the start code of RFC 6386 §9.1 follows.
    #[must_use]
    pub fn is_keyframe(&self, payload: &[u8]) -> bool {
        let Some(data) = payload.get(self.len..).filter(|_| self.frame_start()) else {
            return false;
        };
        match data {
            [tag, _, _, 0x9D, 0x01, 0x2A, ..] => tag & 0x01 == 0,
            _ => false,
        }
    }

    /// Whether the numbers that are present are those of `ids`, so that [`Self::rewrite`] would
    /// change nothing.
    #[inline]
    #[must_use]
    pub fn shows(&self, ids: Vp8Ids) -> bool {
        self.picture_id.is_none_or(|id| id.value == ids.picture_id & id.mask())
            && self.tl0_pic_idx.is_none_or(|tl0| tl0 == ids.tl0_pic_idx)
            && self.key_idx.is_none_or(|key| key == ids.key_idx & 0x1F)
    }

    /// Overwrites the numbers that are present with those of `ids`, each in its own width.
    pub fn rewrite(&self, payload: &mut [u8], ids: Vp8Ids) {
        if let Some(id) = self.picture_id {
            id.write(payload, ids.picture_id & id.mask());
        }
        if let (Some(_), Some(slot)) = (self.tl0_pic_idx, payload.get_mut(usize::from(self.tl0_at)))
        {
            *slot = ids.tl0_pic_idx;
        }
        if let (Some(_), Some(slot)) = (self.key_idx, payload.get_mut(usize::from(self.tid_at))) {
            *slot = *slot & 0xE0 | ids.key_idx & 0x1F;
        }
    }
}

/// The numbers a sink's receiver shall see in one packet; those its descriptor lacks are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Vp8Ids {
    /// Picture id.
    pub picture_id: u16,
    /// Running number of base layer frames.
    pub tl0_pic_idx: u8,
    /// Keyframe number, five bits.
    pub key_idx: u8,
}

/// What the next packet is to the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Start,
    Switched,
    Running,
}

/// Keeps picture numbers continuous for one sink, over switches of source and left-out frames, the
/// way [`crate::rtp::Continuity`] does for sequence numbers. Late packets are mapped for 63
/// frames back.
#[derive(Clone, Copy, Debug)]
pub struct Vp8Continuity {
    next: Next,
    mask: u16,
    offset: Vp8Ids,
    last: Vp8Ids,
    newest: u16,
    /// Bit `i`: the frame `newest - i` was skipped.
    skipped: u64,
    reach: u16,
}

impl Default for Vp8Continuity {
    fn default() -> Self {
        Self::new()
    }
}

/// Frames a late packet is mapped back for.
const WINDOW: u16 = 64;

impl Vp8Continuity {
    /// For a new sink; the first packet keeps its numbers.
    #[must_use]
    pub const fn new() -> Self {
        let zero = Vp8Ids { picture_id: 0, tl0_pic_idx: 0, key_idx: 0 };
        Self {
            next: Next::Start,
            mask: LONG_PICTURE_ID,
            offset: zero,
            last: zero,
            newest: 0,
            skipped: 0,
            reach: WINDOW,
        }
    }

    /// The next packet comes from another source or layer, or after a pause: its numbers follow
    /// the last ones sent.
    pub fn switch_source(&mut self) {
        if self.next != Next::Start {
            self.next = Next::Switched;
        }
    }

    /// The numbers under which to forward the packet with descriptor `d`; `None` when its frame
    /// was skipped or is too old to have numbers of its own.
    #[inline]
    pub fn forward(&mut self, d: &Vp8Descriptor) -> Option<Vp8Ids> {
        let own = ids_of(d);
        let mask = d.picture_id.map_or(self.mask, PictureId::mask);
        let newest = d.picture_id.is_some_and(|id| id.value == self.newest) && mask == self.mask;
        if newest && self.next == Next::Running && self.skipped & 1 == 0 {
            // What most packets are: more of the newest frame.
            let Vp8Ids { picture_id, tl0_pic_idx, key_idx } = self.offset;
            self.last = Vp8Ids {
                picture_id: own.picture_id.wrapping_sub(picture_id) & mask,
                tl0_pic_idx: own.tl0_pic_idx.wrapping_sub(tl0_pic_idx),
                key_idx: own.key_idx.wrapping_sub(key_idx) & 0x1F,
            };
            return Some(self.last);
        }
        self.forward_any(d, own, mask)
    }

    /// As [`Self::forward`], whatever the packet is to those before.
    fn forward_any(&mut self, d: &Vp8Descriptor, own: Vp8Ids, mask: u16) -> Option<Vp8Ids> {
        if self.next == Next::Running && mask != self.mask {
            self.next = Next::Switched;
        }
        if self.next != Next::Running {
            return Some(self.enter(own, mask));
        }
        let mut out = Vp8Ids {
            picture_id: 0,
            tl0_pic_idx: own.tl0_pic_idx.wrapping_sub(self.offset.tl0_pic_idx),
            key_idx: own.key_idx.wrapping_sub(self.offset.key_idx) & 0x1F,
        };
        if d.picture_id.is_none() {
            self.last = out;
            return Some(out);
        }
        let step = self.step(own.picture_id);
        if step > 0 {
            self.advance(own.picture_id, step.unsigned_abs());
        }
        let back = step.min(0).unsigned_abs();
        if back >= self.reach || self.skipped >> back & 1 == 1 {
            return None;
        }
        let later_skips = (self.skipped & ((1u64 << back) - 1)).count_ones() as u16;
        let offset = self.offset.picture_id.wrapping_sub(later_skips);
        out.picture_id = own.picture_id.wrapping_sub(offset) & self.mask;
        if back == 0 || self.is_newer(out.picture_id, self.last.picture_id) {
            self.last = out;
        }
        Some(out)
    }

    /// The frame of this packet is left out (a temporal layer not wanted): later picture ids close
    /// the gap. To be called for each packet of the frame, or only its first.
    pub fn skip(&mut self, d: &Vp8Descriptor) {
        let Some(id) = d.picture_id.filter(|_| self.next == Next::Running) else { return };
        let step = self.step(id.value);
        if step > 0 {
            self.advance(id.value, step.unsigned_abs());
            self.skipped |= 1;
            self.offset.picture_id = self.offset.picture_id.wrapping_add(1);
        }
    }

    fn enter(&mut self, own: Vp8Ids, mask: u16) -> Vp8Ids {
        let out = if self.next == Next::Start {
            own
        } else {
            Vp8Ids {
                picture_id: self.last.picture_id.wrapping_add(1) & mask,
                tl0_pic_idx: self.last.tl0_pic_idx.wrapping_add(1),
                key_idx: self.last.key_idx.wrapping_add(1) & 0x1F,
            }
        };
        self.reach = if self.next == Next::Start { WINDOW } else { 1 };
        self.next = Next::Running;
        self.mask = mask;
        self.offset = Vp8Ids {
            picture_id: own.picture_id.wrapping_sub(out.picture_id),
            tl0_pic_idx: own.tl0_pic_idx.wrapping_sub(out.tl0_pic_idx),
            key_idx: own.key_idx.wrapping_sub(out.key_idx),
        };
        self.newest = own.picture_id;
        self.skipped = 0;
        self.last = out;
        out
    }

    /// Signed frames from the newest to `id`, modulo the id's width.
    fn step(&self, id: u16) -> i16 {
        let forward = id.wrapping_sub(self.newest) & self.mask;
        if forward > self.mask / 2 {
            (forward | !self.mask).cast_signed()
        } else {
            forward.cast_signed()
        }
    }

    fn is_newer(&self, a: u16, b: u16) -> bool {
        let forward = a.wrapping_sub(b) & self.mask;
        forward != 0 && forward <= self.mask / 2
    }

    fn advance(&mut self, id: u16, step: u16) {
        self.skipped = self.skipped.checked_shl(u32::from(step)).unwrap_or(0);
        self.reach = self.reach.saturating_add(step).min(WINDOW);
        self.newest = id;
    }
}

#[inline]
fn ids_of(d: &Vp8Descriptor) -> Vp8Ids {
    Vp8Ids {
        picture_id: d.picture_id.map_or(0, |id| id.value),
        tl0_pic_idx: d.tl0_pic_idx.unwrap_or(0),
        key_idx: d.key_idx.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full descriptor with a 15-bit id, then the start of a keyframe.
    fn payload(picture_id: u16, tl0: u8, tid: u8, key_idx: u8) -> Vec<u8> {
        let [hi, lo] = (picture_id | 0x8000).to_be_bytes();
        vec![0x90, 0xF0, hi, lo, tl0, tid << 6 | key_idx, 0x10, 0, 0, 0x9D, 1, 0x2A, 0, 0]
    }

    #[test]
    fn every_field_is_read() {
        let p = payload(0x1234, 77, 2, 9);
        let d = Vp8Descriptor::read(&p).unwrap();
        assert_eq!((d.len, d.frame_start(), d.non_reference), (6, true, false));
        let id = d.picture_id.unwrap();
        assert_eq!((id.value, id.long), (0x1234, true));
        assert_eq!((d.tl0_pic_idx, d.temporal, d.key_idx), (Some(77), Some(2), Some(9)));
        assert!(d.is_keyframe(&p));
        for cut in 0..6 {
            assert_eq!(Vp8Descriptor::read(&p[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn short_forms_are_read() {
        let d = Vp8Descriptor::read(&[0x10, 0x10, 0, 0, 0x9D, 1, 0x2A]).unwrap();
        assert_eq!((d.len, d.picture_id, d.temporal), (1, None, None));
        let d = Vp8Descriptor::read(&[0xA2, 0xA0, 0x45, 0xE0]).unwrap();
        assert_eq!((d.len, d.non_reference, d.partition_start, d.partition), (4, true, false, 2));
        assert_eq!(d.picture_id.map(|i| (i.value, i.long)), Some((0x45, false)));
        assert_eq!((d.temporal, d.layer_sync, d.key_idx), (Some(3), true, None));
    }

    #[test]
    fn only_the_first_packet_of_a_keyframe_is_one() {
        let is = |p: &[u8]| Vp8Descriptor::read(p).is_some_and(|d| d.is_keyframe(p));
        assert!(is(&[0x10, 0x10, 0, 0, 0x9D, 1, 0x2A]));
        assert!(!is(&[0x10, 0x11, 0, 0, 0x9D, 1, 0x2A]), "an interframe");
        assert!(!is(&[0x00, 0x10, 0, 0, 0x9D, 1, 0x2A]), "a later packet");
        assert!(!is(&[0x11, 0x10, 0, 0, 0x9D, 1, 0x2A]), "another partition");
        assert!(!is(&[0x10, 0x10, 0, 0, 0x9D]), "cut off");
    }

    #[test]
    fn rewriting_keeps_widths_and_neighbours() {
        let mut p = payload(5, 6, 1, 7);
        let d = Vp8Descriptor::read(&p).unwrap();
        let ids = Vp8Ids { picture_id: 0x7FFF, tl0_pic_idx: 200, key_idx: 30 };
        assert!(d.shows(ids_of(&d)) && !d.shows(ids));
        d.rewrite(&mut p, ids);
        assert_eq!(p, payload(0x7FFF, 200, 1, 30));
        let mut short = vec![0x90, 0x80, 0x05, 0x55];
        let d = Vp8Descriptor::read(&short).unwrap();
        d.rewrite(&mut short, Vp8Ids { picture_id: 0xFFFF, tl0_pic_idx: 200, key_idx: 30 });
        assert_eq!(short, [0x90, 0x80, 0x7F, 0x55]);
    }

    fn d(picture_id: u16, tl0: u8, tid: u8) -> Vp8Descriptor {
        Vp8Descriptor::read(&payload(picture_id, tl0, tid, 0)).unwrap()
    }

    fn go(c: &mut Vp8Continuity, picture_id: u16, tl0: u8) -> Option<(u16, u8)> {
        c.forward(&d(picture_id, tl0, 0)).map(|i| (i.picture_id, i.tl0_pic_idx))
    }

    #[test]
    fn numbers_go_on_over_a_switch() {
        let mut c = Vp8Continuity::new();
        assert_eq!(go(&mut c, 0x7FFF, 255), Some((0x7FFF, 255)));
        assert_eq!(go(&mut c, 0x7FFF, 255), Some((0x7FFF, 255)), "same frame");
        c.switch_source();
        assert_eq!(go(&mut c, 1000, 10), Some((0, 0)));
        assert_eq!(go(&mut c, 999, 9), None, "before the switch");
        assert_eq!(go(&mut c, 1002, 12), Some((2, 2)), "a lost frame stays a gap");
        assert_eq!(go(&mut c, 1001, 11), Some((1, 1)));
        c.switch_source();
        assert_eq!(go(&mut c, 5, 5), Some((3, 3)));
    }

    #[test]
    fn skipped_frames_close_the_gap() {
        let mut c = Vp8Continuity::new();
        go(&mut c, 10, 1);
        c.skip(&d(11, 1, 1));
        c.skip(&d(11, 1, 1));
        assert_eq!(go(&mut c, 12, 2), Some((11, 2)));
        assert_eq!(go(&mut c, 11, 1), None);
        assert_eq!(go(&mut c, 9, 0), Some((9, 0)));
        c.skip(&d(13, 2, 1));
        c.skip(&d(15, 3, 1));
        assert_eq!(go(&mut c, 14, 3), Some((12, 3)), "late between two skipped");
        c.switch_source();
        assert_eq!(go(&mut c, 500, 50), Some((13, 4)));
    }

    #[test]
    fn a_short_id_wraps_in_its_own_width() {
        let short = |id: u8| Vp8Descriptor::read(&[0x90, 0x80, id]).unwrap();
        let mut c = Vp8Continuity::new();
        assert_eq!(c.forward(&short(127)).unwrap().picture_id, 127);
        c.skip(&short(0));
        assert_eq!(c.forward(&short(1)).unwrap().picture_id, 0);
        assert_eq!(
            c.forward(&d(300, 0, 0)).unwrap().picture_id,
            1,
            "another width, another source"
        );
    }
}
