//! Ids that clients name rooms and participants by: numbers, or texts with `string_ids`, in every
//! plugin with rooms (plugin-videoroom, plugin-textroom: `string_ids`).

use super::Host;
use crate::api::id_from_random;
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// The id of a room or of a participant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Id {
    /// Without `string_ids`.
    Number(u64),
    /// With them.
    Text(String),
}

impl Id {
    /// A random id: a number that JavaScript holds exactly, or a UUID (RFC 9562 §5.4).
    pub fn generate(host: &mut dyn Host, texts: bool) -> Self {
        if texts {
            let (high, low) = (host.random(), host.random());
            let high = (high & !0xf000) | 0x4000;
            let low = (low & (u64::MAX >> 2)) | (1 << 63);
            return Id::Text(format!(
                "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                high >> 32,
                (high >> 16) & 0xffff,
                high & 0xffff,
                low >> 48,
                low & 0xffff_ffff_ffff
            ));
        }
        // Eight words in a row that give 0 do not happen with a host whose numbers are random.
        (0..8).find_map(|_| id_from_random(host.random())).map_or(Id::Number(1), Id::Number)
    }

    /// A random id that is not taken.
    pub fn generate_free(host: &mut dyn Host, texts: bool, taken: impl Fn(&Id) -> bool) -> Self {
        loop {
            let id = Id::generate(host, texts);
            if !taken(&id) {
                return id;
            }
        }
    }

    /// The id of a JSON value of the wanted kind.
    pub fn of(value: &Value, texts: bool) -> Option<Self> {
        if texts {
            value.as_str().map(|text| Id::Text(text.to_owned()))
        } else {
            value.as_i64().and_then(|n| u64::try_from(n).ok()).map(Id::Number)
        }
    }

    /// The id of a configuration group's name, `room-<id>` or `<id>`; `None` where Janus refuses
    /// it: 0, or no number.
    pub fn of_group(name: &str, texts: bool) -> Option<Self> {
        let id = name.strip_prefix("room-").unwrap_or(name);
        if texts {
            return Some(Id::Text(id.to_owned())).filter(|_| !id.is_empty());
        }
        id.parse().ok().filter(|n| *n != 0).map(Id::Number)
    }

    /// Whether `create` takes it for absent.
    pub fn is_unset(&self) -> bool {
        match self {
            Id::Number(n) => *n == 0,
            Id::Text(text) => text.is_empty(),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Number(n) => n.fmt(f),
            Id::Text(text) => text.fmt(f),
        }
    }
}
