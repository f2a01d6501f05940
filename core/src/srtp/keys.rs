//! From the DTLS exporter or an SDES key to the keys that protect packets (RFC 3711 §4.3, RFC 5764
//! §4.2, RFC 7714 §11). Key derivation rate is zero: keys are derived once.

use super::{SrtpError, SrtpProfile};
use crate::dtls::{KeyingMaterial, Role};
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256};
use std::fmt;

/// Master key and salt of one direction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MasterKey {
    profile: SrtpProfile,
    key: [u8; 32],
    salt: [u8; 14],
}

impl MasterKey {
    /// A master key of `profile` from its parts.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`] unless both have the profile's length.
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        if key.len() != profile.key_len() || salt.len() != profile.salt_len() {
            return Err(SrtpError::KeyLength);
        }
        let mut own = Self { profile, key: [0; 32], salt: [0; 14] };
        own.key[..key.len()].copy_from_slice(key);
        own.salt[..salt.len()].copy_from_slice(salt);
        Ok(own)
    }

    /// A master key of `profile` from the base64 text of key and salt in one, as SDES and the Janus
    /// API write it (RFC 4568 §6.1); `None` unless it is just that.
    #[must_use]
    pub fn from_base64(profile: SrtpProfile, text: &str) -> Option<Self> {
        use base64::Engine;
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
        let (key, salt) = bytes.split_at_checked(profile.key_len())?;
        Self::new(profile, key, salt).ok()
    }

    /// The master key of what the side with DTLS role `sender` sends (RFC 5764 §4.2).
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`], which checked keying material never gives.
    pub fn from_keying(material: &KeyingMaterial, sender: Role) -> Result<Self, SrtpError> {
        Self::new(material.profile(), material.key(sender), material.salt(sender))
    }

    /// The profile it is for.
    #[must_use]
    pub const fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// The master key, 16 or 32 bytes.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key[..self.profile.key_len()]
    }

    /// The master salt, 12 or 14 bytes.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt[..self.profile.salt_len()]
    }

    /// Derives the session keys with labels 0 to 5.
    #[must_use]
    pub fn session_keys(&self) -> SessionKeys {
        let stream = |first_label| {
            let mut keys =
                StreamKeys { profile: self.profile, enc: [0; 32], auth: [0; 20], salt: [0; 14] };
            self.derive(first_label, &mut keys.enc[..self.profile.key_len()]);
            self.derive(first_label + 1, &mut keys.auth[..self.profile.auth_key_len()]);
            self.derive(first_label + 2, &mut keys.salt[..self.profile.salt_len()]);
            keys
        };
        SessionKeys { rtp: stream(0), rtcp: stream(3) }
    }

    /// The pseudo-random function of RFC 3711 §4.3.3: AES in counter mode under the master key, the
    /// label mixed into the salt. A 12-byte salt is filled up with zeros (RFC 7714 §11).
    fn derive(&self, label: u8, out: &mut [u8]) {
        let mut x = [0; 16];
        x[..14].copy_from_slice(&self.salt);
        x[7] ^= label;
        let [key @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = &self.key;
        for (counter, chunk) in (0u16..).zip(out.chunks_mut(16)) {
            let mut block = x;
            block[14..].copy_from_slice(&counter.to_be_bytes());
            let mut block = Array(block);
            if self.profile.key_len() == 32 {
                Aes256::new(&Array(self.key)).encrypt_block(&mut block);
            } else {
                Aes128::new(&Array(*key)).encrypt_block(&mut block);
            }
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({:?}, secret)", self.profile)
    }
}

/// Session keys of one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionKeys {
    /// For RTP, labels 0 to 2.
    pub rtp: StreamKeys,
    /// For RTCP, labels 3 to 5.
    pub rtcp: StreamKeys,
}

/// Encryption key, authentication key and salt of RTP or RTCP in one direction.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamKeys {
    profile: SrtpProfile,
    enc: [u8; 32],
    auth: [u8; 20],
    salt: [u8; 14],
}

impl StreamKeys {
    /// The profile they are for.
    #[must_use]
    pub const fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Encryption key, 16 or 32 bytes.
    #[must_use]
    pub fn enc(&self) -> &[u8] {
        &self.enc[..self.profile.key_len()]
    }

    /// Authentication key, 20 bytes, empty with GCM.
    #[must_use]
    pub fn auth(&self) -> &[u8] {
        &self.auth[..self.profile.auth_key_len()]
    }

    /// Salt, 12 bytes with GCM, 14 with AES-CM.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt[..self.profile.salt_len()]
    }

    #[cfg(test)]
    pub(super) fn from_parts(profile: SrtpProfile, enc: &[u8], auth: &[u8], salt: &[u8]) -> Self {
        let mut keys = Self { profile, enc: [0; 32], auth: [0; 20], salt: [0; 14] };
        keys.enc[..enc.len()].copy_from_slice(enc);
        keys.auth[..auth.len()].copy_from_slice(auth);
        keys.salt[..salt.len()].copy_from_slice(salt);
        keys
    }
}

impl fmt::Debug for StreamKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamKeys({:?}, secret)", self.profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::{OpenKey, ReplayWindow, SealKey};

    #[test]
    fn each_side_seals_with_what_the_other_opens() {
        for profile in SrtpProfile::PREFERENCE {
            let exported: Vec<u8> = (0..KeyingMaterial::len(profile) as u8).collect();
            let material = KeyingMaterial::new(profile, &exported).unwrap();
            let client = MasterKey::from_keying(&material, Role::Client).unwrap();
            let server = MasterKey::from_keying(&material, Role::Server).unwrap();
            assert_ne!(client, server);
            let (seal, open) = (SealKey::new(&client).unwrap(), OpenKey::new(&client).unwrap());
            let stranger = OpenKey::new(&server).unwrap();
            let mut packet = [0x80; 64];
            let n = seal.seal_rtcp(1, &mut packet, 40).unwrap();
            let mut copy = packet;
            let refused = stranger.open_rtcp(&mut copy[..n], &mut ReplayWindow::new());
            assert_eq!(refused, Err(SrtpError::Authentication));
            assert!(open.open_rtcp(&mut packet[..n], &mut ReplayWindow::new()).is_ok());
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let key = MasterKey::new(SrtpProfile::Aes128CmSha1_80, &[0xAB; 16], &[0xCD; 14]).unwrap();
        let text = format!("{key:?} {:?}", key.session_keys());
        assert!(!text.contains("171") && !text.to_lowercase().contains("ab,"), "{text}");
    }
}
