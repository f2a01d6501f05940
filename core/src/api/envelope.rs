//! The fields that every request has.

use super::{ApiError, Expect, optional, required};
use serde_json::{Map, Value};

/// What a request said about its handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleField {
    /// Absent or `null`.
    Absent,
    /// 0, or not an integer: no handle can have that id.
    Invalid,
    /// An id; a negative one reads as unsigned.
    Id(u64),
}

/// A request whose envelope is sound.
#[derive(Clone, Debug)]
pub struct Envelope {
    fields: Map<String, Value>,
    session_id: u64,
    handle: HandleField,
    wanted_id: u64,
}

impl Envelope {
    /// Checks `transaction`, `janus` and `id`, in that order (core-api §2 step 2). A value that is
    /// no object counts as one without fields (transports-auth §3.3).
    pub fn read(value: Value) -> Result<Self, ApiError> {
        let Value::Object(fields) = value else {
            return Self::read(Value::Object(Map::new()));
        };
        required(&fields, "transaction", Expect::String)?;
        required(&fields, "janus", Expect::String)?;
        let wanted_id =
            optional(&fields, "id", Expect::PositiveInteger)?.and_then(Value::as_u64).unwrap_or(0);
        let session_id = session_id_of(&fields);
        let handle = match fields.get("handle_id") {
            None | Some(Value::Null) => HandleField::Absent,
            Some(value) => match value.as_i64() {
                None | Some(0) => HandleField::Invalid,
                Some(id) => HandleField::Id(id as u64),
            },
        };
        Ok(Envelope { fields, session_id, handle, wanted_id })
    }

    /// The verb as the client wrote it, for error texts.
    pub fn verb(&self) -> &str {
        self.text("janus").unwrap_or_default()
    }

    /// The transaction, echoed in the reply.
    pub fn transaction(&self) -> &str {
        self.text("transaction").unwrap_or_default()
    }

    /// The session, 0 = none: absent, or not an integer. A negative id reads as unsigned.
    pub fn session_id(&self) -> u64 {
        self.session_id
    }

    /// The handle.
    pub fn handle(&self) -> HandleField {
        self.handle
    }

    /// The session id a `create` asks for, 0 = the server picks.
    pub fn wanted_id(&self) -> u64 {
        self.wanted_id
    }

    /// `apisecret`, where it is a string.
    pub fn api_secret(&self) -> Option<&str> {
        self.text("apisecret")
    }

    /// `token`, where it is a string.
    pub fn token(&self) -> Option<&str> {
        self.text("token")
    }

    /// All fields of the request.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Takes a field out.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.shift_remove(name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }
}

/// The session a request names, 0 = none; also for requests whose envelope is not sound, since an
/// error carries it all the same (core-api §1.2).
pub(super) fn session_id_of(fields: &Map<String, Value>) -> u64 {
    fields.get("session_id").and_then(Value::as_i64).map_or(0, |id| id as u64)
}

impl Envelope {
    /// The session an unread request names, for the error that answers it; 0 = none.
    pub fn session_id_in(value: &Value) -> u64 {
        value.as_object().map_or(0, session_id_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(value: Value) -> String {
        Envelope::read(value).expect_err("refused").to_string()
    }

    #[test]
    fn checks_run_in_the_documented_order() {
        assert_eq!(refused(json!({})), "456 Missing mandatory element (transaction)");
        assert_eq!(refused(json!([])), "456 Missing mandatory element (transaction)");
        assert_eq!(
            refused(json!({"transaction": 1, "id": "x"})),
            "467 Invalid element type (transaction should be a string)"
        );
        assert_eq!(
            refused(json!({"transaction": "", "id": "x"})),
            "456 Missing mandatory element (janus)"
        );
        for id in [json!("x"), json!(null), json!(1.0), json!(-1)] {
            assert_eq!(
                refused(json!({"janus": "ping", "transaction": "t", "id": id})),
                "467 Invalid element type (id should be a positive integer)"
            );
        }
    }

    #[test]
    fn ids_read_as_the_contract_says() {
        let read = |session: Value, handle: Value| {
            let value = json!({"janus":"x","transaction":"t","session_id":session,
                "handle_id":handle});
            let envelope = Envelope::read(value).expect("sound");
            (envelope.session_id(), envelope.handle())
        };
        assert_eq!(read(json!("12"), json!("12")), (0, HandleField::Invalid));
        assert_eq!(read(json!(null), json!(null)), (0, HandleField::Absent));
        assert_eq!(read(json!(-5), json!(0)), (18_446_744_073_709_551_611, HandleField::Invalid));
        assert_eq!(read(json!(7), json!(8)), (7, HandleField::Id(8)));
        assert_eq!(read(json!(1.5), json!(1.5)), (0, HandleField::Invalid));
    }
}
