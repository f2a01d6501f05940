//! What the plugin refuses, and how it says so (plugin-videoroom §2).

use bifrons_core::api::FieldError;
use serde_json::{Value, json};

/// The plugin's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Unknown request, or not one for this role.
    InvalidRequest = 423,
    /// Anything but a join on a fresh handle.
    JoinFirst = 424,
    /// A join on a handle that joined once.
    AlreadyJoined = 425,
    /// Unknown or destroyed room.
    NoSuchRoom = 426,
    /// The id of a new room is taken.
    RoomExists = 427,
    /// Unknown publisher or mid.
    NoSuchFeed = 428,
    /// A required field is absent.
    MissingElement = 429,
    /// Wrong type or value.
    InvalidElement = 430,
    /// An offer where an answer is due, or the other way round.
    InvalidSdpType = 431,
    /// The room has as many publishers as it takes.
    PublishersFull = 432,
    /// Bad secret, pin, admin key, token or private id; or encryption is demanded.
    Unauthorized = 433,
    /// `publish` while published.
    AlreadyPublished = 434,
    /// `unpublish` while not.
    NotPublished = 435,
    /// The user id is taken.
    IdExists = 436,
    /// A description that cannot be used, or a subscription without m-lines.
    InvalidSdp = 437,
    /// Encrypted and plain sources in one subscription.
    InvalidFeed = 438,
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
    /// A refusal with this text.
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Refusal { code, text: text.into() }
    }

    /// 430 with this text.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Refusal::new(Code::InvalidElement, text)
    }

    /// 423 for a name that the role does not know.
    pub(crate) fn unknown_request(name: &str) -> Self {
        Refusal::new(Code::InvalidRequest, format!("Unknown request '{name}'"))
    }

    /// The event that carries it.
    pub(crate) fn event(&self) -> Value {
        json!({ "videoroom": "event", "error_code": self.code as i32, "error": self.text })
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
