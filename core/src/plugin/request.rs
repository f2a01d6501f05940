//! Requests as tables of fields, and bodies checked against them, for every plugin.
//!
//! A plugin writes down what a request knows as a table, checks the [`Body`] against it once, and
//! then reads fields by name: reading cannot fail, and a field of another type reads as absent.
//! Fields are checked in the order of the table, the first that is wrong is the refusal. Texts
//! are those of core-api §6; the numbers are the plugin's ([`Codes`]).
//!
//! ```
//! # use bifrons_core::plugin::{Codes, Refusal};
//! # #[derive(Clone, Copy, Debug, PartialEq)]
//! # enum Code { Request = 452, Missing = 453, Invalid = 454, Unauthorized = 457, Unknown = 470 }
//! # impl Codes for Code {
//! #     const PLUGIN: &'static str = "streaming";
//! #     const INVALID_REQUEST: Self = Code::Request;
//! #     const MISSING_ELEMENT: Self = Code::Missing;
//! #     const INVALID_ELEMENT: Self = Code::Invalid;
//! #     const UNAUTHORIZED: Self = Code::Unauthorized;
//! #     const UNKNOWN: Self = Code::Unknown;
//! #     fn number(self) -> i32 { self as i32 }
//! # }
//! use bifrons_core::plugin::request::{self, FLAG, Field, TEXT, Want, may, must};
//!
//! // In the plugin's `api.rs`:
//! type Body<'a> = request::Body<'a, Code>;
//! const EDIT: [Field; 3] = [must("id", Want::Id), may("new_pin", TEXT), may("permanent", FLAG)];
//!
//! let json = serde_json::json!({ "id": 7, "new_pin": "", "secret": "s3" });
//! let map = json.as_object().unwrap();
//! let body = Body::checked(map, false, &EDIT)?;
//! let id = body.the_id("id")?;
//! body.prove("secret", Some("s3"))?; // the secret of the mountpoint, if it has one
//! assert_eq!(body.text("new_pin"), Some("")); // `filled` takes an empty one for absent
//! assert_eq!(Body::checked(map, true, &EDIT).unwrap_err().code, Code::Invalid); // string_ids
//! # Ok::<(), Refusal<Code>>(())
//! ```

use super::{Codes, Id, Refusal};
use crate::api::{Expect, FieldError};
use serde_json::{Map, Value};
use std::marker::PhantomData;

/// What a field has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// A number, or a text with `string_ids`.
    Id,
    /// A JSON type.
    Is(Expect),
    /// A layer: 0, 1 or 2.
    Layer,
    /// A UDP port: 0 to 65535.
    Port,
}

/// A field that a request knows.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    name: &'static str,
    want: Want,
    required: bool,
}

/// A field that has to be there.
pub const fn must(name: &'static str, want: Want) -> Field {
    Field { name, want, required: true }
}

/// A field that may be there.
pub const fn may(name: &'static str, want: Want) -> Field {
    Field { name, want, required: false }
}

/// A string.
pub const TEXT: Want = Want::Is(Expect::String);
/// `true` or `false`.
pub const FLAG: Want = Want::Is(Expect::Bool);
/// An integer >= 0.
pub const UINT: Want = Want::Is(Expect::PositiveInteger);
/// Any integer.
pub const INT: Want = Want::Is(Expect::Integer);
/// An object.
pub const OBJECT: Want = Want::Is(Expect::Object);
/// An array.
pub const ARRAY: Want = Want::Is(Expect::Array);
/// An array with something in it.
pub const ITEMS: Want = Want::Is(Expect::NonEmptyArray);
/// The room that a request is about.
pub const ROOM: Field = must("room", Want::Id);

/// A request's body, or an object in it, refused with the codes `C`.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a, C> {
    map: &'a Map<String, Value>,
    string_ids: bool,
    codes: PhantomData<C>,
}

impl<'a, C: Codes> Body<'a, C> {
    /// A body of which nothing is checked yet.
    pub fn new(map: &'a Map<String, Value>, string_ids: bool) -> Self {
        Body { map, string_ids, codes: PhantomData }
    }

    /// A body whose `fields` have their types.
    ///
    /// # Errors
    /// What is missing, or has another type.
    pub fn checked(
        map: &'a Map<String, Value>,
        string_ids: bool,
        fields: &[Field],
    ) -> Result<Self, Refusal<C>> {
        let body = Body::new(map, string_ids);
        body.check(fields)?;
        Ok(body)
    }

    /// Checks further fields of the same body.
    ///
    /// # Errors
    /// What is missing, or has another type.
    pub fn check(&self, fields: &[Field]) -> Result<(), Refusal<C>> {
        fields.iter().try_for_each(|field| self.check_field(field))
    }

    fn check_field(&self, field: &Field) -> Result<(), Refusal<C>> {
        if !field.required && !self.has(field.name) {
            return Ok(());
        }
        let expect = match field.want {
            Want::Is(expect) => expect,
            Want::Id if self.string_ids => Expect::String,
            Want::Id | Want::Layer | Want::Port => Expect::PositiveInteger,
        };
        let value = crate::api::required(self.map, field.name, expect)?;
        let (most, what) = match field.want {
            Want::Layer => (2, "0, 1 or 2"),
            Want::Port => (65_535, "a port"),
            Want::Id | Want::Is(_) => return Ok(()),
        };
        if value.as_u64().is_some_and(|number| number > most) {
            let text = format!("Invalid element value ({} should be {what})", field.name);
            return Err(Refusal::invalid(text));
        }
        Ok(())
    }

    /// Objects of an array field, each checked; nothing when the field is absent.
    ///
    /// # Errors
    /// An element that is no object, or a field in one.
    pub fn items(&self, name: &str, fields: &[Field]) -> Result<Vec<Self>, Refusal<C>> {
        let item = |value: &'a Value| match value.as_object() {
            Some(map) => Body::checked(map, self.string_ids, fields),
            None => Err(Refusal::invalid(format!(
                "Invalid element type ({name} should be an array of objects)"
            ))),
        };
        self.array(name).map_or(Ok(Vec::new()), |array| array.iter().map(item).collect())
    }

    /// Strings of an array field; `None` when it is absent.
    ///
    /// # Errors
    /// An element that is no string.
    pub fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Refusal<C>> {
        let text = |value: &Value| {
            value.as_str().map(str::to_owned).ok_or_else(|| {
                Refusal::invalid(format!(
                    "Invalid element type ({name} should be an array of strings)"
                ))
            })
        };
        self.array(name).map(|array| array.iter().map(text).collect()).transpose()
    }

    /// As it came.
    pub fn map(&self) -> &'a Map<String, Value> {
        self.map
    }

    /// Whether the field is there.
    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// A string.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.map.get(name)?.as_str()
    }

    /// A string that is not empty.
    pub fn filled(&self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// A boolean.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.map.get(name)?.as_bool()
    }

    /// An integer.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.map.get(name)?.as_i64()
    }

    /// A number of 32 bits; what is larger counts as the largest.
    pub fn number(&self, name: &str) -> Option<u32> {
        let number = self.map.get(name)?.as_u64()?;
        Some(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// A number of 16 bits; what is larger counts as the largest.
    pub fn short(&self, name: &str) -> Option<u16> {
        self.number(name).map(|number| u16::try_from(number).unwrap_or(u16::MAX))
    }

    /// A port.
    pub fn port(&self, name: &str) -> Option<u16> {
        self.map.get(name)?.as_u64().and_then(|port| u16::try_from(port).ok())
    }

    /// A layer.
    pub fn layer(&self, name: &str) -> Option<u8> {
        self.map.get(name)?.as_u64().and_then(|layer| u8::try_from(layer).ok())
    }

    /// An id.
    pub fn id(&self, name: &str) -> Option<Id> {
        Id::of(self.map.get(name)?, self.string_ids)
    }

    /// An id that is known to be required.
    ///
    /// # Errors
    /// When it is absent, or no id.
    pub fn the_id(&self, name: &str) -> Result<Id, Refusal<C>> {
        self.id(name).ok_or_else(|| FieldError::Missing(name.to_owned()).into())
    }

    /// An object, as it came.
    pub fn object(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| value.is_object())
    }

    /// An array.
    pub fn array(&self, name: &str) -> Option<&'a Vec<Value>> {
        self.map.get(name)?.as_array()
    }

    /// Checks `name` (a secret, pin or `admin_key`) against what it has to be, if anything.
    ///
    /// # Errors
    /// Missing, no string, or wrong: in this order.
    pub fn prove(&self, name: &'static str, secret: Option<&str>) -> Result<(), Refusal<C>> {
        let Some(secret) = secret else { return Ok(()) };
        self.check(&[must(name, TEXT)])?;
        match self.text(name) {
            Some(given) if is_same(given, secret) => Ok(()),
            _ => Err(wrong(name)),
        }
    }

    /// Whether an `admin_key` was given and is right: what `list` shows private entries for. One
    /// that is empty or no string counts as absent, as any does where none is configured.
    ///
    /// # Errors
    /// When it is wrong.
    pub fn proves_operator(&self, admin_key: Option<&str>) -> Result<bool, Refusal<C>> {
        match (admin_key, self.filled("admin_key")) {
            (Some(key), Some(given)) if !is_same(&given, key) => Err(wrong("admin_key")),
            (known, given) => Ok(known.is_some() && given.is_some()),
        }
    }
}

fn wrong<C: Codes>(name: &str) -> Refusal<C> {
    Refusal::new(C::UNAUTHORIZED, format!("Unauthorized (wrong {name})"))
}

/// Whether two secrets are the same, in a time that depends on the length of `given` only.
pub fn is_same(given: &str, secret: &str) -> bool {
    let secret = secret.as_bytes();
    let mut differences = usize::from(given.len() != secret.len());
    for (index, byte) in given.bytes().enumerate() {
        let wanted = secret.get(index % secret.len().max(1)).copied().unwrap_or_default();
        differences |= std::hint::black_box(usize::from(byte ^ wanted));
    }
    differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Code {
        Request,
        Missing,
        Invalid,
        Unauthorized,
        Unknown,
    }

    impl Codes for Code {
        const PLUGIN: &'static str = "test";
        const INVALID_REQUEST: Self = Code::Request;
        const MISSING_ELEMENT: Self = Code::Missing;
        const INVALID_ELEMENT: Self = Code::Invalid;
        const UNAUTHORIZED: Self = Code::Unauthorized;
        const UNKNOWN: Self = Code::Unknown;

        fn number(self) -> i32 {
            self as i32
        }
    }

    fn with<T>(body: Value, then: impl FnOnce(Body<'_, Code>) -> T) -> T {
        then(Body::new(body.as_object().expect("an object"), false))
    }

    fn code(body: Value, fields: &[Field]) -> Option<Code> {
        with(body, |body| body.check(fields).err().map(|refusal| refusal.code))
    }

    #[test]
    fn what_is_missing_differs_from_what_has_another_type() {
        let fields = [must("room", Want::Id), may("substream", Want::Layer)];
        assert_eq!(code(json!({}), &fields), Some(Code::Missing));
        assert_eq!(code(json!({ "room": null }), &fields), Some(Code::Invalid));
        assert_eq!(code(json!({ "room": "x" }), &fields), Some(Code::Invalid));
        assert_eq!(code(json!({ "room": 1, "substream": 3 }), &fields), Some(Code::Invalid));
        assert_eq!(code(json!({ "room": 0, "substream": 2 }), &fields), None);
        assert_eq!(
            code(json!({ "port": 65_536 }), &[may("port", Want::Port)]),
            Some(Code::Invalid)
        );
        assert_eq!(code(json!({ "port": 65_535 }), &[must("port", Want::Port)]), None);
    }

    #[test]
    fn an_operator_proves_the_key_or_is_nobody() {
        let proves = |body: Value, key| with(body, |body| body.proves_operator(key));
        assert_eq!(proves(json!({ "admin_key": "k" }), Some("k")), Ok(true));
        for nobody in [json!({}), json!({ "admin_key": "" }), json!({ "admin_key": 1 })] {
            assert_eq!(proves(nobody, Some("k")), Ok(false));
        }
        assert_eq!(proves(json!({ "admin_key": "k" }), None), Ok(false));
        let refused = proves(json!({ "admin_key": "x" }), Some("k"));
        assert_eq!(refused.map_err(|refusal| refusal.code), Err(Code::Unauthorized));
    }

    #[test]
    fn secrets_are_same_only_when_they_are() {
        assert!(is_same("abc", "abc"));
        assert!(is_same("", ""));
        for (given, secret) in [("abd", "abc"), ("ab", "abc"), ("abcabc", "abc"), ("a", "")] {
            assert!(!is_same(given, secret), "{given} {secret}");
        }
    }
}
