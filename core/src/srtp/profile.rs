//! The SRTP protection profiles this house speaks, in the order it prefers them.
//!
//! GCM first: it costs a fifth of AES-CM with HMAC-SHA1 per packet. 128 before 256: the shorter
//! key schedule is what the multi-buffer kernels run fastest on.

/// A DTLS-SRTP protection profile (RFC 5764 clause 4.1.2, RFC 7714 clause 14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    /// `SRTP_AEAD_AES_128_GCM`, 16-byte tag.
    AeadAes128Gcm,
    /// `SRTP_AEAD_AES_256_GCM`, 16-byte tag.
    AeadAes256Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`, 10-byte tag.
    Aes128CmSha1_80,
    /// `SRTP_AES128_CM_HMAC_SHA1_32`, 4-byte tag on RTP, 10-byte tag on RTCP.
    Aes128CmSha1_32,
}

impl SrtpProfile {
    /// Every profile, most wanted first; offered so as client, chosen so as server.
    pub const PREFERENCE: [SrtpProfile; 4] = [
        SrtpProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm,
        SrtpProfile::Aes128CmSha1_80,
        SrtpProfile::Aes128CmSha1_32,
    ];

    /// The two-byte value on the wire (IANA registry "DTLS-SRTP Protection Profiles").
    pub const fn id(self) -> u16 {
        match self {
            SrtpProfile::Aes128CmSha1_80 => 0x0001,
            SrtpProfile::Aes128CmSha1_32 => 0x0002,
            SrtpProfile::AeadAes128Gcm => 0x0007,
            SrtpProfile::AeadAes256Gcm => 0x0008,
        }
    }

    /// The profile with this wire value, if we speak it.
    pub const fn from_id(id: u16) -> Option<SrtpProfile> {
        match id {
            0x0001 => Some(SrtpProfile::Aes128CmSha1_80),
            0x0002 => Some(SrtpProfile::Aes128CmSha1_32),
            0x0007 => Some(SrtpProfile::AeadAes128Gcm),
            0x0008 => Some(SrtpProfile::AeadAes256Gcm),
            _ => None,
        }
    }

    /// Length of a master key in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            SrtpProfile::AeadAes256Gcm => 32,
            _ => 16,
        }
    }

    /// Length of a master salt in bytes (RFC 3711 clause 8.2: 14; RFC 7714 clause 12.1: 12).
    pub const fn salt_len(self) -> usize {
        match self {
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => 12,
            _ => 14,
        }
    }

    /// Bytes of tag that an SRTP packet grows by.
    pub const fn rtp_tag_len(self) -> usize {
        match self {
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => 16,
            SrtpProfile::Aes128CmSha1_80 => 10,
            SrtpProfile::Aes128CmSha1_32 => 4,
        }
    }

    /// The name OpenSSL knows the profile by, and the Admin API shows.
    pub const fn name(self) -> &'static str {
        match self {
            SrtpProfile::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
            SrtpProfile::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
            SrtpProfile::Aes128CmSha1_80 => "SRTP_AES128_CM_SHA1_80",
            SrtpProfile::Aes128CmSha1_32 => "SRTP_AES128_CM_SHA1_32",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_values_round_trip_and_strangers_are_refused() {
        for profile in SrtpProfile::PREFERENCE {
            assert_eq!(SrtpProfile::from_id(profile.id()), Some(profile));
        }
        for id in [0u16, 3, 5, 6, 9, 0xffff] {
            assert_eq!(SrtpProfile::from_id(id), None);
        }
    }

    #[test]
    fn gcm_is_wanted_before_sha1() {
        assert_eq!(SrtpProfile::PREFERENCE[0].id(), 7);
        assert_eq!(SrtpProfile::PREFERENCE[3].rtp_tag_len(), 4);
    }
}
