//! Requests as tables of fields, and bodies checked against them, in the order of the tables.

use crate::error::{Code, Refusal};
use bifrons_core::api::{Expect, FieldError, required};
use bifrons_core::plugin::Id;
use serde_json::{Map, Value};

/// What a field has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// A number, or a text with `string_ids`.
    Id,
    /// A JSON type.
    Is(Expect),
}

/// A field that a request knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    name: &'static str,
    want: Want,
    required: bool,
}

/// A field that has to be there.
pub(crate) const fn must(name: &'static str, want: Want) -> Field {
    Field { name, want, required: true }
}

/// A field that may be there.
pub(crate) const fn may(name: &'static str, want: Want) -> Field {
    Field { name, want, required: false }
}

/// A string.
pub(crate) const TEXT: Want = Want::Is(Expect::String);
/// `true` or `false`.
pub(crate) const FLAG: Want = Want::Is(Expect::Bool);
/// An integer >= 0.
pub(crate) const UINT: Want = Want::Is(Expect::PositiveInteger);
/// An array.
pub(crate) const ARRAY: Want = Want::Is(Expect::Array);

/// The room that a request is about.
pub(crate) const ROOM: Field = must("room", Want::Id);

/// A body, read with care.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body<'a> {
    pub(crate) map: &'a Map<String, Value>,
    pub(crate) string_ids: bool,
}

impl<'a> Body<'a> {
    /// Checks fields: 413 for what is missing, 414 for what has another type.
    pub(crate) fn check(&self, fields: &[Field]) -> Result<(), Refusal> {
        for field in fields {
            if !field.required && !self.map.contains_key(field.name) {
                continue;
            }
            let expect = match field.want {
                Want::Is(expect) => expect,
                Want::Id if self.string_ids => Expect::String,
                Want::Id => Expect::PositiveInteger,
            };
            required(self.map, field.name, expect)?;
        }
        Ok(())
    }

    /// Strings of an array field; `None` when it is absent. 414 for an element that is none.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let text = |value: &Value| {
            let text = format!("Invalid element in the {name} array (not a string)");
            value
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| Refusal::new(Code::InvalidElement, text))
        };
        let array = self.map.get(name).and_then(Value::as_array);
        array.map(|array| array.iter().map(text).collect()).transpose()
    }

    /// A string.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.map.get(name)?.as_str()
    }

    /// A string that is not empty.
    pub(crate) fn filled(&self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// A boolean.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.map.get(name)?.as_bool()
    }

    /// A number of 16 bits; what is larger counts as the largest.
    pub(crate) fn short(&self, name: &str) -> Option<u16> {
        self.map.get(name)?.as_u64().map(|number| u16::try_from(number).unwrap_or(u16::MAX))
    }

    /// An id.
    pub(crate) fn id(&self, name: &str) -> Option<Id> {
        Id::of(self.map.get(name)?, self.string_ids)
    }

    /// An id that is known to be required.
    pub(crate) fn the_id(&self, name: &str) -> Result<Id, Refusal> {
        self.id(name).ok_or_else(|| FieldError::Missing(name.to_owned()).into())
    }

    /// Checks `name` against a secret, if there is one: 413 when missing, 414 when no string, 419
    /// when wrong.
    pub(crate) fn prove(&self, name: &'static str, secret: Option<&str>) -> Result<(), Refusal> {
        let Some(secret) = secret else { return Ok(()) };
        self.check(&[must(name, TEXT)])?;
        match self.text(name) {
            Some(given) if is_same(given, secret) => Ok(()),
            _ => Err(Refusal::new(Code::Unauthorized, format!("Unauthorized (wrong {name})"))),
        }
    }
}

/// Whether two secrets are the same, in a time that depends on the length of `given` only.
pub(crate) fn is_same(given: &str, secret: &str) -> bool {
    let secret = secret.as_bytes();
    let mut differences = usize::from(given.len() != secret.len());
    for (index, byte) in given.bytes().enumerate() {
        let wanted = secret.get(index % secret.len().max(1)).copied().unwrap_or_default();
        differences |= std::hint::black_box(usize::from(byte ^ wanted));
    }
    differences == 0
}
