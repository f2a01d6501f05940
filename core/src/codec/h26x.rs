//! Keyframes in H.264 (RFC 6184) and H.265 (RFC 7798) payloads, by the types of their NAL units.
//!
//! A parameter set counts as the start of a keyframe: encoders send it right before the picture it
//! serves, and a receiver that starts at the picture itself would lack it.

/// Whether an H.264 payload begins a keyframe: an IDR slice or a sequence parameter set, alone,
/// aggregated (STAP-A, STAP-B) or at the start of a fragmented unit (FU-A, FU-B).
#[must_use]
pub fn h264_is_keyframe(payload: &[u8]) -> bool {
    h264_starts(payload, |unit| matches!(unit, 5 | 7))
}

/// Whether an H.264 payload begins an IDR slice (type 5), in any of those ways.
#[must_use]
pub fn h264_starts_idr(payload: &[u8]) -> bool {
    h264_starts(payload, |unit| unit == 5)
}

/// Whether an H.264 payload has a sequence parameter set (type 7), in any of those ways.
#[must_use]
pub fn h264_has_sps(payload: &[u8]) -> bool {
    h264_starts(payload, |unit| unit == 7)
}

fn h264_starts(payload: &[u8], wanted: impl Fn(u8) -> bool) -> bool {
    let starts = |unit: u8| wanted(unit & 0x1F);
    match payload {
        [head, fu, ..] if matches!(head & 0x1F, 28 | 29) => fu & 0x80 != 0 && starts(*fu),
        [head, units @ ..] if head & 0x1F == 24 => any_unit(units, starts),
        [head, _, _, units @ ..] if head & 0x1F == 25 => any_unit(units, starts),
        [head, ..] => starts(*head),
        [] => false,
    }
}

/// Whether an H.265 payload begins a keyframe: a random access picture (types 16 to 21) or a video
/// or sequence parameter set, alone, aggregated or at the start of a fragmented unit.
#[must_use]
pub fn h265_is_keyframe(payload: &[u8]) -> bool {
    let starts = |kind: u8| matches!(kind, 16..=21 | 32 | 33);
    let kind_of = |head: u8| head >> 1 & 0x3F;
    match payload {
        [head, _, fu, ..] if kind_of(*head) == 49 => fu & 0x80 != 0 && starts(fu & 0x3F),
        [head, _, units @ ..] if kind_of(*head) == 48 => any_unit(units, |h| starts(kind_of(h))),
        [head, _, ..] => starts(kind_of(*head)),
        _ => false,
    }
}

/// Whether the first byte of any unit of an aggregation satisfies `starts`. Units stand behind a
/// 16-bit length; the walk ends at one that does not fit.
fn any_unit(mut units: &[u8], starts: impl Fn(u8) -> bool) -> bool {
    while let [hi, lo, rest @ ..] = units {
        let len = usize::from(u16::from_be_bytes([*hi, *lo]));
        let Some((unit, after)) = rest.split_at_checked(len) else { return false };
        if unit.first().is_some_and(|&head| starts(head)) {
            return true;
        }
        units = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h264_units_alone_aggregated_and_fragmented() {
        assert!(h264_is_keyframe(&[0x65, 1]));
        assert!(h264_is_keyframe(&[0x67]));
        assert!(!h264_is_keyframe(&[0x61]) && !h264_is_keyframe(&[0x68]));
        assert!(h264_is_keyframe(&[0x78, 0, 1, 0x68, 0, 2, 0x67, 0]), "STAP-A");
        assert!(!h264_is_keyframe(&[0x78, 0, 1, 0x68, 0, 9, 0x67, 0]), "overrun");
        assert!(h264_is_keyframe(&[0x79, 0, 1, 0, 1, 0x65]), "STAP-B");
        assert!(h264_is_keyframe(&[0x7C, 0x85]), "FU-A start");
        assert!(!h264_is_keyframe(&[0x7C, 0x05]) && !h264_is_keyframe(&[0x7C, 0x81]));
        assert!(!h264_is_keyframe(&[]) && !h264_is_keyframe(&[0x78]) && !h264_is_keyframe(&[0x7C]));
    }

    #[test]
    fn h265_units_alone_aggregated_and_fragmented() {
        let head = |kind: u8| kind << 1;
        for kind in [16, 19, 20, 21, 32, 33] {
            assert!(h265_is_keyframe(&[head(kind), 1]), "{kind}");
            assert!(h265_is_keyframe(&[head(49), 1, 0x80 | kind]), "{kind}");
            assert!(!h265_is_keyframe(&[head(49), 1, kind]), "{kind}");
            assert!(h265_is_keyframe(&[head(48), 1, 0, 2, head(1), 1, 0, 2, head(kind), 1]));
        }
        for kind in [0, 1, 15, 22, 34, 35, 39] {
            assert!(!h265_is_keyframe(&[head(kind), 1]), "{kind}");
        }
        assert!(!h265_is_keyframe(&[]) && !h265_is_keyframe(&[head(19)]));
        assert!(!h265_is_keyframe(&[head(48), 1, 0, 0, 0]));
    }
}
