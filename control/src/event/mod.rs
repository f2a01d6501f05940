//! Events for operators: what happens in the server, told to event handlers
//! (admin-events-recording §6-§8).
//!
//! The dispatcher and the transports make [`Event`]s; the [`Hub`] gives each its envelope once and
//! puts it into the [`Feed`] of every handler that wants its kind. A handler is an [`EventHandler`]
//! with a task of its own that empties the feed. Nothing waits for a handler: feeds are bounded and
//! drop the oldest (see `feed`). Each handler sees events in the order in which they were made.
//!
//! To add a handler: one file here with its settings in `core::config::event`, and a line in
//! `open`.

mod backoff;
mod feed;
pub mod fields;
pub mod gelf;
mod gzip;
pub mod http;
mod hub;
mod kind;
pub mod mqtt;
pub mod nanomsg;
mod open;
pub mod rabbitmq;
pub mod statistics;
pub mod websocket;

pub use backoff::BackOff;
pub use feed::{
    Batch, Feed, FeedCounters, FeedSettings, MAX_GROUP, MAX_WAITING, MAX_WAITING_BYTES, Notice,
};
pub use hub::Hub;
pub use kind::{EventKind, Mask};
pub use open::{feed_settings, open, settings};

use bifrons_core::plugin::About;
use serde_json::{Map, Value};

/// Something that happened, before it has its envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// The kind's own subdivision; 0 = none, and not in the envelope.
    pub subtype: u8,
    /// Wall clock in microseconds since 1970.
    pub wall_us: u64,
    /// The session; 0 = none, and not in the envelope.
    pub session_id: u64,
    /// The handle; 0 = none, and not in the envelope.
    pub handle_id: u64,
    /// The handle's, if it has one.
    pub opaque_id: Option<String>,
    /// What happened.
    pub body: Value,
}

impl Event {
    /// The whole event as handlers send it (admin-events-recording §6).
    pub fn envelope(self, emitter: &str) -> Value {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put("emitter", emitter.into());
        put("type", self.kind.number().into());
        if self.subtype > 0 {
            put("subtype", self.subtype.into());
        }
        put("timestamp", self.wall_us.into());
        if self.session_id > 0 {
            put("session_id", self.session_id.into());
        }
        if self.handle_id > 0 {
            put("handle_id", self.handle_id.into());
        }
        if let Some(opaque_id) = self.opaque_id {
            put("opaque_id", opaque_id.into());
        }
        put("event", self.body);
        Value::Object(fields)
    }
}

/// Why a request of an operator to a handler failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// 411 unknown request, 412 missing field, 413 wrong field, 499 anything else.
    pub code: u16,
    /// For people.
    pub text: String,
}

impl QueryError {
    /// The request is not known.
    pub fn unknown(request: &str) -> Self {
        QueryError { code: 411, text: format!("Unknown request '{request}'") }
    }

    /// A field is missing.
    pub fn missing(field: &str) -> Self {
        QueryError { code: 412, text: format!("Missing mandatory element ({field})") }
    }

    /// A field is not what it `should` be: "a string", "a boolean", "a positive integer".
    pub fn wrong(field: &str, should: &str) -> Self {
        let text = format!("Invalid element type ({field} should be {should})");
        QueryError { code: 413, text }
    }
}

/// A way for events to leave the server. It is made with its [`Feed`] and runs a task that empties
/// it, on the control thread, so it must not block.
pub trait EventHandler {
    /// What `info` says of it; the package is unique.
    fn about(&self) -> About;

    /// Whether it can send several events together.
    fn groups(&self) -> bool {
        true
    }

    /// Takes an operator's `tweak`, all of it or nothing. `events` and, where [`Self::groups`],
    /// `grouping` are the hub's to check and apply; the rest is the handler's.
    fn tweak(&self, fields: &Map<String, Value>) -> Result<(), QueryError> {
        let _ = fields;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_envelope_has_what_applies_and_nothing_else() {
        let mut event = Event {
            kind: EventKind::Media,
            subtype: 3,
            wall_us: 1_893_456_000_123_456,
            session_id: 9,
            handle_id: 5,
            opaque_id: Some("u1".to_owned()),
            body: json!({ "mid": "0" }),
        };
        assert_eq!(
            event.clone().envelope("MyJanusInstance").to_string(),
            r#"{"emitter":"MyJanusInstance","type":32,"subtype":3,"timestamp":1893456000123456,"session_id":9,"handle_id":5,"opaque_id":"u1","event":{"mid":"0"}}"#
        );
        event.kind = EventKind::External;
        (event.subtype, event.session_id, event.handle_id, event.opaque_id) = (0, 0, 0, None);
        let names: Vec<_> = match event.envelope("e") {
            Value::Object(fields) => fields.keys().cloned().collect(),
            other => panic!("{other}"),
        };
        assert_eq!(names, ["emitter", "type", "timestamp", "event"]);
    }
}
