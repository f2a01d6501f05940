//! Who may do what: the API secret, stored tokens and signed tokens (transports-auth §8–§10).
//!
//! A request passes when either its secret or its token does. Nothing here is kept on disk: stored
//! tokens live as long as the process. Bounds: [`MAX_TOKENS`] stored tokens. Cost: a stored token
//! is one map look-up, a signed one an HMAC over its text. Comparisons of secrets take time that
//! depends on lengths only.

mod signed;
mod stored;

pub use signed::SignedTokens;
pub use stored::{MAX_TOKENS, StoredTokens, TokenError};

use bifrons_core::api::{ApiError, ErrorCode};

/// The kinds of tokens a server can be set up with.
#[derive(Debug, Default)]
pub enum Tokens {
    /// Token authentication is off.
    #[default]
    Off,
    /// `token_auth`: tokens that an operator adds through the Admin API.
    Stored(StoredTokens),
    /// `token_auth` with `token_auth_secret`: tokens that carry their own proof.
    Signed(SignedTokens),
}

/// The authentication a server was set up with.
#[derive(Debug, Default)]
pub struct Authority {
    secret: Option<String>,
    tokens: Tokens,
}

impl Authority {
    /// From `api_secret`, `token_auth` and `token_auth_secret`.
    pub fn new(secret: Option<String>, token_auth: bool, token_secret: Option<String>) -> Self {
        let tokens = match (token_auth, token_secret) {
            (false, _) => Tokens::Off,
            (true, None) => Tokens::Stored(StoredTokens::default()),
            (true, Some(secret)) => Tokens::Signed(SignedTokens::new(secret.as_bytes())),
        };
        Authority { secret, tokens }
    }

    /// Whether a secret is asked for: `api_secret` in `info`.
    pub fn wants_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// Whether tokens are asked for: `auth_token` in `info`.
    pub fn wants_token(&self) -> bool {
        !matches!(self.tokens, Tokens::Off)
    }

    /// The tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The tokens, for the Admin API.
    pub fn tokens_mut(&mut self) -> &mut Tokens {
        &mut self.tokens
    }

    /// Whether a request with this secret and token may pass. `now_s` is Unix time.
    pub fn admits(&self, secret: Option<&str>, token: Option<&str>, now_s: u64) -> bool {
        if !self.wants_secret() && !self.wants_token() {
            return true;
        }
        let by_secret = match (&self.secret, secret) {
            (Some(want), Some(given)) => equal(want.as_bytes(), given.as_bytes()),
            _ => false,
        };
        let by_token = token.is_some_and(|token| match &self.tokens {
            Tokens::Off => false,
            Tokens::Stored(stored) => stored.contains(token),
            Tokens::Signed(signed) => signed.is_valid(token, "janus", now_s),
        });
        by_secret || by_token
    }

    /// Whether the token lets its bearer attach to this plugin. Without a token, or without token
    /// authentication, nothing is asked (core-api §3.6).
    pub fn admits_plugin(
        &self,
        token: Option<&str>,
        package: &str,
        now_s: u64,
    ) -> Result<(), ApiError> {
        let Some(token) = token else { return Ok(()) };
        let allowed = match &self.tokens {
            Tokens::Off => true,
            Tokens::Stored(stored) => stored.allows(token, package),
            Tokens::Signed(signed) => signed.contains(token, "janus", package, now_s),
        };
        if allowed {
            return Ok(());
        }
        let text = format!("Provided token can't access plugin '{package}'");
        Err(ApiError::new(ErrorCode::UnauthorizedPlugin, text))
    }
}

/// Compares without telling by its duration where the first difference is.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let difference = a.iter().zip(b).fold(0u8, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_auth_41_secret_or_token_is_enough() {
        let mut both = Authority::new(Some("s3cret".into()), true, None);
        if let Tokens::Stored(stored) = both.tokens_mut() {
            stored.add("t1", ["p"].map(String::from)).expect("room");
        }
        assert!(both.admits(Some("s3cret"), None, 0));
        assert!(both.admits(None, Some("t1"), 0));
        assert!(both.admits(Some("wrong"), Some("t1"), 0));
        assert!(!both.admits(Some("wrong"), Some("t2"), 0));
        assert!(!both.admits(None, None, 0));
    }

    #[test]
    fn unconfigured_means_open() {
        let open = Authority::new(None, false, Some("ignored".into()));
        assert!(open.admits(Some("any"), Some("thing"), 0));
        assert!(open.admits_plugin(Some("thing"), "p", 0).is_ok());
    }

    #[test]
    fn comparison_covers_every_byte() {
        assert!(equal(b"abc", b"abc"));
        assert!(!equal(b"abc", b"abd") && !equal(b"abc", b"xbc") && !equal(b"abc", b"ab"));
        assert!(equal(b"", b""));
    }
}
