//! What is fuzzed: reading an Ogg file, with its checksums believed so that mutations get further.

use super::{MAX_OPUS, OggOpus};

/// Packets read of one input.
const PACKETS: usize = 4096;

/// Reads a file to its end or its fault: nothing panics, and each packet keeps its bound.
pub fn fuzz_ogg(data: &[u8]) {
    for check in [true, false] {
        let mut file = data;
        let Ok(mut reader) = OggOpus::begin(&mut file, check) else { continue };
        for _ in 0..PACKETS {
            let Ok(Some(packet)) = reader.next(&mut file) else { break };
            assert!((1..=MAX_OPUS).contains(&packet.bytes.len()));
            assert!((2_500..=120_000).contains(&packet.toc.duration_us()));
        }
    }
}
