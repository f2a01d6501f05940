//! A sieve in front of the TLS library: which records of a datagram are worth showing to it.
//!
//! RFC 6347 clause 4.1.2.7 wants invalid records dropped silently. A TLS library does that for
//! what it cannot decrypt, but takes a malformed *plaintext* handshake message for a fatal error,
//! which would let one stray datagram end a handshake. So everything that cannot be part of the
//! handshake we play, judged by headers alone, is dropped here. One pass, no allocation beyond the
//! caller's buffer, at most one datagram long.

use super::Role;

/// Bytes of a record header: type 1, version 2, epoch 2, sequence 6, length 2.
pub const HEADER_LEN: usize = 13;

/// Bytes of a handshake message header: type 1, length 3, sequence 2, offset 3, length 3.
const MESSAGE_HEADER_LEN: usize = 12;

/// Longest handshake message let through; a chain of certificates fits well.
const MAX_MESSAGE: usize = 16 * 1024;

/// Highest message sequence let through; a handshake has fewer than 16 a side.
const MAX_MESSAGE_SEQ: u16 = 63;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// A record as it lies in a datagram, header checked, body not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Content type, 20 to 23.
    pub content: u8,
    /// As on the wire: 1.0 (0xfeff) or 1.2 (0xfefd).
    pub version: [u8; 2],
    /// 0 before the keys, 1 after; more only by renegotiation, which we refuse.
    pub epoch: u16,
    /// 48-bit sequence number within the epoch.
    pub sequence: u64,
    /// What follows the header.
    pub body: &'a [u8],
    /// Header and body.
    pub bytes: &'a [u8],
}

/// Walks the records of a datagram; ends at the first whose header makes no sense, for then
/// nothing tells where the next begins.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// The records of `datagram`.
    pub fn new(datagram: &'a [u8]) -> Records<'a> {
        Records { rest: datagram }
    }

    /// What no record was found in.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (header, _) = self.rest.split_first_chunk::<HEADER_LEN>()?;
        let [content, 0xfe, minor, e0, e1, s0, s1, s2, s3, s4, s5, l0, l1] = *header else {
            return None;
        };
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let known = (CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&content);
        // 1.0 (0xff) is what a ClientHello's record may still be labelled with, 1.2 is 0xfd.
        if !known || !matches!(minor, 0xff | 0xfd) || len == 0 {
            return None;
        }
        let (bytes, rest) = self.rest.split_at_checked(HEADER_LEN + len)?;
        self.rest = rest;
        Some(Record {
            content,
            version: [0xfe, minor],
            epoch: u16::from_be_bytes([e0, e1]),
            sequence: u64::from_be_bytes([0, 0, s0, s1, s2, s3, s4, s5]),
            body: bytes.get(HEADER_LEN..).unwrap_or_default(),
            bytes,
        })
    }
}

/// Copies into `kept` (cleared first) the records of `datagram` that an engine of ours in `role`
/// may see. After the handshake (`connected`) nothing in plaintext is accepted. Returns how many
/// were dropped, an unreadable tail counting as one.
pub fn sift(role: Role, connected: bool, datagram: &[u8], kept: &mut Vec<u8>) -> u32 {
    kept.clear();
    let mut dropped = 0;
    let mut records = Records::new(datagram);
    for record in records.by_ref() {
        let plausible = match record.epoch {
            0 => !connected && plain_plausible(role, &record),
            1 => true,
            _ => false,
        };
        if plausible {
            kept.extend_from_slice(record.bytes);
        } else {
            dropped += 1;
        }
    }
    dropped + u32::from(!records.rest().is_empty())
}

fn plain_plausible(role: Role, record: &Record<'_>) -> bool {
    match record.content {
        CHANGE_CIPHER_SPEC => record.body == [1],
        // Fatal alerts, and the warning that says good-bye; other warnings mean nothing to us and
        // a TLS library counts them against the peer.
        ALERT => matches!(record.body, [2, _] | [1, 0]),
        HANDSHAKE => messages_plausible(role, record.body),
        _ => false,
    }
}

fn messages_plausible(role: Role, mut body: &[u8]) -> bool {
    while !body.is_empty() {
        let Some((header, rest)) = body.split_first_chunk::<MESSAGE_HEADER_LEN>() else {
            return false;
        };
        let [kind, l0, l1, l2, q0, q1, o0, o1, o2, f0, f1, f2] = *header;
        let number = |a: u8, b: u8, c: u8| u32::from_be_bytes([0, a, b, c]) as usize;
        let (len, offset, part) = (number(l0, l1, l2), number(o0, o1, o2), number(f0, f1, f2));
        let sane = sent_by(role.peer(), kind)
            && len <= MAX_MESSAGE
            && u16::from_be_bytes([q0, q1]) <= MAX_MESSAGE_SEQ
            && offset + part <= len
            && (part > 0 || len == 0);
        match rest.split_at_checked(part) {
            Some((_, rest)) if sane => body = rest,
            _ => return false,
        }
    }
    true
}

/// Whether the side with `sender`'s role may send this handshake message in plaintext
/// (RFC 5246 clause 7.4, RFC 6347 clause 4.3.2). HelloRequest is missing on purpose.
fn sent_by(sender: Role, kind: u8) -> bool {
    const CERTIFICATE: u8 = 11;
    match sender {
        // ClientHello, CertificateVerify, ClientKeyExchange.
        Role::Client => matches!(kind, 1 | CERTIFICATE | 15 | 16),
        // ServerHello, HelloVerifyRequest, NewSessionTicket, ServerKeyExchange,
        // CertificateRequest, ServerHelloDone, CertificateStatus.
        Role::Server => matches!(kind, 2 | 3 | 4 | CERTIFICATE | 12 | 13 | 14 | 22),
    }
}

/// Fuzz entry: any bytes through the sieve, both roles; what is kept must pass again unchanged.
pub fn fuzz_dtls_record(datagram: &[u8]) {
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    for role in [Role::Client, Role::Server] {
        for connected in [false, true] {
            sift(role, connected, datagram, &mut once);
            assert!(once.len() <= datagram.len());
            assert_eq!(sift(role, connected, &once, &mut twice), 0);
            assert_eq!(once, twice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(content: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![content, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 9];
        bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn message(kind: u8, len: u8, offset: u8, part: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, len, 0, 0, 0, 0, offset, 0, 0, part.len() as u8];
        bytes.extend_from_slice(part);
        bytes
    }

    fn kept(role: Role, connected: bool, datagram: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        sift(role, connected, datagram, &mut out);
        out
    }

    #[test]
    fn a_client_hello_reaches_a_server_only() {
        let hello = record(HANDSHAKE, 0, &message(1, 4, 0, &[1, 2, 3, 4]));
        assert_eq!(kept(Role::Server, false, &hello), hello);
        assert!(kept(Role::Client, false, &hello).is_empty());
        assert!(kept(Role::Server, true, &hello).is_empty());
    }

    #[test]
    fn a_bad_record_takes_no_good_neighbour_with_it() {
        let good = record(HANDSHAKE, 0, &message(16, 2, 0, &[7, 7]));
        let bad = record(HANDSHAKE, 0, &message(16, 2, 1, &[7, 7]));
        let mut out = Vec::new();
        let datagram = [good.clone(), bad, good.clone(), vec![0xff; 5]].concat();
        assert_eq!(sift(Role::Server, false, &datagram, &mut out), 2);
        assert_eq!(out, [good.clone(), good].concat());
    }

    #[test]
    fn plaintext_data_idle_warnings_and_later_epochs_are_dropped() {
        for datagram in [
            record(APPLICATION_DATA, 0, b"x"),
            record(ALERT, 0, &[1, 90]),
            record(ALERT, 0, &[2]),
            record(CHANGE_CIPHER_SPEC, 0, &[2]),
            record(APPLICATION_DATA, 2, b"x"),
            record(24, 1, b"heartbeat"),
        ] {
            assert!(kept(Role::Server, false, &datagram).is_empty(), "{datagram:?}");
        }
        let alert = record(ALERT, 0, &[2, 40]);
        assert_eq!(kept(Role::Client, false, &alert), alert);
        let sealed = record(APPLICATION_DATA, 1, b"sealed");
        assert_eq!(kept(Role::Client, true, &sealed), sealed);
    }

    proptest! {
        #[test]
        fn sieve_is_idempotent(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            fuzz_dtls_record(&bytes);
        }

        #[test]
        fn sieve_is_idempotent_on_mutated_records(
            content in 19u8..26, epoch in 0u8..3, kind in 0u8..25, len: u8, offset in 0u8..9,
            part in prop::collection::vec(any::<u8>(), 0..40), cut in 0usize..90,
        ) {
            let mut bytes = record(content, epoch, &message(kind, len, offset, &part));
            bytes.extend(record(22, 0, &message(1, 1, 0, &[1])));
            bytes.truncate(bytes.len().saturating_sub(cut));
            fuzz_dtls_record(&bytes);
        }
    }
}
