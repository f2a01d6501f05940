//! Requests as tables of fields, and bodies checked against them.
//!
//! A [`Body`] exists only once every field that its request knows has the wanted type, so that
//! reading it cannot fail. Fields are checked in the order of the tables (plugin-streaming §2).

use crate::error::{Code, Refusal};
use bifrons_core::api::{Expect, FieldError};
use bifrons_core::plugin::Id;
use serde_json::{Map, Value};

/// What a field has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
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
pub(crate) struct Field {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it has to be.
    pub(crate) want: Want,
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
/// Any integer.
pub(crate) const INT: Want = Want::Is(Expect::Integer);
/// An array.
pub(crate) const ARRAY: Want = Want::Is(Expect::Array);

/// A body whose fields have their types.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body<'a> {
    map: &'a Map<String, Value>,
    string_ids: bool,
}

impl<'a> Body<'a> {
    /// Checks a body: 453 for what is missing, 454 for what has another type.
    pub(crate) fn checked(
        map: &'a Map<String, Value>,
        string_ids: bool,
        fields: &[Field],
    ) -> Result<Self, Refusal> {
        let body = Body { map, string_ids };
        body.check(fields)?;
        Ok(body)
    }

    /// Checks further fields of the same body.
    pub(crate) fn check(&self, fields: &[Field]) -> Result<(), Refusal> {
        fields.iter().try_for_each(|field| self.check_field(field))
    }

    fn check_field(&self, field: &Field) -> Result<(), Refusal> {
        let Some(value) = self.map.get(field.name) else {
            return match field.required {
                true => Err(FieldError::Missing(field.name.to_owned()).into()),
                false => Ok(()),
            };
        };
        let expect = match field.want {
            Want::Is(expect) => expect,
            Want::Id if self.string_ids => Expect::String,
            Want::Id | Want::Layer | Want::Port => Expect::PositiveInteger,
        };
        bifrons_core::api::required(self.map, field.name, expect)?;
        let number = value.as_u64();
        if field.want == Want::Layer && number.is_some_and(|layer| layer > 2) {
            let text = format!("Invalid element value ({} should be 0, 1 or 2)", field.name);
            return Err(Refusal::invalid(text));
        }
        if field.want == Want::Port && number.is_some_and(|port| port > 65_535) {
            let text = format!("Invalid element value ({} should be a port)", field.name);
            return Err(Refusal::invalid(text));
        }
        Ok(())
    }

    /// Objects of an array field, each checked; nothing when the field is absent. 454 for an
    /// element that is no object.
    pub(crate) fn items(&self, name: &str, fields: &[Field]) -> Result<Vec<Body<'a>>, Refusal> {
        let item = |value: &'a Value| match value.as_object() {
            Some(map) => Body::checked(map, self.string_ids, fields),
            None => Err(Refusal::invalid(format!(
                "Invalid element type ({name} should be an array of objects)"
            ))),
        };
        self.array(name).map_or(Ok(Vec::new()), |array| array.iter().map(item).collect())
    }

    /// Strings of an array field; `None` when it is absent. 454 for an element that is none.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let text = |value: &Value| {
            value.as_str().map(str::to_owned).ok_or_else(|| {
                Refusal::invalid(format!(
                    "Invalid element type ({name} should be an array of strings)"
                ))
            })
        };
        self.array(name).map(|array| array.iter().map(text).collect()).transpose()
    }

    /// Whether the field is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
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

    /// Whether a boolean is there and true.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.flag(name).unwrap_or(false)
    }

    /// An integer.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        self.map.get(name)?.as_i64()
    }

    /// A number of 32 bits; what is larger counts as the largest.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        let number = self.map.get(name)?.as_u64()?;
        Some(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// A port.
    pub(crate) fn port(&self, name: &str) -> Option<u16> {
        self.map.get(name)?.as_u64().and_then(|port| u16::try_from(port).ok())
    }

    /// A layer.
    pub(crate) fn layer(&self, name: &str) -> Option<u8> {
        self.map.get(name)?.as_u64().and_then(|layer| u8::try_from(layer).ok())
    }

    /// An id.
    pub(crate) fn id(&self, name: &str) -> Option<Id> {
        Id::of(self.map.get(name)?, self.string_ids)
    }

    /// An id that is known to be required.
    pub(crate) fn the_id(&self, name: &str) -> Result<Id, Refusal> {
        self.id(name).ok_or_else(|| FieldError::Missing(name.to_owned()).into())
    }

    /// An array.
    pub(crate) fn array(&self, name: &str) -> Option<&'a Vec<Value>> {
        self.map.get(name)?.as_array()
    }

    /// Whether `name` is there and the same as `secret`.
    pub(crate) fn knows(&self, name: &str, secret: &str) -> bool {
        self.text(name).is_some_and(|given| is_same(given, secret))
    }

    /// Checks `name` against a secret, if there is one: 453 when missing, 454 when no string, 457
    /// when wrong.
    pub(crate) fn prove(&self, name: &'static str, secret: Option<&str>) -> Result<(), Refusal> {
        let Some(secret) = secret else { return Ok(()) };
        self.check(&[must(name, TEXT)])?;
        match self.knows(name, secret) {
            true => Ok(()),
            false => Err(Refusal::new(Code::Unauthorized, format!("Unauthorized (wrong {name})"))),
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
