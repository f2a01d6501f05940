//! Tokens that an operator adds, each with the plugins it opens (transports-auth §9).

use std::collections::{BTreeMap, BTreeSet};

/// Most tokens kept; beyond, `add` is refused.
pub const MAX_TOKENS: usize = 100_000;

/// Why a token could not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No such token.
    #[error("no such token")]
    Unknown,
    /// The table is full.
    #[error("too many tokens")]
    Full,
}

/// The token table. A token whose set of plugins is empty still authorises requests.
#[derive(Debug, Default)]
pub struct StoredTokens {
    tokens: BTreeMap<String, BTreeSet<String>>,
}

impl StoredTokens {
    /// Adds a token, or adds plugins to the set of a known one.
    pub fn add(
        &mut self,
        token: &str,
        plugins: impl IntoIterator<Item = String>,
    ) -> Result<(), TokenError> {
        if !self.tokens.contains_key(token) && self.tokens.len() >= MAX_TOKENS {
            return Err(TokenError::Full);
        }
        self.tokens.entry(token.to_owned()).or_default().extend(plugins);
        Ok(())
    }

    /// Opens more plugins to a known token.
    pub fn allow(
        &mut self,
        token: &str,
        plugins: impl IntoIterator<Item = String>,
    ) -> Result<(), TokenError> {
        self.tokens.get_mut(token).ok_or(TokenError::Unknown)?.extend(plugins);
        Ok(())
    }

    /// Closes plugins to a known token.
    pub fn disallow<'a>(
        &mut self,
        token: &str,
        plugins: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), TokenError> {
        let set = self.tokens.get_mut(token).ok_or(TokenError::Unknown)?;
        for plugin in plugins {
            set.remove(plugin);
        }
        Ok(())
    }

    /// Forgets a token; sessions made with it go on until their next request.
    pub fn remove(&mut self, token: &str) -> Result<(), TokenError> {
        self.tokens.remove(token).map(drop).ok_or(TokenError::Unknown)
    }

    /// Whether the token is known.
    pub fn contains(&self, token: &str) -> bool {
        self.tokens.contains_key(token)
    }

    /// Whether the token is known and opens this plugin.
    pub fn allows(&self, token: &str, package: &str) -> bool {
        self.tokens.get(token).is_some_and(|plugins| plugins.contains(package))
    }

    /// All tokens with their plugins, both in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        self.tokens.iter().map(|(token, set)| (token.as_str(), set.iter().map(String::as_str)))
    }

    /// The plugins of a known token.
    pub fn plugins(&self, token: &str) -> Option<impl Iterator<Item = &str>> {
        self.tokens.get(token).map(|set| set.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn transports_auth_65_adding_again_merges() {
        let mut stored = StoredTokens::default();
        stored.add("t", names(&["a"])).expect("new");
        stored.add("t", names(&["b"])).expect("known");
        assert!(stored.allows("t", "a") && stored.allows("t", "b") && !stored.allows("t", "c"));
    }

    #[test]
    fn transports_auth_44_a_token_without_plugins_authorises_only() {
        let mut stored = StoredTokens::default();
        stored.add("t", names(&["a"])).expect("new");
        stored.disallow("t", ["a"]).expect("known");
        assert!(stored.contains("t") && !stored.allows("t", "a"));
        assert_eq!(stored.remove("t"), Ok(()));
        assert_eq!(stored.remove("t"), Err(TokenError::Unknown));
        assert_eq!(stored.allow("t", names(&["a"])), Err(TokenError::Unknown));
    }
}
