//! ICE credentials: ours, made from the caller's random bytes, and the peer's, as its SDP had them.

use thiserror::Error;

use super::ufrag::{Ufrag, encode_triple};
use crate::media::PeerId;

/// The `ice-char` alphabet (RFC 8839 §5.4), in base64 order.
pub(super) const ICE_CHARS: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Longest password accepted from a peer, in bytes (RFC 8839 §5.4).
pub const MAX_PWD: usize = 256;

/// Longest ufrag accepted from a peer, in bytes. RFC 8839 §5.4 allows 256, but the ICE engine puts
/// `theirs:ours` into a USERNAME of at most 128; known stacks use 4 to 32.
pub const MAX_UFRAG: usize = 112;

/// Random bytes one pair of credentials takes: 24 bits for the ufrag, 144 for the password.
pub const CREDENTIAL_RANDOM: usize = 21;

/// One side's `a=ice-ufrag` and `a=ice-pwd`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The username fragment; ours is always a [`Ufrag`].
    pub ufrag: String,
    /// The password that keys MESSAGE-INTEGRITY of checks sent *to* this side.
    pub pwd: String,
}

/// Why a peer's credentials were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CredentialsError {
    /// The ufrag or the password is empty.
    #[error("empty ICE ufrag or password")]
    Empty,
    /// The ufrag is longer than [`MAX_UFRAG`] or the password longer than [`MAX_PWD`].
    #[error("ICE ufrag or password too long")]
    TooLong,
    /// A byte that is not visible ASCII, or a `:` in the ufrag, which ends it in a STUN USERNAME.
    #[error("character not allowed in an ICE ufrag or password")]
    BadCharacter,
}

impl Credentials {
    /// Ours, for `peer`: a 12-character ufrag and a 24-character password of 144
    /// random bits (RFC 8445 §5.3 asks for 24 and 128). `random` must come from a CSPRNG.
    #[must_use]
    pub fn generate(peer: PeerId, random: &[u8; CREDENTIAL_RANDOM]) -> Self {
        let [r2, r1, r0, secret @ ..] = *random;
        let ufrag = Ufrag::encode(peer, [r2, r1, r0]);
        let pwd = secret
            .as_chunks::<3>()
            .0
            .iter()
            .flat_map(|three| encode_triple(*three))
            .map(char::from)
            .collect();
        Self { ufrag: ufrag.as_str().to_owned(), pwd }
    }

    /// A peer's, checked for length and characters only. Lengths below RFC 8839's minimum (4 and
    /// 22) and other visible ASCII pass, as in Janus: a weak secret hurts only its owner.
    ///
    /// # Errors
    /// Says which rule the text broke.
    pub fn remote(ufrag: &str, pwd: &str) -> Result<Self, CredentialsError> {
        for (text, max) in [(ufrag, MAX_UFRAG), (pwd, MAX_PWD)] {
            if text.is_empty() {
                return Err(CredentialsError::Empty);
            }
            if text.len() > max {
                return Err(CredentialsError::TooLong);
            }
            if !text.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(CredentialsError::BadCharacter);
            }
        }
        if ufrag.contains(':') {
            return Err(CredentialsError::BadCharacter);
        }
        Ok(Self { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() })
    }
}

/// Leaves the password out, so that no log line can leak it.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, …)", self.ufrag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: PeerId = PeerId { shard: 7, slot: 0xabcdef, generation: 0x1234 };

    #[test]
    fn generated_credentials_use_ice_characters_and_every_random_byte() {
        let base = Credentials::generate(TAG, &[0; CREDENTIAL_RANDOM]);
        assert_eq!((base.ufrag.len(), base.pwd.len()), (12, 24));
        assert_eq!(Ufrag::decode(base.ufrag.as_bytes()), Some(TAG));
        for i in 0..CREDENTIAL_RANDOM {
            let mut random = [0; CREDENTIAL_RANDOM];
            random[i] = 0xff;
            let other = Credentials::generate(TAG, &random);
            assert_ne!(other, base, "random byte {i} is unused");
            assert!((other.ufrag + &other.pwd).bytes().all(|b| ICE_CHARS.contains(&b)));
        }
    }

    #[test]
    fn remote_credentials_are_bounded() {
        let long = "x".repeat(MAX_PWD + 1);
        let long_ufrag = &long[..=MAX_UFRAG];
        assert_eq!(Credentials::remote(long_ufrag, "pw"), Err(CredentialsError::TooLong));
        assert!(Credentials::remote(&long[..MAX_UFRAG], &long[..MAX_PWD]).is_ok());
        assert_eq!(Credentials::remote("", "pw"), Err(CredentialsError::Empty));
        assert_eq!(Credentials::remote("abcd", &long), Err(CredentialsError::TooLong));
        assert_eq!(Credentials::remote("ab:d", "pw"), Err(CredentialsError::BadCharacter));
        assert_eq!(Credentials::remote("ab d", "pw"), Err(CredentialsError::BadCharacter));
        assert!(Credentials::remote("F7gI", "x9cml/YzichV2+XlhiMu8g").is_ok());
    }

    #[test]
    fn debug_hides_the_password() {
        let creds = Credentials::remote("F7gI", "x9cmlYzichV2XlhiMu8g").expect("valid");
        assert!(!format!("{creds:?}").contains("x9cml"));
    }
}
