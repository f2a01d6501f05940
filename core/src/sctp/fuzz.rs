//! A peer that says anything, against our side of an association.

use super::{Config, DataTransport, Event, MAX_CHANNELS, SEND_BUFFER};
use crate::dtls::Role;
use crate::media::{DataKind, DataLine};
use std::time::{Duration, Instant};

const LINE: DataLine = DataLine { remote_port: 5000, max_send: 65_536, max_receive: 65_536 };

/// Fuzz entry. The bytes are a script of steps, each a code, a length and so many bytes: a packet
/// as it stands, chunks in a packet whose tag and checksum are right, a message of the peer's on a
/// channel that may be new, or time. Whatever they are, nothing panics and the bounds hold.
pub fn fuzz_sctp(script: &[u8]) {
    let mut now = Instant::now();
    let mut ours = DataTransport::new(now, Config { role: Role::Server, line: LINE });
    let mut peer = DataTransport::new(now, Config { role: Role::Client, line: LINE });
    let mut tag = [0; 4];
    let mut rest = script;
    for _ in 0..6 {
        exchange(&mut ours, &mut peer, &mut tag, &mut now);
    }
    while let [code, len, tail @ ..] = rest {
        let (body, tail) = tail.split_at_checked(usize::from(*len)).unwrap_or((tail, &[]));
        rest = tail;
        match code % 4 {
            0 => ours.handle_packet(now, body),
            1 => ours.handle_packet(now, &packet(tag, body)),
            2 => {
                let kind = if code & 4 == 0 { DataKind::Text } else { DataKind::Binary };
                let label = if code & 8 == 0 { "a" } else { "b" };
                // Refused where the fuzzed side has ended the association.
                let _ = peer.send(label, "", kind, body);
            }
            _ => now += Duration::from_millis(u64::from(*len) * 10),
        }
        exchange(&mut ours, &mut peer, &mut tag, &mut now);
        assert!(ours.channels().count() <= MAX_CHANNELS);
        assert!(ours.buffered() <= SEND_BUFFER + LINE.max_send as usize);
    }
}

/// Carries what both have to send, once; our side answers each message with the same.
fn exchange(
    ours: &mut DataTransport,
    peer: &mut DataTransport,
    tag: &mut [u8; 4],
    now: &mut Instant,
) {
    *now += Duration::from_millis(1);
    ours.handle_timeout(*now);
    peer.handle_timeout(*now);
    for _ in 0..64 {
        let Some(packet) = peer.poll_packet(*now) else { break };
        if let Some(seen) = packet.get(4..8).and_then(|tag| tag.first_chunk()) {
            *tag = *seen;
        }
        ours.handle_packet(*now, &packet);
    }
    while let Some(event) = ours.poll_event(true) {
        if let Event::Message(message) = event {
            assert!(message.bytes.len() <= LINE.max_receive as usize);
            let _ = ours.send(&message.label, &message.protocol, message.kind, &message.bytes);
        }
    }
    for _ in 0..64 {
        let Some(packet) = ours.poll_packet(*now) else { break };
        peer.handle_packet(*now, &packet);
    }
    while peer.poll_event(true).is_some() {}
}

/// Chunks in a packet that the association takes for its peer's (RFC 9260 §3.1).
fn packet(tag: [u8; 4], chunks: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x13, 0x88, 0x13, 0x88];
    packet.extend_from_slice(&tag);
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(chunks);
    let sum = crc32c(&packet).to_le_bytes();
    packet.iter_mut().skip(8).zip(sum).for_each(|(place, byte)| *place = byte);
    packet
}

/// RFC 9260 appendix A, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 0 { sum >> 1 } else { (sum >> 1) ^ 0x82f6_3b78 }
        })
    })
}
