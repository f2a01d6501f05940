//! Certificate fingerprints as SDP carries them (RFC 8122 clause 5).
//!
//! A plain 33-byte value, so it travels inside messages without an allocation.

use std::fmt;

/// The hash a fingerprint was made with; the two that WebRTC peers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FingerprintHash {
    /// `sha-256`, 32 bytes. The one we present.
    Sha256,
    /// `sha-1`, 20 bytes. Accepted from old peers.
    Sha1,
}

impl FingerprintHash {
    /// Length of the digest in bytes.
    pub const fn len(self) -> usize {
        match self {
            FingerprintHash::Sha256 => 32,
            FingerprintHash::Sha1 => 20,
        }
    }

    /// Never true; a hash has bytes. There because `len` is.
    pub const fn is_empty(self) -> bool {
        false
    }

    /// The token of RFC 8122 (`sha-256`, `sha-1`).
    pub const fn name(self) -> &'static str {
        match self {
            FingerprintHash::Sha256 => "sha-256",
            FingerprintHash::Sha1 => "sha-1",
        }
    }

    /// The hash with this token, in any case.
    pub fn parse(name: &str) -> Option<FingerprintHash> {
        [FingerprintHash::Sha256, FingerprintHash::Sha1]
            .into_iter()
            .find(|hash| name.eq_ignore_ascii_case(hash.name()))
    }
}

/// Why a fingerprint could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FingerprintError {
    /// There is no `hash hex` pair in the value.
    #[error("a fingerprint is a hash name, a space and hex pairs")]
    Shape,
    /// A hash other than `sha-256` and `sha-1`.
    #[error("unknown fingerprint hash")]
    UnknownHash,
    /// Not two hex digits between colons.
    #[error("fingerprint digit is not hexadecimal")]
    NotHex,
    /// As many bytes as the hash has were expected.
    #[error("fingerprint length does not fit its hash")]
    Length,
}

/// A certificate's digest. Equality is on the bytes, so letters' case never matters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    hash: FingerprintHash,
    bytes: [u8; 32],
}

impl Fingerprint {
    /// A fingerprint of `digest`, which must be exactly as long as `hash` makes it.
    pub fn new(hash: FingerprintHash, digest: &[u8]) -> Result<Fingerprint, FingerprintError> {
        let mut bytes = [0; 32];
        let place = bytes.get_mut(..hash.len()).ok_or(FingerprintError::Length)?;
        if digest.len() != place.len() {
            return Err(FingerprintError::Length);
        }
        place.copy_from_slice(digest);
        Ok(Fingerprint { hash, bytes })
    }

    /// Reads the value of `a=fingerprint:` (`sha-256 AB:CD:…`), letters in any case.
    pub fn parse(value: &str) -> Result<Fingerprint, FingerprintError> {
        let mut words = value.split_ascii_whitespace();
        let (Some(name), Some(hex), None) = (words.next(), words.next(), words.next()) else {
            return Err(FingerprintError::Shape);
        };
        let hash = FingerprintHash::parse(name).ok_or(FingerprintError::UnknownHash)?;
        Fingerprint::parse_hex(hash, hex)
    }

    /// Reads the hex part alone (`AB:CD:…`) for a hash known from elsewhere.
    pub fn parse_hex(hash: FingerprintHash, hex: &str) -> Result<Fingerprint, FingerprintError> {
        let mut digest = [0u8; 32];
        let mut count = 0;
        for pair in hex.split(':') {
            // `from_str_radix` would take a sign; two digits exactly are the grammar.
            if pair.len() != 2 || !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(FingerprintError::NotHex);
            }
            let byte = u8::from_str_radix(pair, 16).map_err(|_| FingerprintError::NotHex)?;
            *digest.get_mut(count).ok_or(FingerprintError::Length)? = byte;
            count += 1;
        }
        Fingerprint::new(hash, digest.get(..count).unwrap_or_default())
    }

    /// The hash it was made with.
    pub fn hash(&self) -> FingerprintHash {
        self.hash
    }

    /// The digest, 32 or 20 bytes.
    pub fn digest(&self) -> &[u8] {
        self.bytes.get(..self.hash.len()).unwrap_or_default()
    }

    /// Upper-case hex pairs joined by colons, as SDP and the Admin API show them.
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(self.digest().len() * 3);
        for (i, byte) in self.digest().iter().enumerate() {
            if i > 0 {
                text.push(':');
            }
            for digit in [byte >> 4, byte & 0xf] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
        text
    }
}

impl fmt::Display for Fingerprint {
    /// `sha-256 AB:CD:…`, the value of `a=fingerprint:`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.hash.name(), self.hex())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = FingerprintError;
    fn from_str(value: &str) -> Result<Fingerprint, FingerprintError> {
        Fingerprint::parse(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB";

    #[test]
    fn case_never_matters_and_print_is_upper() {
        let upper = Fingerprint::parse(TEXT).unwrap();
        let lower = Fingerprint::parse(&TEXT.to_ascii_lowercase()).unwrap();
        assert_eq!(upper, lower);
        assert_eq!(lower.to_string(), TEXT);
        assert_eq!(Fingerprint::parse(&TEXT.replace("sha", "SHA")).unwrap().to_string(), TEXT);
    }

    #[test]
    fn malformed_values_are_refused_with_their_reason() {
        let reason = |s: &str| Fingerprint::parse(s).unwrap_err();
        assert_eq!(reason(""), FingerprintError::Shape);
        assert_eq!(reason("sha-256"), FingerprintError::Shape);
        assert_eq!(reason("sha-1 AA BB"), FingerprintError::Shape);
        assert_eq!(reason("md5 AA:BB"), FingerprintError::UnknownHash);
        assert_eq!(reason("sha-1 AA:B"), FingerprintError::NotHex);
        assert_eq!(reason("sha-1 +1:BB"), FingerprintError::NotHex);
        assert_eq!(reason("sha-1 AA:BB"), FingerprintError::Length);
        assert_eq!(reason(&format!("sha-256 {}", ["AA"; 33].join(":"))), FingerprintError::Length);
    }

    proptest! {
        #[test]
        fn print_then_parse_is_identity(digest: [u8; 32]) {
            let one = Fingerprint::new(FingerprintHash::Sha256, &digest).unwrap();
            prop_assert_eq!(Fingerprint::parse(&one.to_string()).unwrap(), one);
        }

        #[test]
        fn any_text_is_survived(text in ".{0,200}") {
            let _ = Fingerprint::parse(&text);
        }
    }
}
