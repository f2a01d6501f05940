//! What event handlers hear of sessions, handles and the server (admin-events-recording §7).
//!
//! Events are made only where `events.broadcast` is on; they leave by [`Core::take_events`], in
//! the order in which things happened. Those of PeerConnections are in `peer_events`.

use super::{Core, Moment, Origin};
use crate::event::{Event, EventKind};
use crate::session::{Handle, Session};
use bifrons_core::plugin::HandleKey;
use serde_json::{Value, json};
use std::time::Duration;

/// Between two `update` events of the server.
pub(super) const UPDATE_PERIOD: Duration = Duration::from_secs(15);

/// Whom an event is about; none of it known = the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) session_id: u64,
    pub(super) handle_id: u64,
    pub(super) opaque_id: Option<String>,
}

impl Subject {
    pub(super) fn session(session_id: u64) -> Self {
        Subject { session_id, ..Subject::default() }
    }

    pub(super) fn handle(session_id: u64, handle: &Handle) -> Self {
        Subject { session_id, handle_id: handle.id, opaque_id: handle.opaque_id.clone() }
    }
}

impl Core {
    /// Whether anybody may hear an event: asked before one is built.
    pub(super) fn has_listeners(&self) -> bool {
        self.settings.events_enabled
    }

    /// The handle as events name it.
    pub(super) fn subject(&self, key: HandleKey) -> Option<Subject> {
        let (session, handle) = self.sessions.find(key)?;
        Some(Subject::handle(session.id, handle))
    }

    fn event(&self, kind: EventKind, subtype: u8, about: Subject, body: Value) -> Event {
        let Subject { session_id, handle_id, opaque_id } = about;
        let wall_us = self.now.wall_us;
        Event { kind, subtype, wall_us, session_id, handle_id, opaque_id, body }
    }

    /// Queues an event, if anybody may hear it.
    pub(super) fn note(&mut self, kind: EventKind, subtype: u8, about: Subject, body: Value) {
        if self.has_listeners() {
            let event = self.event(kind, subtype, about, body);
            self.events.push_back(event);
        }
    }

    /// A session was created.
    pub(super) fn note_created(&mut self, session_id: u64, origin: Origin) {
        let transport = usize::from(origin.owner.transport.0);
        let transport = self.transports.get(transport).copied().unwrap_or_default();
        let transport = json!({ "transport": transport, "id": origin.name() });
        let body = json!({ "name": "created", "transport": transport });
        self.note(EventKind::Session, 0, Subject::session(session_id), body);
    }

    /// A session ended.
    pub(super) fn note_over(&mut self, session: &Session, timed_out: bool) {
        let name = if timed_out { "timeout" } else { "destroyed" };
        self.note(EventKind::Session, 0, Subject::session(session.id), json!({ "name": name }));
    }

    /// The event of a handle that was `attached` or `detached`.
    pub(super) fn handle_event(&self, name: &str, of: u64, handle: &Handle) -> Option<Event> {
        if !self.has_listeners() {
            return None;
        }
        let mut body = json!({ "name": name, "plugin": self.package_of(handle.plugin) });
        for (name, value) in [("opaque_id", &handle.opaque_id), ("token", &handle.token)] {
            if let Some(value) = value {
                body[name] = value.as_str().into();
            }
        }
        Some(self.event(EventKind::Handle, 0, Subject::handle(of, handle), body))
    }

    /// A plugin's event.
    pub(super) fn note_plugin(&mut self, plugin: usize, of: Option<HandleKey>, data: Value) {
        if !self.has_listeners() {
            return;
        }
        let about = of.and_then(|key| self.subject(key)).unwrap_or_default();
        let body = json!({ "plugin": self.package_of(plugin), "data": data });
        self.note(EventKind::Plugin, 0, about, body);
    }

    /// The server is up: tells event handlers what it is, and begins to tell them how it does.
    pub fn announce_start(&mut self, now: Moment) {
        self.now = now;
        if !self.has_listeners() {
            return;
        }
        let mut info = serde_json::Map::new();
        info.insert("janus".to_owned(), "server_info".into());
        info.extend(self.info());
        let body = json!({ "status": "started", "info": info });
        self.note(EventKind::Core, 1, Subject::default(), body);
        self.next_update = Some(now.at + UPDATE_PERIOD);
    }

    /// The server was told to stop, by this signal.
    pub fn announce_stop(&mut self, now: Moment, signal: i32) {
        self.now = now;
        self.next_update = None;
        let body = json!({ "status": "shutdown", "signum": signal });
        self.note(EventKind::Core, 2, Subject::default(), body);
    }

    /// How the server does, every 15 s.
    pub(super) fn note_update(&mut self) {
        if self.next_update.is_none_or(|at| at > self.now.at) {
            return;
        }
        self.next_update = Some(self.now.at + UPDATE_PERIOD);
        let info = json!({
            "sessions": self.sessions.len(),
            "handles": self.sessions.handle_count(),
            "peerconnections": self.negotiator.count(),
            "stats-period": self.settings.stats_period.as_secs(),
        });
        let body = json!({ "status": "update", "info": info });
        self.note(EventKind::Core, 1, Subject::default(), body);
    }
}
