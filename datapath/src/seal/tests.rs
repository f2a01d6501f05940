//! The kernels against the scalar path, the RFCs' vectors and each other.

use super::*;
use bifrons_core::srtp::SrtpProfile;
use proptest::prelude::*;

/// A batch as the fuzz entry reads it.
fn batch(packets: impl IntoIterator<Item = (u8, u16)>) -> Vec<u8> {
    let bytes = packets.into_iter().map(|(shape, len)| {
        let [high, low] = len.to_be_bytes();
        [shape, high, low]
    });
    bytes.flatten().collect()
}

#[test]
fn every_length_is_sealed_as_by_the_scalar_path() {
    for len in 0..=1500 {
        // Sixteen keys of all profiles, and headers of 12 to 27 bytes.
        let in_place = |n: u16| u8::from(n.is_multiple_of(3)) << 6;
        let shape = |n: u16| 0x80 | in_place(n) | ((n * 5 + len) % 16) as u8;
        fuzz_seal(&batch((0..16).map(|n| (shape(n), len))));
    }
}

#[test]
fn headers_of_every_length_are_authenticated() {
    for shape in 0..32u8 {
        fuzz_seal(&batch((0..8).map(|n| (0x80 | shape.wrapping_add(n) & 31, 173))));
    }
}

#[test]
fn packets_of_one_key_and_of_unlike_lengths_are_sealed() {
    for first in 0..40u16 {
        let lengths = [1200, 1200, 80, 1199, 0, 1, 15, 16, 17, 333, 1200, 90, 64, 65];
        let runs = lengths.iter().enumerate().map(|(n, len)| {
            (if n % usize::from(1 + first % 5) == 0 { 0x8C } else { 0x0C }, len + first)
        });
        fuzz_seal(&batch(runs));
    }
}

#[test]
fn a_job_that_does_not_fit_seals_nothing() {
    let profile = SrtpProfile::AeadAes128Gcm;
    let master = MasterKey::new(profile, &[1; 16], &[2; 12]).expect("lengths");
    for kernel in Kernel::available() {
        let key = SenderKey::new(&master, kernel).expect("a key");
        let text = [7; 100];
        let mut room = [0; 300];
        room[150 + 3] = 1;
        let good = Job { at: 0, header_len: 12, len: 100, text: Some(&text), index: 0 };
        let bad = [
            Job { at: 150, header_len: 11, index: 1, ..good },
            Job { at: 150, len: 99, index: 1, ..good },
            Job { at: 180, index: 0, ..good },
            Job { at: 150, index: 2, ..good },
            Job { at: 150, index: 1 << 48 | 1, ..good },
        ];
        let before = room;
        for job in bad {
            let run = Run { key: &key, jobs: 0..2 };
            assert!(kernel.seal(&mut room, &[good, job], &[run]).is_err(), "{job:?}");
            assert_eq!(room, before);
        }
        let past = Run { key: &key, jobs: 0..2 };
        assert!(kernel.seal(&mut room, &[good], &[past]).is_err());
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16);
    digits.chunks(2).map(|pair| byte(pair).expect("hex")).collect()
}

/// Seals one packet in four lanes by session keys; returns each.
fn seal_vector(kernel: Kernel, lanes: LaneKey, plain: &[u8], index: u64) -> Vec<Vec<u8>> {
    const STRIDE: usize = 100;
    const LANES: usize = 4;
    let master = MasterKey::new(SrtpProfile::AeadAes128Gcm, &[1; 16], &[2; 12]).expect("lengths");
    let scalar = SenderKey::new(&master, Kernel::Scalar).expect("a key").scalar;
    let tag_len = lanes.tag_len;
    let key = SenderKey { scalar, lanes: Some(lanes) };
    let mut room = [0; LANES * STRIDE];
    let job = |n: usize| {
        let at = n * STRIDE;
        Job { at, header_len: 12, len: plain.len() - 12, text: Some(&plain[12..]), index }
    };
    let jobs: Vec<_> = (0..LANES).map(job).collect();
    for at in (0..LANES).map(|n| n * STRIDE) {
        room[at..at + 12].copy_from_slice(&plain[..12]);
    }
    let runs: Vec<_> = (0..LANES).map(|n| Run { key: &key, jobs: n..n + 1 }).collect();
    kernel.seal(&mut room, &jobs, &runs).expect("they fit");
    room.chunks(STRIDE).map(|packet| packet[..plain.len() + tag_len].to_vec()).collect()
}

/// The kernels that are not scalar.
fn vector_kernels() -> impl Iterator<Item = Kernel> {
    Kernel::available().into_iter().filter(|&kernel| kernel != Kernel::Scalar)
}

const GCM_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const GCM_SALT: &str = "517569642070726f2071756f";
const GCM_PLAIN: &str = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120\
                         696e207061727465732074726573";

fn check_gcm_vector(profile: SrtpProfile, sealed: &str) {
    for kernel in vector_kernels() {
        let key = &hex(GCM_KEY)[..profile.key_len()];
        let lanes = LaneKey::from_parts(profile, key, &[], &hex(GCM_SALT));
        for packet in seal_vector(kernel, lanes, &hex(GCM_PLAIN), 0xf17b) {
            assert_eq!(packet, hex(sealed), "{kernel:?}");
        }
    }
}

#[test]
fn rfc_7714_16_1_aes_128_gcm() {
    check_gcm_vector(
        SrtpProfile::AeadAes128Gcm,
        "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b\
         36de3adf8833899d7f27beb16a9152cf765ee4390cce",
    );
}

#[test]
fn rfc_7714_16_2_aes_256_gcm() {
    check_gcm_vector(
        SrtpProfile::AeadAes256Gcm,
        "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f\
         1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
    );
}

#[test]
fn rfc_3711_b_2_counter_mode_keystream() {
    let key = hex("2B7E151628AED2A6ABF7158809CF4F3C");
    let salt = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
    let stream = "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB
                  41E95B3BB0A2E8DD477901E4FCA894C0";
    let mut plain = [0; 12 + 48];
    plain[0] = 0x80;
    for kernel in vector_kernels() {
        let profile = SrtpProfile::Aes128CmSha1_80;
        let lanes = LaneKey::from_parts(profile, &key, &[0; 20], &salt);
        for packet in seal_vector(kernel, lanes, &plain, 0) {
            assert_eq!(packet[12..60], hex(stream), "{kernel:?}");
        }
    }
}

#[test]
fn rfc_2202_3_hmac_sha1() {
    // RFC 3711 §4.2 appends the rollover counter: here the last four letters of the message.
    let (inner, outer) = super::sha1::hmac_states(&[0x0B; 20]);
    let rollover = u32::from_be_bytes(*b"here");
    let bytes = b"Hi T".as_ptr();
    let message = super::sha1::Message { bytes, len: 4, rollover, inner, outer };
    for kernel in vector_kernels() {
        let tags = super::batch::tags(kernel, &[message; 5]);
        let want = hex("b617318655057264e28bc0b6");
        assert!(tags[..5].iter().all(|tag| tag[..] == want), "{kernel:?}");
    }
}

#[test]
fn the_trial_passes_with_every_kernel() {
    assert!(Kernel::available().into_iter().all(super::fuzz::is_right));
}

#[test]
fn every_kernel_has_its_name() {
    let names: Vec<_> = Kernel::available().into_iter().map(Kernel::name).collect();
    assert_eq!(names[0], "scalar");
    assert_eq!(Kernel::detect().name(), *names.last().expect("the scalar one"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_batch_is_sealed_as_by_the_scalar_path(
        data in proptest::collection::vec(any::<u8>(), 0..150)
    ) {
        fuzz_seal(&data);
    }

    #[test]
    fn a_turn_s_batch_is_sealed_as_by_the_scalar_path(
        peers in 1usize..20, video in 0usize..6, len in 1u16..1300, audio in any::<bool>(),
    ) {
        let peer = (0..video).map(|n| (if n == 0 { 0x90 } else { 0x10 }, len - (n as u16).min(len)))
            .chain(audio.then_some((if video == 0 { 0x84 } else { 0x04 }, 90)));
        fuzz_seal(&batch((0..peers).flat_map(|_| peer.clone())));
    }
}
