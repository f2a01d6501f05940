//! The sending key of a peer as the kernels want it: plain data that is copied into a group's lanes.

use super::ghash::{self, POWERS};
use super::lanes::Block;
use super::sha1;
use bifrons_core::srtp::{SrtpProfile, StreamKeys};
use std::arch::x86_64::*;

/// Round keys of AES-256, the most there are.
pub(super) const MOST_ROUND_KEYS: usize = 15;

/// What a profile seals with, as far as the kernels tell ciphers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cipher {
    /// AES-128-GCM.
    Gcm128,
    /// AES-256-GCM.
    Gcm256,
    /// AES-128 in counter mode with HMAC-SHA1.
    CmSha1,
}

/// See the module. 460 bytes.
#[derive(Clone)]
pub struct LaneKey {
    pub(super) cipher: Cipher,
    pub(super) tag_len: usize,
    /// The salt as the counter block has it, big-endian.
    pub(super) salt: u128,
    pub(super) round: [Block; MOST_ROUND_KEYS],
    /// Powers of H (GCM), as [`ghash::powers`] gives them.
    pub(super) h: [Block; POWERS],
    /// SHA-1 states after the inner and the outer padded key (HMAC).
    pub(super) inner: [u32; 5],
    pub(super) outer: [u32; 5],
}

impl std::fmt::Debug for LaneKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LaneKey({:?}, secret)", self.cipher)
    }
}

impl LaneKey {
    /// The key of one direction's RTP. `None` on a CPU without AES instructions, and where nothing
    /// is to be sealed.
    #[must_use]
    pub fn new(keys: &StreamKeys) -> Option<Self> {
        let plain = keys.profile() == SrtpProfile::Plain;
        if plain || !std::arch::is_x86_feature_detected!("aes") {
            return None;
        }
        Some(Self::from_parts(keys.profile(), keys.enc(), keys.auth(), keys.salt()))
    }

    /// The key from its parts, of the lengths that the profile asks for. The CPU has AES.
    pub(super) fn from_parts(profile: SrtpProfile, enc: &[u8], auth: &[u8], salt: &[u8]) -> Self {
        let cipher = match profile {
            SrtpProfile::AeadAes128Gcm => Cipher::Gcm128,
            SrtpProfile::AeadAes256Gcm => Cipher::Gcm256,
            SrtpProfile::Aes128CmSha1_80 | SrtpProfile::Aes128CmSha1_32 | SrtpProfile::Plain => {
                Cipher::CmSha1
            }
        };
        let mut padded = [0; 16];
        padded[..salt.len()].copy_from_slice(salt);
        // SAFETY: the caller has seen to it that the CPU has AES instructions.
        let (round, h) = unsafe {
            let round = expand(enc);
            (round, encrypt_zero(&round[..enc.len() / 4 + 7]))
        };
        let (inner, outer) = sha1::hmac_states(auth);
        LaneKey {
            cipher,
            tag_len: profile.rtp_tag_len(),
            salt: u128::from_be_bytes(padded),
            round,
            h: ghash::powers(&h),
            inner,
            outer,
        }
    }
}

impl LaneKey {
    /// No iv yet.
    pub(super) fn no_iv() -> __m128i {
        // SAFETY: every x86-64 CPU has SSE2.
        unsafe { _mm_setzero_si128() }
    }

    /// The nonce or counter block of a packet, its block counter zero: of AES-GCM by RFC 7714 §8.1,
    /// of AES-CM by RFC 3711 §4.1.1.
    #[inline]
    pub(super) fn iv(&self, ssrc: u32, index: u64) -> __m128i {
        let (ssrc, index) = (u128::from(ssrc), u128::from(index));
        let mixed = match self.cipher {
            Cipher::CmSha1 => ssrc << 64 | index << 16,
            Cipher::Gcm128 | Cipher::Gcm256 => ssrc << 80 | index << 32,
        };
        let iv = (self.salt ^ mixed).swap_bytes();
        // SAFETY: every x86-64 CPU has SSE2.
        unsafe { _mm_set_epi64x((iv >> 64) as i64, iv as i64) }
    }
}

/// AES key expansion (FIPS 197 §5.2) for a key of 16 or 32 bytes.
#[target_feature(enable = "aes,sse2")]
fn expand(key: &[u8]) -> [Block; MOST_ROUND_KEYS] {
    let words = key.len() / 4;
    let mut out = [0u32; 4 * MOST_ROUND_KEYS];
    for (to, from) in out.iter_mut().zip(key.as_chunks::<4>().0) {
        *to = u32::from_le_bytes(*from);
    }
    let mut rcon = 1u32;
    for at in words..4 * (words + 7) {
        let mut word = out[at - 1];
        if at % words == 0 {
            word = substitute(word).rotate_right(8) ^ rcon;
            rcon = (rcon << 1) ^ ((rcon >> 7) * 0x11B);
        } else if words == 8 && at % 8 == 4 {
            word = substitute(word);
        }
        out[at] = out[at - words] ^ word;
    }
    let mut round = [[0; 16]; MOST_ROUND_KEYS];
    for (block, words) in round.iter_mut().zip(out.as_chunks::<4>().0) {
        for (to, word) in block.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *to = word.to_le_bytes();
        }
    }
    round
}

/// SubWord: the last round with a zero key substitutes, and moves nothing where all columns are
/// the same.
#[target_feature(enable = "aes,sse2")]
fn substitute(word: u32) -> u32 {
    let all = _mm_set1_epi32(word.cast_signed());
    _mm_cvtsi128_si32(_mm_aesenclast_si128(all, _mm_setzero_si128())).cast_unsigned()
}

/// The zero block under these round keys: GHASH's H.
#[target_feature(enable = "aes,sse2")]
fn encrypt_zero(round: &[Block]) -> Block {
    let key = |block: &Block| {
        // SAFETY: a block has 16 bytes.
        unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
    };
    let [first, middle @ .., last] = round else { return [0; 16] };
    let state = middle.iter().fold(key(first), |state, block| _mm_aesenc_si128(state, key(block)));
    let mut out = [0; 16];
    // SAFETY: a block has 16 bytes.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), _mm_aesenclast_si128(state, key(last))) };
    out
}
