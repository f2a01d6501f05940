//! What the plugin refuses, and how it says so (plugin-streaming §2).

use bifrons_core::api::FieldError;
use serde_json::{Value, json};

/// The plugin's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Unknown request, or not one that is possible as things are.
    InvalidRequest = 452,
    /// A required field is absent.
    MissingElement = 453,
    /// Wrong type or value.
    InvalidElement = 454,
    /// Unknown mountpoint, or none watched.
    NoSuchMountpoint = 455,
    /// A mountpoint cannot be made.
    CannotCreate = 456,
    /// Bad secret, pin or admin key.
    Unauthorized = 457,
    /// One of the two mountpoints of a switch is a file.
    CannotSwitch = 458,
    /// The recording cannot be opened.
    CannotRecord = 459,
    /// Something else is watched, or the same is not up yet.
    InvalidState = 460,
    /// A viewer's offer cannot be used.
    InvalidSdp = 461,
    /// Everything else.
    Unknown = 470,
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

    /// 454 with this text.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Refusal::new(Code::InvalidElement, text)
    }

    /// 456 with this text.
    pub(crate) fn create(text: impl Into<String>) -> Self {
        Refusal::new(Code::CannotCreate, text)
    }

    /// 455 for a handle that watches nothing.
    pub(crate) fn not_watching() -> Self {
        Refusal::new(Code::NoSuchMountpoint, "Not watching any mountpoint")
    }

    /// The event that carries it.
    pub(crate) fn event(&self) -> Value {
        json!({ "streaming": "event", "error_code": self.code as i32, "error": self.text })
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
