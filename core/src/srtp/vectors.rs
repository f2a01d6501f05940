//! Published vectors (RFC 3711 appendix B, RFC 7714 §16 and §17), a second implementation as
//! oracle, and every length.

use super::*;
use aes_gcm::aead::{Aead, KeyInit, Payload};

fn hex(s: &str) -> Vec<u8> {
    let digits: Vec<u8> = s.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn rfc_3711_b_2_counter_mode_keystream() {
    let keys = StreamKeys::from_parts(
        SrtpProfile::Aes128CmSha1_80,
        &hex("2B7E151628AED2A6ABF7158809CF4F3C"),
        &[0; 20],
        &hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"),
    );
    let Ok(transform::Transform::Cm(cm)) = transform::Transform::new(&keys, 10) else { panic!() };
    let mut text = vec![0; 0xFF02 * 16];
    cm.apply(0, 0, &mut text).unwrap();
    let first = "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB
                 41E95B3BB0A2E8DD477901E4FCA894C0";
    let last = "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE
                6A2CC3787889374FBEB4C81B17BA6C44";
    assert_eq!(text[..48], hex(first));
    assert_eq!(text[0xFEFF * 16..], hex(last));
}

#[test]
fn rfc_3711_b_3_key_derivation() {
    let master = MasterKey::new(
        SrtpProfile::Aes128CmSha1_80,
        &hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
        &hex("0EC675AD498AFEEBB6960B3AABE6"),
    )
    .unwrap();
    let keys = master.session_keys();
    assert_eq!(keys.rtp.enc(), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(keys.rtp.salt(), hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(keys.rtp.auth(), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
}

const GCM_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const GCM_SALT: &str = "517569642070726f2071756f";
const RTP: &str = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e697320646976\
                   69736120696e207061727465732074726573";
const RTCP: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61\
                    deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";

fn gcm_keys(profile: SrtpProfile) -> SessionKeys {
    let key = &hex(GCM_KEY)[..profile.key_len()];
    let stream = StreamKeys::from_parts(profile, key, &[], &hex(GCM_SALT));
    SessionKeys { rtp: stream.clone(), rtcp: stream }
}

fn check_rtp_vector(profile: SrtpProfile, sealed: &str) {
    let (plain, sealed) = (hex(RTP), hex(sealed));
    let key = SealKey::from_session_keys(&gcm_keys(profile)).unwrap();
    let mut out = vec![0; 200];
    out[..12].copy_from_slice(&plain[..12]);
    let len = key.seal_rtp(0xf17b, &mut out, 12, &plain[12..]).unwrap();
    assert_eq!(out[..len], sealed);
    let open = OpenKey::from_session_keys(&gcm_keys(profile)).unwrap();
    let mut packet = sealed;
    let opened = open.open_rtp(&mut packet, &mut RtpIndex::new()).unwrap();
    assert_eq!((&packet[..opened.len], opened.index), (&plain[..], 0xf17b));
}

#[test]
fn rfc_7714_16_1_aes_128_gcm() {
    check_rtp_vector(
        SrtpProfile::AeadAes128Gcm,
        "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b\
         36de3adf8833899d7f27beb16a9152cf765ee4390cce",
    );
}

#[test]
fn rfc_7714_16_2_aes_256_gcm() {
    check_rtp_vector(
        SrtpProfile::AeadAes256Gcm,
        "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f\
         1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
    );
}

fn open_rtcp_vector(profile: SrtpProfile, sealed: &str) {
    let mut packet = hex(sealed);
    let open = OpenKey::from_session_keys(&gcm_keys(profile)).unwrap();
    let mut window = ReplayWindow::new();
    let opened = open.open_rtcp(&mut packet.clone(), &mut window).unwrap();
    assert_eq!(opened.index, 0x5d4);
    assert_eq!(open.open_rtcp(&mut packet.clone(), &mut window), Err(SrtpError::Replayed));
    let opened = open.open_rtcp(&mut packet, &mut ReplayWindow::new()).unwrap();
    assert_eq!(packet[..opened.len], hex(RTCP));
}

fn check_rtcp_vector(profile: SrtpProfile, sealed: &str) {
    let mut buf = hex(RTCP);
    let len = buf.len();
    buf.resize(len + MAX_RTCP_OVERHEAD, 0);
    let key = SealKey::from_session_keys(&gcm_keys(profile)).unwrap();
    let total = key.seal_rtcp(0x5d4, &mut buf, len).unwrap();
    assert_eq!(buf[..total], hex(sealed));
    open_rtcp_vector(profile, sealed);
}

#[test]
fn rfc_7714_17_1_rtcp_aes_128_gcm() {
    check_rtcp_vector(
        SrtpProfile::AeadAes128Gcm,
        "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b46\
         86303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4",
    );
}

#[test]
fn rfc_7714_17_2_rtcp_aes_256_gcm() {
    check_rtcp_vector(
        SrtpProfile::AeadAes256Gcm,
        "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658\
         c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
    );
}

#[test]
fn rfc_7714_17_3_rtcp_authenticated_only() {
    open_rtcp_vector(
        SrtpProfile::AeadAes128Gcm,
        "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeef\
         deadbeefdeadbeef841dd9683dd78ec92ae58790125f62b3000005d4",
    );
}

fn master(profile: SrtpProfile) -> MasterKey {
    let bytes: Vec<u8> = (1..=46).collect();
    MasterKey::new(profile, &bytes[..profile.key_len()], &bytes[32..32 + profile.salt_len()])
        .unwrap()
}

fn rtp_packet(seq: u16, payload_len: usize) -> Vec<u8> {
    let mut p = vec![0x90, 0x60, 0, 0, 0, 1, 2, 3, 0xCA, 0xFE, 0xBA, 0xBE];
    p[2..4].copy_from_slice(&seq.to_be_bytes());
    p.extend([0xBE, 0xDE, 0, 1, 0x10, 0x85, 0, 0]);
    p.extend((0..payload_len).map(|i| (i * 7 + usize::from(seq)) as u8));
    p
}

#[test]
fn every_length_survives_both_ways_of_sealing() {
    for profile in SrtpProfile::PREFERENCE {
        let (seal, open) =
            (SealKey::new(&master(profile)).unwrap(), OpenKey::new(&master(profile)).unwrap());
        let mut state = RtpIndex::new();
        for len in 0..=MAX_BODY - profile.rtp_tag_len() {
            let index = 0x7_0000 + len as u64;
            if len == 0 {
                state.accept(index - 1);
            }
            let plain = rtp_packet(index as u16, len);
            let mut out = [0; 1600];
            out[..20].copy_from_slice(&plain[..20]);
            let n = seal.seal_rtp(index, &mut out, 20, &plain[20..]).unwrap();
            assert_eq!(n, plain.len() + profile.rtp_tag_len());
            let mut in_place = [0; 1600];
            in_place[..plain.len()].copy_from_slice(&plain);
            let m = seal.seal_rtp_in_place(index, &mut in_place, 20, plain.len()).unwrap();
            assert_eq!(out[..n], in_place[..m]);
            let opened = open.open_rtp(&mut out[..n], &mut state).unwrap();
            assert_eq!((opened.index, &out[..opened.len]), (index, &plain[..]));
        }
    }
}

/// Longest payload that fits a packet with the twenty-byte header used here.
const MAX_BODY: usize = crate::rtp::MAX_PACKET - 20;

#[test]
fn rtcp_of_every_length_survives() {
    for profile in SrtpProfile::PREFERENCE {
        let (seal, open) =
            (SealKey::new(&master(profile)).unwrap(), OpenKey::new(&master(profile)).unwrap());
        let mut state = ReplayWindow::new();
        for len in 8..=1480 {
            let mut plain = vec![0x80, 201, 0, 1, 0xAA, 0xBB, 0xCC, 0xDD];
            plain.resize(len, len as u8);
            let mut buf = plain.clone();
            buf.resize(len + MAX_RTCP_OVERHEAD, 0);
            let n = seal.seal_rtcp(len as u32, &mut buf, len).unwrap();
            assert_eq!(n, len + profile.rtcp_overhead());
            assert_eq!(buf[..8], plain[..8]);
            let opened = open.open_rtcp(&mut buf[..n], &mut state).unwrap();
            assert_eq!((opened.index, &buf[..opened.len]), (len as u64, &plain[..]));
        }
    }
}

#[test]
fn gcm_agrees_with_a_second_implementation() {
    for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm] {
        let keys = master(profile).session_keys();
        let seal = SealKey::from_session_keys(&keys).unwrap();
        for len in (0..1400).step_by(37) {
            let index = (1 << 30) + len as u64;
            let plain = rtp_packet(index as u16, len);
            let salt = keys.rtp.salt().try_into().unwrap();
            let nonce = gcm_nonce(&salt, 0xCAFE_BABE, index);
            let text = Payload { msg: &plain[20..], aad: &plain[..20] };
            let nonce = &nonce.into();
            let want = match profile {
                SrtpProfile::AeadAes128Gcm => {
                    aes_gcm::Aes128Gcm::new_from_slice(keys.rtp.enc()).unwrap().encrypt(nonce, text)
                }
                _ => {
                    aes_gcm::Aes256Gcm::new_from_slice(keys.rtp.enc()).unwrap().encrypt(nonce, text)
                }
            };
            let mut out = [0; 1600];
            out[..20].copy_from_slice(&plain[..20]);
            let n = seal.seal_rtp(index, &mut out, 20, &plain[20..]).unwrap();
            assert_eq!(out[20..n], want.unwrap());
        }
    }
}

#[test]
fn forged_damaged_and_replayed_packets_are_refused() {
    for profile in SrtpProfile::PREFERENCE {
        let (seal, open) =
            (SealKey::new(&master(profile)).unwrap(), OpenKey::new(&master(profile)).unwrap());
        let plain = rtp_packet(5, 60);
        let mut sealed = plain.clone();
        sealed.resize(200, 0);
        let n = seal.seal_rtp_in_place(5, &mut sealed, 20, plain.len()).unwrap();
        sealed.truncate(n);
        let mut state = RtpIndex::new();
        for bit in 0..n * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let got = open.open_rtp(&mut damaged, &mut state);
            assert!(
                matches!(
                    got,
                    Err(SrtpError::Authentication | SrtpError::Rtp(_) | SrtpError::TooShort)
                ),
                "bit {bit}: {got:?}"
            );
        }
        assert_eq!(state.highest(), None, "a forgery must not move the window");
        open.open_rtp(&mut sealed.clone(), &mut state).unwrap();
        assert_eq!(open.open_rtp(&mut sealed.clone(), &mut state), Err(SrtpError::Replayed));
        for short in 0..n {
            let cut = &mut sealed.clone()[..short];
            assert!(open.open_rtp(cut, &mut RtpIndex::new()).is_err());
            assert!(open.open_rtcp(cut, &mut ReplayWindow::new()).is_err());
        }
    }
}

#[test]
fn the_caller_cannot_seal_under_a_wrong_or_spent_index() {
    let seal = SealKey::new(&master(SrtpProfile::AeadAes128Gcm)).unwrap();
    let mut buf = rtp_packet(5, 60);
    let len = buf.len();
    assert_eq!(seal.seal_rtp_in_place(5, &mut buf, 20, len), Err(SrtpError::NoRoom));
    buf.resize(len + 16, 0);
    assert_eq!(seal.seal_rtp_in_place(6, &mut buf, 20, len), Err(SrtpError::IndexMismatch));
    let spent = 1 << 48 | 5;
    assert_eq!(seal.seal_rtp_in_place(spent, &mut buf, 20, len), Err(SrtpError::IndexExhausted));
    assert_eq!(seal.seal_rtp_in_place(5, &mut buf, 4, len), Err(SrtpError::TooShort));
    assert_eq!(seal.seal_rtcp(1 << 31, &mut buf, 40), Err(SrtpError::IndexExhausted));
    assert_eq!(seal.seal_rtcp(1, &mut buf, 7), Err(SrtpError::TooShort));
    assert_eq!(seal.seal_rtcp(1, &mut buf, len + 1), Err(SrtpError::NoRoom));
    assert_eq!(seal.seal_rtp(5, &mut [], 12, &[]), Err(SrtpError::NoRoom));
}

#[test]
fn sha1_32_keeps_eighty_bits_for_rtcp() {
    let profile = SrtpProfile::Aes128CmSha1_32;
    assert_eq!((profile.rtp_tag_len(), profile.rtcp_overhead()), (4, 14));
    let seal = SealKey::new(&master(profile)).unwrap();
    let full = SealKey::new(&master(SrtpProfile::Aes128CmSha1_80)).unwrap();
    let (mut a, mut b) = ([0x80; 64], [0x80; 64]);
    let n = seal.seal_rtcp(9, &mut a, 40).unwrap();
    assert_eq!((n, &a), (full.seal_rtcp(9, &mut b, 40).unwrap(), &b));
}
