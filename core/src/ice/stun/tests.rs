//! RFC 5769 vectors, round trips, and bytes that lie.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::media::PeerId;

/// Password of every RFC 5769 §2 vector.
const PWD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

/// RFC 5769 §2.1.
const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae8022001053\
    54554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36000600096576746a3a68\
    3676592020200008001 49aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";

/// RFC 5769 §2.2.
const RESPONSE_V4: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465\
    737420766563746f7220002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7\
    d780280004c07d4c96";

/// RFC 5769 §2.3.
const RESPONSE_V6: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465\
    737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67b\
    f11784c97c8292c275bfe3ed4180280004c8fb0b4c";

const TAG: PeerId = PeerId { shard: 3, slot: 0x01_0203, generation: 9 };

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|two| (two[0] * 16 + two[1]) as u8).collect()
}

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("address")
}

fn request() -> BindingRequest<'static> {
    BindingRequest {
        transaction: TransactionId::tagged(TAG, [1, 2, 3, 4, 5, 6]),
        to_ufrag: "AQAAAgADAAAA",
        from_ufrag: "theirs",
        priority: 0x6e00_01ff,
        role: Role::Controlling(0x932f_f9b1_5126_3b36),
        use_candidate: true,
    }
}

#[test]
fn rfc_5769_request_is_read_and_verified() {
    let bytes = hex(REQUEST);
    let m = Message::parse(&bytes).expect("vector");
    assert_eq!(m.class, Class::Request);
    assert_eq!(m.username, Some(&b"evtj:h6vY"[..]));
    assert_eq!(m.priority, Some(0x6e00_01ff));
    assert_eq!(m.role, Some(Role::Controlled(0x932f_f9b1_5126_3b36)));
    assert!(!m.use_candidate);
    assert!(m.verify(&IntegrityKey::new(PWD)));
    assert!(!m.verify(&IntegrityKey::new("another password")));
}

#[test]
fn rfc_5769_responses_are_read_and_verified() {
    let cases = [
        (RESPONSE_V4, "192.0.2.1:32853"),
        (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ];
    for (text, mapped) in cases {
        let bytes = hex(text);
        let m = Message::parse(&bytes).expect("vector");
        assert_eq!((m.class, m.mapped), (Class::Success, Some(addr(mapped))));
        assert!(m.verify(&IntegrityKey::new(PWD)));
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let key = IntegrityKey::new(PWD);
    let good = hex(REQUEST);
    // A fingerprint whose type changed is an unknown attribute behind integrity: harmless.
    let signed = good.len() - 8;
    for bit in 0..signed * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let accepted = Message::parse(&bad).is_ok_and(|m| m.verify(&key));
        assert!(!accepted, "bit {bit}");
    }
}

#[test]
fn success_responses_round_trip_and_have_the_stated_length() {
    let key = IntegrityKey::new(PWD);
    let t = TransactionId([7; 12]);
    for (mapped, len) in [("192.0.2.1:32853", 64), ("[2001:db8::1]:1", 76)] {
        let mut out = [0xee; MAX_MESSAGE];
        let n = write_success(&mut out, t, addr(mapped), &key).expect("fits");
        assert_eq!(n, len);
        let m = Message::parse(&out[..n]).expect("own");
        assert_eq!((m.class, m.transaction, m.mapped), (Class::Success, t, Some(addr(mapped))));
        assert!(m.verify(&key));
        assert_eq!(write_success(&mut out[..n - 1], t, addr(mapped), &key), None);
    }
}

#[test]
fn requests_round_trip() {
    let key = IntegrityKey::new(PWD);
    let mut out = [0; MAX_MESSAGE];
    let n = write_request(&mut out, &request(), &key).expect("fits");
    let m = Message::parse(&out[..n]).expect("own");
    assert_eq!(m.username, Some(&b"AQAAAgADAAAA:theirs"[..]));
    assert_eq!((m.priority, m.role), (Some(request().priority), Some(request().role)));
    assert!(m.use_candidate && m.verify(&key));
    let split = split_username(m.username.expect("username"));
    assert_eq!(split, Some((&b"AQAAAgADAAAA"[..], &b"theirs"[..])));
}

#[test]
fn the_longest_request_fits_the_stated_size() {
    let ufrag = "u".repeat(crate::ice::MAX_UFRAG);
    let mut out = [0; MAX_MESSAGE];
    let longest = BindingRequest { to_ufrag: &ufrag, from_ufrag: &ufrag, ..request() };
    assert!(write_request(&mut out, &longest, &IntegrityKey::new(PWD)).is_some());
}

#[test]
fn errors_carry_code_and_the_integrity_they_should() {
    let key = IntegrityKey::new(PWD);
    let t = TransactionId([9; 12]);
    for error in [ErrorCode::BadRequest, ErrorCode::Unauthorized, ErrorCode::RoleConflict] {
        for sign in [None, Some(&key)] {
            let mut out = [0; 76];
            let n = write_error(&mut out, t, error, sign).expect("fits");
            let m = Message::parse(&out[..n]).expect("own");
            assert_eq!((m.class, m.error), (Class::Error, Some(error.code())));
            assert_eq!(m.verify(&key), sign.is_some());
        }
    }
}

#[test]
fn the_owner_is_found_by_username_or_by_transaction() {
    let key = IntegrityKey::new(PWD);
    let mut out = [0; MAX_MESSAGE];
    let n = write_request(&mut out, &request(), &key).expect("fits");
    assert_eq!(owner(&out[..n]), Some(PeerId { shard: 1, slot: 2, generation: 3 }));
    let n = write_success(&mut out, request().transaction, addr("192.0.2.1:1"), &key);
    assert_eq!(owner(&out[..n.expect("fits")]), Some(TAG));
    assert_eq!(owner(&hex(REQUEST)), None, "a foreign ufrag names nobody here");
}

#[test]
fn malformed_messages_say_why() {
    let good = hex(REQUEST);
    let patched = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let cases = [
        (good[..19].to_vec(), StunError::NotStun),
        (patched(0, 0x80), StunError::NotStun),
        (patched(4, 0x22), StunError::NotStun),
        (patched(3, 0x5c), StunError::Length),
        (patched(3, 0x57), StunError::Length),
        (patched(1, 0x03), StunError::Method),
        (patched(43, 3), StunError::Attribute(0x0024)),
        (patched(62, 0xff), StunError::Attribute(0x0006)),
        (patched(good.len() - 1, 0), StunError::Fingerprint),
    ];
    for (bytes, error) in cases {
        assert_eq!(Message::parse(&bytes).err(), Some(error));
    }
}

#[test]
fn attributes_behind_integrity_do_not_count() {
    let key = IntegrityKey::new(PWD);
    let mut out = [0; MAX_MESSAGE];
    let plain = BindingRequest { use_candidate: false, ..request() };
    let n = write_request(&mut out, &plain, &key).expect("fits");
    // Replace the fingerprint by a USE-CANDIDATE nobody signed, and pad with an unknown attribute.
    out[n - 8..n].copy_from_slice(&[0x00, 0x25, 0, 0, 0x80, 0x22, 0, 0]);
    let m = Message::parse(&out[..n]).expect("well formed");
    assert!(m.verify(&key) && !m.use_candidate);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        fuzz_stun(&bytes);
    }

    #[test]
    fn any_attributes_are_survived(
        kind in prop::sample::select(vec![1u16, 0x101, 0x111]),
        attributes in prop::collection::vec((
            prop::sample::select(vec![6u16, 8, 9, 0x20, 0x24, 0x25, 0x8028, 0x8029, 0x802a, 1]),
            0u16..40,
            prop::collection::vec(any::<u8>(), 0..40),
        ), 0..6),
    ) {
        let mut body = Vec::new();
        for (attribute, len, value) in attributes {
            body.extend(attribute.to_be_bytes());
            body.extend(len.to_be_bytes());
            body.extend(&value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(MAGIC_COOKIE);
        bytes.extend([5; 12]);
        bytes.extend(body);
        fuzz_stun(&bytes);
    }
}
