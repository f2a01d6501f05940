//! Sessions and their handles, as plain tables.
//!
//! A session belongs to the connection that created or last claimed it; its handles each belong to
//! one plugin for life. Bounds: [`MAX_SESSIONS`], [`MAX_HANDLES`] a session and [`MAX_ALL_HANDLES`]
//! in all, [`early::MAX_EARLY`] candidates that wait for a handle's offer; what is beyond is refused
//! by the dispatcher and counted there. Cost: a look-up is one or two hash probes; the sweep walks
//! all sessions once in two seconds.

pub mod early;

use crate::dispatch::Owner;
use bifrons_core::plugin::HandleKey;
use early::EarlyCandidates;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

/// Most sessions at a time.
pub const MAX_SESSIONS: usize = 100_000;

/// Most handles of one session.
pub const MAX_HANDLES: usize = 1024;

/// Most handles of all sessions.
pub const MAX_ALL_HANDLES: usize = 200_000;

/// Longest opaque id, in bytes.
pub const MAX_OPAQUE_ID: usize = 4096;

/// One attached handle.
#[derive(Debug)]
pub struct Handle {
    /// The id that the client knows, unique within its session.
    pub id: u64,
    /// The process-wide name.
    pub key: HandleKey,
    /// Index of the plugin.
    pub plugin: usize,
    /// What the client gave for correlation.
    pub opaque_id: Option<String>,
    /// The token it was attached with.
    pub token: Option<String>,
    /// When it was attached.
    pub since: Instant,
    /// Candidates that came before the offer/answer exchange was complete.
    pub early: EarlyCandidates,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    /// Its id.
    pub id: u64,
    /// Where its events go.
    pub owner: Owner,
    /// The last authorised request that named it.
    pub last_activity: Instant,
    /// When it was created.
    pub since: Instant,
    /// An operator's own timeout for it; `None` = the server's, zero = never.
    pub timeout: Option<Duration>,
    /// The owner's connection is gone; the session waits to be claimed.
    pub orphaned: bool,
    /// Its handles by id.
    pub handles: BTreeMap<u64, Handle>,
}

/// All sessions of the server.
#[derive(Debug, Default)]
pub struct Sessions {
    by_id: HashMap<u64, Session>,
    by_key: HashMap<HandleKey, (u64, u64)>,
    by_owner: HashMap<Owner, HashSet<u64>>,
}

impl Sessions {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many handles all of them have.
    pub fn handle_count(&self) -> usize {
        self.by_key.len()
    }

    /// Whether the id is in use.
    pub fn contains(&self, id: u64) -> bool {
        self.by_id.contains_key(&id)
    }

    /// A session.
    pub fn get(&self, id: u64) -> Option<&Session> {
        self.by_id.get(&id)
    }

    /// A session, to be changed; its owner changes by [`Sessions::give`].
    pub fn get_mut(&mut self, id: u64) -> Option<&mut Session> {
        self.by_id.get_mut(&id)
    }

    /// All sessions, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.by_id.values()
    }

    /// Adds a session without handles. The id must be free.
    pub fn insert(&mut self, id: u64, owner: Owner, now: Instant) {
        debug_assert!(!self.contains(id));
        self.by_owner.entry(owner).or_default().insert(id);
        let session = Session {
            id,
            owner,
            last_activity: now,
            since: now,
            timeout: None,
            orphaned: false,
            handles: BTreeMap::new(),
        };
        self.by_id.insert(id, session);
    }

    /// Takes a session out, with its handles: from here on nobody finds them.
    pub fn remove(&mut self, id: u64) -> Option<Session> {
        let session = self.by_id.remove(&id)?;
        self.disown(session.owner, id);
        for handle in session.handles.values() {
            self.by_key.remove(&handle.key);
        }
        Some(session)
    }

    /// Gives a session to a new owner, and ends its waiting; the former owner is returned.
    pub fn give(&mut self, id: u64, owner: Owner) -> Option<Owner> {
        let session = self.by_id.get_mut(&id)?;
        session.orphaned = false;
        let former = std::mem::replace(&mut session.owner, owner);
        self.disown(former, id);
        self.by_owner.entry(owner).or_default().insert(id);
        Some(former)
    }

    /// The sessions of an owner.
    pub fn owned_by(&self, owner: Owner) -> Vec<u64> {
        self.by_owner.get(&owner).map(|ids| ids.iter().copied().collect()).unwrap_or_default()
    }

    fn disown(&mut self, owner: Owner, id: u64) {
        if let Some(ids) = self.by_owner.get_mut(&owner) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_owner.remove(&owner);
            }
        }
    }

    /// Adds a handle to a session that exists. The handle's id must be free there.
    pub fn attach(&mut self, session_id: u64, handle: Handle) {
        let Some(session) = self.by_id.get_mut(&session_id) else { return };
        self.by_key.insert(handle.key, (session_id, handle.id));
        session.handles.insert(handle.id, handle);
    }

    /// Takes a handle out: from here on nobody finds it.
    pub fn detach(&mut self, key: HandleKey) -> Option<(u64, Handle)> {
        let (session_id, handle_id) = self.by_key.remove(&key)?;
        let handle = self.by_id.get_mut(&session_id)?.handles.remove(&handle_id)?;
        Some((session_id, handle))
    }

    /// The session and the handle behind a key.
    pub fn find(&self, key: HandleKey) -> Option<(&Session, &Handle)> {
        let (session_id, handle_id) = self.by_key.get(&key)?;
        let session = self.by_id.get(session_id)?;
        Some((session, session.handles.get(handle_id)?))
    }

    /// The handle behind a key, to be changed.
    pub fn find_mut(&mut self, key: HandleKey) -> Option<&mut Handle> {
        let (session_id, handle_id) = self.by_key.get(&key)?;
        self.by_id.get_mut(session_id)?.handles.get_mut(handle_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{ConnectionId, TransportId};

    fn owner(n: u64) -> Owner {
        Owner { transport: TransportId(0), connection: ConnectionId(n) }
    }

    fn handle(id: u64, key: u64, now: Instant) -> Handle {
        Handle {
            id,
            key: HandleKey(key),
            plugin: 0,
            opaque_id: None,
            token: None,
            since: now,
            early: EarlyCandidates::default(),
        }
    }

    #[test]
    fn the_three_tables_agree() {
        let now = Instant::now();
        let mut sessions = Sessions::default();
        sessions.insert(1, owner(7), now);
        sessions.insert(2, owner(7), now);
        sessions.attach(1, handle(5, 100, now));
        sessions.attach(2, handle(5, 101, now));
        assert_eq!(sessions.find(HandleKey(101)).map(|(s, h)| (s.id, h.id)), Some((2, 5)));
        assert_eq!(sessions.give(1, owner(8)), Some(owner(7)));
        assert_eq!(sessions.owned_by(owner(7)), [2]);
        assert_eq!(sessions.owned_by(owner(8)), [1]);
        assert!(sessions.remove(1).is_some());
        assert!(sessions.find(HandleKey(100)).is_none());
        assert!(sessions.detach(HandleKey(101)).is_some());
        assert_eq!(sessions.handle_count(), 0);
        assert!(sessions.remove(2).is_some() && sessions.is_empty());
        assert!(sessions.owned_by(owner(7)).is_empty());
    }
}
