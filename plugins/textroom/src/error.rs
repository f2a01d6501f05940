//! What the plugin refuses, and how it says so (plugin-textroom §2).

use bifrons_core::api::FieldError;
use serde_json::{Map, Value, json};

/// The plugin's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// A body that is no object.
    InvalidJson = 412,
    /// A required field is absent.
    MissingElement = 413,
    /// Wrong type or value.
    InvalidElement = 414,
    /// Unknown request.
    InvalidRequest = 415,
    /// `setup` twice, or `restart` before it.
    AlreadySetup = 416,
    /// Unknown room.
    NoSuchRoom = 417,
    /// The id of a new room is taken.
    RoomExists = 418,
    /// Wrong secret, pin, admin key or token.
    Unauthorized = 419,
    /// Somebody in the room has that name.
    UsernameExists = 420,
    /// The handle is in that room.
    AlreadyInRoom = 421,
    /// The handle is not in that room.
    NotInRoom = 422,
    /// Nobody in the room has that name.
    NoSuchUser = 423,
    /// Everything else.
    Unknown = 499,
}

/// An error as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Its number.
    pub(crate) code: Code,
    /// Its text.
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Refusal { code, text: text.into() }
    }

    /// The object that carries it, under this `textroom`.
    pub(crate) fn object(&self, kind: &str) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("textroom".to_owned(), json!(kind));
        object.insert("error_code".to_owned(), json!(self.code as i32));
        object.insert("error".to_owned(), json!(self.text));
        object
    }

    /// Whether a synchronous request is refused as a whole, with an `event` (plugin-textroom §2).
    pub(crate) fn kind(&self) -> &'static str {
        match self.code {
            Code::InvalidRequest | Code::InvalidJson => "event",
            _ => "error",
        }
    }
}

impl From<FieldError> for Refusal {
    fn from(error: FieldError) -> Self {
        let code = match error {
            FieldError::Missing(_) => Code::MissingElement,
            FieldError::Type(..) => Code::InvalidElement,
        };
        Refusal::new(code, error.text())
    }
}
