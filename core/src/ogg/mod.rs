//! Opus in an Ogg file (RFC 3533, RFC 7845), read page by page from whatever gives bytes.
//!
//! Pages and checksums are the `ogg` crate's; which pages it is shown is decided here, for it keeps
//! state for each logical stream and each packet that goes on. Only pages of one Opus stream are
//! handed on, and a chained stream (RFC 3533 §4) replaces the one before. Bounds: 64 KiB a page,
//! [`MAX_PAGES`] pages looked at for one packet, so 4 MiB at worst; packets that fit no RTP packet,
//! or are no Opus, are passed over. Cost: a copy and a small allocation a packet.

mod fuzz;

pub use fuzz::fuzz_ogg;

use crate::codec::OpusToc;
use ogg::reading::{BasePacketReader, OggReadError, PageParser, PageParsingOptions};
use std::io::{self, Read};
use thiserror::Error;

/// Pages looked at for one packet, those of other streams included.
pub const MAX_PAGES: usize = 64;
/// Longest packet that is given out, in bytes: with an RTP header it fits 1500.
pub const MAX_OPUS: usize = 1400;
/// Bytes of a page before its segment table (RFC 3533 §6).
const PAGE_HEAD: usize = 27;
/// The flag of a logical stream's first page.
const FIRST_PAGE: u8 = 2;

/// Why a file cannot be played.
#[derive(Debug, Error)]
pub enum OggError {
    /// It cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// A page does not begin as one.
    #[error("no Ogg file, or a damaged one")]
    NotOgg,
    /// No Opus stream at its beginning.
    #[error("no Opus in the Ogg file")]
    NotOpus,
    /// An Opus stream of more than two channels, or of a later version (RFC 7845 §5.1).
    #[error("Opus of {channels} channels and mapping {mapping} is not played")]
    Unsupported {
        /// How many channels.
        channels: u8,
        /// Channel mapping family.
        mapping: u8,
    },
    /// A page's checksum or structure is wrong.
    #[error("the Ogg file is damaged: {0}")]
    Damaged(String),
    /// [`MAX_PAGES`] pages without a packet to play.
    #[error("{MAX_PAGES} pages of the Ogg file hold nothing to play")]
    Barren,
}

impl From<OggReadError> for OggError {
    fn from(error: OggReadError) -> Self {
        match error {
            OggReadError::ReadError(error) => OggError::Read(error),
            OggReadError::NoCapturePatternFound => OggError::NotOgg,
            other => OggError::Damaged(other.to_string()),
        }
    }
}

/// A packet of audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpusPacket {
    /// Its content, 1..=[`MAX_OPUS`] bytes: the payload of one RTP packet (RFC 7587 §4.2).
    pub bytes: Vec<u8>,
    /// How long it lasts.
    pub toc: OpusToc,
}

/// See the module. At the end of the file it is thrown away, and a new one made at the start.
pub struct OggOpus {
    packets: BasePacketReader,
    serial: u32,
    /// The next packet may be the stream's tags.
    at_tags: bool,
    check: bool,
}

impl OggOpus {
    /// Reads up to the head of the Opus stream.
    ///
    /// # Errors
    /// Every [`OggError`].
    pub fn open(file: &mut impl Read) -> Result<Self, OggError> {
        Self::begin(file, true)
    }

    fn begin(file: &mut impl Read, check: bool) -> Result<Self, OggError> {
        let mut reader =
            OggOpus { packets: BasePacketReader::new(), serial: 0, at_tags: false, check };
        let mut read_any = false;
        for _ in 0..MAX_PAGES {
            let Some(page) = Page::read(file)? else { break };
            read_any = true;
            if page.is_first() && reader.start(page)? {
                return Ok(reader);
            }
        }
        Err(if read_any { OggError::NotOpus } else { OggError::NotOgg })
    }

    /// The next packet; `None` at the end of the file, be it cut short or not.
    ///
    /// # Errors
    /// As [`OggOpus::open`].
    pub fn next(&mut self, file: &mut impl Read) -> Result<Option<OpusPacket>, OggError> {
        for _ in 0..MAX_PAGES {
            while let Some(packet) = self.packets.read_packet() {
                let is_tags = std::mem::take(&mut self.at_tags);
                if is_tags && packet.data.starts_with(b"OpusTags") {
                    continue;
                }
                let bytes = packet.data;
                match OpusToc::read(&bytes) {
                    Some(toc) if bytes.len() <= MAX_OPUS => {
                        return Ok(Some(OpusPacket { bytes, toc }));
                    }
                    _ => {}
                }
            }
            let Some(page) = Page::read(file)? else { return Ok(None) };
            if page.is_first() {
                self.start(page)?;
            } else if page.serial() == self.serial {
                self.packets.push_page(page.parse(self.check)?)?;
            }
        }
        Err(OggError::Barren)
    }

    /// Takes the first page of a stream. Whether it is Opus; another one is left alone.
    fn start(&mut self, page: Page) -> Result<bool, OggError> {
        let serial = page.serial();
        if !page.body.starts_with(b"OpusHead") {
            return Ok(false);
        }
        let mut packets = BasePacketReader::new();
        packets.push_page(page.parse(self.check)?)?;
        let Some(head) = packets.read_packet() else { return Err(OggError::NotOpus) };
        let (version, channels) = (head.data.get(8), head.data.get(9));
        match (version, channels, head.data.get(18)) {
            (Some(0..=15), Some(1..=2), Some(0)) => {}
            (_, Some(&channels), Some(&mapping)) => {
                return Err(OggError::Unsupported { channels, mapping });
            }
            _ => return Err(OggError::NotOpus),
        }
        (self.packets, self.serial, self.at_tags) = (packets, serial, true);
        Ok(true)
    }
}

/// A page, unchecked.
struct Page {
    head: [u8; PAGE_HEAD],
    segments: Vec<u8>,
    body: Vec<u8>,
}

impl Page {
    /// The next page; `None` where the file ends, within a page too.
    fn read(file: &mut impl Read) -> Result<Option<Self>, OggError> {
        let mut head = [0; PAGE_HEAD];
        if !filled(file, &mut head)? {
            return Ok(None);
        }
        if !head.starts_with(b"OggS") {
            return Err(OggError::NotOgg);
        }
        let mut segments = vec![0; usize::from(head[PAGE_HEAD - 1])];
        if !filled(file, &mut segments)? {
            return Ok(None);
        }
        let mut body = vec![0; segments.iter().map(|len| usize::from(*len)).sum()];
        let page = filled(file, &mut body)?.then_some(Page { head, segments, body });
        Ok(page)
    }

    fn is_first(&self) -> bool {
        self.head[5] & FIRST_PAGE != 0
    }

    fn serial(&self) -> u32 {
        u32::from_le_bytes([self.head[14], self.head[15], self.head[16], self.head[17]])
    }

    fn parse(self, check: bool) -> Result<ogg::reading::OggPage, OggError> {
        let mut options = PageParsingOptions::default();
        options.verify_checksum = check;
        let (mut parser, _) = PageParser::new_with_parse_opts(self.head, options)?;
        parser.parse_segments(self.segments);
        Ok(parser.parse_packet_data(self.body)?)
    }
}

/// Fills the whole buffer; false where the file ends before.
fn filled(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ogg::writing::{PacketWriteEndInfo, PacketWriter};

    fn head(channels: u8, mapping: u8) -> Vec<u8> {
        let mut head = b"OpusHead\x01".to_vec();
        head.push(channels);
        head.extend([0x38, 0x01, 0x80, 0xbb, 0, 0, 0, 0, mapping]);
        head
    }

    /// A file of these packets, a page for each.
    fn file(head: Vec<u8>, packets: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = PacketWriter::new(&mut out);
        let page = PacketWriteEndInfo::EndPage;
        writer.write_packet(head, 7, page, 0).unwrap();
        writer.write_packet(b"OpusTags\0\0\0\0\0\0\0\0".to_vec(), 7, page, 0).unwrap();
        for (number, packet) in (1u64..).zip(packets) {
            writer.write_packet(packet.clone(), 7, page, number * 960).unwrap();
        }
        drop(writer);
        out
    }

    fn packets(bytes: &[u8]) -> Result<Vec<Vec<u8>>, OggError> {
        let mut file = bytes;
        let mut reader = OggOpus::open(&mut file)?;
        let mut found = Vec::new();
        while let Some(packet) = reader.next(&mut file)? {
            found.push(packet.bytes);
        }
        Ok(found)
    }

    #[test]
    fn packets_come_in_order_without_the_headers() {
        let audio = vec![vec![0x78, 1], vec![0x78; 300], vec![0x78, 3]];
        assert_eq!(packets(&file(head(2, 0), &audio)).unwrap(), audio);
    }

    #[test]
    fn packets_across_pages_too_long_or_empty_are_dealt_with() {
        let audio = vec![vec![0x78; 70_000], vec![], vec![0x78; MAX_OPUS + 1], vec![0x78, 9]];
        assert_eq!(packets(&file(head(1, 0), &audio)).unwrap(), [vec![0x78, 9]]);
    }

    #[test]
    fn a_file_cut_short_ends_there() {
        let audio = vec![vec![0x78, 1], vec![0x78, 2]];
        let whole = file(head(1, 0), &audio);
        assert_eq!(packets(&whole[..whole.len() - 1]).unwrap(), audio[..1]);
    }

    #[test]
    fn what_is_no_opus_is_refused_with_a_reason() {
        assert!(matches!(packets(b""), Err(OggError::NotOgg)));
        assert!(matches!(packets(&[0; 4000]), Err(OggError::NotOgg)));
        let vorbis = file(b"\x01vorbis.....".to_vec(), &[]);
        assert!(matches!(packets(&vorbis), Err(OggError::NotOpus)));
        let surround = file(head(6, 1), &[]);
        assert!(matches!(packets(&surround), Err(OggError::Unsupported { channels: 6, .. })));
        let mut damaged = file(head(1, 0), &[vec![0x78; 40]]);
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        assert!(matches!(packets(&damaged), Err(OggError::Damaged(_))));
    }

    #[test]
    fn a_stream_without_packets_gives_up() {
        let empty = vec![vec![]; MAX_PAGES + 1];
        assert!(matches!(packets(&file(head(1, 0), &empty)), Err(OggError::Barren)));
    }

    #[test]
    fn a_chained_stream_goes_on_where_the_first_ends() {
        let mut both = file(head(1, 0), &[vec![0x78, 1]]);
        both.extend(file(head(2, 0), &[vec![0x78, 2]]));
        assert_eq!(packets(&both).unwrap(), [vec![0x78, 1], vec![0x78, 2]]);
    }
}
