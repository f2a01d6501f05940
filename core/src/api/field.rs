//! Type checks of single fields, with the texts that name the field and the wanted type.
//!
//! The checks are shared by the core and the plugins: the core maps a failure to 456 or 467, a
//! plugin to its own codes, both with the same text.

use super::error::cut;
use super::{ApiError, ErrorCode};
use serde_json::{Map, Value};

/// Longest validation text, in bytes (core-api §6).
const MAX_TEXT: usize = 99;

/// What a field has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// A string, empty or not.
    String,
    /// A string with at least one character.
    NonEmptyString,
    /// A JSON integer: `60.0` is none.
    Integer,
    /// An integer >= 0 (the texts of the API say "positive").
    PositiveInteger,
    /// `true` or `false`, never 0 or 1.
    Bool,
    /// An object.
    Object,
    /// An array.
    Array,
    /// An array with at least one element.
    NonEmptyArray,
}

impl Expect {
    fn text(self) -> &'static str {
        match self {
            Expect::String => "a string",
            Expect::NonEmptyString => "a non-empty string",
            Expect::Integer => "an integer",
            Expect::PositiveInteger => "a positive integer",
            Expect::Bool => "a boolean",
            Expect::Object => "an object",
            Expect::Array => "an array",
            Expect::NonEmptyArray => "a non-empty array",
        }
    }

    fn accepts(self, value: &Value) -> bool {
        match self {
            Expect::String => value.is_string(),
            Expect::NonEmptyString => value.as_str().is_some_and(|s| !s.is_empty()),
            Expect::Integer => value.is_i64(),
            Expect::PositiveInteger => value.as_i64().is_some_and(|n| n >= 0),
            Expect::Bool => value.is_boolean(),
            Expect::Object => value.is_object(),
            Expect::Array => value.is_array(),
            Expect::NonEmptyArray => value.as_array().is_some_and(|a| !a.is_empty()),
        }
    }
}

/// Why a field was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// It is absent.
    Missing(String),
    /// It is of another type; `null` is a type.
    Type(String, Expect),
}

impl FieldError {
    /// The text without the class of the error: `(name)` or `(name should be a string)`.
    fn detail(&self) -> String {
        match self {
            FieldError::Missing(name) => format!("({name})"),
            FieldError::Type(name, expect) => format!("({name} should be {})", expect.text()),
        }
    }

    /// The text of core-api §6, at most 99 bytes.
    pub fn text(&self) -> String {
        let class = match self {
            FieldError::Missing(_) => "Missing mandatory element",
            FieldError::Type(..) => "Invalid element type",
        };
        cut(&format!("{class} {}", self.detail()), MAX_TEXT).to_owned()
    }

    /// The text with the field's surroundings in front: `JSEP error: missing mandatory element
    /// (type)`, at most 99 bytes (core-api §3.11, §4.1).
    pub fn text_within(&self, place: &str) -> String {
        let class = match self {
            FieldError::Missing(_) => "missing mandatory element",
            FieldError::Type(..) => "invalid element type",
        };
        cut(&format!("{place} error: {class} {}", self.detail()), MAX_TEXT).to_owned()
    }

    /// The core's code for it: 456 or 467.
    pub fn code(&self) -> ErrorCode {
        match self {
            FieldError::Missing(_) => ErrorCode::MissingMandatoryElement,
            FieldError::Type(..) => ErrorCode::InvalidElementType,
        }
    }

    pub(super) fn within(&self, place: &str) -> ApiError {
        ApiError::new(self.code(), self.text_within(place))
    }
}

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> Self {
        ApiError::new(error.code(), error.text())
    }
}

/// The field `name`, which has to be there and of the wanted type.
pub fn required<'a>(
    fields: &'a Map<String, Value>,
    name: &str,
    expect: Expect,
) -> Result<&'a Value, FieldError> {
    optional(fields, name, expect)?.ok_or_else(|| FieldError::Missing(name.to_owned()))
}

/// The field `name`, which may be absent, but if present has to be of the wanted type (`null` is a
/// present value of a wrong type, core-api §8).
pub fn optional<'a>(
    fields: &'a Map<String, Value>,
    name: &str,
    expect: Expect,
) -> Result<Option<&'a Value>, FieldError> {
    match fields.get(name) {
        None => Ok(None),
        Some(value) if expect.accepts(value) => Ok(Some(value)),
        Some(_) => Err(FieldError::Type(name.to_owned(), expect)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(value: Value, expect: Expect) -> bool {
        let fields = json!({ "x": value });
        fields.as_object().is_some_and(|fields| required(fields, "x", expect).is_ok())
    }

    #[test]
    fn integers_are_json_integers() {
        assert!(check(json!(0), Expect::PositiveInteger));
        assert!(!check(json!(-1), Expect::PositiveInteger));
        assert!(check(json!(-1), Expect::Integer));
        for wrong in [json!(60.0), json!("60"), json!(null), json!(true)] {
            assert!(!check(wrong.clone(), Expect::Integer), "{wrong}");
        }
        assert!(!check(json!(1), Expect::Bool));
    }

    #[test]
    fn texts_name_field_and_type() {
        let missing = FieldError::Missing("body".into());
        assert_eq!(missing.text(), "Missing mandatory element (body)");
        assert_eq!(missing.text_within("JSEP"), "JSEP error: missing mandatory element (body)");
        let wrong = FieldError::Type("id".into(), Expect::PositiveInteger);
        assert_eq!(wrong.text(), "Invalid element type (id should be a positive integer)");
        let long = FieldError::Missing("n".repeat(200));
        assert_eq!(long.text().len(), 99);
    }
}
