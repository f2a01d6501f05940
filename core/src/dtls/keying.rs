//! The SRTP keys a handshake yields (RFC 5764 clause 4.2), in one inline value.

use std::fmt;

use super::Role;
use crate::srtp::SrtpProfile;

/// Longest exporter output of any profile: two 32-byte keys and two 12-byte salts.
const MAX_LEN: usize = 88;

/// Profile, master keys and salts of both directions.
///
/// Its `Debug` shows the profile only. 90 bytes, `Copy`, so that it crosses rings by value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyingMaterial {
    profile: SrtpProfile,
    bytes: [u8; MAX_LEN],
}

impl KeyingMaterial {
    /// Bytes to ask of the exporter for `profile`.
    pub const fn len(profile: SrtpProfile) -> usize {
        2 * (profile.key_len() + profile.salt_len())
    }

    /// Wraps what the exporter gave: client key, server key, client salt, server salt. `None`
    /// unless it is [`KeyingMaterial::len`] bytes long.
    pub fn new(profile: SrtpProfile, exported: &[u8]) -> Option<KeyingMaterial> {
        if exported.len() != KeyingMaterial::len(profile) {
            return None;
        }
        let mut bytes = [0; MAX_LEN];
        bytes.get_mut(..exported.len())?.copy_from_slice(exported);
        Some(KeyingMaterial { profile, bytes })
    }

    /// The negotiated profile.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Master key of what the side with this DTLS role sends.
    pub fn key(&self, sender: Role) -> &[u8] {
        let len = self.profile.key_len();
        let at = if sender == Role::Client { 0 } else { len };
        self.bytes.get(at..at + len).unwrap_or_default()
    }

    /// Master salt of what the side with this DTLS role sends.
    pub fn salt(&self, sender: Role) -> &[u8] {
        let len = self.profile.salt_len();
        let base = 2 * self.profile.key_len();
        let at = if sender == Role::Client { base } else { base + len };
        self.bytes.get(at..at + len).unwrap_or_default()
    }
}

impl fmt::Debug for KeyingMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyingMaterial").field("profile", &self.profile).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_where_rfc_5764_puts_them() {
        for profile in SrtpProfile::PREFERENCE {
            let exported: Vec<u8> = (0..KeyingMaterial::len(profile) as u8).collect();
            let keys = KeyingMaterial::new(profile, &exported).unwrap();
            let joined = [
                keys.key(Role::Client),
                keys.key(Role::Server),
                keys.salt(Role::Client),
                keys.salt(Role::Server),
            ]
            .concat();
            assert_eq!(joined, exported);
        }
    }

    #[test]
    fn wrong_length_is_refused_and_debug_hides_keys() {
        assert_eq!(KeyingMaterial::new(SrtpProfile::AeadAes128Gcm, &[7; 60]), None);
        let keys = KeyingMaterial::new(SrtpProfile::AeadAes128Gcm, &[0xab; 56]).unwrap();
        assert!(!format!("{keys:?}").contains("171"));
    }
}
