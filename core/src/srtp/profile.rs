//! The protection profiles we negotiate, in our order of preference.

/// An SRTP protection profile (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    /// AES-128 in Galois/counter mode, 16-byte tags.
    AeadAes128Gcm,
    /// AES-256 in Galois/counter mode, 16-byte tags.
    AeadAes256Gcm,
    /// AES-128 in counter mode, HMAC-SHA1 cut to 80 bits.
    Aes128CmSha1_80,
    /// AES-128 in counter mode, HMAC-SHA1 cut to 32 bits for RTP and to 80 bits for RTCP.
    Aes128CmSha1_32,
    /// No protection: RTP and RTCP as they are. Never negotiated; what a server uses whose operator
    /// switched encryption off to debug (`no_webrtc_encryption`).
    Plain,
}

impl SrtpProfile {
    /// Our order, held in both DTLS roles: AES-128-GCM first because it is the cheapest to seal.
    pub const PREFERENCE: [Self; 4] =
        [Self::AeadAes128Gcm, Self::AeadAes256Gcm, Self::Aes128CmSha1_80, Self::Aes128CmSha1_32];

    /// [`SrtpProfile::PREFERENCE`] as OpenSSL's `SSL_CTX_set_tlsext_use_srtp` wants it.
    pub const OPENSSL_LIST: &str = "SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM:\
                                    SRTP_AES128_CM_SHA1_80:SRTP_AES128_CM_SHA1_32";

    /// The name OpenSSL knows it by, and the Admin API shows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
            Self::Aes128CmSha1_80 => "SRTP_AES128_CM_SHA1_80",
            Self::Aes128CmSha1_32 => "SRTP_AES128_CM_SHA1_32",
            Self::Plain => "none",
        }
    }

    /// The profile of an OpenSSL name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::PREFERENCE.into_iter().find(|p| p.name() == name)
    }

    /// The suite name of an SDP `a=crypto` line (RFC 4568 §6.2, RFC 7714 §14.1).
    #[must_use]
    pub const fn sdes_name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::Aes128CmSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::Aes128CmSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::Plain => "none",
        }
    }

    /// The profile of an SDES suite name.
    #[must_use]
    pub fn from_sdes_name(name: &str) -> Option<Self> {
        Self::PREFERENCE.into_iter().find(|p| p.sdes_name() == name)
    }

    /// The two bytes of the `use_srtp` extension; 0, which stands for nothing, without protection.
    #[must_use]
    pub const fn id(self) -> u16 {
        match self {
            Self::Aes128CmSha1_80 => 0x0001,
            Self::Aes128CmSha1_32 => 0x0002,
            Self::AeadAes128Gcm => 0x0007,
            Self::AeadAes256Gcm => 0x0008,
            Self::Plain => 0,
        }
    }

    /// The profile of a `use_srtp` value, if we speak it.
    #[must_use]
    pub const fn from_id(id: u16) -> Option<Self> {
        match id {
            0x0001 => Some(Self::Aes128CmSha1_80),
            0x0002 => Some(Self::Aes128CmSha1_32),
            0x0007 => Some(Self::AeadAes128Gcm),
            0x0008 => Some(Self::AeadAes256Gcm),
            _ => None,
        }
    }

    /// Whether it is one of the two GCM profiles.
    #[must_use]
    pub const fn is_aead(self) -> bool {
        matches!(self, Self::AeadAes128Gcm | Self::AeadAes256Gcm)
    }

    /// Length of master and session encryption key, bytes.
    #[must_use]
    pub const fn key_len(self) -> usize {
        if matches!(self, Self::AeadAes256Gcm) { 32 } else { 16 }
    }

    /// Length of master and session salt, bytes.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        if self.is_aead() { 12 } else { 14 }
    }

    /// Length of the authentication key, bytes; 0 with GCM.
    #[must_use]
    pub const fn auth_key_len(self) -> usize {
        if self.is_aead() { 0 } else { 20 }
    }

    /// Bytes of tag that protecting an RTP packet adds.
    #[must_use]
    pub const fn rtp_tag_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            Self::Aes128CmSha1_80 => 10,
            Self::Aes128CmSha1_32 => 4,
            Self::Plain => 0,
        }
    }

    /// What protecting an RTCP packet adds, bytes: tag (80 bits also for `_32`, RFC 5764 §4.1.2)
    /// and index word.
    #[must_use]
    pub const fn rtcp_overhead(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 20,
            Self::Aes128CmSha1_80 | Self::Aes128CmSha1_32 => 14,
            Self::Plain => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_are_found_again() {
        for p in SrtpProfile::PREFERENCE {
            assert_eq!(SrtpProfile::from_name(p.name()), Some(p));
            assert_eq!(SrtpProfile::from_sdes_name(p.sdes_name()), Some(p));
            assert_eq!(SrtpProfile::from_id(p.id()), Some(p));
        }
        for id in [0u16, 3, 5, 6, 9, 0xFFFF] {
            assert_eq!(SrtpProfile::from_id(id), None);
        }
        let plain = SrtpProfile::Plain;
        assert!(!SrtpProfile::PREFERENCE.contains(&plain), "no handshake ends in the clear");
        assert!((0..=u16::MAX).all(|id| SrtpProfile::from_id(id) != Some(plain)));
        assert_eq!(SrtpProfile::from_name(plain.name()), None);
        assert_eq!(SrtpProfile::from_sdes_name(plain.sdes_name()), None);
        let names = SrtpProfile::PREFERENCE.map(SrtpProfile::name).join(":");
        assert_eq!(SrtpProfile::OPENSSL_LIST, names);
    }
}
