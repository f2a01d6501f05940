//! The username fragment we hand out, which says where its peer lives.
//!
//! A STUN check names the agent it wants by ufrag (RFC 8445 §7.2.2), so a ufrag that encodes shard,
//! slot and generation makes the lookup arithmetic instead of a map: no table, no allocation, and
//! any shard can tell a stray packet's owner, which is what a one-port mode needs. The other 24
//! bits are random, the least RFC 8445 §5.3 allows.
//!
//! Layout, 72 bits in 12 ICE characters, most significant first:
//! `shard:8 | slot:24 | generation:16 | random:24`.

use std::fmt;

use super::credentials::ICE_CHARS;
use crate::media::PeerId;

/// Length of every ufrag we generate, in bytes (= ICE characters).
pub const UFRAG_LEN: usize = 12;

/// A ufrag of ours, in its wire form.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ufrag([u8; UFRAG_LEN]);

impl Ufrag {
    /// Encodes `peer` with 24 random bits. A slot of [`PeerId::MAX_SLOTS`] or more keeps its low 24
    /// bits, which names another slot: whoever allots slots stays below.
    #[must_use]
    pub fn encode(peer: PeerId, random: [u8; 3]) -> Self {
        debug_assert!(peer.slot < PeerId::MAX_SLOTS, "slot {} does not fit 24 bits", peer.slot);
        let [_, s2, s1, s0] = peer.slot.to_be_bytes();
        let [g1, g0] = peer.generation.to_be_bytes();
        let [r2, r1, r0] = random;
        let bytes = [peer.shard, s2, s1, s0, g1, g0, r2, r1, r0];
        let mut text = [0; UFRAG_LEN];
        for (three, four) in bytes.chunks_exact(3).zip(text.chunks_exact_mut(4)) {
            four.copy_from_slice(&encode_triple([three[0], three[1], three[2]]));
        }
        Self(text)
    }

    /// Reads the peer's name from a STUN USERNAME (`ours:theirs`) or from a bare ufrag.
    ///
    /// `None` when the part before the first `:` is not 12 ICE characters, thus not ours. The
    /// random bits are not checked: the agent in the slot compares the whole ufrag.
    #[must_use]
    pub fn decode(username: &[u8]) -> Option<PeerId> {
        let text = username.first_chunk::<UFRAG_LEN>()?;
        if username.get(UFRAG_LEN).is_some_and(|next| *next != b':') {
            return None;
        }
        let mut bits: u128 = 0;
        for c in text {
            bits = bits << 6 | u128::from(ice_char_value(*c)?);
        }
        Some(PeerId::from_bits((bits >> 24) as u64))
    }

    /// The ufrag as text, for SDP.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only `encode` builds one, and it writes nothing but ICE characters.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Ufrag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Ufrag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ufrag({})", self.as_str())
    }
}

/// Three bytes as four ICE characters (base64 without padding; its alphabet is `ice-char`).
pub(super) fn encode_triple(bytes: [u8; 3]) -> [u8; 4] {
    let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
    [18, 12, 6, 0].map(|shift| ICE_CHARS[(bits >> shift & 63) as usize])
}

fn ice_char_value(c: u8) -> Option<u8> {
    match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_peer_survives_the_username(
            shard: u8, slot in 0..PeerId::MAX_SLOTS, generation: u16, random: [u8; 3],
        ) {
            let tag = PeerId { shard, slot, generation };
            let ufrag = Ufrag::encode(tag, random);
            prop_assert_eq!(Ufrag::decode(ufrag.as_str().as_bytes()), Some(tag));
            let username = format!("{ufrag}:theirs");
            prop_assert_eq!(Ufrag::decode(username.as_bytes()), Some(tag));
        }

        #[test]
        fn decode_takes_any_bytes(bytes: Vec<u8>) {
            let tag = Ufrag::decode(&bytes);
            prop_assert!(tag.is_none_or(|t| t.slot < PeerId::MAX_SLOTS));
        }
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        for username in ["", "short:x", "AAAAAAAAAAA:x", "AAAAAAAAAAAAA:x", "AAAAAAAA-AAA:x"] {
            assert_eq!(Ufrag::decode(username.as_bytes()), None, "{username}");
        }
    }

    #[test]
    fn the_random_bits_show() {
        let tag = PeerId { shard: 1, slot: 2, generation: 3 };
        assert_ne!(Ufrag::encode(tag, [0, 0, 1]), Ufrag::encode(tag, [0, 0, 2]));
        assert_eq!(Ufrag::encode(tag, [0; 3]).as_str(), "AQAAAgADAAAA");
    }
}
