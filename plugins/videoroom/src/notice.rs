//! Events to others and to event handlers, and the shapes they share (plugin-videoroom §5, §11).

use crate::participant::{For, Participant};
use bifrons_core::plugin::Id;
use serde_json::{Map, Value, json};

/// `{videoroom:"event", room}` with what `fill` adds.
pub(crate) fn event(room: &Id) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("videoroom".to_owned(), json!("event"));
    shown.insert("room".to_owned(), json!(room));
    shown
}

/// `{videoroom:"event", room, <key>:"ok"}`.
pub(crate) fn done(room: &Id, key: &str) -> Map<String, Value> {
    let mut shown = event(room);
    shown.insert(key.to_owned(), json!("ok"));
    shown
}

/// Something became of a participant: `unpublished`, `leaving` or `kicked`.
pub(crate) fn gone(room: &Id, key: &str, who: &Participant) -> Value {
    let mut shown = event(room);
    shown.insert(key.to_owned(), json!(who.id));
    who.put_names(&mut shown);
    Value::Object(shown)
}

/// Somebody publishes, or publishes something else.
pub(crate) fn published(room: &Id, who: &Participant) -> Value {
    let mut shown = event(room);
    shown.insert("publishers".to_owned(), json!([who.describe(For::Others)]));
    Value::Object(shown)
}

/// Somebody came who may yet publish.
pub(crate) fn joining(room: &Id, who: &Participant) -> Value {
    let mut shown = event(room);
    shown.insert("joining".to_owned(), Value::Object(who.named()));
    Value::Object(shown)
}

/// The body for event handlers: `event` and `room`.
pub(crate) fn handlers(name: &str, room: &Id) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("event".to_owned(), json!(name));
    body.insert("room".to_owned(), json!(room));
    body
}

/// The same about a participant: with its id and names.
pub(crate) fn handlers_about(name: &str, room: &Id, who: &Participant) -> Map<String, Value> {
    let mut body = handlers(name, room);
    body.extend(who.named());
    body
}
