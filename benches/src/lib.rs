//! What the micro-benches share: packets of the two sizes that matter, and the fan-out they stand
//! for.
//!
//! Run them with `cargo bench -p bifrons-benches`. Every figure is the cost of one packet on one
//! core with warm caches; `docs/performance.md` says how they add up.

pub mod room;

use bifrons_core::rtp::{
    AudioLevel, Extension, ExtensionIds, ExtensionValues, Header, HeaderWriter, MAX_PACKET, Mid,
    PayloadType, Seq, Ssrc,
};

/// Payload bytes of the packets measured: Opus at 64 kbit/s and a full video packet.
pub const PAYLOADS: [usize; 2] = [160, 1160];

/// Sinks of one source in the fan-out benches.
pub const SINKS: usize = 100;

/// Room for a packet with everything that sealing adds.
pub const ROOM: usize = MAX_PACKET + 64;

/// The extensions a VideoRoom sink has: departure time, transport-wide number, mid; with audio its
/// level and mid.
#[must_use]
pub fn sink_extensions() -> ExtensionIds {
    let mut ids = ExtensionIds::new();
    let pairs = [
        (Extension::AudioLevel, 1),
        (Extension::AbsSendTime, 2),
        (Extension::TransportCc, 3),
        (Extension::Mid, 4),
    ];
    for (extension, id) in pairs {
        ids.set(extension, id);
    }
    ids
}

/// The header of packet `seq` of a video stream.
#[must_use]
pub fn header(seq: u16) -> Header {
    Header {
        padding: false,
        marker: seq.is_multiple_of(9),
        payload_type: PayloadType::from_low_bits(96),
        seq: Seq(seq),
        timestamp: u32::from(seq / 9) * 3600,
        ssrc: Ssrc(0x0BAD_CAFE),
    }
}

/// Writes a plain packet with `payload` bytes behind the extensions of [`sink_extensions`] into
/// `out`; returns the lengths of its header and of the whole.
///
/// # Panics
/// When `out` is shorter than [`ROOM`] or `payload` does not fit a packet.
pub fn plain_packet(out: &mut [u8], seq: u16, payload: usize) -> (usize, usize) {
    packet_of(out, seq, payload, true)
}

/// As [`plain_packet`], of audio with its level or of video.
///
/// # Panics
/// As [`plain_packet`].
pub fn packet_of(out: &mut [u8], seq: u16, payload: usize, video: bool) -> (usize, usize) {
    let writer = HeaderWriter::new(&sink_extensions(), Mid::new(b"1"), video);
    let audio_level = Some(AudioLevel { level: 30, voice: true });
    let values = ExtensionValues { audio_level, ..ExtensionValues::default() };
    let written = writer.write(out, &header(seq), &values, &[]);
    let head = written.expect("room for a header").len;
    out[head..head + payload].fill(0x5A);
    (head, head + payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bifrons_core::rtp::Packet;

    #[test]
    fn the_packet_measured_is_an_rtp_packet() {
        let mut buffer = [0; ROOM];
        let (head, len) = plain_packet(&mut buffer, 9, 1160);
        let packet = Packet::parse(&buffer[..len]).expect("an RTP packet");
        assert_eq!((packet.payload().len(), packet.seq()), (1160, Seq(9)));
        assert_eq!(head, 28);
    }
}
