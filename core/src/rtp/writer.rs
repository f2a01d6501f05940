//! Writes the complete header of an outgoing packet: nothing of the source's header or extension
//! block is carried over but the values (`webrtc-behaviour` §4).
//!
//! One writer a sink, made when the sink is. Most packets carry nothing but what is the same in all
//! of a sink's headers, and audio its level: those get a copy of its template. The others cost a few
//! stores an element. The departure time and the transport-wide number are left zero and their
//! offsets returned, because they are only known at departure, after coalescing and pacing.

use super::{
    AudioLevel, Extension, ExtensionIds, ExtensionValues, FIXED_HEADER, Mid, ONE_BYTE_PROFILE,
    PayloadType, RtpError, Seq, Ssrc, TWO_BYTE_PROFILE,
};

/// Longest header [`HeaderWriter`] can write, bytes: every extension in the two-byte form with a
/// dependency descriptor of 255 bytes.
pub const MAX_HEADER: usize = 328;

/// The fixed header of an outgoing packet: version 2, no contributing sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Header {
    /// The packet ends in padding, which the caller appends.
    pub padding: bool,
    /// Marker bit.
    pub marker: bool,
    /// Payload type of the sink.
    pub payload_type: PayloadType,
    /// Sequence number of the sink.
    pub seq: Seq,
    /// Timestamp of the sink.
    pub timestamp: u32,
    /// SSRC of the sink's m-line.
    pub ssrc: Ssrc,
}

/// What was written and where to stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Written {
    /// Length of the header, bytes; the payload goes right behind it.
    pub len: usize,
    /// Offset of the three zero bytes for [`abs_send_time`], if negotiated.
    pub abs_send_time: Option<u16>,
    /// Offset of the two zero bytes for the transport-wide number, if negotiated.
    pub transport_seq: Option<u16>,
}

/// The departure time as the 24-bit 6.18 fixed-point seconds of abs-send-time, from a monotonic
/// clock in microseconds; wraps every 64 s.
#[must_use]
pub const fn abs_send_time(now_us: u64) -> [u8; 3] {
    let fixed = ((now_us % 64_000_000) << 18) / 1_000_000;
    [(fixed >> 16) as u8, (fixed >> 8) as u8, fixed as u8]
}

/// Room for the header of a packet whose values say nothing, with any mid in either form.
const TEMPLATE: usize = 48;

/// Header writer of one sink.
#[derive(Clone, Copy, Debug)]
pub struct HeaderWriter {
    ids: ExtensionIds,
    mid: Option<Mid>,
    /// An id above 14 was negotiated, which only the two-byte form can carry.
    wide_ids: bool,
    /// A header whose packet has no values of its own but the audio level, and what was written;
    /// unused while its length is 0.
    template: [u8; TEMPLATE],
    plain: Written,
    /// Where the audio level stands in the template; 0: none goes out.
    level_at: u8,
}

impl HeaderWriter {
    /// A writer for a sink with the negotiated `ids` and its own `mid`. Departure time, transport
    /// number, orientation, playout delay and dependency descriptor go out on video only, the
    /// audio level on audio only.
    #[must_use]
    pub fn new(ids: &ExtensionIds, mid: Option<Mid>, video: bool) -> Self {
        let mut kept = ExtensionIds::new();
        for (ext, id) in ids.iter() {
            let goes_out = match ext {
                Extension::Mid | Extension::AbsCaptureTime => true,
                Extension::AudioLevel => !video,
                Extension::AbsSendTime
                | Extension::TransportCc
                | Extension::VideoOrientation
                | Extension::PlayoutDelay
                | Extension::DependencyDescriptor => video,
                Extension::Rid
                | Extension::RepairedRid
                | Extension::VideoLayersAllocation
                | Extension::TransmissionOffset => false,
            };
            if goes_out {
                kept.set(ext, id);
            }
        }
        let wide_ids = kept.iter().any(|(_, id)| id > 14);
        let (template, plain) = ([0; TEMPLATE], Written::default());
        let mut writer = Self { ids: kept, mid, wide_ids, template, plain, level_at: 0 };
        let mut template = [0; TEMPLATE];
        let audio_level = Some(AudioLevel::default());
        let values = ExtensionValues { audio_level, ..ExtensionValues::default() };
        if let Ok(written) = writer.write_elements(&mut template, &Header::default(), &values, &[])
        {
            (writer.template, writer.plain) = (template, written);
            writer.level_at = writer.place_of_level();
        }
        writer
    }

    /// Writes the header into the front of `out`. `values` are the source packet's (a plugin may
    /// have changed them) and `source` that packet's bytes, from which the dependency descriptor
    /// is copied.
    ///
    /// # Errors
    /// [`RtpError::NoRoom`] when `out` is too short; [`MAX_HEADER`] bytes are always enough.
    #[inline]
    pub fn write(
        &self,
        out: &mut [u8],
        header: &Header,
        values: &ExtensionValues,
        source: &[u8],
    ) -> Result<Written, RtpError> {
        if self.plain.len > 0
            && says_no_more_than_level(values)
            && (self.level_at == 0 || values.audio_level.is_some())
            && let Some(copy) = out.first_chunk_mut::<TEMPLATE>()
        {
            *copy = self.template;
            if let (Some(level), 1..) = (values.audio_level, self.level_at)
                && let Some(byte) = copy.get_mut(usize::from(self.level_at))
            {
                *byte = level.to_byte();
            }
            if let Some(fixed) = copy.first_chunk_mut() {
                let extends = fixed[0] & 0x10;
                put_fixed(fixed, header);
                fixed[0] |= extends;
            }
            return Ok(self.plain);
        }
        self.write_elements(out, header, values, source)
    }

    /// As [`HeaderWriter::write`], element by element.
    fn write_elements(
        &self,
        out: &mut [u8],
        header: &Header,
        values: &ExtensionValues,
        source: &[u8],
    ) -> Result<Written, RtpError> {
        let fixed = out.first_chunk_mut::<FIXED_HEADER>().ok_or(RtpError::NoRoom)?;
        put_fixed(fixed, header);

        let descriptor = values.dependency_descriptor.map_or(&[][..], |d| d.of(source));
        let mut block = Block {
            at: FIXED_HEADER + 4,
            two_byte: self.wide_ids || self.descriptor_is_long(descriptor),
            full: out.len() < FIXED_HEADER + 4,
            out,
        };
        let (abs_send_time, transport_seq) = self.put_elements(&mut block, values, descriptor);
        let len = block.finish()?;
        Ok(Written { len, abs_send_time, transport_seq })
    }

    /// Where the level's byte stands: it is the first element of audio.
    fn place_of_level(&self) -> u8 {
        match self.ids.get(Extension::AudioLevel) {
            Some(_) if self.wide_ids => FIXED_HEADER as u8 + 6,
            Some(_) => FIXED_HEADER as u8 + 5,
            None => 0,
        }
    }

    fn descriptor_is_long(&self, descriptor: &[u8]) -> bool {
        descriptor.len() > 16 && self.ids.get(Extension::DependencyDescriptor).is_some()
    }

    /// The elements in the order of `webrtc-behaviour` §4; returns the offsets to stamp.
    fn put_elements(
        &self,
        block: &mut Block<'_>,
        v: &ExtensionValues,
        descriptor: &[u8],
    ) -> (Option<u16>, Option<u16>) {
        let ids = &self.ids;
        let sent = ids.get(Extension::AbsSendTime).and_then(|id| block.put(id, &[0; 3]));
        let seq = ids.get(Extension::TransportCc).and_then(|id| block.put(id, &[0; 2]));
        if let (Some(id), Some(level)) = (ids.get(Extension::AudioLevel), v.audio_level) {
            block.put(id, &[level.to_byte()]);
        }
        if let (Some(id), Some(o)) = (ids.get(Extension::VideoOrientation), v.orientation) {
            block.put(id, &[o.0]);
        }
        if let (Some(id), Some(delay)) = (ids.get(Extension::PlayoutDelay), v.playout_delay) {
            block.put(id, &delay.to_bytes());
        }
        if let (Some(id), Some(mid)) = (ids.get(Extension::Mid), &self.mid) {
            block.put(id, mid.as_bytes());
        }
        if let (Some(id), false) = (ids.get(Extension::DependencyDescriptor), descriptor.is_empty())
        {
            block.put(id, descriptor);
        }
        if let (Some(id), Some(time)) = (ids.get(Extension::AbsCaptureTime), v.abs_capture_time) {
            block.put(id, &time.to_be_bytes());
        }
        (sent, seq)
    }
}

/// Whether no value but the audio level goes out that is not the sink's own.
#[inline]
fn says_no_more_than_level(v: &ExtensionValues) -> bool {
    v.orientation.is_none()
        && v.playout_delay.is_none()
        && v.dependency_descriptor.is_none()
        && v.abs_capture_time.is_none()
}

/// The twelve bytes that every header begins with (RFC 3550 §5.1).
#[inline]
fn put_fixed(fixed: &mut [u8; FIXED_HEADER], header: &Header) {
    fixed[0] = 0x80 | u8::from(header.padding) << 5;
    fixed[1] = header.payload_type.get() | u8::from(header.marker) << 7;
    fixed[2..4].copy_from_slice(&header.seq.0.to_be_bytes());
    fixed[4..8].copy_from_slice(&header.timestamp.to_be_bytes());
    fixed[8..12].copy_from_slice(&header.ssrc.0.to_be_bytes());
}

/// An extension block under construction, its four-byte head left open until the end.
struct Block<'a> {
    out: &'a mut [u8],
    at: usize,
    two_byte: bool,
    full: bool,
}

impl Block<'_> {
    /// Appends an element of at most 255 bytes, in the one-byte form 1..=16; returns the offset of
    /// its data.
    fn put(&mut self, id: u8, data: &[u8]) -> Option<u16> {
        let len = data.len();
        let head = if self.two_byte { 2 } else { 1 };
        let Some(slot) = self.out.get_mut(self.at..self.at + head + len) else {
            self.full = true;
            return None;
        };
        if self.two_byte {
            slot[0] = id;
            slot[1] = len as u8;
        } else {
            slot[0] = id << 4 | (len - 1) as u8;
        }
        slot[head..].copy_from_slice(data);
        let data_at = self.at + head;
        self.at = data_at + len;
        Some(data_at as u16)
    }

    /// Pads the block, fills in its head and the header's X bit, returns the header's length.
    fn finish(self) -> Result<usize, RtpError> {
        if self.full {
            return Err(RtpError::NoRoom);
        }
        if self.at == FIXED_HEADER + 4 {
            return Ok(FIXED_HEADER);
        }
        let end = self.at.next_multiple_of(4);
        self.out.get_mut(self.at..end).ok_or(RtpError::NoRoom)?.fill(0);
        let profile = if self.two_byte { TWO_BYTE_PROFILE } else { ONE_BYTE_PROFILE };
        let words = ((end - FIXED_HEADER - 4) / 4) as u16;
        self.out[0] |= 0x10;
        self.out[FIXED_HEADER..FIXED_HEADER + 2].copy_from_slice(&profile.to_be_bytes());
        self.out[FIXED_HEADER + 2..FIXED_HEADER + 4].copy_from_slice(&words.to_be_bytes());
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{
        AudioLevel, ByteRange, Packet, PlayoutDelay, VideoOrientation, parse_extensions,
    };
    use proptest::prelude::*;

    fn ids(pairs: &[(Extension, u8)]) -> ExtensionIds {
        let mut ids = ExtensionIds::new();
        for &(ext, id) in pairs {
            assert!(ids.set(ext, id));
        }
        ids
    }

    fn header() -> Header {
        Header {
            padding: false,
            marker: true,
            payload_type: PayloadType::from_low_bits(96),
            seq: Seq(7),
            timestamp: 8,
            ssrc: Ssrc(9),
        }
    }

    fn full_values(descriptor_len: u16) -> ExtensionValues {
        ExtensionValues {
            audio_level: Some(AudioLevel { level: 30, voice: true }),
            orientation: Some(VideoOrientation(1)),
            playout_delay: Some(PlayoutDelay { min: 1, max: 2 }),
            abs_capture_time: Some(0x0102_0304_0506_0708),
            transport_seq: Some(99),
            mid: Mid::new(b"source"),
            rid: Mid::new(b"h"),
            dependency_descriptor: Some(ByteRange { start: 20, len: descriptor_len }),
            ..Default::default()
        }
    }

    const VIDEO: &[(Extension, u8)] = &[
        (Extension::AbsCaptureTime, 8),
        (Extension::DependencyDescriptor, 7),
        (Extension::Mid, 6),
        (Extension::PlayoutDelay, 5),
        (Extension::VideoOrientation, 4),
        (Extension::AudioLevel, 3),
        (Extension::TransportCc, 2),
        (Extension::AbsSendTime, 1),
        (Extension::Rid, 9),
    ];

    fn order(bytes: &[u8]) -> Vec<u8> {
        Packet::parse(bytes).unwrap().extensions().map(|e| e.id).collect()
    }

    #[test]
    fn webrtc_21_22_53_video_extensions_are_rebuilt_in_order() {
        let source = [7u8; 400];
        let writer = HeaderWriter::new(&ids(VIDEO), Mid::new(b"1"), true);
        let mut out = [0xEE; MAX_HEADER];
        let w = writer.write(&mut out, &header(), &full_values(16), &source).unwrap();
        assert_eq!(order(&out[..w.len]), [1, 2, 4, 5, 6, 7, 8]);
        assert_eq!(out[12..14], ONE_BYTE_PROFILE.to_be_bytes());
        let (sent, seq) = (w.abs_send_time.unwrap() as usize, w.transport_seq.unwrap() as usize);
        assert_eq!((sent, seq), (17, 21));
        assert_eq!((&out[sent..sent + 3], &out[seq..seq + 2]), (&[0; 3][..], &[0; 2][..]));
        let p = Packet::parse(&out[..w.len]).unwrap();
        let v = parse_extensions(&p, &ids(VIDEO));
        assert_eq!((v.mid, v.rid), (Mid::new(b"1"), None));
        assert_eq!(v.dependency_descriptor.unwrap().of(&out), [7; 16]);
        assert_eq!((p.marker(), p.seq(), p.timestamp(), p.ssrc()), (true, Seq(7), 8, Ssrc(9)));
    }

    #[test]
    fn webrtc_22_audio_carries_level_and_mid_but_never_send_time_or_number() {
        let writer = HeaderWriter::new(&ids(VIDEO), Mid::new(b"0"), false);
        let mut out = [0; MAX_HEADER];
        let w = writer.write(&mut out, &header(), &full_values(0), &[]).unwrap();
        assert_eq!(order(&out[..w.len]), [3, 6, 8]);
        assert_eq!((w.abs_send_time, w.transport_seq), (None, None));
    }

    #[test]
    fn a_descriptor_over_sixteen_bytes_forces_the_two_byte_form() {
        let source = [7u8; 400];
        let writer = HeaderWriter::new(&ids(VIDEO), Mid::new(b"1"), true);
        let mut out = [0; MAX_HEADER];
        let w = writer.write(&mut out, &header(), &full_values(17), &source).unwrap();
        assert_eq!(out[12..14], TWO_BYTE_PROFILE.to_be_bytes());
        assert_eq!(order(&out[..w.len]), [1, 2, 4, 5, 6, 7, 8]);
        let audio = HeaderWriter::new(&ids(VIDEO), None, false);
        audio.write(&mut out, &header(), &full_values(17), &source).unwrap();
        assert_eq!(out[12..14], ONE_BYTE_PROFILE.to_be_bytes());
    }

    #[test]
    fn ids_above_fourteen_force_the_two_byte_form() {
        let writer = HeaderWriter::new(&ids(&[(Extension::Mid, 20)]), Mid::new(b"1"), true);
        let mut out = [0; MAX_HEADER];
        let w = writer.write(&mut out, &header(), &ExtensionValues::default(), &[]).unwrap();
        assert_eq!(&out[12..w.len], [0x10, 0, 0, 1, 20, 1, b'1', 0]);
    }

    #[test]
    fn nothing_negotiated_gives_a_bare_header() {
        let writer = HeaderWriter::new(&ExtensionIds::new(), Mid::new(b"1"), true);
        let mut out = [0; FIXED_HEADER + 4];
        let w = writer.write(&mut out, &header(), &full_values(4), &[0; 100]).unwrap();
        assert_eq!(w.len, FIXED_HEADER);
        assert_eq!(out[0], 0x80);
        assert_eq!(
            writer.write(&mut out[..11], &header(), &full_values(4), &[0; 100]),
            Err(RtpError::NoRoom)
        );
    }

    #[test]
    fn a_header_from_the_template_is_what_its_elements_give() {
        let wide = &[(Extension::Mid, 20), (Extension::TransportCc, 2)];
        let none: &[(Extension, u8)] = &[];
        let loud = &[(Extension::Mid, 1), (Extension::AudioLevel, 2)];
        let loud_wide = &[(Extension::AudioLevel, 30), (Extension::Mid, 1)];
        let sinks = [(VIDEO, true), (VIDEO, false), (&wide[..], true), (none, true)];
        let audio = [(&loud[..], false), (&loud_wide[..], false), (&loud[..], true)];
        let level = Some(AudioLevel { level: 77, voice: true });
        for (pairs, video) in sinks.into_iter().chain(audio) {
            for mid in [None, Mid::new(b"1"), Mid::new(b"0123456789abcdef")] {
                for audio_level in [None, level] {
                    let writer = HeaderWriter::new(&ids(pairs), mid, video);
                    assert!(writer.plain.len > 0);
                    let mid = Mid::new(b"x");
                    let values = ExtensionValues { mid, audio_level, ..Default::default() };
                    let header = Header { padding: true, ..header() };
                    let (mut fast, mut slow) = ([0xEE; MAX_HEADER], [0xEE; MAX_HEADER]);
                    let written = writer.write(&mut fast, &header, &values, &[]).unwrap();
                    let elements = writer.write_elements(&mut slow, &header, &values, &[]);
                    assert_eq!(Ok(written), elements);
                    assert_eq!(fast[..written.len], slow[..written.len]);
                }
            }
        }
    }

    #[test]
    fn send_time_is_six_eighteen_fixed_point() {
        assert_eq!(abs_send_time(1_000_000), [0x04, 0, 0]);
        assert_eq!(abs_send_time(500_000), [0x02, 0, 0]);
        assert_eq!(abs_send_time(64_000_000), [0, 0, 0]);
        assert_eq!(abs_send_time(63_999_999), [0xFF, 0xFF, 0xFF]);
    }

    proptest! {
        #[test]
        fn any_room_gives_a_header_or_no_room(room in 0usize..MAX_HEADER, dd in 0u16..=255) {
            let source = [7u8; 400];
            let writer = HeaderWriter::new(&ids(VIDEO), Mid::new(b"0123456789abcdef"), true);
            let mut all = [0; MAX_HEADER];
            let want = writer.write(&mut all, &header(), &full_values(dd), &source).unwrap();
            let mut out = vec![0; room];
            match writer.write(&mut out, &header(), &full_values(dd), &source) {
                Ok(got) => prop_assert_eq!((got, &out[..got.len]), (want, &all[..want.len])),
                Err(e) => prop_assert!(e == RtpError::NoRoom && room < want.len),
            }
        }
    }
}
