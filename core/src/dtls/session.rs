//! What is left of DTLS 1.2 once the handshake is done: protecting records, nothing more.
//!
//! A TLS library keeps some 40 KiB a connection for the handshake it will never repeat. A
//! [`Session`] takes over from it with keys, numbers and a replay window: about 1.3 KiB of plain
//! data that may move to another thread, and the speed of `ring` for data channels. It knows the
//! AEAD suites only; a peer that negotiated CBC stays with the library.

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;

use super::Role;
use super::record::{HEADER_LEN, Record};

/// Content type of alerts (RFC 5246 clause 6.2.1).
pub const ALERT: u8 = 21;
/// Content type of handshake messages.
pub const HANDSHAKE: u8 = 22;
/// Content type of application data.
pub const APPLICATION_DATA: u8 = 23;

/// The epoch of the keys from the one and only handshake.
const EPOCH: u16 = 1;
const VERSION_1_2: [u8; 2] = [0xfe, 0xfd];
const TAG_LEN: usize = 16;
/// The nonce's part that GCM suites send along (RFC 5288 clause 3).
const EXPLICIT_LEN: usize = 8;
/// 2^48 records are never sent; refusing the last one keeps the nonce from wrapping.
const MAX_SEQUENCE: u64 = (1 << 48) - 1;

/// The AEAD of a cipher suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// `AES_128_GCM_SHA256` (RFC 5288, RFC 5289).
    Aes128Gcm,
    /// `AES_256_GCM_SHA384`.
    Aes256Gcm,
    /// `CHACHA20_POLY1305_SHA256` (RFC 7905).
    ChaCha20Poly1305,
}

impl Suite {
    /// The AEAD of the suite with this wire value, whatever its key exchange; `None` for others.
    pub const fn from_id(id: u16) -> Option<Suite> {
        match id {
            // RSA, DHE_RSA, ECDHE_ECDSA, ECDHE_RSA; in the last row ECDHE_RSA, ECDHE_ECDSA, DHE_RSA.
            0x009c | 0x009e | 0xc02b | 0xc02f => Some(Suite::Aes128Gcm),
            0x009d | 0x009f | 0xc02c | 0xc030 => Some(Suite::Aes256Gcm),
            0xcca8..=0xccaa => Some(Suite::ChaCha20Poly1305),
            _ => None,
        }
    }

    fn algorithm(self) -> &'static aead::Algorithm {
        match self {
            Suite::Aes128Gcm => &aead::AES_128_GCM,
            Suite::Aes256Gcm => &aead::AES_256_GCM,
            Suite::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }

    fn prf(self) -> hmac::Algorithm {
        match self {
            Suite::Aes256Gcm => hmac::HMAC_SHA384,
            _ => hmac::HMAC_SHA256,
        }
    }

    /// Bytes of nonce that come from the key block.
    const fn fixed_len(self) -> usize {
        match self {
            Suite::ChaCha20Poly1305 => 12,
            _ => 4,
        }
    }

    const fn explicit_len(self) -> usize {
        match self {
            Suite::ChaCha20Poly1305 => 0,
            _ => EXPLICIT_LEN,
        }
    }
}

/// What the handshake leaves behind for its [`Session`].
#[derive(Clone, Copy)]
pub struct Secrets {
    /// The negotiated AEAD.
    pub suite: Suite,
    /// Our role in the handshake.
    pub role: Role,
    /// The master secret (RFC 5246 clause 8.1).
    pub master: [u8; 48],
    /// `ClientHello.random`.
    pub client_random: [u8; 32],
    /// `ServerHello.random`.
    pub server_random: [u8; 32],
    /// First record number of epoch 1 that the handshake has not used.
    pub next_sequence: u64,
    /// First explicit nonce that the handshake has not used; libraries begin at random and count
    /// up, and a nonce used twice gives a GCM key away. Without effect for ChaCha20-Poly1305.
    pub next_explicit: u64,
}

/// One direction's key and fixed nonce part.
struct Half {
    key: LessSafeKey,
    fixed: [u8; 12],
}

impl Half {
    fn nonce(&self, suite: Suite, number: [u8; 8], explicit: [u8; 8]) -> Nonce {
        let mut nonce = self.fixed;
        let tail = nonce.last_chunk_mut::<8>();
        match (suite, tail) {
            (Suite::ChaCha20Poly1305, Some(tail)) => {
                tail.iter_mut().zip(number).for_each(|(a, b)| *a ^= b);
            }
            (_, Some(tail)) => *tail = explicit,
            (_, None) => {}
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Record protection of an established connection, both directions. Not a state machine: what a
/// record means is the caller's affair.
pub struct Session {
    suite: Suite,
    seal: Half,
    open: Half,
    next_sequence: u64,
    next_explicit: u64,
    window: Window,
}

impl Session {
    /// Derives the keys. `None` only if the AEAD refuses a key, which no input causes.
    pub fn new(secrets: &Secrets) -> Option<Session> {
        let suite = secrets.suite;
        let (key_len, fixed_len) = (suite.algorithm().key_len(), suite.fixed_len());
        let mut block = [0; 2 * (32 + 12)];
        let block = block.get_mut(..2 * (key_len + fixed_len))?;
        expand(secrets, block);
        let half = |sender: Role| {
            let turn = usize::from(sender == Role::Server);
            let key = block.get(turn * key_len..)?.get(..key_len)?;
            let fixed = block.get(2 * key_len + turn * fixed_len..)?.get(..fixed_len)?;
            let mut half = Half {
                key: LessSafeKey::new(UnboundKey::new(suite.algorithm(), key).ok()?),
                fixed: [0; 12],
            };
            half.fixed.get_mut(..fixed_len)?.copy_from_slice(fixed);
            Some(half)
        };
        Some(Session {
            suite,
            seal: half(secrets.role)?,
            open: half(secrets.role.peer())?,
            next_sequence: secrets.next_sequence,
            next_explicit: secrets.next_explicit,
            window: Window::default(),
        })
    }

    /// Bytes a record adds to its content.
    pub fn overhead(&self) -> usize {
        HEADER_LEN + self.suite.explicit_len() + TAG_LEN
    }

    /// Writes a record with `content` (a content type) and `data` to `out`; its length. `None`
    /// when it does not fit, or the connection has used up its record numbers.
    pub fn seal(&mut self, content: u8, data: &[u8], out: &mut [u8]) -> Option<usize> {
        let len = self.overhead() + data.len();
        let explicit_len = self.suite.explicit_len();
        let wire_len = u16::try_from(len - HEADER_LEN).ok()?;
        if self.next_sequence > MAX_SEQUENCE {
            return None;
        }
        let out = out.get_mut(..len)?;
        let number = numbered(self.next_sequence);
        let explicit = self.next_explicit.to_be_bytes();

        let (header, body) = out.split_at_mut_checked(HEADER_LEN)?;
        header.copy_from_slice(&header_of(content, number, wire_len));
        let (sent_nonce, body) = body.split_at_mut_checked(explicit_len)?;
        sent_nonce.copy_from_slice(explicit.get(..explicit_len)?);
        let (body, tag_place) = body.split_at_mut_checked(data.len())?;
        body.copy_from_slice(data);
        let nonce = self.seal.nonce(self.suite, number, explicit);
        let aad = Aad::from(additional(content, number, data.len()));
        let tag = self.seal.key.seal_in_place_separate_tag(nonce, aad, body).ok()?;
        tag_place.copy_from_slice(tag.as_ref());
        self.next_sequence += 1;
        self.next_explicit = self.next_explicit.wrapping_add(1);
        Some(len)
    }

    /// Opens a record into `out` (at least as long as its body), once: replays, forgeries and
    /// other epochs are `None` (RFC 6347 clauses 4.1.2.6 and 4.1.2.7). The length of its content.
    pub fn open(&mut self, record: &Record<'_>, out: &mut [u8]) -> Option<usize> {
        let explicit_len = self.suite.explicit_len();
        let len = record.body.len().checked_sub(explicit_len + TAG_LEN)?;
        let ours = record.epoch == EPOCH && record.version == VERSION_1_2;
        if !ours || !self.window.is_new(record.sequence) {
            return None;
        }
        let (sent, sealed) = record.body.split_at_checked(explicit_len)?;
        let mut explicit = [0; EXPLICIT_LEN];
        explicit.get_mut(..explicit_len)?.copy_from_slice(sent);
        let place = out.get_mut(..sealed.len())?;
        place.copy_from_slice(sealed);
        let number = numbered(record.sequence);
        let nonce = self.open.nonce(self.suite, number, explicit);
        let aad = Aad::from(additional(record.content, number, len));
        self.open.key.open_in_place(nonce, aad, place).ok()?;
        self.window.mark(record.sequence);
        Some(len)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// Epoch and sequence number, as nonces and additional data have them.
fn numbered(sequence: u64) -> [u8; 8] {
    ((u64::from(EPOCH) << 48) | (sequence & MAX_SEQUENCE)).to_be_bytes()
}

fn header_of(content: u8, number: [u8; 8], len: u16) -> [u8; HEADER_LEN] {
    let [e0, e1, s0, s1, s2, s3, s4, s5] = number;
    let ([v0, v1], [l0, l1]) = (VERSION_1_2, len.to_be_bytes());
    [content, v0, v1, e0, e1, s0, s1, s2, s3, s4, s5, l0, l1]
}

/// RFC 5246 clause 6.2.3.3 with DTLS's 64-bit number.
fn additional(content: u8, number: [u8; 8], len: usize) -> [u8; 13] {
    let [n0, n1, n2, n3, n4, n5, n6, n7] = number;
    let ([v0, v1], [l0, l1]) = (VERSION_1_2, (len as u16).to_be_bytes());
    [n0, n1, n2, n3, n4, n5, n6, n7, content, v0, v1, l0, l1]
}

/// The key block: P_hash over the master secret (RFC 5246 clauses 5 and 6.3).
fn expand(secrets: &Secrets, out: &mut [u8]) {
    let key = hmac::Key::new(secrets.suite.prf(), &secrets.master);
    let mut seed = Vec::with_capacity(13 + 64);
    seed.extend_from_slice(b"key expansion");
    seed.extend_from_slice(&secrets.server_random);
    seed.extend_from_slice(&secrets.client_random);
    let mut a = hmac::sign(&key, &seed);
    for part in out.chunks_mut(a.as_ref().len()) {
        let mut context = hmac::Context::with_key(&key);
        context.update(a.as_ref());
        context.update(&seed);
        let piece = context.sign();
        part.iter_mut().zip(piece.as_ref()).for_each(|(to, from)| *to = *from);
        a = hmac::sign(&key, a.as_ref());
    }
}

/// The last 64 record numbers (RFC 6347 clause 4.1.2.6).
#[derive(Debug, Default)]
struct Window {
    /// One past the highest number seen.
    top: u64,
    /// Bit n: `top - 1 - n` was seen.
    seen: u64,
}

impl Window {
    fn is_new(&self, sequence: u64) -> bool {
        match self.top.checked_sub(sequence + 1) {
            None => true,
            Some(age) => age < 64 && self.seen & (1 << age) == 0,
        }
    }

    fn mark(&mut self, sequence: u64) {
        match (sequence + 1).checked_sub(self.top) {
            Some(ahead) if ahead > 0 => {
                self.seen = if ahead < 64 { self.seen << ahead } else { 0 } | 1;
                self.top = sequence + 1;
            }
            _ => self.seen |= 1u64.checked_shl((self.top - 1 - sequence) as u32).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Records;
    use super::*;
    use proptest::prelude::*;

    const SUITES: [Suite; 3] = [Suite::Aes128Gcm, Suite::Aes256Gcm, Suite::ChaCha20Poly1305];

    fn pair(suite: Suite) -> (Session, Session) {
        let secrets = |role| Secrets {
            suite,
            role,
            master: [7; 48],
            client_random: [1; 32],
            server_random: [2; 32],
            next_sequence: 5,
            next_explicit: u64::MAX - 1,
        };
        let make = |role| Session::new(&secrets(role)).unwrap();
        (make(Role::Client), make(Role::Server))
    }

    fn sealed(session: &mut Session, data: &[u8]) -> Vec<u8> {
        let mut out = [0; 256];
        let len = session.seal(APPLICATION_DATA, data, &mut out).unwrap();
        out[..len].to_vec()
    }

    fn opened(session: &mut Session, bytes: &[u8]) -> Option<Vec<u8>> {
        let record = Records::new(bytes).next()?;
        let mut out = [0; 256];
        let len = session.open(&record, &mut out)?;
        Some(out[..len].to_vec())
    }

    #[test]
    fn records_open_once_in_any_order_within_the_window() {
        for suite in SUITES {
            let (mut client, mut server) = pair(suite);
            let records: Vec<_> = (0..100u8).map(|n| sealed(&mut client, &[n; 9])).collect();
            for n in [0usize, 30, 2, 99, 36, 98] {
                let seen = opened(&mut server, &records[n]);
                assert_eq!(seen, Some(vec![n as u8; 9]), "{suite:?} {n}");
                assert_eq!(opened(&mut server, &records[n]), None, "replay of {n}");
            }
            assert_eq!(opened(&mut server, &records[35]), None, "older than the window");
            let back = sealed(&mut server, b"back");
            assert_eq!(opened(&mut client, &back), Some(b"back".to_vec()));
            assert_eq!(opened(&mut server, &back), None, "directions have their own keys");
        }
    }

    #[test]
    fn no_nonce_is_sent_twice_even_across_the_wrap() {
        let (mut client, _) = pair(Suite::Aes128Gcm);
        let mut nonces: Vec<_> =
            (0..5).map(|_| sealed(&mut client, b"x")[13..21].to_vec()).collect();
        assert_eq!(nonces[1], [0xff; 8]);
        assert_eq!(nonces[2], [0; 8]);
        nonces.sort();
        nonces.dedup();
        assert_eq!(nonces.len(), 5);
    }

    #[test]
    fn used_up_record_numbers_and_small_buffers_are_refused() {
        let (mut client, _) = pair(Suite::Aes256Gcm);
        let mut out = [0; 256];
        assert_eq!(client.seal(ALERT, &[1, 0], &mut out[..38]), None);
        assert_eq!(client.seal(ALERT, &[1, 0], &mut out), Some(39));
        client.next_sequence = MAX_SEQUENCE + 1;
        assert_eq!(client.seal(ALERT, &[1, 0], &mut out), None);
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_noticed(
            data in prop::collection::vec(any::<u8>(), 0..100), at: prop::sample::Index, flip in 1u8..,
        ) {
            for suite in SUITES {
                let (mut client, mut server) = pair(suite);
                let good = sealed(&mut client, &data);
                let mut bad = good.clone();
                let at = at.index(bad.len());
                bad[at] ^= flip;
                prop_assert_eq!(opened(&mut server, &bad), None);
                prop_assert_eq!(opened(&mut server, &good), Some(data.clone()));
            }
        }

        #[test]
        fn window_agrees_with_a_set(numbers in prop::collection::vec(0u64..300, 0..400)) {
            let (mut window, mut seen, mut top) =
                (Window::default(), std::collections::HashSet::new(), 0);
            for n in numbers {
                let expected = !seen.contains(&n) && n + 64 > top - u64::from(top > 0);
                prop_assert_eq!(window.is_new(n), expected, "{} top {}", n, top);
                if expected {
                    window.mark(n);
                    seen.insert(n);
                    top = top.max(n + 1);
                }
            }
        }
    }
}
