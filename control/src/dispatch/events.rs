//! What event handlers hear of sessions, handles and PeerConnections (admin-events-recording §7).
//!
//! Events are made only where `events.broadcast` is on; they leave by [`Core::take_events`], in
//! the order in which things happened.

use super::{Core, Moment};
use crate::event::{Event, EventKind};
use bifrons_core::plugin::HandleKey;
use serde_json::{Value, json};

/// Whom an event is about; none of it known = the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) session_id: u64,
    pub(super) handle_id: u64,
    pub(super) opaque_id: Option<String>,
}

impl Core {
    /// Whether anybody may hear an event: asked before one is built.
    pub(super) fn has_listeners(&self) -> bool {
        self.settings.events_enabled
    }

    /// The handle as events name it.
    pub(super) fn subject(&self, key: HandleKey) -> Option<Subject> {
        let (session, handle) = self.sessions.find(key)?;
        let opaque_id = handle.opaque_id.clone();
        Some(Subject { session_id: session.id, handle_id: handle.id, opaque_id })
    }

    /// Queues an event.
    pub(super) fn note(&mut self, kind: EventKind, subtype: u8, about: Subject, body: Value) {
        let Subject { session_id, handle_id, opaque_id } = about;
        let wall_us = self.now.wall_us;
        self.events.push_back(Event {
            kind,
            subtype,
            wall_us,
            session_id,
            handle_id,
            opaque_id,
            body,
        });
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

    /// An operator's event (`custom_event`): false if nobody could hear it.
    pub fn custom_event(&mut self, now: Moment, schema: &str, data: Value) -> bool {
        self.now = now;
        if self.has_listeners() {
            let body = json!({ "schema": schema, "data": data });
            self.note(EventKind::External, 0, Subject::default(), body);
        }
        self.has_listeners()
    }
}
