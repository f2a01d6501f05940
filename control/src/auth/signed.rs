//! Tokens that carry their own proof: `data:base64(HMAC-SHA1(secret, data))`, where data is
//! `expiry,realm,descriptor,…` (transports-auth §10).

use super::equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use std::fmt;

/// Checks signed tokens; stores none.
pub struct SignedTokens {
    key: hmac::Key,
}

impl fmt::Debug for SignedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedTokens")
    }
}

impl SignedTokens {
    /// With the secret that signs.
    pub fn new(secret: &[u8]) -> Self {
        SignedTokens { key: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret) }
    }

    /// Whether the token is signed by us, not expired at `now_s` (Unix time), and of this realm.
    pub fn is_valid(&self, token: &str, realm: &str, now_s: u64) -> bool {
        self.descriptors(token, realm, now_s).is_some()
    }

    /// Whether the token is valid and names this descriptor: a plugin package for the core's own
    /// realm, or what a plugin checks in its own.
    pub fn contains(&self, token: &str, realm: &str, descriptor: &str, now_s: u64) -> bool {
        let Some(mut descriptors) = self.descriptors(token, realm, now_s) else { return false };
        descriptors.any(|one| one == descriptor)
    }

    fn descriptors<'a>(
        &self,
        token: &'a str,
        realm: &str,
        now_s: u64,
    ) -> Option<std::str::Split<'a, char>> {
        let (data, signature) = token.split_once(':')?;
        let want = STANDARD.encode(hmac::sign(&self.key, data.as_bytes()));
        if !equal(want.as_bytes(), signature.as_bytes()) {
            return None;
        }
        let mut parts = data.split(',');
        let expiry = leading_number(parts.next()?)?;
        if now_s > expiry || parts.next()? != realm {
            return None;
        }
        Some(parts)
    }
}

/// Leading decimal digits; what follows does not matter. `None` without any.
fn leading_number(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.get(..digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUGINS: &str = "janus.plugin.echotest,janus.plugin.videoroom";

    fn sign(data: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"s3cret");
        format!("{data}:{}", STANDARD.encode(hmac::sign(&key, data.as_bytes())))
    }

    #[test]
    fn transports_auth_45_signature_expiry_and_realm() {
        let tokens = SignedTokens::new(b"s3cret");
        let token = sign(&format!("1893456000,janus,{PLUGINS}"));
        assert_eq!(token.split_once(':').map(|(_, s)| s.len()), Some(28));
        assert!(tokens.is_valid(&token, "janus", 1_893_456_000));
        assert!(!tokens.is_valid(&token, "janus", 1_893_456_001), "expired");
        assert!(!tokens.is_valid(&token, "janus.plugin.videoroom", 0), "other realm");
        let changed = token.replacen("echotest", "echotesu", 1);
        assert!(!tokens.is_valid(&changed, "janus", 0), "changed descriptor");
        assert!(!SignedTokens::new(b"other").is_valid(&token, "janus", 0));
        for broken in ["", ":", "1893456000,janus", "abc,janus:x"] {
            assert!(!tokens.is_valid(broken, "janus", 0), "{broken}");
        }
    }

    #[test]
    fn expiry_reads_leading_digits() {
        let tokens = SignedTokens::new(b"s3cret");
        assert!(tokens.is_valid(&sign("1893456000abc,janus"), "janus", 9));
        assert!(!tokens.is_valid(&sign("-1,janus"), "janus", 0));
        assert!(!tokens.is_valid(&sign("soon,janus"), "janus", 0));
        assert!(!tokens.is_valid(&sign("99999999999999999999999,janus"), "janus", 0));
    }

    #[test]
    fn transports_auth_46_plugin_has_to_be_a_descriptor() {
        let tokens = SignedTokens::new(b"s3cret");
        let token = sign("1893456000,janus,janus.plugin.echotest");
        assert!(tokens.contains(&token, "janus", "janus.plugin.echotest", 0));
        assert!(!tokens.contains(&token, "janus", "janus.plugin.videoroom", 0));
        assert!(!tokens.contains(&token, "janus", "janus", 0), "the realm is no descriptor");
    }
}
