//! Replies: exactly one for each request (core-api §1.2).

use super::ApiError;
use serde_json::{Map, Value, json};

/// Starts a message: its word and, unless 0, its session.
pub(super) fn message(word: &str, session_id: u64) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("janus".to_owned(), Value::from(word));
    if session_id != 0 {
        fields.insert("session_id".to_owned(), Value::from(session_id));
    }
    fields
}

fn answer(word: &str, session_id: u64, transaction: &str) -> Map<String, Value> {
    let mut fields = message(word, session_id);
    fields.insert("transaction".to_owned(), Value::from(transaction));
    fields
}

/// `pong`.
pub fn pong(transaction: &str) -> Value {
    Value::Object(answer("pong", 0, transaction))
}

/// `server_info`: `facts` follow the transaction in their own order.
pub fn server_info(transaction: &str, facts: &Map<String, Value>) -> Value {
    let mut fields = answer("server_info", 0, transaction);
    fields.extend(facts.iter().map(|(name, value)| (name.clone(), value.clone())));
    Value::Object(fields)
}

/// `success` of a `create`: the id is in `data.id` only.
pub fn created(transaction: &str, id: u64) -> Value {
    let mut fields = answer("success", 0, transaction);
    fields.insert("data".to_owned(), json!({ "id": id }));
    Value::Object(fields)
}

/// `success` of an `attach`: the session on top, the handle in `data.id`.
pub fn attached(session_id: u64, transaction: &str, handle_id: u64) -> Value {
    let mut fields = answer("success", session_id, transaction);
    fields.insert("data".to_owned(), json!({ "id": handle_id }));
    Value::Object(fields)
}

/// `success` that says nothing more.
pub fn success(session_id: u64, transaction: &str) -> Value {
    Value::Object(answer("success", session_id, transaction))
}

/// `ack`, with an optional hint for people.
pub fn ack(session_id: u64, transaction: &str, hint: Option<&str>) -> Value {
    let mut fields = answer("ack", session_id, transaction);
    if let Some(hint) = hint {
        fields.insert("hint".to_owned(), Value::from(hint));
    }
    Value::Object(fields)
}

/// `error`. `session_id` 0 and a `transaction` of `None` leave those out.
pub fn error(session_id: u64, transaction: Option<&str>, error: &ApiError) -> Value {
    let mut fields = message("error", session_id);
    if let Some(transaction) = transaction {
        fields.insert("transaction".to_owned(), Value::from(transaction));
    }
    let body = json!({ "code": error.code.code(), "reason": error.reason });
    fields.insert("error".to_owned(), body);
    Value::Object(fields)
}

/// From which handle, and through which plugin, something comes.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The session.
    pub session_id: u64,
    /// The handle.
    pub handle_id: u64,
    /// Its opaque id, if it is to be shown (`opaqueid_in_api`).
    pub opaque_id: Option<&'a str>,
}

impl Sender<'_> {
    /// Appends `sender` and, where shown, `opaque_id`.
    pub(super) fn sign(&self, fields: &mut Map<String, Value>) {
        fields.insert("sender".to_owned(), Value::from(self.handle_id));
        if let Some(opaque_id) = self.opaque_id {
            fields.insert("opaque_id".to_owned(), Value::from(opaque_id));
        }
    }
}

/// `success` with what a plugin answered at once.
pub fn plugin_success(from: Sender<'_>, transaction: &str, plugin: &str, data: Value) -> Value {
    let mut fields = answer("success", from.session_id, transaction);
    from.sign(&mut fields);
    fields.insert("plugindata".to_owned(), json!({ "plugin": plugin, "data": data }));
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ErrorCode;

    #[test]
    fn session_and_transaction_only_where_they_belong() {
        assert_eq!(
            created("c1", 742).to_string(),
            r#"{"janus":"success","transaction":"c1","data":{"id":742}}"#
        );
        assert_eq!(
            attached(1, "a", 2).to_string(),
            r#"{"janus":"success","session_id":1,"transaction":"a","data":{"id":2}}"#
        );
        assert_eq!(
            error(u64::MAX, Some("t"), &ErrorCode::SessionNotFound.into()).to_string(),
            r#"{"janus":"error","session_id":18446744073709551615,"transaction":"t","error":{"code":458,"reason":"Session not found"}}"#
        );
        assert_eq!(
            error(0, None, &ErrorCode::InvalidJson.into()).to_string(),
            r#"{"janus":"error","error":{"code":454,"reason":"Invalid JSON"}}"#
        );
    }

    #[test]
    fn a_synchronous_answer_names_its_sender() {
        let from = Sender { session_id: 1, handle_id: 2, opaque_id: Some("u") };
        assert_eq!(
            plugin_success(from, "m", "janus.plugin.x", json!({"x": 1})).to_string(),
            r#"{"janus":"success","session_id":1,"transaction":"m","sender":2,"opaque_id":"u","plugindata":{"plugin":"janus.plugin.x","data":{"x":1}}}"#
        );
    }
}
