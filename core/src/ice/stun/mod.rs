//! STUN Binding as ICE uses it (RFC 8489, RFC 8445 §7): a reader and a writer that never allocate.
//!
//! The reader borrows the datagram and looks at each attribute once; the writer fills the caller's
//! buffer. HMAC-SHA1 starts from a key state made once per credentials ([`IntegrityKey`]), so a
//! check costs the hashing of its own bytes: two or three SHA-1 blocks in, two out.

mod read;
#[cfg(test)]
mod tests;
mod write;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::ufrag::{UFRAG_LEN, Ufrag};
use crate::media::PeerId;

pub use read::{Class, Message, Role, StunError};
pub use write::{BindingRequest, ErrorCode, write_error, write_request, write_success};

/// Bytes of the STUN header.
pub const HEADER_LEN: usize = 20;

/// Largest message the writers produce: header, a USERNAME of the longest ufrags, the ICE
/// attributes, integrity and fingerprint. A buffer of this size never comes back too small.
pub const MAX_MESSAGE: usize = 384;

/// The fixed second word of every message (RFC 8489 §5).
pub(super) const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

const FINGERPRINT_XOR: u32 = 0x5354_554e;
const INTEGRITY_LEN: usize = 20;

/// Attribute types (RFC 8489 §14, RFC 8445 §16.1).
mod attribute {
    pub(super) const USERNAME: u16 = 0x0006;
    pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(super) const ERROR_CODE: u16 = 0x0009;
    pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(super) const PRIORITY: u16 = 0x0024;
    pub(super) const USE_CANDIDATE: u16 = 0x0025;
    pub(super) const FINGERPRINT: u16 = 0x8028;
    pub(super) const ICE_CONTROLLED: u16 = 0x8029;
    pub(super) const ICE_CONTROLLING: u16 = 0x802a;
}

/// The 96 bits that pair a response with its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

impl TransactionId {
    /// An id for a request of ours: the first half says which agent sent it, the second is random.
    ///
    /// Responses carry no USERNAME, so this is what finds their agent before its address is known
    /// (a lite peer never sends a check of its own). RFC 8489 §5 wants 96 random bits against
    /// off-path forgers; ICE responses carry MESSAGE-INTEGRITY, which is stronger.
    #[must_use]
    pub fn tagged(tag: PeerId, random: [u8; 6]) -> Self {
        let [_, s2, s1, s0] = tag.slot.to_be_bytes();
        let [g1, g0] = tag.generation.to_be_bytes();
        let [a, b, c, d, e, f] = random;
        Self([tag.shard, s2, s1, s0, g1, g0, a, b, c, d, e, f])
    }

    /// The sender of a request of ours, and the random half.
    #[must_use]
    pub fn split(self) -> (PeerId, [u8; 6]) {
        let [shard, s2, s1, s0, g1, g0, random @ ..] = self.0;
        let slot = u32::from_be_bytes([0, s2, s1, s0]);
        (PeerId { shard, slot, generation: u16::from_be_bytes([g1, g0]) }, random)
    }
}

/// HMAC-SHA1 keyed with an ICE password, ready to be cloned per message (RFC 8489 §14.5).
#[derive(Clone)]
pub struct IntegrityKey(Hmac<Sha1>);

impl IntegrityKey {
    /// Keys with a short-term credential's password. The one step that costs a key schedule.
    #[must_use]
    pub fn new(pwd: &str) -> Self {
        // HMAC takes keys of any length; the fallback is unreachable and keyed with nothing, so
        // that even then no packet would verify.
        let mac = Hmac::new_from_slice(pwd.as_bytes());
        Self(mac.unwrap_or_else(|_| Hmac::new(&Default::default())))
    }

    /// Hashes a message up to its integrity attribute, with the length field that includes it.
    fn over(&self, header: [u8; 4], rest: &[u8]) -> Hmac<Sha1> {
        let mut mac = self.0.clone();
        mac.update(&header);
        mac.update(rest);
        mac
    }
}

impl std::fmt::Debug for IntegrityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IntegrityKey(…)")
    }
}

/// Whether a datagram is STUN by its first bits and its cookie (RFC 7983 §7, RFC 8489 §5).
#[must_use]
pub fn is_stun(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_LEN && bytes[0] < 4 && bytes.get(4..8) == Some(&MAGIC_COOKIE)
}

/// The peer a datagram claims to be for: by USERNAME if it is a request, by transaction id if it
/// answers one of ours. Nothing is verified; the agent found there does that.
#[must_use]
pub fn owner(bytes: &[u8]) -> Option<PeerId> {
    let message = Message::parse(bytes).ok()?;
    match message.class {
        Class::Request => Ufrag::decode(message.username?),
        Class::Success | Class::Error => Some(message.transaction.split().0),
        Class::Indication => None,
    }
}

/// Splits a USERNAME `ours:theirs` at its first colon (RFC 8445 §7.2.2).
#[must_use]
pub fn split_username(username: &[u8]) -> Option<(&[u8], &[u8])> {
    // Ours has a fixed length; the search serves foreign agents in tests.
    let at = match username.get(UFRAG_LEN) {
        Some(b':') => UFRAG_LEN,
        _ => username.iter().position(|b| *b == b':')?,
    };
    Some((username.get(..at)?, username.get(at + 1..)?))
}

/// The FINGERPRINT value of a message up to that attribute (RFC 8489 §14.7).
fn fingerprint(covered: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in covered {
        crc = crc >> 8 ^ CRC32[usize::from(crc as u8 ^ byte)];
    }
    !crc ^ FINGERPRINT_XOR
}

/// CRC-32/ISO-HDLC, one byte at a time.
static CRC32: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// Fuzz body: no datagram may make the reader panic or read outside itself, and a message that
/// parses keeps its promises.
pub fn fuzz_stun(bytes: &[u8]) {
    let _ = owner(bytes);
    let Ok(message) = Message::parse(bytes) else { return };
    assert!(is_stun(bytes), "parsed what the demultiplexer would not have passed on");
    let key = IntegrityKey::new("fuzz");
    let mut out = [0; MAX_MESSAGE];
    let mapped = message.mapped.unwrap_or_else(|| ([192, 0, 2, 1], 9000).into());
    let n = write_success(&mut out, message.transaction, mapped, &key).expect("fits");
    let reply = Message::parse(&out[..n]).expect("our own message parses");
    assert_eq!((reply.mapped, reply.transaction), (Some(mapped), message.transaction));
    assert!(reply.verify(&key));
    assert!(!message.verify(&key) || message.integrity_offset().is_some());
}
