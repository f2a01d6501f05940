//! The two ciphers behind one face: AES-GCM from `ring`, AES-CM with HMAC-SHA1 from RustCrypto.
//!
//! `ring` gives no bare counter mode and its SHA-1 is three times slower than `sha1` with the SHA
//! extensions, hence two libraries. The keyed HMAC state is computed once and cloned for a packet.

use super::{SrtpError, SrtpProfile, StreamKeys};
use aes::Aes128;
use aes::cipher::{Array, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::{CtrCore, flavors};
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use sha1::Sha1;

/// Length of a GCM tag, bytes.
pub(super) const GCM_TAG: usize = 16;

/// The nonce of a packet (RFC 7714 §8.1, §9.1): two zero bytes, SSRC, 48-bit index, all mixed with
/// the salt. For RTCP the index is the 31-bit one.
#[must_use]
pub fn gcm_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> [u8; 12] {
    let mut nonce = *salt;
    for (n, b) in nonce[2..6].iter_mut().zip(ssrc.to_be_bytes()) {
        *n ^= b;
    }
    for (n, b) in nonce[6..].iter_mut().zip(&index.to_be_bytes()[2..]) {
        *n ^= b;
    }
    nonce
}

/// The first counter block of a packet (RFC 3711 §4.1.1): salt, SSRC and index mixed, 16 zero bits
/// of block counter.
#[must_use]
pub fn cm_iv(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    for (n, b) in iv[4..8].iter_mut().zip(ssrc.to_be_bytes()) {
        *n ^= b;
    }
    for (n, b) in iv[8..14].iter_mut().zip(&index.to_be_bytes()[2..]) {
        *n ^= b;
    }
    iv
}

/// Keyed state for RTP or RTCP in one direction.
// Both variants are inline: a peer has four, and boxing one would cost a miss a packet.
#[allow(clippy::large_enum_variant)]
#[derive(Clone)]
pub(super) enum Transform {
    Gcm(Gcm),
    Cm(Cm),
    /// Nothing is done ([`SrtpProfile::Plain`]).
    Plain,
}

impl Transform {
    /// `tag_len` is used by AES-CM only.
    pub(super) fn new(keys: &StreamKeys, tag_len: usize) -> Result<Self, SrtpError> {
        Ok(match keys.profile() {
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => Self::Gcm(Gcm::new(keys)?),
            SrtpProfile::Aes128CmSha1_80 | SrtpProfile::Aes128CmSha1_32 => {
                Self::Cm(Cm::new(keys, tag_len)?)
            }
            SrtpProfile::Plain => Self::Plain,
        })
    }
}

/// AES-GCM under one key.
#[derive(Clone)]
pub(super) struct Gcm {
    key: LessSafeKey,
    salt: [u8; 12],
}

impl Gcm {
    fn new(keys: &StreamKeys) -> Result<Self, SrtpError> {
        let algorithm =
            if keys.profile() == SrtpProfile::AeadAes256Gcm { &AES_256_GCM } else { &AES_128_GCM };
        let key = UnboundKey::new(algorithm, keys.enc()).map_err(|_| SrtpError::KeyLength)?;
        let salt = keys.salt().try_into().map_err(|_| SrtpError::KeyLength)?;
        Ok(Self { key: LessSafeKey::new(key), salt })
    }

    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        Nonce::assume_unique_for_key(gcm_nonce(&self.salt, ssrc, index))
    }

    /// Encrypts `text` in place and returns the tag over it and `aad`.
    pub(super) fn seal(
        &self,
        ssrc: u32,
        index: u64,
        aad: &[u8],
        text: &mut [u8],
    ) -> Result<Tag, SrtpError> {
        self.key
            .seal_in_place_separate_tag(self.nonce(ssrc, index), Aad::from(aad), text)
            .map_err(|_| SrtpError::NoRoom)
    }

    /// Decrypts `text` in place after checking `tag`; when it is wrong, `text` is lost.
    pub(super) fn open(
        &self,
        ssrc: u32,
        index: u64,
        aad: &[u8],
        text: &mut [u8],
        tag: &[u8; GCM_TAG],
    ) -> Result<(), SrtpError> {
        let nonce = self.nonce(ssrc, index);
        self.key
            .open_in_place_separate_tag(nonce, Aad::from(aad), Tag::from(*tag), text, 0..)
            .map(|_| ())
            .map_err(|_| SrtpError::Authentication)
    }
}

/// AES-128 in counter mode and HMAC-SHA1, keyed.
#[derive(Clone)]
pub(super) struct Cm {
    aes: Aes128,
    mac: Hmac<Sha1>,
    salt: [u8; 14],
    tag_len: usize,
}

type Keystream<'a> = StreamCipherCoreWrapper<CtrCore<&'a Aes128, flavors::Ctr128BE>>;

impl Cm {
    fn new(keys: &StreamKeys, tag_len: usize) -> Result<Self, SrtpError> {
        Ok(Self {
            aes: Aes128::new_from_slice(keys.enc()).map_err(|_| SrtpError::KeyLength)?,
            mac: Hmac::new_from_slice(keys.auth()).map_err(|_| SrtpError::KeyLength)?,
            salt: keys.salt().try_into().map_err(|_| SrtpError::KeyLength)?,
            tag_len,
        })
    }

    pub(super) fn tag_len(&self) -> usize {
        self.tag_len
    }

    fn keystream(&self, ssrc: u32, index: u64) -> Keystream<'_> {
        let iv = Array(cm_iv(&self.salt, ssrc, index));
        StreamCipherCoreWrapper::from_core(CtrCore::inner_iv_init(&self.aes, &iv))
    }

    /// Encrypts or decrypts `text` in place.
    pub(super) fn apply(&self, ssrc: u32, index: u64, text: &mut [u8]) -> Result<(), SrtpError> {
        self.keystream(ssrc, index).try_apply_keystream(text).map_err(|_| SrtpError::NoRoom)
    }

    /// Encrypts `from` into `to`, which has the same length.
    pub(super) fn apply_into(
        &self,
        ssrc: u32,
        index: u64,
        from: &[u8],
        to: &mut [u8],
    ) -> Result<(), SrtpError> {
        self.keystream(ssrc, index).try_apply_keystream_b2b(from, to).map_err(|_| SrtpError::NoRoom)
    }

    fn mac_of(&self, packet: &[u8], trailer: &[u8]) -> Hmac<Sha1> {
        let mut mac = self.mac.clone();
        mac.update(packet);
        mac.update(trailer);
        mac
    }

    /// The whole HMAC over `packet` and what follows it without being sent (RFC 3711 §4.2).
    pub(super) fn tag(&self, packet: &[u8], trailer: &[u8]) -> [u8; 20] {
        self.mac_of(packet, trailer).finalize().into_bytes().0
    }

    /// Compares the tag in constant time.
    pub(super) fn verify(
        &self,
        packet: &[u8],
        trailer: &[u8],
        tag: &[u8],
    ) -> Result<(), SrtpError> {
        self.mac_of(packet, trailer)
            .verify_truncated_left(tag)
            .map_err(|_| SrtpError::Authentication)
    }
}
