//! Our credentials as the answering side needs them, with those of the generation before.
//!
//! After an ICE restart the peer keeps checking its old pair with the old credentials until the
//! new one is nominated (RFC 8445 §9), so for that long both are honoured.

use super::credentials::Credentials;
use super::stun::{IntegrityKey, Message, split_username};

#[derive(Debug, Clone)]
pub(super) struct LocalKey {
    ufrag: String,
    key: IntegrityKey,
}

impl LocalKey {
    fn new(credentials: &Credentials) -> Self {
        Self { ufrag: credentials.ufrag.clone(), key: IntegrityKey::new(&credentials.pwd) }
    }
}

/// Which generation a check was signed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    Current,
    Previous,
}

/// What the credentials say about a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Signed with our password.
    Genuine(Generation),
    /// Our ufrag, wrong password.
    Forged,
    /// No USERNAME, or not our ufrag.
    Foreign,
}

#[derive(Debug)]
pub(super) struct LocalKeys {
    current: LocalKey,
    previous: Option<LocalKey>,
}

impl LocalKeys {
    pub(super) fn new(credentials: &Credentials) -> Self {
        Self { current: LocalKey::new(credentials), previous: None }
    }

    pub(super) fn rotate(&mut self, credentials: &Credentials) {
        if credentials.ufrag != self.current.ufrag {
            let current = LocalKey::new(credentials);
            self.previous = Some(std::mem::replace(&mut self.current, current));
        }
    }

    /// The new generation works: the old credentials are void.
    pub(super) fn forget_previous(&mut self) {
        self.previous = None;
    }

    pub(super) fn judge(&self, request: &Message<'_>) -> Verdict {
        let Some((to, _)) = request.username.and_then(split_username) else {
            return Verdict::Foreign;
        };
        let generation = if to == self.current.ufrag.as_bytes() {
            Generation::Current
        } else if self.previous.as_ref().is_some_and(|p| to == p.ufrag.as_bytes()) {
            Generation::Previous
        } else {
            return Verdict::Foreign;
        };
        match self.key(generation) {
            Some(key) if request.verify(key) => Verdict::Genuine(generation),
            _ => Verdict::Forged,
        }
    }

    pub(super) fn key(&self, generation: Generation) -> Option<&IntegrityKey> {
        match generation {
            Generation::Current => Some(&self.current.key),
            Generation::Previous => self.previous.as_ref().map(|p| &p.key),
        }
    }

    pub(super) fn ufrag(&self) -> &str {
        &self.current.ufrag
    }
}
