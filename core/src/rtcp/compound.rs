//! Walks a compound packet. Structure and bodies are checked once, up front, so that iterating
//! afterwards cannot fail. Reduced-size packets (RFC 5506) are compounds like any other.

use super::{
    Fir, Nack, Pli, ReceiverReport, Remb, RtcpError, SenderReport, TransportFeedback, packet_type,
};
use crate::rtp::{MAX_PACKET, Ssrc};

/// Most parts a compound may have.
pub const MAX_PARTS: usize = 64;

/// One part as it came: header and body, padding taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    /// Packet type.
    pub packet_type: u8,
    /// Report count, source count, subtype or feedback message type: the low five bits.
    pub count: u8,
    /// The whole part, its four-byte header included; a multiple of four bytes unless padded.
    pub bytes: &'a [u8],
}

impl<'a> Raw<'a> {
    /// What follows the four-byte header.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.bytes.get(4..).unwrap_or_default()
    }

    /// Takes the part at the front of `bytes`; returns it and the rest.
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), RtcpError> {
        let head = bytes.first_chunk::<4>().ok_or(RtcpError::TooShort)?;
        if head[0] >> 6 != 2 {
            return Err(RtcpError::Version);
        }
        let len = 4 * (usize::from(u16::from_be_bytes([head[2], head[3]])) + 1);
        let (part, rest) = bytes.split_at_checked(len).ok_or(RtcpError::Length)?;
        let mut end = len;
        if head[0] & 0x20 != 0 {
            let padding = part.last().copied().map_or(0, usize::from);
            if padding == 0 || padding > len - 4 {
                return Err(RtcpError::Length);
            }
            end -= padding;
        }
        let bytes = part.get(..end).ok_or(RtcpError::Length)?;
        Ok((Self { packet_type: head[1], count: head[0] & 0x1F, bytes }, rest))
    }
}

/// One part, read.
#[derive(Clone, Copy, Debug)]
pub enum Rtcp<'a> {
    /// Sender report (RFC 3550 §6.4.1).
    SenderReport(SenderReport<'a>),
    /// Receiver report (RFC 3550 §6.4.2).
    ReceiverReport(ReceiverReport<'a>),
    /// Source description (RFC 3550 §6.5).
    Sdes(Sdes<'a>),
    /// Goodbye (RFC 3550 §6.6).
    Bye(Bye<'a>),
    /// Application-defined (RFC 3550 §6.7).
    App(App<'a>),
    /// Generic NACK (RFC 4585 §6.2.1).
    Nack(Nack<'a>),
    /// Transport-wide feedback.
    TransportFeedback(TransportFeedback<'a>),
    /// Picture loss indication (RFC 4585 §6.3.1).
    Pli(Pli),
    /// Full intra request (RFC 5104 §4.3.1).
    Fir(Fir<'a>),
    /// Receiver estimated maximum bitrate.
    Remb(Remb<'a>),
    /// Anything else, kept as it came.
    Unknown(Raw<'a>),
}

impl<'a> Rtcp<'a> {
    /// Reads one part.
    ///
    /// # Errors
    /// [`RtcpError::Malformed`] when the body contradicts the header.
    pub fn read(raw: Raw<'a>) -> Result<Self, RtcpError> {
        let part = match (raw.packet_type, raw.count) {
            (packet_type::SR, _) => SenderReport::read(raw).map(Self::SenderReport),
            (packet_type::RR, _) => ReceiverReport::read(raw).map(Self::ReceiverReport),
            (packet_type::SDES, _) => Sdes::read(raw).map(Self::Sdes),
            (packet_type::BYE, _) => Bye::read(raw).map(Self::Bye),
            (packet_type::APP, _) => App::read(raw).map(Self::App),
            (packet_type::RTPFB, 1) => Nack::read(raw).map(Self::Nack),
            (packet_type::RTPFB, 15) => TransportFeedback::read(raw).map(Self::TransportFeedback),
            (packet_type::PSFB, 1) => Pli::read(raw).map(Self::Pli),
            (packet_type::PSFB, 4) => Fir::read(raw).map(Self::Fir),
            (packet_type::PSFB, 15) if Remb::is_one(raw) => Remb::read(raw).map(Self::Remb),
            _ => Some(Self::Unknown(raw)),
        };
        part.ok_or(RtcpError::Malformed(raw.packet_type))
    }
}

/// A checked compound packet.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Checks structure and bodies of all parts.
    ///
    /// # Errors
    /// [`RtcpError`]; the packet is to be dropped whole.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtcpError> {
        if bytes.is_empty() {
            return Err(RtcpError::TooShort);
        }
        if bytes.len() > MAX_PACKET {
            return Err(RtcpError::TooLong);
        }
        let (mut rest, mut parts) = (bytes, 0);
        while !rest.is_empty() {
            let (raw, after) = Raw::split(rest)?;
            Rtcp::read(raw)?;
            parts += 1;
            if parts > MAX_PARTS {
                return Err(RtcpError::TooMany);
            }
            rest = after;
        }
        Ok(Self { bytes })
    }

    /// The parts as they came, in order.
    pub fn raw(&self) -> impl Iterator<Item = Raw<'a>> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (raw, after) = Raw::split(rest).ok()?;
            rest = after;
            Some(raw)
        })
    }

    /// The parts, read, in order.
    pub fn parts(&self) -> impl Iterator<Item = Rtcp<'a>> + use<'a> {
        self.raw().filter_map(|raw| Rtcp::read(raw).ok())
    }
}

/// Big-endian word at `at`, if it lies in `bytes`.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// Big-endian half word at `at`, if it lies in `bytes`.
pub(super) fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

/// Goodbye.
#[derive(Clone, Copy, Debug)]
pub struct Bye<'a> {
    sources: &'a [u8],
}

impl<'a> Bye<'a> {
    fn read(raw: Raw<'a>) -> Option<Self> {
        let sources = raw.body().get(..4 * usize::from(raw.count))?;
        Some(Self { sources })
    }

    /// The sources that leave, at most 31.
    pub fn sources(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        self.sources.as_chunks::<4>().0.iter().map(|c| Ssrc(u32::from_be_bytes(*c)))
    }
}

/// Application-defined packet.
#[derive(Clone, Copy, Debug)]
pub struct App<'a> {
    /// Its subtype, 0..=31.
    pub subtype: u8,
    /// Its sender.
    pub sender: Ssrc,
    /// Four ASCII characters.
    pub name: [u8; 4],
    /// What follows.
    pub data: &'a [u8],
}

impl<'a> App<'a> {
    fn read(raw: Raw<'a>) -> Option<Self> {
        let (head, data) = raw.body().split_at_checked(8)?;
        Some(Self {
            subtype: raw.count,
            sender: Ssrc(word(head, 0)?),
            name: head.get(4..)?.first_chunk().copied()?,
            data,
        })
    }
}

/// Source description.
#[derive(Clone, Copy, Debug)]
pub struct Sdes<'a> {
    chunks: u8,
    body: &'a [u8],
}

/// One source of a source description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdesChunk<'a> {
    /// The source.
    pub ssrc: Ssrc,
    /// Its canonical name, if given.
    pub cname: Option<&'a [u8]>,
}

impl<'a> Sdes<'a> {
    fn read(raw: Raw<'a>) -> Option<Self> {
        let sdes = Self { chunks: raw.count, body: raw.body() };
        (sdes.chunks().count() == usize::from(raw.count)).then_some(sdes)
    }

    /// The sources described, at most 31.
    pub fn chunks(&self) -> impl Iterator<Item = SdesChunk<'a>> + use<'a> {
        let mut rest = self.body;
        (0..self.chunks).map_while(move |_| {
            let (chunk, after) = sdes_chunk(rest)?;
            rest = after;
            Some(chunk)
        })
    }
}

/// Reads one chunk: SSRC, items until a zero byte, fill to a word.
fn sdes_chunk(bytes: &[u8]) -> Option<(SdesChunk<'_>, &[u8])> {
    let ssrc = Ssrc(word(bytes, 0)?);
    let (mut at, mut cname) = (4, None);
    loop {
        let kind = *bytes.get(at)?;
        if kind == 0 {
            break;
        }
        let len = usize::from(*bytes.get(at + 1)?);
        let text = bytes.get(at + 2..at + 2 + len)?;
        if kind == 1 && cname.is_none() {
            cname = Some(text);
        }
        at += 2 + len;
    }
    let end = (at + 1).next_multiple_of(4);
    Some((SdesChunk { ssrc, cname }, bytes.get(end..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_errors_have_their_reason() {
        let err = |b: &[u8]| Compound::parse(b).unwrap_err();
        assert_eq!(err(&[]), RtcpError::TooShort);
        assert_eq!(err(&[0x80, 201, 0]), RtcpError::TooShort);
        assert_eq!(err(&[0x40, 201, 0, 0]), RtcpError::Version);
        assert_eq!(err(&[0x80, 201, 0, 1]), RtcpError::Length);
        assert_eq!(err(&[0x80, 201, 0, 0]), RtcpError::Malformed(201));
        assert_eq!(err(&[0xA0, 204, 0, 0]), RtcpError::Length);
        assert_eq!(err(&[0xA0, 207, 0, 1, 0, 0, 0, 5]), RtcpError::Length);
        assert_eq!(err(&[0x80; 1501]), RtcpError::TooLong);
        assert_eq!(err(&[0x80, 207, 0, 0].repeat(65)), RtcpError::TooMany);
        assert!(Compound::parse(&[0x80, 207, 0, 0].repeat(64)).is_ok());
    }

    #[test]
    fn unknown_parts_are_kept_raw_and_padding_is_taken_off() {
        let bytes = [0xA3, 210, 0, 2, 1, 2, 3, 4, 0, 0, 0, 4];
        let c = Compound::parse(&bytes).unwrap();
        let raw = c.raw().next().unwrap();
        assert_eq!((raw.packet_type, raw.count, raw.body()), (210, 3, &[1, 2, 3, 4][..]));
        assert!(matches!(c.parts().next(), Some(Rtcp::Unknown(r)) if r == raw));
    }

    #[test]
    fn sdes_bye_and_app_are_read() {
        let mut b = vec![0x82, 202, 0, 6];
        b.extend([0, 0, 0, 1, 2, 1, b'x', 1, 2, b'a', b'b', 0]);
        b.extend([0, 0, 0, 2, 1, 3, b'c', b'd', b'e', 0, 0, 0]);
        b.extend([0x82, 203, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8]);
        b.extend([0x85, 204, 0, 3, 0, 0, 0, 9, b'n', b'a', b'm', b'e', 1, 2, 3, 4]);
        let c = Compound::parse(&b).unwrap();
        let mut parts = c.parts();
        let Some(Rtcp::Sdes(sdes)) = parts.next() else { panic!() };
        let got: Vec<_> = sdes.chunks().map(|c| (c.ssrc.0, c.cname.unwrap())).collect();
        assert_eq!(got, [(1, &b"ab"[..]), (2, b"cde")]);
        let Some(Rtcp::Bye(bye)) = parts.next() else { panic!() };
        assert_eq!(bye.sources().collect::<Vec<_>>(), [Ssrc(7), Ssrc(8)]);
        let Some(Rtcp::App(app)) = parts.next() else { panic!() };
        assert_eq!(
            (app.subtype, app.sender, &app.name, app.data),
            (5, Ssrc(9), b"name", &[1, 2, 3, 4][..])
        );
        assert!(parts.next().is_none());
    }

    #[test]
    fn items_that_overrun_are_malformed() {
        let overrun = [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 9, b'x', 0];
        assert_eq!(Compound::parse(&overrun).unwrap_err(), RtcpError::Malformed(202));
        let missing = [0x82, 203, 0, 1, 0, 0, 0, 1];
        assert_eq!(Compound::parse(&missing).unwrap_err(), RtcpError::Malformed(203));
    }
}
