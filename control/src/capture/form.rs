//! The two forms of a capture (admin-events-recording §13.1, §13.2): bytes out, no I/O.

use bifrons_datapath::tap::{Direction, Tapped, TappedKind};
use std::io::{self, Write};

/// Ethernet, IPv4 and UDP, without options.
const HEADERS: usize = 14 + 20 + 8;

/// What a capture writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureForm {
    /// A pcap file.
    Pcap,
    /// Lines for `text2pcap`.
    Text,
}

impl CaptureForm {
    /// What precedes the first packet.
    pub(super) fn begin(self, out: &mut impl Write) -> io::Result<()> {
        match self {
            CaptureForm::Text => Ok(()),
            CaptureForm::Pcap => {
                out.write_all(&0xa1b2_c3d4u32.to_ne_bytes())?;
                out.write_all(&2u16.to_ne_bytes())?;
                out.write_all(&4u16.to_ne_bytes())?;
                // Zone, accuracy, snap length, Ethernet.
                for word in [0u32, 0, 65_535, 1] {
                    out.write_all(&word.to_ne_bytes())?;
                }
                Ok(())
            }
        }
    }

    /// One packet.
    pub(super) fn write(
        self,
        out: &mut impl Write,
        packet: &Tapped,
        label: &str,
    ) -> io::Result<()> {
        match self {
            CaptureForm::Pcap => write_pcap(out, packet),
            CaptureForm::Text => write_text(out, packet, label),
        }
    }
}

fn write_pcap(out: &mut impl Write, packet: &Tapped) -> io::Result<()> {
    let whole = usize::from(packet.original_len);
    let (seconds, us) = (packet.wall_us / 1_000_000, packet.wall_us % 1_000_000);
    let lengths = (HEADERS + packet.bytes().len(), HEADERS + whole);
    for word in [seconds as u32, us as u32, lengths.0 as u32, lengths.1 as u32] {
        out.write_all(&word.to_ne_bytes())?;
    }
    let (peer, server) = (([10, 1, 1, 1], 1000u16), ([10, 2, 2, 2], 2000u16));
    let (from, to) = match packet.direction {
        Direction::In => (peer, server),
        Direction::Out => (server, peer),
    };
    out.write_all(&[0; 12])?;
    out.write_all(&0x0800u16.to_be_bytes())?;
    // IPv4 (RFC 791 §3.1): the lengths are the packet's own, whatever was kept of it.
    let length = |below: usize| u16::try_from(below + whole).unwrap_or(u16::MAX).to_be_bytes();
    out.write_all(&[0x45, 0])?;
    out.write_all(&length(28))?;
    // No identification; do not fragment; 64 hops of UDP; no checksum.
    out.write_all(&[0, 0, 0x40, 0, 64, 17, 0, 0])?;
    out.write_all(&from.0)?;
    out.write_all(&to.0)?;
    out.write_all(&from.1.to_be_bytes())?;
    out.write_all(&to.1.to_be_bytes())?;
    out.write_all(&length(8))?;
    out.write_all(&[0, 0])?;
    out.write_all(packet.bytes())
}

fn write_text(out: &mut impl Write, packet: &Tapped, label: &str) -> io::Result<()> {
    let direction = match packet.direction {
        Direction::In => 'I',
        Direction::Out => 'O',
    };
    let (second, us) = (packet.wall_us / 1_000_000 % 86_400, packet.wall_us % 1_000_000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    write!(out, "{direction} {hour:02}:{minute:02}:{second:02}.{us:06} 000000 ")?;
    for byte in packet.bytes() {
        write!(out, " {byte:02x}")?;
    }
    let kind = match packet.kind {
        TappedKind::Rtp => "JANUS_TEXT2PCAP_RTP",
        TappedKind::Rtcp => "JANUS_TEXT2PCAP_RTCP",
    };
    write!(out, " {kind} {label}\r\n")
}
