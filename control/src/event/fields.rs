//! Fields of a `tweak`: each may be absent, and has its type if it is there.

use super::QueryError;
use serde_json::{Map, Value};

/// A text.
pub fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, QueryError> {
    let read = |value: &'a Value| value.as_str().ok_or(QueryError::wrong(name, "a string"));
    fields.get(name).map(read).transpose()
}

/// A boolean.
pub fn flag(fields: &Map<String, Value>, name: &str) -> Result<Option<bool>, QueryError> {
    let read = |value: &Value| value.as_bool().ok_or(QueryError::wrong(name, "a boolean"));
    fields.get(name).map(read).transpose()
}

/// A number that is not negative and not more than `most`.
pub fn number(
    fields: &Map<String, Value>,
    name: &str,
    most: u32,
) -> Result<Option<u32>, QueryError> {
    let read = |value: &Value| {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| *number <= most);
        number.ok_or(QueryError::wrong(name, "a positive integer"))
    };
    fields.get(name).map(read).transpose()
}

/// A port. Janus wants it as a text here, and as a number in its file; both are taken.
pub fn port(fields: &Map<String, Value>, name: &str) -> Result<Option<u16>, QueryError> {
    let read = |value: &Value| {
        let number = match value.as_str() {
            Some(digits) => digits.parse().ok(),
            None => value.as_u64().and_then(|number| u16::try_from(number).ok()),
        };
        number.filter(|port| *port > 0).ok_or(QueryError::wrong(name, "a port"))
    };
    fields.get(name).map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_absent_right_or_wrong() {
        let fields = json!({"a": "x", "b": true, "c": 7, "d": -1, "e": null});
        let fields = fields.as_object().unwrap();
        assert_eq!((text(fields, "a"), text(fields, "z")), (Ok(Some("x")), Ok(None)));
        assert_eq!((flag(fields, "b"), number(fields, "c", 9)), (Ok(Some(true)), Ok(Some(7))));
        for wrong in [text(fields, "b").err(), text(fields, "e").err(), flag(fields, "c").err()] {
            assert_eq!(wrong.map(|error| error.code), Some(413));
        }
        assert!(number(fields, "d", 9).is_err() && number(fields, "c", 6).is_err());
        let ports = json!({"a": "12201", "b": 12201, "c": "12201x", "d": 65536, "e": "0"});
        let ports = ports.as_object().unwrap();
        assert_eq!((port(ports, "a"), port(ports, "b")), (Ok(Some(12201)), Ok(Some(12201))));
        assert!(["c", "d", "e"].iter().all(|name| port(ports, name).is_err()));
    }
}
