//! Watches the wire for the one rule that must never break: one (key, SSRC, index) is sealed
//! once, or again byte for byte (design §3).

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// Every packet that shards sent, as (client, SSRC, index) → hash of its bytes.
#[derive(Default)]
pub(crate) struct SealWatch {
    rtp: HashMap<(usize, u32, u64), u64>,
    newest: HashMap<(usize, u32), u64>,
    rtcp: HashMap<(usize, u32), u64>,
    /// RTP packets that left again byte for byte.
    pub(crate) repeated: u64,
}

impl SealWatch {
    /// Looks at a datagram that a shard sends to `client`.
    ///
    /// # Panics
    /// When it breaks the rule.
    pub(crate) fn sent(&mut self, client: usize, bytes: &[u8]) {
        if !matches!(bytes.first(), Some(128..=191)) {
            return;
        }
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(bytes);
        if matches!(bytes[1], 192..=223) {
            // AEAD: the index, with the E bit, is the last word (RFC 7714 §9.2).
            let index = u32::from_be_bytes(bytes[bytes.len() - 4..].try_into().expect("a word"));
            let former = self.rtcp.insert((client, index), hash);
            assert!(former.is_none(), "SRTCP index {index:#x} used twice towards client {client}");
            return;
        }
        let seq = u16::from_be_bytes([bytes[2], bytes[3]]);
        let ssrc = u32::from_be_bytes(bytes[8..12].try_into().expect("a word"));
        let newest = self.newest.entry((client, ssrc)).or_insert(u64::from(seq));
        let step = seq.wrapping_sub(*newest as u16) as i16;
        let index = newest.wrapping_add_signed(i64::from(step));
        *newest = index.max(*newest);
        match self.rtp.insert((client, ssrc, index), hash) {
            None => {}
            Some(former) if former == hash => self.repeated += 1,
            Some(_) => panic!("client {client}, SSRC {ssrc:#x}: index {index} sealed twice"),
        }
    }
}
