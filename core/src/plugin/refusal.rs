//! What a plugin refuses, and how it says so: one shape of error, each plugin's own numbers.

use crate::api::FieldError;
use serde_json::{Map, Value, json};
use std::fmt;

/// The error codes of one plugin: a field-less enumeration, and which of them the shared reading
/// of requests uses.
///
/// ```
/// use bifrons_core::plugin::{Codes, Refusal};
///
/// #[derive(Clone, Copy, Debug, PartialEq, Eq)]
/// enum Code {
///     MissingElement = 453,
///     InvalidElement = 454,
///     InvalidRequest = 452,
///     Unauthorized = 457,
///     Unknown = 470,
/// }
///
/// impl Codes for Code {
///     const PLUGIN: &'static str = "streaming";
///     const INVALID_REQUEST: Self = Code::InvalidRequest;
///     const MISSING_ELEMENT: Self = Code::MissingElement;
///     const INVALID_ELEMENT: Self = Code::InvalidElement;
///     const UNAUTHORIZED: Self = Code::Unauthorized;
///     const UNKNOWN: Self = Code::Unknown;
///
///     fn number(self) -> i32 {
///         self as i32
///     }
/// }
///
/// let refusal = Refusal::<Code>::unknown_request("dance");
/// assert_eq!(refusal.event()["error_code"], 452);
/// ```
pub trait Codes: Copy + fmt::Debug {
    /// The key of the plugin's replies and events, e.g. `videoroom`.
    const PLUGIN: &'static str;
    /// A request that the plugin, or this role in it, does not know.
    const INVALID_REQUEST: Self;
    /// A required field is absent.
    const MISSING_ELEMENT: Self;
    /// A field has a wrong type or value.
    const INVALID_ELEMENT: Self;
    /// A wrong secret, pin or admin key.
    const UNAUTHORIZED: Self;
    /// Everything else, such as a permanent change without a configuration file.
    const UNKNOWN: Self;

    /// The number that clients see.
    fn number(self) -> i32;
}

/// An error as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal<C> {
    /// Its number.
    pub code: C,
    /// Its text.
    pub text: String,
}

impl<C: Codes> Refusal<C> {
    /// A refusal with this text.
    pub fn new(code: C, text: impl Into<String>) -> Self {
        Refusal { code, text: text.into() }
    }

    /// A wrong type or value.
    pub fn invalid(text: impl Into<String>) -> Self {
        Refusal::new(C::INVALID_ELEMENT, text)
    }

    /// A name that the plugin, or the role, does not know.
    pub fn unknown_request(name: &str) -> Self {
        Refusal::new(C::INVALID_REQUEST, format!("Unknown request '{name}'"))
    }

    /// The object that carries it: `{<plugin>: kind, error_code, error}`.
    pub fn object(&self, kind: &str) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert(C::PLUGIN.to_owned(), json!(kind));
        object.insert("error_code".to_owned(), json!(self.code.number()));
        object.insert("error".to_owned(), json!(self.text));
        object
    }

    /// The event that carries it.
    pub fn event(&self) -> Value {
        Value::Object(self.object("event"))
    }
}

impl<C: Codes> From<FieldError> for Refusal<C> {
    fn from(error: FieldError) -> Self {
        let code = match error {
            FieldError::Missing(_) => C::MISSING_ELEMENT,
            FieldError::Type(..) => C::INVALID_ELEMENT,
        };
        Refusal::new(code, error.text())
    }
}
