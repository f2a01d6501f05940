//! The way out: events in order, held back while a request is served.

use super::{Core, Outgoing, Owner};
use crate::session::{Handle, Session};
use bifrons_core::api::reply::Sender;
use serde_json::Value;

impl Core {
    /// Queues something that must not overtake the reply of the request being served.
    pub(super) fn send(&mut self, message: Outgoing) {
        match &mut self.held {
            Some(held) => held.push(message),
            None => self.outgoing.push_back(message),
        }
    }

    /// Queues an event for a session's owner.
    pub(super) fn emit(&mut self, to: Owner, session_id: u64, message: Value) {
        self.send(Outgoing::Event { to, session_id, message });
    }

    /// How a handle signs what it says.
    pub(super) fn sender<'a>(&self, session: &Session, handle: &'a Handle) -> Sender<'a> {
        let opaque_id = handle.opaque_id.as_deref().filter(|_| self.settings.opaque_id_in_api);
        Sender { session_id: session.id, handle_id: handle.id, opaque_id }
    }

    /// The package name of a plugin.
    pub(super) fn package_of(&self, plugin: usize) -> &'static str {
        self.plugins.get(plugin).map_or("", |slot| slot.about.package)
    }
}
